"""Guest code as the CPU would fetch it, read without the CPU: nothing faults, nothing is marked."""

from collections.abc import Iterator

from emu.abi.x86 import (
    LEVEL_SHIFTS,
    PAGE_MASK,
    PTE_FRAME,
    PTES_PER_PAGE,
    Pte,
    is_canonical,
    round_page,
)
from emu.vm.phys import PhysicalMemory

_ICEBP = 0xF1
_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3") | frozenset(range(0x40, 0x50))
_LONGEST_INSTRUCTION = 15
_V = int(Pte.V)
_FETCHABLE = int(Pte.V | Pte.U)
_FETCHABLE_OR_NX = int(Pte.V | Pte.U | Pte.NX)


def can_be_fetched(phys: PhysicalMemory, root: int, va: int) -> bool:
    return _walk(phys, root, va) & _FETCHABLE_OR_NX == _FETCHABLE


def icebp_length(phys: PhysicalMemory, root: int, rip: int) -> int:
    """Return the length of the ICEBP at `rip`, or 0 if that is another instruction."""
    for length, byte in enumerate(code_at(phys, root, rip, _LONGEST_INSTRUCTION), 1):
        if byte == _ICEBP:
            return length
        if byte not in _PREFIXES:
            break
    return 0


def code_at(phys: PhysicalMemory, root: int, va: int, size: int) -> bytes:
    """Return `size` bytes from `va` on, or those before the first page that is not there."""
    entry = _walk(phys, root, va)
    if not entry & _V or not is_canonical(va):
        return b""
    offset = va & PAGE_MASK
    code = bytes(phys.page(entry & PTE_FRAME)[offset : offset + size])
    rest = size - len(code)
    return code + code_at(phys, root, va + len(code), rest) if rest else code


def by_page(va: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range at page boundaries, into (start, end)."""
    end = va + size
    while va < end:
        stop = min(end, round_page(va + 1))
        yield va, stop
        va = stop


def _walk(phys: PhysicalMemory, root: int, va: int) -> int:
    """Return the last-level entry for `va`, 0 if a table on the way is missing."""
    words = phys.words
    entry = root
    for shift in LEVEL_SHIFTS:
        entry = words[((entry & PTE_FRAME) >> 3) + (va >> shift) % PTES_PER_PAGE]
        if not entry & _V:
            return 0
    return entry
