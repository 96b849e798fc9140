"""Finding what a path names, without ever leaving the root (sys/kern/vfs_nlookup.c).

The host never resolves a path: every name is looked up by itself in a directory that is held
open, symbolic links are read and followed here, `..` goes back to the directory that was passed
on the way, and links are never followed by the host even if one appears in the middle.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import MAXPATHLEN, MAXSYMLINKS, NAME_MAX
from emu.kern.device import Device
from emu.kern.host import host_errors
from emu.kern.namecache import Names

MAX_DEPTH = 200
"""How deep directories may lie in each other: each on the way is a host descriptor."""

_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Purpose(Enum):
    """What a name is looked up for; it decides about names that do not exist, and about dots."""

    FIND = "it must exist"
    CREATE = "it may be missing"
    CREATE_DIRECTORY = "it may be missing, and be written with a slash at the end"
    DELETE = "it must exist, under a name of its own"
    RENAME_FROM = "it must exist, under a name of its own, and gets another"
    RENAME_TO = "it may be missing, and is replaced if it is not"


_CREATING = (Purpose.CREATE, Purpose.CREATE_DIRECTORY)
_MAY_BE_MISSING = (*_CREATING, Purpose.RENAME_TO)


class Found(NamedTuple):
    """The end of a path: `name` in the directory `at`, or `at` itself if it is "."."""

    at: int
    name: bytes
    names: Names
    status: os.stat_result | None = None
    device: Device | None = None
    """A device has no `status`: it is none of the host's files."""

    @property
    def exists(self) -> bool:
        return self.status is not None or self.device is not None

    @property
    def is_directory(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return self.status is not None and stat.S_ISLNK(self.status.st_mode)

    def __str__(self) -> str:
        return show(self.names)


@contextmanager
def lookup(
    root: int,
    devices: Mapping[Names, Device],
    path: bytes,
    start: Names,
    follow: bool,
    purpose: Purpose,
    substitute: Callable[[bytes], bytes] | None = None,
) -> Iterator[Found]:
    """Find `path` from `start` below the host directory `root`.

    What is found is valid inside the with statement.  `substitute` replaces the variables in the
    symbolic links on the way.
    """
    trail = _Trail(root, substitute)
    try:
        if not path.startswith(b"/"):
            for name in start:
                trail.down(name)
        yield _resolve(trail, devices, path, follow, purpose)
    finally:
        trail.close()


def show(names: Names) -> str:
    return "/" + b"/".join(names).decode(errors="replace")


class _Trail:
    """The directories from the root to where a path has got to, each held open."""

    def __init__(self, root: int, substitute: Callable[[bytes], bytes] | None) -> None:
        self._held = [root]
        self._substitute = substitute
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
        with host_errors():
            link = os.readlink(name, dir_fd=self.at)
        return link if self._substitute is None else self._substitute(link)


def _resolve(
    trail: _Trail, devices: Mapping[Names, Device], path: bytes, follow: bool, purpose: Purpose
) -> Found:
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
                    raise KernelError(Errno.EEXIST if purpose in _CREATING else Errno.EACCES, "/")
                return _here(trail)
        name, slash, rest = path.partition(b"/")
        last = not rest.strip(b"/")
        if len(name) > NAME_MAX:
            raise KernelError(Errno.ENAMETOOLONG, "name")
        if name in (b".", b".."):
            if name == b"..":
                trail.up()
            if last:
                _check_dots(name, purpose)
                return _here(trail)
            path = rest.lstrip(b"/")
            continue
        names = (*trail.names, name)
        if device := devices.get(names):
            if slash:
                raise KernelError(Errno.ENOTDIR, show(names))
            return Found(trail.at, name, names, device=device)
        with host_errors():
            status = trail.look(name)
        if status is None:
            if not last or purpose not in _MAY_BE_MISSING:
                raise KernelError(Errno.ENOENT, show(names))
            if slash and purpose is not Purpose.CREATE_DIRECTORY:
                raise KernelError(Errno.ENOTDIR, show(names))
            return Found(trail.at, name, names)
        if stat.S_ISLNK(status.st_mode) and (slash or follow):
            links += 1
            if links > MAXSYMLINKS:
                raise KernelError(Errno.ELOOP, show(names))
            target = trail.read_link(name)
            path = target + slash + rest
            if not target:
                raise KernelError(Errno.ENOENT, "an empty symbolic link")
            if len(path) >= MAXPATHLEN:
                raise KernelError(Errno.ENAMETOOLONG, "symbolic link")
            continue
        if slash and not stat.S_ISDIR(status.st_mode):
            raise KernelError(Errno.ENOTDIR, show(names))
        if last:
            return Found(trail.at, name, names, status)
        trail.down(name)
        path = rest.lstrip(b"/")


def _here(trail: _Trail) -> Found:
    with host_errors():
        return Found(trail.at, b".", tuple(trail.names), os.stat(b".", dir_fd=trail.at))


def _check_dots(name: bytes, purpose: Purpose) -> None:
    """A path that ends in "." or ".." names nothing that could be made, moved or removed."""
    match purpose:
        case Purpose.CREATE | Purpose.CREATE_DIRECTORY:
            raise KernelError(Errno.EEXIST, "dots")
        case Purpose.DELETE:
            raise KernelError(Errno.EINVAL if name == b"." else Errno.ENOTEMPTY, "dots")
        case Purpose.RENAME_FROM | Purpose.RENAME_TO:
            raise KernelError(Errno.EINVAL, "dots")
