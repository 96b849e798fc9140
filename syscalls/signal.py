"""Signals: what to do about them, waiting for them, sending them (sys/kern/kern_sig.c)."""

from typing import Annotated, NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.sigframe import MINSIGSTKSZ, SigactionStruct, Siginfo, StackT
from emu.abi.signal import SIG_DFL, SIG_MAX, SIGSET_SIZE, SaFlag, SigHow, Signal, SsFlag
from emu.abi.structs import Timespec
from emu.kern import sendsig
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import Blocking, Restart, Sleep
from emu.kern.sigacts import ALL, UNMASKABLE, SigAction, bit
from emu.kern.signal import forget, ksignal, lwpsignal
from syscalls.args import JUST_RETURN, Int, Kind, Ptr, enum_kind, signed32


def _signal_name(value: int, peek: object) -> str:
    return f"SIG{Signal(value).name}" if value in Signal.__members__.values() else str(value)


SigArg = Annotated[int, Kind("int", signed32, _signal_name)]
SigHowArg = Annotated[int, enum_kind(SigHow, "SIG_")]

_SECOND = 1_000_000_000
_ALWAYS = int(SaFlag.ONSTACK | SaFlag.RESTART | SaFlag.RESETHAND | SaFlag.NODEFER | SaFlag.SIGINFO)


def sigaction(lwp: Lwp, sig: SigArg, act: Ptr, oact: Ptr) -> None:
    """Set what is done about `sig`, and store what was done; either pointer may be NULL."""
    new = None
    if act:
        new = lwp.vmspace.copyin_struct(act, SigactionStruct)
    if not 1 <= sig <= SIG_MAX:
        raise KernelError(Errno.EINVAL, f"signal {sig}")
    proc = lwp.proc
    old = proc.sigacts.get(sig)
    if new is not None:
        if bit(sig) & UNMASKABLE and new.sa_handler != SIG_DFL:
            raise KernelError(Errno.EINVAL, "cannot be caught")
        proc.kernel.arm(lwp.cpu)
        kept = _ALWAYS
        if sig == Signal.CHLD:
            kept |= int(SaFlag.NOCLDSTOP | SaFlag.NOCLDWAIT)
        if proc.kernel.abi.mailbox:
            kept |= int(SaFlag.MAILBOX)
        mask = int.from_bytes(bytes(new.sa_mask), "little")
        proc.sigacts.set(sig, SigAction(new.sa_handler, new.sa_flags & kept, mask))
        if not proc.sigacts.caught & bit(sig) and (
            proc.sigacts.ignored & bit(sig) or sig == Signal.CONT
        ):
            forget(proc, bit(sig))
    if oact:
        result = SigactionStruct(old.handler, old.flags)
        result.sa_mask[:] = old.mask.to_bytes(SIGSET_SIZE, "little")
        lwp.vmspace.copyout(oact, bytes(result))


def sigprocmask(lwp: Lwp, how: SigHowArg, set: Ptr, oset: Ptr) -> None:
    """Change the LWP's mask, and store what it was; either pointer may be NULL."""
    old = lwp.sigmask
    if set:
        members = get_set(lwp, set)
        match how:
            case SigHow.BLOCK:
                new = old | members & ~UNMASKABLE
            case SigHow.UNBLOCK:
                new = old & ~members
            case SigHow.SETMASK:
                new = members & ~UNMASKABLE
            case _:
                raise KernelError(Errno.EINVAL, f"how {how}")
        set_mask(lwp, new)
    if oset:
        _put_set(lwp, oset, old)


def sigpending(lwp: Lwp, set: Ptr) -> None:
    _put_set(lwp, set, lwp.pending | lwp.proc.pending)


def sigsuspend(lwp: Lwp, sigmask: Ptr) -> Blocking[NoReturn]:
    """Sleep with another mask until a signal is caught; always EINTR.

    The old mask comes back after the handler.
    """
    members = get_set(lwp, sigmask)
    lwp.suspended_mask = lwp.sigmask
    set_mask(lwp, members & ~UNMASKABLE)
    try:
        while True:
            yield Sleep((lwp.proc.sigacts,))
    except Restart:
        raise KernelError(Errno.EINTR) from None


def sigtimedwait(lwp: Lwp, set: Ptr, info: Ptr, timeout: Ptr) -> Blocking[int]:
    """Take one of the signals in `set` as the result; EAGAIN after `timeout`, unless NULL."""
    limit = None
    if timeout:
        limit = lwp.vmspace.copyin_struct(timeout, Timespec)
    return (yield from _wait(lwp, get_set(lwp, set), info, limit))


def sigwaitinfo(lwp: Lwp, set: Ptr, info: Ptr) -> Blocking[int]:
    return (yield from _wait(lwp, get_set(lwp, set), info, None))


def _wait(lwp: Lwp, members: int, info: int, limit: Timespec | None) -> Blocking[int]:
    proc, clock = lwp.proc, lwp.proc.kernel.clock
    members &= ~UNMASKABLE
    deadline = None
    valid = limit is None or (limit.tv_sec >= 0 and 0 <= limit.tv_nsec < _SECOND)
    if limit is not None and valid:
        deadline = clock.monotonic_ns() + limit.tv_sec * _SECOND + limit.tv_nsec
    failure = None
    while not (signal := _take(lwp, members)):
        if failure is not None:
            raise failure
        if not valid:
            raise KernelError(Errno.EINVAL, "timeout")
        if deadline is not None and clock.monotonic_ns() >= deadline:
            raise KernelError(Errno.EAGAIN, "no signal came in time")
        failure = yield from _sleep_unmasked(lwp, members, deadline)
    if info:
        try:
            lwp.vmspace.copyout(info, bytes(Siginfo(si_signo=signal)))
        except KernelError:
            ksignal(proc, signal)
            raise
    return signal


def _take(lwp: Lwp, members: int) -> int:
    """Take the first pending signal of `members` that is not to be ignored; 0 if there is none.

    One that stops the process does so.
    """
    proc, mask = lwp.proc, lwp.sigmask
    while found := sendsig.may_take(lwp) & members:
        member = found & -found
        lwp.sigmask = ALL & ~UNMASKABLE & ~member
        signal = sendsig.cursig(lwp)
        lwp.sigmask = mask
        if signal == Signal.KILL:
            raise KernelError(Errno.EINTR, "SIGKILL")
        if signal:
            lwp.pending &= ~member
            proc.pending &= ~member
            return signal
    return 0


def _sleep_unmasked(lwp: Lwp, members: int, deadline: int | None) -> Blocking[Exception | None]:
    """Sleep without `members` in the mask; return what a signal has broken the sleep with."""
    mask = lwp.sigmask
    lwp.sigmask = mask & ~members
    try:
        yield Sleep((lwp.proc.sigacts,), deadline)
    except KernelError as broken:
        return broken
    except Restart as broken:
        if deadline is None:
            return broken
        return KernelError(Errno.EINTR)  # not again with the whole timeout
    finally:
        lwp.sigmask = mask
    return None


def sigaltstack(lwp: Lwp, ss: Ptr, oss: Ptr) -> None:
    """Set the stack that handlers with SA_ONSTACK get; either pointer may be NULL."""
    altstack, space = lwp.altstack, lwp.vmspace
    new = space.copyin_struct(ss, StackT) if ss else None
    if not altstack.enabled:
        altstack.flags |= int(SsFlag.DISABLE)
    old = StackT(altstack.sp, altstack.size, altstack.flags)
    if new is not None:
        if new.ss_flags & ~int(SsFlag.DISABLE) and lwp.proc.kernel.abi.altstack_flags_checked:
            raise KernelError(Errno.EINVAL, f"flags {new.ss_flags:#x}")
        if new.ss_flags & SsFlag.DISABLE:
            if altstack.in_use:
                raise KernelError(Errno.EINVAL, "the stack is in use")
            altstack.enabled = False
            altstack.flags = new.ss_flags
        else:
            if new.ss_size < MINSIGSTKSZ:
                raise KernelError(Errno.ENOMEM, f"a stack of {new.ss_size} bytes")
            altstack.enabled = True
            altstack.sp, altstack.size, altstack.flags = new.ss_sp, new.ss_size, new.ss_flags
    if oss:
        space.copyout(oss, bytes(old))


def sigreturn(lwp: Lwp, sigcntxp: Ptr) -> int:
    """Go back to what a signal handler has interrupted."""
    sendsig.sigreturn(lwp, sigcntxp)
    return JUST_RETURN


def kill(lwp: Lwp, pid: Int, signum: SigArg) -> None:
    """Send a signal to a process, to a group (0: the caller's, -N: group N), or to all (-1).

    Signal 0 only asks whether there is anybody.
    """
    kernel = lwp.proc.kernel
    if not 0 <= signum <= SIG_MAX:
        raise KernelError(Errno.EINVAL, f"signal {signum}")
    if pid > 0:
        proc = _find(lwp, pid, signum)
        if signum:
            ksignal(proc, signum)
        return
    if pid == -1:
        targets = [proc for proc in kernel.procs.values() if proc.alive and proc is not lwp.proc]
    else:
        targets = kernel.in_group(-pid or lwp.proc.pgrp.id)
    targets = [proc for proc in targets if _may_signal(lwp.proc, proc, signum)]
    if not targets:
        raise KernelError(Errno.ESRCH, f"kill {pid}")
    if signum:
        for proc in targets:
            ksignal(proc, signum)


def lwp_kill(lwp: Lwp, pid: Int, tid: Int, signum: SigArg) -> None:
    """Send a signal to one LWP of a process; pid -1 means the caller's."""
    if tid == -1 or not 0 <= signum <= SIG_MAX or pid < -1 or pid == 0:
        raise KernelError(Errno.EINVAL, f"lwp_kill({pid}, {tid}, {signum})")
    proc = lwp.proc if pid == -1 else _find(lwp, pid, signum)
    target = proc.lwps.get(tid)
    if target is None:
        if not proc.alive:
            return
        raise KernelError(Errno.ESRCH, f"no LWP {tid}")
    if signum:
        lwpsignal(proc, target, signum)


def _find(lwp: Lwp, pid: int, signal: int) -> Proc:
    """Return the process `pid`, which the caller may send `signal` to."""
    kernel = lwp.proc.kernel
    proc = kernel.procs.get(pid)
    if proc is None or not (proc.alive or kernel.abi.zombies_can_be_killed):
        raise KernelError(Errno.ESRCH, f"no process {pid}")
    if not _may_signal(lwp.proc, proc, signal):
        raise KernelError(Errno.EPERM, f"process {pid} is somebody else's")
    return proc


def _may_signal(sender: Proc, proc: Proc, signal: int) -> bool:
    """SIGCONT may always be sent within a session (CANSIGNAL)."""
    return sender.ucred.may_handle(proc.ucred) or (
        signal == Signal.CONT and proc.pgrp.session is sender.pgrp.session
    )


def get_set(lwp: Lwp, at: int) -> int:
    return int.from_bytes(lwp.vmspace.copyin(at, SIGSET_SIZE), "little") & ALL


def _put_set(lwp: Lwp, at: int, members: int) -> None:
    lwp.vmspace.copyout(at, members.to_bytes(SIGSET_SIZE, "little"))


def set_mask(lwp: Lwp, mask: int) -> None:
    """Replace the mask; what is pending may have to be looked at, or may have to wait."""
    if mask:
        lwp.proc.kernel.arm(lwp.cpu)
    lwp.sigmask = mask
    if (lwp.pending | lwp.proc.pending) & ~mask:
        lwp.proc.kernel.sched.attention = True
