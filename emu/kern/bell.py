"""A bell: what wakes a thread of the host that sleeps in poll()."""

import os
from contextlib import suppress
from weakref import finalize


class Bell:
    """A pipe of the host: it can be polled, and is readable once somebody has rung.

    Not a pair of sockets: Python's module for those takes 3 ms to load, and nothing else in a run
    without a network needs it.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._close = finalize(self, _close, self._reader, self._writer)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._reader

    @property
    def rope(self) -> int:
        """The descriptor that rings when it is written to."""
        return self._writer

    def ring(self) -> None:
        """Any thread may call it, even after close()."""
        with suppress(OSError):  # a full pipe has been rung already
            os.write(self._writer, b"\0")

    def answer(self) -> bytes:
        """Return some of what was written; once it is all read, the bell is silent."""
        return os.read(self._reader, 64)

    def close(self) -> None:
        self._reader = self._writer = -1
        self._close()


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
