"""A temporary directory of the host, and its removal whatever a guest has left in it.

A guest may have taken its own permissions away, put links to anywhere, and moved directories
into each other deeper than a recursion, or the host's descriptors, would reach.
"""

import os
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from emu.kern.host import change_mode

_ROOT = "root"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A new directory, `root`.  It goes away at remove(), or with the object, or at exit."""

    def __init__(self) -> None:
        top = Path(tempfile.mkdtemp(prefix="vkemu-"))
        self.root = top / _ROOT
        self.root.mkdir()
        self.remove = weakref.finalize(self, _remove, top)


def _remove(top: Path) -> None:
    """Remove the directory that is around the root, and everything below, following no link.

    What the host does not let go stays: an emulator that ends has nobody to tell.
    """
    with suppress(OSError):
        at = os.open(top, _DIRECTORY)
        try:
            _empty(at)
        finally:
            os.close(at)
        os.rmdir(top)


def _empty(top: int) -> None:
    """Remove all there is in `top`: directories move up here before it is their turn."""
    waiting = [_ROOT]
    moved = 0
    while waiting:
        name = waiting.pop()
        change_mode(name, 0o700, top)
        inside = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            for below in os.listdir(inside):
                if stat.S_ISDIR(os.stat(below, dir_fd=inside, follow_symlinks=False).st_mode):
                    moved += 1
                    change_mode(below, 0o700, inside)  # what moves must be writable
                    os.rename(below, str(moved), src_dir_fd=inside, dst_dir_fd=top)
                    waiting.append(str(moved))
                else:
                    os.unlink(below, dir_fd=inside)
        finally:
            os.close(inside)
        os.rmdir(name, dir_fd=top)
