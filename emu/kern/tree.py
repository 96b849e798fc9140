"""The guest's file tree over a directory of the host (sys/kern/vfs_syscalls.c).

Nothing outside the directory can be reached (`emu.kern.nlookup`).  Regular files, directories,
symbolic links and the devices in /dev are offered.  Devices, fifos and sockets of the host can
be seen (stat, directory entries), but opening one is ENXIO, and none can be made.

Files get the host's own permissions, owners and times; a new file's mode is cut by the host's
umask as well, and no file ever gets set-user-id or set-group-id.  The directories of the devices
are fixed, like the mount points they are in the original.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.fcntl import CHMOD_BITS, O_ACCMODE, PERMISSIONS, Access, Open
from emu.abi.structs import Stat
from emu.abi.x86 import PAGE_SIZE
from emu.kern.device import devices
from emu.kern.disk import ENTRY, STAT_BLOCK, Disk
from emu.kern.file import File, host_stat
from emu.kern.host import change_mode, change_owner, host_errors
from emu.kern.namecache import Namecache, Nchandle
from emu.kern.nlookup import Found, Purpose, lookup
from emu.kern.scratch import Scratch
from emu.kern.vnode import Directory, Key, Vnode

_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STAND_FOR = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC


class Space(NamedTuple):
    """How large the tree is and what is left of it (struct statfs)."""

    device: int
    block_size: int
    blocks: int
    free_blocks: int
    files: int
    free_files: int


class Tree:
    """What the guest sees as /."""

    def __init__(
        self,
        root: Path,
        *,
        limit: int | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Stand on the host directory `root`.

        `limit` is how many bytes the guest may add to it (`emu.kern.disk`), and `random_bytes` is
        what /dev/random gives.
        """
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.random_bytes = random_bytes
        """Where all chance in this run comes from."""
        self.substitute: Callable[[bytes], bytes] | None = None
        """Replaces the variables in a symbolic link, if they are to be replaced."""
        self._disk = Disk(limit)
        self._scratch: Scratch | None = None
        self._vnodes: dict[Key, Vnode] = {}
        self._directories: dict[Key, list[Directory]] = {}
        self._namecache = Namecache()
        self._devices = devices(random_bytes)
        self._fixed = {names[:-1] for names in self._devices}

    @classmethod
    def scratch(
        cls,
        *,
        limit: int | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> "Tree":
        """Return a private tree with /tmp and /dev that goes away at close(), or at exit."""
        scratch = Scratch()
        tree = cls(scratch.root, limit=limit, random_bytes=random_bytes)
        tree._scratch = scratch
        for name in ("tmp", "dev", "dev/fd"):
            os.mkdir(name, dir_fd=tree._root)
        return tree

    def close(self) -> None:
        """Let go of the host.  This comes last: nothing may run or be unmapped after it."""
        for vnode in self._vnodes.values():
            vnode.finish()
        self._vnodes.clear()
        os.close(self._root)
        if self._scratch is not None:
            self._scratch.remove()

    def open(self, path: bytes, cwd: Nchandle, flags: int, mode: int = 0) -> File:
        """Open `path`, making it with `mode` if the flags say so (vn_open).

        Whoever asks takes the locks of O_EXLOCK and O_SHLOCK.
        """
        writing = flags & O_ACCMODE != Open.RDONLY
        if flags & Open.TRUNC and not writing:
            raise KernelError(Errno.EACCES, "O_TRUNC without writing")
        follow = not flags & (Open.EXCL | Open.NOFOLLOW)
        purpose = Purpose.CREATE if flags & Open.CREAT else Purpose.FIND
        with self._walk(path, cwd, follow=follow, purpose=purpose) as found:
            if not found.exists:
                return self._create(found, mode).open(flags)
            if flags & Open.CREAT and flags & Open.EXCL:
                raise KernelError(Errno.EEXIST, str(found))
            if found.device is not None:
                return found.device.open(flags)
            if found.is_link:
                raise KernelError(Errno.EMLINK, "a symbolic link that is not followed")
            if found.is_directory:
                if writing:
                    raise KernelError(Errno.EISDIR, str(found))
                return self._open_directory(found, flags)
            file = self._vnode(found, flags).open(flags)
        if flags & Open.TRUNC:
            try:
                file.node.resize(0)
            except KernelError:
                file.drop()
                raise
        return file

    def stat(self, path: bytes, cwd: Nchandle, *, follow: bool = True) -> Stat:
        with self._walk(path, cwd, follow=follow) as found:
            if found.device is not None:
                return found.device.stat()
            status = _status(found)
        result = host_stat(status)
        if vnode := self._vnodes.get((status.st_dev, status.st_ino)):
            result.st_size = vnode.length()
        return result

    def access(self, path: bytes, cwd: Nchandle, mode: int) -> None:
        """Raise EACCES unless the host would permit what `mode` asks for."""
        with self._walk(path, cwd) as found:
            if found.device is not None:
                permitted = not mode & Access.X
            else:
                permitted = os.access(found.name, mode & 7, dir_fd=found.at, follow_symlinks=False)
        if not permitted:
            raise KernelError(Errno.EACCES, str(found))

    def check(self, path: bytes, cwd: Nchandle, *, follow: bool = True) -> None:
        """Raise what a lookup of `path` raises, if anything."""
        with self._walk(path, cwd, follow=follow):
            pass

    def is_open(self, path: bytes, cwd: Nchandle) -> bool:
        """Does anybody have the file open?  A device always may be."""
        with self._walk(path, cwd) as found:
            if found.status is None:
                return True
            key = found.status.st_dev, found.status.st_ino
        return key in self._vnodes or key in self._directories

    def full_path(self, path: bytes, cwd: Nchandle) -> bytes:
        """Return `path` from the root, without links and dots (vn_fullpath)."""
        with self._walk(path, cwd) as found:
            return b"/" + b"/".join(found.names)

    def truncate(self, path: bytes, cwd: Nchandle, length: int) -> None:
        with self._walk(path, cwd) as found:
            if found.device is not None:
                found.device.resize(length)
                return
            if found.is_directory:
                raise KernelError(Errno.EISDIR, str(found))
            file = self._vnode(found, Open.WRONLY).open(Open.WRONLY)
        try:
            file.node.resize(length)
        finally:
            file.drop()

    def chmod(self, path: bytes, cwd: Nchandle, mode: int, *, follow: bool = True) -> None:
        """Set the permissions.  A symbolic link has none: nothing happens to it."""
        with self._walk(path, cwd, follow=follow) as found:
            _check_no_device(found)
            if not found.is_link:
                with host_errors():
                    change_mode(found.name, mode & CHMOD_BITS, found.at)
                self._notify(_status(found), Note.ATTRIB)

    def chown(self, path: bytes, cwd: Nchandle, uid: int, gid: int, *, follow: bool = True) -> None:
        """Give the file to somebody else; -1 changes nothing.  See change_owner()."""
        with self._walk(path, cwd, follow=follow) as found:
            _check_no_device(found)
            with host_errors():
                change_owner(found.name, uid, gid, found.at)
            self._notify(_status(found), Note.ATTRIB)

    def utimes(
        self, path: bytes, cwd: Nchandle, atime_ns: int, mtime_ns: int, *, follow: bool = True
    ) -> None:
        with self._walk(path, cwd, follow=follow) as found:
            _check_no_device(found)
            times = (atime_ns, mtime_ns)
            with host_errors():
                os.utime(found.name, ns=times, dir_fd=found.at, follow_symlinks=False)
            self._notify(_status(found), Note.ATTRIB)

    def link(self, path: bytes, new: bytes, cwd: Nchandle) -> None:
        """Give the file `path` another name."""
        with self._walk(path, cwd) as found:
            if found.is_directory:
                raise KernelError(Errno.EPERM, "a directory has one name")
            with self._walk(new, cwd, follow=False, purpose=Purpose.CREATE) as made:
                if made.exists:
                    raise KernelError(Errno.EEXIST, str(made))
                if found.device is not None:
                    raise KernelError(Errno.EXDEV, "a device")
                with self._new_name():
                    os.link(
                        found.name,
                        made.name,
                        src_dir_fd=found.at,
                        dst_dir_fd=made.at,
                        follow_symlinks=False,
                    )
                self._notify(_status(found), Note.LINK)
                self._notify_parent(made, Note.WRITE)

    def symlink(self, target: bytes, path: bytes, cwd: Nchandle) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.CREATE) as made:
            if made.exists:
                raise KernelError(Errno.EEXIST, str(made))
            with self._new_name():
                os.symlink(target, made.name, dir_fd=made.at)
            self._notify_parent(made, Note.WRITE)

    def readlink(self, path: bytes, cwd: Nchandle) -> bytes:
        with self._walk(path, cwd, follow=False) as found:
            if not found.is_link:
                raise KernelError(Errno.EINVAL, "not a symbolic link")
            with host_errors():
                return os.readlink(found.name, dir_fd=found.at)

    def rename(self, old: bytes, old_cwd: Nchandle, new: bytes, new_cwd: Nchandle) -> None:
        """Move `old` to `new`, in place of what may be there (kern_rename)."""
        with (
            self._walk(old, old_cwd, follow=False, purpose=Purpose.RENAME_FROM) as source,
            self._walk(new, new_cwd, follow=False, purpose=Purpose.RENAME_TO) as target,
        ):
            if source.names == target.names:
                return
            if source.names in self._fixed or target.names in self._fixed:
                raise KernelError(Errno.EINVAL, "the directories of the devices stay")
            _check_no_device(source)
            _check_no_device(target)
            if target.exists and source.is_directory != target.is_directory:
                errno = Errno.ENOTDIR if source.is_directory else Errno.EISDIR
                raise KernelError(errno, str(target))
            if target.names[: len(source.names)] == source.names:
                raise KernelError(Errno.EINVAL, f"{target} is inside {source}")
            if _same_file(source, target):
                self._unlink(source)
                return
            with host_errors():
                os.rename(source.name, target.name, src_dir_fd=source.at, dst_dir_fd=target.at)
            self._notify_parent(source, Note.WRITE)
            self._notify_parent(target, Note.WRITE)
            self._notify(_status(source), Note.RENAME)
            if target.exists:
                self._removed(target)
            if source.is_directory:
                self._namecache.renamed(source.names, target.names)

    def unlink(self, path: bytes, cwd: Nchandle) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.DELETE) as found:
            _check_no_device(found)
            if found.is_directory:
                raise KernelError(Errno.EPERM, "rmdir removes directories")
            self._unlink(found)

    def mkdir(self, path: bytes, cwd: Nchandle, mode: int) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.CREATE_DIRECTORY) as made:
            if made.exists:
                raise KernelError(Errno.EEXIST, str(made))
            with self._new_name():
                os.mkdir(made.name, mode & PERMISSIONS, dir_fd=made.at)
            self._notify_parent(made, Note.WRITE | Note.LINK)

    def mknod(self, path: bytes, cwd: Nchandle) -> None:
        """Refuse to make a fifo or a device, once nothing else is wrong."""
        with self._walk(path, cwd, follow=False, purpose=Purpose.CREATE) as made:
            if made.exists:
                raise KernelError(Errno.EEXIST, str(made))
        raise KernelError(Errno.EOPNOTSUPP, "only files, directories and links can be made")

    def rmdir(self, path: bytes, cwd: Nchandle) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.DELETE) as found:
            if not found.is_directory:
                raise KernelError(Errno.ENOTDIR, str(found))
            if found.names in self._fixed:
                raise KernelError(Errno.EINVAL, "the directories of the devices stay")
            with host_errors():
                os.rmdir(found.name, dir_fd=found.at)
            self._notify_parent(found, Note.WRITE | Note.LINK)
            self._removed(found)
            self._namecache.removed(found.names)

    def enter(self, path: bytes, cwd: Nchandle) -> Nchandle:
        """Return the directory `path` as a working directory (chdir)."""
        with self._walk(path, cwd) as found:
            if not found.is_directory:
                raise KernelError(Errno.ENOTDIR, str(found))
            if not os.access(found.name, os.X_OK, dir_fd=found.at):
                raise KernelError(Errno.EACCES, str(found))
            return self._namecache.hold(found.names)

    @contextmanager
    def new_socket(self, path: bytes, cwd: Nchandle) -> Iterator[tuple[int, bytes]]:
        """Find the place for a new socket; return its directory, open, and name.

        What goes on inside makes it.
        """
        with self._walk(path, cwd, follow=False, purpose=Purpose.CREATE) as made:
            if made.exists:
                raise KernelError(Errno.EADDRINUSE, str(made))
            with self._new_name():
                yield made.at, made.name

    @contextmanager
    def socket(self, path: bytes, cwd: Nchandle) -> Iterator[int]:
        """Find a socket; return a descriptor that only stands for it.

        Its name would not do: somebody else may put a link there, which the host would follow.
        """
        with self._walk(path, cwd) as found:
            if found.status is None or not stat.S_ISSOCK(found.status.st_mode):
                raise KernelError(Errno.ENOTSOCK, str(found))
            with host_errors():
                fd = os.open(found.name, _STAND_FOR, dir_fd=found.at)
            try:
                if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                    raise KernelError(Errno.ENOTSOCK, str(found))
                yield fd
            finally:
                os.close(fd)

    def space(self) -> Space:
        with host_errors():
            status, host = os.fstat(self._root), os.fstatvfs(self._root)
        device = status.st_dev & 0x7FFF_FFFF
        if self._disk.size is not None:
            free = self._disk.free // PAGE_SIZE
            blocks = max(self._disk.size // PAGE_SIZE, free)
            return Space(device, PAGE_SIZE, blocks, free, blocks, free)
        return Space(
            device=device,
            block_size=host.f_frsize,
            blocks=host.f_blocks,
            free_blocks=host.f_bavail,
            files=host.f_files,
            free_files=host.f_favail,
        )

    def _walk(
        self, path: bytes, cwd: Nchandle, *, follow: bool = True, purpose: Purpose = Purpose.FIND
    ) -> AbstractContextManager[Found]:
        start = () if path.startswith(b"/") else cwd.names
        return lookup(self._root, self._devices, path, start, follow, purpose, self.substitute)

    def _open_directory(self, found: Found, flags: int) -> File:
        with host_errors():
            host = os.open(found.name, _OPEN | os.O_DIRECTORY, dir_fd=found.at)
        inside = {
            names[-1]: each.inode
            for names, each in self._devices.items()
            if names[:-1] == found.names
        }
        status = os.fstat(host)
        opens = self._directories.setdefault((status.st_dev, status.st_ino), [])
        handle = self._namecache.hold(found.names)
        return File(Directory(host, handle, inside, opens, self._forget_directory), flags)

    def _forget_directory(self, gone: Directory) -> None:
        same = self._directories[gone.key]
        same.remove(gone)
        if not same:
            del self._directories[gone.key]

    def _create(self, made: Found, mode: int) -> Vnode:
        with self._new_name():
            fd = os.open(
                made.name,
                _OPEN | os.O_RDWR | os.O_CREAT | os.O_EXCL,
                mode & PERMISSIONS,
                dir_fd=made.at,
            )
        self._notify_parent(made, Note.WRITE)
        return self._adopt(fd, os.O_RDWR)

    def _unlink(self, found: Found) -> None:
        with host_errors():
            os.unlink(found.name, dir_fd=found.at)
        self._notify_parent(found, Note.WRITE)
        self._removed(found)

    @contextmanager
    def _new_name(self) -> Iterator[None]:
        """The host makes a name inside, unless the disk is full."""
        self._disk.check(ENTRY)
        with host_errors():
            yield
        self._disk.used += ENTRY

    def _removed(self, found: Found) -> None:
        """Take a name, and the file if it was the last, off the account."""
        status = _status(found)
        last = found.is_directory or status.st_nlink == 1
        self._notify(status, Note.DELETE if last else Note.LINK)
        self._disk.used -= ENTRY
        is_open = (status.st_dev, status.st_ino) in self._vnodes  # then it still has its blocks
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not is_open:
            self._disk.used -= status.st_blocks * STAT_BLOCK

    def _notify(self, status: os.stat_result, note: int) -> None:
        """Tell whoever watches an open file or directory what happened to it."""
        key = status.st_dev, status.st_ino
        if vnode := self._vnodes.get(key):
            vnode.notify(note)
        if opens := self._directories.get(key):
            opens[0].notify(note)  # which tells of all of them

    def _notify_parent(self, found: Found, note: int) -> None:
        """Tell whoever watches the directory that what was found has, or had, its name in."""
        if self._directories:
            self._notify(os.fstat(found.at), note)

    def _vnode(self, found: Found, flags: int) -> Vnode:
        """Return the regular file that was found, if it may be used as `flags` say."""
        status = _status(found)
        if not stat.S_ISREG(status.st_mode):
            raise KernelError(Errno.ENXIO, f"{found} is none of the guest's files")
        vnode = self._vnodes.get((status.st_dev, status.st_ino))
        fd, access = (-1, 0) if vnode else _open_host(found)
        readable = vnode.readable if vnode else access != os.O_WRONLY
        writable = vnode.writable if vnode else access != os.O_RDONLY
        wanted = flags & O_ACCMODE
        if (wanted != Open.WRONLY and not readable) or (wanted != Open.RDONLY and not writable):
            if not vnode:
                os.close(fd)
            raise KernelError(Errno.EACCES, f"the host does not permit it: {found}")
        return vnode or self._adopt(fd, access)

    def _adopt(self, fd: int, access: int) -> Vnode:
        vnode = Vnode(
            fd,
            readable=access != os.O_WRONLY,
            writable=access != os.O_RDONLY,
            disk=None if self._disk.size is None else self._disk,
            forget=lambda gone: self._vnodes.__delitem__(gone.key),
        )
        self._vnodes[vnode.key] = vnode
        return vnode


def _status(found: Found) -> os.stat_result:
    assert found.status is not None
    return found.status


def _same_file(one: Found, other: Found) -> bool:
    if one.status is None or other.status is None:
        return False
    return os.path.samestat(one.status, other.status)


def _check_no_device(found: Found) -> None:
    if found.device is not None:
        raise KernelError(Errno.EPERM, f"{found} stays as it is")


def _open_host(found: Found) -> tuple[int, int]:
    """Open the host's file for all the host permits; return the descriptor and the access."""
    for access in (os.O_RDWR, os.O_RDONLY):
        with suppress(OSError):
            return _regular(os.open(found.name, _OPEN | access, dir_fd=found.at)), access
    with host_errors():
        return _regular(os.open(found.name, _OPEN | os.O_WRONLY, dir_fd=found.at)), os.O_WRONLY


def _regular(fd: int) -> int:
    """Return `fd`, if the name still stands for a regular file."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise KernelError(Errno.ENXIO, "not a regular file")
    return fd
