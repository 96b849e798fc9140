"""Kernel variables, through the system call and in guest memory."""

from collections.abc import Iterator
from contextlib import closing
from struct import pack, unpack

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.versions import ABI_2011, ABI_2020
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern import sysctl
from emu.kern.clock import VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Limits, Lwp, Proc, Ucred
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls.sysctl import __sysctl

NAME, OLD, OLDLEN, NEW = 0x10000, 0x11000, 0x12000, 0x13000
UNMAPPED = 0x7000_0000

NAME2OID = (0, 3)


@pytest.fixture
def lwp() -> Iterator[Lwp]:
    phys = PhysicalMemory(1 << 20)
    with closing(Tree.scratch()) as tree:
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(NAME, NEW + PAGE_SIZE)
        yield Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))


def get(lwp: Lwp, oid: tuple[int, ...], new: bytes | None = None, room: int = 256) -> bytes:
    """Call __sysctl and return what it has put into a buffer of `room` bytes."""
    space = lwp.vmspace
    space.copyout(NAME, pack(f"<{len(oid)}i", *oid))
    space.copyout(OLDLEN, pack("<Q", room))
    if new is not None:
        space.copyout(NEW, new)
    __sysctl(lwp, NAME, len(oid), OLD, OLDLEN, NEW if new is not None else 0, len(new or b""))
    return space.copyin(OLD, old_length(lwp))


def old_length(lwp: Lwp) -> int:
    return int.from_bytes(lwp.vmspace.copyin(OLDLEN, 8), "little")


def oid_of(lwp: Lwp, name: str) -> tuple[int, ...]:
    data = get(lwp, NAME2OID, name.encode())
    return unpack(f"<{len(data) // 4}i", data)


def errno_of(lwp: Lwp, oid: tuple[int, ...], new: bytes | None = None, room: int = 256) -> Errno:
    with pytest.raises(KernelError) as caught:
        get(lwp, oid, new, room)
    return caught.value.errno


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vm.vkernel_enable", b"\1\0\0\0"),
        ("hw.ncpu", b"\1\0\0\0"),
        ("hw.pagesize", b"\0\x10\0\0"),
        ("hw.byteorder", b"\xd2\x04\0\0"),
        ("hw.physmem", b"\0\0\x10\0\0\0\0\0"),
        ("hw.tsc_present", bytes(4)),
        ("hw.tsc_frequency", bytes(8)),
        ("hw.instruction_sse", b"\1\0\0\0"),
        ("hw.machine", b"x86_64\0"),
        ("kern.ostype", b"DragonFly\0"),
        ("kern.osrelease", b"2.13-DEVELOPMENT\0"),
        ("kern.osreldate", pack("<i", 201302)),
        ("kern.securelevel", b"\xff\xff\xff\xff"),
        ("kern.usrstack", b"\0\0\0\0\0\x80\0\0"),
        ("kern.ps_strings", b"\xe0\xff\xff\xff\xff\x7f\0\0"),
        ("kern.hostname", b"vkemu\0"),
        ("kern.domainname", b"\0"),
        ("kern.boottime", pack("<qq", 1_320_278_400, 0)),
        ("vm.loadavg", pack("<3I4xq", 2048, 2048, 2048, 2048)),
        ("vfs.varsym_enable", bytes(4)),
        ("hw.availpages", pack("<i", 256)),
        ("p1003_1b.asynchronous_io", pack("<i", -1)),
        ("p1003_1b.message_passing", bytes(4)),
        ("p1003_1b.pagesize", pack("<i", 4096)),
        ("p1003_1b.priority_scheduling", pack("<i", 1)),
        ("p1003_1b.timer_max", bytes(4)),
        ("kern.cputimer.freq", b"\x40\x42\x0f\0"),
    ],
)
def test_a_variable_is_found_by_name(lwp: Lwp, name: str, value: bytes) -> None:
    assert get(lwp, oid_of(lwp, name)) == value


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ((1, 1), "kern.ostype"),
        ((1, 32), "kern.ps_strings"),
        ((1, 33), "kern.usrstack"),
        ((6, 3), "hw.ncpu"),
        ((6, 7), "hw.pagesize"),
        ((1, 256), "kern.ident"),
        ((1, 257, 256), "kern.cputimer.name"),
        ((2, 256), "vm.vkernel_enable"),
        ((2, 2), "vm.loadavg"),
        ((3, 256), "vfs.varsym_enable"),
        ((9, 1), "p1003_1b.asynchronous_io"),
        ((9, 20), "p1003_1b.pagesize"),
        ((9, 25), "p1003_1b.timer_max"),
    ],
)
def test_names_and_numbers_correspond(lwp: Lwp, oid: tuple[int, ...], name: str) -> None:
    assert oid_of(lwp, name) == oid
    assert get(lwp, (0, 1, *oid)) == name.encode() + b"\0"


def test_every_variable_can_be_read_and_described(lwp: Lwp) -> None:
    for variable in sysctl.VARIABLES:
        oid = oid_of(lwp, variable.name)
        assert get(lwp, oid), variable.name
        assert get(lwp, (0, 4, *oid))[4:].strip(b"\0"), variable.name


def test_the_cputimer_counts_microseconds_from_its_first_reading_and_wraps(lwp: Lwp) -> None:
    clock = lwp.proc.kernel.clock
    oid = oid_of(lwp, "kern.cputimer.clock")
    clock.charge_blocks(12_345)
    assert get(lwp, oid) == b"\0\0\0\0"
    clock.charge_blocks(100)
    assert get(lwp, oid) == b"\1\0\0\0"
    clock.charge_blocks(100 << 32)
    clock.charge_call()
    assert get(lwp, oid) == b"\2\0\0\0"


def test_another_abi_has_another_stack_and_release(lwp: Lwp) -> None:
    lwp.proc.kernel.abi = ABI_2020
    assert get(lwp, (1, 33)) == pack("<Q", 0x7FFF_FFE0_0000)
    assert get(lwp, (1, 2)) == b"5.9-DEVELOPMENT\0"


@pytest.mark.parametrize("namelen", [0, 1, 13, 0xFFFF_FFFF])
def test_a_name_has_two_to_twelve_numbers(lwp: Lwp, namelen: int) -> None:
    with pytest.raises(KernelError) as caught:
        __sysctl(lwp, NAME, namelen, OLD, OLDLEN, 0, 0)
    assert caught.value.errno == Errno.EINVAL


@pytest.mark.parametrize(
    ("oid", "errno"),
    [
        ((1, 9999), Errno.ENOENT),
        ((99, 1), Errno.ENOENT),
        ((0, 9), Errno.ENOENT),
        ((1, -1), Errno.ENOENT),
        ((1, 257), Errno.EISDIR),
        ((1, 1, 1), Errno.ENOTDIR),
        ((0, 3, 1), Errno.ENOTDIR),
        ((0, 4, 1, 9999), Errno.ENOENT),
        ((0, 4), Errno.ENOENT),
        ((0, 3), Errno.ENOENT),
    ],
)
def test_what_is_not_a_variable_is_refused(lwp: Lwp, oid: tuple[int, ...], errno: Errno) -> None:
    assert errno_of(lwp, oid) == errno


@pytest.mark.parametrize(
    ("name", "errno"),
    [
        (b"", Errno.ENOENT),
        (b"kern.nothing", Errno.ENOENT),
        (b"kern..ostype", Errno.ENOENT),
        (b"kern.ostype.more", Errno.ENOENT),
        (b"\xff\xfe", Errno.ENOENT),
        (b"x" * 1023, Errno.ENOENT),
        (b"x" * 1024, Errno.ENAMETOOLONG),
    ],
)
def test_unknown_names_are_refused(lwp: Lwp, name: bytes, errno: Errno) -> None:
    assert errno_of(lwp, NAME2OID, name) == errno


def test_a_name_may_end_with_a_nul_or_one_dot(lwp: Lwp) -> None:
    assert oid_of(lwp, "kern.ostype\0junk") == (1, 1)
    assert oid_of(lwp, "kern.") == (1,)


def test_a_short_buffer_gets_what_fits(lwp: Lwp) -> None:
    assert errno_of(lwp, (1, 1), room=4) == Errno.ENOMEM
    assert lwp.vmspace.copyin(OLD, 5) == b"Drag\0"
    assert old_length(lwp) == 4


def test_without_a_buffer_the_needed_length_is_told(lwp: Lwp) -> None:
    lwp.vmspace.copyout(NAME, pack("<2i", 1, 1))
    __sysctl(lwp, NAME, 2, 0, OLDLEN, 0, 0)
    assert old_length(lwp) == len(b"DragonFly\0")


def test_a_buffer_without_a_length_holds_nothing(lwp: Lwp) -> None:
    lwp.vmspace.copyout(NAME, pack("<2i", 1, 1))
    with pytest.raises(KernelError) as caught:
        __sysctl(lwp, NAME, 2, OLD, 0, 0, 0)
    assert caught.value.errno == Errno.ENOMEM


@pytest.mark.parametrize("bad", ["name", "old", "oldlenp", "new"])
def test_bad_pointers_are_refused(lwp: Lwp, bad: str) -> None:
    space = lwp.vmspace
    space.copyout(NAME, pack("<2i", 2, 256))
    space.copyout(OLDLEN, pack("<Q", 4))
    space.copyout(NEW, bytes(4))
    pointers = {"name": NAME, "old": OLD, "oldlenp": OLDLEN, "new": NEW} | {bad: UNMAPPED}
    with pytest.raises(KernelError) as caught:
        __sysctl(lwp, pointers["name"], 2, pointers["old"], pointers["oldlenp"], pointers["new"], 4)
    assert caught.value.errno == Errno.EFAULT
    assert lwp.proc.kernel.vkernel_enable


def test_vkernel_enable_can_be_set_and_the_old_value_is_returned(lwp: Lwp) -> None:
    oid = oid_of(lwp, "vm.vkernel_enable")
    assert get(lwp, oid, new=bytes(4)) == b"\1\0\0\0"
    assert not lwp.proc.kernel.vkernel_enable
    assert get(lwp, oid, new=b"\1\0\0\0ignored") == bytes(4)
    assert lwp.proc.kernel.vkernel_enable


def test_varsym_enable_can_be_set(lwp: Lwp) -> None:
    oid = oid_of(lwp, "vfs.varsym_enable")
    assert get(lwp, oid, new=b"\1\0\0\0") == bytes(4)
    assert lwp.proc.kernel.varsym_enable
    assert get(lwp, oid, new=bytes(4)) == b"\1\0\0\0"
    assert not lwp.proc.kernel.varsym_enable


@pytest.mark.parametrize(
    ("new", "room", "errno"),
    [(b"\0\0\0", 4, Errno.EINVAL), (b"", 4, Errno.EINVAL), (bytes(4), 3, Errno.ENOMEM)],
)
def test_a_refused_store_changes_nothing(lwp: Lwp, new: bytes, room: int, errno: Errno) -> None:
    assert errno_of(lwp, oid_of(lwp, "vm.vkernel_enable"), new, room) == errno
    assert lwp.proc.kernel.vkernel_enable


@pytest.mark.parametrize("oid", [(1, 10), (1, 22)], ids=["kern.hostname", "kern.domainname"])
@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (b"crater", b"crater\0"),
        (b"crater\0lake", b"crater\0"),
        (b"\xff\xfe", b"\xff\xfe\0"),
        (b"x" * 255, b"x" * 255 + b"\0"),
        (b"", b"\0"),
    ],
)
def test_the_machine_can_be_named(lwp: Lwp, oid: tuple[int, ...], new: bytes, kept: bytes) -> None:
    before = get(lwp, oid)
    assert get(lwp, oid, new) == before
    assert get(lwp, oid) == kept


@pytest.mark.parametrize(
    ("new", "room", "errno"),
    [
        (b"x" * 256, 256, Errno.EINVAL),
        (b"x" * 2000, 256, Errno.EINVAL),
        (b"crater", 5, Errno.ENOMEM),
    ],
)
def test_a_refused_name_changes_nothing(lwp: Lwp, new: bytes, room: int, errno: Errno) -> None:
    assert errno_of(lwp, (1, 10), new, room) == errno
    assert get(lwp, (1, 10)) == b"vkemu\0"


@pytest.mark.parametrize("oid", [(1, 10), (1, 22), (2, 256), (3, 256)])
def test_only_root_sets_a_variable(lwp: Lwp, oid: tuple[int, ...]) -> None:
    before = get(lwp, oid)
    lwp.proc.ucred = Ucred(uid=5)
    assert errno_of(lwp, oid, bytes(4)) == Errno.EPERM
    assert get(lwp, oid) == before


@pytest.mark.parametrize("oid", [(1, 1), (6, 3), (0, 1, 1), (0, 2, 1), (0, 4, 1)])
def test_nothing_else_can_be_set(lwp: Lwp, oid: tuple[int, ...]) -> None:
    assert errno_of(lwp, oid, bytes(4)) == Errno.EPERM


def test_the_tree_can_be_walked_from_end_to_end(lwp: Lwp) -> None:
    oid: tuple[int, ...] = (0, 1)
    names = []
    while True:
        try:
            data = get(lwp, (0, 2, *oid))
        except KernelError as end:
            assert end.errno == Errno.ENOENT
            break
        after = unpack(f"<{len(data) // 4}i", data)
        assert after > oid
        oid = after
        names.append(get(lwp, (0, 1, *oid)).rstrip(b"\0").decode())
    assert names[:3] == ["sysctl.next", "sysctl.name2oid", "sysctl.oidfmt"]
    assert sorted(names[3:]) == sorted(variable.name for variable in sysctl.VARIABLES)


def test_next_of_a_node_is_its_first_variable(lwp: Lwp) -> None:
    assert get(lwp, (0, 2, 6)) == pack("<2i", 6, 1)
    assert get(lwp, (0, 2, 1, 1, 5)) == pack("<2i", 1, 2)


def test_unknown_parts_of_a_name_are_spelled_as_numbers(lwp: Lwp) -> None:
    assert get(lwp, (0, 1, 1, 9999, 1)) == b"kern.9999.1\0"


@pytest.mark.parametrize(
    ("oid", "answer"),
    [
        ((1, 1), b"\3\0\0\x80A\0"),
        ((6, 3), b"\2\0\0\x80I\0"),
        ((2, 256), b"\2\0\0\xc0I\0"),
        ((1, 10), b"\3\0\0\xc0A\0"),
        ((1, 33), b"\x08\0\0\x80LU\0"),
        ((1, 21), b"\5\0\0\x80S,timespec\0"),
        ((1,), b"\1\0\0\xc0N\0"),
        ((0, 1), b"\1\0\0\x80N\0"),
        ((0, 3), b"\0\0\0\xd0I\0"),
    ],
)
def test_type_and_format_are_told(lwp: Lwp, oid: tuple[int, ...], answer: bytes) -> None:
    assert get(lwp, (0, 4, *oid)) == answer


def test_limits_are_those_of_the_machine(lwp: Lwp) -> None:
    lwp.proc.kernel.limits = Limits(procs=40, lwps=50, files=60)
    for name, value in [
        ("kern.maxproc", 40),
        ("kern.maxprocperuid", 40),
        ("kern.maxfiles", 2400),
        ("kern.maxfilesperproc", 60),
        ("kern.argmax", 262144),
        ("kern.ngroups", 16),
    ]:
        assert get(lwp, oid_of(lwp, name)) == pack("<i", value)
