"""The clock interrupt: makes the CPU come back to the kernel when something is due.

A thread of the host sleeps until a moment, or until a descriptor is ready, and then kicks the
CPU.  It is asked each time; when nobody asks, nothing interrupts the guest.
"""

import select
import threading
from collections.abc import Callable, Mapping
from time import monotonic_ns

from emu.kern.bell import Bell
from emu.kern.clock import milliseconds_until


class Alarm:
    """`kick` is called from the thread, once for each time the alarm goes off.

    The thread starts when the alarm is first set.  Its descriptors are there from the start: by
    then the guest may have opened so many files that the host gives no more.
    """

    def __init__(self, kick: Callable[[], None]) -> None:
        self._kick = kick
        self._bell = Bell()
        self._deadline: int | None = None
        self._fds: Mapping[int, int] = {}
        self._sleeps_until: int | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def used(self) -> bool:
        """Has it ever been set?"""
        return self._thread is not None

    def set(self, deadline: int | None, fds: Mapping[int, int]) -> None:
        """Go off at the host's monotonic time `deadline`, or when one of `fds` is ready.

        This replaces what was asked for before.  `fds` maps descriptors to poll events.
        """
        wake = fds != self._fds
        self._deadline = deadline
        self._fds = fds
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="vkemu-alarm", daemon=True)
            self._thread.start()
        if deadline is not None:
            until = self._sleeps_until
            wake = wake or until is None or deadline < until
        if wake:
            self._bell.ring()

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._bell.ring()
            self._thread.join()
        self._bell.close()

    def _run(self) -> None:
        while not self._closed:
            # Until it is known how long this sleep will be, set() must wake us in any case.
            self._sleeps_until = None
            deadline, fds = self._deadline, self._fds
            self._sleeps_until = deadline
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            for fd, events in fds.items():
                poll.register(fd, events)
            timeout = None if deadline is None else milliseconds_until(deadline)
            ready = [fd for fd, _ in poll.poll(timeout)]
            if self._bell.fileno() in ready:
                self._bell.answer()
                ready.remove(self._bell.fileno())
            due = self._deadline
            if ready or (due is not None and due <= monotonic_ns()):
                self._deadline, self._fds = None, {}
                self._kick()
