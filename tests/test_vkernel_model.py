"""Random virtual kernels: the emulator against a model written from the specification.

All that happens to memory is done by system calls and by instructions that the engine executes, in
vmspaces and in the virtual kernel itself.  Each result, each trap and, after each step, each byte
of the page tables must be what the model (model/specification.py) says.  A failure is shown as a
program that can be put into guest_programs/conformance.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import LOAD_ADDRESS, LONG, Booted, bounded
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from model.host import SCRATCH, Host
from model.layout import (
    CODE,
    IMAGE_PAGES,
    ISLAND,
    NO_FILE,
    RAM,
    RO_FILE,
    RW_FILE,
    address,
    island,
)
from model.program import FILES, FLAGS, PROTS, Program, bits, number
from model.specification import (
    ADD,
    ANON,
    CMPXCHG,
    EXEC,
    FIXED,
    INSTRUCTIONS,
    INVAL,
    JUMP,
    LOAD,
    MODELS,
    NOTHING,
    PAGE,
    PRESENT,
    PRIVATE,
    PROTECTION,
    PUSH,
    READ,
    SETMAP,
    SHARED,
    SIGSEGV,
    STORE,
    T_PAGEFLT,
    TRYFIXED,
    U64,
    VPAGETABLE,
    WRITE,
    XCHG,
    File,
    Instruction,
    Mapping,
    Model,
    Outcome,
    Refused,
    Space,
    Unpredictable,
    word,
)

from emu.abi.symbols import abi_symbols
from emu.abi.versions import VERSIONS
from emu.asm import assemble
from emu.kern import vkernel
from emu.kern.file import standard_files
from emu.kern.proc import Lwp
from emu.vm.vmspace import Vmspace
from syscalls.table import SYMBOLS

SPACE, OTHER = 0x5000, U64
RW, RX, RWX = READ | WRITE, READ | EXEC, READ | WRITE | EXEC

EDGES = [
    *(0x7FFFE, 0x7FFFF, 0x80000, 0x80001, 0x80002),  # neighbours, on both sides of 2 GB
    *(0x80201, 0x80202),  # in another table of the last level
    *(1 << 27, (1 << 27) + 1),  # in another of each level
]
"""Page numbers between which everything is mapped."""
SLOTS = [0, 1, 2, 510, 511]  # what the tables are looked up with there
TABLES = 6  # pages of the image that mostly are page tables
EXAMPLES, STEPS = 100, 40

LEAVE = vkernel.leave

# Chance

Entry = tuple[int, tuple[str, str]]
"""A frame, what a valid, readable and writable entry lacks, and what else it has: see value()."""

WHO = st.sampled_from([SPACE, None, SPACE, None, OTHER])
VMSPACE = st.sampled_from([SPACE, OTHER])
HOT = 0x80000  # where most of it happens
PAGES = st.sampled_from([HOT] * 8 + EDGES[:-1])
TREE = {
    1: {0: 2, 1: 2},
    2: {0: 3, 1: 3, 2: 3},
    3: {511: 4, 0: 4, 1: 4, 2: 4},
    4: {510: 6, 511: 7, 0: 8, 1: 9, 2: 10},
}
"""A tree of tables for all these pages: in which page of the image, what leads to which."""
EVERYTHING = EDGES[0], EDGES[-1]
SPANS = st.sampled_from(
    [(HOT, HOT + 1)] * 8
    + [(HOT - 1, HOT + 1), (HOT, HOT + 2), EVERYTHING] * 4
    + [(low, high) for low in EDGES for high in EDGES if low < high]
)
FRAMES = st.sampled_from([1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 14, 15, 16, (1 << 40) - 1])
CHANGED = [
    *[("W", ""), ("W", "A"), ("R", ""), ("V", ""), ("RW", ""), ("", "A"), ("", "AM"), ("W", "AM")],
    *[("", "N"), ("", "N"), ("", "AMN"), ("", "J"), ("", "P"), ("", "P"), ("W", "P"), ("", "PAM")],
]
RIGHTS = st.sampled_from([("", "")] * len(CHANGED) + CHANGED)
ENTRIES = st.tuples(FRAMES, RIGHTS)
ROOTS = st.tuples(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, 4, 0]), RIGHTS)
WORDS = st.one_of(ENTRIES, st.sampled_from([0, 1, 5, U64, *(what.word for what in INSTRUCTIONS)]))
PLACES = st.sampled_from(
    [0x400, 0x400, *(8 * slot for slot in SLOTS), *(8 * slot for slot in SLOTS), 0xFFC, 0xFFF]
    + [address(what, 0) for what in (NOTHING, LOAD)]
)
USES = st.sampled_from([LOAD, NOTHING, STORE, ADD])
Change = tuple[Instruction, int, tuple[str, str], str, list[Instruction]]
CHANGES = st.tuples(
    USES,
    st.integers(1, 4),
    st.sampled_from(CHANGED),
    st.sampled_from(["", "first", "first", "between"]),
    st.lists(USES, min_size=1, max_size=2),
)
CODE_AT = st.sampled_from([0, 0, 0, 0, *EDGES[:-1]])
TABLED = SHARED | FIXED | VPAGETABLE
PRIVATE_TABLED = PRIVATE | FIXED | VPAGETABLE
ANON_TABLED = ANON | PRIVATE | FIXED | VPAGETABLE
KINDS = st.sampled_from(
    [(TABLED, RW_FILE)] * 5
    + [(PRIVATE_TABLED, RO_FILE)] * 3
    + [
        (ANON_TABLED, -1),
        (SHARED | FIXED, RW_FILE),
        (SHARED | FIXED, RO_FILE),
        (PRIVATE | FIXED, RO_FILE),
        (FIXED, RW_FILE),
        (ANON | PRIVATE | FIXED, -1),
        (SHARED | TRYFIXED | VPAGETABLE, RW_FILE),
        (TABLED, RO_FILE),
        (TABLED, NO_FILE),
        (ANON | FIXED, RW_FILE),
    ]
)
ACCESSES = st.sampled_from([RWX] * 6 + [RW, RW, RW, RX, READ, WRITE, EXEC, 0])
OFFSETS = st.sampled_from([None] * 6 + [0, 0, PAGE, -PAGE, 2 * PAGE, 1 << 39, 1 << 48, 15 * PAGE])
"""Where a mapping begins in its table or file; None is at the number of its first page."""


class VirtualKernel(RuleBasedStateMachine):
    """Does the same to the emulator and to the model."""

    def __init__(self, abi: str) -> None:
        super().__init__()
        self.version = version = MODELS[abi]
        self.host = Host(abi)
        self.program = Program(version)
        image = File(IMAGE_PAGES)
        files = {RW_FILE: READ | WRITE, RO_FILE: READ}
        self.model = Model(version, image, RAM, files)
        program = File(1)
        first = LOAD_ADDRESS // PAGE
        self.model.own.mappings.append(
            Mapping(first, first + 1, program, -LOAD_ADDRESS, RWX, tabled=False)
        )
        for memory in (image, program):
            for page in memory.pages.values():
                page[ISLAND : ISLAND + len(island())] = island()

    def teardown(self) -> None:
        self.host.booted.close()

    # Both

    def agree(self, expected: object, does: Callable[[], object] = lambda: None) -> None:
        """Have the emulator do a step and compare what comes of it, and what is in memory."""
        try:
            found = does()
        except Exception as error:
            self.fail(f"the model says {expected}, the emulator raises {error!r}")
        if expected != found:
            self.fail(f"the model says {expected}, the emulator {found}")
        expected_image, found_image = self.model.file.contents, self.host.contents()
        if expected_image != found_image:
            self.fail(self.difference("the image", expected_image, found_image))
        for id, space in [(None, self.model.own), *self.model.spaces.items()]:
            for mapping in space.mappings:
                if mapping.tabled and mapping.memory is not self.model.file:
                    pages = self.host.private(id, mapping.first)
                    for index, page in mapping.memory.pages.items():
                        if pages.get(index) != page:
                            what = f"what {mapping} shows, page {index}"
                            self.fail(self.difference(what, bytes(page), pages.get(index, b"")))

    def difference(self, what: str, expected: bytes, found: bytes) -> str:
        if len(expected) != len(found):
            return f"{what} has {len(found)} bytes instead of {len(expected)}"
        at = next(
            at for at in range(0, len(found), 8) if expected[at : at + 8] != found[at : at + 8]
        )
        model, emulator = word(bytearray(expected), at), word(bytearray(found), at)
        if what == "the image":
            self.program.check_word(at // PAGE, at % PAGE // 8, model)
        return (
            f"{what}, at page {at // PAGE}, word {at % PAGE // 8}: the model has "
            f"{self.program.entry(model)}, the emulator {self.program.entry(emulator)}"
        )

    def fail(self, why: str) -> NoReturn:
        raise AssertionError(f"{why}\n\n{self.program.text()}")

    def value(self, drawn: int | Entry) -> int:
        """Return the word, or the entry, that chance has named."""
        if isinstance(drawn, int):
            return drawn
        v = self.version
        frame, (less, more) = drawn
        named = v.rw | v.PS | v.A | v.M | v.NX
        letters = {
            "V": v.V, "R": v.R, "W": v.W, "P": v.PS, "A": v.A, "M": v.M, "N": v.NX,
            "J": 0xFFF0_0000_0000_0FFF & ~named,
        }  # fmt: skip
        entry = frame << 12 | v.rw
        for letter in less:
            entry &= ~letters[letter]
        for letter in more:
            entry |= letters[letter]
        return entry

    def call(
        self, name: str, texts: Sequence[str], numbers: Sequence[int], model: Callable[[], int]
    ) -> None:
        """Make a system call; `texts` are its arguments in a program."""
        expected: int | str
        try:
            expected = model()
        except Refused as refusal:
            expected = str(refusal)
        self.program.syscall(name, *texts, result=expected)
        self.agree(expected, lambda: self.host.call(name, *numbers))

    # Steps

    @initialize(prepared=st.sampled_from([False, True, True, True, True, True]))
    def prepare(self, prepared: bool) -> None:
        """Perhaps begin with tables for everything, the same ones for everyone."""
        if prepared:
            self.write_tables()
            for id in (SPACE, OTHER):
                self.create(id, furnished=True)
            self.furnish(None, (TABLED, RW_FILE))

    def write_tables(self) -> None:
        marks = self.version.A | self.version.M
        for page, table in TREE.items():
            for slot, frame in table.items():
                value = self.value((frame, ("", "")))
                present = page in self.model.file.pages
                if not present or word(self.model.file.pages[page], 8 * slot) & ~marks != value:
                    self.change(page, slot, value, by_write=True)

    def mend(self, id: int | None, page: int) -> None:
        """Make sure that there are tables in the file that may lead to the page."""
        space = self.model.own if id is None else self.model.spaces.get(id)
        mapping = None if space is None else space.find(page)
        self.write_tables()
        if space is None and id is not None:
            self.create(id, furnished=True)
        elif mapping is None or not mapping.tabled or mapping.memory is not self.model.file:
            self.furnish(id, (TABLED, RW_FILE))

    @rule(
        id=WHO,
        kind=st.sampled_from([(TABLED, RW_FILE), *[(PRIVATE_TABLED, RO_FILE)] * 2]),
        prot=st.sampled_from([RWX, RWX, RW]),
    )
    def furnish(self, id: int | None, kind: tuple[int, int], prot: int = RWX) -> None:
        """Show everything through tables in the file, or in private copies of its pages."""
        self.map(id, EVERYTHING, kind, prot)
        self.setmap(id, EVERYTHING, (1, ("", "")))

    @rule(id=VMSPACE, furnished=st.sampled_from([False, True, True]))
    def create(self, id: int, furnished: bool) -> None:
        there = id in self.model.spaces
        self.call("vmspace_create", [number(id)], [id, 0, 0], lambda: self.model.create(id))
        if not there:
            self.map(id, (CODE // PAGE, CODE // PAGE + 1), (SHARED | FIXED, RW_FILE), RX)
            if furnished:
                self.furnish(id, (TABLED, RW_FILE))

    @rule(id=st.sampled_from([OTHER, OTHER, SPACE]), again=st.sampled_from([False, True, True]))
    def destroy(self, id: int, again: bool) -> None:
        self.call("vmspace_destroy", [number(id)], [id], lambda: self.model.destroy(id))
        if again:
            self.create(id, furnished=True)

    @rule(id=VMSPACE, inside=VMSPACE)
    def destroy_while_inside(self, id: int, inside: int) -> None:
        """Another LWP destroys a vmspace while the first is in one."""
        rip = address(NOTHING, CODE)
        model = self.model.copy()
        try:
            comes_back = model.run(inside, rip, 0, 0)
        except (Unpredictable, Refused):
            return
        expected: int | str
        try:
            expected = model.destroy(id, inside)
        except Refused as refusal:
            expected = str(refusal)
        self.model = model
        self.program.add(f"# another LWP, while one is in {inside:#x}: destroy {id:#x}: {expected}")
        self.agree(expected, lambda: self.host.while_inside(inside, rip, "vmspace_destroy", id))
        self.agree(comes_back, self.host.leave)
        if expected == 0:
            self.create(id, furnished=True)

    @rule(
        id=WHO,
        span=SPANS,
        kind=KINDS,
        prot=ACCESSES,
        offset=OFFSETS,
        skew=st.sampled_from([0] * 9 + [8]),
        less=st.sampled_from([0] * 6 + [1, PAGE - 1, PAGE]),
        root=ROOTS,
    )
    def mmap_and_setmap(
        self,
        id: int | None,
        span: tuple[int, int],
        kind: tuple[int, int],
        prot: int,
        offset: int | None,
        skew: int,
        less: int,
        root: Entry,
    ) -> None:
        self.map(id, span, kind, prot, offset, skew, less)
        if kind[0] & VPAGETABLE:
            self.setmap(id, span, root)

    def map(
        self,
        id: int | None,
        span: tuple[int, int],
        kind: tuple[int, int],
        prot: int = RWX,
        offset: int | None = None,
        skew: int = 0,
        less: int = 0,
    ) -> None:
        """Map a file or memory; `skew` is the place in the page, `less` is left out at the end."""
        flags, fd = kind
        first, last = span
        pos = (first * PAGE if offset is None and flags & VPAGETABLE else offset or 0) + skew
        if flags & ANON and fd == -1:
            pos = 0
        addr, size = first * PAGE + skew, (last - first) * PAGE - less
        texts = [number(addr), number(size), bits(prot, PROTS), bits(flags, FLAGS), FILES[fd]]
        numbers = [addr, size, prot, flags, fd]
        self.call(
            "mmap" if id is None else "vmspace_mmap",
            [*texts, "0", number(pos)] if id is None else [number(id), *texts, number(pos)],
            [*numbers, 0, pos] if id is None else [id, *numbers, pos],
            lambda: self.model.mmap(id, addr, size, prot, flags, fd, pos),
        )

    @rule(id=WHO, span=SPANS, less=st.sampled_from([0, 0, 0, 1, PAGE - 1]))
    def munmap(self, id: int | None, span: tuple[int, int], less: int) -> None:
        first, last = span
        addr, size = first * PAGE + less, (last - first) * PAGE - less
        self.on_range("munmap", id, addr, size, lambda space: space.munmap(addr, size))

    @rule(id=WHO, span=SPANS, root=ENTRIES)
    def setmap(self, id: int | None, span: tuple[int, int], root: Entry) -> None:
        first, last = span
        self.mcontrol(id, first * PAGE, (last - first) * PAGE, SETMAP, self.value(root))

    @rule(id=WHO, page=PAGES, more=st.sampled_from([PAGE, PAGE, PAGE, 1, PAGE + 1]))
    def inval(self, id: int | None, page: int, more: int) -> None:
        self.mcontrol(id, page * PAGE, more, INVAL, 0)

    @rule(
        id=WHO,
        span=SPANS,
        behav=st.sampled_from([INVAL, INVAL, 0, 3, 4, 5, 6, 7, 8, 9, -1, 12]),
        beyond=st.sampled_from([0, 0, 0, 1 << 46, U64]),
    )
    def advise(self, id: int | None, span: tuple[int, int], behav: int, beyond: int) -> None:
        first, last = span
        self.mcontrol(id, first * PAGE, (last - first) * PAGE + beyond, behav, 0)

    def mcontrol(self, id: int | None, addr: int, size: int, behav: int, value: int) -> None:
        advice = {INVAL: "MADV_INVAL", SETMAP: "MADV_SETMAP"}.get(behav, str(behav))
        self.on_range(
            "mcontrol",
            id,
            addr,
            size,
            lambda space: space.mcontrol(addr, size & U64, behav, value),
            [advice, self.program.entry(value)],
            [behav, value],
        )

    def on_range(
        self,
        name: str,
        id: int | None,
        addr: int,
        size: int,
        model: Callable[[Space], int],
        texts: Sequence[str] = (),
        numbers: Sequence[int] = (),
    ) -> None:
        texts, numbers = [number(addr), number(size), *texts], [addr, size, *numbers]
        if id is not None:
            name = f"vmspace_{name}"
            texts, numbers = [number(id), *texts], [id, *numbers]
        self.call(name, texts, numbers, lambda: model(self.model.space(id)))

    @rule(
        id=WHO,
        entries=st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 2, 3, 510]), ENTRIES), max_size=12
        ),
        root=ROOTS,
    )
    def build_in_memory(
        self, id: int | None, entries: list[tuple[int, int, Entry]], root: Entry
    ) -> None:
        """Keep the tables in memory that no file is behind: the program writes them itself."""
        self.map(id, EVERYTHING, (ANON_TABLED, -1), offset=0)
        self.setmap(id, EVERYTHING, (0, ("", "P")))
        for page, slot, entry in entries:
            self.touch(id, STORE, 0, EDGES[0] + page, 8 * slot, entry)
        self.setmap(id, EVERYTHING, root)

    @rule(
        page=st.integers(1, TABLES - 1),
        slot=st.sampled_from(SLOTS),
        entry=ENTRIES,
        by_write=st.booleans(),
    )
    def edit(self, page: int, slot: int, entry: Entry, by_write: bool) -> None:
        """Change an entry of a page table through the plain mapping, or through the file."""
        self.change(page, slot, self.value(entry), by_write)

    @rule(
        id=WHO,
        page=PAGES,
        level=st.integers(1, 4),
        entry=ENTRIES,
        keep=st.sampled_from([False, True, True]),
        by_write=st.booleans(),
    )
    def edit_on_the_way(
        self,
        id: int | None,
        page: int,
        level: int,
        entry: Entry,
        keep: bool,
        by_write: bool,
    ) -> None:
        """Change the entry that a walk uses; `keep` where it leads."""
        space = self.model.own if id is None else self.model.spaces.get(id)
        mapping = None if space is None else space.find(page)
        if mapping is None or not mapping.tabled or mapping.memory is not self.model.file:
            return
        index = (page * PAGE + mapping.bias) >> 12
        e = mapping.root
        for shift in (27, 18, 9, 0)[:level]:
            table = (e >> 12) & (1 << 40) - 1
            slot = index >> shift & 511
            if table not in mapping.memory.pages:
                return
            e = word(mapping.memory.pages[table], 8 * slot)
        frame, rights = entry
        if keep:
            frame = (e >> 12) & (1 << 40) - 1
        self.change(table, slot, self.value((frame, rights)), by_write)

    def change(self, page: int, slot: int, value: int, by_write: bool) -> None:
        at = page * PAGE + 8 * slot
        if by_write and at < self.model.file.length:
            self.host.space.copyout(SCRATCH, value.to_bytes(8, "little"))
            self.model.file.pages[page][8 * slot : 8 * slot + 8] = value.to_bytes(8, "little")
            self.program.add(
                f"mov r11, {self.program.entry(value)}",
                f"mov [RAM + {page}*PAGE_SIZE + {slot}*8], r11",
            )
            self.agree(8, lambda: self.host.call("extpwrite", RW_FILE, SCRATCH, 8, 0, at))
        else:
            self.touch(None, STORE, 0, RAM // PAGE + page, 8 * slot, value)

    @rule(
        id=WHO,
        what=st.sampled_from(INSTRUCTIONS),
        code=CODE_AT,
        page=PAGES,
        at=PLACES,
        value=WORDS,
    )
    def touch(
        self,
        id: int | None,
        what: Instruction,
        code: int,
        page: int,
        at: int,
        value: int | Entry,
    ) -> None:
        """Execute an instruction, which lies in a page of its own or with the rest."""
        if what is PUSH and id is None:
            return  # the stack is where signals go
        if what is JUMP:
            at = address(LOAD, 0) if at < PAGE // 2 else address(NOTHING, 0)
        own = LOAD_ADDRESS if id is None else CODE
        rip = address(what, code * PAGE or own)
        rsi, rax = page * PAGE + at, self.value(value)
        model = self.model.copy()
        expected: Outcome | str
        try:
            expected = model.run(id, rip, rsi, rax)
        except Unpredictable:
            return
        except Refused as refusal:
            expected = str(refusal)
        self.model = model
        if id is not None:
            self.program.run(id, rip, rsi, rax, expected)
            self.marked()
            self.agree(expected, lambda: self.host.run(id, rip, rsi, rax))
            return
        assert isinstance(expected, Outcome)
        self.program.run_natively(what, rip, rsi, rax, expected)
        self.marked()
        signal = (0, 0)
        if expected.why:
            signal = self.version.protection if expected.why == PROTECTION else (SIGSEGV, 1)
        self.agree((expected, signal), lambda: self.host.run_natively(rip, rsi, rax))

    @rule(
        id=WHO,
        page=PAGES,
        at=st.sampled_from([0x400, 0x400, 0x400, 0x400, 0xFFC, -4]),
        mended=st.booleans(),
        changes=st.lists(CHANGES, min_size=1, max_size=4),
    )
    def change_between(
        self, id: int | None, page: int, at: int, mended: bool, changes: list[Change]
    ) -> None:
        """Use a page, change an entry that leads to it, use it again, and change the entry back."""
        if mended:
            self.mend(id, page)
        for before, level, rights, inval, after in changes:
            if inval == "first":
                self.mcontrol(id, page * PAGE, PAGE, INVAL, 0)
            self.use(id, before, page, at)
            self.edit_on_the_way(id, page, level, (0, rights), keep=True, by_write=False)
            if inval == "between":
                self.mcontrol(id, page * PAGE, 1, INVAL, 0)
            for what in (*after, NOTHING):
                self.use(id, what, page, at)
            self.edit_on_the_way(id, page, level, (0, ("", "")), keep=True, by_write=True)

    @rule(id=WHO, page=PAGES, before=USES, entry=ENTRIES, after=USES)
    def retarget_between(
        self, id: int | None, page: int, before: Instruction, entry: Entry, after: Instruction
    ) -> None:
        self.use(id, before, page)
        self.edit_on_the_way(id, page, 4, entry, keep=False, by_write=True)
        self.use(id, after, page)

    @rule(id=WHO, page=PAGES, before=USES, root=ROOTS, after=USES)
    def setmap_between(
        self, id: int | None, page: int, before: Instruction, root: Entry, after: Instruction
    ) -> None:
        self.mend(id, page)
        self.use(id, before, page)
        self.setmap(id, EVERYTHING, root)
        self.use(id, after, page)
        self.setmap(id, EVERYTHING, (1, ("", "")))

    @rule(id=WHO, page=PAGES, before=USES, pages=st.integers(1, 15), after=USES)
    def cut_between(
        self, id: int | None, page: int, before: Instruction, pages: int, after: Instruction
    ) -> None:
        self.mend(id, page)
        self.use(id, before, page)
        self.ftruncate(pages, 0)
        self.use(id, after, page)
        self.ftruncate(IMAGE_PAGES, 0)

    @rule(
        id=WHO,
        page=PAGES,
        span=SPANS,
        kind=KINDS,
        prot=ACCESSES,
        root=ROOTS,
        uses=st.lists(st.tuples(USES, PAGES), min_size=1, max_size=4),
    )
    def replace_between(
        self,
        id: int | None,
        page: int,
        span: tuple[int, int],
        kind: tuple[int, int],
        prot: int,
        root: Entry,
        uses: list[tuple[Instruction, int]],
    ) -> None:
        """Use pages, replace some of the mappings, and use them again."""
        self.mend(id, page)
        self.use(id, LOAD, page)
        self.munmap(id, span, 0)
        self.use(id, LOAD, page)
        self.map(id, span, kind, prot)
        self.setmap(id, EVERYTHING, root)
        for what, used in uses:
            self.use(id, what, used)
        self.furnish(id, (TABLED, RW_FILE))

    def use(self, id: int | None, what: Instruction, page: int, at: int = 0x400) -> None:
        self.touch(id, what, page if what is NOTHING else 0, page, at, 1)

    def marked(self) -> None:
        """Say which entries of the tables in the file have been marked."""
        for space in self.model.every_space:
            for mark in space.marks:
                if mark.where is self.model.file:
                    value = word(mark.where.pages[mark.page], 8 * mark.slot)
                    self.program.check_word(mark.page, mark.slot, value)
            space.marks.clear()

    @rule(page=PAGES, at=PLACES, source=st.integers(0, TABLES), slot=st.sampled_from(SLOTS))
    def kernel_writes(self, page: int, at: int, source: int, slot: int) -> None:
        """Read a word of the file into memory that the virtual kernel sees."""
        va, pos = page * PAGE + at // 8 * 8, source * PAGE + 8 * slot
        if pos >= self.model.file.length:
            return
        value = word(self.model.file.pages[source], 8 * slot)

        def model() -> int:
            self.model.copyout(va, value)
            return 8

        texts = ["r12", number(va), "8", "0", number(pos)]
        self.call("extpread", texts, [RW_FILE, va, 8, 0, pos], model)
        self.marked()

    @rule(page=PAGES, at=PLACES, into=st.integers(1, TABLES), slot=st.sampled_from(SLOTS))
    def kernel_reads(self, page: int, at: int, into: int, slot: int) -> None:
        """Write a word that the virtual kernel sees into the file."""
        va, pos = page * PAGE + at // 8 * 8, into * PAGE + 8 * slot
        if pos >= self.model.file.length:
            return

        def model() -> int:
            value = self.model.copyin(va)
            self.model.file.pages[into][8 * slot : 8 * slot + 8] = value.to_bytes(8, "little")
            return 8

        texts = ["r12", number(va), "8", "0", number(pos)]
        self.call("extpwrite", texts, [RW_FILE, va, 8, 0, pos], model)
        self.marked()

    @rule(
        pages=st.sampled_from([16, 16, 16, 1, 3, 5, 6, 7, 8, 15]), more=st.sampled_from([0, 0, 8])
    )
    def ftruncate(self, pages: int, more: int) -> None:
        """Set the length of the file; pages that are new get their instructions."""
        length = min(pages * PAGE + more, IMAGE_PAGES * PAGE)
        before = self.model.file.length
        self.call(
            "ftruncate",
            ["r12", "0", number(length)],
            [RW_FILE, 0, length],
            lambda: self.model.truncate(length),
        )
        code = island()
        for page in range(IMAGE_PAGES):
            at = page * PAGE + ISLAND
            if before <= at < length:
                self.model.file.pages[page][ISLAND : ISLAND + len(code)] = code
                self.host.plant(page)
                texts = ["r12", "island", f"{len(code)}", "0", number(at)]
                self.program.syscall("extpwrite", *texts, result=len(code))
        self.agree(None)


def drive(abi: str, *, shrink: bool = True) -> None:
    """Let chance drive virtual kernels; raise AssertionError for what the model did not expect."""
    some = settings(
        bounded(EXAMPLES),
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    run_state_machine_as_test(lambda: VirtualKernel(abi), settings=some)


@pytest.mark.parametrize("abi", MODELS)
def test_the_emulator_does_what_the_model_says(
    abi: str, stress_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shrinking must end before pytest's timeout does.
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 60)
    ends = time.monotonic() + stress_seconds
    drive(abi)
    while LONG in os.environ and time.monotonic() < ends:
        drive(abi)


def test_translations_that_survive_inval_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    advise = Vmspace.advise

    def forgetful(space: Vmspace, addr: int, size: int, behav: int, value: int) -> None:
        advise(space, addr, size, 0 if behav == INVAL else behav, value)

    monkeypatch.setattr(Vmspace, "advise", forgetful)
    with pytest.raises(AssertionError, match=r"the model (says|has)"):
        drive("2011", shrink=False)


def always_absent(lwp: Lwp) -> None:
    """Do what vkernel.leave() does, with a wrong error code."""
    if lwp.frame.trapno == T_PAGEFLT:
        lwp.frame.err &= ~PRESENT
    LEAVE(lwp)


def test_a_wrong_present_bit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vkernel, "leave", always_absent)
    with pytest.raises(AssertionError, match="the model says"):
        drive("2011", shrink=False)


@pytest.mark.parametrize("abi", MODELS)
def test_a_failure_is_shown_as_a_program_that_does_the_same(
    abi: str,
    tmp_path: Path,
    boot: Callable[..., Booted],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = ("", "")
    kernel = VirtualKernel(abi)
    kernel.prepare(True)
    kernel.touch(SPACE, LOAD, 0, HOT, 0x400, 0)
    kernel.edit_on_the_way(SPACE, HOT, 3, (0, ("W", "")), keep=True, by_write=False)
    kernel.touch(SPACE, CMPXCHG, 0, HOT, 0x400, 0)  # refused, with P
    kernel.edit_on_the_way(SPACE, HOT, 3, (0, plain), keep=True, by_write=True)
    kernel.touch(None, STORE, 0, HOT + 1, 8, 77)
    kernel.touch(None, LOAD, 0, HOT, 0x400, 0)
    kernel.touch(None, STORE, 0, HOT, 0x400, 0)  # a signal
    kernel.touch(OTHER, JUMP, 0, HOT - 1, 0x400, 0)
    kernel.inval(SPACE, HOT, 1)
    kernel.retarget_between(SPACE, HOT, ADD, (0, ("", "P")), STORE)
    kernel.ftruncate(7, 8)
    kernel.touch(SPACE, PUSH, 0, HOT + 1, 0x400, 0)  # past the end
    kernel.ftruncate(16, 0)
    kernel.build_in_memory(OTHER, [(1, 0, (2, plain)), (2, 0, (3, plain))], (1, plain))
    kernel.touch(OTHER, XCHG, 0, HOT, 0xFFC, 5)
    kernel.kernel_writes(HOT, 0x400, 1, 0)
    kernel.kernel_reads(HOT + 1, 8, 5, 510)
    kernel.mmap_and_setmap(SPACE, (HOT, HOT + 1), (TABLED, RO_FILE), RWX, None, 0, 0, (1, plain))
    kernel.munmap(SPACE, EVERYTHING, 0)
    kernel.munmap(SPACE, EVERYTHING, 0)
    kernel.destroy(SPACE, again=False)
    kernel.touch(SPACE, LOAD, 0, HOT, 0x400, 0)
    kernel.teardown()

    source = tmp_path / "shown.s"
    source.write_text(kernel.program.text())
    symbols = {**abi_symbols(VERSIONS[abi]), **SYMBOLS}
    code = assemble(source, origin=LOAD_ADDRESS, symbols=symbols).code
    program = boot(code, abi=VERSIONS[abi], files=standard_files())
    assert (program.run(), program.told) == (0, [])
    assert "\nok 1 - found " in capfd.readouterr().out
    checks = [line for line in kernel.program.lines if line.startswith("FAULTED")]
    assert [line.removeprefix("FAULTED ").split("  #")[0] for line in checks] == [
        "PGEX_U + PGEX_W + PGEX_P, 0x80000400",
        "PGEX_U + PGEX_W, 0x80001400",
        "PGEX_U + PGEX_W, 0x80000ffc",
    ]
    monkeypatch.setattr(vkernel, "leave", always_absent)
    assert boot(code, abi=VERSIONS[abi], files=standard_files()).run() == 1
    failed = capfd.readouterr().out
    assert "\nnot ok 1 - found " in failed
    assert "expected: 0x0000000000000007\n  actual: 0x0000000000000006\n" in failed
