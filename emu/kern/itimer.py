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

    __slots__ = ("_proc", "due", "interval")

    def __init__(self, proc: Proc, value: int, interval: int) -> None:
        proc.kernel.sched.charge()
        self._proc = proc
        self.interval = interval
        self.due = proc.usage.user_ns + value

    def left(self) -> int:
        """Return the nanoseconds of CPU time until the next signal."""
        self._proc.kernel.sched.charge()
        return max(self.due - self._proc.usage.user_ns, 0)

    def cancel(self) -> None:
        self._proc.cpu_due = None


def set_timer(proc: Proc, which: Itimer, value: int, interval: int) -> None:
    """Set a timer to `value` nanoseconds, or to nothing if that is 0."""
    if which in proc.timers:
        proc.timers.pop(which).cancel()
    if value:
        kind = RealTimer if which is Itimer.REAL else CpuTimer
        proc.timers[which] = kind(proc, value, interval)
    _watch_cpu_time(proc)


def cpu_time_over(proc: Proc) -> None:
    """The process has used as much CPU time as a timer waits for."""
    used = proc.usage.user_ns
    for which, signal in _CPU_SIGNALS.items():
        timer = proc.timers.get(which)
        if timer is None or used < timer.due:
            continue
        if timer.interval:
            timer.due = _next_due(timer.due, timer.interval, used)
        else:
            del proc.timers[which]
        ksignal(proc, signal)
    _watch_cpu_time(proc)


def _watch_cpu_time(proc: Proc) -> None:
    dues = [proc.timers[which].due for which in _CPU_SIGNALS if which in proc.timers]
    proc.cpu_due = min(dues, default=None)
    proc.kernel.sched.attention = True


def _next_due(due: int, interval: int, now: int) -> int:
    """Return the first moment after `now` that is whole intervals after `due`."""
    return due + (max(now - due, 0) // interval + 1) * interval
