"""The guest's file tree over a directory of the host (sys/kern/vfs_nlookup.c, vfs_syscalls.c).

Nothing outside the directory can be reached.  The host never resolves a path: every name is
looked up by itself in a directory that is held open, symbolic links are read and followed here,
`..` goes back to the directory that was passed on the way, and links are never followed by the
host even if one appears in the middle.

Regular files, directories and symbolic links are offered.  Devices, fifos and sockets of the
host can be seen (stat, directory entries), but opening one is ENXIO.  Files get the host's own
permissions, owners and times; a new file's mode is cut by the host's umask as well, and never
has set-user-id or set-group-id.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import (
    MAXPATHLEN,
    MAXSYMLINKS,
    NAME_MAX,
    O_ACCMODE,
    PERMISSIONS,
    Access,
    Open,
)
from emu.abi.structs import Stat
from emu.kern.file import File, Names, Node, NullDevice, ZeroDevice, host_stat
from emu.kern.host import host_errors
from emu.kern.vnode import Directory, Key, Vnode

MAX_DEPTH = 200
"""How deep directories may lie in each other: each on the way is a host descriptor."""

_DEVICES: Mapping[Names, Callable[[], Node]] = {
    (b"dev", b"null"): NullDevice,
    (b"dev", b"zero"): ZeroDevice,
}
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Purpose(Enum):
    """What a name is looked up for; it decides about names that do not exist, and about dots."""

    FIND = "it must exist"
    CREATE = "it may be missing"
    CREATE_DIRECTORY = "it may be missing, and be written with a slash at the end"
    DELETE = "it must exist, under a name of its own"


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a path: `name` in the directory `at`, or `at` itself if it is "."."""

    at: int
    name: bytes
    status: os.stat_result | None
    names: Names

    @property
    def is_directory(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    def existing(self) -> os.stat_result:
        if self.status is None:
            raise KernelError(Errno.ENOENT, _show(self.names))
        return self.status


class Tree:
    """What the guest sees as /."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._vnodes: dict[Key, Vnode] = {}

    @classmethod
    def scratch(cls) -> "Tree":
        """Return a private tree with /tmp and /dev that goes away at close(), or at exit."""
        temporary = tempfile.TemporaryDirectory(prefix="vkemu-", ignore_cleanup_errors=True)
        tree = cls(Path(temporary.name))
        tree._temporary = temporary
        for name in ("tmp", "dev"):
            os.mkdir(name, dir_fd=tree._root)
        return tree

    def close(self) -> None:
        """Let go of the host.  This comes last: nothing may run or be unmapped after it."""
        for vnode in self._vnodes.values():
            vnode.finish()
        self._vnodes.clear()
        os.close(self._root)
        if self._temporary is not None:
            self._temporary.cleanup()

    def open(self, path: bytes, cwd: Names, flags: int, mode: int = 0) -> File:
        """Open `path`, making it with `mode` if the flags say so (vn_open)."""
        writing = flags & O_ACCMODE != Open.RDONLY
        if flags & Open.TRUNC and not writing:
            raise KernelError(Errno.EACCES, "O_TRUNC without writing")
        follow = not flags & (Open.EXCL | Open.NOFOLLOW)
        purpose = Purpose.CREATE if flags & Open.CREAT else Purpose.FIND
        with self._walk(path, cwd, follow=follow, purpose=purpose) as found:
            device = _DEVICES.get(found.names)
            if found.status is None and device is None:
                return self._lock(self._create(found, mode).open(flags), flags)
            if flags & Open.CREAT and flags & Open.EXCL:
                raise KernelError(Errno.EEXIST, _show(found.names))
            if device is not None:
                return File(device(), flags)
            if stat.S_ISLNK(found.existing().st_mode):
                raise KernelError(Errno.EMLINK, "a symbolic link that is not followed")
            if found.is_directory:
                if writing:
                    raise KernelError(Errno.EISDIR, _show(found.names))
                with host_errors():
                    host = os.open(found.name, _OPEN | os.O_DIRECTORY, dir_fd=found.at)
                return File(Directory(host, found.names), flags)
            file = self._vnode(found, flags).open(flags)
        if flags & Open.TRUNC:
            try:
                file.node.resize(0)
            except KernelError:
                file.drop()
                raise
        return self._lock(file, flags)

    def stat(self, path: bytes, cwd: Names, *, follow: bool = True) -> Stat:
        with self._walk(path, cwd, follow=follow) as found:
            if device := _DEVICES.get(found.names):
                return device().stat()
            status = found.existing()
        result = host_stat(status)
        if vnode := self._vnodes.get((status.st_dev, status.st_ino)):
            result.st_size = vnode.length()
        return result

    def access(self, path: bytes, cwd: Names, mode: int) -> None:
        """Raise EACCES unless the host would permit what `mode` asks for."""
        with self._walk(path, cwd) as found:
            if found.names in _DEVICES:
                permitted = not mode & Access.X
            else:
                found.existing()
                permitted = os.access(found.name, mode & 7, dir_fd=found.at, follow_symlinks=False)
        if not permitted:
            raise KernelError(Errno.EACCES, _show(found.names))

    def truncate(self, path: bytes, cwd: Names, length: int) -> None:
        with self._walk(path, cwd) as found:
            found.existing()
            if found.is_directory:
                raise KernelError(Errno.EISDIR, _show(found.names))
            file = self._vnode(found, Open.WRONLY).open(Open.WRONLY)
        try:
            file.node.resize(length)
        finally:
            file.drop()

    def unlink(self, path: bytes, cwd: Names) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.DELETE) as found:
            if found.is_directory:
                raise KernelError(Errno.EPERM, "rmdir removes directories")
            with host_errors():
                os.unlink(found.name, dir_fd=found.at)

    def mkdir(self, path: bytes, cwd: Names, mode: int) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.CREATE_DIRECTORY) as found:
            if found.status is not None or found.names in _DEVICES:
                raise KernelError(Errno.EEXIST, _show(found.names))
            with host_errors():
                os.mkdir(found.name, mode & PERMISSIONS, dir_fd=found.at)

    def rmdir(self, path: bytes, cwd: Names) -> None:
        with self._walk(path, cwd, follow=False, purpose=Purpose.DELETE) as found:
            if not found.is_directory:
                raise KernelError(Errno.ENOTDIR, _show(found.names))
            with host_errors():
                os.rmdir(found.name, dir_fd=found.at)

    def enter(self, path: bytes, cwd: Names) -> Names:
        """Return the directory `path` as a working directory (chdir)."""
        with self._walk(path, cwd) as found:
            found.existing()
            if not found.is_directory:
                raise KernelError(Errno.ENOTDIR, _show(found.names))
            if not os.access(found.name, os.X_OK, dir_fd=found.at):
                raise KernelError(Errno.EACCES, _show(found.names))
            return found.names

    @contextmanager
    def socket_name(
        self, path: bytes, cwd: Names, *, create: bool = False
    ) -> Iterator[tuple[int, bytes]]:
        """Find a socket, or the place for a new one; return its directory, open, and name."""
        purpose = Purpose.CREATE if create else Purpose.FIND
        with self._walk(path, cwd, follow=not create, purpose=purpose) as found:
            if create:
                if found.status is not None or found.names in _DEVICES:
                    raise KernelError(Errno.EADDRINUSE, _show(found.names))
            elif found.names in _DEVICES or not stat.S_ISSOCK(found.existing().st_mode):
                raise KernelError(Errno.ENOTSOCK, _show(found.names))
            yield found.at, found.name

    @contextmanager
    def _walk(
        self, path: bytes, cwd: Names, *, follow: bool = True, purpose: Purpose = Purpose.FIND
    ) -> Iterator[Found]:
        """Resolve `path` (nlookup).  What is found is valid inside the with statement."""
        trail = _Trail(self._root)
        try:
            if not path.startswith(b"/"):
                for name in cwd:
                    trail.down(name)
            yield _resolve(trail, path, follow, purpose)
        finally:
            trail.close()

    def _create(self, found: Found, mode: int) -> Vnode:
        with host_errors():
            fd = os.open(
                found.name,
                _OPEN | os.O_RDWR | os.O_CREAT | os.O_EXCL,
                mode & PERMISSIONS,
                dir_fd=found.at,
            )
        return self._adopt(fd, os.O_RDWR)

    def _vnode(self, found: Found, flags: int) -> Vnode:
        """Return the regular file that was found, if it may be used as `flags` say."""
        status = found.existing()
        if not stat.S_ISREG(status.st_mode):
            raise KernelError(Errno.ENXIO, f"{_show(found.names)} is none of the guest's files")
        vnode = self._vnodes.get((status.st_dev, status.st_ino))
        fd, access = (-1, 0) if vnode else _open_host(found)
        readable = vnode.readable if vnode else access != os.O_WRONLY
        writable = vnode.writable if vnode else access != os.O_RDONLY
        wanted = flags & O_ACCMODE
        if (wanted != Open.WRONLY and not readable) or (wanted != Open.RDONLY and not writable):
            if not vnode:
                os.close(fd)
            raise KernelError(Errno.EACCES, f"the host does not permit it: {_show(found.names)}")
        return vnode or self._adopt(fd, access)

    def _adopt(self, fd: int, access: int) -> Vnode:
        vnode = Vnode(
            fd,
            readable=access != os.O_WRONLY,
            writable=access != os.O_RDONLY,
            forget=lambda gone: self._vnodes.__delitem__(gone.key),
        )
        self._vnodes[vnode.key] = vnode
        return vnode

    def _lock(self, file: File, flags: int) -> File:
        """Take the lock that O_EXLOCK or O_SHLOCK asks for."""
        if flags & (Open.EXLOCK | Open.SHLOCK):
            try:
                file.node.lock(file, exclusive=bool(flags & Open.EXLOCK))
            except KernelError:
                file.drop()
                raise
        return file


class _Trail:
    """The directories from the root to where a path has got to, each held open."""

    def __init__(self, root: int) -> None:
        self._held = [root]
        self.names: list[bytes] = []

    @property
    def at(self) -> int:
        return self._held[-1]

    def down(self, name: bytes) -> None:
        if len(self.names) == MAX_DEPTH:
            raise KernelError(Errno.ENAMETOOLONG, f"more than {MAX_DEPTH} directories deep")
        with host_errors():
            self._held.append(os.open(name, _PASS, dir_fd=self.at))
        self.names.append(name)

    def up(self) -> None:
        """Go to the parent.  The root is its own."""
        if self.names:
            self.names.pop()
            os.close(self._held.pop())

    def close(self) -> None:
        """Go to the root."""
        while self.names:
            self.up()

    def look(self, name: bytes) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self.at, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read_link(self, name: bytes) -> bytes:
        return os.readlink(name, dir_fd=self.at)


def _resolve(trail: _Trail, path: bytes, follow: bool, purpose: Purpose) -> Found:
    creating = purpose in (Purpose.CREATE, Purpose.CREATE_DIRECTORY)
    if not path:
        raise KernelError(Errno.ENOENT, "an empty path")
    if len(path) >= MAXPATHLEN:
        raise KernelError(Errno.ENAMETOOLONG, "path")
    links = 0
    while True:
        if path.startswith(b"/"):
            trail.close()
            path = path.lstrip(b"/")
            if not path:
                if purpose is not Purpose.FIND:
                    raise KernelError(Errno.EEXIST if creating else Errno.EACCES, "/")
                return _here(trail)
        name, slash, rest = path.partition(b"/")
        last = not rest.strip(b"/")
        if len(name) > NAME_MAX:
            raise KernelError(Errno.ENAMETOOLONG, "name")
        if name in (b".", b".."):
            if name == b"..":
                trail.up()
            if last:
                _check_dots(name, creating, purpose)
                return _here(trail)
            path = rest.lstrip(b"/")
            continue
        with host_errors():
            status = trail.look(name)
        names = (*trail.names, name)
        if status is None:
            if names in _DEVICES and last and not slash:
                return Found(trail.at, name, None, names)
            if not last or not creating:
                raise KernelError(Errno.ENOENT, _show(names))
            if slash and purpose is not Purpose.CREATE_DIRECTORY:
                raise KernelError(Errno.ENOTDIR, _show(names))
            return Found(trail.at, name, None, names)
        if stat.S_ISLNK(status.st_mode) and (slash or follow):
            links += 1
            if links > MAXSYMLINKS:
                raise KernelError(Errno.ELOOP, _show(names))
            with host_errors():
                target = trail.read_link(name)
            path = target + slash + rest
            if not target:
                raise KernelError(Errno.ENOENT, "an empty symbolic link")
            if len(path) >= MAXPATHLEN:
                raise KernelError(Errno.ENAMETOOLONG, "symbolic link")
            continue
        if slash and not stat.S_ISDIR(status.st_mode):
            raise KernelError(Errno.ENOTDIR, _show(names))
        if last:
            return Found(trail.at, name, status, names)
        trail.down(name)
        path = rest.lstrip(b"/")


def _here(trail: _Trail) -> Found:
    with host_errors():
        return Found(trail.at, b".", os.stat(b".", dir_fd=trail.at), tuple(trail.names))


def _check_dots(name: bytes, creating: bool, purpose: Purpose) -> None:
    """A path that ends in "." or ".." names nothing that could be made or removed."""
    if creating:
        raise KernelError(Errno.EEXIST, "dots")
    if purpose is Purpose.DELETE:
        raise KernelError(Errno.EINVAL if name == b"." else Errno.ENOTEMPTY, "dots")


def _open_host(found: Found) -> tuple[int, int]:
    """Open the host's file for all the host permits; return the descriptor and the access."""
    for access in (os.O_RDWR, os.O_RDONLY):
        try:
            return _regular(os.open(found.name, _OPEN | access, dir_fd=found.at)), access
        except OSError:
            continue
    with host_errors():
        return _regular(os.open(found.name, _OPEN | os.O_WRONLY, dir_fd=found.at)), os.O_WRONLY


def _regular(fd: int) -> int:
    """Return `fd`, if the name still stands for a regular file."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise KernelError(Errno.ENXIO, "not a regular file")
    return fd


def _show(names: Names) -> str:
    return "/" + b"/".join(names).decode(errors="replace")
