"""Programs: what is loaded where, what is refused, what the stack looks like."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from struct import pack, unpack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.abi.mman import PROT_ALL, Prot
from emu.abi.versions import ABI_2011, ABI_2020, AbiVersion
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.tree import Tree
from emu.loader import Image, LoaderError, LoadOptions, exec_setregs, load
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace

TOP = 0x8000_0000_0000
ENTRY = 0x401000
R, W, X = 4, 2, 1  # PF_*
LOAD, INTERP, NOTE, PHDR, TLS, GNU_STACK = 1, 3, 4, 6, 7, 0x6474E551
EXEC, DYN = 2, 3


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with closing(Tree.scratch()) as scratch:
        yield scratch


@pytest.fixture
def proc(tree: Tree) -> Proc:
    return new_proc(tree)


def new_proc(tree: Tree, size: int = 1 << 20, abi: AbiVersion = ABI_2011) -> Proc:
    phys = PhysicalMemory(size)
    space = Vmspace(phys, abi, grows=True)
    return Proc(Kernel(abi, phys, VirtualClock(), tree, print), space, FileTable())


# A builder of ELF files


@dataclass(frozen=True)
class Ph:
    """A program header; its bytes are put at `offset`."""

    type: int = LOAD
    flags: int = R | X
    offset: int = 0x1000
    vaddr: int = ENTRY
    data: bytes = b"\x90" * 16
    memsz: int | None = None
    filesz: int | None = None

    def pack(self) -> bytes:
        filesz = len(self.data) if self.filesz is None else self.filesz
        memsz = filesz if self.memsz is None else self.memsz
        return pack(
            "<IIQQQQQQ", self.type, self.flags, self.offset, self.vaddr, 0, filesz, memsz, 0x1000
        )


def elf(
    *headers: Ph,
    entry: int = ENTRY,
    type: int = EXEC,
    machine: int = 62,
    phoff: int = 64,
    phnum: int | None = None,
    phentsize: int = 56,
    ehsize: int = 64,
    version: int = 1,
    ident: bytes = b"\x7fELF\2\1\1",
) -> bytes:
    count = len(headers) if phnum is None else phnum
    start = pack(
        "<16sHHIQQQIHHHHHH",
        *(ident, type, machine, version, entry, phoff, 0, 0, ehsize, phentsize, count, 0, 0, 0),
    )
    image = bytearray(start.ljust(phoff, b"\0") + b"".join(header.pack() for header in headers))
    for header in headers:
        if header.data:
            image.extend(bytes(max(header.offset + len(header.data) - len(image), 0)))
            image[header.offset : header.offset + len(header.data)] = header.data
    return bytes(image)


TEXT = Ph()
DATA = Ph(flags=R | W, offset=0x2000, vaddr=0x403000, data=b"data", memsz=0x3000)


def entries(proc: Proc) -> list[tuple[int, int, int]]:
    """Return (start, end, prot) of everything mapped but the stack."""
    return [
        (entry.start, entry.end, entry.prot)
        for entry in proc.vmspace.map
        if not entry.stack_reserve
    ]


def layout(proc: Proc) -> tuple[int, int, int]:
    """Return where text and data start, and how long the data is."""
    space = proc.vmspace
    return space.text_start, space.data_start, space.data_size


# ELF programs


def test_segments_get_their_bytes_their_zeros_and_their_rights(proc: Proc) -> None:
    image = load(proc, elf(TEXT, DATA), [b"prog"])
    assert image.entry == ENTRY
    assert entries(proc) == [
        (0x401000, 0x402000, Prot.READ | Prot.EXEC),
        (0x403000, 0x406000, Prot.READ | Prot.WRITE),
    ]
    assert proc.vmspace.copyin(0x401000, 16) == b"\x90" * 16
    assert proc.vmspace.copyin(0x403000, 0x3000) == b"data" + bytes(0x2FFC)


def test_the_break_follows_the_last_segment_without_the_entry(proc: Proc) -> None:
    before = replace(DATA, vaddr=0x3FF000, memsz=4)
    load(proc, elf(before, TEXT, DATA, Ph(TLS, R, vaddr=0x403000)), [b"prog"])
    assert layout(proc) == (
        0x401000,
        0x403000,
        0x3000,
    )


def test_the_last_segment_is_the_last_in_the_file_not_in_memory(proc: Proc) -> None:
    low = replace(DATA, vaddr=0x3FF123, offset=0x3123, memsz=0x1000)
    load(proc, elf(TEXT, DATA, low), [b"prog"])
    assert (proc.vmspace.data_start, proc.vmspace.data_size) == (0x3FF000, 0x2000)


def test_a_program_of_one_segment_has_no_data(proc: Proc) -> None:
    load(proc, elf(TEXT), [b"prog"])
    assert layout(proc) == (
        0x401000,
        0,
        0,
    )


def test_whole_pages_come_from_the_file_unless_zeros_follow(proc: Proc) -> None:
    text = Ph(offset=0x1100, vaddr=ENTRY + 0x100, data=b"T" * 0x10)
    data = Ph(flags=R | W, offset=0x1200, vaddr=0x403200, data=b"D" * 0x10, memsz=0x20)
    load(proc, elf(text, data, entry=ENTRY + 0x100), [b"prog"])
    space = proc.vmspace
    assert space.copyin(ENTRY + 0x100, 0x120) == b"T" * 0x10 + bytes(0xF0) + b"D" * 0x10 + bytes(
        0x10
    )
    assert space.copyin(0x403100, 0x10) == b"T" * 0x10
    assert space.copyin(0x403200, 0x100) == b"D" * 0x10 + bytes(0xF0)


def test_the_rest_of_the_last_file_page_is_zero_where_bss_begins(proc: Proc) -> None:
    data = replace(DATA, data=b"dddd", memsz=5)
    load(proc, elf(TEXT, data, Ph(NOTE, R, offset=0x2004, data=b"not bss")), [b"prog"])
    assert proc.vmspace.copyin(0x403000, PAGE_SIZE) == b"dddd" + bytes(PAGE_SIZE - 4)


def test_a_segment_may_be_all_bss_and_cost_nothing(proc: Proc) -> None:
    bss = Ph(flags=R | W, offset=0x2000, vaddr=0x1000_0000, data=b"", memsz=1 << 46)
    used = proc.kernel.phys.used
    load(proc, elf(TEXT, bss), [b"prog"])
    assert proc.kernel.phys.used - used < 32 * PAGE_SIZE
    assert proc.vmspace.data_size == 1 << 46
    assert proc.vmspace.copyin(0x1000_0000 + (1 << 45), 8) == bytes(8)


def test_where_bss_would_be_in_the_file_does_not_matter(proc: Proc, tmp_path: Path) -> None:
    program = tmp_path / "prog"
    bss = Ph(flags=R | W, offset=0xFFFF_FFFF_FFFF_F000, vaddr=0x403000, data=b"", memsz=1)
    program.write_bytes(elf(TEXT, bss))
    load(proc, program, [b"prog"])
    assert proc.vmspace.copyin(0x403000, 1) == b"\0"


def test_empty_segments_and_other_headers_are_passed_over(proc: Proc) -> None:
    others = [
        Ph(data=b"", vaddr=0xFFFF_FFFF_FFFF_F000),
        Ph(GNU_STACK, R | W, data=b""),
        Ph(TLS, R, vaddr=1, memsz=1 << 40),
    ]
    load(proc, elf(*others, TEXT), [b"prog"])
    assert [entry[0] for entry in entries(proc)] == [0x401000]


@pytest.mark.parametrize(
    ("first", "base"), [(0, 0x0102_1000), (0x20_0000, 0)], ids=["at 0", "elsewhere"]
)
def test_a_position_independent_program_is_placed(proc: Proc, first: int, base: int) -> None:
    text = Ph(vaddr=first)
    data = replace(DATA, vaddr=first + 0x3000)
    image = load(proc, elf(text, data, entry=first + 4, type=DYN), [b"prog"])
    assert image.entry == base + first + 4
    assert (proc.vmspace.text_start, proc.vmspace.data_start) == (
        base + first,
        base + first + 0x3000,
    )
    assert stack_of(proc, image).auxv[7] == base


def test_a_file_is_loaded_like_its_bytes(proc: Proc, tmp_path: Path) -> None:
    path = tmp_path / "prog"
    path.write_bytes(elf(TEXT, DATA))
    load(proc, path, [b"prog"])
    assert len(entries(proc)) == 2


def test_program_headers_may_be_anywhere(proc: Proc) -> None:
    load(proc, elf(replace(TEXT, offset=0x9000), phoff=0x6000), [b"prog"])
    assert proc.vmspace.copyin(ENTRY, 16) == b"\x90" * 16


# Flat programs


def test_a_flat_program_is_private_memory_with_a_bss(proc: Proc) -> None:
    image = load(proc, b"\x90" * 0x1001, [b"prog.bin"])
    assert entries(proc) == [(0x400000, 0x412000, PROT_ALL)]
    assert proc.vmspace.copyin(0x401000, 8) == b"\x90" + bytes(7)
    assert image.entry == 0x400000
    assert layout(proc) == (
        0x400000,
        0x400000,
        0x12000,
    )


def test_a_flat_program_goes_where_it_is_told(proc: Proc) -> None:
    options = LoadOptions(load_addr=0, entry=3, bss=0)
    image = load(proc, b"\x90" * 16, [b"prog.bin"], options=options)
    assert image.entry == 3
    assert entries(proc) == [(0, 0x1000, PROT_ALL)]


def test_a_large_bss_costs_nothing_until_touched(proc: Proc) -> None:
    used = proc.kernel.phys.used
    load(proc, b"\x90", [b"prog.bin"], options=LoadOptions(bss=1 << 40))
    assert proc.kernel.phys.used - used < 16 * PAGE_SIZE
    assert proc.vmspace.copyin(0x400000 + (1 << 39), 4) == bytes(4)


# What cannot be run

UNUSABLE = {
    "empty": (b"", "the file is empty"),
    "only magic": (b"\x7fELF", "the ELF header is not complete"),
    "half a header": (elf(TEXT)[:63], "the ELF header is not complete"),
    "32 bit": (elf(TEXT, ident=b"\x7fELF\1\1\1"), "a 32-bit program"),
    "big endian": (elf(TEXT, ident=b"\x7fELF\2\2\1"), "a big-endian program"),
    "no class": (elf(TEXT, ident=b"\x7fELF\0\1\1"), "the ELF header makes no sense"),
    "ident version": (elf(TEXT, ident=b"\x7fELF\2\1\0"), "the ELF header makes no sense"),
    "version": (elf(TEXT, version=2), "the ELF header makes no sense"),
    "header size": (elf(TEXT, ehsize=52), "the ELF header makes no sense"),
    "entry size": (elf(TEXT, phentsize=32), "the ELF header makes no sense"),
    "machine": (elf(TEXT, machine=183), "for another machine (ELF machine 183)"),
    "object": (elf(TEXT, type=1), "an object file"),
    "core": (elf(TEXT, type=4), "not a program (ELF type 4)"),
    "headers past the end": (elf(TEXT, phnum=2000), "the program headers lie past the end"),
    "headers far away": (elf(TEXT, phnum=1)[:32] + b"\xff" * 8 + elf(TEXT)[40:], "headers lie"),
    "no headers": (elf(), "there is no segment to load"),
    "nothing to load": (elf(Ph(NOTE)), "there is no segment to load"),
    "dynamic": (elf(Ph(INTERP, data=b"/libexec/ld.so\0"), TEXT), "dynamically linked"),
    "truncated": (elf(TEXT)[:-1], "segment 0 lies past the end of the file"),
    "offset wraps": (
        elf(TEXT, replace(DATA, offset=(1 << 64) - 4096, filesz=4096, data=b"")),
        "segment 1 lies past the end of the file",
    ),
    "file size": (elf(replace(TEXT, memsz=15)), "segment 0 is larger in the file than in memory"),
    "address wraps": (
        elf(TEXT, replace(DATA, vaddr=(1 << 64) - 4096, memsz=8192)),
        "segment 1 does not fit below the stack",
    ),
    "kernel half": (elf(replace(TEXT, vaddr=0xFFFF_8000_0000_0000)), "does not fit below"),
    "into the stack": (
        elf(TEXT, replace(DATA, vaddr=TOP - (512 << 20) - 4096, memsz=4097)),
        "segment 1 does not fit below the stack",
    ),
    "enormous": (elf(replace(TEXT, memsz=(1 << 64) - 1)), "does not fit below the stack"),
    "odd offset": (elf(replace(TEXT, offset=0x1004)), "lies differently in its pages"),
    "overlap": (elf(TEXT, replace(DATA, vaddr=0x401000)), "share the page at 0x401000"),
    "shared page": (
        elf(TEXT, replace(DATA, vaddr=0x401800, offset=0x2800)),
        "share the page at 0x401000",
    ),
    "entry below": (elf(TEXT, entry=ENTRY - 1), "the entry point 0x400fff is outside"),
    "entry above": (elf(TEXT, entry=ENTRY + 16), "the entry point 0x401010 is outside"),
    "entry in a note": (elf(TEXT, Ph(NOTE, vaddr=0x500000), entry=0x500000), "entry point"),
    "too large": (elf(replace(TEXT, data=bytes(2 << 20))), "KiB of memory"),
}


@pytest.mark.parametrize(("program", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_program_is_refused(proc: Proc, program: bytes, message: str) -> None:
    used = proc.kernel.phys.used
    with pytest.raises(LoaderError) as caught:
        load(proc, program, [b"prog"])
    text = str(caught.value)
    assert text.startswith("program: ") and message in text and "\n" not in text
    assert len(proc.vmspace.map) == 0, "the address space must not be touched"
    assert proc.kernel.phys.used == used
    assert layout(proc) == (0, 0, 0)


UNPLACEABLE = {
    "not aligned": (LoadOptions(load_addr=0x400010), "0x400010 is not a multiple of 4096"),
    "negative": (LoadOptions(load_addr=-4096), "does not fit below the stack"),
    "kernel half": (LoadOptions(load_addr=0xFFFF_8000_0000_0000), "does not fit below"),
    "bss into the stack": (LoadOptions(bss=TOP), "does not fit below the stack"),
    "negative bss": (LoadOptions(bss=-1), "a bss of -1 bytes"),
    "entry below": (LoadOptions(entry=0x3FFFFF), "the entry point 0x3fffff is outside"),
    "entry above": (LoadOptions(entry=0x400010, bss=0), "the entry point 0x400010 is outside"),
}


@pytest.mark.parametrize(("options", "message"), UNPLACEABLE.values(), ids=UNPLACEABLE.keys())
def test_a_flat_program_must_fit(proc: Proc, options: LoadOptions, message: str) -> None:
    with pytest.raises(LoaderError, match=message):
        load(proc, b"\x90" * 16, [b"prog"], options=options)
    assert len(proc.vmspace.map) == 0


def test_files_that_cannot_be_read_are_refused(proc: Proc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    cases = [
        (tmp_path / "missing", "No such file or directory"),
        (tmp_path, "is a directory"),
        (tmp_path / "fifo", "not a regular file"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path / "a\0b", "null byte"),
        (tmp_path / ("n" * 300), "File name too long"),
    ]
    for path, message in cases:
        with pytest.raises(LoaderError, match=message) as caught:
            load(proc, path, [b"prog"])
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(proc: Proc, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(elf(TEXT))
    path.chmod(0)
    with pytest.raises(LoaderError, match="Permission denied"):
        load(proc, path, [b"prog"])


def test_a_sparse_giant_is_refused_without_being_read(proc: Proc, tmp_path: Path) -> None:
    path = tmp_path / "giant.bin"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(LoaderError, match="KiB of memory"):
        load(proc, path, [b"prog"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [([b"a\0b"], "contains a NUL"), ([b"x" * 262_144], "more than 262144 bytes")],
)
def test_unusable_arguments_are_refused(proc: Proc, argv: list[bytes], message: str) -> None:
    with pytest.raises(LoaderError, match=message):
        load(proc, elf(TEXT), argv)
    assert len(proc.vmspace.map) == 0


GOOD = elf(TEXT, DATA)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 64 + 2 * 56 - 1), st.integers(0, 255)), min_size=1, max_size=12
    ),
    st.integers(0, len(GOOD)),
)
def test_a_damaged_program_is_loaded_or_refused_but_nothing_else(
    tree: Tree, damage: list[tuple[int, int]], length: int
) -> None:
    image = bytearray(GOOD)
    for at, value in damage:
        image[at] = value
    proc = new_proc(tree, 256 << 10)
    try:
        load(proc, bytes(image[: length or len(GOOD)]), [b"prog"])
    except LoaderError:
        assert len(proc.vmspace.map) == 0


# The stack


@dataclass
class StackView:
    """The argument block, read as a C start-up routine does."""

    argv: list[int]
    envp: list[int]
    auxv: dict[int, int]
    tags: list[int]


def stack_of(proc: Proc, image: Image) -> StackView:
    def word(index: int) -> int:
        return int.from_bytes(proc.vmspace.copyin(image.args + 8 * index, 8), "little")

    at = 1
    vectors: list[list[int]] = []
    for _ in range(2):
        vector = []
        while pointer := word(at):
            vector.append(pointer)
            at += 1
        vectors.append(vector)
        at += 1
    assert word(0) == len(vectors[0])
    pairs: list[tuple[int, int]] = []
    while not pairs or pairs[-1][0]:
        pairs.append((word(at), word(at + 1)))
        at += 2
    argv, envp = vectors
    return StackView(argv, envp, dict(pairs), [tag for tag, _ in pairs])


def strings(proc: Proc, pointers: Sequence[int]) -> list[bytes]:
    return [proc.vmspace.copyinstr(pointer, 1000) for pointer in pointers]


def test_the_stack_of_a_new_program_word_by_word(proc: Proc) -> None:
    image = load(proc, elf(TEXT), [b"prog", b"-x"], [b"A=1"])
    # 32 ps_strings, 32 trampoline, path 5, to 8, 256 spare, strings 5+3+4, to 16.
    string_at = TOP - 32 - 32 - 256 - 8 - 16
    assert string_at == 0x7FFF_FFFF_FEA8
    # argc below 2+1+1+1 pointers, 48 words for the auxiliary vector, 5 for the path.
    assert image.args == string_at - 8 * (5 + 48 + 5) - 8 == 0x7FFF_FFFF_FCD0
    words = unpack("<26Q", proc.vmspace.copyin(image.args, 26 * 8))
    # fmt: off
    assert words == (
        2, string_at, string_at + 5, 0,
        string_at + 8, 0,
        3, 0,  # AT_PHDR: no segment holds the headers
        4, 56,
        5, 1,
        6, 4096,
        8, 0,
        9, ENTRY,
        7, 0,
        15, TOP - 32 - 32 - 5,
        18, 201302,
        0, 0,
    )
    # fmt: on
    assert proc.vmspace.copyin(string_at, 16) == b"prog\0-x\0A=1\0\0\0\0\0"
    assert proc.vmspace.copyin(TOP - 69, 5) == b"prog\0"


def test_ps_strings_and_the_signal_trampoline_are_at_the_top(proc: Proc) -> None:
    image = load(proc, elf(TEXT), [b"prog", b"-x"], [b"A=1"])
    argv, envp = image.args + 8, image.args + 8 * 4
    assert proc.vmspace.copyin(TOP - 32, 32) == pack("<QQQQ", argv, 2, envp, 1)
    assert proc.vmspace.copyin(TOP - 64, 32) == bytes.fromhex(
        "ff1424 488d7c2408 6a00 48c7c058010000 0f05 f4 ebfd 90909090909090909090"
    )


def test_the_stack_can_grow_and_be_executed(proc: Proc) -> None:
    load(proc, elf(TEXT), [b"prog"])
    (stack,) = [entry for entry in proc.vmspace.map if entry.stack_reserve]
    assert (stack.start, stack.end, stack.prot) == (TOP - (128 << 10), TOP, PROT_ALL)
    proc.vmspace.copyout(TOP - (512 << 20), b"deep")
    assert proc.vmspace.map.lookup(TOP - (512 << 20) - 1) is None


def test_headers_in_a_segment_are_pointed_to(proc: Proc) -> None:
    image = load(proc, elf(Ph(offset=0, vaddr=0x400000, data=b"", filesz=120), entry=0x400070), [])
    assert stack_of(proc, image).auxv[3] == 0x400000 + 64
    assert strings(proc, stack_of(proc, image).argv) == [b"program"]


def test_a_phdr_header_says_where_the_headers_are(proc: Proc) -> None:
    image = load(proc, elf(Ph(PHDR, R, vaddr=0x1234, data=b""), TEXT), [b"prog"])
    assert stack_of(proc, image).auxv[3] == 0x1234


def test_a_flat_program_has_no_headers_to_point_to(proc: Proc) -> None:
    image = load(proc, b"\x90", [b"prog"])
    view = stack_of(proc, image)
    assert view.tags == [6, 8, 9, 7, 15, 18, 0]
    assert view.auxv[9] == 0x400000


def test_without_arguments_the_file_name_is_the_first(proc: Proc, tmp_path: Path) -> None:
    path = tmp_path / "prog.bin"
    path.write_bytes(b"\x90")
    view = stack_of(proc, load(proc, path, []))
    assert strings(proc, view.argv) == [b"prog.bin"]
    assert proc.vmspace.copyinstr(view.auxv[15], 100) == b"prog.bin"


def test_many_arguments_make_the_stack_grow(proc: Proc) -> None:
    image = load(proc, elf(TEXT), [b"a"] * 20_000, [b"B=2", b""])
    view = stack_of(proc, image)
    assert len(view.argv) == 20_000
    assert strings(proc, view.argv[-1:] + view.envp) == [b"a", b"B=2", b""]
    assert image.args < TOP - (128 << 10)


def test_the_stack_of_another_abi_ends_lower(tree: Tree) -> None:
    proc = new_proc(tree, abi=ABI_2020)
    image = load(proc, elf(TEXT), [b"prog"])
    assert stack_of(proc, image).auxv[18] == 500900
    assert proc.vmspace.copyin(0x7FFF_FFE0_0000 - 64, 3) == b"\xff\x14\x24"


@pytest.mark.parametrize("path", [b"p", b"prog", b"a longer one", b"/an/even/longer/path/to/it"])
def test_registers_at_the_start(proc: Proc, path: bytes) -> None:
    lwp = Lwp(proc, UnicornEngine(proc.kernel.phys))
    lwp.frame.r15 = lwp.frame.rbx = lwp.bases.fs_base = 0xDEAD
    image = load(proc, elf(TEXT), [path])
    exec_setregs(lwp, image)
    frame = lwp.frame
    assert frame.rdi == image.args
    assert frame.rsp == (image.args - 8) // 16 * 16 + 8
    assert frame.rsp % 16 == 8 and image.args - 16 <= frame.rsp <= image.args
    assert (frame.rip, frame.rflags, frame.cs, frame.ss) == (ENTRY, 0x202, 0x2B, 0x23)
    assert not any((frame.rax, frame.rbx, frame.rcx, frame.rdx, frame.rsi, frame.rbp, frame.r15))
    assert bytes(lwp.bases) == bytes(32)


# Programs that linkers made

SOURCE = """
.globl _start
.text
_start: ret
.data
word: .quad 0x1122334455667788
.bss
.space 100000
"""


@pytest.mark.parametrize("flags", [[], ["-N"], ["-z", "noseparate-code"], ["-pie"]])
@pytest.mark.parametrize("linker", ["ld", "ld.lld"])
def test_what_a_linker_makes_is_loaded(
    proc: Proc, tmp_path: Path, linker: str, flags: list[str]
) -> None:
    for tool in ("as", linker):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    run = [str(tmp_path / name) for name in ("x.o", "x")]
    subprocess.run(["as", "--64", "-o", run[0], "-"], input=SOURCE.encode(), check=True)
    if flags == ["-pie"]:
        flags = ["-pie", "--no-dynamic-linker"]
    subprocess.run([linker, "-m", "elf_x86_64", *flags, "-o", run[1], run[0]], check=True)
    image = load(proc, Path(run[1]), [b"x"])
    space = proc.vmspace
    assert space.copyin(image.entry, 1) == b"\xc3"
    if flags != ["-N"]:
        assert space.copyin(proc.vmspace.data_start, proc.vmspace.data_size).count(
            pack("<Q", 0x1122334455667788)
        )
        assert proc.vmspace.data_size >= 100_000
    headers = stack_of(proc, image).auxv
    assert headers[4] == 56
    assert flags == ["-N"] or space.copyin(headers[3], 4) in (pack("<I", 1), pack("<I", 6))
