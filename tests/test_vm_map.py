"""The map of an address space, checked against literal lists and a dictionary of pages."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Inherit
from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_map import MAX_ENTRIES, EntryCount, VmMap, VmMapEntry
from emu.vm.vm_object import ANONYMOUS_PAGES, AnonymousObject, FileObject, ShadowObject

LIMIT = 0x10_0000

Insert = Callable[..., VmMapEntry]


@pytest.fixture
def vm_map() -> VmMap:
    return VmMap(LIMIT)


@pytest.fixture
def insert(phys: PhysicalMemory, vm_map: VmMap) -> Insert:
    """Insert anonymous memory at [start, end)."""

    def do(start: int, end: int, **options: object) -> VmMapEntry:
        memory = AnonymousObject(phys, (end - start) >> PAGE_SHIFT)
        return vm_map.insert(VmMapEntry(start, end, memory, **options))  # type: ignore[arg-type]

    return do


def ranges(vm_map: VmMap) -> list[tuple[int, int]]:
    return [(entry.start, entry.end) for entry in vm_map]


def test_lookup_finds_the_entry_around_an_address(vm_map: VmMap, insert: Insert) -> None:
    low = insert(0x2000, 0x4000, prot=1)
    high = insert(0x4000, 0x5000)
    found = [vm_map.lookup(va) for va in (0x1FFF, 0x2000, 0x3FFF, 0x4000, 0x4FFF, 0x5000)]
    assert found == [None, low, low, high, high, None]


def test_above_finds_the_next_entry_up(vm_map: VmMap, insert: Insert) -> None:
    low = insert(0x2000, 0x4000)
    high = insert(0x8000, 0x9000)
    assert [vm_map.above(va) for va in (0, 0x2000, 0x5000, 0x8000)] == [low, high, high, None]


def test_overlapping_lists_what_shares_an_address(vm_map: VmMap, insert: Insert) -> None:
    low = insert(0x2000, 0x4000)
    high = insert(0x5000, 0x6000)
    assert vm_map.overlapping(0, 0x2000) == []
    assert vm_map.overlapping(0, 0x2001) == [low]
    assert vm_map.overlapping(0x3000, 0x5001) == [low, high]
    assert vm_map.overlapping(0x4000, 0x5000) == []
    assert vm_map.overlapping(0x3000, 0x3000) == []


def test_covers_wants_no_hole(vm_map: VmMap, insert: Insert) -> None:
    insert(0x2000, 0x4000)
    insert(0x4000, 0x5000, prot=1)
    insert(0x6000, 0x7000)
    assert vm_map.covers(0x2000, 0x5000)
    assert vm_map.covers(0x3000, 0x3000)
    assert not vm_map.covers(0x1000, 0x3000)
    assert not vm_map.covers(0x4000, 0x6000)
    assert not vm_map.covers(0x4000, 0x7000)


# First fit


@pytest.mark.parametrize(
    "hint, size, found",
    [
        (0, 0x2000, 0),
        (0, 0x3000, 0x8000),
        (0x1000, 0x1000, 0x1000),
        (0x1000, 0x2000, 0x4000),
        (0x2000, 0x1000, 0x4000),
        (0x3000, 0x2000, 0x4000),
        (0x5000, 0x2000, 0x8000),
        (0x9000, LIMIT - 0x9000, 0x9000),
    ],
)
def test_space_is_found_first_fit_upward_from_the_hint(
    vm_map: VmMap, insert: Insert, hint: int, size: int, found: int
) -> None:
    insert(0x2000, 0x4000)
    insert(0x6000, 0x8000)
    assert vm_map.find_space(hint, size) == found


@pytest.mark.parametrize(
    "hint, found", [(0, 0), (0x1000, 0x1_0000), (0x1_1000, 0x2_0000), (0x2_0000, 0x2_0000)]
)
def test_space_is_aligned(vm_map: VmMap, insert: Insert, hint: int, found: int) -> None:
    insert(0x1_8000, 0x1_9000)
    assert vm_map.find_space(hint, 0x8000, 0x1_0000) == found


def test_no_space_below_the_hint_is_taken(vm_map: VmMap, insert: Insert) -> None:
    insert(0x8000, LIMIT)
    for hint, size in ((0x7000, 0x2000), (0x8000, 0x1000), (LIMIT, 0x1000), (1 << 63, 0x1000)):
        with pytest.raises(KernelError) as caught:
            vm_map.find_space(hint, size)
        assert caught.value.errno is Errno.ENOMEM
    assert vm_map.find_space(0x7000, 0x1000) == 0x7000


def test_space_is_not_found_where_a_stack_may_grow(vm_map: VmMap, insert: Insert) -> None:
    insert(0x8000, 0x9000, stack_reserve=0x4000)  # vm_map.c:1143-1158
    assert vm_map.find_space(0x2000, 0x2000) == 0x2000
    assert vm_map.find_space(0x3000, 0x2000) == 0x9000
    assert vm_map.find_space(0x5000, 0x1000) == 0x9000
    assert vm_map.find_space(0x5000, 0x1000, for_stack=True) == 0x5000


# Coalescing at insert


def test_memory_right_behind_memory_of_the_same_sort_makes_it_longer(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    first = insert(0x2000, 0x4000)
    assert insert(0x4000, 0x5000) is first
    assert ranges(vm_map) == [(0x2000, 0x5000)]
    assert first.object.refs == 1
    first.object.page(2, True)
    vm_map.remove(0x2000, 0x5000)
    assert phys.used == 0


@pytest.mark.parametrize(
    "options",
    [
        {"prot": 1},
        {"max_prot": 3},
        {"inherit": Inherit.SHARE},
        {"vpagetable": True},
        {"nosync": True},
        {"nocore": True},
        {"stack_reserve": 0x1000},
    ],
    ids=lambda options: next(iter(options)),
)
def test_memory_of_another_sort_stays_apart(
    vm_map: VmMap, insert: Insert, options: dict[str, object]
) -> None:
    insert(0x2000, 0x4000)
    insert(0x4000, 0x5000, **options)
    assert ranges(vm_map) == [(0x2000, 0x4000), (0x4000, 0x5000)]


def test_memory_with_a_gap_below_stays_apart(vm_map: VmMap, insert: Insert) -> None:
    insert(0x2000, 0x3000)
    insert(0x4000, 0x5000)
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x4000, 0x5000)]


def test_what_was_unmapped_does_not_show_through_a_coalesced_mapping(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    first = insert(0x2000, 0x4000)
    phys.page(first.object.page(1, True)[0])[:] = b"x" * PAGE_SIZE
    vm_map.remove(0x3000, 0x4000)
    assert insert(0x3000, 0x5000) is first
    assert ranges(vm_map) == [(0x2000, 0x5000)]
    assert bytes(phys.page(first.object.page(1, False)[0])) == bytes(PAGE_SIZE)


def test_memory_does_not_join_an_object_whose_other_end_is_mapped(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    insert(0x2000, 0x5000)
    vm_map.remove(0x3000, 0x4000)
    insert(0x3000, 0x4000)
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x3000, 0x4000), (0x4000, 0x5000)]
    objects = {id(entry.object) for entry in vm_map}
    assert len(objects) == 2


# Clipping, joining, removing


def test_clip_splits_at_both_ends_and_each_piece_keeps_its_place_in_the_object(
    vm_map: VmMap, insert: Insert
) -> None:
    insert(0x2000, 0x6000, stack_reserve=0x1000)
    middle = vm_map.clip(0x3000, 0x5000)
    assert [(entry.start, entry.end, entry.offset, entry.stack_reserve) for entry in vm_map] == [
        (0x2000, 0x3000, 0, 0x1000),
        (0x3000, 0x5000, 0x1000, 0),
        (0x5000, 0x6000, 0x3000, 0),
    ]
    assert [entry.start for entry in middle] == [0x3000]
    assert middle[0].object.refs == 3


def test_clip_keeps_the_root_and_the_bias_of_a_virtual_page_table(
    phys: PhysicalMemory, vm_map: VmMap
) -> None:
    memory = AnonymousObject(phys, ANONYMOUS_PAGES)
    vm_map.insert(VmMapEntry(0x2000, 0x6000, memory, offset=0x9000, vpagetable=True, root=7))
    vm_map.clip(0x4000, 0x6000)
    assert [(entry.start, entry.offset, entry.root) for entry in vm_map] == [
        (0x2000, 0x9000, 7),
        (0x4000, 0xB000, 7),
    ]


def test_join_undoes_a_clip(vm_map: VmMap, insert: Insert) -> None:
    entry = insert(0x2000, 0x6000, stack_reserve=0x1000)
    vm_map.clip(0x3000, 0x5000)
    vm_map.join(0x3000, 0x5000)
    assert ranges(vm_map) == [(0x2000, 0x6000)]
    assert (entry.object.refs, entry.stack_reserve) == (1, 0x1000)


def test_join_keeps_different_neighbours_apart(vm_map: VmMap, insert: Insert) -> None:
    insert(0x2000, 0x6000)
    vm_map.clip(0x3000, 0x5000)[0].prot = 1
    vm_map.join(0x3000, 0x5000)
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x3000, 0x5000), (0x5000, 0x6000)]
    vm_map.clip(0x3000, 0x5000)[0].prot = PROT_ALL
    vm_map.join(0x3000, 0x5000)
    assert ranges(vm_map) == [(0x2000, 0x6000)]


def test_pieces_with_different_roots_stay_apart(phys: PhysicalMemory, vm_map: VmMap) -> None:
    memory = AnonymousObject(phys, ANONYMOUS_PAGES)  # unlike abi 6.12
    vm_map.insert(VmMapEntry(0x2000, 0x6000, memory, vpagetable=True))
    vm_map.clip(0x3000, 0x5000)[0].root = 0x1007
    vm_map.join(0x3000, 0x5000)
    assert [entry.root for entry in vm_map] == [0, 0x1007, 0]


def test_removing_the_middle_frees_its_pages_at_once(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    entry = insert(0x2000, 0x6000)
    for index in range(4):
        entry.object.page(index, True)
    vm_map.remove(0x3000, 0x5000)
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x5000, 0x6000)]
    assert phys.used == 2 * PAGE_SIZE
    vm_map.remove(0, LIMIT)
    assert phys.used == 0
    assert len(vm_map) == 0


def test_removing_part_of_a_private_copy_frees_its_pages_at_once(
    phys: PhysicalMemory, vm_map: VmMap
) -> None:
    file = AnonymousObject(phys, 4)
    file.refs = 1
    for index in range(4):
        file.page(index, True)
    private = ShadowObject(phys, file)
    vm_map.insert(VmMapEntry(0x2000, 0x6000, private))
    for index in range(4):
        private.page(index, True)
    vm_map.remove(0x2000, 0x5000)
    assert phys.used == 5 * PAGE_SIZE
    assert [*private.pages] == [3]


def test_removing_part_of_a_virtual_page_table_mapping_keeps_the_object_whole(
    phys: PhysicalMemory, vm_map: VmMap
) -> None:
    memory = AnonymousObject(phys, ANONYMOUS_PAGES)
    vm_map.insert(VmMapEntry(0x2000, 0x6000, memory, vpagetable=True))
    memory.page(0, True)
    vm_map.remove(0x2000, 0x4000)
    assert [*memory.resident(0, 4)] == [0]
    vm_map.remove(0x4000, 0x6000)
    assert phys.used == 0


def test_a_range_that_is_taken_is_a_bug_of_ours(vm_map: VmMap, insert: Insert) -> None:
    insert(0x2000, 0x4000)
    with pytest.raises(AssertionError):
        insert(0x3000, 0x5000)


def test_a_map_is_full_at_its_limit(phys: PhysicalMemory) -> None:
    """Room is left for what a replaced mapping is split into, and for stacks."""
    vm_map = VmMap(1 << 47)
    memory = AnonymousObject(phys, 1)
    for number in range(MAX_ENTRIES - 3):
        assert not vm_map.full
        vm_map.insert(VmMapEntry(number << 13, (number << 13) + PAGE_SIZE, memory, offset=0x5000))
    assert vm_map.full


def test_splits_that_make_too_many_entries_are_refused(
    vm_map: VmMap, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0x1000, 0x9000)
    monkeypatch.setattr("emu.vm.vm_map.MAX_ENTRIES", 2)
    with pytest.raises(KernelError) as caught:
        vm_map.clip(0x2000, 0x3000)
    assert caught.value.errno is Errno.ENOMEM
    assert ranges(vm_map) == [(0x1000, 0x9000)]
    vm_map.clip(0x1000, 0x3000)
    assert ranges(vm_map) == [(0x1000, 0x3000), (0x3000, 0x9000)]
    with pytest.raises(KernelError):
        vm_map.clip(0x1000, 0x2000)
    vm_map.remove(0x1000, 0x3000)
    vm_map.clip(0x4000, 0x9000)


def test_all_maps_of_a_machine_have_one_limit_too(
    phys: PhysicalMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.vm.vm_map.MAX_ALL_ENTRIES", 6)
    count = EntryCount()
    vm_map = VmMap(LIMIT, count)
    for start in (0x1000, 0x3000, 0x5000):
        vm_map.insert(VmMapEntry(start, start + 0x1000, AnonymousObject(phys, 1)))
    child = vm_map.fork()
    assert count.used == 6
    with pytest.raises(KernelError) as caught:
        vm_map.fork()
    assert caught.value.errno is Errno.ENOMEM
    assert child.full
    child.remove(0, LIMIT)
    assert count.used == 3
    vm_map.join(0, LIMIT)
    vm_map.remove(0x1000, 0x2000)
    assert count.used == 2


# Fork


def chain_length(memory: object) -> int:
    length = 0
    while isinstance(memory, AnonymousObject):
        length += 1
        memory = memory.backing
    return length


def test_a_child_gets_each_entry_by_its_inheritance(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    shared = insert(0x2000, 0x3000, inherit=Inherit.SHARE)
    copied = insert(0x4000, 0x6000, stack_reserve=0x1000, nosync=True, nocore=True, prot=3)
    insert(0x6000, 0x7000, inherit=Inherit.NONE)
    pages = copied.object
    for entry in vm_map:
        entry.object.page(0, True)
    child = vm_map.fork()
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x4000, 0x6000), (0x6000, 0x7000)]
    assert ranges(child) == [(0x2000, 0x3000), (0x4000, 0x6000)]
    theirs_shared, theirs = child
    assert theirs_shared.object is shared.object and shared.object.refs == 2
    assert (theirs.stack_reserve, theirs.nosync, theirs.nocore) == (0x1000, True, True)
    assert (theirs.prot, theirs.max_prot, theirs.inherit) == (3, PROT_ALL, Inherit.COPY)
    assert isinstance(theirs.object, ShadowObject) and isinstance(copied.object, ShadowObject)
    assert theirs.object is not copied.object
    assert theirs.object.backing is copied.object.backing is pages
    assert (theirs.object.refs, copied.object.refs, pages.refs) == (1, 1, 2)


@pytest.mark.parametrize("inherit", [Inherit.SHARE, Inherit.COPY])
def test_a_child_has_the_same_virtual_page_table(phys: PhysicalMemory, inherit: Inherit) -> None:
    vm_map = VmMap(LIMIT)  # abi 6.15
    memory = AnonymousObject(phys, ANONYMOUS_PAGES)
    vm_map.insert(
        VmMapEntry(0x2000, 0x6000, memory, offset=0x9000, vpagetable=True, root=7, inherit=inherit)
    )
    (entry,) = vm_map.fork()
    assert (entry.offset, entry.vpagetable, entry.root) == (0x9000, True, 7)
    assert (entry.object is memory) == (inherit == Inherit.SHARE)


def test_pieces_of_one_mapping_can_be_joined_after_a_fork(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    insert(0x2000, 0x5000).object.page(0, True)
    vm_map.clip(0x3000, 0x4000)
    child = vm_map.fork()
    for forked in (vm_map, child):
        assert len({entry.object for entry in forked}) == 1
        assert next(iter(forked)).object.refs == 3
        forked.join(0x3000, 0x4000)
        assert ranges(forked) == [(0x2000, 0x5000)]


def test_two_mappings_of_one_file_part_in_a_fork(phys: PhysicalMemory, tmp_path: Path) -> None:
    with open(tmp_path / "file", "w+b") as host_file:
        host_file.truncate(PAGE_SIZE)
        region = phys.map_file(host_file.fileno(), 2 << 20, writable=True)
    file = FileObject(phys, region, PAGE_SIZE, lambda gone: None)
    vm_map = VmMap(LIMIT)
    for start in (0x2000, 0x4000):
        vm_map.insert(VmMapEntry(start, start + PAGE_SIZE, file))
    child = vm_map.fork()
    assert len({entry.object for entry in [*vm_map, *child]}) == 4
    assert file.refs == 4
    for start, forked in ((0x2000, vm_map), (0x4000, child)):
        entry = forked.lookup(start)
        assert entry is not None
        phys.page(entry.object.page(0, True)[0])[:4] = b"mine"
        forked.remove(start, start + PAGE_SIZE)
    for forked in (vm_map, child):
        (entry,) = forked
        assert entry.object.page(0, False) == (region.base, False)
        forked.remove(0, LIMIT)
    assert (file.refs, phys.used) == (0, 0)


def test_a_shell_that_forks_ten_thousand_times_keeps_one_object(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    entry = insert(0x2000, 0x6000)
    for index in range(4):
        entry.object.page(index, True)
    for number in range(10_000):
        child = vm_map.fork()
        (theirs,) = child
        entry.object.page(number % 4, True)
        theirs.object.page(number % 3, True)
        assert chain_length(entry.object) == 2
        assert phys.used <= 6 * PAGE_SIZE
        child.remove(0, LIMIT)
        assert chain_length(entry.object) == 1
        assert phys.used == 4 * PAGE_SIZE
    vm_map.remove(0, LIMIT)
    assert phys.used == 0


def test_parents_that_exit_first_leave_one_object(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    first = insert(0x2000, 0x6000)
    for index in range(4):
        first.object.page(index, True)
    for number in range(1_000):
        child = vm_map.fork()
        grandchild = child.fork()
        for forked in (vm_map, child, grandchild):
            (entry,) = forked
            entry.object.page(number % 4, True)
            assert chain_length(entry.object) <= 3
        vm_map.remove(0, LIMIT)
        child.remove(0, LIMIT)
        vm_map = grandchild
        (entry,) = vm_map
        assert chain_length(entry.object) == 1
        assert phys.used == 4 * PAGE_SIZE
    vm_map.remove(0, LIMIT)
    assert phys.used == 0


def test_a_parent_that_does_not_write_may_have_many_children(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    entry = insert(0x2000, 0x6000)
    entry.object.page(0, True)
    children = [vm_map.fork() for _ in range(100)]
    assert chain_length(entry.object) == 2
    for child in children:
        (theirs,) = child
        assert chain_length(theirs.object) == 2
        child.remove(0, LIMIT)
    assert chain_length(entry.object) == 1


def test_removing_what_a_child_shares_or_copied_takes_nothing_from_it(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    insert(0x2000, 0x4000, inherit=Inherit.SHARE)
    insert(0x4000, 0x6000)
    for entry in vm_map:
        for index in range(2):
            phys.page(entry.object.page(index, True)[0])[:4] = b"kept"
    child = vm_map.fork()
    vm_map.remove(0x3000, 0x5000)
    for entry in child:
        for index in range(2):
            assert bytes(phys.page(entry.object.page(index, False)[0])[:4]) == b"kept"
    assert phys.used == 4 * PAGE_SIZE


def test_memory_does_not_join_a_shadow_or_become_part_of_one(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    insert(0x2000, 0x3000).object.page(0, True)
    child = vm_map.fork()
    insert(0x3000, 0x4000)
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x3000, 0x4000)]
    file = AnonymousObject(phys, 1)
    file.refs = 1
    vm_map.insert(VmMapEntry(0x4000, 0x5000, ShadowObject(phys, file)))
    assert ranges(vm_map) == [(0x2000, 0x3000), (0x3000, 0x4000), (0x4000, 0x5000)]
    child.remove(0, LIMIT)
    vm_map.remove(0x3000, LIMIT)
    insert(0x3000, 0x4000)  # the shadow stands alone again
    assert ranges(vm_map) == [(0x2000, 0x4000)]


def test_what_was_unmapped_while_a_child_saw_it_does_not_show_later(
    phys: PhysicalMemory, vm_map: VmMap, insert: Insert
) -> None:
    entry = insert(0x2000, 0x4000)
    phys.page(entry.object.page(1, True)[0])[:] = b"x" * PAGE_SIZE
    child = vm_map.fork()
    vm_map.remove(0x3000, 0x4000)
    child.remove(0, LIMIT)
    insert(0x3000, 0x4000)
    assert ranges(vm_map) == [(0x2000, 0x4000)]
    assert bytes(phys.page(entry.object.page(1, False)[0])) == bytes(PAGE_SIZE)


# Against a dictionary: page of the address space → (what was written there, prot)

PAGE = st.integers(0, 15)
PROT = st.sampled_from([1, 3, PROT_ALL])


class Maps(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.phys = PhysicalMemory(1 << 20)
        self.map = VmMap(16 * PAGE_SIZE)
        self.model: dict[int, tuple[int, int]] = {}
        self.stamp = 0

    def page(self, number: int) -> int:
        entry = self.map.lookup(number << 12)
        assert entry is not None
        pa, _ = entry.object.page(((number << 12) - entry.start + entry.offset) >> 12, True)
        return pa

    @rule(at=PAGE, size=st.integers(1, 6), prot=PROT)
    def insert(self, at: int, size: int, prot: int) -> None:
        end = min(at + size, 16)
        if any(number in self.model for number in range(at, end)):
            return
        memory = AnonymousObject(self.phys, end - at)
        self.map.insert(VmMapEntry(at << 12, end << 12, memory, prot=int(prot)))
        self.model.update((number, (0, prot)) for number in range(at, end))

    @rule(at=PAGE, size=st.integers(0, 6))
    def remove(self, at: int, size: int) -> None:
        end = min(at + size, 16)
        self.map.remove(at << 12, end << 12)
        for number in range(at, end):
            self.model.pop(number, None)

    @rule(at=PAGE, size=st.integers(0, 6), prot=PROT)
    def protect(self, at: int, size: int, prot: int) -> None:
        end = min(at + size, 16)
        for entry in self.map.clip(at << 12, end << 12):
            entry.prot = int(prot)
        self.map.join(at << 12, end << 12)
        for number in range(at, end):
            if number in self.model:
                self.model[number] = self.model[number][0], prot

    @rule(at=PAGE, size=st.integers(0, 6), joined=st.booleans())
    def clip(self, at: int, size: int, joined: bool) -> None:
        end = min(at + size, 16)
        pieces = self.map.clip(at << 12, end << 12)
        assert all(at << 12 <= piece.start < piece.end <= end << 12 for piece in pieces)
        if joined:
            self.map.join(at << 12, end << 12)

    @rule(at=PAGE)
    def write(self, at: int) -> None:
        if at in self.model:
            self.stamp += 1
            self.phys.write_u64(self.page(at), self.stamp)
            self.model[at] = self.stamp, self.model[at][1]

    @rule(hint=PAGE, size=st.integers(1, 8))
    def find_space(self, hint: int, size: int) -> None:
        fits = [
            at
            for at in range(hint, 17 - size)
            if not any(number in self.model for number in range(at, at + size))
        ]
        if fits:
            assert self.map.find_space(hint << 12, size << 12) == fits[0] << 12
        else:
            with pytest.raises(KernelError):
                self.map.find_space(hint << 12, size << 12)

    @invariant()
    def entries_are_disjoint_sorted_and_never_empty(self) -> None:
        at = 0
        for start, end in ranges(self.map):
            assert at <= start < end
            at = end

    @invariant()
    def each_page_is_what_the_model_says(self) -> None:
        for number in range(16):
            entry = self.map.lookup((number << 12) + 0xFFF)
            assert (entry is not None) == (number in self.model)
            if entry is not None:
                stamp, prot = self.model[number]
                assert entry.prot == prot
                index = ((number << 12) - entry.start + entry.offset) >> 12
                if [*entry.object.resident(index, index + 1)]:
                    assert self.phys.read_u64(self.page(number)) == stamp
                else:
                    assert stamp == 0

    @invariant()
    def each_frame_is_shown_by_one_page(self) -> None:
        resident = 0
        for entry in self.map:
            first, size = entry.offset >> 12, (entry.end - entry.start) >> 12
            resident += len([*entry.object.resident(first, first + size)])
        assert self.phys.used == resident * PAGE_SIZE

    def teardown(self) -> None:
        if hasattr(self, "map"):
            self.map.remove(0, self.map.limit)
            assert self.phys.used == 0


TestMaps = Maps.TestCase
TestMaps.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
