"""The program's side of a transfer (struct uio; sys/kern/kern_subr.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import IOV_MAX
from emu.abi.structs import IOVEC_SIZE, Iovec
from emu.vm.vmspace import Vmspace

_SSIZE_MAX = (1 << 63) - 1


class Uio:
    """Buffers of a program, used up in order."""

    __slots__ = ("_pieces", "_vmspace", "resid")

    def __init__(self, vmspace: Vmspace, pieces: list[tuple[int, int]]) -> None:
        self._vmspace = vmspace
        self._pieces = pieces
        self._pieces.reverse()
        self.resid = sum(size for _, size in pieces)

    def put(self, data: bytes) -> None:
        """Copy `data` out to the program."""
        at = 0
        while at < len(data):
            base, size = self._next(len(data) - at)
            self._vmspace.copyout(base, data[at : at + size])
            at += size

    def take(self, limit: int) -> bytes:
        """Copy in what the program wants written, up to `limit` bytes of it."""
        wanted = min(limit, self.resid)
        data = b""
        while len(data) < wanted:
            base, size = self._next(wanted - len(data))
            data += self._vmspace.copyin(base, size)
        return data

    def look(self, limit: int) -> bytes:
        """Copy in what take() would, and leave it to be taken or skipped."""
        resid, pieces = self.resid, self._pieces.copy()
        try:
            return self.take(limit)
        finally:
            self.resid, self._pieces = resid, pieces

    def skip(self, count: int) -> None:
        """Use up `count` bytes that look() has shown."""
        while count:
            _, size = self._next(count)
            count -= size

    def _next(self, limit: int) -> tuple[int, int]:
        """Use up to `limit` bytes of the first buffer with room; return where and how many."""
        base, size = self._pieces.pop()
        if size > limit:
            self._pieces.append((base + limit, size - limit))
            size = limit
        self.resid -= size
        return base, size


def single(vmspace: Vmspace, buf: int, nbyte: int) -> Uio:
    """Return one buffer."""
    if nbyte > _SSIZE_MAX:
        raise KernelError(Errno.EINVAL, f"{nbyte} bytes")
    return Uio(vmspace, [(buf, nbyte)])


def vector(vmspace: Vmspace, iovp: int, iovcnt: int) -> Uio:
    """Return the buffers of an array of struct iovec (iovec_copyin)."""
    if iovcnt > IOV_MAX:
        raise KernelError(Errno.EMSGSIZE, f"{iovcnt} buffers")
    raw = vmspace.copyin(iovp, iovcnt * IOVEC_SIZE)
    iovecs = (Iovec * iovcnt).from_buffer_copy(raw)
    uio = Uio(vmspace, [(iov.iov_base, iov.iov_len) for iov in iovecs])
    if uio.resid > _SSIZE_MAX:
        raise KernelError(Errno.EINVAL, f"{uio.resid} bytes")
    return uio
