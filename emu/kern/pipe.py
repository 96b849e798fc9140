"""Pipes (sys/kern/sys_pipe.c).

Both ends can be read and written: a pipe is two buffers.  They are the emulator's own, so that a
pipe holds as much on every host, and costs the host no descriptor: nobody outside can see it.
"""

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode
from emu.abi.pipe import PIPE_BUF, PIPE_SIZE
from emu.abi.socket import Shut
from emu.abi.structs import Stat, Timespec
from emu.kern.file import File, Node, Readiness
from emu.kern.proc import Kernel
from emu.kern.sched import Blocking, Sleep
from emu.kern.uio import Uio

_SECOND = 1_000_000_000


class Pipe(Node):
    """One end of a pipe (struct pipe), with the buffer that is read from it."""

    signals = True
    waits = True
    takes_uio = True

    def __init__(self, kernel: Kernel) -> None:
        self.peer = self
        self._kernel = kernel
        self._buffer = bytearray()
        self._read_ended = False
        self._write_ended = False
        """The peer may not write any more."""
        self._reading = False
        self._writing = False
        """Somebody is in the middle of a transfer; others wait for the end of it."""
        self._created = self._accessed = self._modified = self._now()

    @classmethod
    def pair(cls, kernel: Kernel) -> "tuple[Pipe, Pipe]":
        one, other = cls(kernel), cls(kernel)
        one.peer, other.peer = other, one
        return one, other

    def read_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        """Take what there is, and wait if that is nothing."""
        if not uio.resid:
            return
        while self._reading:
            yield Sleep((self._turn_to_read,))
        self._reading = True
        try:
            while not self._buffer:
                if self._read_ended:
                    return
                if not wait:
                    raise KernelError(Errno.EAGAIN, "nothing to read yet")
                yield self.until_readable()
            data = bytes(memoryview(self._buffer)[: min(uio.resid, PIPE_SIZE)])
            uio.put(data)
            del self._buffer[: len(data)]
            self._accessed = self._now()
            # Writers go on only when the pipe is half empty, so that they do not take turns
            # with the reader for every byte.
            if len(self._buffer) < PIPE_SIZE // 2:
                self._kernel.sched.wakeup(self._room)
        finally:
            self._reading = False
            self._kernel.sched.wakeup(self._turn_to_read)

    def write_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        """Write everything, in pieces unless it is small."""
        peer = self.peer
        peer._check_open()
        if not uio.resid:
            return
        while peer._writing:
            yield Sleep((peer._turn_to_write,))
        peer._writing = True
        least = uio.resid if uio.resid <= PIPE_BUF else 1
        try:
            while uio.resid:
                peer._check_open()
                if peer._space < least:
                    if not wait:
                        raise KernelError(Errno.EAGAIN, "no room to write yet")
                    yield self.until_writable()
                    continue
                peer._buffer += uio.take(peer._space)
                peer._modified = self._now()
                self._kernel.sched.wakeup(peer._data)
        finally:
            peer._writing = False
            self._kernel.sched.wakeup(peer._turn_to_write)

    def can_read(self) -> bool:
        return bool(self._buffer) or self._read_ended

    def can_write(self) -> bool:
        return self.peer._write_ended or self.peer._space >= PIPE_BUF

    def until_readable(self) -> Sleep:
        return Sleep((self._data,))

    def until_writable(self) -> Sleep:
        return Sleep((self.peer._room,))

    def input(self, offset: int) -> Readiness:
        return Readiness(self.can_read(), len(self._buffer), self._read_ended)

    def output(self) -> Readiness:
        ended = self.peer._write_ended
        return Readiness(self.can_write(), 0 if ended else self.peer._space, ended)

    def stat(self) -> Stat:
        size = len(self._buffer)
        return Stat(
            st_mode=Mode.FIFO,
            st_size=size,
            st_blksize=PIPE_SIZE,
            st_blocks=-(-size // PIPE_SIZE),
            st_atim=Timespec(self._accessed),
            st_mtim=Timespec(self._modified),
            st_ctim=Timespec(self._created),
        )

    def pending(self, offset: int) -> int:
        return len(self._buffer)

    def shutdown(self, how: int) -> None:
        match how:
            case Shut.RD:
                self._end()
            case Shut.WR:
                self.peer._end()
            case Shut.RDWR:
                self._end()
                self.peer._end()
            case _:
                raise KernelError(Errno.EPIPE, f"shutdown({how})")

    def close(self, file: File) -> None:
        self._end()
        self.peer._end()
        self._buffer.clear()

    @property
    def _space(self) -> int:
        return PIPE_SIZE - len(self._buffer)

    def _check_open(self) -> None:
        if self._write_ended:
            raise KernelError(Errno.EPIPE, "nobody can read it any more")

    def _end(self) -> None:
        """No more data comes to this end; what is there can still be read."""
        self._read_ended = self._write_ended = True
        self._kernel.sched.wakeup(self._data)
        self._kernel.sched.wakeup(self._room)

    def _now(self) -> int:
        return self._kernel.clock.now_ns() // _SECOND

    # What is slept on

    @property
    def _data(self) -> tuple[object, str]:
        return self, "data"

    @property
    def _room(self) -> tuple[object, str]:
        return self, "room"

    @property
    def _turn_to_read(self) -> tuple[object, str]:
        return self, "turn to read"

    @property
    def _turn_to_write(self) -> tuple[object, str]:
        return self, "turn to write"
