"""Page tables: the hardware's view of one address space.

A pmap is a cache of what the vm_map knows.  Any entry may be dropped at any time; the next
access faults and vm_fault puts it back.  Nothing above this module writes a page-table entry.
Taking rights away is noted in `phys.stale`; granting them is not, the CPU looks again on a miss.

Every page is entered NX and becomes executable at its first instruction fetch (EXEC_OK says it
may): the engine is ten times slower at storing to pages that hold code.  But through a translation
that is NX it misses stores that change code.  So while a page holds code, as `phys` records, no
translation to it is both writable and NX.
"""

from collections.abc import Iterator

from emu.abi.x86 import LEVEL_SHIFTS, PAGE_SHIFT, PAGE_SIZE, PTE_FRAME, PTES_PER_PAGE, Pte
from emu.vm.phys import PhysicalMemory

# Plain integers: the operators of an IntFlag are a hundred times slower.
_V = int(Pte.V)
_RW = int(Pte.RW)
_NX = int(Pte.NX)
_EXEC_OK = int(Pte.EXEC_OK)
_UNSEEN = _RW | _NX  # after the first of them, the engine does not look at stores any more
_PAGE = PTE_FRAME | _V
_TABLE = int(Pte.V | Pte.RW | Pte.U)  # permissions are decided by the last level alone

_TABLE_SHIFT = 21  # what one page table spans
_TABLE_SPAN = 1 << _TABLE_SHIFT
_SLOT_MASK = PTES_PER_PAGE - 1
_WITHOUT_RW = bytes(byte & ~_RW for byte in range(256))
_NO_ENTRIES = memoryview(bytes(PAGE_SIZE)).cast("Q")
_KERNEL_SLOT = PTES_PER_PAGE - 1

View = tuple[memoryview, int]
"""The 4096 bytes of a page in host memory, and its page number."""


class Pmap:
    """A four-level page table in physical memory; `cr3` is its root."""

    __slots__ = (
        "__weakref__",
        "_generation",
        "_levels",
        "_phys",
        "_tables",
        "_words",
        "cr3",
        "readable",
        "writable",
    )

    def __init__(self, phys: PhysicalMemory) -> None:
        self._phys = phys
        self._words = phys.words
        self.cr3 = phys.alloc()
        self._words[(self.cr3 >> 3) + _KERNEL_SLOT] = phys.kernel_pml4e
        # For each level below the root: (address >> shift) → the frame of the table.
        self._levels: tuple[dict[int, int], dict[int, int], dict[int, int]] = ({}, {}, {})
        self._tables = self._levels[2]
        self._generation = 0
        self.readable: dict[int, View] = {}
        self.writable: dict[int, View] = {}
        """Pages the kernel has accessed and may access again: page number of the address → page.

        They stand for translations like the CPU's own and go when those go.
        """
        phys.caches.add(self)

    def lookup(self, va: int) -> int:
        """Return the page-table entry for `va`, 0 if there is none."""
        table = self._tables.get(va >> _TABLE_SHIFT)
        if table is None:
            return 0
        return self._words[(table >> 3) + (va >> PAGE_SHIFT & _SLOT_MASK)]

    def extract(self, va: int) -> int | None:
        """Return the physical page behind `va`, or None if it is not mapped."""
        pte = self.lookup(va)
        return pte & PTE_FRAME if pte & _V else None

    def enter(self, va: int, pte: int) -> None:
        """Map the page at `va` as `pte` says, replacing what was there.

        Raise KernelError(ENOMEM) if there is no room for a table.
        """
        table = self._tables.get(va >> _TABLE_SHIFT)
        if table is None:
            table = self._make_table(va)
        slot = (table >> 3) + (va >> PAGE_SHIFT & _SLOT_MASK)
        words = self._words
        old = words[slot]
        if old & _V and ((old ^ pte) & PTE_FRAME or old & _RW & ~pte or pte & _NX & ~old):
            self._phys.stale.translations()
            self.readable.pop(va >> PAGE_SHIFT, None)
            self.writable.pop(va >> PAGE_SHIFT, None)
        words[slot] = pte

    def mark(self, va: int, bits: int) -> None:
        """Set `bits` (accessed, dirty) in the entry for `va`, which must exist."""
        table = self._tables[va >> _TABLE_SHIFT]
        self._words[(table >> 3) + (va >> PAGE_SHIFT & _SLOT_MASK)] |= bits

    def allow_execute(self, va: int) -> bool:
        """Clear NX at `va` if the page may be executed; return whether it may."""
        pte = self.lookup(va)
        if not (pte & _V and pte & _EXEC_OK):
            return False
        table = self._tables[va >> _TABLE_SHIFT]
        self._words[(table >> 3) + (va >> PAGE_SHIFT & _SLOT_MASK)] = pte & ~_NX
        self._phys.begin_code((pte & PTE_FRAME) >> PAGE_SHIFT)
        return True

    def allow_execute_once(self, va: int, number: int) -> bool:
        """Clear NX at `va` if page `number` is there, whoever can store to it; return whether."""
        pte = self.lookup(va)
        if pte & _PAGE != number << PAGE_SHIFT | _V or not pte & _EXEC_OK:
            return False
        table = self._tables[va >> _TABLE_SHIFT]
        self._words[(table >> 3) + (va >> PAGE_SHIFT & _SLOT_MASK)] = pte & ~_NX
        return True

    def deny_unseen_stores(self, number: int) -> None:
        """Take the right to write to page `number` from translations that are not executable."""
        for where in self._translations(number):
            if self._words[where] & _UNSEEN == _UNSEEN:
                self._words[where] &= ~_RW
                self._phys.stale.translations()

    def deny_execute(self, number: int) -> None:
        """Make every translation to page `number` NX, until the next fetch."""
        for where in self._translations(number):
            if not self._words[where] & _NX:
                self._words[where] |= _NX
                self._phys.stale.translations()

    def remove(self, start: int, end: int) -> None:
        """Drop every translation in [start, end), at the cost of the tables that exist there."""
        _forget_views(self.readable, start, end)
        _forget_views(self.writable, start, end)
        for key in self._table_keys(start, end):
            table = self._tables[key]
            base = key << _TABLE_SHIFT
            if start <= base and base + _TABLE_SPAN <= end:
                self._free_table(key)
            else:
                first = (max(start, base) - base) >> PAGE_SHIFT
                last = (min(end, base + _TABLE_SPAN) - base) >> PAGE_SHIFT
                at = table >> 3
                self._words[at + first : at + last] = _NO_ENTRIES[: last - first]
            self._phys.stale.translations()

    def protect(self, start: int, end: int, *, write: bool, execute: bool) -> None:
        """Take the right to write, or to execute, away from every translation in [start, end)."""
        if not write:
            _forget_views(self.writable, start, end)
        memory = self._phys.bytes
        for key in self._table_keys(start, end):
            base = key << _TABLE_SHIFT
            table = self._tables[key]
            first = table + ((max(start, base) - base) >> PAGE_SHIFT << 3)
            last = table + ((min(end, base + _TABLE_SPAN) - base) >> PAGE_SHIFT << 3)
            if not write:
                # The right is a bit of every eighth byte: slices of bytes are much faster than
                # a loop over words.
                entries = bytearray(memory[first:last])
                entries[::8] = entries[::8].translate(_WITHOUT_RW)
                memory[first:last] = entries
            if not execute:
                for slot in range(first >> 3, last >> 3):
                    if pte := self._words[slot]:
                        if (pte & PTE_FRAME) >> PAGE_SHIFT in self._phys.code:
                            pte &= ~_RW
                        self._words[slot] = pte & ~_EXEC_OK | _NX
            self._phys.stale.translations()

    def forget(self, first: int, last: int) -> None:
        """Drop every translation to a physical page in [first, last)."""
        for key, table in self._tables.items():
            at = table >> 3
            for slot, pte in enumerate(self._words[at : at + PTES_PER_PAGE].tolist()):
                if first <= pte & PTE_FRAME < last and pte & _V:
                    self._words[at + slot] = 0
                    number = (key << _TABLE_SHIFT - PAGE_SHIFT) + slot
                    self.readable.pop(number, None)
                    self.writable.pop(number, None)
                    self._phys.stale.translations()

    def drop(self) -> None:
        """Forget everything but the root; give the tables' frames back."""
        for level in self._levels:
            for frame in level.values():
                self._phys.free(frame)
            level.clear()
        root = self.cr3 >> 3
        self._words[root : root + _KERNEL_SLOT] = _NO_ENTRIES[:_KERNEL_SLOT]
        self.readable.clear()
        self.writable.clear()
        self._generation += 1
        self._phys.stale.translations()

    def destroy(self) -> None:
        """Give every frame back.  The pmap must not be used any more."""
        self.drop()
        self._phys.caches.discard(self)
        self._phys.free(self.cr3)

    def entries(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (address, entry) of every page mapped in [start, end)."""
        for key in self._table_keys(start, end):
            base = key << _TABLE_SHIFT
            at = self._tables[key] >> 3
            for slot, pte in enumerate(self._words[at : at + PTES_PER_PAGE].tolist()):
                va = base + (slot << PAGE_SHIFT)
                if pte & _V and start <= va < end:
                    yield va, pte

    def _translations(self, number: int) -> Iterator[int]:
        """Yield the index of each word that maps page `number`."""
        needle = (number >> 4).to_bytes(4, "little")  # bytes 2 to 5 of the entry
        for table in self._tables.values():
            entries = bytes(self._phys.bytes[table : table + PAGE_SIZE])
            at = entries.find(needle)
            while at >= 0:
                where = (table + at) >> 3
                if at & 7 == 2 and self._words[where] & _PAGE == number << PAGE_SHIFT | _V:
                    yield where
                at = entries.find(needle, at + 1)

    def _table_keys(self, start: int, end: int) -> list[int]:
        """Return the keys of the page tables that exist in [start, end)."""
        first, last = start >> _TABLE_SHIFT, (end - 1) >> _TABLE_SHIFT
        if last - first < len(self._tables):
            return [key for key in range(first, last + 1) if key in self._tables]
        return [key for key in self._tables if first <= key <= last]

    def _free_table(self, key: int) -> None:
        parent = self._levels[1][key >> 9]
        self._words[(parent >> 3) + (key & _SLOT_MASK)] = 0
        self._phys.free(self._tables.pop(key))

    def _make_table(self, va: int) -> int:
        """Return the frame of the page table for `va`, making the levels above it too."""
        for _attempt in range(2):
            generation = self._generation
            parent = self.cr3
            for shift, level in zip(LEVEL_SHIFTS, self._levels, strict=False):
                # Key of the table that the entry at this level points to.
                frame = level.get(va >> shift)
                if frame is None:
                    frame = self._phys.alloc()
                    if generation != self._generation:
                        # Out of frames: alloc() has dropped this very pmap.  Begin again.
                        self._phys.free(frame)
                        break
                    self._words[(parent >> 3) + (va >> shift & _SLOT_MASK)] = frame | _TABLE
                    level[va >> shift] = frame
                parent = frame
            else:
                return parent
        return self._phys.out_of_memory()


def _forget_views(views: dict[int, View], start: int, end: int) -> None:
    if end - start == PAGE_SIZE:
        views.pop(start >> PAGE_SHIFT, None)
    else:
        views.clear()
