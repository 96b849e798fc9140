"""clock_gettime, clock_getres and gettimeofday, with the virtual clock."""

from collections.abc import Callable, Iterator
from contextlib import closing
from struct import unpack

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls.time import clock_getres, clock_gettime, gettimeofday

BUFFER = 0x10000
UNMAPPED = 0x7000_0000
REALTIME, VIRTUAL, PROF, MONOTONIC = 0, 1, 2, 4


@pytest.fixture
def lwp() -> Iterator[Lwp]:
    phys = PhysicalMemory(1 << 20)
    clock = VirtualClock(epoch_ns=7_000_000_000)
    clock.charge_blocks(123_456_789)
    with closing(Tree.scratch()) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
        proc = Proc(Kernel(ABI_2011, phys, clock, tree, print), space, FileTable())
        yield Lwp(proc, UnicornEngine(phys))


def stored(lwp: Lwp) -> tuple[int, int]:
    seconds, fraction = unpack("<qq", lwp.vmspace.copyin(BUFFER, 16))
    return seconds, fraction


def test_realtime_and_monotonic(lwp: Lwp) -> None:
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == (8, 234_567_890)
    clock_gettime(lwp, MONOTONIC, BUFFER)
    assert stored(lwp) == (1, 234_567_890)


@pytest.mark.parametrize("clock_id", [VIRTUAL, PROF, 3, 5, -1])
def test_other_clocks_are_refused(lwp: Lwp, clock_id: int) -> None:
    for call in (clock_gettime, clock_getres):
        with pytest.raises(KernelError) as caught:
            call(lwp, clock_id, UNMAPPED)
        assert caught.value.errno == Errno.EINVAL


@pytest.mark.parametrize("clock_id", [REALTIME, MONOTONIC])
def test_the_resolution_is_the_cputimers_rounded_up(lwp: Lwp, clock_id: int) -> None:
    clock_getres(lwp, clock_id, BUFFER)
    assert stored(lwp) == (0, 1001)


def test_gettimeofday_tells_microseconds_and_utc(lwp: Lwp) -> None:
    lwp.vmspace.copyout(BUFFER, b"\xff" * 32)
    gettimeofday(lwp, BUFFER, BUFFER + 16)
    assert stored(lwp) == (8, 234_567)
    assert lwp.vmspace.copyin(BUFFER + 16, 16) == bytes(8) + b"\xff" * 8


def test_gettimeofday_takes_null_for_either(lwp: Lwp) -> None:
    gettimeofday(lwp, 0, 0)
    gettimeofday(lwp, BUFFER, 0)
    assert stored(lwp) == (8, 234_567)


def test_bad_pointers_are_refused(lwp: Lwp) -> None:
    calls: list[Callable[[], None]] = [
        lambda: clock_gettime(lwp, REALTIME, UNMAPPED),
        lambda: clock_gettime(lwp, REALTIME, 0),
        lambda: clock_getres(lwp, REALTIME, UNMAPPED),
        lambda: gettimeofday(lwp, UNMAPPED, 0),
        lambda: gettimeofday(lwp, 0, UNMAPPED),
    ]
    for call in calls:
        with pytest.raises(KernelError) as caught:
            call()
        assert caught.value.errno == Errno.EFAULT
