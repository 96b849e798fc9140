"""The map of an address space: which range shows what, with which rights (sys/vm/vm_map.c).

Entries are disjoint, sorted, page aligned and never empty.  A mapping costs one entry, whatever
its size.  The map knows nothing of page tables; vmspace keeps the two in step.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Inherit
from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE
from emu.vm.vm_object import AnonymousObject, VmObject

MAX_ENTRIES = 1 << 16
"""Of one map."""
MAX_ALL_ENTRIES = 1 << 18
_RESERVED = 4
"""What mmap leaves, so that what it replaces can be split, and stacks can grow."""

Copies = dict[VmObject, tuple[AnonymousObject, AnonymousObject]]
"""The copies a fork has made: object → the parent's, the child's."""


@dataclass(slots=True, eq=False)
class VmMapEntry:
    start: int
    end: int
    object: VmObject
    offset: int = 0
    """Bytes: the place of `start` in the object.  In a VPAGETABLE entry only a bias of the address
    that is looked up in the virtual page table (abi 6.13)."""
    prot: int = PROT_ALL
    max_prot: int = PROT_ALL
    inherit: Inherit = Inherit.COPY
    vpagetable: bool = False
    root: int = 0
    """The virtual page table's root entry, set by MADV_SETMAP.  0 is not valid."""
    stack_reserve: int = 0
    """Bytes below `start` into which the entry may still grow."""
    nosync: bool = False
    nocore: bool = False

    def __post_init__(self) -> None:
        # Every fault calculates with them, and the operators of an IntFlag are slow.
        self.prot, self.max_prot = int(self.prot), int(self.max_prot)


class EntryCount:
    """How many entries several maps have.  They cost the host memory that is no frame."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class VmMap:
    """The entries of one address space, [0, `limit`).  `count` is shared by all of a machine."""

    def __init__(self, limit: int, count: EntryCount | None = None) -> None:
        self.limit = limit
        self._count = count or EntryCount()
        self._starts: list[int] = []
        self._entries: list[VmMapEntry] = []

    def __iter__(self) -> Iterator[VmMapEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Are there so many entries that no more are to be made?"""
        return not self._has_room(_RESERVED)

    def _has_room(self, more: int) -> bool:
        return (
            len(self._entries) + more <= MAX_ENTRIES and self._count.used + more <= MAX_ALL_ENTRIES
        )

    def lookup(self, va: int) -> VmMapEntry | None:
        """Return the entry that contains `va`."""
        at = bisect_right(self._starts, va) - 1
        if at < 0:
            return None
        entry = self._entries[at]
        return entry if va < entry.end else None

    def above(self, va: int) -> VmMapEntry | None:
        """Return the first entry that starts above `va`."""
        at = bisect_right(self._starts, va)
        return self._entries[at] if at < len(self._entries) else None

    def overlapping(self, start: int, end: int) -> list[VmMapEntry]:
        """Return the entries that share an address with [start, end)."""
        if start >= end:
            return []
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._entries[first].end <= start:
            first += 1
        return self._entries[first : bisect_right(self._starts, end - 1)]

    def covers(self, start: int, end: int) -> bool:
        """Is every address of [start, end) mapped?"""
        at = start
        for entry in self.overlapping(start, end):
            if entry.start > at:
                return False
            at = entry.end
        return at >= end

    def find_space(
        self, hint: int, size: int, alignment: int = PAGE_SIZE, *, for_stack: bool = False
    ) -> int:
        """Return the lowest free aligned address at or above `hint` with room for `size` bytes.

        Where a stack may still grow is not free, but for another stack.  Raise
        KernelError(ENOMEM) if there is none.
        """
        at = -(-hint // alignment) * alignment
        index = bisect_right(self._starts, at) - 1
        for entry in self._entries[max(index, 0) :]:
            if entry.end <= at:
                continue
            if entry.start - (0 if for_stack else entry.stack_reserve) - at >= size:
                break
            at = -(-entry.end // alignment) * alignment
        if at + size > self.limit:
            raise KernelError(Errno.ENOMEM, f"no room for {size:#x} bytes")
        return at

    def insert(self, entry: VmMapEntry) -> VmMapEntry:
        """Add `entry`, whose range must be free, and take a reference to its object.

        Return the entry that now covers the range: anonymous memory right behind other anonymous
        memory of the same sort only makes that one longer.
        """
        assert 0 <= entry.start < entry.end <= self.limit
        assert not self.overlapping(entry.start, entry.end), f"{entry.start:#x} is taken"
        if before := self._coalescible(entry):
            before.end = entry.end
            return before
        entry.object.refs += 1
        self._put(entry)
        return entry

    def clip(self, start: int, end: int) -> list[VmMapEntry]:
        """Split entries so that they begin and end at `start` and `end`; return those between.

        Raise KernelError(ENOMEM), with nothing changed, if that makes too many.
        """
        splits = self._splits(start) + self._splits(end)
        if splits and not self._has_room(splits):
            raise KernelError(Errno.ENOMEM, "too many map entries")
        self._split(start)
        self._split(end)
        return self.overlapping(start, end)

    def join(self, start: int, end: int) -> None:
        """Merge the neighbours in and around [start, end) that differ in nothing (after a clip).

        Unlike the original's, entries with different virtual page tables stay apart.
        """
        for entry in self.overlapping(max(start - 1, 0), min(end + 1, self.limit)):
            at = bisect_right(self._starts, entry.start) - 1
            before = self._entries[at - 1] if at > 0 else None
            if before is not None and _continues(before, entry):
                before.end = entry.end
                self._delete(at)
                entry.object.deref()

    def remove(self, start: int, end: int) -> None:
        """Take [start, end) out of the map and free the memory that only it showed."""
        for entry in self.clip(start, end):
            self._delete(bisect_right(self._starts, entry.start) - 1)
            if not entry.vpagetable:
                # Pieces of one mapping show different pages of its object.
                first = entry.offset >> PAGE_SHIFT
                pages = (entry.end - entry.start) >> PAGE_SHIFT
                entry.object.discard(first, first + pages)
            entry.object.deref()

    def fork(self) -> "VmMap":
        """Return the map of a child: each entry by its inheritance (vmspace_fork).

        The page table still has the right to write to what was copied; the caller takes it away.
        Raise KernelError(ENOMEM) if there would be too many entries.
        """
        if self._count.used + len(self) > MAX_ALL_ENTRIES:
            raise KernelError(Errno.ENOMEM, "too many map entries")
        child = VmMap(self.limit, self._count)
        copies: Copies = {}
        for entry in self._entries:
            memory = entry.object
            if entry.inherit == Inherit.NONE:
                continue
            if entry.inherit == Inherit.COPY:
                memory = _copy(entry, copies)
            elif isinstance(memory, AnonymousObject):
                memory.aliased = True
            memory.refs += 1
            child._put(replace(entry, object=memory))
        return child

    def _put(self, entry: VmMapEntry) -> None:
        at = bisect_right(self._starts, entry.start)
        self._starts.insert(at, entry.start)
        self._entries.insert(at, entry)
        self._count.used += 1

    def _delete(self, at: int) -> None:
        del self._starts[at], self._entries[at]
        self._count.used -= 1

    def _splits(self, va: int) -> bool:
        """Is `va` inside an entry, and no boundary?"""
        entry = self.lookup(va)
        return entry is not None and entry.start != va

    def _split(self, va: int) -> None:
        """Make `va` a boundary between entries, if an entry contains it."""
        entry = self.lookup(va)
        if entry is None or entry.start == va:
            return
        upper = replace(entry, start=va, offset=entry.offset + va - entry.start, stack_reserve=0)
        entry.end = va
        entry.object.refs += 1
        self._put(upper)

    def _coalescible(self, entry: VmMapEntry) -> VmMapEntry | None:
        """Return the entry before `entry` if it can simply be made longer (vm_object_coalesce)."""
        before = self.lookup(entry.start - 1) if entry.start else None
        if (
            before is None
            or entry.vpagetable
            or entry.stack_reserve
            or not isinstance(before.object, AnonymousObject)
            or not isinstance(entry.object, AnonymousObject)
            or before.object.refs != 1
            or before.object.backing is not None
            or entry.object.refs
            or entry.object.backing is not None
            or entry.offset
            or not _alike(before, entry)
        ):
            return None
        tail = (before.offset + before.end - before.start) >> PAGE_SHIFT
        # Pages that others still saw when they were unmapped may be there.
        before.object.extend(tail, tail + ((entry.end - entry.start) >> PAGE_SHIFT))
        return before


def _copy(entry: VmMapEntry, copies: Copies) -> VmObject:
    """Return a copy of what `entry` shows, which becomes one of two copies itself.

    Pieces of one mapping stay pieces of one object.  Not so the mappings of a file, which may
    show the same page twice: they part.
    """
    memory = entry.object
    if (pair := copies.get(memory)) is None:
        pair = memory.copy()
        if isinstance(memory, AnonymousObject):
            copies[memory] = pair
    ours, theirs = pair
    if ours is not memory:
        ours.aliased |= entry.vpagetable  # one page, many addresses
        ours.refs += 1
        entry.object = ours
        memory.deref()
    return theirs


def _alike(a: VmMapEntry, b: VmMapEntry) -> bool:
    return (
        a.prot == b.prot
        and a.max_prot == b.max_prot
        and a.inherit == b.inherit
        and a.vpagetable == b.vpagetable
        and a.root == b.root
        and a.nosync == b.nosync
        and a.nocore == b.nocore
    )


def _continues(before: VmMapEntry, entry: VmMapEntry) -> bool:
    return (
        before.end == entry.start
        and before.object is entry.object
        and before.offset + before.end - before.start == entry.offset
        and not entry.stack_reserve
        and _alike(before, entry)
    )
