"""mmap and its family, called the way a program calls them."""

from collections.abc import Callable
from functools import partial

import pytest
from conftest import Booted, call

from emu.abi.errno import Errno
from emu.abi.fcntl import Open
from emu.abi.mman import PROT_ALL, Inherit, Madv, Map, Prot
from emu.abi.versions import ABI_2014, ABI_2020
from emu.abi.x86 import PAGE_SIZE
from emu.kern.file import File
from emu.kern.mmap import kern_mmap
from emu.kern.proc import Lwp
from emu.vm.phys import REGION_FLOOR
from emu.vm.vm_object import KernReturn

R, W, X = int(Prot.READ), int(Prot.WRITE), int(Prot.EXEC)
RW = R | W
ANON, SHARED, PRIVATE = int(Map.ANON), int(Map.SHARED), int(Map.PRIVATE)
FIXED, TRYFIXED = int(Map.FIXED), int(Map.TRYFIXED)
STACK, VPAGETABLE, SIZEALIGN = int(Map.STACK), int(Map.VPAGETABLE), int(Map.SIZEALIGN)

HINT = 0x8_0040_0000  # where the data segment starts, and 32 GiB
AT = 0x1000_0000
SCRATCH = 0x2000_0000
USER_MAX = 0x8000_0000_0000
MB = 1 << 20
Mmap = Callable[..., int | Errno]


@pytest.fixture
def lwp(boot: Callable[..., Booted]) -> Lwp:
    """A program with a page of scratch memory, and its stack page touched."""
    lwp = boot(b"\x90").lwp
    lwp.vmspace.map_anonymous(SCRATCH, SCRATCH + PAGE_SIZE)
    lwp.vmspace.copyout(SCRATCH, bytes(8))
    lwp.vmspace.copyout(lwp.frame.rsp, bytes(8))
    return lwp


def mmap_of(lwp: Lwp) -> Mmap:
    def mmap(
        addr: int = 0,
        size: int = PAGE_SIZE,
        prot: int = RW,
        flags: int = ANON | PRIVATE,
        fd: int = -1,
        pos: int = 0,
    ) -> int | Errno:
        return call(lwp, "mmap", addr, size, prot, flags, fd, 0, pos)

    return mmap


@pytest.fixture
def mmap(lwp: Lwp) -> Mmap:
    return mmap_of(lwp)


def open_file(lwp: Lwp, flags: int = Open.RDWR, name: bytes = b"/file", size: int = 0x2800) -> int:
    """Return a descriptor of a file of two pages and a half: pages of "0", "1" and "2"."""
    tree = lwp.proc.kernel.tree
    if not name.startswith(b"/dev"):
        file = tree.open(name, (), Open.RDWR | Open.CREAT, 0o666)
        file.write(b"".join(b"%d" % n * PAGE_SIZE for n in range(3))[:size])
        file.drop()
    return lwp.proc.files.add(tree.open(name, (), flags, 0))


def the_file(lwp: Lwp, fd: int) -> File:
    return lwp.proc.files.get(fd)


def failure(lwp: Lwp, va: int, access: int = R) -> KernReturn:
    result = lwp.vmspace.fault(va, access)
    assert result is not KernReturn.SUCCESS
    return result


State = tuple[list[tuple[object, ...]], int, int]


def state(lwp: Lwp) -> State:
    """Return everything that a refused call must leave alone."""
    phys = lwp.proc.kernel.phys
    entries = [
        (e.start, e.end, e.prot, e.max_prot, e.inherit, e.root, e.offset, id(e.object))
        for e in lwp.vmspace.map
    ]
    return entries, phys.used, len(phys._regions)


def new_entries(lwp: Lwp) -> list[tuple[int, int]]:
    low, high = 0x0050_0000, 0x7FFF_0000_0000
    return [
        (e.start, e.end) for e in lwp.vmspace.map if low < e.start < high and e.start != SCRATCH
    ]


# Where a mapping goes


def test_memory_without_a_hint_goes_32_gib_above_the_data(lwp: Lwp, mmap: Mmap) -> None:
    assert lwp.proc.vmspace.data_start == 0x40_0000
    assert mmap() == 0x8_0040_0000
    assert mmap(size=0x3000, prot=R) == 0x8_0040_1000
    assert mmap() == 0x8_0040_4000


@pytest.mark.parametrize(
    "addr, found",
    [
        (0x40_0000, HINT),
        (HINT - 1, HINT),
        (HINT, HINT),
        (HINT + 1, HINT + 0x1000),
        (0x1_0000, 0x1_0000),
        (0x1_0001, 0x1_1000),
        (0x3F_F001, 0x41_1000),
        (0x7000_0000_0000, 0x7000_0000_0000),
    ],
    ids=hex,
)
def test_a_hint_inside_text_or_heap_is_ignored_and_others_are_kept(
    mmap: Mmap, addr: int, found: int
) -> None:
    assert mmap(addr) == found


def test_a_program_without_data_has_its_hint_at_32_gib(lwp: Lwp, mmap: Mmap) -> None:
    lwp.proc.vmspace.text_start = lwp.proc.vmspace.data_start = 0
    assert mmap() == 0x8_0000_0000
    assert mmap(0x1_0000) == 0x8_0000_1000


def test_the_hint_comes_from_the_program_even_for_a_vmspace(lwp: Lwp) -> None:
    space = lwp.vmspace.empty()  # abi 6.9
    assert kern_mmap(lwp.proc, space, 0, 1, RW, ANON, -1, 0) == HINT
    assert kern_mmap(lwp.proc, space, 0x40_0000, 1, R, ANON, -1, 0) == HINT + 0x1000
    space.destroy()


def test_first_fit_fills_a_gap(lwp: Lwp, mmap: Mmap) -> None:
    mmap(size=0x5000)
    assert call(lwp, "munmap", HINT + 0x1000, 0x2000) == 0
    assert mmap(size=0x3000, prot=R) == HINT + 0x5000
    assert mmap(size=0x2000, prot=R) == HINT + 0x1000


def test_a_mapping_that_fits_nowhere_is_enomem(lwp: Lwp, mmap: Mmap) -> None:
    before = state(lwp)
    for addr, size in ((0, USER_MAX), (USER_MAX - 0x1000, 0x2000), (1 << 63, 0x1000)):
        assert mmap(addr, size) is Errno.ENOMEM
    assert state(lwp) == before


def test_the_length_is_rounded_up(lwp: Lwp, mmap: Mmap) -> None:
    assert mmap(size=1) == HINT
    assert mmap(size=0x1001, prot=R) == HINT + 0x1000
    assert new_entries(lwp) == [(HINT, HINT + 0x1000), (HINT + 0x1000, HINT + 0x3000)]


def test_sizealign_puts_the_mapping_at_a_multiple_of_its_length(mmap: Mmap) -> None:
    mmap()
    assert mmap(size=16 * MB, flags=ANON | SIZEALIGN) == 0x8_0100_0000


@pytest.mark.parametrize("size", [2 * MB, 34 * MB + 0x1000])
def test_large_mappings_go_to_2_mb_boundaries_since_2014(
    boot: Callable[..., Booted], mmap: Mmap, size: int
) -> None:
    mmap()
    assert mmap(size=size, prot=R) == HINT + 0x1000
    for abi in (ABI_2014, ABI_2020):
        later = mmap_of(boot(b"\x90", abi=abi).lwp)
        later()
        assert later(size=size, prot=R) == HINT + 2 * MB


def test_stacks_heed_no_alignment(boot: Callable[..., Booted]) -> None:
    mmap = mmap_of(boot(b"\x90", abi=ABI_2014).lwp)  # vm_map_stack()
    mmap()
    assert mmap(size=2 * MB, flags=STACK) == HINT + 0x1000
    assert mmap(size=4 * MB, flags=STACK | SIZEALIGN) == HINT + 2 * MB + 0x1000


def test_fixed_replaces_what_was_there(lwp: Lwp, mmap: Mmap) -> None:
    mmap(AT, 0x4000, flags=ANON | FIXED)
    lwp.vmspace.copyout(AT, b"x" * 0x4000)
    used = lwp.proc.kernel.phys.used
    assert mmap(AT + 0x1000, 0x2000, R, ANON | FIXED) == AT + 0x1000
    assert lwp.proc.kernel.phys.used == used - 2 * PAGE_SIZE
    assert lwp.vmspace.copyin(AT, 0x4000) == b"x" * 0x1000 + bytes(0x2000) + b"x" * 0x1000
    assert new_entries(lwp) == [
        (AT, AT + 0x1000),
        (AT + 0x1000, AT + 0x3000),
        (AT + 0x3000, AT + 0x4000),
    ]


@pytest.mark.parametrize("flags", [TRYFIXED, TRYFIXED | FIXED], ids=["alone", "with MAP_FIXED"])
def test_tryfixed_never_replaces(lwp: Lwp, mmap: Mmap, flags: int) -> None:
    assert mmap(AT, 0x1000, flags=ANON | flags) == AT
    lwp.vmspace.copyout(AT, b"x")
    before = state(lwp)
    assert mmap(AT - 0x1000, 0x2000, flags=ANON | flags) is Errno.ENOMEM
    assert state(lwp) == before
    assert mmap(AT - 0x1000, 0x1000, R, ANON | flags) == AT - 0x1000


def test_the_result_has_the_files_offset_in_the_page(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    assert mmap(0, 0x1000, R, SHARED, fd, 0x123) == HINT + 0x123
    assert new_entries(lwp) == [(HINT, HINT + 0x2000)]
    assert lwp.vmspace.copyin(HINT + 0x1000, 1) == b"1"
    assert mmap(AT + 0x123, 0x10, R, SHARED | FIXED, fd, 0x1123) == AT + 0x123
    assert lwp.vmspace.copyin(AT, 1) == b"1"


def test_memory_of_all_sizes_costs_one_entry(lwp: Lwp, mmap: Mmap) -> None:
    used = lwp.proc.kernel.phys.used
    assert mmap(AT * 4, 1 << 46, flags=ANON | FIXED) == AT * 4
    assert lwp.proc.kernel.phys.used == used
    assert call(lwp, "munmap", AT * 4, 1 << 46) == 0
    assert lwp.proc.kernel.phys.used == used


# Refusals: one fault each


@pytest.mark.parametrize(
    "arguments, errno",
    [
        ({"fd": 0}, Errno.EINVAL),
        ({"fd": -2}, Errno.EINVAL),
        ({"pos": 0x1000}, Errno.EINVAL),
        ({"size": 0}, Errno.EINVAL),
        ({"flags": STACK, "fd": 0}, Errno.EINVAL),
        ({"flags": STACK, "prot": R}, Errno.EINVAL),
        ({"flags": STACK, "prot": W | X}, Errno.EINVAL),
        ({"flags": VPAGETABLE | STACK}, Errno.EINVAL),
        ({"flags": VPAGETABLE | ANON, "prot": R}, Errno.EINVAL),
        ({"flags": VPAGETABLE | ANON, "prot": W}, Errno.EINVAL),
        ({"size": (1 << 64) - 1}, Errno.EINVAL),
        ({"size": (1 << 64) - 0x1000, "flags": SHARED, "fd": 0, "pos": 0xFFF}, Errno.EINVAL),
        ({"addr": AT + 1, "flags": ANON | FIXED}, Errno.EINVAL),
        ({"addr": AT + 1, "flags": ANON | TRYFIXED}, Errno.EINVAL),
        ({"addr": AT, "flags": SHARED | FIXED, "fd": 0, "pos": 1}, Errno.EINVAL),
        ({"addr": 0, "flags": SHARED | FIXED, "fd": 0, "pos": 1}, Errno.EINVAL),
        ({"addr": USER_MAX, "flags": ANON | FIXED}, Errno.EINVAL),
        ({"addr": USER_MAX - 0x1000, "size": 0x1001, "flags": ANON | FIXED}, Errno.EINVAL),
        ({"addr": (1 << 64) - 0x1000, "flags": ANON | FIXED}, Errno.EINVAL),
        ({"flags": SHARED, "fd": 77}, Errno.EBADF),
        ({"flags": SHARED, "fd": -1}, Errno.EBADF),
        ({"flags": ANON | SIZEALIGN, "size": 0x3000}, Errno.EINVAL),
        ({"addr": SCRATCH, "flags": ANON | TRYFIXED}, Errno.ENOMEM),
    ],
)
def test_what_mmap_refuses(lwp: Lwp, mmap: Mmap, arguments: dict[str, int], errno: Errno) -> None:
    before = state(lwp)
    assert mmap(**arguments) is errno
    assert state(lwp) == before


def test_without_vkernel_enable_virtual_page_tables_are_not_supported(
    boot: Callable[..., Booted],
) -> None:
    mmap = mmap_of(boot(b"\x90", vkernel_enable=False).lwp)
    assert mmap(flags=VPAGETABLE | ANON) is Errno.EOPNOTSUPP
    assert mmap(flags=VPAGETABLE | STACK) is Errno.EOPNOTSUPP  # abi 6.9: 4 in its own order
    assert mmap(flags=VPAGETABLE | ANON, prot=R) is Errno.EOPNOTSUPP
    assert mmap(flags=VPAGETABLE | STACK, prot=R) is Errno.EINVAL  # 3 before 4


@pytest.mark.parametrize(
    "mode, prot, flags, expected",
    [
        (Open.RDONLY, R, SHARED, None),
        (Open.RDONLY, R | X, SHARED, None),
        (Open.RDONLY, RW, SHARED, Errno.EACCES),
        (Open.RDONLY, RW, PRIVATE, None),
        (Open.RDONLY, RW, 0, None),
        (Open.WRONLY, W, SHARED, None),
        (Open.WRONLY, R, SHARED, Errno.EACCES),
        (Open.WRONLY, R, PRIVATE, Errno.EACCES),
        (Open.WRONLY, 0, SHARED, None),
        (Open.RDWR, PROT_ALL, SHARED, None),
    ],
)
def test_a_mapping_wants_the_rights_of_the_open_file(
    lwp: Lwp, mmap: Mmap, mode: int, prot: int, flags: int, expected: Errno | None
) -> None:
    fd = open_file(lwp, mode)
    before = state(lwp)
    result = mmap(0, 0x1000, prot, flags, fd)
    if expected is None:
        assert result == HINT
    else:
        assert result is expected
        assert state(lwp) == before


@pytest.mark.parametrize(
    "mode, flags, most",
    [
        (Open.RDONLY, SHARED, R | X),
        (Open.RDONLY, PRIVATE, R | W | X),
        (Open.WRONLY, SHARED, W | X),
        (Open.WRONLY, PRIVATE, W | X),
        (Open.RDWR, SHARED, R | W | X),
        (Open.RDONLY, 0, R | W | X),
    ],
)
def test_the_open_file_limits_what_mprotect_may_grant(
    lwp: Lwp, mmap: Mmap, mode: int, flags: int, most: int
) -> None:
    assert mmap(0, 0x1000, 0, flags, open_file(lwp, mode)) == HINT
    for prot in (R, W, X):
        result = call(lwp, "mprotect", HINT, 0x1000, prot)
        assert result == (0 if prot & most else Errno.EACCES)


def test_only_vnodes_are_mapped(lwp: Lwp, mmap: Mmap) -> None:
    directory = lwp.proc.files.add(lwp.proc.kernel.tree.open(b"/", (), Open.RDONLY, 0))
    null = open_file(lwp, Open.RDWR, b"/dev/null")
    before = state(lwp)
    assert mmap(flags=SHARED, prot=R, fd=directory) is Errno.EINVAL
    assert mmap(flags=PRIVATE, fd=null) is Errno.EINVAL
    assert state(lwp) == before


def test_a_full_map_is_enomem(lwp: Lwp, mmap: Mmap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emu.vm.vm_map.MAX_ENTRIES", len(lwp.vmspace.map) + 4)
    assert mmap() == HINT
    before = state(lwp)
    assert mmap(prot=R) is Errno.ENOMEM
    assert mmap(AT, flags=ANON | FIXED) is Errno.ENOMEM
    assert state(lwp) == before


# Two faults at once: the check that comes first decides (abi 6.9)


@pytest.mark.parametrize(
    "arguments, errno",
    [
        pytest.param({"flags": SHARED, "fd": 77, "size": 0}, Errno.EINVAL, id="2 before 7"),
        pytest.param({"flags": STACK, "prot": R, "fd": 77}, Errno.EINVAL, id="3 before 7"),
        pytest.param(
            {"flags": VPAGETABLE | SHARED, "prot": R, "fd": 77}, Errno.EINVAL, id="4 before 7"
        ),
        pytest.param(
            {"flags": SHARED, "fd": 77, "size": (1 << 64) - 1}, Errno.EINVAL, id="5 before 7"
        ),
        pytest.param({"addr": 1, "flags": SHARED | FIXED, "fd": 77}, Errno.EINVAL, id="6 before 7"),
        pytest.param(
            {"flags": SHARED | SIZEALIGN, "fd": 77, "size": 0x3000}, Errno.EBADF, id="7 before 12"
        ),
        pytest.param(
            {"addr": SCRATCH, "flags": SHARED | TRYFIXED, "fd": 77}, Errno.EBADF, id="7 before 13"
        ),
        pytest.param(
            {"addr": SCRATCH, "flags": ANON | TRYFIXED | SIZEALIGN, "size": 0x3000},
            Errno.EINVAL,
            id="12 before 13",
        ),
    ],
)
def test_the_earlier_check_wins(mmap: Mmap, arguments: dict[str, int], errno: Errno) -> None:
    assert mmap(**arguments) is errno


def test_the_files_rights_come_before_alignment_and_room(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp, Open.WRONLY)
    refused = partial(mmap, fd=fd, prot=R)
    assert refused(size=0x3000, flags=SHARED | SIZEALIGN) is Errno.EACCES  # 8 before 12
    assert refused(SCRATCH, flags=SHARED | TRYFIXED) is Errno.EACCES  # 8 before 13
    fd = open_file(lwp, Open.RDONLY)
    assert mmap(0, 0x3000, RW, SHARED | SIZEALIGN, fd) is Errno.EACCES  # 9 before 12


def test_a_full_map_comes_after_the_file_and_before_alignment(
    lwp: Lwp, mmap: Mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.vm.vm_map.MAX_ENTRIES", 1)
    assert mmap(flags=SHARED, fd=77) is Errno.EBADF  # 7 before 10
    assert mmap(size=0x3000, flags=ANON | SIZEALIGN) is Errno.ENOMEM  # 10 before 12


# Stacks


def test_a_stack_is_its_top_128_kib_and_grows(lwp: Lwp, mmap: Mmap) -> None:
    assert mmap(0, MB, RW, STACK) == HINT
    assert new_entries(lwp) == [(HINT + MB - 0x2_0000, HINT + MB)]
    lwp.vmspace.copyout(HINT, b"x")
    assert new_entries(lwp)[0] == (HINT, HINT + MB - 0x2_0000)


def test_a_stack_ignores_the_offset_and_needs_no_anon_flag(lwp: Lwp, mmap: Mmap) -> None:
    assert mmap(0, 0x1000, RW, STACK, -1, 0x1234_5678) == HINT
    assert new_entries(lwp) == [(HINT, HINT + 0x1000)]


def test_unhinted_memory_stays_out_of_a_stacks_reserve(lwp: Lwp, mmap: Mmap) -> None:
    mmap(0, MB, RW, STACK)  # vm_map_findspace()
    assert mmap() == HINT + MB
    assert mmap(HINT, 0x1000, R, ANON) == HINT + MB + 0x1000
    assert mmap(0, 0x1000, RW, STACK) == HINT  # but for another stack


def test_a_stacks_reserve_may_be_taken_by_address(lwp: Lwp, mmap: Mmap) -> None:
    mmap(0, MB, RW, STACK)  # abi 6.9: 3
    assert mmap(HINT, 0x1000, R, ANON | TRYFIXED) == HINT
    lwp.vmspace.copyout(HINT + 0x1000, b"x")
    assert failure(lwp, HINT, W) is KernReturn.PROTECTION_FAILURE


def test_a_fixed_stack_replaces_all_of_its_range(lwp: Lwp, mmap: Mmap) -> None:
    mmap(AT, MB, flags=ANON | FIXED)
    assert mmap(AT, MB, RW, STACK | FIXED) == AT
    assert new_entries(lwp) == [(AT + MB - 0x2_0000, AT + MB)]
    assert mmap(AT, MB, RW, STACK | TRYFIXED) is Errno.ENOMEM


# Anonymous memory


def test_anonymous_memory_is_copied_or_shared_by_fork_as_asked(lwp: Lwp, mmap: Mmap) -> None:
    for flags, inherit in (
        (ANON | PRIVATE, Inherit.COPY),
        (ANON, Inherit.COPY),
        (ANON | SHARED, Inherit.SHARE),
        (ANON | int(Map.INHERIT), Inherit.SHARE),
    ):
        entry = lwp.vmspace.map.lookup(int(mmap(AT, flags=flags | FIXED)))
        assert entry is not None
        assert entry.inherit is inherit


def test_only_the_low_three_bits_of_prot_count(lwp: Lwp, mmap: Mmap) -> None:
    mmap(AT, prot=0x78 | R, flags=ANON | FIXED)
    entry = lwp.vmspace.map.lookup(AT)
    assert entry is not None and entry.prot == R


@pytest.mark.parametrize("flags", [SHARED, PRIVATE, 0])
@pytest.mark.parametrize("mode", [Open.RDONLY, Open.WRONLY, Open.RDWR])
def test_dev_zero_is_memory_whatever_it_was_opened_for(
    lwp: Lwp, mmap: Mmap, flags: int, mode: int
) -> None:
    fd = open_file(lwp, mode, b"/dev/zero")
    assert mmap(0, 0x2000, RW, flags, fd, 0x5008) == HINT + 8
    lwp.vmspace.copyout(HINT + 0x2000, b"x")
    assert lwp.vmspace.copyin(HINT + 0x1FFF, 3) == b"\0x\0"


def test_anonymous_vpagetable_memory_is_usable(lwp: Lwp, mmap: Mmap) -> None:
    """SETMAP with PS gives a linear view to build tables in, then comes the real root."""
    assert mmap(0, MB, RW, ANON | VPAGETABLE) == HINT  # abi 6.14
    assert failure(lwp, HINT) is KernReturn.FAILURE
    assert call(lwp, "mcontrol", HINT, MB, Madv.SETMAP, 0x00F) == 0
    lwp.vmspace.copyout(HINT + 0x5000, b"page 5")
    lwp.vmspace.copyout(HINT, (0x500F).to_bytes(8, "little"))
    assert call(lwp, "mcontrol", HINT, MB, Madv.SETMAP, 0x00D) == 0
    lwp.vmspace.copyout(HINT + 8, b"x")
    assert call(lwp, "mcontrol", HINT, MB, Madv.SETMAP, 0x500F) == 0
    assert lwp.vmspace.copyin(HINT, 6) == b"page 5"


# Files


def test_a_shared_mapping_is_the_file(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    assert mmap(0, 0x3000, RW, SHARED, fd) == HINT
    assert lwp.vmspace.copyin(HINT + 0xFFF, 2) == b"01"
    lwp.vmspace.copyout(HINT + 0x1000, b"stored")
    assert the_file(lwp, fd).read(8, 0x1000) == b"stored11"
    the_file(lwp, fd).write(b"written", 0)
    assert lwp.vmspace.copyin(HINT, 8) == b"written0"


def test_two_shared_mappings_are_one_memory(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    again = open_file(lwp)
    first, second = mmap(0, 0x3000, RW, SHARED, fd), mmap(0, 0x1000, R, SHARED, again, 0x1000)
    assert isinstance(first, int) and isinstance(second, int)
    lwp.vmspace.copyout(first + 0x1000, b"stored")
    assert lwp.vmspace.copyin(second, 6) == b"stored"
    assert len(lwp.proc.kernel.phys._regions) == 1


@pytest.mark.parametrize("flags", [PRIVATE, 0], ids=["MAP_PRIVATE", "neither"])
def test_a_private_mapping_follows_the_file_until_it_is_written(
    lwp: Lwp, mmap: Mmap, flags: int
) -> None:
    fd = open_file(lwp)
    assert mmap(0, 0x3000, RW, flags, fd) == HINT
    the_file(lwp, fd).write(b"early", 0)
    assert lwp.vmspace.copyin(HINT, 5) == b"early"
    lwp.vmspace.copyout(HINT + 5, b" mine")
    the_file(lwp, fd).write(b"later", 0)
    assert lwp.vmspace.copyin(HINT, 10) == b"early mine"
    assert the_file(lwp, fd).read(10, 0) == b"later00000"
    the_file(lwp, fd).write(b"later", 0x1000)
    assert lwp.vmspace.copyin(HINT + 0x1000, 5) == b"later"


def test_private_memory_is_given_back(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    used = lwp.proc.kernel.phys.used
    mmap(AT, 0x3000, RW, PRIVATE | FIXED, fd)
    lwp.vmspace.copyout(AT, b"x" * 0x3000)
    tables = lwp.proc.kernel.phys.used - used - 3 * PAGE_SIZE
    assert call(lwp, "munmap", AT, 0x2000) == 0
    assert lwp.proc.kernel.phys.used == used + tables + PAGE_SIZE
    assert call(lwp, "munmap", AT + 0x2000, 0x1000) == 0
    assert lwp.proc.kernel.phys.used == used + tables
    assert lwp.proc.kernel.phys._regions == []


@pytest.mark.parametrize("flags", [SHARED, PRIVATE])
def test_past_the_end_of_the_file_is_a_protection_failure(lwp: Lwp, mmap: Mmap, flags: int) -> None:
    fd = open_file(lwp)  # abi 6.9: no check against the file's size
    assert mmap(0, MB, RW, flags, fd) == HINT
    assert lwp.vmspace.copyin(HINT + 0x27FF, 2) == b"2\0"
    assert failure(lwp, HINT + 0x3000) is KernReturn.PROTECTION_FAILURE
    assert failure(lwp, HINT + 0x3000, W) is KernReturn.PROTECTION_FAILURE
    the_file(lwp, fd).write(b"x", 0x3000)
    assert lwp.vmspace.copyin(HINT + 0x3000, 2) == b"x\0"


def test_a_mapping_may_begin_past_the_end_of_the_file(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    assert mmap(0, 0x1000, RW, SHARED, fd, 1 << 40) == HINT
    assert failure(lwp, HINT) is KernReturn.PROTECTION_FAILURE


def test_a_negative_offset_wraps_into_the_file(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    assert mmap(0, 0x2000, R, SHARED, fd, -0x1000) == HINT
    assert failure(lwp, HINT) is KernReturn.PROTECTION_FAILURE
    assert lwp.vmspace.copyin(HINT + 0x1000, 1) == b"0"
    assert mmap(0, 0x1000, R, PRIVATE, fd, -1) == HINT + 0x2FFF
    assert lwp.vmspace.copyin(HINT + 0x3000, 1) == b"0"


def test_a_cut_file_takes_its_pages_out_of_every_mapping(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    mmap(0, 0x3000, RW, SHARED, fd)
    lwp.vmspace.copyout(HINT, b"x" * 0x3000)
    assert call(lwp, "ftruncate", fd, 0, 0x1000) == 0
    assert lwp.vmspace.copyin(HINT, 0x1000) == b"x" * 0x1000
    assert failure(lwp, HINT + 0x1000) is KernReturn.PROTECTION_FAILURE


def test_a_mapping_outlives_its_descriptor(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    mmap(0, 0x1000, RW, SHARED, fd)
    assert call(lwp, "close", fd) == 0
    assert lwp.vmspace.copyin(HINT, 1) == b"0"
    lwp.vmspace.copyout(HINT, b"x")
    assert call(lwp, "munmap", HINT, 0x1000) == 0
    assert lwp.proc.kernel.phys._regions == []
    with_new = lwp.proc.kernel.tree.open(b"/file", (), Open.RDONLY, 0)
    assert with_new.read(2) == b"x0"
    with_new.drop()


@pytest.mark.parametrize("flags", [SHARED, PRIVATE])
def test_a_file_mapped_over_its_only_mapping_stays_mapped(lwp: Lwp, mmap: Mmap, flags: int) -> None:
    fd = open_file(lwp)
    mmap(AT, 0x1000, R, SHARED | FIXED, fd)
    lwp.vmspace.copyin(AT, 1)
    assert mmap(AT, 0x2000, RW, flags | FIXED, fd) == AT
    regions = lwp.proc.kernel.phys._regions
    assert [region.base for region in regions] == [REGION_FLOOR]
    entry = lwp.vmspace.map.lookup(AT)
    assert entry is not None and entry.object.refs == 1
    assert lwp.vmspace.copyin(AT + 0xFFF, 2) == b"01"
    assert call(lwp, "munmap", AT, 0x2000) == 0
    assert regions == []


def test_a_shared_vpagetable_mapping_and_a_plain_one_are_one_memory(lwp: Lwp, mmap: Mmap) -> None:
    fd = open_file(lwp)
    plain = mmap(0, 0x3000, RW, SHARED, fd)
    paged = mmap(0, 0x1000, RW, SHARED | VPAGETABLE, fd)
    assert isinstance(plain, int) and isinstance(paged, int)
    lwp.vmspace.copyout(plain, (0x200F).to_bytes(8, "little"))
    assert call(lwp, "mcontrol", paged, 0x1000, Madv.SETMAP, 0x005) == 0
    assert failure(lwp, paged, W) is KernReturn.FAILURE
    assert call(lwp, "mcontrol", paged, 0x1000, Madv.SETMAP, 0x00D) == 0
    lwp.vmspace.copyout(paged, b"through the table")
    assert lwp.vmspace.copyin(plain, 8) == (0x206F).to_bytes(8, "little")
    assert lwp.vmspace.copyin(plain + 0x2000, 17) == b"through the table"
    assert the_file(lwp, fd).read(7, 0x2000) == b"through"


# The rest of the family, through the system call table


def test_munmap_through_the_table(lwp: Lwp, mmap: Mmap) -> None:
    mmap(size=0x2000)
    assert call(lwp, "munmap", HINT, 0x3000) is Errno.EINVAL
    assert call(lwp, "munmap", HINT + 0x1000, 0) == 0
    assert call(lwp, "munmap", HINT, 0x2000) == 0
    assert call(lwp, "munmap", HINT, 0x2000) is Errno.EINVAL


def test_mprotect_through_the_table(lwp: Lwp, mmap: Mmap) -> None:
    mmap()
    assert call(lwp, "mprotect", HINT, 0x1000, 0) == 0
    assert failure(lwp, HINT) is KernReturn.PROTECTION_FAILURE
    assert call(lwp, "mprotect", HINT, (1 << 64) - 1, R) is Errno.EINVAL
    assert call(lwp, "mprotect", AT, 0x1000, R) == 0


@pytest.mark.parametrize("name, last", [("madvise", 10), ("mcontrol", 11)])
def test_which_advice_is_taken(lwp: Lwp, mmap: Mmap, name: str, last: int) -> None:
    mmap(size=0x1000, flags=ANON | VPAGETABLE)  # abi 6.11
    for behav in range(last + 1):
        assert call(lwp, name, HINT, 0x1000, behav, 0) == 0
    for behav in (-1, last + 1, 100):
        assert call(lwp, name, HINT, 0x1000, behav, 0) is Errno.EINVAL
        assert call(lwp, name, AT, 0x1000, behav, 0) is Errno.EINVAL


def test_mcontrol_wants_a_virtual_page_table_to_set_its_root(lwp: Lwp, mmap: Mmap) -> None:
    mmap()
    assert call(lwp, "mcontrol", HINT, 0x1000, Madv.SETMAP, 0) is Errno.EINVAL
    assert call(lwp, "mcontrol", AT, 0x1000, Madv.SETMAP, 0) == 0
    assert call(lwp, "mcontrol", USER_MAX, 1, Madv.INVAL, 0) is Errno.EINVAL


@pytest.mark.parametrize(
    "addr, size, flags, expected",
    [
        (HINT, 0x2000, 0, 0),
        (HINT + 5, 0, 1, 0),
        (HINT, 0, 2, 0),
        (HINT, 0x2000, 3, Errno.EINVAL),
        (HINT, 0x2001, 0, Errno.EINVAL),
        (AT, 0, 0, Errno.EINVAL),
        (HINT, (1 << 64) - 1, 0, Errno.EINVAL),
    ],
)
def test_msync(
    lwp: Lwp, mmap: Mmap, addr: int, size: int, flags: int, expected: int | Errno
) -> None:
    mmap(size=0x2000)
    assert call(lwp, "msync", addr, size, flags) == expected


def test_minherit_through_the_table(lwp: Lwp, mmap: Mmap) -> None:
    mmap(size=0x2000)
    assert call(lwp, "minherit", HINT, 0x1000, Inherit.NONE) == 0
    assert new_entries(lwp) == [(HINT, HINT + 0x1000), (HINT + 0x1000, HINT + 0x2000)]
    assert call(lwp, "minherit", HINT, 0x1000, 3) is Errno.EINVAL
    assert call(lwp, "minherit", AT, 0x1000, Inherit.COPY) == 0


def test_mincore_stores_a_byte_for_each_page(lwp: Lwp, mmap: Mmap) -> None:
    mmap(size=0x3000)
    lwp.vmspace.copyin(HINT, 1)
    lwp.vmspace.copyout(HINT + 0x2000, b"x")
    lwp.vmspace.copyout(SCRATCH, b"\xee" * 8)
    assert call(lwp, "mincore", HINT + 5, 0x3001, SCRATCH) == 0
    assert lwp.vmspace.copyin(SCRATCH, 5) == bytes([0x0B, 0, 0x1F, 0, 0xEE])


def test_mincore_of_more_than_the_vector_holds_is_efault(lwp: Lwp) -> None:
    assert call(lwp, "mincore", 0, 1 << 46, SCRATCH + 0xFF0) is Errno.EFAULT
    assert call(lwp, "mincore", 0, 0x1000, 0) is Errno.EFAULT
    assert call(lwp, "mincore", 0, 0, 0) == 0
    assert call(lwp, "mincore", USER_MAX, 1, SCRATCH) is Errno.EINVAL


BREAK = 0x41_1000  # data start and size


def test_the_break_moves_up_and_down(lwp: Lwp) -> None:
    used = lwp.proc.kernel.phys.used
    assert failure(lwp, BREAK) is KernReturn.FAILURE
    assert call(lwp, "break", BREAK + 0x1FFF) == 0  # not an address
    lwp.vmspace.copyout(BREAK, b"x" * 0x2000)
    assert failure(lwp, BREAK + 0x2000) is KernReturn.FAILURE
    assert lwp.proc.vmspace.data_size == 0x1_3000
    assert call(lwp, "break", BREAK + 1) == 0
    assert failure(lwp, BREAK + 0x1000) is KernReturn.FAILURE
    assert call(lwp, "break", BREAK + 0x2000) == 0
    assert lwp.vmspace.copyin(BREAK + 0xFFF, 2) == b"x\0"
    assert call(lwp, "break", BREAK) == 0
    assert lwp.proc.kernel.phys.used == used


@pytest.mark.parametrize(
    "to, errno",
    [
        (0x3F_F000, Errno.EINVAL),
        (0, Errno.EINVAL),
        ((1 << 64) - 1, Errno.EINVAL),
        (USER_MAX, Errno.ENOMEM),
        (SCRATCH + 1, Errno.ENOMEM),
    ],
    ids=["below the data", "zero", "wraps to zero", "end of the space", "occupied"],
)
def test_where_the_break_cannot_go(lwp: Lwp, to: int, errno: Errno) -> None:
    before = state(lwp), lwp.proc.vmspace.data_size
    assert call(lwp, "break", to) is errno  # abi 6.10
    assert (state(lwp), lwp.proc.vmspace.data_size) == before


def test_the_data_segment_is_limited_to_32_gib(lwp: Lwp) -> None:
    assert call(lwp, "munmap", SCRATCH, PAGE_SIZE) == 0
    assert call(lwp, "break", HINT + 1) is Errno.ENOMEM
    assert call(lwp, "break", HINT) == 0


def test_the_break_may_go_down_to_the_start_of_the_data(lwp: Lwp) -> None:
    assert call(lwp, "break", 0x40_0000) == 0
    assert failure(lwp, 0x40_0000) is KernReturn.FAILURE
    assert lwp.proc.vmspace.data_size == 0
