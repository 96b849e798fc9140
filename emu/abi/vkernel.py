"""<sys/vkernel.h>, <sys/vmspace.h>, machine/trap.h: virtual page tables, commands, traps."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class VmspaceCtl(IntEnum):
    RUN = 1


class Trap(IntEnum):
    """tf_trapno (T_* in the original)."""

    PRIVINFLT = 1
    BPTFLT = 3
    ARITHTRAP = 6
    ASTFLT = 7
    PROTFLT = 9
    TRCTRAP = 10
    PAGEFLT = 12
    ALIGNFLT = 14
    DIVIDE = 18
    NMI = 19
    OFLOW = 20
    BOUND = 21
    DNA = 22
    DOUBLEFLT = 23
    FPOPFLT = 24
    TSSFLT = 25
    SEGNPFLT = 26
    STKFLT = 27
    MCHK = 28
    XMMFLT = 29
    RESERVED = 30
    SYSCALL80 = 0x80
    FAST_SYSCALL = 0x81


SYSCALL_LENGTH = 2  # tf_err of a system call: what a restart takes off tf_rip

VPTE_FRAME = 0x000F_FFFF_FFFF_F000
VPTE_LEVEL_BITS = 9
VPTE_INDEX_BITS = 36  # four levels


@dataclass(frozen=True, slots=True, eq=False)
class VpteFormat:
    """Which bit of a virtual page-table entry means what.

    `read` and `no_execute` are 0 where the version has no such bit: a valid entry is then
    readable, and every readable page executes.
    """

    valid: int
    terminal: int
    read: int
    write: int
    accessed: int
    modified: int
    no_execute: int
    symbols: Mapping[str, int]  # the header's names, for the assembler


VPTE_2011 = VpteFormat(
    valid=0x001,
    terminal=0x002,
    read=0x004,
    write=0x008,
    accessed=0x020,
    modified=0x040,
    no_execute=0,
    symbols={
        "V": 0x001,
        "PS": 0x002,
        "R": 0x004,
        "W": 0x008,
        "X": 0x010,
        "A": 0x020,
        "M": 0x040,
        "U": 0x080,
        "MANAGED": 0x100,
        "G": 0x200,
        "WIRED": 0x400,
    },
)

_SYMBOLS_2014 = {
    "V": 0x001,
    "RW": 0x002,
    "U": 0x004,
    "A": 0x020,
    "M": 0x040,
    "PS": 0x080,
    "G": 0x100,
    "WIRED": 0x200,
    "MANAGED": 0x400,
}

VPTE_2014 = VpteFormat(
    valid=0x001,
    terminal=0x080,
    read=0,
    write=0x002,
    accessed=0x020,
    modified=0x040,
    no_execute=0,
    symbols=_SYMBOLS_2014,
)

VPTE_2020 = VpteFormat(
    valid=0x001,
    terminal=0x080,
    read=0,
    write=0x002,
    accessed=0x020,
    modified=0x040,
    no_execute=0x800,
    symbols={**_SYMBOLS_2014, "NX": 0x800},
)
