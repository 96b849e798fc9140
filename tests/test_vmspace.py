"""Address spaces: what the kernel reads and writes in them, and the calls that change them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from tempfile import TemporaryFile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Inherit, Madv, Prot
from emu.abi.versions import ABI_2011, ABI_2020, AbiVersion
from emu.abi.x86 import PAGE_SIZE, PTE_FRAME, Pte
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_map import VmMapEntry
from emu.vm.vm_object import (
    ANONYMOUS_PAGES,
    AnonymousObject,
    FileObject,
    KernReturn,
    ShadowObject,
    VmObject,
)
from emu.vm.vmspace import Vmspace

READ, WRITE, EXEC = int(Prot.READ), int(Prot.WRITE), int(Prot.EXEC)
A = 0x40_0000
HOLE = A + 0x3000
V_R_W, V_R, PS = 0x001 | 0x004 | 0x008, 0x001 | 0x004, 0x002
USER_MAX = 0x8000_0000_0000


@pytest.fixture
def space(phys: PhysicalMemory) -> Vmspace:
    """Three pages at A and one after a hole."""
    space = Vmspace(phys, ABI_2011, grows=True)
    space.map_anonymous(A, HOLE)
    space.map_anonymous(HOLE + PAGE_SIZE, HOLE + 2 * PAGE_SIZE)
    return space


def map_table(phys: PhysicalMemory, space: Vmspace, start: int, pages: int) -> VmMapEntry:
    memory = AnonymousObject(phys, ANONYMOUS_PAGES)
    entry = VmMapEntry(start, start + pages * PAGE_SIZE, memory, vpagetable=True)
    space.map_object(entry)
    return entry


def entries(space: Vmspace) -> list[tuple[int, int, int]]:
    return [(entry.start, entry.end, int(entry.prot)) for entry in space.map]


def refusal(call: Callable[..., object], *args: object) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


# Frames


def test_a_space_costs_one_page_until_something_in_it_is_touched(phys: PhysicalMemory) -> None:
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(0, USER_MAX)
    assert phys.used == PAGE_SIZE
    assert len(space.map) == 1
    space.copyout(USER_MAX - 1, b"x")
    assert phys.used == 5 * PAGE_SIZE  # three tables and the page


def test_destroy_gives_every_frame_back(phys: PhysicalMemory) -> None:
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(0, 1 << 46)
    entry = map_table(phys, space, 1 << 46, 16)
    entry.root = PS | V_R_W
    for va in (0, 1 << 30, 1 << 40, (1 << 46) + 0x1000):
        space.copyout(va, b"x")
    space.destroy()
    assert phys.used == 0


def test_unmapping_frees_what_was_touched_and_shows_zeros_afterwards(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    space.copyout(A, b"x" * 3 * PAGE_SIZE)
    used = phys.used
    space.munmap(A + PAGE_SIZE, PAGE_SIZE)
    assert phys.used == used - PAGE_SIZE
    assert space.peek(A + PAGE_SIZE, 1) is None
    space.map_anonymous(A + PAGE_SIZE, A + 2 * PAGE_SIZE)
    assert space.copyin(A, 3 * PAGE_SIZE) == b"x" * PAGE_SIZE + bytes(PAGE_SIZE) + b"x" * PAGE_SIZE


def test_out_of_memory_is_enomem_and_what_was_written_stays() -> None:
    phys = PhysicalMemory(16 * PAGE_SIZE)
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(A, A + 64 * PAGE_SIZE)
    assert refusal(space.copyout, A, b"x" * 64 * PAGE_SIZE) is Errno.ENOMEM
    space.unmap(A + 8 * PAGE_SIZE, A + 64 * PAGE_SIZE)
    assert space.copyin(A, 8 * PAGE_SIZE) == b"x" * 8 * PAGE_SIZE
    space.unmap(A, A + 8 * PAGE_SIZE)
    space.map_anonymous(A, A + 8 * PAGE_SIZE)
    space.copyout(A, b"y" * 8 * PAGE_SIZE)
    space.destroy()
    assert phys.used == 0


def test_translations_of_other_spaces_are_given_up_for_memory() -> None:
    phys = PhysicalMemory(48 * PAGE_SIZE)
    spaces = [Vmspace(phys, ABI_2011, grows=False) for _ in range(2)]
    for space in spaces:
        space.map_anonymous(A, A + (32 << 20))
    for number in range(14):
        spaces[0].copyout(A + (number << 21), b"first")
    spaces[1].copyout(A, b"x" * 16 * PAGE_SIZE)
    assert [*spaces[0].pmap.entries(0, 1 << 47)] == []
    assert spaces[0].copyin(A, 5) == b"first"


# copyin and copyout


def test_copies_cross_pages(space: Vmspace) -> None:
    data = bytes(range(256)) * 32
    space.copyout(A + 100, data)
    assert space.copyin(A + 100, len(data)) == data
    assert space.copyin(A, 100) == bytes(100)


@pytest.mark.parametrize(
    "va, size",
    [
        (HOLE, 1),
        (HOLE - 1, 2),
        (A, 0x4001),
        (USER_MAX, 1),
        (USER_MAX - 1, 2),
        ((1 << 64) - 1, 2),
        ((1 << 64) - 8, 8),
        (0, 1),
    ],
)
def test_what_is_not_mapped_user_memory_is_efault(space: Vmspace, va: int, size: int) -> None:
    assert refusal(space.copyin, va, size) is Errno.EFAULT
    assert refusal(space.copyout, va, bytes(size)) is Errno.EFAULT


def test_nothing_can_be_copied_anywhere(space: Vmspace) -> None:
    assert space.copyin((1 << 64) - 1, 0) == b""  # support.s: the length comes first
    space.copyout((1 << 64) - 1, b"")


def test_the_last_byte_below_user_max_can_be_reached(phys: PhysicalMemory) -> None:
    space = Vmspace(phys, ABI_2020, grows=False)
    space.map_anonymous(0x7FFF_FFDF_F000, 0x7FFF_FFE0_0000)
    space.copyout(0x7FFF_FFDF_FFFF, b"x")
    assert space.copyin(0x7FFF_FFDF_FFFF, 1) == b"x"
    assert refusal(space.copyin, 0x7FFF_FFDF_FFFF, 2) is Errno.EFAULT


def test_pages_before_the_bad_one_are_written(space: Vmspace) -> None:
    assert refusal(space.copyout, HOLE - 4, b"12345678") is Errno.EFAULT
    assert space.copyin(HOLE - 4, 4) == b"1234"


def test_read_only_memory_is_efault_to_write(space: Vmspace) -> None:
    space.copyout(A, b"before")
    space.mprotect(A, PAGE_SIZE, READ)
    assert refusal(space.copyout, A, b"after") is Errno.EFAULT
    assert space.copyin(A, 6) == b"before"


def test_unreadable_memory_is_efault_to_read(space: Vmspace) -> None:
    space.copyout(A, b"before")
    assert space.copyin(A, 6) == b"before"
    space.mprotect(A, PAGE_SIZE, 0)
    assert refusal(space.copyin, A, 6) is Errno.EFAULT


def test_the_kernel_marks_the_page_table_as_the_cpu_would(space: Vmspace) -> None:
    space.copyin(A, 1)
    assert space.pmap.lookup(A) & (Pte.A | Pte.D) == Pte.A
    space.copyout(A, b"x")
    assert space.pmap.lookup(A) & (Pte.A | Pte.D) == Pte.A | Pte.D


def test_the_kernel_marks_the_virtual_page_table_as_the_cpu_would(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    """One page is the whole table and leads to itself: every level marks the same entry."""
    entry = map_table(phys, space, 0, 1)
    table, _ = entry.object.page(0, True)
    entry.root = V_R_W
    phys.write_u64(table, V_R_W)
    space.copyin(0, 8)
    assert phys.read_u64(table) == V_R_W | 0x20
    assert space.pmap.extract(0) == table
    space.copyout(8, b"x")
    assert phys.read_u64(table) == V_R_W | 0x60


def test_once_writable_a_page_is_not_marked_again_until_inval(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    entry = map_table(phys, space, 0, 1)  # abi 6.14
    table, _ = entry.object.page(0, True)
    entry.root = V_R_W
    phys.write_u64(table, V_R_W)
    space.copyout(8, b"x")
    phys.write_u64(table, V_R_W)
    space.copyout(8, b"x")
    assert phys.read_u64(table) == V_R_W
    space.advise(0, PAGE_SIZE, Madv.INVAL, 0)
    space.copyout(8, b"x")
    assert phys.read_u64(table) == V_R_W | 0x60


def test_a_store_over_code_is_noted_by_its_exact_range(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    space.copyout(A, b"\x90" * 3 * PAGE_SIZE)
    space.fault(A + PAGE_SIZE, EXEC)
    phys.stale.clear()
    space.copyout(A, b"data")
    assert not phys.stale.any
    space.copyout(A + 0x1FFE, b"\xcc\xcc\xcc\xcc")
    space.copyout(A + 0x0FFF, b"\xcc\xcc")
    root = space.pmap.cr3
    assert phys.stale.code == [(root, A + 0x1FFE, 2), (root, A + 0x1000, 1)]
    assert phys.stale.any and not phys.stale.all_code


def test_a_string_ends_at_its_nul(space: Vmspace) -> None:
    space.copyout(A + 0xFFE, b"abcd\0ef")
    assert space.copyinstr(A + 0xFFE, 100) == b"abcd"
    assert space.copyinstr(A + 0xFFE, 5) == b"abcd"
    assert refusal(space.copyinstr, A + 0xFFE, 4) is Errno.ENAMETOOLONG
    assert space.copyinstr(A + 0x100, 1) == b""


def test_a_string_may_end_right_before_a_hole_but_not_run_into_it(space: Vmspace) -> None:
    space.copyout(HOLE - 4, b"abc\0")
    assert space.copyinstr(HOLE - 4, 1024) == b"abc"
    space.copyout(HOLE - 1, b"d")
    assert refusal(space.copyinstr, HOLE - 4, 1024) is Errno.EFAULT
    assert refusal(space.copyinstr, HOLE - 4, 4) is Errno.ENAMETOOLONG
    assert refusal(space.copyinstr, USER_MAX, 4) is Errno.EFAULT


def test_peek_leaves_no_mark(phys: PhysicalMemory, space: Vmspace) -> None:
    used = phys.used
    assert space.peek(A, 8) is None
    assert phys.used == used
    space.copyout(A, b"x" * 2 * PAGE_SIZE)
    space.pmap.remove(A + PAGE_SIZE, HOLE)
    space.pmap.enter(A, space.pmap.lookup(A) & ~int(Pte.A | Pte.D))
    before = space.pmap.lookup(A)
    assert space.peek(A + 0xFFE, 2) == b"xx"
    assert space.peek(A + 0xFFE, 3) is None
    assert space.peek(USER_MAX, 1) is None
    assert space.pmap.lookup(A) == before


# Faults and stacks

STACK_TOP = 0x7000_0000
STACK = STACK_TOP - (1 << 20)


@pytest.fixture
def stack(space: Vmspace) -> Vmspace:
    space.map_stack(STACK, STACK_TOP, PROT_ALL)
    return space


def stack_starts(space: Vmspace) -> list[int]:
    return [entry.start for entry in space.map if entry.start >= STACK]


def test_an_address_past_the_space_is_a_failure(space: Vmspace) -> None:
    for va in (USER_MAX, (1 << 64) - 1):
        assert space.fault(va, READ) is KernReturn.FAILURE


def test_what_is_borrowed_is_what_copyin_returns(space: Vmspace) -> None:
    space.copyout(A, bytes(range(256)) * 32)
    for va, size in ((A, 200), (A + 0xF00, 0x100), (A + 0xF80, 200), (A + 0x1000, 0x1000)):
        assert bytes(space.borrow(va, size)) == space.copyin(va, size)
    with pytest.raises(KernelError) as refusal:
        space.borrow(HOLE - 1, 2)
    assert refusal.value.errno == Errno.EFAULT


def test_what_is_borrowed_from_one_page_is_not_copied(space: Vmspace) -> None:
    space.copyin(A, 1)
    borrowed = space.borrow(A, 4)
    space.copyout(A, b"next")
    assert bytes(borrowed) == b"next"


def test_where_nothing_is_mapped_a_fault_is_a_failure(space: Vmspace) -> None:
    for va in (A - 1, HOLE):
        assert space.fault(va, READ) is KernReturn.FAILURE


def test_a_stack_begins_with_its_top_128_kilobytes(stack: Vmspace) -> None:
    assert stack_starts(stack) == [STACK_TOP - 0x2_0000]
    stack.copyout(STACK_TOP - 0x2_0000, b"x")
    assert stack_starts(stack) == [STACK_TOP - 0x2_0000]


def test_a_small_stack_is_mapped_whole(space: Vmspace) -> None:
    space.map_stack(STACK_TOP - 0x3000, STACK_TOP, PROT_ALL)
    assert stack_starts(space) == [STACK_TOP - 0x3000]


def test_a_stack_grows_in_steps_of_128_kilobytes(stack: Vmspace) -> None:
    stack.copyout(STACK_TOP - 0x2_0001, b"x")
    assert stack_starts(stack) == [STACK_TOP - 0x4_0000, STACK_TOP - 0x2_0000]
    stack.copyout(STACK_TOP - 0x8_0001, b"x")
    assert stack_starts(stack)[0] == STACK_TOP - 0xA_0000


def test_a_stack_grows_again_where_it_was_unmapped(stack: Vmspace) -> None:
    stack.copyout(STACK_TOP - 0x2_0001, b"x")  # vm_map_growstack: avail_ssize stays
    stack.munmap(STACK_TOP - 0x4_0000, 0x2_0000)
    assert stack_starts(stack) == [STACK_TOP - 0x2_0000]
    assert stack.copyin(STACK_TOP - 0x2_0001, 1) == b"\0"
    assert refusal(stack.copyout, STACK - 1, b"x") is Errno.EFAULT


def test_a_stack_grows_to_its_limit_and_no_further(stack: Vmspace) -> None:
    assert refusal(stack.copyout, STACK - 1, b"x") is Errno.EFAULT
    assert stack_starts(stack) == [STACK_TOP - 0x2_0000]
    stack.copyout(STACK, b"x")
    assert stack_starts(stack)[0] == STACK
    assert refusal(stack.copyout, STACK - 1, b"x") is Errno.EFAULT


def test_a_stack_does_not_grow_over_another_mapping(stack: Vmspace) -> None:
    stack.map_anonymous(STACK_TOP - 0x3_1000, STACK_TOP - 0x3_0000, READ)
    stack.copyout(STACK_TOP - 0x2_0001, b"x")
    assert stack_starts(stack) == [
        STACK_TOP - 0x3_1000,
        STACK_TOP - 0x3_0000,
        STACK_TOP - 0x2_0000,
    ]
    assert refusal(stack.copyout, STACK_TOP - 0x3_1001, b"x") is Errno.EFAULT


def test_what_grows_may_do_everything_whatever_became_of_the_rest(stack: Vmspace) -> None:
    stack.mprotect(STACK_TOP - 0x2_0000, PAGE_SIZE, 0)  # vm_map_growstack: VM_PROT_ALL
    stack.copyout(STACK_TOP - 0x2_0001, b"x")
    lowest = stack.map.lookup(STACK_TOP - 0x4_0000)
    assert lowest is not None and (lowest.prot, lowest.max_prot) == (PROT_ALL, PROT_ALL)


def test_no_stack_grows_in_a_vmspace(space: Vmspace) -> None:
    inner = space.empty()  # abi 6.14
    assert len(inner.map) == 0
    inner.map_stack(STACK, STACK_TOP, PROT_ALL)
    inner.copyout(STACK_TOP - 0x2_0000, b"x")
    assert refusal(inner.copyout, STACK_TOP - 0x2_0001, b"x") is Errno.EFAULT
    assert stack_starts(inner) == [STACK_TOP - 0x2_0000]


def test_below_plain_memory_nothing_grows(space: Vmspace) -> None:
    assert refusal(space.copyout, A - 1, b"x") is Errno.EFAULT


# Mappings


def test_a_stack_replaces_what_is_mapped_in_its_reserve_too(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    memory = AnonymousObject(phys, 32)
    entry = VmMapEntry(A + 0x2_0000, A + 0x4_0000, memory, stack_reserve=0x2_0000)
    space.map_object(entry, replace=True)
    assert entries(space) == [(A + 0x2_0000, A + 0x4_0000, PROT_ALL)]


@pytest.mark.parametrize(
    "addr, size",
    [(HOLE, 1), (A, 0x4000), (A - 1, 2), (HOLE + 0x1FFF, 2), (0, USER_MAX)],
)
def test_munmap_wants_everything_mapped(space: Vmspace, addr: int, size: int) -> None:
    before = entries(space)
    assert refusal(space.munmap, addr, size) is Errno.EINVAL  # abi 6.10
    assert entries(space) == before


@pytest.mark.parametrize(
    "addr, size",
    [
        ((1 << 64) - 0x1000, 0x1000),
        ((1 << 64) - 1, 1),
        (A, (1 << 64) - 1),
        (USER_MAX - 0x1000, 0x2000),
    ],
)
def test_munmap_refuses_ranges_that_wrap_or_leave_the_space(
    space: Vmspace, addr: int, size: int
) -> None:
    assert refusal(space.munmap, addr, size) is Errno.EINVAL


def test_munmap_of_nothing_is_no_error(space: Vmspace) -> None:
    before = entries(space)
    for addr in (A, HOLE, 0, USER_MAX, USER_MAX + 0x1000):
        space.munmap(addr, 0)
    assert entries(space) == before


def test_munmap_rounds_to_whole_pages(space: Vmspace) -> None:
    space.munmap(A + 0xFFF, 2)
    assert entries(space) == [
        (A + 0x2000, A + 0x3000, PROT_ALL),
        (HOLE + 0x1000, HOLE + 0x2000, PROT_ALL),
    ]
    space.munmap(A + 0x2001, 0)  # the offset in the page counts
    assert entries(space) == [(HOLE + 0x1000, HOLE + 0x2000, PROT_ALL)]


def test_mprotect_ignores_holes_and_splits(space: Vmspace) -> None:
    space.mprotect(A + 0x2001, 0x2000, READ)  # abi 6.10
    assert entries(space) == [
        (A, A + 0x2000, PROT_ALL),
        (A + 0x2000, A + 0x3000, READ),
        (HOLE + 0x1000, HOLE + 0x2000, READ),
    ]
    space.mprotect(A, 0x8000, READ | 0xF8)  # other bits are dropped
    assert entries(space) == [(A, HOLE, READ), (HOLE + 0x1000, HOLE + 0x2000, READ)]


def test_mprotect_changes_nothing_if_one_entry_refuses(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    memory = AnonymousObject(phys, 1)
    space.map_object(VmMapEntry(HOLE, HOLE + PAGE_SIZE, memory, prot=READ, max_prot=READ | EXEC))
    space.copyout(A, b"x")
    before = entries(space), space.pmap.lookup(A)
    assert refusal(space.mprotect, A, 0x5000, READ | WRITE) is Errno.EACCES  # abi 6.10
    assert (entries(space), space.pmap.lookup(A)) == before
    space.mprotect(A, 0x5000, READ | EXEC)


def test_mprotect_works_on_a_virtual_page_table_mapping(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    entry = map_table(phys, space, 0, 2)
    entry.root = PS | V_R_W
    space.copyout(0, b"x")
    space.mprotect(0, 0x2000, READ)
    assert refusal(space.copyout, 0, b"y") is Errno.EFAULT
    assert space.copyin(0, 1) == b"x"


@pytest.mark.parametrize("abi, stays", [(ABI_2011, True), (ABI_2020, False)])
def test_mprotect_takes_execution_away_only_where_it_is_checked(
    phys: PhysicalMemory, abi: AbiVersion, stays: bool
) -> None:
    space = Vmspace(phys, abi, grows=False)
    space.map_anonymous(A, A + 0x1000)
    space.fault(A, EXEC)
    space.mprotect(A, 0x1000, READ)
    assert bool(space.pmap.lookup(A) & Pte.EXEC_OK) is stays
    assert bool(space.pmap.lookup(A) & Pte.NX) is not stays
    assert not space.pmap.lookup(A) & Pte.RW


def test_granted_rights_show_at_the_next_fault(phys: PhysicalMemory, space: Vmspace) -> None:
    space.mprotect(A, 0x1000, READ)
    space.copyin(A, 1)
    phys.stale.clear()
    space.mprotect(A, 0x1000, READ | WRITE)
    assert not phys.stale.any
    space.copyout(A, b"x")
    assert space.copyin(A, 1) == b"x"


def test_minherit_sets_and_merges(space: Vmspace) -> None:
    space.minherit(A, 0x1000, Inherit.SHARE)
    assert [entry.inherit for entry in space.map] == [Inherit.SHARE, Inherit.COPY, Inherit.COPY]
    space.minherit(A, 0x1000, Inherit.COPY)
    assert len(space.map) == 2
    assert refusal(space.minherit, A, 0x1000, 3) is Errno.EINVAL
    assert refusal(space.minherit, A, 0x1000, -1) is Errno.EINVAL


# Advice (abi 6.11)


@pytest.mark.parametrize("behav", list(Madv))
def test_advice_wants_a_range_in_the_space(space: Vmspace, behav: Madv) -> None:
    for addr, size in ((USER_MAX, 1), (A, (1 << 64) - 1), ((1 << 64) - 1, 1)):
        assert refusal(space.advise, addr, size, behav, 0) is Errno.EINVAL


@pytest.mark.parametrize("behav", list(Madv))
def test_advice_about_nothing_is_no_error(space: Vmspace, behav: Madv) -> None:
    before = entries(space)
    space.advise(0x10_0000, 0x10_0000, behav, 0)
    assert entries(space) == before


def test_hints_change_nothing_that_can_be_seen(space: Vmspace) -> None:
    space.copyout(A, b"kept")
    for behav in (0, 1, 2, 3, 4, 5):
        space.advise(A, 0x3000, behav, 0)
    assert space.copyin(A, 4) == b"kept"


def test_inval_drops_translations_of_every_page_it_touches_and_no_other(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    map_table(phys, space, HOLE, 1).root = PS | V_R_W
    for page in range(5):
        space.copyout(A + page * PAGE_SIZE, b"%d" % page)
    space.advise(A + 0x1FFF, 0x1002, Madv.INVAL, 0)
    assert [space.peek(A + page * PAGE_SIZE, 1) for page in range(5)] == [
        b"0",
        None,
        None,
        None,
        b"4",
    ]
    assert space.copyin(A + 0x1000, 1) == b"1"
    assert len(space.map) == 2 + 1


def test_setmap_sets_all_64_bits_of_the_root_and_drops_translations(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    entry = map_table(phys, space, 0, 2)
    space.advise(0, 0x2000, Madv.SETMAP, PS | V_R_W)
    space.copyout(0, b"page 0")
    space.advise(0, 0x2000, Madv.SETMAP, 0xFFF0_0000_0000_1000 | PS | V_R_W)
    assert entry.root == 0xFFF0_0000_0000_1000 | PS | V_R_W
    assert space.peek(0, 1) is None
    assert space.copyin(0, 6) == bytes(6)


def test_setmap_keeps_the_translations_of_its_neighbours(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    map_table(phys, space, 0, 2).root = PS | V_R_W
    space.copyout(0, b"x" * 2 * PAGE_SIZE)
    space.advise(0x1000, 0x1000, Madv.SETMAP, 0)
    assert space.peek(0, 1) == b"x"
    assert space.peek(0x1000, 1) is None
    assert refusal(space.copyin, 0x1000, 1) is Errno.EFAULT


def test_setmap_on_plain_memory_is_einval_but_the_rest_is_done(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    below = map_table(phys, space, A - PAGE_SIZE, 1)
    above = map_table(phys, space, HOLE, 1)
    space.copyout(A, b"x")
    assert refusal(space.advise, A - PAGE_SIZE, 0x5000, Madv.SETMAP, 7) is Errno.EINVAL
    assert (below.root, above.root) == (7, 7)
    assert space.peek(A, 1) == b"x"


def test_flags_of_part_of_a_mapping_split_it_and_merge_again(space: Vmspace) -> None:
    space.advise(A, 0x1000, Madv.NOSYNC, 0)
    space.advise(A + 0x1000, 0x1000, Madv.NOCORE, 0)
    assert [(entry.start, entry.nosync, entry.nocore) for entry in space.map] == [
        (A, True, False),
        (A + 0x1000, False, True),
        (A + 0x2000, False, False),
        (HOLE + 0x1000, False, False),
    ]
    space.advise(A, 0x3000, Madv.AUTOSYNC, 0)
    space.advise(A, 0x3000, Madv.CORE, 0)
    assert len(space.map) == 2


# mincore


def incore(space: Vmspace, va: int) -> int:
    (bits,) = space.mincore(va, va + PAGE_SIZE)
    return bits


def test_mincore_tells_what_the_page_table_knows(space: Vmspace) -> None:
    assert incore(space, A) == 0
    assert incore(space, HOLE) == 0
    space.copyin(A, 1)
    assert incore(space, A) == 0x1 | 0x2 | 0x8
    space.copyout(A, b"x")
    assert incore(space, A) == 0x1 | 0x2 | 0x4 | 0x8 | 0x10


def test_mincore_looks_into_the_object_when_nothing_is_translated(space: Vmspace) -> None:
    space.copyout(A, b"x")
    space.pmap.remove(A, HOLE)
    assert incore(space, A) == 0x1
    assert incore(space, A + PAGE_SIZE) == 0


def test_mincore_does_not_walk_virtual_page_tables(phys: PhysicalMemory, space: Vmspace) -> None:
    map_table(phys, space, 0, 1).root = PS | V_R_W
    space.copyout(0, b"x")
    assert incore(space, 0) & 1
    space.pmap.remove(0, 0x1000)
    assert incore(space, 0) == 0


def test_mincore_costs_what_is_in_memory_not_what_is_asked_about(space: Vmspace) -> None:
    space.copyout(A, b"x")
    size = 1 << 32
    bits = space.mincore(A, A + size)
    assert len(bits) == size >> 12
    assert bits[0] == 0x1 | 0x2 | 0x4 | 0x8 | 0x10
    assert not any(bits[1:])


# msync


def test_msync_wants_everything_mapped(space: Vmspace) -> None:
    space.check_mapped(A + 1, 0x2FFF)
    space.check_mapped(A, 0)
    for addr, size in ((A, 0x4000), (HOLE, 1), (HOLE, 0), (A, (1 << 64) - 1)):
        assert refusal(space.check_mapped, addr, size) is Errno.EINVAL


# fork


def test_a_child_sees_what_its_parent_saw_and_neither_sees_the_other_write(
    space: Vmspace,
) -> None:
    space.copyout(A, b"before")
    child = space.fork()
    assert child.copyin(A, 6) == space.copyin(A, 6) == b"before"
    space.copyout(A, b"parent")
    assert child.copyin(A, 6) == b"before"
    child.copyout(A, b"child!")
    space.copyout(A + PAGE_SIZE, b"after!")
    assert space.copyin(A, 6) == b"parent"
    assert child.copyin(A, 6) == b"child!"
    assert child.copyin(A + PAGE_SIZE, 6) == bytes(6)


def test_a_fork_costs_a_root_and_shares_every_page(phys: PhysicalMemory, space: Vmspace) -> None:
    space.copyout(A, b"x" * 3 * PAGE_SIZE)
    before = phys.used
    child = space.fork()
    assert phys.used == before + PAGE_SIZE
    child.copyin(A, 3 * PAGE_SIZE)
    assert phys.used == before + 4 * PAGE_SIZE  # its tables
    child.copyout(A, b"y")
    assert phys.used == before + 5 * PAGE_SIZE
    space.destroy()
    child.destroy()
    assert phys.used == 0


def test_a_fork_takes_the_right_to_write_and_drops_nothing(space: Vmspace) -> None:
    space.map_anonymous(HOLE, HOLE + PAGE_SIZE, inherit=Inherit.SHARE)
    space.copyout(A, b"x" * 4 * PAGE_SIZE)
    before = [space.pmap.lookup(A + at) for at in range(0, 0x4000, PAGE_SIZE)]
    space.fork()
    after = [space.pmap.lookup(A + at) for at in range(0, 0x4000, PAGE_SIZE)]
    rw = int(Pte.RW)  # abi 7.5: a write is tf_err 7 now, not 6
    assert after == [before[0] ^ rw, before[1] ^ rw, before[2] ^ rw, before[3]]


def test_no_stack_grows_in_the_copy_of_a_vmspace(space: Vmspace) -> None:
    inner = space.empty()
    inner.map_stack(STACK, STACK_TOP, PROT_ALL)
    assert refusal(inner.fork().copyout, STACK_TOP - 0x2_0001, b"x") is Errno.EFAULT


def test_shared_memory_stays_shared(space: Vmspace) -> None:
    space.minherit(A, 0x3000, Inherit.SHARE)
    space.copyout(A, b"before")
    child = space.fork()
    child.copyout(A, b"child!")
    assert space.copyin(A, 6) == b"child!"
    space.copyout(A + PAGE_SIZE, b"parent")
    assert child.copyin(A + PAGE_SIZE, 6) == b"parent"
    space.destroy()
    assert child.copyin(A, 6) == b"child!"


def test_what_is_not_inherited_is_not_there(space: Vmspace) -> None:
    space.copyout(A, b"before")
    space.minherit(A, 0x1000, Inherit.NONE)
    child = space.fork()
    assert refusal(child.copyin, A, 1) is Errno.EFAULT
    assert space.copyin(A, 6) == b"before"
    space.copyout(A, b"after!")
    assert space.copyin(A, 6) == b"after!"


def test_memory_shared_after_a_fork_is_shared_from_then_on(space: Vmspace) -> None:
    space.copyout(A, b"before")
    first = space.fork()
    space.minherit(A, 0x1000, Inherit.SHARE)
    second = space.fork()
    assert second.copyin(A, 6) == space.copyin(A, 6) == first.copyin(A, 6) == b"before"
    space.copyout(A, b"parent")  # copies the page; who has read the old one sees the new one
    assert second.copyin(A, 6) == b"parent"
    second.copyout(A, b"second")
    assert space.copyin(A, 6) == b"second"
    assert first.copyin(A, 6) == b"before"


def test_a_child_whose_shared_memory_is_copied_again_sees_the_others_write_until_it_does(
    space: Vmspace,
) -> None:
    """vm_map_copy_entry: the copies stand on the object that a third space still writes to."""
    space.minherit(A, 0x1000, Inherit.SHARE)
    space.copyout(A, b"before")
    writer = space.fork()
    space.minherit(A, 0x1000, Inherit.COPY)
    child = space.fork()
    child.copyout(A, b"child!")
    writer.copyout(A, b"writer")
    assert space.copyin(A, 6) == b"writer"
    assert child.copyin(A, 6) == b"child!"
    space.copyout(A, b"parent")
    assert writer.copyin(A, 6) == b"writer"


def test_a_private_virtual_page_table_is_copied_with_its_pages(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    """abi 6.15.  Page 1 is the table and what it leads to, at both addresses."""
    entry = map_table(phys, space, 0, 2)
    entry.root = 1 << 12 | V_R_W
    table, _ = entry.object.page(1, True)
    for slot in (0, 8):
        phys.write_u64(table + slot, entry.root)
    assert space.copyin(16, 6) == space.copyin(0x1010, 6) == bytes(6)
    child = space.fork()
    space.copyout(16, b"parent")
    assert space.copyin(0x1010, 6) == b"parent"
    assert child.copyin(16, 6) == child.copyin(0x1010, 6) == bytes(6)
    child.copyout(0x1010, b"child!")
    assert space.copyin(16, 6) == b"parent"


def test_a_stack_grows_in_a_child_too(stack: Vmspace) -> None:
    child = stack.fork()
    child.copyout(STACK_TOP - 0x2_0001, b"x")
    assert stack_starts(child) == [STACK_TOP - 0x4_0000, STACK_TOP - 0x2_0000]
    assert stack_starts(stack) == [STACK_TOP - 0x2_0000]


def test_a_fork_without_a_frame_for_the_root_changes_nothing() -> None:
    phys = PhysicalMemory(8 * PAGE_SIZE)
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(A, A + 3 * PAGE_SIZE)
    space.copyout(A, b"x" * 3 * PAGE_SIZE)
    assert phys.used == 7 * PAGE_SIZE
    memory = [(entry.object, entry.object.refs) for entry in space.map]
    assert refusal(space.fork) is Errno.ENOMEM
    assert [(entry.object, entry.object.refs) for entry in space.map] == memory
    space.copyout(A, b"y")
    assert space.copyin(A, 2) == b"yx"
    space.destroy()
    assert phys.used == 0


def test_a_page_is_copied_though_its_own_tables_are_given_up_for_the_frame() -> None:
    phys = PhysicalMemory(64 * PAGE_SIZE)
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(A, A + (40 << 21))
    for number in range(22):
        space.copyout(A + (number << 21), b"before")
    child = space.fork()
    spare = []
    while phys.used < 63 * PAGE_SIZE:
        spare.append(phys.alloc())
    assert space.pmap.extract(A) is not None
    space.copyout(A, b"parent")
    assert space.copyin(A, 6) == b"parent"
    assert space.pmap.extract(A + (1 << 21)) is None
    assert child.copyin(A, 6) == space.copyin(A + (1 << 21), 6) == b"before"
    for pa in spare:
        phys.free(pa)
    space.destroy()
    child.destroy()
    assert phys.used == 0


def test_a_copy_that_finds_no_frame_is_enomem_and_loses_nothing() -> None:
    phys = PhysicalMemory(32 * PAGE_SIZE)
    space = Vmspace(phys, ABI_2011, grows=False)
    space.map_anonymous(A, A + 16 * PAGE_SIZE)
    space.copyout(A, b"x" * 16 * PAGE_SIZE)
    child = space.fork()
    assert refusal(space.copyout, A, b"y" * 16 * PAGE_SIZE) is Errno.ENOMEM
    child.drop()
    space.copyout(A, b"y" * 16 * PAGE_SIZE)
    assert phys.used <= 20 * PAGE_SIZE
    space.drop()
    assert phys.used == 0


def test_a_space_goes_with_the_last_process_that_shares_it(
    phys: PhysicalMemory, space: Vmspace
) -> None:
    space.copyout(A, b"x")
    space.hold()
    space.drop()
    assert space.copyin(A, 1) == b"x"
    space.drop()
    assert phys.used == 0


# Against a dictionary: page → what is there, seen through copies of copies


@dataclass(eq=False)
class Cell:
    """A page of one object: what was written to it, or what the page below shows."""

    value: int | None = None
    below: "Cell | None" = None

    def read(self) -> int | None:
        cell: Cell | None = self
        while cell is not None and cell.value is None:
            cell = cell.below
        return None if cell is None else cell.value


@dataclass
class Page:
    cell: Cell
    prot: int = PROT_ALL
    inherit: Inherit = Inherit.COPY


@dataclass
class Family:
    """A process: its space and what the model says is in it, by page number."""

    space: Vmspace
    pages: dict[int, Page]


FIRST, LAST = 0x3FD, 0x403  # on both sides of a page table's end
FILE_PAGES = 2
NUMBER = st.integers(FIRST, LAST - 1)
SIZE = st.integers(1, 5)
WHO = st.integers(0, 3)


class Forks(RuleBasedStateMachine):
    @initialize(frames=st.sampled_from([40, 64, 1024]))
    def start(self, frames: int) -> None:
        self.phys = PhysicalMemory(frames * PAGE_SIZE)
        with TemporaryFile() as host_file:
            host_file.truncate(FILE_PAGES * PAGE_SIZE)
            region = self.phys.map_file(host_file.fileno(), FILE_PAGES * PAGE_SIZE, writable=True)
        self.file = FileObject(self.phys, region, FILE_PAGES * PAGE_SIZE, lambda gone: None)
        self.file.refs = 1
        self.file_cells = [Cell(0) for _ in range(FILE_PAGES)]
        self.living = [Family(Vmspace(self.phys, ABI_2011, grows=True), {})]
        self.stamp = 0
        self.map_memory(0, FIRST, LAST - FIRST)
        self.write(0, FIRST, LAST - FIRST)

    def who(self, number: int) -> Family:
        return self.living[number % len(self.living)]

    @rule(who=WHO, at=NUMBER, size=SIZE)
    def map_memory(self, who: int, at: int, size: int) -> None:
        one, end = self.who(who), min(at + size, LAST)
        self.unmap(who, at, size)
        one.space.map_anonymous(at << 12, end << 12)
        one.pages.update((number, Page(Cell())) for number in range(at, end))

    @rule(who=WHO, at=NUMBER, first=st.integers(0, 1), shared=st.booleans())
    def map_file(self, who: int, at: int, first: int, shared: bool) -> None:
        one = self.who(who)
        at = min(at, LAST - FILE_PAGES)
        memory = self.file if shared else ShadowObject(self.phys, self.file)
        inherit = Inherit.SHARE if shared else Inherit.COPY
        cells = self.file_cells[first:]
        end = at + len(cells)
        one.space.map_object(
            VmMapEntry(at << 12, end << 12, memory, offset=first << 12, inherit=inherit),
            replace=True,
        )
        for number, cell in enumerate(cells, at):
            one.pages[number] = Page(cell if shared else Cell(None, cell), inherit=inherit)

    @rule(who=WHO, at=NUMBER, size=SIZE)
    def unmap(self, who: int, at: int, size: int) -> None:
        one, end = self.who(who), min(at + size, LAST)
        one.space.unmap(at << 12, end << 12)
        for number in range(at, end):
            one.pages.pop(number, None)

    @rule(who=WHO, at=NUMBER, size=SIZE, prot=st.sampled_from([0, READ, READ | WRITE, PROT_ALL]))
    def mprotect(self, who: int, at: int, size: int, prot: int) -> None:
        one = self.who(who)
        one.space.mprotect(at << 12, size << 12, int(prot))
        for number in range(at, at + size):
            if number in one.pages:
                one.pages[number].prot = prot

    @rule(who=WHO, at=NUMBER, size=SIZE, inherit=st.sampled_from(Inherit))
    def minherit(self, who: int, at: int, size: int, inherit: Inherit) -> None:
        one = self.who(who)
        one.space.minherit(at << 12, size << 12, inherit)
        for number in range(at, at + size):
            if number in one.pages:
                one.pages[number].inherit = inherit

    @rule(who=WHO)
    def fork(self, who: int) -> None:
        one = self.who(who)
        if len(self.living) == 4:
            return
        try:
            child = Family(one.space.fork(), {})
        except KernelError as refusal:
            assert refusal.errno is Errno.ENOMEM
            return
        self.living.append(child)
        for number, page in one.pages.items():
            if page.inherit == Inherit.SHARE:
                child.pages[number] = replace(page)
            elif page.inherit == Inherit.COPY:
                child.pages[number] = replace(page, cell=Cell(None, page.cell))
                page.cell = Cell(None, page.cell)

    @rule(who=WHO)
    def exit(self, who: int) -> None:
        if len(self.living) > 1:
            one = self.who(who)
            self.living.remove(one)
            one.space.drop()

    @rule(who=WHO)
    def lose_translations(self, who: int) -> None:
        self.who(who).space.pmap.drop()

    @rule(who=WHO, at=NUMBER, size=SIZE)
    def read(self, who: int, at: int, size: int) -> None:
        one = self.who(who)
        for number in range(at, at + size):
            page = one.pages.get(number)
            try:
                found = int.from_bytes(one.space.copyin(number << 12, 8), "little")
            except KernelError as refusal:
                self.check_refusal(refusal, one, number, READ)
                continue
            assert page is not None and page.prot & READ
            if page.cell.read() is None:
                page.cell.value = 0
            assert found == page.cell.read()

    @rule(who=WHO, at=NUMBER, size=SIZE)
    def write(self, who: int, at: int, size: int) -> None:
        one = self.who(who)
        for number in range(at, at + size):
            page = one.pages.get(number)
            self.stamp += 1
            try:
                one.space.copyout(number << 12, self.stamp.to_bytes(8, "little"))
            except KernelError as refusal:
                self.check_refusal(refusal, one, number, WRITE)
                continue
            assert page is not None and page.prot & WRITE
            page.cell.value = self.stamp

    def check_refusal(self, refusal: KernelError, one: Family, number: int, access: int) -> None:
        page = one.pages.get(number)
        if refusal.errno is Errno.EFAULT:
            assert page is None or not page.prot & access
            return
        assert refusal.errno is Errno.ENOMEM and page is not None
        entry = one.space.map.lookup(number << 12)
        assert entry is not None
        if found_in(entry, number)[0]:
            page.cell.value = page.cell.read() or 0  # the page was had, but not the table for it

    @invariant()
    def contents_and_translations_are_right(self) -> None:
        for one in self.living:
            numbers = [n for n in range(FIRST, LAST) if one.space.map.lookup(n << 12) is not None]
            assert numbers == sorted(one.pages)
            for number, page in one.pages.items():
                entry = one.space.map.lookup(number << 12)
                assert entry is not None
                assert (entry.prot, entry.inherit) == (page.prot, page.inherit)
                own, pa = found_in(entry, number)
                value = page.cell.read()
                assert value == (None if pa is None else self.phys.read_u64(pa))
                pte = one.space.pmap.lookup(number << 12)
                if pte & Pte.V:
                    assert pte & PTE_FRAME == pa and page.prot & (READ | WRITE)
                    assert not pte & Pte.RW or (own and page.prot & WRITE)
            mapped = [va >> 12 for va, _ in one.space.pmap.entries(0, USER_MAX)]
            assert set(mapped) <= one.pages.keys()

    @invariant()
    def every_reference_and_every_frame_is_accounted_for(self) -> None:
        refs: Counter[VmObject] = Counter([self.file])
        shadows: dict[VmObject, set[VmObject]] = {}
        frames: list[int] = []
        todo = [entry.object for one in self.living for entry in one.space.map]
        while todo:
            memory = todo.pop()
            refs[memory] += 1
            if refs[memory] == 1 and isinstance(memory, AnonymousObject):
                frames += memory.pages.values()
                if memory.backing is not None:
                    todo.append(memory.backing)
                    shadows.setdefault(memory.backing, set()).add(memory)
        for memory, count in refs.items():
            assert memory.refs == count
            if isinstance(memory, AnonymousObject):
                assert memory.shadows == shadows.get(memory, set())
                assert not (memory.shadows and count == 1)  # it would have become one with it
        assert len(frames) == len(set(frames))
        tables = sum(1 + sum(map(len, one.space.pmap._levels)) for one in self.living)
        assert self.phys.used == (len(frames) + tables) * PAGE_SIZE

    def teardown(self) -> None:
        if hasattr(self, "phys"):
            for one in self.living:
                one.space.drop()
            assert self.phys.used == 0
            assert self.file.refs == 1
            self.phys.unmap_file(self.file.region)


def index_of(entry: VmMapEntry, number: int) -> int:
    return ((number << 12) - entry.start + entry.offset) >> 12


def found_in(entry: VmMapEntry, number: int) -> tuple[bool, int | None]:
    """Return whether the entry's own object has the page, and the page, if it is anywhere."""
    index = index_of(entry, number)
    memory: VmObject | None = entry.object
    while isinstance(memory, AnonymousObject):
        if index in memory.pages:
            return memory is entry.object, memory.pages[index]
        memory = memory.backing
    if memory is None:
        return False, None
    return memory is entry.object, memory.page(index, False)[0]


TestForks = Forks.TestCase
TestForks.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
