"""What time it is (sys/kern/kern_time.c)."""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.structs import Timespec, Timeval
from emu.abi.time import ClockId
from emu.kern.clock import CPUTIMER_FREQ
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart, Sleep
from syscalls.args import Ptr, enum_kind

ClockIdArg = Annotated[int, enum_kind(ClockId, "CLOCK_")]

_SECOND = 1_000_000_000


def gettimeofday(lwp: Lwp, tp: Ptr, tzp: Ptr) -> None:
    """Store the time and the time zone, which is UTC; either pointer may be NULL."""
    if tp:
        seconds, ns = divmod(lwp.proc.kernel.clock.now_ns(), _SECOND)
        lwp.vmspace.copyout(tp, bytes(Timeval(seconds, ns // 1000)))
    if tzp:
        lwp.vmspace.copyout(tzp, bytes(8))


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
