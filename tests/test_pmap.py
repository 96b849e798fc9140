"""Page tables, checked against literal lists of what is mapped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.abi.errno import KernelError
from emu.abi.x86 import PAGE_SIZE, PTE_FRAME, Pte
from emu.vm.phys import PhysicalMemory
from emu.vm.pmap import Pmap

READ = int(Pte.V | Pte.U | Pte.NX)
WRITE = int(Pte.V | Pte.U | Pte.NX | Pte.RW)
EXEC_OK = int(Pte.EXEC_OK)
NX = int(Pte.NX)
TABLE = int(Pte.V | Pte.RW | Pte.U)

A = 0x10_0000
B = 0x20_0000
C = 0x7FFF_FFFF_F000


@pytest.fixture
def pmap(phys: PhysicalMemory) -> Pmap:
    return Pmap(phys)


def walk(phys: PhysicalMemory, cr3: int) -> list[tuple[int, int]]:
    """Return what the hardware finds in the lower half: (va, entry), in order."""
    found = [(0, cr3)]
    for shift in (39, 30, 21, 12):
        below = []
        for base, table in found:
            last = 256 if shift == 39 else 512
            for index in range(last):
                if (entry := phys.read_u64(table + 8 * index)) & Pte.V:
                    below.append(
                        (base + (index << shift), entry if shift == 12 else entry & PTE_FRAME)
                    )
                    assert shift == 12 or entry & TABLE == TABLE
        found = below
    return found


def test_the_hardware_finds_what_was_entered(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(B, 0x6000 | WRITE)
    pmap.enter(0, 0x7000 | READ)
    pmap.enter(C, 0x5000 | READ)
    pmap.enter(B + PAGE_SIZE, 0x6000 | READ)
    assert walk(phys, pmap.cr3) == [
        (0, 0x7000 | READ),
        (B, 0x6000 | WRITE),
        (B + PAGE_SIZE, 0x6000 | READ),
        (C, 0x5000 | READ),
    ]
    assert sorted(va for va, _ in pmap.entries(B, C)) == [B, B + PAGE_SIZE]


def test_extract_and_lookup_answer_for_one_address(pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ)
    assert pmap.lookup(A + 0xFFF) == 0x6000 | READ
    assert pmap.extract(A + 0xFFF) == 0x6000
    assert pmap.lookup(A + PAGE_SIZE) == 0
    assert pmap.extract(A + PAGE_SIZE) is None
    assert pmap.extract(B) is None


def test_entering_again_replaces(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ)
    pmap.enter(A, 0x7000 | WRITE)
    assert walk(phys, pmap.cr3) == [(A, 0x7000 | WRITE)]


def test_remove_takes_exactly_the_range(phys: PhysicalMemory, pmap: Pmap) -> None:
    for va in (A, A + 0x1000, A + 0x2000, B - 0x1000, B, B + 0x1000):
        pmap.enter(va, 0x6000 | READ)
    pmap.remove(A + 0x1000, A + 0x2000)
    pmap.remove(B - 0x1000, B + 0x1000)
    assert walk(phys, pmap.cr3) == [
        (A, 0x6000 | READ),
        (A + 0x2000, 0x6000 | READ),
        (B + 0x1000, 0x6000 | READ),
    ]


def test_a_page_table_whose_whole_span_is_removed_comes_back(
    phys: PhysicalMemory, pmap: Pmap
) -> None:
    pmap.enter(B, 0x6000 | READ)
    pmap.enter(B + 0x20_0000, 0x6000 | READ)
    used = phys.used
    pmap.remove(B, B + 0x20_0000)
    assert phys.used == used - PAGE_SIZE
    assert walk(phys, pmap.cr3) == [(B + 0x20_0000, 0x6000 | READ)]
    pmap.enter(B, 0x7000 | READ)
    assert walk(phys, pmap.cr3)[0] == (B, 0x7000 | READ)


def test_destroy_gives_every_frame_back(phys: PhysicalMemory) -> None:
    used = phys.used
    pmap = Pmap(phys)
    for va in (0, A, B, 1 << 30, 1 << 39, C):
        pmap.enter(va, 0x6000 | READ)
    assert phys.used > used
    pmap.destroy()
    assert phys.used == used
    assert pmap not in phys.caches


def test_drop_leaves_the_root_and_the_engine_slot(phys: PhysicalMemory) -> None:
    phys.kernel_pml4e = 0x00FF_F000 | TABLE
    pmap = Pmap(phys)
    pmap.enter(A, 0x6000 | READ)
    pmap.enter(C, 0x6000 | READ)
    used = phys.used
    pmap.drop()
    assert phys.used == used - 6 * PAGE_SIZE
    assert walk(phys, pmap.cr3) == []
    assert phys.read_u64(pmap.cr3 + 8 * 511) == 0x00FF_F000 | TABLE
    pmap.enter(A, 0x7000 | READ)
    assert walk(phys, pmap.cr3) == [(A, 0x7000 | READ)]


def test_protect_takes_the_right_to_write(phys: PhysicalMemory, pmap: Pmap) -> None:
    for va in (A, A + 0x1000, B):
        pmap.enter(va, 0x6000 | WRITE | EXEC_OK)
    pmap.protect(A + 0x1000, B + 0x1000, write=False, execute=True)
    assert walk(phys, pmap.cr3) == [
        (A, 0x6000 | WRITE | EXEC_OK),
        (A + 0x1000, 0x6000 | READ | EXEC_OK),
        (B, 0x6000 | READ | EXEC_OK),
    ]


def test_protect_takes_the_right_to_execute_even_where_it_was_used(pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | WRITE | EXEC_OK)
    assert pmap.allow_execute(A)
    pmap.protect(A, B, write=True, execute=False)
    assert pmap.lookup(A) == 0x6000 | READ  # its code could change unseen
    assert not pmap.allow_execute(A)


def test_protect_enters_nothing(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | WRITE)
    pmap.protect(0, 1 << 47, write=False, execute=False)
    assert walk(phys, pmap.cr3) == [(A, 0x6000 | READ)]


def test_forget_drops_every_alias_of_a_physical_range(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ)
    pmap.enter(B, 0x6000 | WRITE)
    pmap.enter(C, 0x7000 | READ)
    pmap.enter(A + 0x1000, 0x5000 | READ)
    phys.stale.clear()
    pmap.forget(0x6000, 0x7000)
    assert walk(phys, pmap.cr3) == [(A + 0x1000, 0x5000 | READ), (C, 0x7000 | READ)]
    assert phys.stale.tlb
    phys.stale.clear()
    pmap.forget(0x6000, 0x7000)
    assert not phys.stale.tlb


def test_mark_sets_bits_and_nothing_else(pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | WRITE)
    pmap.mark(A + 8, int(Pte.A | Pte.D))
    assert pmap.lookup(A) == 0x6000 | WRITE | Pte.A | Pte.D


# What the CPU must forget


def test_granting_rights_leaves_the_cpu_alone(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ)
    pmap.enter(A, 0x6000 | WRITE)
    pmap.enter(A, 0x6000 | WRITE & ~NX)
    pmap.enter(B, 0x6000 | READ | EXEC_OK)
    pmap.allow_execute(B)
    assert not phys.stale.any


@pytest.mark.parametrize(
    "before, after",
    [
        (0x6000 | WRITE, 0x6000 | READ),
        (0x6000 | READ & ~NX, 0x6000 | READ),
        (0x6000 | READ, 0x7000 | READ),
        (0x6000 | READ, 0x7000 | WRITE),
    ],
    ids=["write", "execute", "another page", "another page, with more rights"],
)
def test_taking_rights_is_noted(phys: PhysicalMemory, pmap: Pmap, before: int, after: int) -> None:
    pmap.enter(A, before)
    assert not phys.stale.tlb
    pmap.enter(A, after)
    assert phys.stale.tlb


def test_removing_and_protecting_are_noted_only_where_tables_exist(
    phys: PhysicalMemory, pmap: Pmap
) -> None:
    pmap.enter(A, 0x6000 | WRITE)
    pmap.remove(B, 1 << 47)
    pmap.protect(B, 1 << 47, write=False, execute=False)
    assert not phys.stale.any
    pmap.protect(A, B, write=False, execute=True)
    assert phys.stale.tlb
    phys.stale.clear()
    pmap.remove(A, A + PAGE_SIZE)
    assert phys.stale.tlb


# Lazy execute


def test_a_page_becomes_executable_at_its_first_fetch(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ | EXEC_OK)
    assert phys.code == set()
    assert pmap.allow_execute(A + 0x123)
    assert pmap.lookup(A) == 0x6000 | (READ & ~NX) | EXEC_OK
    assert phys.code == {6}


def test_a_page_that_may_not_execute_stays_so(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | READ)
    assert not pmap.allow_execute(A)
    assert not pmap.allow_execute(B)
    assert not pmap.allow_execute(A + PAGE_SIZE)
    assert pmap.lookup(A) == 0x6000 | READ
    assert phys.code == set()


def test_nobody_stores_unseen_to_a_page_that_begins_to_hold_code(
    phys: PhysicalMemory, pmap: Pmap
) -> None:
    """Through a translation that is NX the engine notices only the first store."""
    other = Pmap(phys)
    pmap.enter(A, 0x6000 | READ | EXEC_OK)
    pmap.enter(B, 0x6000 | WRITE)
    pmap.enter(B + PAGE_SIZE, 0x7000 | WRITE)
    other.enter(A, 0x16000 | WRITE)
    other.enter(B, 0x6000 | WRITE | EXEC_OK)
    phys.stale.clear()
    assert pmap.allow_execute(A)
    assert phys.stale.tlb
    assert walk(phys, pmap.cr3) == [
        (A, 0x6000 | (READ & ~NX) | EXEC_OK),
        (B, 0x6000 | READ),
        (B + PAGE_SIZE, 0x7000 | WRITE),
    ]
    assert walk(phys, other.cr3) == [(A, 0x16000 | WRITE), (B, 0x6000 | READ | EXEC_OK)]


def test_who_executes_a_page_may_store_to_it(phys: PhysicalMemory, pmap: Pmap) -> None:
    pmap.enter(A, 0x6000 | WRITE | EXEC_OK)
    assert pmap.allow_execute(A)
    assert pmap.lookup(A) == 0x6000 | (WRITE & ~NX) | EXEC_OK


def test_a_page_that_holds_code_no_more_is_executed_nowhere(
    phys: PhysicalMemory, pmap: Pmap
) -> None:
    pmap.enter(A, 0x6000 | READ | EXEC_OK)
    assert pmap.allow_execute(A)
    phys.stale.clear()
    phys.end_code(6)
    assert phys.code == set()
    assert phys.stale.tlb and phys.stale.all_code
    assert pmap.lookup(A) == 0x6000 | READ | EXEC_OK


# The kernel's own views of pages


def test_views_go_with_the_translation(phys: PhysicalMemory, pmap: Pmap) -> None:
    def look(va: int) -> None:
        pmap.readable[va >> 12] = pmap.writable[va >> 12] = (phys.page(0x6000), 6)

    def views(va: int) -> tuple[bool, bool]:
        return va >> 12 in pmap.readable, va >> 12 in pmap.writable

    pmap.enter(A, 0x6000 | WRITE)
    for change in (
        lambda: pmap.remove(A, A + PAGE_SIZE),
        lambda: pmap.enter(A, 0x7000 | WRITE),
        lambda: pmap.enter(A, 0x7000 | READ),
        lambda: pmap.forget(0x6000, 0x7000),
        pmap.drop,
    ):
        pmap.enter(A, 0x6000 | WRITE)
        look(A)
        change()
        assert views(A) == (False, False)
    for size, write, left in (
        (PAGE_SIZE, False, (True, False)),
        (B - A, False, (True, False)),
        (B - A, True, (True, True)),
    ):
        pmap.enter(A, 0x6000 | WRITE)
        look(A)
        pmap.protect(A, A + size, write=write, execute=not write)
        assert views(A) == left


# Cost


def test_a_new_space_costs_one_frame(phys: PhysicalMemory) -> None:
    used = phys.used
    Pmap(phys)
    assert phys.used == used + PAGE_SIZE


class CountingDict(dict[int, int]):
    """The tables of a level, counting how often one is looked at."""

    visits = 0

    def __contains__(self, key: object) -> bool:
        self.visits += 1
        return super().__contains__(key)

    def __getitem__(self, key: int) -> int:
        self.visits += 1
        return super().__getitem__(key)

    def __iter__(self):  # type: ignore[no-untyped-def]
        for key in super().__iter__():
            self.visits += 1
            yield key


def test_removing_everything_costs_what_was_touched() -> None:
    phys = PhysicalMemory(64 << 20)
    pmap = Pmap(phys)
    counted = CountingDict()
    pmap._levels = (*pmap._levels[:2], counted)
    pmap._tables = counted
    for number in range(1000):
        pmap.enter(number * ((1 << 47) // 1000) & ~0xFFF, 0x6000 | READ)
    assert len(counted) == 1000
    counted.visits = 0
    pmap.remove(0, 1 << 47)
    assert counted.visits <= 4 * 1000
    assert walk(phys, pmap.cr3) == []


def test_removing_one_page_looks_at_one_table() -> None:
    phys = PhysicalMemory(64 << 20)
    pmap = Pmap(phys)
    counted = CountingDict()
    pmap._levels = (*pmap._levels[:2], counted)
    pmap._tables = counted
    for number in range(1000):
        pmap.enter(number << 21, 0x6000 | READ)
    counted.visits = 0
    pmap.remove(5 << 21, (5 << 21) + PAGE_SIZE)
    assert counted.visits <= 4


# Out of memory


def test_a_pmap_dropped_while_it_grows_begins_again() -> None:
    """Out of frames, the tables of this very pmap come back and are used for the new ones."""
    phys = PhysicalMemory(24 * PAGE_SIZE)
    pmap = Pmap(phys)
    for number in range(18):
        pmap.enter(number << 21, 0x6000 | READ)
    pmap.enter(1 << 39, 0x7000 | READ)
    assert walk(phys, pmap.cr3) == [(1 << 39, 0x7000 | READ)]
    pmap.drop()
    assert phys.used == PAGE_SIZE


def test_a_page_that_finds_no_room_for_its_tables_leaks_nothing() -> None:
    phys = PhysicalMemory(4 * PAGE_SIZE)
    pmap = Pmap(phys)
    for _ in range(3):
        with pytest.raises(KernelError):
            pmap.enter(A, 0x6000 | READ)
    pmap.drop()
    assert phys.used == PAGE_SIZE
    pmap.destroy()
    assert phys.used == 0


PAGES = st.sampled_from([A, A + 0x1000, B - 0x1000, B, B + 0x20_0000, 1 << 30, 1 << 39, C])
EDGES = st.sampled_from([0, A, A + 0x1000, B, B + 0x1000, B + 0x20_0000, 1 << 30, 1 << 39, 1 << 47])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("enter"), PAGES, st.integers(1, 200)),
            st.tuples(st.just("remove"), EDGES, EDGES),
            st.tuples(st.just("protect"), EDGES, EDGES),
            st.tuples(st.just("seal"), EDGES, EDGES),
            st.tuples(st.just("forget"), st.integers(1, 200), st.integers(1, 200)),
            st.tuples(st.just("drop"), st.just(0), st.just(0)),
        ),
        max_size=12,
    )
)
def test_the_tables_hold_what_a_dictionary_would(steps: list[tuple[str, int, int]]) -> None:
    phys = PhysicalMemory(1 << 20)
    pmap = Pmap(phys)
    model: dict[int, int] = {}
    for name, first, last in steps:
        match name:
            case "enter":
                pte = last << 12 | WRITE | EXEC_OK
                model[first] = pte
                pmap.enter(first, pte)
                if last & 1 and pmap.allow_execute(first):
                    model[first] &= ~NX
            case "remove":
                if first < last:
                    model = {va: pte for va, pte in model.items() if not first <= va < last}
                    pmap.remove(first, last)
            case "protect" | "seal":
                for va in model:
                    if first <= va < last:
                        model[va] &= ~int(Pte.RW) if name == "protect" else ~EXEC_OK
                        model[va] |= 0 if name == "protect" else NX
                if first < last:
                    pmap.protect(first, last, write=name == "seal", execute=name == "protect")
            case "forget":
                gone = range(first, last)
                model = {
                    va: pte for va, pte in model.items() if (pte & PTE_FRAME) >> 12 not in gone
                }
                pmap.forget(first << 12, last << 12)
            case _:
                model = {}
                pmap.drop()
    assert walk(phys, pmap.cr3) == sorted(model.items())
    pmap.destroy()
    assert phys.used == 0
