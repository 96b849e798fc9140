"""Page faults, and the walk of the virtual page table that a vkernel keeps (abi 6.13, 6.14)."""

from dataclasses import dataclass
from random import Random
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Prot
from emu.abi.versions import ABI_2011, ABI_2014, ABI_2020, AbiVersion
from emu.abi.x86 import PAGE_SIZE, PTE_FRAME, Pte
from emu.vm.phys import PhysicalMemory
from emu.vm.pmap import Pmap
from emu.vm.vm_fault import vm_fault
from emu.vm.vm_map import VmMap, VmMapEntry
from emu.vm.vm_object import (
    ANONYMOUS_PAGES,
    AnonymousObject,
    FileObject,
    KernReturn,
    ShadowObject,
    VmObject,
)

READ, WRITE, EXEC = int(Prot.READ), int(Prot.WRITE), int(Prot.EXEC)
FAILURE, PROTECTION_FAILURE = KernReturn.FAILURE, KernReturn.PROTECTION_FAILURE
BASE = 0x1234_5000
SIZE = 1 << 46


@dataclass(frozen=True)
class Bits:
    """The vpte bits of one version (abi 4.3), by number."""

    abi: AbiVersion
    V: int
    PS: int
    R: int
    W: int
    A: int
    M: int
    NX: int

    @property
    def rw(self) -> int:
        return self.V | self.R | self.W


B2011 = Bits(ABI_2011, V=0x001, PS=0x002, R=0x004, W=0x008, A=0x020, M=0x040, NX=0)
B2014 = Bits(ABI_2014, V=0x001, PS=0x080, R=0, W=0x002, A=0x020, M=0x040, NX=0)
B2020 = Bits(ABI_2020, V=0x001, PS=0x080, R=0, W=0x002, A=0x020, M=0x040, NX=0x800)

every_version = pytest.mark.parametrize(
    "bits", [B2011, B2014, B2020], ids=lambda bits: bits.abi.name
)

# Tables in object pages 1 to 4, each entered at another index; the page they lead to is 100.
INDEXES = (3, 5, 7, 9)
VA = BASE + (3 << 39 | 5 << 30 | 7 << 21 | 9 << 12)


class Guest:
    """A VPAGETABLE mapping at BASE, and a page table for it in object pages 1 to 4."""

    def __init__(
        self,
        bits: Bits,
        *,
        offset: int = 0,
        prot: int = PROT_ALL,
        memory: VmObject | None = None,
        phys: PhysicalMemory | None = None,
    ) -> None:
        self.bits = bits
        self.phys = phys or PhysicalMemory(1 << 20)
        self.memory = memory or AnonymousObject(self.phys, ANONYMOUS_PAGES)
        self.map = VmMap(1 << 47)
        self.pmap = Pmap(self.phys)
        self.entry = VmMapEntry(
            BASE, BASE + SIZE, self.memory, offset=offset, prot=prot, vpagetable=True
        )
        self.map.insert(self.entry)
        self.entry.root = 0x1000 | bits.rw
        for table, index, below in zip((1, 2, 3, 4), INDEXES, (2, 3, 4, 100), strict=True):
            self.poke(table, index, below << 12 | bits.rw)

    def poke(self, page: int, index: int, value: int) -> None:
        self.phys.write_u64(self.memory.page(page, True)[0] + 8 * index, value)

    def peek(self, page: int, index: int) -> int:
        return self.phys.read_u64(self.memory.page(page, False)[0] + 8 * index)

    def marks(self) -> list[int]:
        """Return the A and M bits of the four entries on the way to VA."""
        mask = self.bits.A | self.bits.M
        return [self.peek(t, i) & mask for t, i in zip((1, 2, 3, 4), INDEXES, strict=True)]

    def change(self, level: int, *, drop: int = 0, add: int = 0) -> None:
        """Change the entry on the way to VA at `level`; 0 is the root."""
        if level == 0:
            self.entry.root = self.entry.root & ~drop | add
        else:
            index = INDEXES[level - 1]
            self.poke(level, index, self.peek(level, index) & ~drop | add)

    def touch(self, va: int = VA, access: int = READ) -> int:
        """Fault at `va`; return the page-table entry made of it."""
        assert self._fault(va, access) is KernReturn.SUCCESS
        pte = self.pmap.lookup(va)
        assert pte & Pte.V and pte & Pte.U
        return pte

    def _fault(self, va: int, access: int) -> KernReturn:
        entry = self.map.lookup(va)
        assert entry is not None
        return vm_fault(self.phys, self.bits.abi, entry, self.pmap, va, access)

    def page_at(self, va: int, access: int = READ) -> int:
        """Fault at `va`; return the number of the object page that it shows."""
        pa = self.touch(va, access) & PTE_FRAME
        if isinstance(self.memory, FileObject):
            return (pa - self.memory.region.base) >> 12
        assert isinstance(self.memory, AnonymousObject)
        return {frame: number for number, frame in self.memory.pages.items()}[pa]

    def refusal(self, va: int = VA, access: int = READ) -> KernReturn:
        before = self.pmap.lookup(va)
        result = self._fault(va, access)
        assert result is not KernReturn.SUCCESS
        assert self.pmap.lookup(va) == before
        return result

    def outcome(self, va: int, access: int) -> int | KernReturn:
        """Fault at `va`; return the number of the object page that it shows, or the refusal."""
        result = self._fault(va, access)
        if result is not KernReturn.SUCCESS:
            return result
        return self.page_at(va, access)


# The shape of the walk


@every_version
@pytest.mark.parametrize("access", [READ, WRITE, EXEC], ids=["read", "write", "fetch"])
def test_four_levels_lead_to_the_page(bits: Bits, access: int) -> None:
    assert Guest(bits).page_at(VA, access) == 100
    assert Guest(bits).page_at(VA + 0xFFF, access) == 100


@every_version
def test_a_new_mapping_has_no_root(bits: Bits) -> None:
    guest = Guest(bits)
    guest.entry.root = 0
    assert guest.refusal() is FAILURE
    assert guest.marks() == [0, 0, 0, 0]


@every_version
@pytest.mark.parametrize(
    "level, frame, page",
    [
        (0, 0x1000, 1 + (3 << 27 | 5 << 18 | 7 << 9 | 9)),
        (1, 0x20_0000, 0x200 + (5 << 18 | 7 << 9 | 9)),
        (2, 0x20_0000, 0x200 + (7 << 9 | 9)),
        (3, 0x20_0000, 0x200 + 9),
        (4, 0x20_0000, 0x200),
    ],
    ids=["root", "512 GB", "1 GB", "2 MB", "a page"],
)
def test_ps_ends_the_walk_at_every_level(bits: Bits, level: int, frame: int, page: int) -> None:
    guest = Guest(bits)
    guest.change(level, drop=PTE_FRAME, add=frame | bits.PS)
    assert guest.page_at(VA) == page


@every_version
@pytest.mark.parametrize("level, rest", [(2, 7 << 9 | 9), (3, 9)], ids=["1 GB", "2 MB"])
def test_the_frame_under_ps_is_added_to_not_masked(bits: Bits, level: int, rest: int) -> None:
    guest = Guest(bits)
    guest.change(level, drop=PTE_FRAME, add=0x1FF << 12 | bits.PS)
    assert guest.page_at(VA) == 0x1FF + rest


@every_version
def test_a_root_with_ps_is_the_object_itself(bits: Bits) -> None:
    guest = Guest(bits)
    guest.entry.root = bits.PS | bits.rw
    assert [guest.page_at(BASE + n * PAGE_SIZE, WRITE) for n in (0, 1, 77)] == [0, 1, 77]


@every_version
def test_the_offset_of_the_mapping_is_a_bias_of_the_address(bits: Bits) -> None:
    guest = Guest(bits, offset=3 << 39 | 5 << 30 | 7 << 21)
    assert guest.page_at(BASE + (9 << 12)) == 100
    assert guest.refusal(VA) is FAILURE


@every_version
def test_only_the_low_36_bits_of_the_index_count(bits: Bits) -> None:
    guest = Guest(bits, offset=1 << 48 | 1 << 63)
    assert guest.page_at(VA) == 100
    guest = Guest(bits, offset=(1 << 64) - (1 << 39))
    assert guest.page_at(VA + (1 << 39)) == 100


@every_version
def test_bits_outside_the_frame_and_the_named_flags_are_ignored(bits: Bits) -> None:
    known = bits.V | bits.PS | bits.R | bits.W | bits.A | bits.M | bits.NX | PTE_FRAME
    junk = ~known & (1 << 64) - 1
    guest = Guest(bits)
    for level in range(5):
        guest.change(level, add=junk)
    assert guest.page_at(VA, WRITE) == 100
    assert guest.peek(1, 3) == 0x2000 | bits.rw | bits.A | bits.M | junk


@every_version
def test_a_table_in_a_hole_of_the_object_is_filled_with_zeros(bits: Bits) -> None:
    guest = Guest(bits)
    guest.change(2, drop=PTE_FRAME, add=50 << 12)
    assert guest.refusal(access=WRITE) is FAILURE
    assert isinstance(guest.memory, AnonymousObject)
    assert 50 in guest.memory.pages
    assert bytes(guest.phys.page(guest.memory.page(50, False)[0])) == bytes(PAGE_SIZE)


# Permissions


@every_version
@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize("access", [READ, WRITE, EXEC], ids=["read", "write", "fetch"])
def test_every_entry_on_the_way_must_be_valid(bits: Bits, level: int, access: int) -> None:
    guest = Guest(bits)
    guest.change(level, drop=bits.V)
    assert guest.refusal(access=access) is FAILURE


@every_version
@pytest.mark.parametrize("level", range(5))
def test_every_entry_on_the_way_must_permit_a_write(bits: Bits, level: int) -> None:
    guest = Guest(bits)
    guest.change(level, drop=bits.W)
    assert guest.refusal(access=WRITE) is FAILURE
    assert guest.page_at(VA, READ) == 100


@pytest.mark.parametrize("level", range(5))
def test_in_2011_every_entry_on_the_way_must_permit_a_read(level: int) -> None:
    guest = Guest(B2011)
    guest.change(level, drop=B2011.R)
    assert guest.refusal(access=READ) is FAILURE
    assert guest.refusal(access=EXEC) is FAILURE  # a fetch is a read
    assert guest.page_at(VA, WRITE) == 100


@pytest.mark.parametrize("bits", [B2014, B2020], ids=["2014", "2020"])
def test_later_a_valid_entry_is_readable(bits: Bits) -> None:
    guest = Guest(bits)
    for level in range(5):
        guest.change(level, drop=bits.W)
    assert guest.page_at(VA, READ) == 100


@pytest.mark.parametrize("level", range(5))
def test_in_2020_no_entry_on_the_way_may_deny_execution(level: int) -> None:
    guest = Guest(B2020)
    guest.change(level, add=0x800)
    assert guest.refusal(access=EXEC) is FAILURE
    assert not guest.touch(access=READ) & Pte.EXEC_OK
    assert not guest.touch(access=WRITE) & Pte.EXEC_OK


@pytest.mark.parametrize("bits", [B2011, B2014], ids=["2011", "2014"])
def test_before_2020_nothing_denies_execution(bits: Bits) -> None:
    guest = Guest(bits, prot=READ | WRITE)
    for level in range(5):
        guest.change(level, add=0x800 | 1 << 63)
    assert guest.touch(access=READ) & Pte.EXEC_OK
    pte = guest.touch(access=EXEC)
    assert not pte & Pte.NX
    assert guest.phys.code == {(pte & PTE_FRAME) >> 12}


@every_version
@pytest.mark.parametrize("prot, access", [(READ, WRITE), (WRITE, READ), (0, READ)])
def test_the_mapping_is_asked_before_the_table(bits: Bits, prot: int, access: int) -> None:
    guest = Guest(bits, prot=prot)
    guest.entry.root = 0
    assert guest.refusal(access=access) is PROTECTION_FAILURE


def test_in_2020_a_mapping_without_prot_exec_is_not_executable() -> None:
    guest = Guest(B2020, prot=READ | WRITE)
    assert guest.refusal(access=EXEC) is PROTECTION_FAILURE
    assert not guest.touch(access=READ) & Pte.EXEC_OK


# Accessed and modified


@every_version
def test_a_read_sets_accessed_in_every_entry(bits: Bits) -> None:
    guest = Guest(bits)
    guest.touch(access=READ)
    assert guest.marks() == [0x20, 0x20, 0x20, 0x20]
    assert guest.entry.root == 0x1000 | bits.rw


@every_version
def test_a_write_sets_modified_too_even_in_directories(bits: Bits) -> None:
    guest = Guest(bits)
    guest.touch(access=WRITE)
    assert guest.marks() == [0x60, 0x60, 0x60, 0x60]
    assert guest.peek(4, 9) == 100 << 12 | bits.rw | 0x60
    assert guest.entry.root == 0x1000 | bits.rw


@every_version
@pytest.mark.parametrize(
    "level, marks", [(1, [0, 0, 0, 0]), (3, [0x60, 0x60, 0, 0]), (4, [0x60, 0x60, 0x60, 0])]
)
@pytest.mark.parametrize("bit", ["V", "W"])
def test_entries_above_the_one_that_refuses_keep_their_marks(
    bits: Bits, level: int, marks: list[int], bit: str
) -> None:
    guest = Guest(bits)
    guest.change(level, drop=getattr(bits, bit))
    assert guest.refusal(access=WRITE) is FAILURE
    assert guest.marks() == marks


@every_version
def test_a_page_beyond_the_object_is_marked_before_it_fails(bits: Bits) -> None:
    guest = Guest(bits)
    guest.change(4, drop=PTE_FRAME, add=ANONYMOUS_PAGES << 12)
    assert guest.refusal(access=WRITE) is PROTECTION_FAILURE
    assert guest.marks() == [0x60, 0x60, 0x60, 0x60]


def test_in_2020_an_entry_that_denies_a_fetch_is_marked_accessed() -> None:
    guest = Guest(B2020)  # vm_fault.c of 2020: the mark wants V, the refusal comes after it
    guest.change(4, add=0x800)
    assert guest.refusal(access=EXEC) is FAILURE
    assert guest.marks() == [0x20, 0x20, 0x20, 0x20]


# The ends of the object


@every_version
def test_the_last_page_of_an_anonymous_object_can_be_had(bits: Bits) -> None:
    guest = Guest(bits)
    guest.change(4, drop=PTE_FRAME, add=0x7FFF_FFFE << 12)
    assert guest.page_at(VA) == 0x7FFF_FFFE


@every_version
@pytest.mark.parametrize("level", range(5))
def test_a_table_beyond_the_object_is_a_protection_failure(bits: Bits, level: int) -> None:
    guest = Guest(bits)
    guest.change(level, drop=PTE_FRAME, add=0x7FFF_FFFF << 12)
    assert guest.refusal() is PROTECTION_FAILURE


@every_version
def test_a_root_with_ps_can_point_beyond_the_object(bits: Bits) -> None:
    guest = Guest(bits)
    guest.entry.root = PTE_FRAME | bits.PS | bits.rw
    assert guest.refusal() is PROTECTION_FAILURE


# What is entered


@every_version
def test_a_write_is_entered_writable_and_dirty(bits: Bits) -> None:
    pte = Guest(bits).touch(access=WRITE)
    assert pte & Pte.RW and pte & Pte.D and pte & Pte.A and pte & Pte.NX


@every_version
def test_a_read_of_an_unmodified_page_is_entered_read_only(bits: Bits) -> None:
    guest = Guest(bits)
    pte = guest.touch(access=READ)
    assert not pte & Pte.RW and not pte & Pte.D and pte & Pte.A
    assert guest.touch(access=WRITE) & Pte.RW


@pytest.mark.parametrize(
    "bits, keeps", [(B2011, False), (B2014, False), (B2020, True)], ids=["2011", "2014", "2020"]
)
def test_a_read_of_a_modified_page_is_entered_writable_in_2020_only(
    bits: Bits, keeps: bool
) -> None:
    guest = Guest(bits)
    guest.change(4, add=bits.M)
    assert bool(guest.touch(access=READ) & Pte.RW) is keeps
    guest.change(4, drop=bits.W)
    assert not guest.touch(access=READ) & Pte.RW


def test_in_2020_a_read_keeps_no_right_that_the_mapping_lacks() -> None:
    guest = Guest(B2020, prot=READ | EXEC)
    guest.change(4, add=B2020.M)
    assert not guest.touch(access=READ) & Pte.RW


@every_version
def test_a_change_in_the_table_is_not_seen_until_the_next_fault(bits: Bits) -> None:
    guest = Guest(bits)
    before = guest.touch(access=WRITE)
    guest.change(4, drop=bits.V)
    assert guest.pmap.lookup(VA) == before
    guest.pmap.remove(VA, VA + PAGE_SIZE)
    assert guest.refusal() is FAILURE


@every_version
def test_one_object_page_is_one_frame_at_every_address(bits: Bits) -> None:
    guest = Guest(bits)
    guest.poke(4, 10, 100 << 12 | bits.rw)
    assert guest.touch(VA) & PTE_FRAME == guest.touch(VA + PAGE_SIZE, WRITE) & PTE_FRAME


@every_version
def test_a_private_mapping_is_coherent_at_two_addresses(bits: Bits) -> None:
    """Even a read copies the page, or the second address would go on showing the file's."""
    phys = PhysicalMemory(1 << 20)
    file = AnonymousObject(phys, 200)
    file.refs = 1
    guest = Guest(bits, phys=phys, memory=ShadowObject(phys, file))
    guest.poke(4, 10, 100 << 12 | bits.rw)
    phys.write_u64(file.page(100, True)[0], 0x11)
    first = guest.touch(VA, READ) & PTE_FRAME
    second = guest.touch(VA + PAGE_SIZE, WRITE) & PTE_FRAME
    assert first == second
    assert phys.read_u64(first) == 0x11
    phys.write_u64(second, 0x22)
    assert phys.read_u64(file.page(100, False)[0]) == 0x11
    assert phys.read_u64(file.page(1, False)[0] + 8 * 3) == 0  # the marks went into the copy


@every_version
def test_without_memory_a_fault_is_enomem_and_the_walk_can_go_on_later(bits: Bits) -> None:
    guest = Guest(bits)
    spare = []
    with pytest.raises(KernelError):
        while True:
            spare.append(guest.phys.alloc())
    used = guest.phys.used
    with pytest.raises(KernelError) as caught:
        guest.touch(access=WRITE)
    assert caught.value.errno is Errno.ENOMEM
    assert guest.phys.used == used
    for pa in spare:
        guest.phys.free(pa)
    assert guest.page_at(VA, WRITE) == 100


# Mappings without a virtual page table


class Plain:
    """A plain mapping of four pages at BASE, from the second page of an object on."""

    def __init__(self, bits: Bits, prot: int = PROT_ALL, *, private: bool = False) -> None:
        self.abi = bits.abi
        self.phys = PhysicalMemory(1 << 20)
        self.file = AnonymousObject(self.phys, 4)
        self.file.refs = 1
        memory: VmObject = ShadowObject(self.phys, self.file) if private else self.file
        self.map = VmMap(1 << 47)
        self.pmap = Pmap(self.phys)
        self.map.insert(VmMapEntry(BASE, BASE + 0x4000, memory, offset=PAGE_SIZE, prot=prot))

    def touch(self, va: int, access: int) -> int:
        assert self.result(va, access) is KernReturn.SUCCESS
        return self.pmap.lookup(va)

    def result(self, va: int, access: int) -> KernReturn:
        entry = self.map.lookup(va)
        assert entry is not None
        return vm_fault(self.phys, self.abi, entry, self.pmap, va, access)


@pytest.mark.parametrize(
    "prot, access, refused",
    [
        (READ, READ, None),
        (READ, WRITE, PROTECTION_FAILURE),
        (0, READ, PROTECTION_FAILURE),
        (WRITE, WRITE, None),
        (WRITE, READ, PROTECTION_FAILURE),
        (EXEC, READ, PROTECTION_FAILURE),
    ],
)
@every_version
def test_the_protection_decides(
    bits: Bits, prot: int, access: int, refused: KernReturn | None
) -> None:
    plain = Plain(bits, prot)
    if refused is None:
        assert plain.touch(BASE, access) & Pte.V
    else:
        assert plain.result(BASE, access) is refused


@pytest.mark.parametrize(
    "bits, prot, allowed",
    [
        (B2011, READ, True),
        (B2011, EXEC, False),
        (B2014, READ, True),
        (B2020, READ, False),
        (B2020, EXEC, True),
    ],
)
def test_what_a_fetch_needs(bits: Bits, prot: int, allowed: bool) -> None:
    plain = Plain(bits, prot)
    if allowed:
        assert not plain.touch(BASE, EXEC) & Pte.NX
    else:
        assert plain.result(BASE, EXEC) is PROTECTION_FAILURE


def test_a_page_is_entered_not_executable_until_it_is_fetched() -> None:
    plain = Plain(B2011)
    pte = plain.touch(BASE, READ)
    assert pte & Pte.NX and pte & Pte.EXEC_OK and pte & Pte.RW
    assert plain.phys.code == set()
    assert not plain.touch(BASE, EXEC) & Pte.NX
    assert plain.phys.code == {(pte & PTE_FRAME) >> 12}


def test_the_offset_is_a_place_in_the_object() -> None:
    plain = Plain(B2011)
    pte = plain.touch(BASE + 0x1234, WRITE)
    assert plain.file.pages == {2: pte & PTE_FRAME}
    assert plain.result(BASE + 0x3000, READ) is PROTECTION_FAILURE


def test_a_private_page_is_read_only_until_it_is_copied() -> None:
    plain = Plain(B2011, private=True)
    original, _ = plain.file.page(1, False)
    shared = plain.touch(BASE, READ)
    assert not shared & Pte.RW
    assert shared & PTE_FRAME == original
    plain.phys.stale.clear()
    copied = plain.touch(BASE, WRITE)
    assert copied & Pte.RW
    assert copied & PTE_FRAME != shared & PTE_FRAME
    assert plain.phys.stale.tlb


# Against the specification: the pseudo-code of abi 6.13, line by line

OBJECT_PAGES = 24
Tables = dict[int, dict[int, int]]


def specified(
    bits: Bits, pages: Tables, root: int, offset: int, va: int, kind: int
) -> int | KernReturn:
    """Return the page of the object, or the refusal, and leave the marks in `pages`."""
    idx = ((va - BASE) + offset) >> 12
    e = root
    shift = 36
    while True:
        if not e & bits.V:
            return FAILURE
        if kind == READ and bits.R and not e & bits.R:
            return FAILURE
        if kind == WRITE and not e & bits.W:
            return FAILURE
        if kind == EXEC and e & bits.NX:
            return FAILURE
        if e & bits.PS or shift == 0:
            break
        shift -= 9
        page, at = (e & 0x000F_FFFF_FFFF_F000) >> 12, (idx >> shift) & 511
        if page >= OBJECT_PAGES:
            return PROTECTION_FAILURE
        table = pages.setdefault(page, {})
        e = slot = table.get(at, 0)
        if kind == WRITE and e & bits.V and e & bits.W:
            table[at] = slot | bits.M | bits.A
        if kind == READ and e & bits.V and (not bits.R or e & bits.R):
            table[at] = slot | bits.A
        if kind == EXEC and e & bits.V:
            table[at] = slot | bits.A
    leaf = ((e & 0x000F_FFFF_FFFF_F000) >> 12) + (idx & ((1 << shift) - 1))
    return leaf if leaf < OBJECT_PAGES else PROTECTION_FAILURE


def random_entry(random: Random, bits: Bits) -> int:
    """Return an entry that mostly permits everything and mostly leads to another table."""
    flags = bits.rw
    for name, chance in (("PS", 0.1), ("V", 0.05), ("R", 0.05), ("W", 0.1), ("NX", 0.1)):
        if random.random() < chance:
            flags ^= getattr(bits, name)
    flags |= random.choice([0, 0, bits.A, bits.M, bits.A | bits.M])
    return random.choice([0, 1, 2, 3, random.randrange(OBJECT_PAGES + 1)]) << 12 | flags


def a_file(phys: PhysicalMemory, pages: int) -> FileObject:
    with TemporaryFile() as file:
        file.truncate(pages * PAGE_SIZE)
        region = phys.map_file(file.fileno(), 2 << 20, writable=True)
    return FileObject(phys, region, pages * PAGE_SIZE, lambda _: None)


@settings(max_examples=400, deadline=None)
@given(
    st.randoms(use_true_random=True),
    st.sampled_from([B2011, B2014, B2020]),
    st.sampled_from([READ, WRITE, EXEC]),
    st.sampled_from([0, 0x1000, 1 << 39, 1 << 48, (1 << 64) - 0x1000]),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.booleans(),
)
def test_the_walk_is_the_specified_one(
    random: Random,
    bits: Bits,
    kind: int,
    offset: int,
    path: tuple[int, int, int, int],
    in_file: bool,
) -> None:
    """On tables in pages 0 to 3 that lead anywhere: to each other, themselves, past the end.

    The pages of a file are found without asking it for each.
    """
    pages = {page: {at: random_entry(random, bits) for at in range(4)} for page in range(4)}
    root = random_entry(random, bits)
    va = BASE + sum(at << shift for at, shift in zip(path, (39, 30, 21, 12), strict=True))
    phys = PhysicalMemory(1 << 20)
    memory: VmObject = AnonymousObject(phys, OBJECT_PAGES)
    if in_file:
        memory = a_file(phys, OBJECT_PAGES)
    guest = Guest(bits, phys=phys, memory=memory, offset=offset)
    memory.discard(0, OBJECT_PAGES)
    for table, index in zip((1, 2, 3, 4), INDEXES, strict=True):
        guest.poke(table, index, 0)
    for page, words in pages.items():
        for at, word in words.items():
            guest.poke(page, at, word)
    guest.entry.root = root

    asked = READ if kind == EXEC and not bits.abi.execute_checked else kind
    expected = specified(bits, pages, root, offset, va, asked)
    assert guest.outcome(va, kind) == expected
    for page in range(4):
        words = phys.page(memory.page(page, False)[0]).cast("Q")
        assert {at: word for at, word in enumerate(words) if word} == {
            at: word for at, word in pages[page].items() if word
        }
    if isinstance(memory, FileObject):
        phys.unmap_file(memory.region)
