"""exit, the identity calls and the TLS calls."""

from collections.abc import Callable, Iterator
from contextlib import closing
from struct import pack

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.tree import Tree
from emu.loader import exec_setregs, load
from emu.machine import Machine
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls import proc as calls
from syscalls.args import JUST_RETURN
from syscalls.lwp import lwp_gettid

BUFFER = 0x10000
UNMAPPED = 0x7000_0000
FS, GS = 0, 1


@pytest.fixture
def lwp() -> Iterator[Lwp]:
    phys = PhysicalMemory(1 << 20)
    with closing(Tree.scratch()) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        yield Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))


@pytest.mark.parametrize(("rval", "status"), [(0, 0), (3, 3), (256, 0), (-1, 255), (0x1FF, 255)])
def test_exit_keeps_eight_bits(lwp: Lwp, rval: int, status: int) -> None:
    assert calls.exit(lwp, rval) == JUST_RETURN
    assert lwp.proc.exit_status == status
    assert not lwp.proc.alive


@pytest.mark.parametrize("how", [0, 0x10000])
def test_extexit_ends_the_process_with_its_last_lwp(lwp: Lwp, how: int) -> None:
    assert calls.extexit(lwp, how, 5, UNMAPPED) == JUST_RETURN
    assert lwp.proc.exit_status == 5


@pytest.mark.parametrize("how", [1, 0x10001])
def test_extexit_can_store_the_status_first(lwp: Lwp, how: int) -> None:
    lwp.vmspace.copyout(BUFFER, bytes(8))
    assert calls.extexit(lwp, how, -2, BUFFER) == JUST_RETURN
    assert lwp.vmspace.copyin(BUFFER, 8) == b"\xfe\xff\xff\xff\0\0\0\0"
    assert lwp.proc.exit_status == 0xFE


@pytest.mark.parametrize(
    ("how", "addr", "errno"),
    [
        (1, UNMAPPED, Errno.EFAULT),
        (2, BUFFER, Errno.EINVAL),
        (0x20000, BUFFER, Errno.EINVAL),
        (-1, BUFFER, Errno.EINVAL),
    ],
)
def test_a_refused_extexit_ends_nothing(lwp: Lwp, how: int, addr: int, errno: Errno) -> None:
    with pytest.raises(KernelError) as caught:
        calls.extexit(lwp, how, 5, addr)
    assert caught.value.errno == errno
    assert lwp.proc.alive


def test_identity(lwp: Lwp) -> None:
    assert calls.getpid(lwp) == 100
    assert calls.getppid(lwp) == 1
    assert lwp_gettid(lwp) == 0
    assert calls.getdtablesize(lwp) == 1024


@pytest.mark.parametrize(
    "call",
    [
        lambda lwp: calls.sysarch(lwp, 0, 0),
        lambda lwp: calls.sbrk(lwp, 0),
        lambda lwp: calls.sstk(lwp, 0),
    ],
)
def test_calls_this_architecture_does_not_have(lwp: Lwp, call: Callable[[Lwp], None]) -> None:
    with pytest.raises(KernelError) as caught:
        call(lwp)
    assert caught.value.errno == Errno.EOPNOTSUPP


def set_tls(lwp: Lwp, which: int, base: int, size: int, infosize: int = 16) -> None:
    lwp.vmspace.copyout(BUFFER, pack("<Qq", base, size))
    assert calls.set_tls_area(lwp, which, BUFFER, infosize) == JUST_RETURN


def test_the_tls_areas_are_fs_and_gs(lwp: Lwp) -> None:
    set_tls(lwp, FS, 0x1234, -1)
    set_tls(lwp, GS, 0x7FFF_FFFF_FFFF_FFFF, 0x40)
    assert (lwp.bases.fs_base, lwp.bases.fs_size) == (0x1234, -1)
    assert (lwp.bases.gs_base, lwp.bases.gs_size) == (0x7FFF_FFFF_FFFF_FFFF, 0x40)
    calls.get_tls_area(lwp, GS, BUFFER, 16)
    assert lwp.vmspace.copyin(BUFFER, 16) == pack("<Qq", 0x7FFF_FFFF_FFFF_FFFF, 0x40)


def test_what_a_short_tls_info_leaves_out_is_zero(lwp: Lwp) -> None:
    set_tls(lwp, FS, 0xAAAA_BBBB_CCCC_DDDD, 8)
    set_tls(lwp, FS, 0x1111_2222_3333_4444, 8, infosize=4)
    assert (lwp.bases.fs_base, lwp.bases.fs_size) == (0x3333_4444, 0)


def test_a_long_tls_info_counts_for_sixteen_bytes(lwp: Lwp) -> None:
    set_tls(lwp, FS, 0x5000, 8, infosize=1 << 40)
    assert (lwp.bases.fs_base, lwp.bases.fs_size) == (0x5000, 8)


def test_get_tls_area_stores_no_more_than_asked(lwp: Lwp) -> None:
    set_tls(lwp, FS, 0x1111_2222_3333_4444, -1)
    lwp.vmspace.copyout(BUFFER, b"\xee" * 32)
    calls.get_tls_area(lwp, FS, BUFFER, 4)
    assert lwp.vmspace.copyin(BUFFER, 8) == b"\x44\x44\x33\x33\xee\xee\xee\xee"
    calls.get_tls_area(lwp, FS, BUFFER, 100)
    assert lwp.vmspace.copyin(BUFFER + 15, 2) == b"\xff\xee"


@pytest.mark.parametrize(
    ("which", "info", "size", "errno"),
    [
        (2, BUFFER, 0, Errno.ERANGE),
        (-1, BUFFER, 0, Errno.ERANGE),
        (FS, UNMAPPED, 0, Errno.EFAULT),
        (GS, BUFFER, -2, Errno.EINVAL),
    ],
)
def test_a_refused_set_tls_area_changes_nothing(
    lwp: Lwp, which: int, info: int, size: int, errno: Errno
) -> None:
    set_tls(lwp, FS, 0x1234, 1)
    set_tls(lwp, GS, 0x5678, 2)
    lwp.vmspace.copyout(BUFFER, pack("<Qq", 0x9999, size))
    with pytest.raises(KernelError) as caught:
        calls.set_tls_area(lwp, which, info, 16)
    assert caught.value.errno == errno
    assert bytes(lwp.bases) == pack("<QqQq", 0x1234, 1, 0x5678, 2)


def test_the_cpu_uses_the_new_base_at_once() -> None:
    phys = PhysicalMemory(1 << 20)
    with closing(Tree.scratch()) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        lwp = Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))
        code = bytes.fromhex(
            "65488b3c2500000000"  # mov rdi, gs:[0]
            "b801000000"  # mov eax, 1: exit
            "0f05"  # syscall
        )
        exec_setregs(lwp, load(lwp.proc, code + pack("<Q", 77), [b"tls"]))
        space.copyout(0x401000, pack("<Qq", 0x400000 + len(code), -1))
        assert calls.set_tls_area(lwp, GS, 0x401000, 16) == JUST_RETURN
        with closing(Machine(lwp)) as machine:
            assert machine.run() == 77
