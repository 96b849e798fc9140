"""Files and directories of the host, as the kernel holds them (sys/kern/vfs_vnops.c).

A regular file that is mapped becomes a region of physical memory, shared with every other way
to reach it.  Its length is then the kernel's: the host file never gets shorter while it is
mapped, because a store into a missing page would kill the emulator.  What the guest cut off is
zeroed at once, and the host file gets its proper length when the last mapping goes.
"""

import fcntl
import os
from collections.abc import Callable, Mapping

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Evfilt, Note
from emu.abi.fcntl import CHMOD_BITS, Dt
from emu.abi.structs import Stat, pack_dirent
from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE, round_page, trunc_page
from emu.kern.disk import STAT_BLOCK, Disk
from emu.kern.file import MAX_OFFSET, File, Node, Readiness, host_stat
from emu.kern.host import change_owner, host_errors
from emu.kern.lockf import Lockf
from emu.kern.namecache import Nchandle
from emu.vm.phys import PhysicalMemory, Region
from emu.vm.vm_object import FileObject

Key = tuple[int, int]
"""A host file's device and inode."""

_SUPERPAGE = 2 << 20
_LEAST_ROOM = 64 << 20
_MOST_ROOM_TO_GROW = 4 << 30


class _HostFile(Node):
    """What has a host descriptor of its own."""

    seekable = True
    filters = frozenset((Evfilt.READ, Evfilt.WRITE, Evfilt.VNODE))
    _fd: int

    def input(self, offset: int) -> Readiness:
        left = self.length() - offset
        return Readiness(left != 0, left)

    def chmod(self, mode: int) -> None:
        with host_errors():
            os.fchmod(self._fd, mode & CHMOD_BITS)
        self.notify(Note.ATTRIB)

    def chown(self, uid: int, gid: int) -> None:
        with host_errors():
            change_owner(self._fd, uid, gid)
        self.notify(Note.ATTRIB)

    def utimes(self, atime_ns: int, mtime_ns: int) -> None:
        with host_errors():
            os.utime(self._fd, ns=(atime_ns, mtime_ns))
        self.notify(Note.ATTRIB)


class Vnode(_HostFile):
    """A regular file.  The host descriptor may do whatever the host permits: files check."""

    def __init__(
        self,
        fd: int,
        *,
        readable: bool,
        writable: bool,
        disk: Disk | None,
        forget: Callable[["Vnode"], None],
    ) -> None:
        """Take over `fd`.  `disk` is what it may fill, or None where nobody counts."""
        status = os.fstat(fd)
        self.key: Key = status.st_dev, status.st_ino
        self.readable = readable
        self.writable = writable
        self._fd = fd
        self._disk = disk
        self._allocated = status.st_blocks * STAT_BLOCK  # as the disk's account has it
        self._forget = forget
        self._files = 0
        self.writers = 0
        """Open files that may write (v_writecount)."""
        self._locks = Lockf()
        self._object: FileObject | None = None
        self._phys: PhysicalMemory | None = None

    def open(self, flags: int) -> File:
        """Return a new open file on this vnode."""
        self._files += 1
        file = File(self, flags)
        self.writers += file.writable
        return file

    def length(self) -> int:
        return self._host_length() if self._object is None else self._object.length

    def read(self, offset: int, size: int) -> bytes:
        size = min(size, self.length() - offset)
        with host_errors():
            return os.pread(self._fd, size, offset) if size > 0 else b""

    def write(self, offset: int, data: bytes) -> int:
        if not self.watchers:
            return self._write(offset, data)
        before = self.length()
        count = self._write(offset, data)
        if count:
            grown = self.length() > before
            self.notify(Note.WRITE | Note.EXTEND if grown else Note.WRITE)
        return count

    def _write(self, offset: int, data: bytes) -> int:
        end = offset + len(data)
        self._check_room(end)
        self._check_disk(offset, end)
        if self._object is None:
            return self._write_host(offset, data)
        if offset > self._object.length:
            self._clear_tail(offset)
        count = self._write_host(offset, data)
        self._code_changed(offset, count)
        if offset + count > self._object.length:
            self._object.resize(offset + count)
        return count

    def resize(self, length: int) -> None:
        self._check_room(length)
        before = self.length()
        self._resize(length)
        self._measure()
        if length != before:
            self.notify(Note.WRITE | Note.EXTEND if length > before else Note.WRITE)

    def _resize(self, length: int) -> None:
        if self._object is None:
            with host_errors():
                os.ftruncate(self._fd, length)
        elif length < self._object.length:
            self._code_changed(length, self._object.length - length)
            with host_errors():
                full = round_page(self._host_length())
                os.ftruncate(self._fd, length)
                os.ftruncate(self._fd, full)
            self._object.resize(length)
        else:
            self._clear_tail(length)
            with host_errors():
                if self._host_length() < length:
                    os.ftruncate(self._fd, length)
            self._object.resize(length)

    def stat(self) -> Stat:
        with host_errors():
            result = host_stat(os.fstat(self._fd))
        result.st_size = self.length()
        return result

    def sync(self) -> None:
        # The host's fsync covers the mapping too: it is the same page cache.
        with host_errors():
            os.fsync(self._fd)

    def pending(self, offset: int) -> int:
        return min(max(self.length() - offset, 0), 0x7FFF_FFFF)

    @property
    def locks(self) -> Lockf:
        return self._locks

    def lock_host(self, *, exclusive: bool) -> None:
        self._host_lock(fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)

    def unlock(self, owner: object) -> None:
        if self._locks.ranges:
            self._locks.remove(owner)
            if not any(held.pid < 0 for held in self._locks.ranges):
                self._host_lock(fcntl.LOCK_UN)

    def check_mappable(self) -> None:
        """A regular file can be mapped."""

    def vm_object(self, phys: PhysicalMemory) -> FileObject:
        """Return the object all mappings of this file share."""
        if self._object is None:
            length = self.length()
            growth = min(max(length, _LEAST_ROOM), _MOST_ROOM_TO_GROW)
            room = -(-(length + growth) // _SUPERPAGE) * _SUPERPAGE
            region = phys.map_file(self._fd, room, writable=self.writable)
            if self._disk is None:
                self._object = FileObject(phys, region, length, self._release)
            else:
                self._object = _CountedObject(phys, region, length, self._release, self._allocate)
            self._phys = phys
        return self._object

    def close(self, file: File) -> None:
        self.unlock(file)
        self._files -= 1
        self.writers -= file.writable
        if self._files == 0:
            if self._object is None:
                self._dispose()
            elif self._object.refs == 0:  # made for a mapping that was then refused
                self._release(self._object)

    def finish(self) -> None:
        """Let go of the host file at the end of the run, even if it is still open or mapped."""
        self._settle()
        os.close(self._fd)
        self._fd = -1

    def _settle(self) -> None:
        """Give the host file its proper length.  Nothing may touch its mapping any more."""
        length = self.length()
        if self.writable and self._host_length() != length:
            os.ftruncate(self._fd, length)

    def _release(self, gone: FileObject) -> None:
        """Nothing maps the file any more."""
        assert gone is self._object and self._phys is not None
        self._phys.unmap_file(gone.region)
        self._settle()
        self._measure()
        self._object = self._phys = None
        if self._files == 0:
            self._dispose()

    def _dispose(self) -> None:
        self._measure()
        if self._disk is not None and os.fstat(self._fd).st_nlink == 0:
            self._disk.used -= self._allocated
        self._forget(self)
        os.close(self._fd)

    def _host_length(self) -> int:
        return os.fstat(self._fd).st_size

    def _host_lock(self, operation: int) -> None:
        with host_errors():
            fcntl.flock(self._fd, operation | fcntl.LOCK_NB)

    def _write_host(self, offset: int, data: bytes) -> int:
        """Write all of `data`, or what the host takes before it refuses."""
        done = 0
        with host_errors():
            while done < len(data):
                try:
                    done += os.pwrite(self._fd, data[done:], offset + done)
                except OSError:
                    if not done:
                        raise
                    break
        self._measure()
        return done

    def _clear_tail(self, up_to: int) -> None:
        """Zero what the mapping left behind the end of the file, which is about to grow."""
        assert self._object is not None
        length = self._object.length
        end = min(up_to, round_page(length))
        self._check_disk(length, end)
        self._write_host(length, bytes(end - length))

    def _check_room(self, end: int) -> None:
        if end > MAX_OFFSET or (self._object is not None and end > self._object.region.size):
            raise KernelError(Errno.EFBIG, f"{end} bytes are more than this file can have")

    def _check_disk(self, start: int, end: int) -> None:
        """Raise ENOSPC unless the disk has room for what is missing of [start, end)."""
        if self._disk is None or start == end:
            return
        start, end = trunc_page(start), round_page(end)
        if not self._disk.has(end - start):
            self._disk.check(self._holes(start, end))

    def _holes(self, start: int, end: int) -> int:
        """Return how many bytes of the pages in [start, end) have no block of the host's yet."""
        missing = 0
        while start < end:
            try:
                data = trunc_page(os.lseek(self._fd, start, os.SEEK_DATA))
            except OSError:  # ENXIO: nothing but a hole, or past the end
                return missing + end - start
            missing += min(max(data, start), end) - start
            start = round_page(os.lseek(self._fd, max(data, start), os.SEEK_HOLE))
        return missing

    def _allocate(self, offset: int) -> None:
        """Give the page at `offset` its block, so that stores need none."""
        self._measure()  # earlier stores may have taken more than their page
        self._check_disk(offset, offset + PAGE_SIZE)
        with host_errors():
            os.pwrite(self._fd, os.pread(self._fd, 1, offset), offset)
        self._measure()

    def _measure(self) -> None:
        """Tell the disk's account what the host has allocated by now."""
        if self._disk is not None:
            allocated = os.fstat(self._fd).st_blocks * STAT_BLOCK
            self._disk.used += allocated - self._allocated
            self._allocated = allocated

    def _code_changed(self, offset: int, size: int) -> None:
        assert self._object is not None and self._phys is not None
        if self._object.holds_code(offset, size):
            self._phys.stale.code_changed()


class _CountedObject(FileObject):
    """A mapped file on a limited disk: a page is writable once it has its block."""

    __slots__ = ("_allocate",)

    def __init__(
        self,
        phys: PhysicalMemory,
        region: Region,
        length: int,
        release: Callable[[FileObject], None],
        allocate: Callable[[int], None],
    ) -> None:
        super().__init__(phys, region, length, release)
        self._allocate = allocate

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        pa, _ = super().page(index, write)
        if write:
            self._allocate(index << PAGE_SHIFT)
        return pa, write


class Directory(_HostFile):
    """A directory.  Its entries are read as they were when reading began."""

    def __init__(
        self,
        fd: int,
        handle: Nchandle,
        devices: Mapping[bytes, int],
        opens: list["Directory"],
        forget: Callable[["Directory"], None],
    ) -> None:
        """Take over `fd`.  `opens` are those of the same directory, which this one joins."""
        status = os.fstat(fd)
        self.key: Key = status.st_dev, status.st_ino
        self.handle = handle
        self._fd = fd
        self._forget = forget
        self._opens = opens
        opens.append(self)
        self._is_root = not handle.names
        self._devices = devices  # the inodes of those in here, by name
        self._entries: list[bytes] | None = None
        self._locks = Lockf()

    def notify(self, note: int) -> None:
        for each in self._opens:
            super(Directory, each).notify(note)

    def read(self, offset: int, size: int) -> bytes:
        raise KernelError(Errno.EISDIR, "getdirentries reads directories")

    def write(self, offset: int, data: bytes) -> int:
        raise KernelError(Errno.EISDIR, "a directory is not written")

    def length(self) -> int:
        return self.stat().st_size

    def resize(self, length: int) -> None:
        raise KernelError(Errno.EISDIR, "a directory is not cut")

    def stat(self) -> Stat:
        with host_errors():
            return host_stat(os.fstat(self._fd))

    def sync(self) -> None:
        """The host keeps directories."""

    def pending(self, offset: int) -> int:
        return max(self.length() - offset, 0)

    @property
    def locks(self) -> Lockf:
        return self._locks  # nobody else can be in the way: each open() has its own

    def entries(self, first: int, size: int) -> list[bytes]:
        """Return the directory entries from number `first` on that fit in `size` bytes.

        EINVAL if not even one fits.  Number 0 takes a fresh look at the directory.
        """
        if self._entries is None or first == 0:
            self._entries = self._read_all()
        result = []
        for entry in self._entries[first:]:
            size -= len(entry)
            if size < 0:
                break
            result.append(entry)
        if not result and first < len(self._entries):
            raise KernelError(Errno.EINVAL, "not even one entry fits")
        return result

    def check_search(self) -> None:
        """Raise EACCES if the host does not let us in."""
        if not os.access(b".", os.X_OK, dir_fd=self._fd):
            raise KernelError(Errno.EACCES, "the host permits no search")

    def close(self, file: File) -> None:
        self._forget(self)
        os.close(self._fd)

    def _read_all(self) -> list[bytes]:
        with host_errors():
            own = os.fstat(self._fd).st_ino
            # The root's parent is itself: what is above is not the guest's to see.
            parent = os.stat(b"..", dir_fd=self._fd).st_ino if not self._is_root else own
            with os.scandir(self._fd) as scan:
                found = {os.fsencode(each.name): (each.inode(), _kind(each)) for each in scan}
        found.update({name: (inode, Dt.CHR) for name, inode in self._devices.items()})
        dots = [(b".", (own, Dt.DIR)), (b"..", (parent, Dt.DIR))]
        return [pack_dirent(*what, name) for name, what in [*dots, *sorted(found.items())]]


def _kind(entry: os.DirEntry[str]) -> Dt:
    if entry.is_symlink():
        return Dt.LNK
    if entry.is_dir(follow_symlinks=False):
        return Dt.DIR
    return Dt.REG if entry.is_file(follow_symlinks=False) else Dt.UNKNOWN
