"""The x86-64 architecture as a kernel sees it: pages, flags, selectors, vectors."""

from enum import IntEnum, IntFlag

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = PAGE_SIZE - 1
PTES_PER_PAGE = 512
LEVEL_SHIFTS = (39, 30, 21, 12)  # PML4, page-directory pointers, page directory, page table

U64_MASK = (1 << 64) - 1
U32_MASK = (1 << 32) - 1


class Pte(IntFlag):
    """A page-table entry (Intel SDM 3A, 4.5).  Not a vpte: those are in `abi.vkernel`."""

    V = 1 << 0
    RW = 1 << 1
    U = 1 << 2
    A = 1 << 5
    D = 1 << 6
    EXEC_OK = 1 << 9  # software: may lose NX at the first instruction fetch (lazy execute)
    NX = 1 << 63


PTE_FRAME = 0x000F_FFFF_FFFF_F000


class Pgex(IntFlag):
    """Page-fault error code, and the two software bits that share its numbering (tf_xflags)."""

    P = 0x01
    W = 0x02
    U = 0x04
    RSV = 0x08
    I = 0x10  # noqa: E741  the architecture's own letter
    MAILBOX = 0x40
    FPFAULT = 0x80


class Rflags(IntFlag):
    C = 0x1
    RESERVED1 = 0x2
    PF = 0x4
    AF = 0x10
    Z = 0x40
    N = 0x80
    T = 0x100
    I = 0x200  # noqa: E741
    D = 0x400
    V = 0x800
    IOPL = 0x3000
    NT = 0x4000
    RF = 0x10000
    VM = 0x20000
    AC = 0x40000
    ID = 0x200000


RFLAGS_USER = 0x202
RFLAGS_USERCHANGE = 0x244DD5  # what sigreturn lets a program set (PSL_USERCHANGE)
RFLAGS_SANITISE = 0x274DD5  # what vmspace_ctl(RUN) keeps of tf_rflags (cpu_sanitize_frame)

USER_CS = 0x2B
USER_CS32 = 0x1B
USER_SS = 0x23
KERNEL_CS = 0x08
KERNEL_DS = 0x10

FPU_CONTROL_WORD = 0x127F  # double precision, all exceptions masked: DragonFly's initial state
MXCSR_DEFAULT = 0x1F80
MXCSR_FLUSH_TO_ZERO = 0x8000


class Vector(IntEnum):
    """Exception vectors."""

    DE = 0
    DB = 1
    NMI = 2
    BP = 3
    OF = 4
    BR = 5
    UD = 6
    NM = 7
    DF = 8
    FPU_OVERRUN = 9
    TS = 10
    NP = 11
    SS = 12
    GP = 13
    PF = 14
    MF = 16
    AC = 17
    MC = 18
    XM = 19


def is_canonical(address: int) -> bool:
    """Tell whether the upper 17 bits, of 64, are all the same."""
    return (address >> 47) & 0x1FFFF in (0, 0x1FFFF)


def trunc_page(address: int) -> int:
    return address & ~PAGE_MASK


def round_page(address: int) -> int:
    return (address + PAGE_MASK) & ~PAGE_MASK
