"""An address space: a map and the page table that caches it (struct vmspace, vm_mmap.c).

What the kernel reads and writes on a program's behalf goes through the same translations as the
program's own accesses, faults pages in alike and sets the same accessed and modified bits.
"""

from ctypes import Structure, sizeof
from typing import TypeVar

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Inherit, Madv, Mincore, Prot
from emu.abi.versions import AbiVersion
from emu.abi.x86 import (
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    PTE_FRAME,
    U64_MASK,
    Pte,
    round_page,
    trunc_page,
)
from emu.vm.phys import PhysicalMemory
from emu.vm.pmap import Pmap, View
from emu.vm.vm_fault import vm_fault
from emu.vm.vm_map import EntryCount, VmMap, VmMapEntry
from emu.vm.vm_object import AnonymousObject, KernReturn, VmObject

STACK_STEP = 128 << 10
"""A stack is mapped, and grows, in steps of this many bytes (sgrowsiz)."""

STACK_SIZE = 512 << 20
"""How far a process's stack may grow, down from the end of its space (maxssiz)."""

S = TypeVar("S", bound=Structure)

_NO_LIMIT = (1 << 63) - 1

_READ = int(Prot.READ)
_WRITE = int(Prot.WRITE)
_VALID = int(Pte.V)
_WRITABLE = int(Pte.V | Pte.RW)
_ACCESSED = int(Pte.A)
_DIRTY = int(Pte.A | Pte.D)


class Vmspace:
    """The address space [0, abi.user_max).  It costs one page until something in it is touched."""

    __slots__ = (
        "_abi",
        "_count",
        "_grows",
        "_phys",
        "data_size",
        "data_start",
        "map",
        "pmap",
        "readable",
        "refs",
        "size_limit",
        "stack_limit",
        "text_start",
        "user_max",
        "writable",
    )

    def __init__(
        self,
        phys: PhysicalMemory,
        abi: AbiVersion,
        *,
        grows: bool,
        count: EntryCount | None = None,
    ) -> None:
        """`count` is of the map entries of all spaces of a machine; the first one begins it."""
        self._phys = phys
        self._abi = abi
        self._grows = grows  # stacks grow in a process's own space only
        self.refs = 1
        """Processes that share the space."""
        self.user_max = abi.user_max
        self.text_start = 0
        self.data_start = 0
        """Where mmap's hint and the break are counted from (abi 6.9, 6.10)."""
        self.data_size = 0
        self.stack_limit = self.size_limit = _NO_LIMIT
        """RLIMIT_STACK and RLIMIT_VMEM of the process, or of the last of several that set it."""
        self._count = count or EntryCount()
        self.map = VmMap(abi.user_max, self._count)
        self.pmap = Pmap(phys)
        self.readable = self.pmap.readable
        self.writable = self.pmap.writable

    def empty(self) -> "Vmspace":
        """Return a new, empty space that a virtual kernel may fill."""
        return Vmspace(self._phys, self._abi, grows=False, count=self._count)

    def fresh(self) -> "Vmspace":
        """Return a new, empty space for a process's next program."""
        fresh = Vmspace(self._phys, self._abi, grows=True, count=self._count)
        fresh.stack_limit, fresh.size_limit = self.stack_limit, self.size_limit
        return fresh

    def fork(self) -> "Vmspace":
        """Return a space for a child: each mapping shared, copied when written, or left out.

        Raise KernelError(ENOMEM), with nothing changed, if there is no frame for it, or no room
        for the map entries.
        """
        child = Vmspace(self._phys, self._abi, grows=self._grows, count=self._count)
        try:
            child.map = self.map.fork()
        except KernelError:
            child.destroy()
            raise
        child.text_start, child.data_start = self.text_start, self.data_start
        child.data_size = self.data_size
        child.stack_limit, child.size_limit = self.stack_limit, self.size_limit
        for entry in self.map:
            if entry.inherit == Inherit.COPY and entry.prot & _WRITE:
                # Dropped translations would show in the P bit of a later fault (abi 7.5).
                self.pmap.protect(entry.start, entry.end, write=False, execute=True)
        return child

    def hold(self) -> "Vmspace":
        """One process more shares the space (vfork, rfork)."""
        self.refs += 1
        return self

    def drop(self) -> None:
        """One process less; the last one takes the space with it."""
        self.refs -= 1
        if self.refs == 0:
            self.destroy()

    def destroy(self) -> None:
        """Unmap everything and give every frame back."""
        self.map.remove(0, self.user_max)
        self.pmap.destroy()

    # Faults

    def fault(self, va: int, access: int) -> KernReturn:
        """Resolve an access to `va`.  Returns and raises what vm_fault() does."""
        entry = self.map.lookup(va)
        if entry is None:
            if self._grows and va < self.user_max:
                self._grow_stack(va)
                entry = self.map.lookup(va)
            if entry is None:
                return KernReturn.FAILURE
        return vm_fault(self._phys, self._abi, entry, self.pmap, va, access)

    def _grow_stack(self, va: int) -> None:
        """Extend the stack above `va` down to it, if there is one (vm_map_growstack)."""
        entry = self.map.above(va)
        if entry is None:
            return
        lowest = entry.start - entry.stack_reserve
        if va >= self.user_max - STACK_SIZE:
            lowest = max(lowest, round_page(self.user_max - self.stack_limit))
        if va < lowest:
            return
        start = max(entry.start - -(-(entry.start - va) // STACK_STEP) * STACK_STEP, lowest)
        if self.exceeds_limit(entry.start - start):
            return
        below = self.map.overlapping(start, entry.start)
        if below:
            start = below[-1].end
        reserve = entry.stack_reserve - (entry.start - start)
        self.map.insert(
            VmMapEntry(
                start,
                entry.start,
                AnonymousObject(self._phys, (entry.start - start) >> PAGE_SHIFT),
                stack_reserve=reserve,
            )
        )

    def exceeds_limit(self, more: int) -> bool:
        """Would `more` bytes of mappings be more than RLIMIT_VMEM allows?"""
        limit = self.size_limit
        if limit == _NO_LIMIT:
            return False
        return sum(entry.end - entry.start for entry in self.map) + more > limit

    # Access by the kernel

    def borrow(self, va: int, size: int) -> memoryview | bytes:
        """Return `size` bytes at `va`, to be used at once: in place, if they lie in one page.

        Raise KernelError(EFAULT) if they cannot be read.
        """
        offset = va & PAGE_MASK
        end = offset + size
        if end <= PAGE_SIZE:
            cached = self.readable.get(va >> PAGE_SHIFT)
            if cached is not None:
                return cached[0][offset:end]
        return self.copyin(va, size)

    def copyin(self, va: int, size: int) -> bytes:
        """Return `size` bytes at `va`.  Raise KernelError(EFAULT) if they cannot be read."""
        self._check_range(va, size)
        pieces = []
        while size:
            offset = va & PAGE_MASK
            step = min(size, PAGE_SIZE - offset)
            page, _ = self._view(va, write=False)
            pieces.append(bytes(page[offset : offset + step]))
            va += step
            size -= step
        return b"".join(pieces)

    def copyout(self, va: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at `va`.

        Raise KernelError(EFAULT) if that cannot be done; pages before the bad one are written.
        """
        size = len(data)
        offset = va & PAGE_MASK
        if offset + size <= PAGE_SIZE:
            cached = self.writable.get(va >> PAGE_SHIFT)
            if cached is not None:
                page, number = cached
                page[offset : offset + size] = data
                if number in self._phys.code:
                    self._phys.stale.code_written(self.pmap.cr3, va, size)
                return
        self._check_range(va, size)
        at = 0
        while at < size:
            offset = va & PAGE_MASK
            step = min(size - at, PAGE_SIZE - offset)
            cached = self.writable.get(va >> PAGE_SHIFT)
            page, number = cached if cached is not None else self._view(va, write=True)
            page[offset : offset + step] = data[at : at + step]
            if number in self._phys.code:
                self._phys.stale.code_written(self.pmap.cr3, va, step)
            va += step
            at += step

    def copyin_struct(self, va: int, kind: type[S]) -> S:
        """Return the structure at `va`, copied.  Raises what copyin() raises."""
        return kind.from_buffer_copy(self.copyin(va, sizeof(kind)))

    def copyinstr(self, va: int, limit: int) -> bytes:
        """Return the string at `va` without its NUL.

        Raise KernelError: EFAULT, or ENAMETOOLONG if `limit` bytes hold no NUL.
        """
        text = b""
        while len(text) < limit:
            step = min(limit - len(text), PAGE_SIZE - (va & PAGE_MASK))
            chunk = self.copyin(va, step)
            end = chunk.find(0)
            if end >= 0:
                return text + chunk[:end]
            text += chunk
            va += step
        raise KernelError(Errno.ENAMETOOLONG)

    def peek(self, va: int, size: int) -> bytes | None:
        """Return what is at `va` without leaving a mark, or None where nothing is mapped now."""
        pieces = []
        while size:
            pa = self.pmap.extract(va) if va < self.user_max else None
            if pa is None:
                return None
            offset = va & PAGE_MASK
            step = min(size, PAGE_SIZE - offset)
            pieces.append(bytes(self._phys.page(pa)[offset : offset + step]))
            va += step
            size -= step
        return b"".join(pieces)

    def physical(self, va: int, *, write: bool) -> int:
        """Return the physical address of `va`, which is faulted in.  EFAULT if it cannot be."""
        self._check_range(va, 1)
        _, number = self._view(va, write=write)
        return number << PAGE_SHIFT | va & PAGE_MASK

    def _check_range(self, va: int, size: int) -> None:
        if size and va + size > self.user_max:
            raise KernelError(Errno.EFAULT, f"{va:#x} is no user address")

    def _view(self, va: int, *, write: bool) -> View:
        """Return the page at `va` for the kernel to access, faulting it in as the CPU would."""
        number = va >> PAGE_SHIFT
        cache = self.writable if write else self.readable
        if (cached := cache.get(number)) is not None:
            return cached
        wanted = _WRITABLE if write else _VALID
        pte = self.pmap.lookup(va)
        if pte & wanted != wanted:
            result = self.fault(va, _WRITE if write else _READ)
            if result is not KernReturn.SUCCESS:
                raise KernelError(Errno.EFAULT, f"{va:#x}: {result.value}")
            pte = self.pmap.lookup(va)
        self.pmap.mark(va, _DIRTY if write else _ACCESSED)
        pa = pte & PTE_FRAME
        view = cache[number] = (self._phys.page(pa), pa >> PAGE_SHIFT)
        return view

    # Mappings

    def map_object(self, entry: VmMapEntry, *, replace: bool = False) -> None:
        """Add a mapping; with `replace`, whatever is mapped in its range goes first.

        The range of a stack includes what is reserved for it.
        """
        if replace:
            # What goes may be the last that shows the very object.
            entry.object.refs += 1
            self.unmap(entry.start - entry.stack_reserve, entry.end)
            entry.object.refs -= 1
        self.map.insert(entry)

    def map_anonymous(
        self, start: int, end: int, prot: int = PROT_ALL, inherit: Inherit = Inherit.COPY
    ) -> None:
        """Map zeroed private memory at [start, end), which must be free."""
        memory = AnonymousObject(self._phys, (end - start) >> PAGE_SHIFT)
        self.map.insert(VmMapEntry(start, end, memory, prot=prot, inherit=inherit))

    def map_stack(self, start: int, end: int, prot: int) -> None:
        """Reserve [start, end) for a stack: its top is mapped, the rest when it grows."""
        mapped = max(end - STACK_STEP, start)
        memory = AnonymousObject(self._phys, (end - mapped) >> PAGE_SHIFT)
        self.map.insert(VmMapEntry(mapped, end, memory, prot=prot, stack_reserve=mapped - start))

    def anonymous(self, size: int) -> VmObject:
        """Return new zeroed memory of `size` bytes."""
        return AnonymousObject(self._phys, size >> PAGE_SHIFT)

    def unmap(self, start: int, end: int) -> None:
        """Remove every mapping in [start, end)."""
        self.pmap.remove(start, end)
        self.map.remove(start, end)

    def munmap(self, addr: int, size: int) -> None:
        """munmap(2), vmspace_munmap: the whole range must be mapped (abi 6.10).

        ENOMEM if a hole in a mapping would make too many entries.
        """
        start, end = self._page_range(addr, size)
        if start == end:
            return
        if end > self.user_max or not self.map.covers(start, end):
            raise KernelError(Errno.EINVAL, "not everything there is mapped")
        self.unmap(start, end)

    def mprotect(self, addr: int, size: int, prot: int) -> None:
        """mprotect(2): EACCES, and no change, if an entry does not allow `prot` (abi 6.10)."""
        start, end = self._page_range(addr, size)
        prot = int(prot & PROT_ALL)
        if any(prot & ~entry.max_prot for entry in self.map.overlapping(start, end)):
            raise KernelError(Errno.EACCES)
        for entry in self.map.clip(start, end):
            if entry.prot & ~prot:
                if prot & Prot.READ:
                    self.pmap.protect(
                        entry.start,
                        entry.end,
                        write=bool(prot & Prot.WRITE),
                        execute=bool(prot & Prot.EXEC) or not self._abi.execute_checked,
                    )
                else:
                    self.pmap.remove(entry.start, entry.end)
            entry.prot = prot
        self.map.join(start, end)

    def minherit(self, addr: int, size: int, inherit: int) -> None:
        """minherit(2)."""
        start, end = self._page_range(addr, size)
        if inherit not in Inherit.__members__.values():
            raise KernelError(Errno.EINVAL, f"inheritance {inherit}")
        for entry in self.map.clip(start, end):
            entry.inherit = Inherit(inherit)
        self.map.join(start, end)

    def advise(self, addr: int, size: int, behav: int, value: int) -> None:
        """The core of madvise, mcontrol and vmspace_mcontrol (abi 6.11).

        Unmapped ranges are no error.  SETMAP on a mapping that has no virtual page table is, but
        only after the others in the range have been given their root.
        """
        end = addr + size
        if end > self.user_max:  # a wrapped sum is past it too
            raise KernelError(Errno.EINVAL)
        start, end = trunc_page(addr), round_page(end)
        match behav:
            case Madv.INVAL:
                self.pmap.remove(start, end)
            case Madv.SETMAP:
                self._set_root(start, end, value)
            case Madv.NOSYNC | Madv.AUTOSYNC | Madv.NOCORE | Madv.CORE:
                for entry in self.map.clip(start, end):
                    if behav in (Madv.NOSYNC, Madv.AUTOSYNC):
                        entry.nosync = behav == Madv.NOSYNC
                    else:
                        entry.nocore = behav == Madv.NOCORE
                self.map.join(start, end)
            case _:
                assert behav in Madv.__members__.values()  # hints: nothing to do

    def _set_root(self, start: int, end: int, root: int) -> None:
        refused = False
        for entry in self.map.clip(start, end):
            if entry.vpagetable:
                entry.root = root
                self.pmap.remove(entry.start, entry.end)
            else:
                refused = True
        self.map.join(start, end)
        if refused:
            raise KernelError(Errno.EINVAL, "not a VPAGETABLE mapping")

    def check_mapped(self, addr: int, size: int) -> None:
        """Raise KernelError(EINVAL) unless the whole range is mapped (msync).

        An empty range stands for the mapping around it.
        """
        start, end = self._page_range(addr, size)
        if not self.map.covers(start, max(end, start + PAGE_SIZE)):
            raise KernelError(Errno.EINVAL, "not everything there is mapped")

    def mincore(self, start: int, end: int) -> bytearray:
        """Return the MINCORE_* bits of each page in [start, end); 0 where nothing is mapped.

        Pages that are in memory but not entered count in plain mappings only.
        """
        bits = bytearray((end - start) >> PAGE_SHIFT)
        for entry in self.map.overlapping(start, end):
            if entry.vpagetable:
                continue
            low, high = max(start, entry.start), min(end, entry.end)
            first = ((low - entry.start + entry.offset) & U64_MASK) >> PAGE_SHIFT
            at = (low - start) >> PAGE_SHIFT
            for index in entry.object.resident(first, first + ((high - low) >> PAGE_SHIFT)):
                bits[at + index - first] = Mincore.INCORE
        for va, pte in self.pmap.entries(start, end):
            known = int(Mincore.INCORE)
            if pte & Pte.A:
                known |= Mincore.REFERENCED | Mincore.REFERENCED_OTHER
            if pte & Pte.D:
                known |= Mincore.MODIFIED | Mincore.MODIFIED_OTHER
            bits[(va - start) >> PAGE_SHIFT] = known
        return bits

    def _page_range(self, addr: int, size: int) -> tuple[int, int]:
        """Return the pages that [addr, addr+size) touches.  Raise KernelError(EINVAL) on a wrap."""
        start = trunc_page(addr)
        end = start + round_page(size + (addr & PAGE_MASK))
        if end > U64_MASK:
            raise KernelError(Errno.EINVAL, "the range wraps")
        return start, end
