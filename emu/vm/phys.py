"""Physical memory: RAM in frames of one page, and regions that are host files.

Every frame is free or has one owner (a vm_object page or a page table); the owner frees it.
Physical addresses below `size` are RAM; regions lie above and are files mapped by the host, so
that a store through any alias reaches the file with no copying.

`stale` records what the CPU must forget before it runs again.  Whoever changes memory behind the
CPU's back notes it there; the engine reads and clears it.
"""

import mmap
import sys
from bisect import bisect_right
from collections.abc import Callable
from ctypes import (
    CDLL,
    c_char,
    c_int,
    c_longlong,
    c_size_t,
    c_ubyte,
    c_void_p,
    get_errno,
    memset,
)
from ctypes import addressof as _addressof
from functools import lru_cache
from typing import NoReturn, Protocol
from weakref import WeakSet

from emu.abi.errno import Errno, KernelError
from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE

REGION_FLOOR = 1 << 36
_HUGE_PAGE = 2 << 20
TABLES_IN_USE = 16
"""Frames that dropping the caches must yield to be of use: the page tables of one instruction,
its operands and its stack.  With fewer they would take them from each other for ever."""

REGION_CEILING = 1 << 40  # a page-table entry that points higher is a reserved-bit fault


class Stale:
    """What the CPU still remembers of memory that has changed."""

    __slots__ = ("all_code", "any", "code", "code_pages", "tlb")

    def __init__(self) -> None:
        self.any = False
        self.tlb = False  # translations lost rights, or a page table was freed
        self.code: list[tuple[int, int, int]] = []  # (root, va, size) written by the kernel
        self.all_code = False  # code changed somewhere that is not known by address
        self.code_pages = False  # other pages than before hold code

    def translations(self) -> None:
        self.tlb = self.any = True

    def code_written(self, root: int, va: int, size: int) -> None:
        """Note that the kernel wrote over code at `va`, mapped under the page table `root`."""
        self.code.append((root, va, size))
        self.any = True

    def code_changed(self) -> None:
        self.all_code = self.any = True

    def code_found(self) -> None:
        """Note that a page holds code that did not, and may have been written to as data."""
        self.code_pages = self.tlb = self.any = True

    def clear(self) -> None:
        self.any = self.tlb = self.all_code = self.code_pages = False
        self.code.clear()


class Cache(Protocol):
    """Something made of frames that can be given back at any time, because it can be rebuilt."""

    def drop(self) -> None:
        """Give every frame back."""
        ...

    def forget(self, first: int, last: int) -> None:
        """Drop what refers to the physical pages in [first, last)."""
        ...


class Region:
    """A host file in physical memory, from `base` up.  `size` is what is reserved for it."""

    __slots__ = ("_host", "address", "base", "bytes", "size", "words")

    def __init__(self, base: int, address: int, size: int) -> None:
        self.base = base
        self.address = address
        self.size = size
        self._host = (c_ubyte * size).from_address(address)
        self.bytes = memoryview(self._host).cast("B")
        self.words = self.bytes.cast("Q")


class PhysicalMemory:
    """`size` bytes of RAM, committed by the host as they are touched."""

    def __init__(self, size: int) -> None:
        assert 0 < size <= REGION_FLOOR and size % PAGE_SIZE == 0
        self.size = size
        flags = {}
        if sys.platform != "win32":
            flags["flags"] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        self._host = mmap.mmap(-1, size, **flags)
        if hasattr(mmap, "MADV_HUGEPAGE") and size > _HUGE_PAGE:
            # Frames are touched one after the other: a fault of the host's for each would cost
            # more than everything else that a fault of the guest's does.  Small guests, which do
            # not need more than the first frames, are spared the wait for a large one.
            self._host.madvise(mmap.MADV_HUGEPAGE, _HUGE_PAGE)
        self.address = _addressof(c_char.from_buffer(self._host))
        self.bytes = memoryview(self._host)
        self.words = self.bytes.cast("Q")
        self.stale = Stale()
        self.caches: WeakSet[Cache] = WeakSet()
        self.code: set[int] = set()
        """Page numbers that were ever entered executable since they were allocated."""
        self.kernel_pml4e = 0
        """The word every root table has in slot 511: the engine's own supervisor pages."""
        self.on_map: Callable[[int, int, int], None] = _ignore_map
        self.on_unmap: Callable[[int, int], None] = _ignore_unmap
        self.on_copy: Callable[[int], None] | None = None
        """Called with a page that was copied because somebody wrote to it."""
        self._next = PAGE_SIZE  # frame 0 stays unused: no valid table or page is at address 0
        self._free: list[int] = []
        self._regions: list[Region] = []
        self._bases: list[int] = []

    @property
    def used(self) -> int:
        """Bytes of RAM that have an owner."""
        return self._next - PAGE_SIZE - len(self._free) * PAGE_SIZE

    @property
    def peak(self) -> int:
        """The most bytes of RAM that ever had an owner at once."""
        return self._next - PAGE_SIZE

    def alloc(self) -> int:
        """Return the address of a zeroed frame.  Raise KernelError(ENOMEM) if there is none.

        Before it gives up it drops every cache: a pmap's tables are frames too.
        """
        if self._free:
            pa = self._free.pop()
            memset(self.address + pa, 0, PAGE_SIZE)
            return pa
        if self._next < self.size:
            pa = self._next
            self._next = pa + PAGE_SIZE
            return pa
        for cache in list(self.caches):
            cache.drop()
        return self.alloc() if len(self._free) >= TABLES_IN_USE else self.out_of_memory()

    def alloc_copy(self, source: int) -> int:
        """Return the address of a frame with what is in the page at `source`, as alloc() would."""
        pa = self._free.pop() if self._free else self.alloc()  # it need not be zeroed
        memory = self.bytes
        if source < self.size:
            memory[pa : pa + PAGE_SIZE] = memory[source : source + PAGE_SIZE]
        else:
            memory[pa : pa + PAGE_SIZE] = self.page(source)
        if self.on_copy is not None:
            self.on_copy(source)
        return pa

    def out_of_memory(self) -> NoReturn:
        raise KernelError(Errno.ENOMEM, "out of physical memory")

    def free(self, pa: int) -> None:
        """Give a frame back.  Code that was translated from it must not run again."""
        number = pa >> PAGE_SHIFT
        if number in self.code:
            self.code.discard(number)
            self.stale.code_changed()
            self.stale.code_pages = True
        self._free.append(pa)

    def executable(self, pa: int) -> None:
        """Note that the page at `pa` has become executable somewhere."""
        number = pa >> PAGE_SHIFT
        if number not in self.code:
            self.code.add(number)
            self.stale.code_found()

    def page(self, pa: int) -> memoryview:
        """Return the 4096 bytes of the page at `pa`, writable in place."""
        if pa < self.size:
            return self.bytes[pa : pa + PAGE_SIZE]
        region = self.region(pa)
        offset = pa - region.base
        return region.bytes[offset : offset + PAGE_SIZE]

    def read_u64(self, pa: int) -> int:
        if pa < self.size:
            return self.words[pa >> 3]
        region = self.region(pa)
        return region.words[(pa - region.base) >> 3]

    def write_u64(self, pa: int, value: int) -> None:
        if pa < self.size:
            self.words[pa >> 3] = value
        else:
            region = self.region(pa)
            region.words[(pa - region.base) >> 3] = value

    def region(self, pa: int) -> Region:
        """Return the region that contains `pa`."""
        region = self._regions[bisect_right(self._bases, pa) - 1]
        assert region.base <= pa < region.base + region.size, f"no memory at {pa:#x}"
        return region

    def map_file(self, fd: int, size: int, *, writable: bool) -> Region:
        """Make the host file `fd` a region with room for `size` bytes.

        The file may be shorter and may grow up to that; pages past its end must not be touched.
        Raise KernelError(ENOMEM) if no room is left, or the host refuses.
        """
        base = self._find_space(size)
        address = _host_map(fd, size, writable)
        region = Region(base, address, size)
        at = bisect_right(self._bases, base)
        self._bases.insert(at, base)
        self._regions.insert(at, region)
        self.on_map(base, address, size)
        return region

    def unmap_file(self, region: Region) -> None:
        """Remove a region that nothing maps any more."""
        at = self._regions.index(region)
        del self._regions[at], self._bases[at]
        first = region.base >> PAGE_SHIFT
        dead = [n for n in self.code if first <= n < first + (region.size >> PAGE_SHIFT)]
        self.code.difference_update(dead)
        self.stale.code_changed()
        self.stale.code_pages = True
        self.stale.translations()
        self.on_unmap(region.base, region.size)
        _host_unmap(region.address, region.size)

    def _find_space(self, size: int) -> int:
        """Return the lowest physical address with room for a region of `size` bytes."""
        at = REGION_FLOOR
        for region in self._regions:
            if region.base - at >= size:
                break
            at = region.base + region.size
        if at + size > REGION_CEILING:
            raise KernelError(Errno.ENOMEM, "no physical addresses left for a file")
        return at


_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0)


def _ignore_map(base: int, address: int, size: int) -> None:
    """No engine is attached."""


def _ignore_unmap(base: int, size: int) -> None:
    """No engine is attached."""


def _host_map(fd: int, size: int, writable: bool) -> int:
    """Map `size` bytes of `fd` shared.  Python's own mmap refuses to map past the end of a file."""
    libc = _libc()
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    address: int | None = libc.mmap(None, size, prot, mmap.MAP_SHARED | _NORESERVE, fd, 0)
    if address is None or address == c_void_p(-1).value:
        raise KernelError(Errno.ENOMEM, f"the host cannot map this file: errno {get_errno()}")
    return address


def _host_unmap(address: int, size: int) -> None:
    _libc().munmap(address, size)


@lru_cache
def _libc() -> CDLL:
    libc = CDLL(None, use_errno=True)
    libc.mmap.restype = c_void_p
    libc.mmap.argtypes = (c_void_p, c_size_t, c_int, c_int, c_int, c_longlong)
    libc.munmap.argtypes = (c_void_p, c_size_t)
    return libc
