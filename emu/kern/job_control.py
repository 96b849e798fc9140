"""Who may use a terminal: controlling terminals, foreground and background (sys/kern/tty.c).

A process in the background of its controlling terminal is stopped when it reads, when it changes
the terminal, and with TOSTOP when it writes.  Nobody could continue an orphaned group: there, and
for a process that ignores or masks the signal, reading fails with EIO.
"""

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import OPEN_KEPT
from emu.abi.ioctl import Ioctl
from emu.abi.signal import Signal
from emu.kern.file import File, Stream
from emu.kern.proc import PID_MAX, Lwp, Proc
from emu.kern.sched import Blocking, Sleep
from emu.kern.sigacts import bit
from emu.kern.signal import pgsignal
from emu.kern.tty import Tty

_CHANGING = frozenset(
    {
        Ioctl.TIOCDRAIN,
        Ioctl.TIOCEXCL,
        Ioctl.TIOCFLUSH,
        Ioctl.TIOCNXCL,
        Ioctl.TIOCSCTTY,
        Ioctl.TIOCSETA,
        Ioctl.TIOCSETAF,
        Ioctl.TIOCSETAW,
        Ioctl.TIOCSPGRP,
        Ioctl.TIOCSTART,
        Ioctl.TIOCSTI,
        Ioctl.TIOCSTOP,
        Ioctl.TIOCSWINSZ,
    }
)
_SETTING = (Ioctl.TIOCSETA, Ioctl.TIOCSETAW, Ioctl.TIOCSETAF)
_DRAINING = (Ioctl.TIOCDRAIN, Ioctl.TIOCSETAW, Ioctl.TIOCSETAF)
_LBOLT_NS = 1_000_000_000
"""How soon a process in the background looks again where it is (lbolt)."""
_DRAIN_NS = 10_000_000
_INT = 4


def controls(tty: Tty, proc: Proc) -> bool:
    """Is it the process's controlling terminal? (isctty)"""
    return proc.controlled and tty.session is proc.pgrp.session


def in_background(tty: Tty, proc: Proc) -> bool:
    return controls(tty, proc) and proc.pgrp is not proc.pgrp.session.foreground


def open_terminal(proc: Proc, flags: int) -> File:
    """Open /dev/tty.  ENXIO without a controlling terminal."""
    tty = proc.pgrp.session.tty
    if tty is None or not proc.controlled:
        raise KernelError(Errno.ENXIO, "no controlling terminal")
    return File(Stream(tty.fd, tty), flags & OPEN_KEPT)


def background_read(lwp: Lwp, tty: Tty) -> Blocking[None]:
    """Wait until the process is in the foreground; EIO where it cannot be stopped meanwhile."""
    proc = lwp.proc
    while in_background(tty, proc):
        member = bit(Signal.TTIN)
        if (proc.sigacts.ignored | lwp.sigmask) & member or proc.parent_waits or proc.pgrp.orphaned:
            raise KernelError(Errno.EIO, "a read from the background")
        yield from _stop(lwp, Signal.TTIN)


def background_write(lwp: Lwp, tty: Tty) -> Blocking[None]:
    """Wait until the process may write: it is in the foreground, or TOSTOP is not set."""
    while in_background(tty, lwp.proc) and tty.stops_background_output:
        if not (yield from _stop_writer(lwp)):
            return


def ioctl(lwp: Lwp, file: File, com: int, data: bytearray) -> Blocking[None]:
    """Carry out `com` on an open file that may be a terminal (ttioctl)."""
    tty = file.node.tty
    if tty is None:
        file.ioctl(com, data)
        return
    proc = lwp.proc
    if com in _CHANGING:
        while in_background(tty, proc):
            if not (yield from _stop_writer(lwp)):
                break
    if com in _DRAINING:
        clock = proc.kernel.clock
        while tty.output_pending():
            yield Sleep((), clock.monotonic_ns() + _DRAIN_NS)
    if com in _SETTING:
        proc.kernel.arm(lwp.cpu)  # the settings are to come back whenever the run stops
    match com:
        case Ioctl.TIOCSCTTY:
            _acquire(proc, tty)
        case Ioctl.TIOCNOTTY:
            _give_up(proc, tty)
        case Ioctl.TIOCSPGRP:
            _set_foreground(lwp, tty, int.from_bytes(data, "little", signed=True))
        case Ioctl.TIOCGPGRP:
            _check_controls(tty, proc)
            foreground = proc.pgrp.session.foreground
            data[:] = (foreground.id if foreground else PID_MAX + 1).to_bytes(_INT, "little")
        case Ioctl.TIOCGSID:
            _check_controls(tty, proc)
            data[:] = proc.pgrp.session.sid.to_bytes(_INT, "little")
        case Ioctl.TIOCDRAIN:
            pass
        case _:
            file.ioctl(com, data)


def _stop(lwp: Lwp, signal: Signal) -> Blocking[None]:
    """Send the stop signal to the whole group; if it goes on after all, look again later."""
    kernel = lwp.proc.kernel
    pgsignal(kernel.in_group(lwp.proc.pgrp.id), signal)
    yield Sleep((), kernel.clock.monotonic_ns() + _LBOLT_NS)


def _stop_writer(lwp: Lwp) -> Blocking[bool]:
    """Stop a process that writes from the background; return False if it may write even so."""
    proc = lwp.proc
    if proc.parent_waits or (proc.sigacts.ignored | lwp.sigmask) & bit(Signal.TTOU):
        return False
    if proc.pgrp.orphaned:
        raise KernelError(Errno.EIO, "a write from the background")
    yield from _stop(lwp, Signal.TTOU)
    return True


def _acquire(proc: Proc, tty: Tty) -> None:
    """Make it the controlling terminal of the process's session."""
    session = proc.pgrp.session
    if session.leader is not proc:
        raise KernelError(Errno.EPERM, "not a session leader")
    if tty.session is not session and (session.tty is not None or tty.session is not None):
        raise KernelError(Errno.EPERM, "it is taken, or the session has another")
    session.tty, tty.session = tty, session
    session.foreground = proc.pgrp
    proc.controlled = True


def _give_up(proc: Proc, tty: Tty) -> None:
    """The process does without a controlling terminal; its leader cannot."""
    _check_controls(tty, proc)
    if proc.pgrp.session.leader is proc:
        raise KernelError(Errno.EINVAL, "a session leader")
    proc.controlled = False


def _set_foreground(lwp: Lwp, tty: Tty, pgid: int) -> None:
    proc = lwp.proc
    _check_controls(tty, proc)
    if not 1 <= pgid <= PID_MAX:
        raise KernelError(Errno.EINVAL, f"group {pgid}")
    pgrp = proc.kernel.pgrps.get(pgid)
    if pgrp is None or pgrp.session is not proc.pgrp.session:
        raise KernelError(Errno.EPERM, f"no group {pgid} in this session")
    # A signal from the terminal may now end a process other than the one that is running.
    proc.kernel.arm(lwp.cpu)
    pgrp.session.foreground = pgrp


def _check_controls(tty: Tty, proc: Proc) -> None:
    if not controls(tty, proc):
        raise KernelError(Errno.ENOTTY, "not the controlling terminal")
