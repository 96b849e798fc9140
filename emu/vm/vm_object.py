"""VM objects: where the pages of a mapping come from (sys/vm/vm_object.c).

An object owns its frames.  Map entries and shadows count as references; with the last one the
object goes.  An object that only one shadow still refers to becomes one with it, so that copies of
copies stay as deep as there are living address spaces that need them.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE, round_page
from emu.vm.phys import PhysicalMemory, Region

ANONYMOUS_PAGES = 0x7FFF_FFFF
"""Size of the anonymous object behind a VPAGETABLE mapping (vm_map.c:555)."""


class KernReturn(Enum):
    """What became of a fault (KERN_* in the original)."""

    SUCCESS = "the page is entered"
    FAILURE = "no mapping, or the virtual page table refuses"
    PROTECTION_FAILURE = "the mapping refuses, or the page lies past the end of the object"


class VmFaultError(Exception):
    """A page cannot be had from its object."""

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

    def table(self, index: int) -> tuple[memoryview, int]:
        """Return the page at `index`, writable, as 64-bit words, and the place of the first.

        Raises what page() raises.
        """
        ...

    def span(self) -> tuple[memoryview, int] | None:
        """Return all its pages, writable, as 64-bit words, and how many there are.

        None if they do not lie one behind the other: then table() finds them.
        """
        ...

    def resident(self, first: int, last: int) -> Iterable[int]:
        """Return which of the pages in [first, last) are in memory."""
        ...

    def discard(self, first: int, last: int) -> None:
        """Free the pages in [first, last), which a mapping showed, unless others may see them."""
        ...

    def copy(self) -> "tuple[AnonymousObject, AnonymousObject]":
        """Return two objects that show what this one shows; a write to one leaves the other alone.

        The first is for the mapping that shows this one, and may be this very object.
        """
        ...

    def deref(self) -> None:
        """Drop a reference; with the last one, free everything."""
        ...


class AnonymousObject:
    """Memory that is zero until written, or a copy of another object, its `backing`.

    A page of the backing object shows until it is written; then this object gets its own.
    """

    __slots__ = ("_phys", "aliased", "backing", "pages", "refs", "shadows", "size")

    def __init__(self, phys: PhysicalMemory, size: int, backing: VmObject | None = None) -> None:
        self._phys = phys
        self.size = size
        """In pages.  Where a file is at the bottom, the file decides where it ends."""
        self.pages: dict[int, int] = {}
        """The frames of its own, by page index."""
        self.refs = 0
        self.backing = backing
        self.shadows: set[AnonymousObject] = set()
        """The objects that stand on this one.  Each is a reference."""
        self.aliased = False
        """May a page be in page tables at other addresses than the one that faults?  It may when
        several address spaces show the object."""
        if backing is not None:
            backing.refs += 1
            if isinstance(backing, AnonymousObject):
                backing.shadows.add(self)

    def page(self, index: int, write: bool) -> tuple[int, bool]:
        pa = self.pages.get(index)
        if pa is not None:
            return pa, True
        source = None if self.backing is None else self._page_below(index)
        if source is None:
            if index >= self.size:
                raise VmFaultError(KernReturn.PROTECTION_FAILURE)
            pa = self._phys.alloc()
        elif write:
            pa = self._phys.alloc_copy(source)
            if self.aliased:
                # Whoever only read the page so far is to see the copy from now on.
                for cache in list(self._phys.caches):
                    cache.forget(source, source + PAGE_SIZE)
        else:
            return source, False
        self.pages[index] = pa
        return pa, True

    def table(self, index: int) -> tuple[memoryview, int]:
        pa, _ = self.page(index, True)
        return self._phys.words, pa >> 3

    def span(self) -> None:
        return None

    def _page_below(self, index: int) -> int | None:
        """Return the page at `index` of the first object below that has it."""
        below = self.backing
        while isinstance(below, AnonymousObject):
            pa = below.pages.get(index)
            if pa is not None:
                return pa
            below = below.backing
        return None if below is None else below.page(index, False)[0]

    def resident(self, first: int, last: int) -> Iterable[int]:
        found = set(self._own(first, last))
        below = self.backing
        while isinstance(below, AnonymousObject):
            found.update(below._own(first, last))
            below = below.backing
        return found if below is None else found.union(below.resident(first, last))

    def _own(self, first: int, last: int) -> list[int]:
        pages = self.pages
        if last - first < len(pages):
            return [index for index in range(first, last) if index in pages]
        return [index for index in pages if first <= index < last]

    def discard(self, first: int, last: int) -> None:
        if not self.aliased and not self.shadows:
            self._free(first, last)

    def extend(self, first: int, last: int) -> None:
        """Be zero in [first, last), whatever was there before, and reach that far."""
        self._free(first, last)
        self.size = max(self.size, last)

    def _free(self, first: int, last: int) -> None:
        for index in self._own(first, last):
            self._phys.free(self.pages.pop(index))

    def copy(self) -> "tuple[AnonymousObject, AnonymousObject]":
        if not self.pages and not self.shadows and not self.aliased:
            # Nothing was written since the last copy: the chain need not grow.
            return self, AnonymousObject(self._phys, self.size, self.backing)
        return ShadowObject(self._phys, self), ShadowObject(self._phys, self)

    def deref(self) -> None:
        gone = self
        while True:
            gone.refs -= 1
            if gone.refs:
                if gone.refs == 1 and gone.shadows:
                    gone._collapse()
                return
            for pa in gone.pages.values():
                self._phys.free(pa)
            gone.pages.clear()
            backing, gone.backing = gone.backing, None
            if not isinstance(backing, AnonymousObject):
                if backing is not None:
                    backing.deref()
                return
            backing.shadows.remove(gone)
            gone = backing

    def _collapse(self) -> None:
        """Give everything to the one shadow that is left, at the cost of the fewer pages.

        A page below one of the shadow's own is in no page table any more.
        """
        (shadow,) = self.shadows
        below, above = self.pages, shadow.pages
        if len(above) < len(below):
            for index, pa in above.items():
                if (hidden := below.get(index)) is not None:
                    self._phys.free(hidden)
                below[index] = pa
            shadow.pages = below
        else:
            for index, pa in below.items():
                if index in above:
                    self._phys.free(pa)
                else:
                    above[index] = pa
        shadow.backing = self.backing
        if isinstance(self.backing, AnonymousObject):
            self.backing.shadows.remove(self)
            self.backing.shadows.add(shadow)


class ShadowObject(AnonymousObject):
    """A private copy of another object, page by page as it is written (vm_object_shadow)."""

    __slots__ = ()

    def __init__(self, phys: PhysicalMemory, backing: VmObject) -> None:
        size = backing.size if isinstance(backing, AnonymousObject) else 0
        super().__init__(phys, size, backing)


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

    def table(self, index: int) -> tuple[memoryview, int]:
        if index << PAGE_SHIFT >= self.length:
            raise VmFaultError(KernReturn.PROTECTION_FAILURE)
        return self.region.words, index << PAGE_SHIFT >> 3

    def span(self) -> tuple[memoryview, int]:
        return self.region.words, self.length + PAGE_SIZE - 1 >> PAGE_SHIFT

    def resident(self, first: int, last: int) -> Iterable[int]:
        return range(first, min(last, round_page(self.length) >> PAGE_SHIFT))

    def discard(self, first: int, last: int) -> None:
        """The file keeps its pages."""

    def copy(self) -> tuple[AnonymousObject, AnonymousObject]:
        return ShadowObject(self._phys, self), ShadowObject(self._phys, self)

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
