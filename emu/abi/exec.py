"""What a program file looks like, and what a new program finds on its stack.

<sys/elf64.h>, <machine/elf.h>, <sys/exec.h>, <sys/imgact.h>.
"""

from ctypes import (
    Array,
    LittleEndianStructure,
    c_int32,
    c_ubyte,
    c_uint16,
    c_uint32,
    c_uint64,
)
from enum import IntEnum, IntFlag

SHELL_MAGIC = b"#!"
MAXSHELLCMDLEN = 128
"""The longest path of a script's interpreter, with the NUL."""
MAXCOMLEN = 16
"""How much of its file's name a process remembers."""
ELF_MAGIC = b"\x7fELF"
EI_CLASS = 4
EI_DATA = 5
EI_VERSION = 6
ELFCLASS32 = 1
ELFCLASS64 = 2
ELFDATA2LSB = 1
ELFDATA2MSB = 2
EV_CURRENT = 1
EM_X86_64 = 62
ET_DYN_LOAD_ADDR = 0x0102_1000
"""Where an ET_DYN program goes whose first segment is at address 0."""

AT_COUNT = 24
"""Entries of the auxiliary vector for which the original leaves room."""
ARG_MAX = 262_144
"""Bytes of argument and environment strings."""
SPARE_USRSPACE = 256
"""Bytes left free between the strings and the signal trampoline."""


class ElfType(IntEnum):
    REL = 1
    EXEC = 2
    DYN = 3


class Pt(IntEnum):
    """Sorts of program headers that matter."""

    LOAD = 1
    INTERP = 3
    PHDR = 6


class Pf(IntFlag):
    X = 1
    W = 2
    R = 4


class At(IntEnum):
    """Tags of the auxiliary vector."""

    NULL = 0
    PHDR = 3
    PHENT = 4
    PHNUM = 5
    PAGESZ = 6
    BASE = 7
    FLAGS = 8
    ENTRY = 9
    EXECPATH = 15
    OSRELDATE = 18


class Elf64Ehdr(LittleEndianStructure):
    _fields_ = [
        ("e_ident", c_ubyte * 16),
        ("e_type", c_uint16),
        ("e_machine", c_uint16),
        ("e_version", c_uint32),
        ("e_entry", c_uint64),
        ("e_phoff", c_uint64),
        ("e_shoff", c_uint64),
        ("e_flags", c_uint32),
        ("e_ehsize", c_uint16),
        ("e_phentsize", c_uint16),
        ("e_phnum", c_uint16),
        ("e_shentsize", c_uint16),
        ("e_shnum", c_uint16),
        ("e_shstrndx", c_uint16),
    ]

    e_ident: Array[c_ubyte]
    e_type: int
    e_machine: int
    e_version: int
    e_entry: int
    e_phoff: int
    e_shoff: int
    e_flags: int
    e_ehsize: int
    e_phentsize: int
    e_phnum: int
    e_shentsize: int
    e_shnum: int
    e_shstrndx: int


class Elf64Phdr(LittleEndianStructure):
    _fields_ = [
        ("p_type", c_uint32),
        ("p_flags", c_uint32),
        ("p_offset", c_uint64),
        ("p_vaddr", c_uint64),
        ("p_paddr", c_uint64),
        ("p_filesz", c_uint64),
        ("p_memsz", c_uint64),
        ("p_align", c_uint64),
    ]

    p_type: int
    p_flags: int
    p_offset: int
    p_vaddr: int
    p_paddr: int
    p_filesz: int
    p_memsz: int
    p_align: int


class PsStrings(LittleEndianStructure):
    """struct ps_strings, at the very top of the stack: where ps(1) finds the arguments."""

    _fields_ = [
        ("ps_argvstr", c_uint64),
        ("ps_nargvstr", c_int32),
        ("ps_envstr", c_uint64),
        ("ps_nenvstr", c_int32),
    ]

    ps_argvstr: int
    ps_nargvstr: int
    ps_envstr: int
    ps_nenvstr: int


EHDR_SIZE = 64
PHDR_SIZE = 56
PS_STRINGS_SIZE = 32
