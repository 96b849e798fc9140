"""Interval timers (setitimer() in sys/kern/kern_time.c, hardclock() in kern_clock.c)."""

from emu.abi.signal import Signal
from emu.abi.time import Itimer
from emu.kern.proc import Proc
from emu.kern.signal import ksignal

_CPU_SIGNALS = {Itimer.VIRTUAL: Signal.VTALRM, Itimer.PROF: Signal.PROF}


class RealTimer:
    """ITIMER_REAL: SIGALRM after `value` nanoseconds, and every `interval` then."""

    __slots__ = ("_callout", "_due", "_proc", "interval")

    def __init__(self, proc: Proc, value: int, interval: int) -> None:
        self._proc = proc
        self.interval = interval
        self._due = proc.kernel.clock.monotonic_ns() + value
        self._arm()

    def left(self) -> int:
        """Return the nanoseconds until the next signal."""
        return max(self._due - self._proc.kernel.clock.monotonic_ns(), 0)

    def cancel(self) -> None:
        self._callout.cancel()

    def _arm(self) -> None:
        self._callout = self._proc.kernel.sched.callout(self._due, self._expire)

    def _expire(self) -> None:
        ksignal(self._proc, Signal.ALRM)
        if self.interval:
            self._due = _next_due(self._due, self.interval, self._proc.kernel.clock.monotonic_ns())
            self._arm()
        else:
            del self._proc.timers[Itimer.REAL]


class CpuTimer:
    """ITIMER_VIRTUAL and ITIMER_PROF: the same for the CPU time that the process uses."""

    __slots__ = ("_due", "_proc", "_which", "interval")

    def __init__(self, proc: Proc, which: Itimer, value: int, interval: int) -> None:
        proc.kernel.sched.charge()
        self._proc = proc
        self._which = which
        self.interval = interval
        self._due = proc.usage.user_ns + value
        self._arm()

    def left(self) -> int:
        """Return the nanoseconds of CPU time until the next signal."""
        self._proc.kernel.sched.charge()
        return max(self._due - self._proc.usage.user_ns, 0)

    def cancel(self) -> None:
        self._proc.cpu_callout(self._which, None, self._expire)

    def _arm(self) -> None:
        self._proc.cpu_callout(self._which, self._due, self._expire)

    def _expire(self) -> None:
        ksignal(self._proc, _CPU_SIGNALS[self._which])
        if self.interval:
            self._due = _next_due(self._due, self.interval, self._proc.usage.user_ns)
            self._arm()
        else:
            del self._proc.timers[self._which]


def set_timer(proc: Proc, which: Itimer, value: int, interval: int) -> None:
    """Set a timer to `value` nanoseconds, or to nothing if that is 0."""
    if which in proc.timers:
        proc.timers.pop(which).cancel()
    if value:
        if which is Itimer.REAL:
            proc.timers[which] = RealTimer(proc, value, interval)
        else:
            proc.timers[which] = CpuTimer(proc, which, value, interval)


def _next_due(due: int, interval: int, now: int) -> int:
    """Return the first moment after `now` that is whole intervals after `due`."""
    return due + (max(now - due, 0) // interval + 1) * interval
