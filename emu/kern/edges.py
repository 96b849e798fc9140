"""News of files: not that there is something to read, but that more has come.

What a program was told once and has left unread must be told again only when more comes, and
must not keep the emulator awake meanwhile.  What is inside the emulator says so by wakeup().  Of
descriptors of the host its poll() cannot say it, but its epoll can.
"""

import select
from collections.abc import Callable, Hashable
from contextlib import suppress

from emu.abi.errno import KernelError
from emu.kern.host import host_errors
from emu.kern.sched import READABLE, WRITABLE, Scheduler, Sleep, Watch

_FLAGS = {READABLE: select.EPOLLET | select.EPOLLRDHUP, WRITABLE: select.EPOLLET}


class Edge:
    """Something to be done whenever something new happens of what a sleep may wait for."""

    __slots__ = ("_channels", "_edges", "_fds", "action")

    def __init__(self, edges: "Edges", sleep: Sleep, action: Callable[[], None]) -> None:
        self._edges = edges
        self._channels: tuple[Hashable, ...] = sleep.channels
        self._fds = sleep.fds
        self.action = action
        for at, (fd, events) in enumerate(self._fds):
            try:
                edges.add(fd, events, self)
            except KernelError:
                self._fds, self._channels = self._fds[:at], ()
                self.cancel()
                raise
        for channel in self._channels:
            edges.sched.listen(channel, action)

    def cancel(self) -> None:
        for channel in self._channels:
            self._edges.sched.unlisten(channel, self.action)
        for fd, events in self._fds:
            self._edges.remove(fd, events, self)


class Edges:
    """The descriptors whose news somebody wants.  An epoll for each kind of event, as needed."""

    def __init__(self, sched: Scheduler) -> None:
        self.sched = sched
        self._epolls: dict[int, tuple[select.epoll, Watch]] = {}
        self._wanted: dict[int, dict[int, list[Edge]]] = {}

    def watch(self, sleep: Sleep, action: Callable[[], None]) -> Edge:
        """Have `action` done at every wakeup of a channel, and all news of a descriptor.

        What a descriptor is ready for now is no news.  A regular file never has any.  Raise
        KernelError if the host has no descriptors left.
        """
        return Edge(self, sleep, action)

    def add(self, fd: int, events: int, edge: Edge) -> None:
        if events not in self._epolls:
            with host_errors():
                epoll = select.epoll()
            watch = self.sched.watch(epoll.fileno(), READABLE, lambda: self._act(events))
            self._epolls[events] = epoll, watch
            self._wanted[events] = {}
        wanted = self._wanted[events]
        if fd in wanted:
            wanted[fd].append(edge)
        else:
            try:
                with host_errors(), suppress(PermissionError):
                    self._epolls[events][0].register(fd, events | _FLAGS[events])
            except KernelError:
                self._close_unused(events)
                raise
            self._act(events)
            wanted[fd] = [edge]

    def remove(self, fd: int, events: int, edge: Edge) -> None:
        wanted = self._wanted[events]
        wanted[fd].remove(edge)
        if wanted[fd]:
            return
        del wanted[fd]
        with suppress(OSError):  # a regular file, or one that the host has closed
            self._epolls[events][0].unregister(fd)
        self._close_unused(events)

    def _close_unused(self, events: int) -> None:
        if self._wanted[events]:
            return
        epoll, watch = self._epolls.pop(events)
        self.sched.unwatch(watch)
        epoll.close()
        del self._wanted[events]

    def _act(self, events: int) -> None:
        wanted = self._wanted[events]
        for fd, _ in self._epolls[events][0].poll(0):
            for edge in list(wanted.get(fd, ())):
                edge.action()
