"""What the CPU needs in memory before there is any guest.

The GDT, supervisor-only, is mapped in every address space: the CPU reads it through the current
page table whenever a guest loads a selector.  Its tables hang off one PML4 word, which every
root copies.  The boot space itself is where the CPU enters ring 3, and where it tests itself.
"""

from typing import NamedTuple

from emu.abi.x86 import (
    LEVEL_SHIFTS,
    PTE_FRAME,
    PTES_PER_PAGE,
    RFLAGS_USER,
    USER_CS,
    USER_SS,
    Pte,
)
from emu.vm.phys import PhysicalMemory

# Accessed bits are set, so that nothing ever writes here.  Selector 0x18 would be 32-bit user
# code; as read-only data it loads into DS, ES, FS and GS just as that does, but a far transfer
# to it is refused: there is no compatibility mode to end up in.
GDT = (
    0x0000_0000_0000_0000,
    0x00AF_9B00_0000_FFFF,  # 0x08 kernel code
    0x00CF_9300_0000_FFFF,  # 0x10 kernel data
    0x00CF_F100_0000_FFFF,  # 0x18 read-only user data
    0x00CF_F300_0000_FFFF,  # 0x20 user data
    0x00AF_FB00_0000_FFFF,  # 0x28 user code
)
GDT_VA = 0xFFFF_FFFF_8000_0000
KERNEL_SLOT = 511

# The boot space.
ENTRY_VA = 0x1000  # supervisor: iretq, and the frame it takes
CODE_VA = 0x2000
DATA_VA = 0x3000  # writable, not executable
ABSENT_VA = 0x4000

IRETQ = bytes.fromhex("48cf")
FRAME_VA = ENTRY_VA + 0x100


class BootSpace(NamedTuple):
    root: int
    empty_root: int  # a table with the kernel's pages alone
    code: int  # physical addresses of the pages at CODE_VA and DATA_VA
    data: int


def build_boot_space(phys: PhysicalMemory) -> BootSpace:
    """Make the kernel's tables, set `phys.kernel_pml4e`, and return a space to boot in."""
    root, empty_root, gdt, entry, code, data = (phys.alloc() for _ in range(6))
    _enter(phys, root, GDT_VA, gdt, Pte.V | Pte.A)
    phys.kernel_pml4e = phys.words[(root >> 3) + KERNEL_SLOT]
    phys.words[(empty_root >> 3) + KERNEL_SLOT] = phys.kernel_pml4e
    _enter(phys, root, ENTRY_VA, entry, Pte.V | Pte.RW)
    _enter(phys, root, CODE_VA, code, Pte.V | Pte.U)
    _enter(phys, root, DATA_VA, data, Pte.V | Pte.U | Pte.RW | Pte.NX)
    _write_words(phys, gdt, GDT)
    phys.page(entry)[: len(IRETQ)] = IRETQ
    frame = (CODE_VA, USER_CS, RFLAGS_USER, DATA_VA, USER_SS)
    _write_words(phys, entry + FRAME_VA - ENTRY_VA, frame)
    return BootSpace(root, empty_root, code, data)


def _enter(phys: PhysicalMemory, root: int, va: int, pa: int, bits: int) -> None:
    table = root
    for shift in LEVEL_SHIFTS[:-1]:
        slot = (table >> 3) + (va >> shift) % PTES_PER_PAGE
        if not phys.words[slot]:
            phys.words[slot] = phys.alloc() | Pte.V | Pte.RW | Pte.U
        table = phys.words[slot] & PTE_FRAME
    phys.words[(table >> 3) + (va >> LEVEL_SHIFTS[-1]) % PTES_PER_PAGE] = pa | bits


def _write_words(phys: PhysicalMemory, pa: int, values: tuple[int, ...]) -> None:
    for i, value in enumerate(values):
        phys.words[(pa >> 3) + i] = value
