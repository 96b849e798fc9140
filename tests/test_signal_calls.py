"""System calls about signals: sigaction, masks, waiting, stacks, kill (abi 3.2, kern_sig.c)."""

from collections.abc import Callable
from struct import pack, unpack

import pytest
from conftest import LOAD_ADDRESS, Booted, call

from emu import trap
from emu.abi.errno import Errno
from emu.abi.signal import SIG_DFL, SIG_IGN, SaFlag, SigHow, Signal, SsFlag
from emu.abi.versions import ABI_2011, ABI_2014, VERSIONS, AbiVersion
from emu.kern.pgrp import enter_group
from emu.kern.proc import Lwp
from emu.kern.sched import LwpState
from emu.kern.sendsig import userret
from emu.kern.sigacts import ALL, bit, set_of
from emu.kern.signal import ksignal, lwpsignal

Boot = Callable[..., Booted]

HANDLER = LOAD_ADDRESS + 0x100
IN, OUT = LOAD_ADDRESS + 0x2000, LOAD_ADDRESS + 0x3000  # in the program's zeroed memory
UNMAPPED = 0xDEAD0000
USR1, USR2 = 30, 31
KILL, STOP = 9, 17
SECOND = 1_000_000_000

each_abi = pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)


def put(lwp: Lwp, data: bytes, at: int = IN) -> int:
    lwp.proc.vmspace.copyout(at, data)
    return at


def sigset(*signals: int) -> bytes:
    return set_of(*signals).to_bytes(16, "little")


def sigset_at(lwp: Lwp, at: int) -> int:
    return int.from_bytes(lwp.proc.vmspace.copyin(at, 16), "little")


# sigaction


def sigaction(lwp: Lwp, signal: int, handler: int, flags: int = 0, *mask: int) -> int | Errno:
    put(lwp, pack("<Qi", handler, flags) + sigset(*mask) + bytes(4))
    return call(lwp, "sigaction", signal, IN, OUT)


def told(lwp: Lwp) -> tuple[int, int, int]:
    """Return the action that was stored: handler, flags, mask."""
    handler, flags = unpack("<Qi", lwp.proc.vmspace.copyin(OUT, 12))
    return handler, flags, sigset_at(lwp, OUT + 12)


def test_sigaction_sets_and_tells(lwp: Lwp) -> None:
    assert sigaction(lwp, USR1, HANDLER, SaFlag.SIGINFO | SaFlag.ONSTACK, 1, 128) == 0
    assert told(lwp) == (SIG_DFL, SaFlag.RESTART, 0)  # as nobody has set it
    assert call(lwp, "sigaction", USR1, 0, OUT) == 0
    assert told(lwp) == (HANDLER, SaFlag.SIGINFO | SaFlag.ONSTACK, set_of(1, 128))
    assert call(lwp, "sigaction", USR1, 0, 0) == 0


@each_abi
def test_flags_that_mean_nothing_are_not_remembered(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    everything = -1
    sigaction(lwp, USR1, HANDLER, everything)
    call(lwp, "sigaction", USR1, 0, OUT)
    mailbox = 0x1000 if abi is ABI_2011 else 0
    assert told(lwp)[1] == 0x57 | mailbox
    sigaction(lwp, Signal.CHLD, HANDLER, everything)
    call(lwp, "sigaction", Signal.CHLD, 0, OUT)
    assert told(lwp)[1] == 0x7F | mailbox


@pytest.mark.parametrize("signal", [0, -1, 129, 1 << 31])
def test_sigaction_refuses_what_is_no_signal(lwp: Lwp, signal: int) -> None:
    assert sigaction(lwp, signal, HANDLER) is Errno.EINVAL
    assert lwp.proc.sigacts.actions == {}


@pytest.mark.parametrize("signal", [KILL, STOP])
def test_kill_and_stop_cannot_be_caught_or_ignored(lwp: Lwp, signal: int) -> None:
    for handler in (HANDLER, SIG_IGN):
        assert sigaction(lwp, signal, handler) is Errno.EINVAL
    assert sigaction(lwp, signal, SIG_DFL) == 0
    assert lwp.proc.sigacts.caught == 0


def test_sigaction_needs_readable_and_writable_memory(lwp: Lwp) -> None:
    assert call(lwp, "sigaction", USR1, UNMAPPED, 0) is Errno.EFAULT
    assert call(lwp, "sigaction", 0, UNMAPPED, 0) is Errno.EFAULT  # looked at first
    assert call(lwp, "sigaction", USR1, 0, UNMAPPED) is Errno.EFAULT


def test_what_is_set_to_be_ignored_is_not_pending_any_more(lwp: Lwp) -> None:
    second = lwp.fork(lwp.proc)
    for holder in (lwp, second, lwp.proc):
        holder.pending = set_of(USR1, USR2)
    sigaction(lwp, USR1, SIG_IGN)
    assert [holder.pending for holder in (lwp, second, lwp.proc)] == [bit(USR2)] * 3


def test_nor_is_what_is_ignored_by_default(lwp: Lwp) -> None:
    lwp.pending = set_of(Signal.IO, Signal.CONT, USR1)
    sigaction(lwp, Signal.IO, SIG_DFL)
    sigaction(lwp, Signal.CONT, SIG_DFL)
    sigaction(lwp, USR1, SIG_DFL)
    assert lwp.pending == bit(USR1)


def test_what_is_caught_stays_pending(lwp: Lwp) -> None:
    lwp.pending = set_of(USR1, Signal.CONT)
    sigaction(lwp, USR1, HANDLER)
    sigaction(lwp, Signal.CONT, HANDLER)
    assert lwp.pending == set_of(USR1, Signal.CONT)


# sigprocmask, sigpending


def test_sigprocmask_blocks_unblocks_and_sets(lwp: Lwp) -> None:
    for how, members, mask in (
        (SigHow.BLOCK, (1, 2, KILL, STOP), {1, 2}),
        (SigHow.BLOCK, (2, 128), {1, 2, 128}),
        (SigHow.UNBLOCK, (1, 3), {2, 128}),
        (SigHow.SETMASK, (KILL, 64), {64}),
    ):
        before = lwp.sigmask
        assert call(lwp, "sigprocmask", how, put(lwp, sigset(*members)), OUT) == 0
        assert sigset_at(lwp, OUT) == before
        assert lwp.sigmask == set_of(*mask)


def test_without_a_set_sigprocmask_only_tells(lwp: Lwp) -> None:
    lwp.sigmask = bit(5)
    assert call(lwp, "sigprocmask", 99, 0, OUT) == 0
    assert (sigset_at(lwp, OUT), lwp.sigmask) == (bit(5), bit(5))


@pytest.mark.parametrize("how", [0, 4, -1])
def test_sigprocmask_refuses_another_how(lwp: Lwp, how: int) -> None:
    put(lwp, b"\xaa" * 16, OUT)
    assert call(lwp, "sigprocmask", how, put(lwp, sigset(1)), OUT) is Errno.EINVAL
    assert (lwp.sigmask, lwp.proc.vmspace.copyin(OUT, 16)) == (0, b"\xaa" * 16)


def test_what_sigprocmask_unblocks_comes_at_once(lwp: Lwp) -> None:
    sigaction(lwp, USR1, HANDLER)
    lwp.sigmask, lwp.pending = bit(USR1), bit(USR1)
    sched = lwp.proc.kernel.sched
    sched.attention = False
    call(lwp, "sigprocmask", SigHow.SETMASK, put(lwp, sigset()), 0)
    assert sched.attention
    userret(lwp)
    assert lwp.frame.rdi == USR1


def test_sigpending_tells_what_waits_for_the_lwp_and_for_the_process(lwp: Lwp) -> None:
    lwp.pending, lwp.proc.pending = set_of(1, 128), set_of(2, 1)
    assert call(lwp, "sigpending", OUT) == 0
    assert sigset_at(lwp, OUT) == set_of(1, 2, 128)
    assert call(lwp, "sigpending", UNMAPPED) is Errno.EFAULT


# sigsuspend


def finish(lwp: Lwp) -> int | Errno:
    """Let a call that slept go on to its end; return what it returns."""
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert lwp.call is None
    return Errno(lwp.frame.rax) if lwp.frame.rflags & 1 else lwp.frame.rax


@pytest.mark.parametrize("flags", [0, SaFlag.RESTART])
def test_sigsuspend_waits_with_another_mask_which_goes_after_the_handler(
    lwp: Lwp, flags: int
) -> None:
    """EINTR even if the handler wants calls to be made again."""
    sigaction(lwp, USR1, HANDLER, flags, USR2)
    lwp.sigmask = set_of(1, USR1)
    call(lwp, "sigsuspend", put(lwp, sigset(2, KILL)))
    assert (lwp.state, lwp.sigmask) == (LwpState.SLEEPING, bit(2))
    ksignal(lwp.proc, USR1)
    assert finish(lwp) is Errno.EINTR
    userret(lwp)
    assert lwp.frame.rdi == USR1
    assert lwp.sigmask == set_of(2, USR1, USR2)
    assert sigset_at(lwp, lwp.frame.rdx) == set_of(1, USR1)
    assert lwp.suspended_mask is None


def test_sigsuspend_wakes_for_nothing_else(lwp: Lwp) -> None:
    call(lwp, "sigsuspend", put(lwp, sigset(USR2)))
    lwpsignal(lwp.proc, lwp, USR2)
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert lwp.state is LwpState.SLEEPING
    ksignal(lwp.proc, Signal.IO)
    assert lwp.state is LwpState.SLEEPING


def test_sigsuspend_does_not_sleep_if_the_signal_waits_already(lwp: Lwp) -> None:
    sigaction(lwp, USR1, HANDLER)
    lwp.sigmask, lwp.proc.pending = bit(USR1), bit(USR1)
    assert call(lwp, "sigsuspend", put(lwp, sigset())) is Errno.EINTR
    userret(lwp)
    assert sigset_at(lwp, lwp.frame.rdx) == bit(USR1)


def test_sigsuspend_with_a_bad_pointer_changes_nothing(lwp: Lwp) -> None:
    lwp.sigmask = bit(1)
    assert call(lwp, "sigsuspend", UNMAPPED) is Errno.EFAULT
    assert (lwp.sigmask, lwp.suspended_mask) == (bit(1), None)


# sigtimedwait, sigwaitinfo


def wait(lwp: Lwp, *signals: int, timeout: tuple[int, int] | None = None) -> int | Errno:
    put(lwp, sigset(*signals))
    at = 0 if timeout is None else put(lwp, pack("<qq", *timeout), IN + 64)
    return call(lwp, "sigtimedwait", IN, OUT, at)


def test_a_signal_that_waits_is_taken_at_once_the_lowest_first(lwp: Lwp) -> None:
    lwp.sigmask = ALL
    lwp.pending, lwp.proc.pending = set_of(USR2, 100), set_of(USR1, 5)
    put(lwp, b"\xaa" * 80, OUT)
    assert wait(lwp, USR1, USR2, 100) == USR1
    assert lwp.proc.vmspace.copyin(OUT, 80) == pack("<i", USR1) + bytes(76)
    assert wait(lwp, USR1, USR2, 100) == USR2
    assert wait(lwp, USR1, USR2, 100) == 100
    assert (lwp.pending, lwp.proc.pending, lwp.sigmask) == (0, bit(5), ALL)


def test_it_need_not_be_masked_or_caught(lwp: Lwp) -> None:
    lwp.pending = bit(USR1)
    assert wait(lwp, USR1) == USR1
    userret(lwp)
    assert lwp.proc.alive


@pytest.mark.parametrize("caught", [False, True])
def test_sigwaitinfo_sleeps_until_one_comes(lwp: Lwp, caught: bool) -> None:
    if caught:
        sigaction(lwp, USR1, HANDLER)
    lwp.sigmask = set_of(USR1, USR2)
    call(lwp, "sigwaitinfo", put(lwp, sigset(USR1)), 0)
    assert (lwp.state, lwp.sigmask) == (LwpState.SLEEPING, bit(USR2))
    ksignal(lwp.proc, USR2)
    assert lwp.state is LwpState.SLEEPING
    ksignal(lwp.proc, USR1)
    assert finish(lwp) == USR1
    userret(lwp)
    assert (lwp.sigmask, lwp.proc.usage.signals) == (set_of(USR1, USR2), 0)
    assert lwp.proc.alive


def test_the_wait_ends_at_its_time(lwp: Lwp) -> None:
    sched, clock = lwp.proc.kernel.sched, lwp.proc.kernel.clock
    start = clock.monotonic_ns()
    wait(lwp, USR1, timeout=(2, 5))
    assert lwp.state is LwpState.SLEEPING
    sched.idle()
    sched.run_callouts()
    assert finish(lwp) is Errno.EAGAIN
    assert clock.monotonic_ns() - start == 2 * SECOND + 5
    assert lwp.sigmask == 0


def test_no_time_at_all_is_a_question(lwp: Lwp) -> None:
    assert wait(lwp, USR1, timeout=(0, 0)) is Errno.EAGAIN
    lwp.pending = bit(USR1)
    assert wait(lwp, USR1, timeout=(0, 0)) == USR1


@pytest.mark.parametrize("timeout", [(-1, 0), (0, -1), (0, SECOND)])
def test_a_wrong_time_matters_only_if_there_is_nothing(lwp: Lwp, timeout: tuple[int, int]) -> None:
    lwp.pending = bit(USR1)
    assert wait(lwp, USR1, timeout=timeout) == USR1
    assert wait(lwp, USR1, timeout=timeout) is Errno.EINVAL


@pytest.mark.parametrize(
    ("flags", "timeout", "restarts"),
    [(0, None, False), (SaFlag.RESTART, None, True), (SaFlag.RESTART, (9, 0), False)],
)
def test_another_signal_breaks_the_wait(
    lwp: Lwp, flags: int, timeout: tuple[int, int] | None, restarts: bool
) -> None:
    """With a time it is not made again: that would be the whole time."""
    sigaction(lwp, USR2, HANDLER, flags)
    lwp.frame.rip = LOAD_ADDRESS + 2
    wait(lwp, USR1, timeout=timeout)
    ksignal(lwp.proc, USR2)
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert lwp.sigmask == 0
    if restarts:
        assert lwp.frame.rip == LOAD_ADDRESS
    else:
        assert (lwp.frame.rax, lwp.frame.rip) == (Errno.EINTR, LOAD_ADDRESS + 2)


def test_a_stop_signal_stops_the_process_and_the_wait_goes_on(lwp: Lwp) -> None:
    """It is not the result, though it is in the set."""
    child, sched = child_of(lwp), lwp.proc.kernel.sched
    enter_group(child.proc, child.proc.pid)
    while sched.choose() is not child:
        sched.give_way()
    child.pending = bit(Signal.TSTP)
    wait(child, Signal.TSTP)
    assert (child.proc.stopped, child.pending) == (True, 0)
    ksignal(child.proc, Signal.CONT)
    assert (child.proc.stopped, child.state) == (False, LwpState.SLEEPING)


def test_a_stop_signal_that_must_wait_for_vforks_end_is_no_result_yet(lwp: Lwp) -> None:
    sigaction(lwp, Signal.TSTP, HANDLER)
    lwp.proc.parent_waits = True
    lwp.pending = bit(Signal.TSTP)
    wait(lwp, Signal.TSTP)
    assert (lwp.state, lwp.pending) == (LwpState.SLEEPING, bit(Signal.TSTP))


def test_stop_and_kill_cannot_be_waited_for(lwp: Lwp) -> None:
    wait(lwp, KILL, STOP)
    assert (lwp.state, lwp.sigmask) == (LwpState.SLEEPING, 0)


def test_kill_ends_the_process_though_another_was_waited_for(lwp: Lwp) -> None:
    lwp.pending = set_of(USR1, KILL)
    assert wait(lwp, USR1) is Errno.EINTR
    userret(lwp)
    assert lwp.proc.killed_by == KILL


def test_a_signal_that_cannot_be_told_of_is_sent_again(lwp: Lwp) -> None:
    lwp.sigmask = ALL & ~set_of(KILL, STOP)
    lwp.pending = bit(USR1)
    put(lwp, sigset(USR1))
    assert call(lwp, "sigwaitinfo", IN, UNMAPPED) is Errno.EFAULT
    assert (lwp.pending, lwp.proc.pending) == (0, bit(USR1))
    assert call(lwp, "sigwaitinfo", IN, 0) == USR1


def test_waiting_needs_readable_memory(lwp: Lwp) -> None:
    assert call(lwp, "sigwaitinfo", UNMAPPED, 0) is Errno.EFAULT
    assert call(lwp, "sigtimedwait", IN, 0, UNMAPPED) is Errno.EFAULT


# sigaltstack


def altstack(lwp: Lwp, sp: int, size: int, flags: int = 0) -> int | Errno:
    return call(lwp, "sigaltstack", put(lwp, pack("<QQii", sp, size, flags, 0)), OUT)


def old_altstack(lwp: Lwp) -> tuple[int, int, int]:
    return unpack("<QQi", lwp.proc.vmspace.copyin(OUT, 20))  # type: ignore[return-value]


def test_sigaltstack_sets_and_tells(lwp: Lwp) -> None:
    assert altstack(lwp, 0x500000, 8192) == 0
    assert old_altstack(lwp) == (0, 0, SsFlag.DISABLE)
    assert call(lwp, "sigaltstack", 0, OUT) == 0
    assert old_altstack(lwp) == (0x500000, 8192, 0)
    assert altstack(lwp, 1, 2, SsFlag.DISABLE) == 0
    assert old_altstack(lwp) == (0x500000, 8192, 0)
    assert call(lwp, "sigaltstack", 0, OUT) == 0
    assert old_altstack(lwp) == (0x500000, 8192, SsFlag.DISABLE)


@pytest.mark.parametrize("size", [0, 8191])
def test_a_small_alternate_stack_is_refused(lwp: Lwp, size: int) -> None:
    altstack(lwp, 0x500000, 8192)
    assert altstack(lwp, 0x600000, size) is Errno.ENOMEM
    assert (lwp.altstack.sp, lwp.altstack.size) == (0x500000, 8192)


def test_a_stack_that_is_in_use_cannot_be_switched_off(lwp: Lwp) -> None:
    altstack(lwp, 0x500000, 8192)
    lwp.altstack.flags |= SsFlag.ONSTACK
    assert altstack(lwp, 0, 0, SsFlag.DISABLE) is Errno.EINVAL
    assert lwp.altstack.enabled
    assert call(lwp, "sigaltstack", 0, OUT) == 0
    assert old_altstack(lwp) == (0x500000, 8192, SsFlag.ONSTACK)


@pytest.mark.parametrize("flags", [SsFlag.ONSTACK, 0x100, -1])
def test_flags_of_a_stack_are_checked_in_later_versions_only(boot: Boot, flags: int) -> None:
    lwp = boot(abi=ABI_2014).lwp
    assert altstack(lwp, 0x500000, 8192, flags) is Errno.EINVAL
    assert not lwp.altstack.enabled
    lwp = boot(abi=ABI_2011).lwp
    assert altstack(lwp, 0x500000, 8192, flags) == 0
    assert lwp.altstack.flags == flags


# kill, lwp_kill


def child_of(lwp: Lwp) -> Lwp:
    before = set(lwp.proc.children)
    call(lwp, "fork")
    (child,) = set(lwp.proc.children) - before
    return child.lwps[0]


def test_kill_sends_to_one_process(lwp: Lwp) -> None:
    child = child_of(lwp)
    assert call(lwp, "kill", child.proc.pid, USR1) == 0
    assert (child.pending, lwp.pending) == (bit(USR1), 0)


def test_kill_sends_to_a_group(lwp: Lwp) -> None:
    first, second = child_of(lwp), child_of(lwp)
    enter_group(second.proc, second.proc.pid)
    assert call(lwp, "kill", 0, USR1) == 0
    assert call(lwp, "kill", -second.proc.pid, USR2) == 0
    assert [each.pending for each in (lwp, first, second)] == [bit(USR1), bit(USR1), bit(USR2)]


def test_kill_sends_to_everybody_else(lwp: Lwp) -> None:
    assert call(lwp, "kill", -1, USR1) is Errno.ESRCH
    first, second = child_of(lwp), child_of(lwp)
    second.proc.exit_status = 0
    assert call(lwp, "kill", -1, USR1) == 0
    assert [each.pending for each in (lwp, first, second)] == [0, bit(USR1), 0]


def test_signal_0_asks_who_is_there(lwp: Lwp) -> None:
    child = child_of(lwp)
    for pid in (child.proc.pid, 0, -1, -lwp.proc.pgrp.id):
        assert call(lwp, "kill", pid, 0) == 0
    assert (lwp.pending, child.pending) == (0, 0)
    for pid in (99_999, -99_999, -(1 << 31)):
        assert call(lwp, "kill", pid, 0) is Errno.ESRCH


@pytest.mark.parametrize("signal", [-1, 129, 1 << 31])
def test_kill_refuses_what_is_no_signal(lwp: Lwp, signal: int) -> None:
    assert call(lwp, "kill", lwp.proc.pid, signal) is Errno.EINVAL
    assert call(lwp, "kill", 99_999, signal) is Errno.EINVAL
    assert call(lwp, "lwp_kill", -1, 0, signal) is Errno.EINVAL


@each_abi
def test_whether_one_that_nobody_has_waited_for_is_there(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    child = child_of(lwp)
    child.proc.exit_status = 0
    result = Errno.ESRCH if abi is ABI_2011 else 0
    assert call(lwp, "kill", child.proc.pid, USR1) == result
    assert call(lwp, "lwp_kill", child.proc.pid, 0, USR1) == result


def test_lwp_kill_sends_to_one_lwp(lwp: Lwp) -> None:
    second = lwp.fork(lwp.proc)
    lwp.proc.kernel.sched.add(second)
    assert call(lwp, "lwp_kill", -1, 1, USR1) == 0
    assert call(lwp, "lwp_kill", lwp.proc.pid, 0, USR2) == 0
    assert call(lwp, "lwp_kill", -1, 1, 0) == 0
    assert (lwp.pending, second.pending, lwp.proc.pending) == (bit(USR2), bit(USR1), 0)


@pytest.mark.parametrize(
    ("pid", "tid", "errno"),
    [
        (-1, -1, Errno.EINVAL),
        (-1, 1, Errno.ESRCH),
        (-1, -2, Errno.ESRCH),
        (0, 0, Errno.EINVAL),
        (-5, 0, Errno.EINVAL),
        (99_999, 0, Errno.ESRCH),
    ],
)
def test_lwp_kill_refuses_who_is_not_there(lwp: Lwp, pid: int, tid: int, errno: Errno) -> None:
    assert call(lwp, "lwp_kill", pid, tid, USR1) is errno
    assert (lwp.pending, lwp.proc.pending) == (0, 0)


def test_the_engine_can_be_interrupted_once_a_program_can_survive_signals(boot: Boot) -> None:
    """Before, it need not be, which is faster."""
    lwp = boot().lwp
    assert not lwp.cpu._stops.armed
    call(lwp, "sigaction", USR1, 0, OUT)
    call(lwp, "sigprocmask", SigHow.BLOCK, put(lwp, sigset()), 0)
    assert not lwp.cpu._stops.armed
    call(lwp, "sigprocmask", SigHow.BLOCK, put(lwp, sigset(1)), 0)
    assert lwp.cpu._stops.armed
    lwp = boot().lwp
    sigaction(lwp, USR1, SIG_IGN)
    assert lwp.cpu._stops.armed
