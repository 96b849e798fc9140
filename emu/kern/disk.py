"""How much of the host's disk a guest may use.

A limited tree counts what this run added: the blocks that the host has allocated to its files,
measured after every change, and one page for every name.  A hole costs nothing, so a file may be
far longer than the disk is large, as the memory image of a virtual kernel is.  Removing or
cutting a file that was there before gives room.

A change is refused before it is made, if the blocks it can need are more than are left.  When
that is close, the holes in the range decide: what has its block already can always be rewritten.

A store through a mapping would allocate where no call sees it.  So a page of a mapped file is
entered writable only at a fault that wants to write, and the fault allocates its block first.
Without room that is as if memory had run out.  A read through a virtual page table asks for the
page as a write does, and fills holes.

The host has the last word about what is allocated: where it compresses, shares or counts late,
so does the account.  A store may bring neighbouring pages with it, where the host caches files in
larger pieces; the account learns of them with the next change to that file.
"""

from emu.abi.errno import Errno, KernelError
from emu.abi.x86 import PAGE_SIZE

ENTRY = PAGE_SIZE
"""What a name costs: room for it in its directory, and for the inode."""
STAT_BLOCK = 512
"""What st_blocks counts in."""


class Disk:
    """The account of a tree.  `size` is None where there is no limit."""

    __slots__ = ("size", "used")

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.used = 0
        """Negative once the guest has removed more than it added."""

    @property
    def free(self) -> int:
        assert self.size is not None
        return max(self.size - self.used, 0)

    def has(self, more: int) -> bool:
        return self.size is None or self.used + more <= self.size

    def check(self, more: int) -> None:
        """Raise ENOSPC unless there is room for `more` bytes."""
        if not self.has(more):
            raise KernelError(Errno.ENOSPC, f"{self.used} of {self.size} bytes are used")
