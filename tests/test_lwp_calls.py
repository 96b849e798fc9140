"""Threads, umtx, priorities: syscalls/lwp.py and extexit (abi 2.1, 4.8)."""

from collections.abc import Callable
from struct import pack, unpack

import pytest
from conftest import LOAD_ADDRESS, Booted, call

from emu.abi.errno import Errno
from emu.abi.mman import Madv, Map, Prot
from emu.abi.signal import SaFlag
from emu.abi.versions import ABI_2011, VERSIONS, AbiVersion
from emu.kern.proc import Kernel, Lwp
from emu.kern.sched import LwpState, Scheduler
from emu.kern.sigacts import SigAction, bit
from emu.kern.signal import ksignal, lwpsignal
from syscalls import table

Boot = Callable[..., Booted]

PARAMS = LOAD_ADDRESS + 0x2000  # in the program's zeroed memory
TID1, TID2 = PARAMS + 0x100, PARAMS + 0x110
WORD = LOAD_ADDRESS + 0x3000
STACK = LOAD_ADDRESS + 0x8000
FUNC, ARG = 0x400040, 0x1234567890
UNMAPPED = 0xDEAD0000
READ_ONLY = 0x700000
USR1 = 30
US, SECOND = 1_000, 1_000_000_000

each_abi = pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)


@pytest.fixture
def sched(lwp: Lwp) -> Scheduler:
    return lwp.proc.kernel.sched


def create(lwp: Lwp, *, stack: int = STACK, tid1: int = TID1, tid2: int = TID2) -> int | Errno:
    lwp.proc.vmspace.copyout(PARAMS, pack("<5Q", FUNC, ARG, stack, tid1, tid2))
    return call(lwp, "lwp_create", PARAMS)


def switch_to(lwp: Lwp) -> Lwp:
    """Let an LWP that is ready have the CPU."""
    sched = lwp.proc.kernel.sched
    while sched.choose() is not lwp:
        sched.give_way()
    return lwp


def word(lwp: Lwp, at: int) -> int:
    (value,) = unpack("<i", lwp.proc.vmspace.copyin(at, 4))
    return value  # type: ignore[no-any-return]


# lwp_create


def test_a_new_lwp_starts_with_the_callers_registers_but_three(lwp: Lwp) -> None:
    frame, bases = lwp.frame, lwp.bases
    frame.rbx, frame.r15, frame.rflags = 3, 15, 0x203
    bases.fs_base, bases.gs_base = 0x1000, 0x2000
    lwp.proc.vmspace.copyout(STACK - 8, b"\xff" * 8)
    assert create(lwp) == 0
    registers = {name: getattr(frame, name) for name in ("rsi", "rdx", "rbx", "r15", "cs", "ss")}
    created = switch_to(lwp.proc.lwps[1])
    assert (frame.rip, frame.rsp, frame.rdi) == (FUNC, STACK - 8, ARG)
    assert {name: getattr(frame, name) for name in registers} == registers
    # As they were in the call: its number, and the flags.
    assert (frame.rax, frame.rflags) == (495, 0x203)
    assert (bases.fs_base, bases.gs_base) == (0x1000, 0x2000)
    assert created.proc.vmspace.copyin(STACK - 8, 8) == bytes(8)  # nowhere to return to
    assert (word(lwp, TID1), word(lwp, TID2)) == (1, 1)


def test_it_inherits_masks_stacks_and_fp_state(lwp: Lwp) -> None:
    state = bytearray(lwp.cpu.fp_save())
    state[160:176] = b"sixteen bytes..."
    lwp.cpu.fp_restore(bytes(state))
    lwp.sigmask, lwp.pending = bit(5), bit(5)
    lwp.altstack.sp, lwp.altstack.size, lwp.altstack.enabled = 0x1000, 0x2000, True
    lwp.rtprio = (2, 7)
    create(lwp)
    created = switch_to(lwp.proc.lwps[1])
    assert (created.sigmask, created.pending) == (bit(5), bit(5))
    assert (created.altstack.sp, created.altstack.size, created.altstack.enabled) == (
        0x1000,
        0x2000,
        True,
    )
    created.altstack.sp = 5
    assert lwp.altstack.sp == 0x1000
    assert created.rtprio == (2, 7)
    assert created.cpu.fp_save()[160:176] == b"sixteen bytes..."
    assert not created.inside
    assert created.vkernel is None


def test_lwps_are_numbered_from_0_and_numbers_are_not_used_again(lwp: Lwp) -> None:
    assert call(lwp, "lwp_gettid") == 0
    create(lwp)
    create(lwp, tid1=UNMAPPED)  # this one is lost
    create(lwp)
    assert list(lwp.proc.lwps) == [0, 1, 3]
    switch_to(lwp.proc.lwps[3])
    assert call(lwp.proc.lwps[3], "lwp_gettid") == 3


def test_nobody_need_be_told_the_number(lwp: Lwp) -> None:
    assert create(lwp, tid1=0, tid2=0) == 0
    assert lwp.proc.vmspace.copyin(0x400000 + 0x2100, 20) == bytes(20)


@pytest.mark.parametrize("which", ["tid1", "tid2"])
def test_a_number_that_cannot_be_told_is_no_lwp(lwp: Lwp, which: str) -> None:
    kernel = lwp.proc.kernel
    assert create(lwp, **{which: UNMAPPED}) is Errno.EFAULT
    assert (list(lwp.proc.lwps), kernel.lwps) == ([0], 1)
    assert not kernel.sched._ready
    assert call(lwp, "lwp_create", UNMAPPED) is Errno.EFAULT


@each_abi
def test_whether_an_lwp_needs_a_stack_depends_on_the_version(boot: Boot, abi: AbiVersion) -> None:
    """In 2011 nobody looks whether the stack could be written: the LWP then starts like a forked
    process, with RAX 0, RDX 1 and no carry."""
    lwp = boot(abi=abi).lwp
    lwp.frame.rflags = 0x203
    result = create(lwp, stack=UNMAPPED)
    if abi is not ABI_2011:
        assert result is Errno.EFAULT
        assert list(lwp.proc.lwps) == [0]
        return
    assert result == 0
    switch_to(lwp.proc.lwps[1])
    frame = lwp.frame
    assert (frame.rip, frame.rsp, frame.rdi) == (FUNC, UNMAPPED - 8, ARG)
    assert (frame.rax, frame.rdx, frame.rflags) == (0, 1, 0x202)


def test_there_is_a_limit(lwp: Lwp) -> None:
    lwp.proc.kernel.limits.lwps = 3
    assert [create(lwp), create(lwp), create(lwp)] == [0, 0, Errno.ENOMEM]


# extexit


def test_an_lwp_exits_and_the_others_stay(lwp: Lwp) -> None:
    create(lwp)
    call(lwp, "extexit", 0x10000, 5, 0)
    assert (lwp.state, lwp.proc.alive, list(lwp.proc.lwps)) == (LwpState.GONE, True, [1])
    last = switch_to(lwp.proc.lwps[1])
    call(last, "extexit", 0x10000, 0x105, 0)
    assert lwp.proc.exit_status == 5


def test_the_status_of_an_lwp_may_be_stored(lwp: Lwp) -> None:
    create(lwp)
    call(lwp, "extexit", 0x10001, -7, WORD)
    assert (word(lwp, WORD), lwp.state) == (-7, LwpState.GONE)


@pytest.mark.parametrize(
    ("how", "addr", "errno"),
    [
        (0x10001, UNMAPPED, Errno.EFAULT),
        (0x00001, UNMAPPED, Errno.EFAULT),
        (0x10002, WORD, Errno.EINVAL),
        (0x20000, WORD, Errno.EINVAL),
        (0x20001, WORD, Errno.EINVAL),
        (-1, WORD, Errno.EINVAL),
    ],
)
def test_nobody_exits_if_something_is_wrong(lwp: Lwp, how: int, addr: int, errno: Errno) -> None:
    create(lwp)
    assert call(lwp, "extexit", how, 5, addr) is errno
    assert (lwp.state, lwp.proc.alive, word(lwp, WORD)) == (LwpState.RUNNING, True, 0)


# umtx


def sleep_on(lwp: Lwp, at: int = WORD, value: int = 0, timeout: int = 0) -> int | Errno | LwpState:
    """Make umtx_sleep; return what it returns, or that the LWP sleeps."""
    lwp.frame.rflags &= ~1  # the result is not there yet if it sleeps
    result = call(lwp, "umtx_sleep", at, value, timeout)
    return lwp.state if lwp.state is LwpState.SLEEPING else result


def finish(lwp: Lwp) -> int | Errno:
    switch_to(lwp)
    table.resume(lwp)
    assert lwp.call is None
    return Errno(lwp.frame.rax) if lwp.frame.rflags & 1 else lwp.frame.rax


def sleepers(lwp: Lwp, count: int, at: int = WORD) -> list[Lwp]:
    """Return new LWPs that sleep, in this order."""
    new = []
    for _ in range(count):
        create(lwp)
        sleeper = switch_to(list(lwp.proc.lwps.values())[-1])
        assert sleep_on(sleeper, at) is LwpState.SLEEPING
        new.append(sleeper)
        switch_to(lwp)
    return new


def test_sleep_and_wakeup(lwp: Lwp) -> None:
    (sleeper,) = sleepers(lwp, 1)
    assert call(lwp, "umtx_wakeup", WORD, 1) == 0
    assert finish(sleeper) == 0


@pytest.mark.parametrize(("count", "woken"), [(1, 1), (0, 3), (2, 3), (-1, 3)])
def test_one_is_woken_the_first_or_all(lwp: Lwp, count: int, woken: int) -> None:
    several = sleepers(lwp, 3)
    call(lwp, "umtx_wakeup", WORD, count)
    states = [sleeper.state for sleeper in several]
    assert states == [LwpState.READY] * woken + [LwpState.SLEEPING] * (3 - woken)


def test_a_word_that_has_changed_already_is_not_slept_on(lwp: Lwp) -> None:
    lwp.proc.vmspace.copyout(WORD, pack("<i", -5))
    assert sleep_on(lwp, value=0) is Errno.EBUSY
    assert sleep_on(lwp, value=-5) is LwpState.SLEEPING


def test_a_time_is_in_microseconds(lwp: Lwp, sched: Scheduler) -> None:
    clock = lwp.proc.kernel.clock
    start = clock.monotonic_ns()
    assert sleep_on(lwp, timeout=1500) is LwpState.SLEEPING
    sched.idle()
    sched.run_callouts()
    assert finish(lwp) is Errno.EAGAIN
    assert clock.monotonic_ns() - start == 1500 * US


@pytest.mark.parametrize("flags", [0, SaFlag.RESTART])
def test_any_signal_breaks_it_for_good(lwp: Lwp, flags: int) -> None:
    lwp.proc.sigacts.set(USR1, SigAction(FUNC, flags))
    assert sleep_on(lwp) is LwpState.SLEEPING
    ksignal(lwp.proc, USR1)
    assert finish(lwp) is Errno.EINTR


def test_a_masked_signal_to_the_lwp_ends_it_as_if_woken(lwp: Lwp) -> None:
    lwp.sigmask = bit(USR1)
    assert sleep_on(lwp) is LwpState.SLEEPING
    lwpsignal(lwp.proc, lwp, USR1)
    assert finish(lwp) == 0


@pytest.mark.parametrize(
    ("at", "timeout", "errno"),
    [
        (WORD, -1, Errno.EINVAL),
        (WORD + 1, -1, Errno.EINVAL),
        (WORD + 1, 0, Errno.EFAULT),
        (WORD + 2, 0, Errno.EFAULT),
        (UNMAPPED, 0, Errno.EFAULT),
        (READ_ONLY, 0, Errno.EFAULT),
        (1 << 47, 0, Errno.EFAULT),
    ],
)
def test_what_cannot_be_slept_on(lwp: Lwp, at: int, timeout: int, errno: Errno) -> None:
    """The page must be writable."""
    lwp.proc.vmspace.map_anonymous(READ_ONLY, READ_ONLY + 0x1000, prot=int(Prot.READ))
    assert sleep_on(lwp, at, 0, timeout) is errno


@pytest.mark.parametrize(
    ("at", "result"),
    [
        (WORD, 0),
        (WORD + 1, Errno.EFAULT),
        (UNMAPPED, Errno.EFAULT),
        (READ_ONLY, 0),
    ],
)
def test_what_can_be_woken_on(lwp: Lwp, at: int, result: int | Errno) -> None:
    """It is enough that the page can be read, and nobody need sleep."""
    lwp.proc.vmspace.map_anonymous(READ_ONLY, READ_ONLY + 0x1000, prot=int(Prot.READ))
    assert call(lwp, "umtx_wakeup", at, 1) == result


def test_neighbouring_words_are_different(lwp: Lwp) -> None:
    (sleeper,) = sleepers(lwp, 1)
    call(lwp, "umtx_wakeup", WORD + 4, 0)
    call(lwp, "umtx_wakeup", WORD + 0x1000, 0)
    assert sleeper.state is LwpState.SLEEPING


# What counts is the memory, not the address.

RW = int(Prot.READ | Prot.WRITE)
SHARED_FILE = int(Map.SHARED | Map.FIXED)
FILE_AT, ALIAS_AT, WINDOW = 0x800000, 0x900000, 0x10000000


def mapped_file(lwp: Lwp) -> int:
    """Map two pages of a file at FILE_AT; return its descriptor."""
    lwp.proc.vmspace.copyout(PARAMS, b"/image\0")
    fd = call(lwp, "open", PARAMS, 0x202, 0o600)
    assert call(lwp, "ftruncate", fd, 0, 0x8000) == 0
    assert call(lwp, "mmap", FILE_AT, 0x8000, RW, SHARED_FILE, fd, 0, 0) == FILE_AT
    return int(fd)


def test_two_mappings_of_a_page_are_one_place(lwp: Lwp) -> None:
    fd = mapped_file(lwp)
    assert call(lwp, "mmap", ALIAS_AT, 0x1000, RW, SHARED_FILE, fd, 0, 0x1000) == ALIAS_AT
    (sleeper,) = sleepers(lwp, 1, FILE_AT + 0x1010)
    call(lwp, "umtx_wakeup", ALIAS_AT + 0x14, 0)
    assert sleeper.state is LwpState.SLEEPING
    call(lwp, "umtx_wakeup", ALIAS_AT + 0x10, 0)
    assert sleeper.state is LwpState.READY


@each_abi
def test_so_is_a_page_that_is_seen_through_a_virtual_page_table(
    boot: Boot, abi: AbiVersion
) -> None:
    """vkernel64 idles on a word in such a mapping (abi 8.5); the walk marks the page modified."""
    lwp = boot(abi=abi).lwp
    fd = mapped_file(lwp)
    vpagetable = SHARED_FILE | int(Map.VPAGETABLE)
    assert call(lwp, "mmap", WINDOW, 1 << 30, RW, vpagetable, fd, 0, 0) == WINDOW
    rights = abi.vpte.valid | abi.vpte.read | abi.vpte.write
    space = lwp.proc.vmspace
    for level in range(4):  # pages 0 to 3 are the tables; the leaf is page 5
        leaf = level == 3
        target = 5 if leaf else level + 1
        space.copyout(FILE_AT + 0x1000 * level, pack("<Q", target << 12 | rights))
    assert call(lwp, "mcontrol", WINDOW, 1 << 30, Madv.SETMAP, rights) == 0
    (sleeper,) = sleepers(lwp, 1, WINDOW + 0x10)
    (leaf_entry,) = unpack("<Q", space.copyin(FILE_AT + 0x3000, 8))
    marks = abi.vpte.accessed | abi.vpte.modified
    assert leaf_entry & marks == marks
    call(lwp, "umtx_wakeup", FILE_AT + 0x5010, 1)
    assert finish(sleeper) == 0


def test_processes_that_share_memory_meet_there(lwp: Lwp) -> None:
    mapped_file(lwp)
    call(lwp, "fork")
    (child_proc,) = lwp.proc.children
    child = switch_to(child_proc.lwps[0])
    assert sleep_on(child, FILE_AT) is LwpState.SLEEPING
    switch_to(lwp)
    call(lwp, "umtx_wakeup", WORD, 0)
    assert child.state is LwpState.SLEEPING
    call(lwp, "umtx_wakeup", FILE_AT, 0)
    assert finish(child) == 0


# Copies


def test_a_private_page_is_copied_before_its_place_counts(lwp: Lwp) -> None:
    """Parent and child do not meet in memory that each has for itself."""
    call(lwp, "fork")
    (child_proc,) = lwp.proc.children
    child = switch_to(child_proc.lwps[0])
    assert sleep_on(child) is LwpState.SLEEPING
    switch_to(lwp)
    call(lwp, "umtx_wakeup", WORD, 0)
    assert child.state is LwpState.SLEEPING


@pytest.mark.parametrize("writer", ["parent", "child"])
def test_whoever_sleeps_on_a_page_that_is_copied_wakes_and_looks_again(
    lwp: Lwp, writer: str
) -> None:
    """The word may have moved (umtx_sleep_page_action_cow); the sleeper is told 0."""
    (sleeper,) = sleepers(lwp, 1)
    call(lwp, "fork")
    assert sleeper.state is LwpState.SLEEPING
    (child_proc,) = lwp.proc.children
    space = lwp.proc.vmspace if writer == "parent" else child_proc.vmspace
    space.copyout(WORD + 0x1000, b"x")  # another page
    assert sleeper.state is LwpState.SLEEPING
    space.copyout(WORD + 0x800, b"x")
    assert finish(sleeper) == 0
    assert not lwp.proc.kernel.sched._sleeping


def test_where_a_thread_sleeps_again_it_can_be_woken(lwp: Lwp) -> None:
    (sleeper,) = sleepers(lwp, 1)
    call(lwp, "fork")
    lwp.proc.vmspace.copyout(WORD, pack("<i", 1))
    assert finish(sleeper) == 0
    assert sleep_on(sleeper, value=1) is LwpState.SLEEPING
    switch_to(lwp)
    call(lwp, "umtx_wakeup", WORD, 1)
    assert finish(sleeper) == 0


# Priorities and CPUs


def rtp(lwp: Lwp, kind: int, priority: int) -> int:
    lwp.proc.vmspace.copyout(PARAMS, pack("<HH", kind, priority))
    return PARAMS


def test_priorities_are_remembered(lwp: Lwp) -> None:
    create(lwp)
    assert call(lwp, "lwp_rtprio", 1, 0, 1, rtp(lwp, 0, 31)) == 0
    assert call(lwp, "rtprio", 1, lwp.proc.pid, rtp(lwp, 2, 0)) == 0
    assert call(lwp, "lwp_rtprio", 0, 0, -1, PARAMS) == 0
    assert unpack("<HH", lwp.proc.vmspace.copyin(PARAMS, 4)) == (2, 0)
    assert call(lwp, "lwp_rtprio", 0, 0, 1, PARAMS) == 0
    assert unpack("<HH", lwp.proc.vmspace.copyin(PARAMS, 4)) == (0, 31)


@pytest.mark.parametrize(
    ("function", "pid", "tid", "kind", "priority", "errno"),
    [
        (1, 0, 0, 3, 0, Errno.EINVAL),
        (1, 0, 0, 1, 32, Errno.EINVAL),
        (2, 0, 0, 1, 0, Errno.EINVAL),
        (0, -1, 0, 1, 0, Errno.EINVAL),
        (0, 0, -2, 1, 0, Errno.EINVAL),
        (0, 0, 9, 1, 0, Errno.ESRCH),
        (0, 9999, -2, 1, 0, Errno.ESRCH),
    ],
)
def test_priorities_that_are_refused(
    lwp: Lwp, function: int, pid: int, tid: int, kind: int, priority: int, errno: Errno
) -> None:
    before = lwp.rtprio
    assert call(lwp, "lwp_rtprio", function, pid, tid, rtp(lwp, kind, priority)) is errno
    assert lwp.rtprio == before
    assert call(lwp, "lwp_rtprio", 0, 0, 0, UNMAPPED) is Errno.EFAULT


@pytest.fixture
def four(boot: Boot) -> Lwp:
    """An LWP of a machine that says it has four CPUs."""
    lwp = boot().lwp
    kernel: Kernel = lwp.proc.kernel
    kernel.ncpu = 4
    lwp.cpus = frozenset(range(4))
    return lwp


def usched(lwp: Lwp, cmd: int, cpu: int = 0, size: int = 4) -> int | Errno:
    lwp.proc.vmspace.copyout(PARAMS, pack("<i", cpu))
    return call(lwp, "usched_set", 0, cmd, PARAMS, size)


def test_cpus_are_remembered(four: Lwp) -> None:
    assert usched(four, 1, 2) == 0
    assert four.cpus == {2}
    assert usched(four, 4) == 0
    assert word(four, PARAMS) == 2
    assert usched(four, 2, 3) == 0
    assert usched(four, 3, 2) == 0
    assert four.cpus == {3}
    assert usched(four, 3, 3) is Errno.EPERM
    assert four.cpus == {3}


def test_cpus_that_are_refused(four: Lwp) -> None:
    for cmd in (1, 2, 3):
        assert usched(four, cmd, 4) is Errno.EFBIG
        assert usched(four, cmd, -1) is Errno.EFBIG
        assert usched(four, cmd, 0, 8) is Errno.EINVAL
    assert usched(four, 4, 0, 8) is Errno.EINVAL
    assert usched(four, 5) is Errno.EINVAL
    assert call(four, "usched_set", 1, 4, PARAMS, 4) is Errno.EINVAL
    assert four.cpus == {0, 1, 2, 3}


def test_only_a_process_with_one_lwp_may_name_its_scheduler(lwp: Lwp) -> None:
    lwp.proc.vmspace.copyout(PARAMS + 64, b"bsd4\0what\0")
    assert call(lwp, "usched_set", 0, 0, PARAMS + 64, 0) == 0
    assert call(lwp, "usched_set", 0, 0, PARAMS + 69, 0) is Errno.EINVAL
    create(lwp)
    assert call(lwp, "usched_set", 0, 0, PARAMS + 64, 0) is Errno.EINVAL


# sched_yield


@pytest.mark.parametrize("name", ["sched_yield", "yield"])
def test_whoever_yields_lets_the_next_run(lwp: Lwp, sched: Scheduler, name: str) -> None:
    create(lwp)
    assert sched.choose() is lwp
    assert call(lwp, name) == 0
    assert sched.choose() is lwp.proc.lwps[1]
