"""Directories that somebody holds by name; they follow renames (sys/kern/vfs_cache.c).

A working directory and an open directory are places in the tree of names, and "..", openat()
and getcwd() count from there.  When a directory on the way gets another name, the place has
moved with it.
"""

from weakref import WeakSet

from emu.abi.errno import Errno, KernelError

Names = tuple[bytes, ...]
"""A place in the tree: the names on the way from its root."""


class Nchandle:
    """A directory that is held (struct nchandle)."""

    __slots__ = ("__weakref__", "_names")

    def __init__(self, names: Names = ()) -> None:
        self._names: Names | None = names

    @property
    def names(self) -> Names:
        """Where the directory is now.  ENOENT if it was removed."""
        if self._names is None:
            raise KernelError(Errno.ENOENT, "the directory was removed")
        return self._names

    def move(self, old: Names, new: Names | None) -> None:
        """What was at `old` is at `new` now, or nowhere."""
        if self._names is not None and self._names[: len(old)] == old:
            self._names = None if new is None else new + self._names[len(old) :]


class Namecache:
    """Every directory of a tree that is held."""

    def __init__(self) -> None:
        self._held: WeakSet[Nchandle] = WeakSet()

    def hold(self, names: Names) -> Nchandle:
        handle = Nchandle(names)
        self._held.add(handle)
        return handle

    def renamed(self, old: Names, new: Names) -> None:
        """What was at `old` is at `new` now; what was there is no more."""
        self.removed(new)
        for handle in self._held:
            handle.move(old, new)

    def removed(self, names: Names) -> None:
        for handle in self._held:
            handle.move(names, None)
