"""What time it is, and timers (sys/kern/kern_time.c)."""

from contextlib import suppress
from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.structs import Itimerval, Timespec, Timeval
from emu.abi.time import ITIMER_LONGEST, ClockId, Itimer
from emu.abi.x86 import U64_MASK
from emu.kern.clock import CPUTIMER_FREQ, TICK_NS
from emu.kern.itimer import set_timer
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart, Sleep
from syscalls.args import Ptr, enum_kind, signed64

ClockIdArg = Annotated[int, enum_kind(ClockId, "CLOCK_")]
ItimerArg = Annotated[int, enum_kind(Itimer, "ITIMER_")]

_SECOND = 1_000_000_000
_US = 1000
_US_PER_SECOND = 1_000_000
_TIMEZONE_SIZE = 8


def gettimeofday(lwp: Lwp, tp: Ptr, tzp: Ptr) -> None:
    """Store the time and the time zone, which is UTC; either pointer may be NULL."""
    if tp:
        seconds, ns = divmod(lwp.proc.kernel.clock.now_ns(), _SECOND)
        lwp.vmspace.copyout(tp, bytes(Timeval(seconds, ns // 1000)))
    if tzp:
        lwp.vmspace.copyout(tzp, bytes(_TIMEZONE_SIZE))


def settimeofday(lwp: Lwp, tv: Ptr, tzp: Ptr) -> None:
    """Set the clock; either pointer may be NULL.  The time zone stays UTC."""
    lwp.proc.ucred.check_root("setting the clock")
    new = lwp.vmspace.copyin_struct(tv, Timeval) if tv else None
    if new is not None and not 0 <= new.tv_usec < _US_PER_SECOND:
        raise KernelError(Errno.EINVAL, f"{new.tv_usec} microseconds")
    if tzp:
        lwp.vmspace.copyin(tzp, _TIMEZONE_SIZE)
    if new is not None:
        lwp.proc.kernel.clock.set_now(new.tv_sec * _SECOND + new.tv_usec * _US)


def adjtime(lwp: Lwp, delta: Ptr, olddelta: Ptr) -> None:
    """Correct the clock, at once.  So nothing is ever left of the correction before."""
    lwp.proc.ucred.check_root("setting the clock")
    wanted = lwp.vmspace.copyin_struct(delta, Timeval)
    clock = lwp.proc.kernel.clock
    ns = signed64(wanted.tv_sec * _SECOND + wanted.tv_usec * _US & U64_MASK)
    clock.set_now(clock.now_ns() + ns)
    if olddelta:
        with suppress(KernelError):  # the original does not look
            lwp.vmspace.copyout(olddelta, bytes(Timeval()))


def clock_gettime(lwp: Lwp, clock_id: ClockIdArg, tp: Ptr) -> None:
    """Store the time.  EINVAL for the clocks the original has names for but does not run."""
    clock = lwp.proc.kernel.clock
    match clock_id:
        case ClockId.REALTIME:
            now = clock.now_ns()
        case ClockId.MONOTONIC:
            now = clock.monotonic_ns()
        case _:
            raise KernelError(Errno.EINVAL, f"clock {clock_id}")
    lwp.vmspace.copyout(tp, bytes(Timespec(*divmod(now, _SECOND))))


def clock_settime(lwp: Lwp, clock_id: ClockIdArg, tp: Ptr) -> None:
    """Set the clock, to whole microseconds.  What waits for a time is not touched."""
    new = lwp.vmspace.copyin_struct(tp, Timespec)
    lwp.proc.ucred.check_root("setting the clock")
    if clock_id != ClockId.REALTIME:
        raise KernelError(Errno.EINVAL, f"clock {clock_id}")
    if not 0 <= new.tv_nsec < _SECOND:
        raise KernelError(Errno.EINVAL, f"{new.tv_nsec} nanoseconds")
    lwp.proc.kernel.clock.set_now(new.tv_sec * _SECOND + new.tv_nsec // _US * _US)


def clock_getres(lwp: Lwp, clock_id: ClockIdArg, tp: Ptr) -> None:
    """Store the resolution: that of the cputimer, rounded up the original's way."""
    if clock_id not in (ClockId.REALTIME, ClockId.MONOTONIC):
        raise KernelError(Errno.EINVAL, f"clock {clock_id}")
    lwp.vmspace.copyout(tp, bytes(Timespec(0, _SECOND // CPUTIMER_FREQ + 1)))


def nanosleep(lwp: Lwp, rqtp: Ptr, rmtp: Ptr) -> Blocking[None]:
    """Sleep; EINTR after any signal, with what is left of the time at `rmtp` unless NULL.

    A negative number of seconds is no time at all.
    """
    space, clock = lwp.vmspace, lwp.proc.kernel.clock
    wanted = space.copyin_struct(rqtp, Timespec)
    if not 0 <= wanted.tv_nsec < _SECOND:
        raise KernelError(Errno.EINVAL, f"{wanted.tv_sec} s and {wanted.tv_nsec} ns")
    deadline = clock.monotonic_ns() + wanted.tv_sec * _SECOND + wanted.tv_nsec
    try:
        while clock.monotonic_ns() < deadline:
            yield Sleep((), deadline)
    except (KernelError, Restart):
        if rmtp:
            left = max(deadline - clock.monotonic_ns(), 0)
            space.copyout(rmtp, bytes(Timespec(*divmod(left, _SECOND))))
        raise KernelError(Errno.EINTR) from None


def getitimer(lwp: Lwp, which: ItimerArg, itv: Ptr) -> None:
    """Store what is left of a timer, and its interval."""
    interval = left = 0
    timer = lwp.proc.timers.get(_itimer(which))
    if timer is not None:
        interval, left = timer.interval, timer.left()
    lwp.vmspace.copyout(itv, bytes(Itimerval(_timeval(interval), _timeval(left))))


def setitimer(lwp: Lwp, which: ItimerArg, itv: Ptr, oitv: Ptr) -> None:
    """Set a timer, and store what it was; either pointer may be NULL.

    A time of 0 stops it.  One that is shorter than the clock's tick becomes a tick.
    """
    timer = _itimer(which)
    new = lwp.vmspace.copyin_struct(itv, Itimerval) if itv else None
    if oitv:
        getitimer(lwp, which, oitv)
    if new is None:
        return
    value = _timer_ns(new.it_value)
    interval = _timer_ns(new.it_interval) if value else 0
    set_timer(lwp.proc, timer, value, interval)


def _itimer(which: int) -> Itimer:
    if which not in Itimer.__members__.values():
        raise KernelError(Errno.EINVAL, f"timer {which}")
    return Itimer(which)


def _timer_ns(time: Timeval) -> int:
    """Return a timer's time in nanoseconds (itimerfix)."""
    if not (0 <= time.tv_sec <= ITIMER_LONGEST and 0 <= time.tv_usec < _US_PER_SECOND):
        raise KernelError(Errno.EINVAL, f"{time.tv_sec} s and {time.tv_usec} us")
    ns = time.tv_sec * _SECOND + time.tv_usec * _US
    return max(ns, TICK_NS) if ns else 0


def _timeval(ns: int) -> Timeval:
    seconds, rest = divmod(ns, _SECOND)
    return Timeval(seconds, rest // _US)
