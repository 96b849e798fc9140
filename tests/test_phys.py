"""Physical memory: frames with one owner each, and regions that are host files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emu.abi.errno import Errno, KernelError
from emu.abi.x86 import PAGE_SIZE, Pte
from emu.vm.phys import REGION_CEILING, REGION_FLOOR, PhysicalMemory
from emu.vm.pmap import Pmap

MB = 1 << 20
READ_WRITE = int(Pte.V | Pte.RW | Pte.U)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4 * PAGE_SIZE)
    yield fd
    os.close(fd)


def test_frame_zero_is_never_handed_out(phys: PhysicalMemory) -> None:
    assert phys.alloc() == 0x1000
    assert phys.alloc() == 0x2000


def test_used_counts_frames_with_an_owner_and_peak_the_most_there_were(
    phys: PhysicalMemory,
) -> None:
    first, second = phys.alloc(), phys.alloc()
    assert (phys.used, phys.peak) == (0x2000, 0x2000)
    phys.free(first)
    assert (phys.used, phys.peak) == (0x1000, 0x2000)
    phys.free(second)
    assert (phys.used, phys.peak) == (0, 0x2000)


def test_a_freed_frame_comes_back_zeroed(phys: PhysicalMemory) -> None:
    pa = phys.alloc()
    phys.page(pa)[:] = b"\xa5" * PAGE_SIZE
    phys.free(pa)
    assert phys.alloc() == pa
    assert bytes(phys.page(pa)) == bytes(PAGE_SIZE)


def test_a_word_is_little_endian_in_its_page(phys: PhysicalMemory) -> None:
    pa = phys.alloc()
    phys.write_u64(pa + 8, 0x0102_0304_0506_0708)
    assert bytes(phys.page(pa)[8:16]) == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert phys.read_u64(pa + 8) == 0x0102_0304_0506_0708


def test_a_copy_has_all_of_the_page_whatever_was_in_its_frame(phys: PhysicalMemory) -> None:
    source, used = phys.alloc(), phys.alloc()
    phys.page(source)[:] = bytes(range(256)) * 16
    phys.page(used)[:] = b"\xff" * PAGE_SIZE
    phys.free(used)
    first, second = phys.alloc_copy(source), phys.alloc_copy(source)
    assert (first, second) == (used, used + PAGE_SIZE)
    assert bytes(phys.page(first)) == bytes(phys.page(second)) == bytes(range(256)) * 16


def test_without_a_cache_the_end_of_memory_is_enomem_and_nothing_is_lost() -> None:
    phys = PhysicalMemory(4 * PAGE_SIZE)
    frames = [phys.alloc() for _ in range(3)]
    for _ in range(2):
        with pytest.raises(KernelError) as caught:
            phys.alloc()
        assert caught.value.errno is Errno.ENOMEM
    assert phys.used == 0x3000
    phys.free(frames[1])
    assert phys.alloc() == frames[1]


def test_at_the_end_of_memory_page_tables_come_back_first() -> None:
    phys = PhysicalMemory(24 * PAGE_SIZE)
    pmap = Pmap(phys)
    page = phys.alloc()
    for number in range(16):
        pmap.enter(number << 21, page | READ_WRITE)
    assert phys.used == 20 * PAGE_SIZE  # root, 2 + 16 tables, the page
    phys.stale.clear()
    more = [phys.alloc() for _ in range(21)]
    assert page not in more and pmap.cr3 not in more
    assert pmap.extract(0) is None
    assert phys.stale.tlb
    with pytest.raises(KernelError):
        phys.alloc()


def test_page_tables_that_would_not_last_an_instruction_are_no_memory() -> None:
    """Else the tables of its code and of its operands would take each other's frames for ever."""
    phys = PhysicalMemory(22 * PAGE_SIZE)
    pmap = Pmap(phys)
    page = phys.alloc()
    for number in range(13):
        pmap.enter(number << 21, page | READ_WRITE)
    for _ in range(4):
        phys.alloc()
    with pytest.raises(KernelError):
        phys.alloc()


def test_a_freed_frame_that_held_code_makes_all_code_stale(phys: PhysicalMemory) -> None:
    data, code = phys.alloc(), phys.alloc()
    phys.code.add(code >> 12)
    phys.free(data)
    assert not phys.stale.any
    phys.free(code)
    assert phys.stale.any and phys.stale.all_code
    assert not phys.code


def test_a_page_becomes_executable_once(phys: PhysicalMemory) -> None:
    code = phys.alloc()
    phys.executable(code)
    assert phys.code == {code >> 12}
    assert phys.stale.any and phys.stale.tlb and phys.stale.code_pages
    phys.stale.clear()
    phys.executable(code)
    assert not phys.stale.any
    phys.free(code)
    assert phys.stale.code_pages


def test_clear_forgets_everything_that_was_stale(phys: PhysicalMemory) -> None:
    stale = phys.stale
    stale.translations()
    stale.code_changed()
    stale.code_written(0x1000, 0x40_0000, 8)
    assert (stale.any, stale.tlb, stale.all_code) == (True, True, True)
    assert stale.code == [(0x1000, 0x40_0000, 8)]
    stale.clear()
    assert (stale.any, stale.tlb, stale.all_code, stale.code) == (False, False, False, [])


def test_regions_lie_above_ram_one_after_the_other(phys: PhysicalMemory, fd: int) -> None:
    told: list[tuple[int, int]] = []
    phys.on_map = lambda base, address, size: told.append((base, size))
    first = phys.map_file(fd, 2 * MB, writable=True)
    second = phys.map_file(fd, 4 * MB, writable=True)
    assert (first.base, second.base) == (REGION_FLOOR, REGION_FLOOR + 2 * MB)
    assert told == [(0x10_0000_0000, 2 * MB), (0x10_0020_0000, 4 * MB)]
    assert phys.used == 0


def test_a_region_is_the_file(phys: PhysicalMemory, fd: int) -> None:
    region = phys.map_file(fd, 2 * MB, writable=True)
    phys.write_u64(region.base + PAGE_SIZE, 0x11)
    assert os.pread(fd, 8, PAGE_SIZE) == b"\x11" + bytes(7)
    os.pwrite(fd, b"\x22", 8)
    assert phys.read_u64(region.base + 8) == 0x22
    assert phys.region(region.base + PAGE_SIZE) is region
    phys.page(region.base + 2 * PAGE_SIZE)[0] = 0x33
    assert os.pread(fd, 1, 2 * PAGE_SIZE) == b"\x33"
    phys.unmap_file(region)


def test_a_gap_between_regions_is_used_again_when_it_is_large_enough(
    phys: PhysicalMemory, fd: int
) -> None:
    regions = [phys.map_file(fd, 2 * MB, writable=True) for _ in range(3)]
    gone: list[tuple[int, int]] = []
    phys.on_unmap = lambda base, size: gone.append((base, size))
    phys.unmap_file(regions[1])
    assert gone == [(REGION_FLOOR + 2 * MB, 2 * MB)]
    large = phys.map_file(fd, 4 * MB, writable=True)
    small = phys.map_file(fd, 2 * MB, writable=True)
    assert large.base == REGION_FLOOR + 6 * MB
    assert small.base == REGION_FLOOR + 2 * MB
    assert phys.region(small.base) is small
    assert phys.region(large.base) is large
    assert phys.region(regions[2].base) is regions[2]


def test_an_unmapped_region_takes_its_code_and_translations_along(
    phys: PhysicalMemory, fd: int
) -> None:
    region = phys.map_file(fd, 2 * MB, writable=True)
    frame = phys.alloc() >> 12
    phys.code |= {frame, region.base >> 12, (region.base >> 12) + 511}
    phys.unmap_file(region)
    assert phys.code == {frame}
    assert phys.stale.tlb and phys.stale.all_code


def test_a_region_that_does_not_fit_below_the_ceiling_is_enomem(
    phys: PhysicalMemory, fd: int
) -> None:
    with pytest.raises(KernelError) as caught:
        phys.map_file(fd, REGION_CEILING - REGION_FLOOR + PAGE_SIZE, writable=True)
    assert caught.value.errno is Errno.ENOMEM
    assert phys.map_file(fd, 2 * MB, writable=True).base == REGION_FLOOR


def test_a_file_the_host_refuses_to_map_is_enomem_and_takes_no_addresses(
    phys: PhysicalMemory, fd: int
) -> None:
    reader, writer = os.pipe()
    with pytest.raises(KernelError) as caught:
        phys.map_file(reader, 2 * MB, writable=False)
    assert caught.value.errno is Errno.ENOMEM
    assert phys.map_file(fd, 2 * MB, writable=True).base == REGION_FLOOR
    os.close(reader)
    os.close(writer)


class Frames(RuleBasedStateMachine):
    """Every frame is free or has one owner, who finds in it what he left there."""

    def __init__(self) -> None:
        super().__init__()
        self.phys = PhysicalMemory(8 * PAGE_SIZE)
        self.owned: dict[int, int] = {}
        self.marks = 0

    @rule()
    def alloc(self) -> None:
        if len(self.owned) == 7:
            with pytest.raises(KernelError):
                self.phys.alloc()
            return
        pa = self.phys.alloc()
        assert pa not in self.owned and 0 < pa < self.phys.size
        assert bytes(self.phys.page(pa)) == bytes(PAGE_SIZE)
        self.marks += 1
        self.owned[pa] = self.marks
        self.phys.write_u64(pa + PAGE_SIZE - 8, self.marks)

    @precondition(lambda self: self.owned)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        pa = data.draw(st.sampled_from(sorted(self.owned)))
        del self.owned[pa]
        self.phys.free(pa)

    @invariant()
    def owners_find_their_marks(self) -> None:
        assert self.phys.used == len(self.owned) * PAGE_SIZE
        for pa, mark in self.owned.items():
            assert self.phys.read_u64(pa + PAGE_SIZE - 8) == mark


TestFrames = Frames.TestCase
TestFrames.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
