"""Open files on their way from one process to another (sys/kern/uipc_usrreq.c: unp_rights)."""

from collections.abc import Iterable

from emu.abi.errno import Errno, KernelError
from emu.kern.file import File


class InFlight:
    """Files that are in a message which nobody has received yet.

    Files that only hold each other in flight are closed when the run ends.
    """

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._doomed: list[File] = []
        self._closing = False

    def start(self, files: Iterable[File]) -> tuple[File, ...]:
        """Hold `files` and return them.  ENOBUFS if too many are in flight."""
        started = tuple(files)
        if self.count + len(started) > self._limit:
            raise KernelError(Errno.ENOBUFS, f"more than {self._limit} files in flight")
        self.count += len(started)
        for file in started:
            file.hold()
        return started

    def land(self, files: tuple[File, ...]) -> None:
        """The receiver has taken over the references."""
        self.count -= len(files)

    def lose(self, files: tuple[File, ...]) -> None:
        """Nobody will receive `files`."""
        self.count -= len(files)
        self._doomed += files
        if self._closing:
            return  # a socket among them had files in flight itself: not recursively
        self._closing = True
        try:
            while self._doomed:
                self._doomed.pop().drop()
        finally:
            self._closing = False
