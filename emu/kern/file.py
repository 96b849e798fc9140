"""Open files and descriptors (struct file, struct filedesc; sys/kern/kern_descrip.c).

A descriptor names a File: one open() of something, with its flags and its position.  A File
stands on a Node: a regular file or directory (emu.kern.vnode), a stream of the host, a device, a
kqueue, a pipe, a socket.  What waits here waits as a part of the system call that asked for it.
"""

import fcntl
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple, Protocol

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Evfilt
from emu.abi.fcntl import O_ACCMODE, OPEN_KEPT, OPEN_SETTABLE, Mode, Open, Seek
from emu.abi.ioctl import Ioctl
from emu.abi.pipe import PIPE_BUF
from emu.abi.structs import Stat, Timespec
from emu.kern.host import host_errors
from emu.kern.lockf import Lockf
from emu.kern.namecache import Nchandle
from emu.kern.sched import READABLE, WRITABLE, Blocking, Sleep
from emu.kern.tty import Tty, input_pending
from emu.kern.uio import Uio
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_object import VmObject

if TYPE_CHECKING:
    from emu.kern.edges import Edge
    from emu.kern.kqueue import Knote
    from emu.kern.sigio import Sigio

MAX_FILES = 1024
"""How many descriptors a process may have, unless it is told otherwise."""
MAX_OFFSET = (1 << 63) - 1

_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL

# Plain integers: the operators of an IntFlag are a hundred times slower.
_KEPT = int(OPEN_KEPT)
_SETTABLE = int(OPEN_SETTABLE)
_APPEND = int(Open.APPEND)


class Readiness(NamedTuple):
    """What a kqueue tells of one direction of a file."""

    ready: bool
    data: int = 0
    """Bytes that can be read, or room to write."""
    ended: bool = False
    """Nobody is left at the other end."""


class Node(Protocol):
    """What a descriptor stands for (struct fileops).  A subclass overrides what it can do.

    `seekable`: a vnode in the original, with positions.  `signals`: may send SIGIO to an owner.
    `waits`: a read returns what is there, and waits if that is nothing.  `piece`: the most that
    one write() is given; it must not block when can_write() has said yes.  `takes_uio`: it is
    read and written with read_uio() and write_uio().  `inherited`: a child process gets it.
    `filters`: what a kqueue can watch of it.  `watchers`: called with NOTE_* by notify().
    """

    seekable: bool = False
    signals: bool = False
    waits: bool = False
    piece: int = 1 << 20
    takes_uio: bool = False
    inherited: bool = True
    is_zero_device: bool = False
    tty: Tty | None = None
    """The terminal it is, if it is one."""
    device_name: bytes = b""
    """What the guest calls it in /dev, if it is a device."""
    filters: frozenset[int] = frozenset((Evfilt.READ, Evfilt.WRITE))
    watchers: tuple[Callable[[int], None], ...] = ()

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes; none at the end.  `offset` matters where seekable."""
        raise KernelError(Errno.ENXIO, "cannot be read")

    def write(self, offset: int, data: bytes) -> int:
        """Write `data` and return how much of it was taken."""
        raise KernelError(Errno.ENXIO, "cannot be written")

    def read_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        """Carry out a whole read.  EAGAIN if it would have to wait and must not."""
        raise AssertionError("it is read a piece at a time")

    def write_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        """Carry out a whole write.  EAGAIN if it would have to wait and must not."""
        raise AssertionError("it is written a piece at a time")

    def can_read(self) -> bool:
        """Would a read return at once?"""
        return True

    def can_write(self) -> bool:
        """Would a write of a piece return at once?"""
        return True

    def until_readable(self) -> Sleep:
        """Return the sleep at the end of which can_read() may be true; here it always is."""
        return Sleep()

    def until_writable(self) -> Sleep:
        """Return the sleep at the end of which can_write() may be true; here it always is."""
        return Sleep()

    def news(self, events: int) -> Sleep:
        """Return the sleep at each end of which a kqueue looks at it again: input, or output."""
        return self.until_readable() if events == READABLE else self.until_writable()

    def until_signal(self) -> Sleep:
        """Return the sleep at whose end, and each time it would end, an owner gets SIGIO."""
        return self.news(READABLE)

    def input(self, offset: int) -> Readiness:
        """Return what there is to read at `offset` (EVFILT_READ)."""
        return Readiness(self.can_read())

    def output(self) -> Readiness:
        """Return whether there is room to write (EVFILT_WRITE)."""
        return Readiness(self.can_write())

    def notify(self, note: int) -> None:
        """Tell whoever watches this file what happened to it (KNOTE).

        What until_readable() and until_writable() wait for is noticed without this.
        """
        for watcher in self.watchers:
            watcher(note)

    def length(self) -> int:
        return 0

    def resize(self, length: int) -> None:
        raise KernelError(Errno.EINVAL, "has no length")

    def stat(self) -> Stat: ...

    def sync(self) -> None:
        raise KernelError(Errno.EINVAL, "no file behind this descriptor")

    def chmod(self, mode: int) -> None:
        raise KernelError(Errno.EPERM, "its permissions are fixed")

    def chown(self, uid: int, gid: int) -> None:
        raise KernelError(Errno.EPERM, "its owner is fixed")

    def utimes(self, atime_ns: int, mtime_ns: int) -> None:
        raise KernelError(Errno.EPERM, "it keeps no times")

    def pending(self, offset: int) -> int:
        """Return how many bytes could be read at once (FIONREAD)."""
        raise KernelError(Errno.ENOTTY, "FIONREAD")

    def ioctl(self, com: int, data: bytearray) -> None:
        """Carry out `com` on its parameter, in place."""
        raise KernelError(Errno.ENOTTY, f"ioctl {com:#x}")

    @property
    def locks(self) -> Lockf:
        """The advisory locks on it."""
        raise KernelError(Errno.EOPNOTSUPP, "cannot be locked")

    def lock_host(self, *, exclusive: bool) -> None:
        """Let other emulators see a lock.  Raise KernelError(EAGAIN) if theirs is in the way."""
        return

    def unlock(self, owner: object) -> None:
        """Give up every lock of `owner`: an open file, or a descriptor table."""
        return

    def vm_object(self, phys: PhysicalMemory) -> VmObject:
        raise KernelError(Errno.EINVAL, "cannot be mapped")

    def check_mappable(self) -> None:
        """Raise what mmap answers for this kind of file."""
        raise KernelError(Errno.EINVAL, "cannot be mapped")

    def shutdown(self, how: int) -> None:
        """End one direction or both (SHUT_*)."""
        raise KernelError(Errno.EOPNOTSUPP, "only pipes and sockets are shut down")

    def close(self, file: "File") -> None:
        """`file` is gone."""
        return


class File:
    """An open file (struct file).  Made with one reference, for whoever made it."""

    __slots__ = (
        "edge",
        "flags",
        "knotes",
        "node",
        "offset",
        "readable",
        "refs",
        "sigio",
        "writable",
    )

    def __init__(self, node: Node, flags: int) -> None:
        self.node = node
        self.flags = flags & _KEPT
        self.readable = flags & O_ACCMODE != Open.WRONLY
        self.writable = flags & O_ACCMODE != Open.RDONLY
        self.offset = 0
        self.sigio: Sigio | None = None
        """Who gets SIGIO (F_SETOWN)."""
        self.edge: Edge | None = None
        """What looks out for input that SIGIO tells of."""
        self.knotes: list[Knote] = []
        """What watches a descriptor of this file (f_klist)."""
        self.refs = 1

    @property
    def is_zero_device(self) -> bool:
        return self.node.is_zero_device

    def check_mappable(self) -> None:
        self.node.check_mappable()

    def vm_object(self, phys: PhysicalMemory) -> VmObject:
        return self.node.vm_object(phys)

    def read(self, size: int, offset: int | None = None) -> bytes:
        """Read at `offset`, or at the file's position, which then moves on."""
        if offset is not None:
            return self.node.read(offset, size)
        data = self.node.read(self.offset, size)
        self.offset += len(data)
        return data

    def write(self, data: bytes, offset: int | None = None, *, append: bool = False) -> int:
        """Write at `offset`, or at the file's position, which then moves on; or at the end."""
        if append or self.flags & _APPEND:
            at = self.node.length()
        else:
            at = self.offset if offset is None else offset
        count = self.node.write(at, data)
        if offset is None:
            self.offset = at + count
        return count

    def seek(self, offset: int, whence: int) -> int:
        node = self.node
        if not node.seekable:
            raise KernelError(Errno.ESPIPE, "this file has no position")
        match whence:
            case Seek.SET:
                at = offset
            case Seek.CUR:
                at = self.offset + offset
            case Seek.END:
                at = node.length() + offset
            case _:
                raise KernelError(Errno.EINVAL, f"lseek from {whence}")
        if not 0 <= at <= MAX_OFFSET:
            raise KernelError(Errno.EINVAL, f"no position {at}")
        self.offset = at
        return at

    def set_flags(self, flags: int) -> None:
        """Change what F_SETFL may change."""
        self.flags = self.flags & ~_SETTABLE | flags & _SETTABLE

    def ioctl(self, com: int, data: bytearray) -> None:
        """Carry out `com` on its parameter, in place."""
        word = int.from_bytes(data[:4], "little", signed=True)
        match com:
            case Ioctl.FIONBIO:
                self._set_flag(Open.NONBLOCK, bool(word))
            case Ioctl.FIOASYNC:
                self._set_flag(Open.ASYNC, bool(word))
            case Ioctl.FIONREAD:
                data[:] = self.node.pending(self.offset).to_bytes(4, "little")
            case _:
                self.node.ioctl(com, data)

    def hold(self) -> "File":
        self.refs += 1
        return self

    def drop(self) -> None:
        """Give up a reference; with the last one the file is closed."""
        self.refs -= 1
        if self.refs == 0:
            self.ignore_input()
            self.node.close(self)

    def ignore_input(self) -> None:
        """Nobody wants SIGIO for this file."""
        if self.edge is not None:
            self.edge.cancel()
            self.edge = None

    def _set_flag(self, flag: Open, on: bool) -> None:
        self.set_flags(self.flags | flag if on else self.flags & ~flag)


@contextmanager
def kept_open(*files: File) -> Iterator[None]:
    """Keep files open while a system call waits, whoever closes their descriptors meanwhile."""
    for file in files:
        file.hold()
    try:
        yield
    finally:
        for file in files:
            file.drop()


@dataclass(slots=True, eq=False)
class _Descriptor:
    file: File
    close_on_exec: bool = False


class FileTable:
    """The descriptors of a process, and the directory it is in (struct filedesc)."""

    def __init__(self) -> None:
        self._slots: dict[int, _Descriptor] = {}
        self.cwd = Nchandle()
        self.limit = MAX_FILES
        """How many descriptors there may be (RLIMIT_NOFILE)."""
        self.refs = 1
        """Processes that use this table (rfork without RFFDG)."""

    def hold(self) -> "FileTable":
        self.refs += 1
        return self

    def drop(self) -> None:
        """A process does without; with the last one every descriptor is closed."""
        self.refs -= 1
        if self.refs == 0:
            self.close_all()

    def copy(self) -> "FileTable":
        """Return a table of its own with the same open files, for a child (fdcopy)."""
        table = self.empty()
        for fd, slot in self._slots.items():
            if not slot.file.node.inherited:
                continue
            table._slots[fd] = _Descriptor(slot.file.hold(), slot.close_on_exec)
        return table

    def empty(self) -> "FileTable":
        """Return a table without files in the same directory (fdinit)."""
        table = FileTable()
        table.cwd = self.cwd
        table.limit = self.limit
        return table

    def close_for_exec(self) -> None:
        """Close what is not to be seen by the next program."""
        for fd in [fd for fd, slot in self._slots.items() if slot.close_on_exec]:
            self.close(fd)

    def lowest_free(self, at_least: int = 0) -> int:
        """Return the descriptor the next file gets.  EMFILE if there is none."""
        for fd in range(at_least, self.limit):
            if fd not in self._slots:
                return fd
        raise KernelError(Errno.EMFILE, f"{self.limit} files are open")

    def add(self, file: File) -> int:
        """Give `file` a descriptor, which takes over the caller's reference."""
        fd = self.lowest_free()
        self._slots[fd] = _Descriptor(file)
        return fd

    def get(self, fd: int) -> File:
        return self._slot(fd).file

    def names(self, fd: int, file: File) -> bool:
        """Does `fd` stand for `file`?"""
        slot = self._slots.get(fd)
        return slot is not None and slot.file is file

    def terminal(self) -> Tty | None:
        """Return the terminal among the standard files, if there is one."""
        ttys = [self._slots[fd].file.node.tty for fd in range(3) if fd in self._slots]
        return next((tty for tty in ttys if tty is not None), None)

    def close(self, fd: int) -> None:
        slot = self._slot(fd)
        del self._slots[fd]
        self._let_go(fd, slot.file)

    def close_from(self, lowest: int) -> None:
        """Close every descriptor from `lowest` up."""
        for fd in sorted(fd for fd in self._slots if fd >= lowest):
            self.close(fd)

    def close_all(self) -> None:
        """The process ends."""
        self.close_from(0)

    def dup(self, old: int, at_least: int = 0) -> int:
        """Give the file of `old` another descriptor too, not below `at_least`."""
        self._check_target(at_least)
        file = self.get(old)
        new = self.lowest_free(at_least)
        self._slots[new] = _Descriptor(file.hold())
        return new

    def reopen(self, old: int, flags: int) -> int:
        """Open the file of `old` once more, for no more than it permits (dupfdopen)."""
        slot = self._slot(old)
        access = flags & O_ACCMODE
        if (access != Open.WRONLY and not slot.file.readable) or (
            access != Open.RDONLY and not slot.file.writable
        ):
            raise KernelError(Errno.EACCES, f"descriptor {old} does not permit it")
        new = self.lowest_free()
        self._slots[new] = _Descriptor(slot.file.hold(), slot.close_on_exec)
        return new

    def dup2(self, old: int, new: int) -> int:
        """Make `new` stand for the file of `old`; what it stood for is closed."""
        self._check_target(new)
        file = self.get(old)
        if new == self.limit:
            raise KernelError(Errno.EMFILE, f"no descriptor {new}")
        if old != new:
            before = self._slots.get(new)
            self._slots[new] = _Descriptor(file.hold())
            if before is not None:
                self._let_go(new, before.file)
        return new

    def close_on_exec(self, fd: int) -> bool:
        return self._slot(fd).close_on_exec

    def set_close_on_exec(self, fd: int, on: bool) -> None:
        self._slot(fd).close_on_exec = on

    def _check_target(self, fd: int) -> None:
        # The limit itself passes here and is EMFILE later, as in kern_dup().
        if not 0 <= fd <= self.limit:
            raise KernelError(Errno.EINVAL, f"no descriptor {fd}")

    def _let_go(self, fd: int, file: File) -> None:
        """`fd` stood for `file`, and no longer does.

        The record locks go with it, whatever else stands for the file.
        """
        for knote in list(file.knotes):
            knote.descriptor_closed(self, fd)
        file.node.unlock(self)
        file.drop()

    def _slot(self, fd: int) -> _Descriptor:
        slot = self._slots.get(fd)
        if slot is None:
            raise KernelError(Errno.EBADF, f"descriptor {fd} is not open")
        return slot


def standard_files() -> FileTable:
    """Return a table with the emulator's own standard input, output and error."""
    table = FileTable()
    ttys: dict[int, Tty] = {}  # the three are mostly one terminal
    for fd in range(3):
        try:
            access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError:
            continue  # the host started the emulator without it: it is closed for the guest too
        flags = {os.O_RDONLY: Open.RDONLY, os.O_WRONLY: Open.WRONLY}.get(access, Open.RDWR)
        tty = None
        if os.isatty(fd):
            device = os.fstat(fd).st_rdev
            tty = ttys[device] = ttys.get(device) or Tty(fd)
        table._slots[fd] = _Descriptor(File(Stream(fd, tty), flags))
    return table


class Stream(Node):
    """A terminal, pipe or file of the host as a stream of bytes.  The host's own stays open.

    Even a host file has no positions here: whoever redirected it may go on using it.
    """

    signals = True
    waits = True

    def __init__(self, fd: int, tty: Tty | None = None) -> None:
        self.tty = tty or (Tty(fd) if os.isatty(fd) else None)
        self.host_fd = fd
        if not S_ISREG(os.fstat(fd).st_mode):
            self.piece = PIPE_BUF
        if self.tty is not None:
            self.tty.hold()
            self.device_name = b"tty"
            self.host_fd = self.tty.fd
            if not self.tty.never_blocks:
                self.piece = 1  # all that a terminal takes for certain

    def read(self, offset: int, size: int) -> bytes:
        with host_errors():
            try:
                return os.read(self.host_fd, size)
            except BlockingIOError:
                if self.tty is not None and self.tty.patience() is not None:
                    return b""
                raise

    def write(self, offset: int, data: bytes) -> int:
        with host_errors():
            try:
                return os.write(self.host_fd, data)
            except BlockingIOError:
                return 0

    def can_read(self) -> bool:
        return self._is_ready(READABLE) or (self.tty is not None and self.tty.patience() == 0)

    def can_write(self) -> bool:
        return self._is_ready(WRITABLE)

    def until_readable(self) -> Sleep:
        return Sleep(fds=((self.host_fd, READABLE),))

    def until_writable(self) -> Sleep:
        return Sleep(fds=((self.host_fd, WRITABLE),))

    def input(self, offset: int) -> Readiness:
        found = self._look(READABLE)
        try:
            data = input_pending(self.host_fd)
        except KernelError:
            data = 0  # /dev/null, for one
        if self.tty is not None:
            # An end of file that was typed is one byte in the original.
            return Readiness(bool(found), max(data, 1) if found else 0, bool(found & _GONE))
        return Readiness(bool(found), data, bool(found) and (not data or bool(found & _GONE)))

    def output(self) -> Readiness:
        found = self._look(WRITABLE)
        is_pipe = self.tty is None and self.piece == PIPE_BUF
        room = PIPE_BUF if is_pipe and found == WRITABLE else 0
        return Readiness(bool(found), room, bool(found & _GONE))

    def _is_ready(self, events: int) -> bool:
        return bool(self._look(events))

    def _look(self, events: int) -> int:
        """Return those of `events` that the descriptor is ready for, and what is wrong with it."""
        poll = select.poll()
        poll.register(self.host_fd, events)
        ready = poll.poll(0)
        return ready[0][1] if ready else 0

    def stat(self) -> Stat:
        with host_errors():
            result = host_stat(os.fstat(self.host_fd))
        kind = Mode.FIFO if self.tty is None else Mode.CHR
        result.st_mode = result.st_mode & ~Mode.FMT | kind
        result.st_size = 0
        return result

    def pending(self, offset: int) -> int:
        return input_pending(self.host_fd)

    def ioctl(self, com: int, data: bytearray) -> None:
        if self.tty is None:
            raise KernelError(Errno.ENOTTY, f"ioctl {com:#x}: not a terminal")
        self.tty.ioctl(com, data)

    def close(self, file: File) -> None:
        if self.tty is not None:
            self.tty.drop()


def host_stat(status: os.stat_result) -> Stat:
    """Return what the host knows of a file, in the guest's format."""
    return Stat(
        st_ino=status.st_ino,
        st_nlink=min(status.st_nlink, 0xFFFF_FFFF),
        st_dev=status.st_dev & 0xFFFF_FFFF,
        st_mode=status.st_mode & 0xFFFF,
        st_uid=status.st_uid,
        st_gid=status.st_gid,
        st_rdev=status.st_rdev & 0xFFFF_FFFF,
        st_atim=_timespec(status.st_atime_ns),
        st_mtim=_timespec(status.st_mtime_ns),
        st_ctim=_timespec(status.st_ctime_ns),
        st_size=status.st_size,
        st_blocks=status.st_blocks,
        st_blksize=status.st_blksize,
    )


def _timespec(ns: int) -> Timespec:
    return Timespec(*divmod(ns, 1_000_000_000))
