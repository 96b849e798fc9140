"""Signals on their way: posting, stopping and continuing (the first half of sys/kern/kern_sig.c).

A signal to a process goes to an LWP that does not mask it, if there is one, and else waits at the
process.  What then becomes of it is decided by the LWP itself, on its way back to its program:
see emu.kern.sendsig.
"""

from collections.abc import Iterable

from emu.abi.event import Note
from emu.abi.signal import SaFlag, Signal
from emu.kern.proc import Lwp, Proc, SignalEvent
from emu.kern.sched import LwpState
from emu.kern.sigacts import STOP_SIGNALS, TTY_STOP_SIGNALS, bit

_CONT = bit(Signal.CONT)


def ksignal(proc: Proc, signal: int) -> None:
    """Send `signal` to a process."""
    lwpsignal(proc, None, signal)


def pgsignal(procs: Iterable[Proc], signal: int) -> None:
    """Send `signal` to each of `procs`."""
    for proc in list(procs):
        ksignal(proc, signal)


def lwpsignal(proc: Proc, lwp: Lwp | None, signal: int) -> None:
    """Send `signal` to `lwp`, whether it masks it or not, or to the process in general."""
    if not proc.alive:
        return
    member = bit(signal)
    if proc.sigacts.ignored & member:
        proc.notify(Note.SIGNAL, signal)
        return
    default = not proc.sigacts.caught & member
    stops = bool(STOP_SIGNALS & member)
    # What waits at an LWP stays there, here and below, as in the original.
    if signal == Signal.CONT:
        proc.pending &= ~STOP_SIGNALS
    if stops:
        if default and TTY_STOP_SIGNALS & member and proc.pgrp.orphaned:
            return
        proc.pending &= ~_CONT
        proc.continued = False
    if proc.stopped:
        _leave_pending(proc, lwp, member)
        if signal == Signal.KILL:
            proc_unstop(proc)
        elif signal == Signal.CONT:
            if default:
                proc.pending &= ~member
            _continue(proc)
            if default:
                return
        else:
            if stops:
                proc.pending &= ~member
            _break_sleep_later(lwp if lwp is not None else _find_lwp(proc, member))
            return
    target = lwp if lwp is not None else _find_lwp(proc, member)
    if target is None:
        proc.pending |= member
    elif stops and default:
        if proc.parent_waits:
            proc.pending |= member  # to stop now would leave the parent waiting
        else:
            proc_stop(proc, signal)
    elif signal != Signal.CONT or not default:
        target.pending |= member
        _notify(target)


def _leave_pending(proc: Proc, lwp: Lwp | None, member: int) -> None:
    """Nobody can handle the signal as long as the process is stopped."""
    if lwp is not None:
        lwp.pending |= member
    else:
        proc.pending |= member


def _break_sleep_later(lwp: Lwp | None) -> None:
    """Have the signal break the LWP's sleep once the process goes on (LWP_BREAKTSLEEP)."""
    if lwp is not None and lwp.state is LwpState.SLEEPING:
        assert lwp.sleep is not None
        lwp.sleep.broken = lwp.sleep.interruptible


def _find_lwp(proc: Proc, member: int) -> Lwp | None:
    """Return the LWP that a signal is best given to, or None if all mask it.

    One that runs, or could, comes before one that sleeps.
    """
    able = [lwp for lwp in proc.lwps.values() if not lwp.sigmask & member]
    for wanted in (LwpState.RUNNING, LwpState.READY):
        for lwp in able:
            if lwp.state is wanted:
                return lwp
    for lwp in able:
        if lwp.state is LwpState.SLEEPING and lwp.sleep is not None and lwp.sleep.interruptible:
            return lwp
    return next((lwp for lwp in able if lwp.state is LwpState.STOPPED), None)


def _notify(lwp: Lwp) -> None:
    """Make `lwp` look at its signals soon (lwp_signotify)."""
    sched = lwp.proc.kernel.sched
    if lwp.state is LwpState.SLEEPING:
        assert lwp.sleep is not None
        if lwp.sleep.interruptible:
            sched.set_runnable(lwp)
    else:
        sched.attention = True


def forget(proc: Proc, members: int) -> None:
    """Take pending signals back."""
    proc.pending &= ~members
    for lwp in proc.lwps.values():
        lwp.pending &= ~members


def proc_stop(proc: Proc, signal: int) -> None:
    """Stop every LWP of the process, and tell the parent."""
    if proc.stopped or not proc.alive:
        return
    proc.kernel.observe_signal(proc, None, signal, SignalEvent.STOPS)
    proc.stopped = True
    proc.stop_signal = signal
    proc.stop_reported = False
    sched = proc.kernel.sched
    for lwp in proc.lwps.values():
        sched.suspend(lwp)
    parent = proc.parent
    if parent is not None:
        sched.wakeup(parent)
        if not parent.sigacts.child_flags & SaFlag.NOCLDSTOP:
            ksignal(parent, Signal.CHLD)


def proc_unstop(proc: Proc) -> None:
    """Let the LWPs go on.  Those asleep sleep on, unless a signal has come meanwhile."""
    if not proc.stopped:
        return
    proc.stopped = False
    sched, abi = proc.kernel.sched, proc.kernel.abi
    for lwp in proc.lwps.values():
        sleep = lwp.sleep
        if (
            lwp.state is LwpState.STOPPED
            or (sleep is not None and sleep.broken)
            or (sleep is not None and sleep.interruptible and abi.continue_ends_sleeps)
        ):
            sched.set_runnable(lwp)


def _continue(proc: Proc) -> None:
    proc.kernel.observe_signal(proc, None, Signal.CONT, SignalEvent.CONTINUES)
    proc.continued = True
    if proc.parent is not None:
        proc.kernel.sched.wakeup(proc.parent)
    proc_unstop(proc)
