"""Resolving page faults, through the virtual page table where there is one (sys/vm/vm_fault.c)."""

from functools import cache

from emu.abi.mman import Prot
from emu.abi.versions import AbiVersion
from emu.abi.vkernel import VPTE_FRAME, VPTE_INDEX_BITS, VPTE_LEVEL_BITS, VpteFormat
from emu.abi.x86 import PAGE_SHIFT, PTES_PER_PAGE, U64_MASK, Pte
from emu.vm.phys import PhysicalMemory
from emu.vm.pmap import Pmap
from emu.vm.vm_map import VmMapEntry
from emu.vm.vm_object import KernReturn, VmFaultError

_READ = int(Prot.READ)
_WRITE = int(Prot.WRITE)
_EXEC = int(Prot.EXEC)
_ENTERED = int(Pte.V | Pte.U | Pte.A | Pte.NX)
_WRITABLE = int(Pte.RW)
_DIRTY = int(Pte.D)
_EXEC_OK = int(Pte.EXEC_OK)
_NX = int(Pte.NX)
_SLOT_MASK = PTES_PER_PAGE - 1
_WORDS_SHIFT = PAGE_SHIFT - 3
_SUCCESS = KernReturn.SUCCESS
_FAILURE = KernReturn.FAILURE
_PROTECTION_FAILURE = KernReturn.PROTECTION_FAILURE


def vm_fault(
    phys: PhysicalMemory, abi: AbiVersion, entry: VmMapEntry, pmap: Pmap, va: int, access: int
) -> KernReturn:
    """Enter the page behind `va`, which `entry` maps, into `pmap`.

    `access` is exactly one of READ, WRITE and EXEC.  Return FAILURE or PROTECTION_FAILURE if the
    map or the virtual page table refuses it: accessed and modified bits that the walk has set by
    then stay set.  Raise KernelError(ENOMEM) if there is no memory.
    """
    # Where nothing denies execution, a fetch is a read that happens to need the NX bit cleared.
    kind = access if access != _EXEC or abi.execute_checked else _READ
    rights = entry.prot
    if not rights & kind:
        return _PROTECTION_FAILURE
    try:
        if entry.vpagetable:
            found = _walk(abi, entry, va, kind)
            if found is None:
                return _FAILURE
            index, permitted = found
            # Taken as for a write, so that a private page is copied before anyone sees the
            # original: one object page may be mapped at many addresses here.
            pa, _ = entry.object.page(index, True)
            rights &= permitted
        else:
            index = ((va - entry.start + entry.offset) & U64_MASK) >> PAGE_SHIFT
            pa, writable = entry.object.page(index, kind == _WRITE)
            if not writable:
                rights &= ~_WRITE
    except VmFaultError as error:
        return error.result
    pte = pa | _ENTERED
    if rights & _WRITE:
        pte |= _WRITABLE
    if kind == _WRITE:
        pte |= _DIRTY
    if rights & _EXEC or not abi.execute_checked:
        pte |= _EXEC_OK
        if access == _EXEC:
            pte &= ~_NX
            phys.executable(pa)
    pmap.enter(va, pte)
    return _SUCCESS


def _walk(abi: AbiVersion, entry: VmMapEntry, va: int, kind: int) -> tuple[int, int] | None:
    """Translate `va` through the page table that the vkernel keeps in the entry's object.

    Return the page it stands for and what may be done with it, or None if it is refused.  A page
    whose vpte lacks M is never writable yet: its first write must fault, so that M can be set for
    the vkernel to see.
    """
    vpte_format = abi.vpte
    index = (va - entry.start + entry.offset) >> PAGE_SHIFT  # the low 36 bits count
    bits = VPTE_INDEX_BITS  # of `index`, still to be translated
    vpte = entry.root
    seen = vpte  # of all entries together
    terminal = vpte_format.terminal
    must, judged, marks = _rules(vpte_format, kind)
    table, span = entry.object.table, entry.object.span()
    if span is not None:
        words, pages = span
    while True:
        if vpte & judged != must:
            return None
        if vpte & terminal or not bits:
            break
        bits -= VPTE_LEVEL_BITS
        number = (vpte & VPTE_FRAME) >> PAGE_SHIFT
        if span is None:
            words, at = table(number)
        elif number < pages:  # a virtual kernel's memory is a file, so nearly always
            at = number << _WORDS_SHIFT
        else:
            raise VmFaultError(_PROTECTION_FAILURE)
        at += index >> bits & _SLOT_MASK
        vpte = words[at]  # checked as it is before the marks
        # An entry that refuses is left untouched; those above it keep their marks.  Only NX, as
        # in the original, is looked at after the marks.
        if vpte & marks != marks and vpte & must == must:
            words[at] = vpte | marks
        seen |= vpte
    rights = _READ if seen & vpte_format.no_execute else _READ | _EXEC
    dirty = vpte_format.write | vpte_format.modified
    if kind == _WRITE or (abi.read_keeps_write and vpte & dirty == dirty):
        rights |= _WRITE
    return ((vpte & VPTE_FRAME) >> PAGE_SHIFT) + (index & (1 << bits) - 1), rights


@cache
def _rules(vpte_format: VpteFormat, kind: int) -> tuple[int, int, int]:
    """Return what an entry must be for an access of `kind`, in which bits, and what it then gets.

    An entry permits the access if `entry & judged == must`.
    """
    valid, accessed = vpte_format.valid, vpte_format.accessed
    if kind == _WRITE:
        must = valid | vpte_format.write
        return must, must, accessed | vpte_format.modified
    if kind == _EXEC:
        return valid, valid | vpte_format.no_execute, accessed
    must = valid | vpte_format.read
    return must, must, accessed
