"""VM objects: whose pages they are, and when they go."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.x86 import PAGE_SIZE, Pte
from emu.vm.phys import PhysicalMemory
from emu.vm.pmap import Pmap
from emu.vm.vm_object import AnonymousObject, FileObject, KernReturn, ShadowObject, VmFaultError

MB = 1 << 20
READ = int(Pte.V | Pte.U | Pte.NX)


class Mapped:
    """A file of two pages and a half, mapped, and what was heard of its release."""

    def __init__(self, phys: PhysicalMemory, fd: int) -> None:
        self.released: list[FileObject] = []
        os.pwrite(fd, b"1" * PAGE_SIZE + b"2" * PAGE_SIZE + b"3" * 100, 0)
        os.ftruncate(fd, 3 * PAGE_SIZE)
        self.region = phys.map_file(fd, 2 * MB, writable=True)
        self.object = FileObject(phys, self.region, 2 * PAGE_SIZE + 100, self.released.append)


@pytest.fixture
def mapped(phys: PhysicalMemory, tmp_path: Path) -> Iterator[Mapped]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield Mapped(phys, fd)
    os.close(fd)


def refused(page: Callable[[int, bool], tuple[int, bool]], index: int) -> KernReturn:
    with pytest.raises(VmFaultError) as caught:
        page(index, False)
    return caught.value.result


def test_anonymous_memory_is_zero_and_costs_what_is_touched(phys: PhysicalMemory) -> None:
    memory = AnonymousObject(phys, 1 << 35)
    assert phys.used == 0
    pa, writable = memory.page((1 << 35) - 1, False)
    assert writable
    assert bytes(phys.page(pa)) == bytes(PAGE_SIZE)
    assert memory.page((1 << 35) - 1, True) == (pa, True)
    assert phys.used == PAGE_SIZE


def test_a_page_past_the_end_is_a_protection_failure(phys: PhysicalMemory) -> None:
    memory = AnonymousObject(phys, 2)  # abi 6.13
    assert refused(memory.page, 2) is KernReturn.PROTECTION_FAILURE
    assert phys.used == 0


def test_only_touched_pages_are_resident(phys: PhysicalMemory) -> None:
    memory = AnonymousObject(phys, 2)
    memory.page(1, False)
    assert [*memory.resident(0, 2)] == [1]


@pytest.mark.parametrize("first, last", [(1, 3), (1, 1 << 40)], ids=["few", "more than there are"])
def test_discarded_pages_are_free_and_zero_again(
    phys: PhysicalMemory, first: int, last: int
) -> None:
    memory = AnonymousObject(phys, 4)
    kept, _ = memory.page(0, True)
    for index in (1, 2):
        phys.page(memory.page(index, True)[0])[:] = b"x" * PAGE_SIZE
    memory.discard(first, last)
    assert phys.used == PAGE_SIZE
    assert memory.page(0, False) == (kept, True)
    assert bytes(phys.page(memory.page(1, False)[0])) == bytes(PAGE_SIZE)


def test_the_last_reference_frees_the_pages(phys: PhysicalMemory) -> None:
    memory = AnonymousObject(phys, 4)
    memory.refs = 2
    memory.page(0, True)
    memory.page(3, True)
    memory.deref()
    assert phys.used == 2 * PAGE_SIZE
    memory.deref()
    assert phys.used == 0


def test_out_of_memory_takes_nothing_away() -> None:
    phys = PhysicalMemory(2 * PAGE_SIZE)
    memory = AnonymousObject(phys, 4)
    pa, _ = memory.page(0, True)
    with pytest.raises(KernelError) as caught:
        memory.page(1, True)
    assert caught.value.errno is Errno.ENOMEM
    assert memory.pages == {0: pa}
    assert [*memory.resident(0, 2)] == [0]


def test_a_file_page_is_its_place_in_the_region(mapped: Mapped) -> None:
    assert mapped.object.page(0, False) == (mapped.region.base, True)
    assert mapped.object.page(2, True) == (mapped.region.base + 2 * PAGE_SIZE, True)


def test_a_file_ends_with_the_page_its_last_byte_is_in(mapped: Mapped) -> None:
    assert [*mapped.object.resident(1, 9)] == [1, 2]  # abi 6.13: file pages rounded up
    assert refused(mapped.object.page, 3) is KernReturn.PROTECTION_FAILURE
    mapped.object.resize(2 * PAGE_SIZE)
    assert refused(mapped.object.page, 2) is KernReturn.PROTECTION_FAILURE


def test_a_file_that_grows_shows_its_new_pages(mapped: Mapped) -> None:
    mapped.object.resize(3 * PAGE_SIZE + 1)
    assert mapped.object.page(3, False) == (mapped.region.base + 3 * PAGE_SIZE, True)


def test_no_translation_to_a_cut_off_page_survives(phys: PhysicalMemory, mapped: Mapped) -> None:
    spaces = [Pmap(phys), Pmap(phys)]
    for pmap in spaces:
        for index in range(3):
            pmap.enter(index * PAGE_SIZE, mapped.region.base + index * PAGE_SIZE | READ)
    mapped.object.resize(PAGE_SIZE + 1)
    for pmap in spaces:
        assert [pmap.extract(index * PAGE_SIZE) for index in range(3)] == [
            mapped.region.base,
            mapped.region.base + PAGE_SIZE,
            None,
        ]
    assert phys.stale.tlb


def test_shrinking_within_a_page_drops_nothing(phys: PhysicalMemory, mapped: Mapped) -> None:
    pmap = Pmap(phys)
    pmap.enter(0, mapped.region.base + 2 * PAGE_SIZE | READ)
    mapped.object.resize(2 * PAGE_SIZE + 1)
    assert pmap.extract(0) == mapped.region.base + 2 * PAGE_SIZE


def test_a_file_is_released_once_with_its_last_reference(mapped: Mapped) -> None:
    mapped.object.refs = 2
    mapped.object.deref()
    assert mapped.released == []
    mapped.object.deref()
    assert mapped.released == [mapped.object]


@pytest.mark.parametrize(
    "offset, size, expected",
    [
        (0, 0x1000, False),
        (0x1000, 1, True),
        (0xFFF, 2, True),
        (0, 0x3000, True),
        (0x2000, 1, False),
    ],
)
def test_a_file_knows_which_of_its_bytes_may_be_code(
    phys: PhysicalMemory, mapped: Mapped, offset: int, size: int, expected: bool
) -> None:
    phys.code.add((mapped.region.base >> 12) + 1)
    assert mapped.object.holds_code(offset, size) is expected


def test_a_private_copy_shows_the_file_until_it_is_written(
    phys: PhysicalMemory, mapped: Mapped
) -> None:
    private = ShadowObject(phys, mapped.object)
    assert private.page(1, False) == (mapped.region.base + PAGE_SIZE, False)
    assert phys.used == 0
    copy, writable = private.page(1, True)
    assert writable and copy < phys.size
    assert bytes(phys.page(copy)) == b"2" * PAGE_SIZE
    phys.page(copy)[0] = 0x39
    assert private.page(1, False) == (copy, True)
    assert mapped.region.bytes[PAGE_SIZE] == 0x32


def test_a_private_copy_ends_where_the_file_ends_but_keeps_what_it_copied(
    phys: PhysicalMemory, mapped: Mapped
) -> None:
    private = ShadowObject(phys, mapped.object)
    copy, _ = private.page(2, True)
    mapped.object.resize(PAGE_SIZE)
    assert private.page(2, False) == (copy, True)
    assert refused(private.page, 1) is KernReturn.PROTECTION_FAILURE
    assert sorted(private.resident(0, 9)) == [0, 2]


def test_a_private_copy_gives_back_its_pages_and_then_the_file(
    phys: PhysicalMemory, mapped: Mapped
) -> None:
    private = ShadowObject(phys, mapped.object)
    private.refs = 1
    private.page(0, True)
    assert mapped.object.refs == 1
    private.deref()
    assert phys.used == 0
    assert mapped.released == [mapped.object]


# Copies of memory


def chain(phys: PhysicalMemory, length: int) -> list[AnonymousObject]:
    """Return anonymous memory of 8 pages and `length` shadows, each on the one before.

    Something refers to every one of them.
    """
    objects = [AnonymousObject(phys, 8)]
    for _ in range(length):
        objects.append(ShadowObject(phys, objects[-1]))
    for memory in objects:
        memory.refs += 1
    return objects


def fill(phys: PhysicalMemory, memory: AnonymousObject, index: int, text: bytes) -> int:
    pa, writable = memory.page(index, True)
    assert writable
    phys.page(pa)[: len(text)] = text
    return pa


def text(phys: PhysicalMemory, memory: AnonymousObject, index: int) -> bytes:
    pa, _ = memory.page(index, False)
    return bytes(phys.page(pa)[:4])


def test_a_page_that_is_nowhere_becomes_zero_in_the_top_object(phys: PhysicalMemory) -> None:
    bottom, middle, top = chain(phys, 2)
    pa, writable = top.page(3, False)
    assert writable
    assert (bottom.pages, middle.pages, top.pages) == ({}, {}, {3: pa})
    assert refused(top.page, 8) is KernReturn.PROTECTION_FAILURE


def test_a_page_of_a_lower_object_is_copied_into_the_top_when_written(
    phys: PhysicalMemory,
) -> None:
    bottom, middle, top = chain(phys, 2)
    below = fill(phys, bottom, 3, b"deep")
    assert top.page(3, False) == (below, False)
    copy = fill(phys, top, 3, b"top!")
    assert top.page(3, False) == (copy, True)
    assert [text(phys, memory, 3) for memory in (middle, top)] == [b"deep", b"top!"]
    assert middle.pages == {}


def test_the_nearest_page_shows(phys: PhysicalMemory) -> None:
    bottom, middle, top = chain(phys, 2)
    fill(phys, bottom, 3, b"deep")
    near = fill(phys, middle, 3, b"near")
    assert top.page(3, False) == (near, False)


def test_a_chain_may_be_longer_than_the_stack_is_deep(phys: PhysicalMemory) -> None:
    objects = chain(phys, 3000)
    pa = fill(phys, objects[0], 5, b"deep")
    assert objects[-1].page(5, False) == (pa, False)
    fill(phys, objects[-1], 6, b"top!")
    assert sorted(objects[-1].resident(0, 8)) == [5, 6]
    for memory in objects[:-1]:
        memory.refs -= 1  # without a collapse
    objects[-1].deref()
    assert phys.used == 0


def test_a_shadow_without_memory_for_its_copy_changes_nothing() -> None:
    phys = PhysicalMemory(2 * PAGE_SIZE)
    bottom, top = chain(phys, 1)
    pa, _ = bottom.page(0, True)
    with pytest.raises(KernelError):
        top.page(0, True)
    assert top.page(0, False) == (pa, False)
    assert top.pages == {}


@pytest.mark.parametrize("below, above", [(7, 2), (2, 7)], ids=["more below", "more above"])
def test_an_object_that_one_shadow_still_refers_to_becomes_one_with_it(
    phys: PhysicalMemory, below: int, above: int
) -> None:
    bottom, middle, top = chain(phys, 2)
    for index in range(below):
        fill(phys, middle, index, b"old%d" % index)
    for index in range(1, above):
        fill(phys, top, index, b"new%d" % index)
    shown = [text(phys, top, index) for index in range(max(below, above))]
    middle.deref()
    assert top.backing is bottom and bottom.shadows == {top}
    assert (bottom.refs, top.refs) == (2, 1)
    assert [text(phys, top, index) for index in range(max(below, above))] == shown
    assert phys.used == max(below, above) * PAGE_SIZE
    bottom.deref()
    assert top.backing is None
    top.deref()
    assert phys.used == 0


def test_becoming_one_costs_the_fewer_pages(phys: PhysicalMemory) -> None:
    bottom, top = chain(phys, 1)
    for index in range(7):
        bottom.page(index, True)
    many = bottom.pages
    top.page(7, True)
    bottom.deref()
    assert top.pages is many
    assert sorted(many) == [0, 1, 2, 3, 4, 5, 6, 7]

    bottom, top = chain(phys, 1)
    for index in range(7):
        top.page(index, True)
    many = top.pages
    bottom.page(7, True)
    bottom.deref()
    assert top.pages is many
    assert sorted(many) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_an_object_with_two_shadows_or_a_mapping_stays(phys: PhysicalMemory) -> None:
    bottom, one = chain(phys, 1)
    other = ShadowObject(phys, bottom)
    other.refs = 1
    bottom.deref()
    assert one.backing is other.backing is bottom
    bottom.refs += 1
    other.deref()
    assert one.backing is bottom
    assert bottom.shadows == {one}


def test_a_private_copy_of_a_file_becomes_one_with_its_shadow_and_the_file_stays_below(
    phys: PhysicalMemory, mapped: Mapped
) -> None:
    private = ShadowObject(phys, mapped.object)
    private.refs = 1
    fill(phys, private, 0, b"mine")
    shadow = ShadowObject(phys, private)
    shadow.refs = 1
    private.deref()
    assert shadow.backing is mapped.object and mapped.object.refs == 1
    assert [text(phys, shadow, index) for index in (0, 1)] == [b"mine", b"2222"]
    assert refused(shadow.page, 3) is KernReturn.PROTECTION_FAILURE
    shadow.deref()
    assert mapped.released == [mapped.object]
    assert phys.used == 0


def test_pages_that_others_may_see_are_not_discarded(phys: PhysicalMemory) -> None:
    bottom, top = chain(phys, 1)
    for memory in (bottom, top):
        fill(phys, memory, 0, b"mine")
    bottom.discard(0, 8)
    assert [*bottom.pages] == [0]  # it stands under a shadow
    top.discard(0, 8)
    assert [*top.pages] == []
    fill(phys, top, 0, b"mine")
    top.aliased = True
    top.discard(0, 8)
    assert [*top.pages] == [0]  # another address space shows it


def test_a_copy_of_what_was_not_written_since_the_last_copy_makes_no_chain(
    phys: PhysicalMemory,
) -> None:
    bottom, top = chain(phys, 1)
    fill(phys, bottom, 0, b"old!")
    ours, theirs = top.copy()
    assert ours is top
    assert theirs.backing is bottom and theirs.size == 8
    fill(phys, top, 0, b"new!")
    ours, theirs = top.copy()
    assert ours.backing is theirs.backing is top
    assert top.shadows == {ours, theirs}


def test_what_others_see_is_not_kept_for_one_of_its_copies(phys: PhysicalMemory) -> None:
    bottom, top = chain(phys, 1)
    top.aliased = True
    for memory in (bottom, top):
        ours, theirs = memory.copy()
        assert ours is not memory
        assert ours.backing is theirs.backing is memory


def test_when_a_shared_page_is_copied_nobody_keeps_the_old_one(phys: PhysicalMemory) -> None:
    bottom, top = chain(phys, 1)
    old = fill(phys, bottom, 3, b"old!")
    kept = fill(phys, bottom, 4, b"kept")
    spaces = [Pmap(phys), Pmap(phys)]
    for pmap in spaces:
        pmap.enter(0x3000, old | READ)
        pmap.enter(0x4000, kept | READ)
    top.aliased = True
    fill(phys, top, 3, b"new!")
    assert [pmap.extract(0x3000) for pmap in spaces] == [None, None]
    top.aliased = False
    fill(phys, top, 4, b"new!")
    assert [pmap.extract(0x4000) for pmap in spaces] == [kept, kept]
