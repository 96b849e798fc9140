"""Time as guests see it, and sleeping in the host until there is input.

Every time a guest can observe comes from one Clock.  With the virtual one, time depends only on
what was executed: two runs with the same input see the same times.
"""

import select
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


class Interrupted(Exception):
    """The run must end (Ctrl-C, --timeout); the wait was given up.  Not a signal to the guest."""


class Clock(Protocol):
    """`wake_fd` becomes readable when the run must end; a clock never reads from it."""

    wake_fd: int | None

    def now_ns(self) -> int:
        """Return the nanoseconds since 1970-01-01 00:00:00 UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since some moment before the run; it never goes back."""
        ...

    def wait_readable(self, fd: int) -> None:
        """Sleep in the host until reading `fd` would not block; at once if it would not now.

        End of file and errors are readable, and so is always a regular file.
        Raise Interrupted if the run must end.
        """
        ...

    def charge_call(self) -> None:
        """A system call or a fault was handled."""
        ...

    def charge_blocks(self, count: int) -> None:
        """`count` basic blocks were executed."""
        ...


class HostClock:
    """The host's own time."""

    __slots__ = ("wake_fd",)

    def __init__(self, wake_fd: int | None = None) -> None:
        self.wake_fd = wake_fd

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wait_readable(self, fd: int) -> None:
        _wait_readable(fd, self.wake_fd)

    def charge_call(self) -> None:
        """The host's time passes by itself."""

    def charge_blocks(self, count: int) -> None:
        """The host's time passes by itself."""


class VirtualClock:
    """Time that advances by what is executed, from `epoch_ns` on.

    Waiting for input costs the guest nothing: how long a person types is not reproducible.
    """

    __slots__ = ("_elapsed", "_epoch", "wake_fd")

    def __init__(self, epoch_ns: int = EPOCH_NS, wake_fd: int | None = None) -> None:
        self._epoch = epoch_ns
        self._elapsed = 0
        self.wake_fd = wake_fd

    def now_ns(self) -> int:
        return self._epoch + self._elapsed

    def monotonic_ns(self) -> int:
        return self._elapsed

    def wait_readable(self, fd: int) -> None:
        _wait_readable(fd, self.wake_fd)

    def charge_call(self) -> None:
        self._elapsed += CALL_NS

    def charge_blocks(self, count: int) -> None:
        self._elapsed += count * BLOCK_NS

    def read_tsc(self) -> int:
        """Return the time as RDTSC shows it.  Reading costs a block, so that a loop gets on."""
        self.charge_blocks(1)
        return self._elapsed


def _wait_readable(fd: int, wake_fd: int | None) -> None:
    watched = [fd] if wake_fd is None else [fd, wake_fd]
    if hasattr(select, "poll"):
        poll = select.poll()
        for each in watched:
            poll.register(each, select.POLLIN)
        # Whatever else poll reports (hang-up, error, not open), the read that follows will tell.
        ready = [each for each, _ in poll.poll()]
    else:
        ready, _, _ = select.select(watched, [], [])
    if wake_fd in ready:
        raise Interrupted
