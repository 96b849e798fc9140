"""The end of LWPs and processes, and waiting for it (sys/kern/kern_exit.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.signal import SIG_IGN, SaFlag, Signal
from emu.abi.wait import WAIT_ANY, WAIT_MYPGRP, WCONTINUED_STATUS, Wait, exit_code, stop_code
from emu.abi.x86 import U32_MASK
from emu.kern import vkernel
from emu.kern.pgrp import fixjobc, leave_group
from emu.kern.proc import Lwp, Proc, Usage
from emu.kern.sched import Blocking, Sleep
from emu.kern.signal import ksignal, pgsignal

_ALL_OPTIONS = int(Wait.NOHANG | Wait.UNTRACED | Wait.CONTINUED | Wait.LINUXCLONE)


def exit1(proc: Proc, *, status: int = 0, signal: int = 0) -> None:
    """End a process: it becomes a zombie until its parent waits for it.

    The end of the first process ends the run, and everything is taken down then.
    """
    if not proc.alive:
        return
    if signal:
        proc.killed_by = signal
    else:
        proc.exit_status = status & 0xFF
    kernel = proc.kernel
    kernel.sched.attention = True
    if proc is kernel.first:
        return
    for peer in list(proc.peers):
        exit1(peer, signal=Signal.KILL)
    if proc.leader is not proc:
        del proc.leader.peers[proc]
    kill_lwps(proc)
    release(proc)
    if proc.pgrp.session.leader is proc:
        _end_session(proc)
    fixjobc(proc, proc.pgrp, entering=False)
    for child in list(proc.children):
        child.set_parent(None)
        child.exit_signal = Signal.CHLD
        if not child.alive:
            reap(child)
    proc.notify(Note.EXIT, exit_code(proc.exit_status or 0, signal))
    _tell_parent(proc)


def kill_lwps(proc: Proc, survivor: Lwp | None = None) -> None:
    """End every LWP of `proc` but one."""
    for lwp in list(proc.lwps.values()):
        if lwp is not survivor:
            lwp_exit(lwp)


def lwp_exit(lwp: Lwp) -> None:
    """End one LWP, wherever it is."""
    proc = lwp.proc
    if lwp.vkernel is not None:
        vkernel.lwp_exit(lwp)
    proc.kernel.sched.remove(lwp)
    if lwp.call is not None:
        lwp.call.close()
        lwp.call = None
    lwp.forget()


def release(proc: Proc) -> None:
    """Let go of what a process holds: timers, files, vmspaces, memory."""
    proc.pending = 0
    for timer in proc.timers.values():
        timer.cancel()
    proc.timers.clear()
    proc.files.drop()
    if proc.vkernel is not None:
        proc.vkernel.drop()
        proc.vkernel = None
    proc.vmspace.drop()
    vfork_done(proc)


def vfork_done(proc: Proc) -> None:
    """The parent that sleeps in vfork, if any, may go on."""
    if proc.parent_waits:
        proc.parent_waits = False
        proc.kernel.sched.wakeup((proc, "ppwait"))


def _end_session(proc: Proc) -> None:
    session = proc.pgrp.session
    if session.foreground is not None:
        pgsignal(proc.kernel.in_group(session.foreground.id), Signal.HUP)
        session.foreground = None
    if session.tty is not None:
        session.tty.session = None
        session.tty = None
    session.leader = None


def _tell_parent(proc: Proc) -> None:
    parent = proc.parent
    if parent is not None and _wants_no_children(parent):
        proc.set_parent(None)
        if not parent.children:
            proc.kernel.sched.wakeup(parent)
        parent = None
    if parent is None:
        reap(proc)
        return
    ksignal(parent, proc.exit_signal)
    proc.kernel.sched.wakeup(parent)


def _wants_no_children(proc: Proc) -> bool:
    """Does nobody want to know how this process's children end?"""
    if proc.sigacts.child_flags & SaFlag.NOCLDWAIT:
        return True
    ignored = proc.sigacts.get(Signal.CHLD).handler == SIG_IGN
    return ignored and proc.kernel.abi.ignored_children_vanish


def reap(proc: Proc) -> None:
    """Forget a process that has ended."""
    proc.set_parent(None)
    leave_group(proc)
    del proc.kernel.procs[proc.pid]


def kern_wait(lwp: Lwp, pid: int, options: int) -> Blocking[tuple[int, int, Usage]]:
    """Wait for a child to end, stop or continue; return its pid, its status and what it used.

    The pid is 0 if there is none yet and WNOHANG is given.  Raise KernelError(ECHILD) if no child
    is meant.
    """
    if options & U32_MASK & ~_ALL_OPTIONS:
        raise KernelError(Errno.EINVAL, f"options {options:#x}")
    parent = lwp.proc
    if pid == WAIT_MYPGRP:
        pid = -parent.pgrp.id
    while True:
        meant = _children(parent, pid, threads=bool(options & Wait.LINUXCLONE))
        for child in meant:
            if not child.alive:
                return _reap_for(parent, child)
            if child.stopped and not child.stop_reported and options & Wait.UNTRACED:
                child.stop_reported = True
                return child.pid, stop_code(child.stop_signal), Usage()
            if child.continued and options & Wait.CONTINUED:
                child.continued = False
                return child.pid, WCONTINUED_STATUS, Usage()
        if not meant:
            raise KernelError(Errno.ECHILD, "no such child")
        if options & Wait.NOHANG:
            return 0, 0, Usage()
        yield Sleep((parent,))


def _children(parent: Proc, pid: int, *, threads: bool) -> list[Proc]:
    """Return the children that `pid` means, the youngest first.

    `threads` are those that rfork(RFLINUXTHPN) has made, which are waited for on their own.
    """
    return [
        child
        for child in reversed(parent.children)
        if pid in (WAIT_ANY, child.pid, -child.pgrp.id)
        and (child.exit_signal != Signal.CHLD) == threads
    ]


def _reap_for(parent: Proc, child: Proc) -> tuple[int, int, Usage]:
    status = exit_code(child.exit_status or 0, child.killed_by or 0)
    usage = child.usage
    usage.add(child.children_usage)
    parent.children_usage.add(usage)
    reap(child)
    return child.pid, status, usage
