"""Time as guests see it.

Every time a guest can observe comes from one Clock.  With the virtual one, time depends only on
what was executed: two runs with the same input see the same times.
"""

import time
from typing import Protocol

CALL_NS = 1_000
"""What a system call or a fault costs, in virtual nanoseconds."""
BLOCK_NS = 10
"""What a basic block costs."""
EPOCH_NS = 1_320_278_400 * 1_000_000_000
"""When a virtual clock starts: 2011-11-03 00:00:00 UTC."""
CPUTIMER_FREQ = 1_000_000
"""Ticks per second of the hardware counter that programs read as kern.cputimer.clock."""
TICK_NS = 10_000_000
"""The original's clock interrupt (kern.hz is 100); the shortest time of some timers."""


_LONGEST_POLL_MS = (1 << 31) - 1


class Clock(Protocol):
    def now_ns(self) -> int:
        """Return the nanoseconds since 1970-01-01 00:00:00 UTC."""
        ...

    def set_now(self, now_ns: int) -> None:
        """Make now_ns() return this, and go on from there.  Nothing else changes."""
        ...

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since some moment before the run; it never goes back."""
        ...

    def patience(self, deadline: int | None) -> int | None:
        """Return how many milliseconds to sleep in the host for the monotonic time `deadline`.

        None stands for ever, both ways.  It may be less than what is missing.
        """
        ...

    def skip_to(self, deadline: int) -> None:
        """Nothing happened until the monotonic time `deadline`."""
        ...

    def charge_call(self) -> None:
        """A system call or a fault was handled."""
        ...

    def charge_blocks(self, count: int) -> None:
        """`count` basic blocks were executed."""
        ...


def milliseconds_until(deadline: int) -> int:
    """Return how long poll() is to sleep for the host's monotonic time `deadline`.

    Rounded up, so that the time has come when the sleep is over; poll() takes a C int.
    """
    left = -(-(deadline - time.monotonic_ns()) // 1_000_000)
    return min(max(left, 0), _LONGEST_POLL_MS)


class HostClock:
    """The host's own time, until the guest sets its clock."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = 0

    def now_ns(self) -> int:
        return time.time_ns() + self._offset

    def set_now(self, now_ns: int) -> None:
        self._offset = now_ns - time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def patience(self, deadline: int | None) -> int | None:
        if deadline is None:
            return None
        return milliseconds_until(deadline)

    def skip_to(self, deadline: int) -> None:
        """The host's time passes by itself."""

    def charge_call(self) -> None:
        """The host's time passes by itself."""

    def charge_blocks(self, count: int) -> None:
        """The host's time passes by itself."""


class VirtualClock:
    """Time that advances by what is executed, from `epoch_ns` on.

    When everybody sleeps it jumps to the next deadline.  Waiting for input costs the guest
    nothing: how long a person types is not reproducible.
    """

    __slots__ = ("_elapsed", "_epoch")

    def __init__(self, epoch_ns: int = EPOCH_NS) -> None:
        self._epoch = epoch_ns
        self._elapsed = 0

    def now_ns(self) -> int:
        return self._epoch + self._elapsed

    def set_now(self, now_ns: int) -> None:
        self._epoch = now_ns - self._elapsed

    def monotonic_ns(self) -> int:
        return self._elapsed

    def patience(self, deadline: int | None) -> int | None:
        return None if deadline is None else 0

    def skip_to(self, deadline: int) -> None:
        self._elapsed = max(self._elapsed, deadline)

    def charge_call(self) -> None:
        self._elapsed += CALL_NS

    def charge_blocks(self, count: int) -> None:
        self._elapsed += count * BLOCK_NS

    def read_tsc(self) -> int:
        """Return the time as RDTSC shows it.  Reading costs a block, so that a loop gets on."""
        self.charge_blocks(1)
        return self._elapsed
