"""The conformance programs: where they are, what cases they have, the executables they become.

A program lies in guest_programs/conformance/SUBJECT/NAME.s.  Its cases are found in the assembled
program, where conform.inc puts a record before each: a mark, an address, and name, rules and title.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from emu.abi.exec import (
    EHDR_SIZE,
    EI_CLASS,
    EI_DATA,
    EI_VERSION,
    ELF_MAGIC,
    ELFCLASS64,
    ELFDATA2LSB,
    EM_X86_64,
    EV_CURRENT,
    PHDR_SIZE,
    Elf64Ehdr,
    Elf64Phdr,
    ElfType,
    Pf,
    Pt,
)
from emu.abi.symbols import abi_symbols
from emu.abi.versions import AbiVersion
from emu.abi.x86 import PAGE_SIZE, round_page
from emu.asm import Assembly, assemble
from syscalls.table import SYMBOLS

LOAD_ADDRESS = 0x400000

_BSS = 64 << 10
_MARK = b"API CASE"
_RECORD = re.compile(rb"(?s)%b.{8}([^\0]+)\0" % _MARK)
_DESCRIPTION = re.compile(r"([^\s:]+) \[([^\]]*)\] ?(.*)")


@dataclass(frozen=True, slots=True)
class Case:
    """One named check."""

    name: str
    rules: tuple[str, ...]
    title: str

    @classmethod
    def parse(cls, description: str) -> "Case":
        """Return the case that `description`, as a record has it and a report prints it, names."""
        match = _DESCRIPTION.fullmatch(description)
        if match is None:
            raise ValueError(f"not a case: {description!r}")
        return cls(match[1], tuple(match[2].split()), match[3])


@dataclass(frozen=True, slots=True, order=True)
class Program:
    """The source of one program."""

    subject: str
    name: str
    path: Path

    @property
    def id(self) -> str:
        return f"{self.subject}/{self.name}"


@dataclass(frozen=True)
class Built:
    """A program assembled for one version of the facility."""

    program: Program
    abi: str
    assembly: Assembly

    @cached_property
    def cases(self) -> Sequence[Case]:
        return [
            Case.parse(record[1].decode("latin-1"))
            for record in _RECORD.finditer(self.assembly.code)
        ]

    def source_of(self, address: int) -> str:
        """Return "file:line: text" of the statement that reaches up to or over `address`."""
        for line in self.assembly.lines:
            if line.address < address <= line.address + len(line.code):
                return f"{Path(line.file).name}:{line.line}: {line.source.strip()}"
        return f"{address:#x}"


def programs() -> Sequence[Program]:
    """Return every conformance program, in the order of their names."""
    folder = Path(str(files("guest_programs"))) / "conformance"
    return sorted(Program(path.parent.name, path.stem, path) for path in folder.glob("*/*.s"))


def build(program: Program, abi: AbiVersion) -> Built:
    """Assemble `program`.  Raises AsmError."""
    symbols = {**abi_symbols(abi), **SYMBOLS}
    assembly = assemble(program.path, origin=LOAD_ADDRESS, symbols=symbols)
    return Built(program, abi.name, assembly)


def executable(code: bytes, address: int = LOAD_ADDRESS, bss_size: int = _BSS) -> bytes:
    """Return an ELF executable that has `code` at `address` and starts there.

    `bss_size` zeroed bytes follow it, as they follow a flat binary.
    """
    text = Elf64Phdr(
        p_type=Pt.LOAD,
        p_flags=Pf.R | Pf.W | Pf.X,
        p_offset=PAGE_SIZE,
        p_vaddr=address,
        p_paddr=address,
        p_filesz=len(code),
        p_memsz=round_page(len(code)),
        p_align=PAGE_SIZE,
    )
    bss = Elf64Phdr(
        p_type=Pt.LOAD,
        p_flags=Pf.R | Pf.W,
        p_offset=PAGE_SIZE + round_page(len(code)),
        p_vaddr=address + round_page(len(code)),
        p_paddr=address + round_page(len(code)),
        p_memsz=bss_size,
        p_align=PAGE_SIZE,
    )
    header = Elf64Ehdr(
        e_type=ElfType.EXEC,
        e_machine=EM_X86_64,
        e_version=EV_CURRENT,
        e_entry=address,
        e_phoff=EHDR_SIZE,
        e_ehsize=EHDR_SIZE,
        e_phentsize=PHDR_SIZE,
        e_phnum=2,
    )
    ident = {EI_CLASS: ELFCLASS64, EI_DATA: ELFDATA2LSB, EI_VERSION: EV_CURRENT}
    header.e_ident[: len(ELF_MAGIC)] = list(ELF_MAGIC)
    for index, value in ident.items():
        header.e_ident[index] = value
    headers = bytes(header) + bytes(text) + bytes(bss)
    return headers.ljust(PAGE_SIZE, b"\0") + code.ljust(round_page(len(code)), b"\0")
