"""Guest code and data as the CPU would find it, without the CPU: nothing faults or is marked."""

from collections.abc import Iterator

from emu.abi.x86 import (
    LEVEL_SHIFTS,
    PAGE_MASK,
    PTE_FRAME,
    PTES_PER_PAGE,
    Pte,
    Rflags,
    is_canonical,
    round_page,
)
from emu.vm.phys import PhysicalMemory

_ICEBP = 0xF1
_PUSHF = 0x9C
_T_IN_SECOND_BYTE = int(Rflags.T) >> 8
_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3") | frozenset(range(0x40, 0x50))
_LONGEST_INSTRUCTION = 15
_V = int(Pte.V)
_FETCHABLE = int(Pte.V | Pte.U)
_FETCHABLE_OR_NX = int(Pte.V | Pte.U | Pte.NX)


def can_be_fetched(phys: PhysicalMemory, root: int, va: int) -> bool:
    return _walk(phys, root, va) & _FETCHABLE_OR_NX == _FETCHABLE


def icebp_length(phys: PhysicalMemory, root: int, rip: int) -> int:
    """Return the length of the ICEBP at `rip`, or 0 if that is another instruction."""
    return _length_of(phys, root, rip, _ICEBP)


def is_pushf(phys: PhysicalMemory, root: int, rip: int) -> bool:
    return _length_of(phys, root, rip, _PUSHF) > 0


def hide_pushed_trace(phys: PhysicalMemory, root: int, rsp: int) -> None:
    """Clear T in the flags that lie at `rsp`, where they have just been pushed."""
    va = rsp + 1
    phys.page(_walk(phys, root, va) & PTE_FRAME)[va & PAGE_MASK] &= ~_T_IN_SECOND_BYTE


def _length_of(phys: PhysicalMemory, root: int, rip: int, opcode: int) -> int:
    """Return the length of the instruction at `rip`, prefixes and all, or 0 if it is another."""
    for length, byte in enumerate(code_at(phys, root, rip, _LONGEST_INSTRUCTION), 1):
        if byte == opcode:
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
