"""VM objects: where the pages of a mapping come from (sys/vm/vm_object.c).

An object owns its frames.  Map entries count as references; with the last one the object goes.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE, round_page
from emu.vm.phys import PhysicalMemory, Region

ANONYMOUS_PAGES = 0x7FFF_FFFF
"""Size of the anonymous object behind a VPAGETABLE mapping (vm_map.c:555)."""


class KernReturn(Enum):
    """Why a fault cannot be resolved (KERN_* in the original)."""

    FAILURE = "no mapping, or the virtual page table refuses"
    PROTECTION_FAILURE = "the mapping refuses, or the page lies past the end of the object"


class VmFaultError(Exception):
    """A page cannot be had; the caller makes it EFAULT, a signal or a reflected trap."""

    def __init__(self, result: KernReturn) -> None:
        super().__init__(result.value)
        self.result = result


class VmObject(Protocol):
    refs: int

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        """Return the physical page at `index`, and whether it may be mapped writable.

        Raise VmFaultError(PROTECTION_FAILURE) past the end, KernelError(ENOMEM) without memory.
        """
        ...

    def resident(self, first: int, last: int) -> Iterable[int]:
        """Return which of the pages in [first, last) are in memory."""
        ...

    def discard(self, first: int, last: int) -> None:
        """Free the pages in [first, last), which nothing maps any more."""
        ...

    def deref(self) -> None:
        """Drop a reference; with the last one, free everything."""
        ...


class _Pages:
    """Frames by page index, for the objects that own frames of RAM."""

    __slots__ = ("_phys", "pages", "refs")

    def __init__(self, phys: PhysicalMemory) -> None:
        self._phys = phys
        self.pages: dict[int, int] = {}
        self.refs = 0

    def resident(self, first: int, last: int) -> Iterable[int]:
        return self._own(first, last)

    def _own(self, first: int, last: int) -> list[int]:
        pages = self.pages
        if last - first < len(pages):
            return [index for index in range(first, last) if index in pages]
        return [index for index in pages if first <= index < last]

    def discard(self, first: int, last: int) -> None:
        for index in self._own(first, last):
            self._phys.free(self.pages.pop(index))

    def deref(self) -> None:
        self.refs -= 1
        if self.refs == 0:
            for pa in self.pages.values():
                self._phys.free(pa)
            self.pages.clear()
            self._released()

    def _released(self) -> None:
        """The last reference is gone."""


class AnonymousObject(_Pages):
    """Memory that is zero until written."""

    __slots__ = ("size",)

    def __init__(self, phys: PhysicalMemory, size: int) -> None:
        super().__init__(phys)
        self.size = size
        """In pages."""

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        pa = self.pages.get(index)
        if pa is None:
            if index >= self.size:
                raise VmFaultError(KernReturn.PROTECTION_FAILURE)
            pa = self.pages[index] = self._phys.alloc()
        return pa, True


class ShadowObject(_Pages):
    """A private copy of another object, page by page as it is written."""

    __slots__ = ("_backing",)

    def __init__(self, phys: PhysicalMemory, backing: VmObject) -> None:
        super().__init__(phys)
        self._backing = backing
        backing.refs += 1

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        pa = self.pages.get(index)
        if pa is not None:
            return pa, True
        source, _ = self._backing.page(index, False)
        if not write:
            return source, False
        pa = self._phys.alloc()
        self._phys.copy_page(source, pa)
        self.pages[index] = pa
        return pa, True

    def resident(self, first: int, last: int) -> Iterable[int]:
        return {*self._own(first, last), *self._backing.resident(first, last)}

    def _released(self) -> None:
        self._backing.deref()


class FileObject:
    """A regular file, shared: its pages are a region of physical memory."""

    __slots__ = ("_phys", "_release", "length", "refs", "region")

    def __init__(
        self,
        phys: PhysicalMemory,
        region: Region,
        length: int,
        release: Callable[["FileObject"], None],
    ) -> None:
        self._phys = phys
        self._release = release
        self.region = region
        self.length = length
        """The file's length in bytes, kept by the kernel."""
        self.refs = 0

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        if index << PAGE_SHIFT >= self.length:
            raise VmFaultError(KernReturn.PROTECTION_FAILURE)
        return self.region.base + (index << PAGE_SHIFT), True

    def resident(self, first: int, last: int) -> Iterable[int]:
        return range(first, min(last, round_page(self.length) >> PAGE_SHIFT))

    def discard(self, first: int, last: int) -> None:
        """The file keeps its pages."""

    def resize(self, length: int) -> None:
        """Follow the file's length.  No translation to a page past the new end survives."""
        cut, end = round_page(length), round_page(self.length)
        self.length = length
        if cut < end:
            for cache in list(self._phys.caches):
                cache.forget(self.region.base + cut, self.region.base + end)

    def holds_code(self, offset: int, size: int) -> bool:
        """Was any of the pages that [offset, offset+size) touches ever executed?"""
        base = self.region.base
        first = (base + offset) >> PAGE_SHIFT
        last = (base + offset + size + PAGE_SIZE - 1) >> PAGE_SHIFT
        code = self._phys.code
        if last - first > len(code):
            return any(first <= number < last for number in code)
        return any(number in code for number in range(first, last))

    def deref(self) -> None:
        self.refs -= 1
        if self.refs == 0:
            self._release(self)
