"""The clock, read and set, and interval timers, with the virtual clock."""

from collections.abc import Callable, Iterator
from contextlib import closing
from struct import pack, unpack

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Lwp, Proc, Ucred
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls.time import (
    adjtime,
    clock_getres,
    clock_gettime,
    clock_settime,
    getitimer,
    gettimeofday,
    setitimer,
    settimeofday,
)

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


def give(lwp: Lwp, *words: int) -> int:
    lwp.vmspace.copyout(BUFFER, pack(f"<{len(words)}q", *words))
    return BUFFER


def test_the_clock_is_set_to_whole_microseconds(lwp: Lwp) -> None:
    clock_settime(lwp, REALTIME, give(lwp, 100, 5_999))
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == (100, 5_000)
    settimeofday(lwp, give(lwp, 200, 7), BUFFER + 16)
    gettimeofday(lwp, BUFFER, 0)
    assert stored(lwp) == (200, 7)
    clock_gettime(lwp, MONOTONIC, BUFFER)
    assert stored(lwp) == (1, 234_567_890)


@pytest.mark.parametrize(
    ("seconds", "us", "now"),
    [(3, 5, (11, 234_572_890)), (-9, 0, (-1, 234_567_890)), (0, -234_567, (8, 890))],
)
def test_a_correction_is_made_at_once(
    lwp: Lwp, seconds: int, us: int, now: tuple[int, int]
) -> None:
    lwp.vmspace.copyout(BUFFER + 32, bytes([0xFF]) * 16)
    adjtime(lwp, give(lwp, seconds, us), BUFFER + 32)
    assert lwp.vmspace.copyin(BUFFER + 32, 16) == bytes(16)
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == now
    adjtime(lwp, give(lwp, -seconds, -us), 0)
    adjtime(lwp, give(lwp, 1, 0), UNMAPPED)  # the original does not look
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == (9, 234_567_890)


def test_a_correction_has_64_bits(lwp: Lwp) -> None:
    adjtime(lwp, give(lwp, 1 << 62, 0), 0)  # 2**62 * 10**9 is a multiple of 2**64
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == (8, 234_567_890)


@pytest.mark.parametrize(
    ("call", "errno"),
    [
        (lambda lwp: adjtime(lwp, UNMAPPED, 0), Errno.EFAULT),
        (lambda lwp: clock_settime(lwp, MONOTONIC, give(lwp, 1, 0)), Errno.EINVAL),
        (lambda lwp: clock_settime(lwp, REALTIME, give(lwp, 1, 1_000_000_000)), Errno.EINVAL),
        (lambda lwp: clock_settime(lwp, REALTIME, give(lwp, 1, -1)), Errno.EINVAL),
        (lambda lwp: clock_settime(lwp, MONOTONIC, UNMAPPED), Errno.EFAULT),
        (lambda lwp: settimeofday(lwp, give(lwp, 1, 1_000_000), 0), Errno.EINVAL),
        (lambda lwp: settimeofday(lwp, give(lwp, 1, 0), UNMAPPED), Errno.EFAULT),
        (lambda lwp: settimeofday(lwp, UNMAPPED, 0), Errno.EFAULT),
    ],
)
def test_a_refused_setting_changes_nothing(
    lwp: Lwp, call: Callable[[Lwp], None], errno: Errno
) -> None:
    with pytest.raises(KernelError) as caught:
        call(lwp)
    assert caught.value.errno == errno
    clock_gettime(lwp, REALTIME, BUFFER)
    assert stored(lwp) == (8, 234_567_890)


def test_only_root_sets_the_clock(lwp: Lwp) -> None:
    lwp.proc.ucred = Ucred(uid=1000)
    calls: list[Callable[[], None]] = [
        lambda: settimeofday(lwp, UNMAPPED, 0),
        lambda: adjtime(lwp, UNMAPPED, 0),
        lambda: clock_settime(lwp, MONOTONIC, give(lwp, 1, 0)),
    ]
    for call in calls:
        with pytest.raises(KernelError) as caught:
            call()
        assert caught.value.errno == Errno.EPERM


def timer(lwp: Lwp, which: int) -> tuple[int, ...]:
    """Return interval and value of a timer, in seconds and microseconds."""
    getitimer(lwp, which, BUFFER)
    return unpack("<qqqq", lwp.vmspace.copyin(BUFFER, 32))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_timer_is_told_as_it_is_set(lwp: Lwp, which: int) -> None:
    assert timer(lwp, which) == (0, 0, 0, 0)
    setitimer(lwp, which, give(lwp, 5, 6, 7, 8), 0)
    assert timer(lwp, which) == (5, 6, 7, 8)
    setitimer(lwp, which, give(lwp, 1, 2, 3, 4), BUFFER)
    assert unpack("<qqqq", lwp.vmspace.copyin(BUFFER, 32)) == (5, 6, 7, 8)
    setitimer(lwp, which, give(lwp, 9, 9, 0, 0), 0)
    assert timer(lwp, which) == (0, 0, 0, 0)
    assert lwp.proc.timers == {}
    assert lwp.proc.kernel.sched.interruption() is None


def test_a_timer_is_no_shorter_than_a_tick(lwp: Lwp) -> None:
    setitimer(lwp, 0, give(lwp, 0, 1, 0, 9_999), 0)
    assert timer(lwp, 0) == (0, 10_000, 0, 10_000)


@pytest.mark.parametrize(
    "words",
    [(0, 0, -1, 0), (0, 0, 100_000_001, 0), (0, 0, 0, -1), (0, 0, 0, 1_000_000), (0, -1, 1, 0)],
)
def test_a_time_that_is_none_leaves_the_timer_as_it_was(lwp: Lwp, words: tuple[int, ...]) -> None:
    setitimer(lwp, 0, give(lwp, 5, 6, 7, 8), 0)
    with pytest.raises(KernelError) as caught:
        setitimer(lwp, 0, give(lwp, *words), 0)
    assert caught.value.errno == Errno.EINVAL
    assert timer(lwp, 0) == (5, 6, 7, 8)


@pytest.mark.parametrize("which", [3, -1])
def test_there_are_three_timers(lwp: Lwp, which: int) -> None:
    for call in (lambda: getitimer(lwp, which, UNMAPPED), lambda: setitimer(lwp, which, 0, 0)):
        with pytest.raises(KernelError) as caught:
            call()
        assert caught.value.errno == Errno.EINVAL
