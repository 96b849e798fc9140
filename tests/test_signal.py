"""Posting signals: to whom they go, and what stops and continues a process (abi 3.2, 7.2)."""

from collections.abc import Callable, Generator

import pytest
from conftest import Booted, call

from emu.abi.event import Note
from emu.abi.signal import SIG_IGN, SaFlag, Signal
from emu.abi.versions import ABI_2011, VERSIONS
from emu.kern.exit import exit1
from emu.kern.pgrp import enter_group
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import LwpState, Scheduler, Sleep
from emu.kern.sigacts import SigAction, bit, set_of
from emu.kern.signal import ksignal, lwpsignal, pgsignal, proc_stop
from syscalls import table

Boot = Callable[..., Booted]

HANDLER = 0x400100
CHANNEL = "channel"


@pytest.fixture
def sched(lwp: Lwp) -> Scheduler:
    return lwp.proc.kernel.sched


def another(lwp: Lwp) -> Lwp:
    """Return a new LWP of the same process, which is ready."""
    new = lwp.fork(lwp.proc)
    lwp.proc.kernel.sched.add(new)
    return new


def child_of(lwp: Lwp) -> Lwp:
    """Return the only LWP of a new child process; it is ready."""
    before = set(lwp.proc.children)
    call(lwp, "fork")
    (child,) = set(lwp.proc.children) - before
    return child.lwps[0]


def sleeping(sleeper: Lwp, *, interruptible: bool = True) -> Lwp:
    """Put an LWP that is ready or runs to sleep."""
    sched = sleeper.proc.kernel.sched
    while sched.choose() is not sleeper:
        sched.give_way()
    sched.sleep(sleeper, Sleep((CHANNEL,), interruptible=interruptible))
    sched.choose()
    return sleeper


def caught(proc: Proc, *signals: int, flags: int = 0) -> None:
    for signal in signals:
        proc.sigacts.set(signal, SigAction(HANDLER, flags))


# To whom


def test_a_signal_to_a_process_goes_to_the_lwp_that_runs(lwp: Lwp, sched: Scheduler) -> None:
    second = another(lwp)
    sched.give_way()
    assert sched.choose() is second
    ksignal(lwp.proc, Signal.USR1)
    assert (second.pending, lwp.pending, lwp.proc.pending) == (bit(30), 0, 0)
    assert sched.attention


def test_if_that_one_masks_it_it_goes_to_the_first_that_is_ready(lwp: Lwp) -> None:
    second, third = another(lwp), another(lwp)
    lwp.sigmask = second.sigmask = bit(30)
    ksignal(lwp.proc, Signal.USR1)
    assert (lwp.pending, second.pending, third.pending) == (0, 0, bit(30))


def test_one_that_is_ready_comes_before_one_that_sleeps(lwp: Lwp) -> None:
    sleeper, ready = another(lwp), another(lwp)
    sleeping(sleeper)
    lwp.sigmask = bit(30)
    ksignal(lwp.proc, Signal.USR1)
    assert (sleeper.pending, ready.pending) == (0, bit(30))


def test_if_all_others_mask_it_a_sleeper_is_woken(lwp: Lwp) -> None:
    deaf, first, second = another(lwp), another(lwp), another(lwp)
    for sleeper, interruptible in ((deaf, False), (first, True), (second, True)):
        sleeping(sleeper, interruptible=interruptible)
    lwp.sigmask = bit(30)
    ksignal(lwp.proc, Signal.USR1)
    assert [sleeper.pending for sleeper in (deaf, first, second)] == [0, bit(30), 0]
    assert [sleeper.state for sleeper in (deaf, first, second)] == [
        LwpState.SLEEPING,
        LwpState.READY,
        LwpState.SLEEPING,
    ]


def test_if_all_mask_it_it_waits_at_the_process(lwp: Lwp) -> None:
    second = another(lwp)
    lwp.sigmask = second.sigmask = bit(30)
    ksignal(lwp.proc, Signal.USR1)
    assert (lwp.pending, second.pending, lwp.proc.pending) == (0, 0, bit(30))


def test_a_signal_to_an_lwp_goes_there_whether_it_masks_it_or_not(lwp: Lwp) -> None:
    """A sleep of it ends even so, for no reason that it would see."""
    second = sleeping(another(lwp))
    second.sigmask = bit(30)
    lwpsignal(lwp.proc, second, Signal.USR1)
    assert (second.pending, lwp.pending, lwp.proc.pending) == (bit(30), 0, 0)
    assert second.state is LwpState.READY


def test_a_sleep_that_no_signal_may_break_goes_on(lwp: Lwp) -> None:
    second = sleeping(another(lwp), interruptible=False)
    lwpsignal(lwp.proc, second, Signal.USR1)
    assert (second.pending, second.state) == (bit(30), LwpState.SLEEPING)


def test_pending_signals_are_a_set(lwp: Lwp) -> None:
    for signal in (Signal.USR1, Signal.HUP, Signal.USR1, 128):
        ksignal(lwp.proc, signal)
    assert lwp.pending == set_of(30, 1, 128)


@pytest.mark.parametrize("action", [None, SIG_IGN])
def test_a_signal_that_is_ignored_is_only_noted(lwp: Lwp, action: int | None) -> None:
    noted: list[tuple[int, int]] = []
    lwp.proc.watchers.append(lambda note, data: noted.append((note, data)))
    if action is not None:
        lwp.proc.sigacts.set(Signal.IO, SigAction(action))
    ksignal(lwp.proc, Signal.IO)
    assert (lwp.pending, lwp.proc.pending) == (0, 0)
    assert noted == [(Note.SIGNAL, Signal.IO)]


def test_a_process_that_has_ended_gets_no_signals(lwp: Lwp) -> None:
    child = child_of(lwp)
    lwpsignal(child.proc, child, Signal.KILL)
    child.proc.exit_status = 0
    ksignal(child.proc, Signal.USR1)
    assert (child.pending, child.proc.pending) == (bit(9), 0)


def test_each_member_of_a_group_gets_its_signal(lwp: Lwp) -> None:
    first, second = child_of(lwp), child_of(lwp)
    pgsignal(lwp.proc.kernel.in_group(lwp.proc.pgrp.id), Signal.USR1)
    assert [each.pending for each in (lwp, first, second)] == [bit(30)] * 3


# Stopping


@pytest.mark.parametrize("signal", [Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU])
def test_a_stop_signal_stops_the_whole_process_at_once(lwp: Lwp, signal: Signal) -> None:
    child = child_of(lwp)
    call_in_group(child)
    second = another(child)
    sleeper = sleeping(another(child))
    ksignal(child.proc, signal)
    assert (child.proc.stopped, child.proc.stop_signal) == (True, signal)
    assert [each.state for each in (child, second, sleeper)] == [
        LwpState.STOPPED,
        LwpState.STOPPED,
        LwpState.SLEEPING,
    ]
    assert (child.pending, child.proc.pending) == (0, 0)


def call_in_group(child: Lwp) -> None:
    """Give a child a group of its own: its parent, in the same session, could continue it."""
    enter_group(child.proc, child.proc.pid)
    assert not child.proc.pgrp.orphaned


@pytest.mark.parametrize("signal", [Signal.TSTP, Signal.TTIN, Signal.TTOU])
def test_nobody_could_continue_an_orphaned_group_so_a_terminal_does_not_stop_it(
    lwp: Lwp, signal: Signal
) -> None:
    assert lwp.proc.pgrp.orphaned
    ksignal(lwp.proc, signal)
    assert (lwp.proc.stopped, lwp.pending, lwp.proc.pending) == (False, 0, 0)
    caught(lwp.proc, signal)
    ksignal(lwp.proc, signal)
    assert (lwp.proc.stopped, lwp.pending) == (False, bit(signal))


def test_a_stop_signal_that_is_caught_is_a_signal_like_any_other(lwp: Lwp) -> None:
    child = child_of(lwp)
    call_in_group(child)
    caught(child.proc, Signal.TSTP)
    ksignal(child.proc, Signal.TSTP)
    assert (child.proc.stopped, child.pending) == (False, bit(18))


def test_a_stop_signal_that_all_mask_waits(lwp: Lwp) -> None:
    child = child_of(lwp)
    call_in_group(child)
    child.sigmask = bit(18)
    ksignal(child.proc, Signal.TSTP)
    assert (child.proc.stopped, child.proc.pending) == (False, bit(18))


def test_a_stop_signal_to_an_lwp_stops_the_process_though_it_is_masked(lwp: Lwp) -> None:
    child = child_of(lwp)
    call_in_group(child)
    child.sigmask = bit(18)
    lwpsignal(child.proc, child, Signal.TSTP)
    assert (child.proc.stopped, child.pending) == (True, 0)


def test_a_child_that_its_parent_waits_for_in_vfork_is_not_stopped(lwp: Lwp) -> None:
    child = child_of(lwp)
    child.proc.parent_waits = True
    ksignal(child.proc, Signal.STOP)
    assert (child.proc.stopped, child.proc.pending) == (False, bit(17))


@pytest.mark.parametrize(("flags", "told"), [(0, True), (SaFlag.NOCLDSTOP, False)])
def test_the_parent_is_told_of_a_stop(lwp: Lwp, flags: int, told: bool) -> None:
    caught(lwp.proc, Signal.CHLD, flags=flags)
    child = child_of(lwp)
    child.proc.stop_reported = True
    sleeper = another(lwp)
    sleeping(sleeper)
    sleeper.sigmask = ~0
    ksignal(child.proc, Signal.STOP)
    assert lwp.pending == (bit(20) if told else 0)
    assert not child.proc.stop_reported


def test_a_second_stop_is_no_news(lwp: Lwp) -> None:
    caught(lwp.proc, Signal.CHLD)
    child = child_of(lwp)
    ksignal(child.proc, Signal.STOP)
    lwp.pending = 0
    proc_stop(child.proc, Signal.TSTP)
    assert (child.proc.stop_signal, lwp.pending) == (Signal.STOP, 0)


# Continuing


def stopped_child(lwp: Lwp) -> Lwp:
    child = child_of(lwp)
    call_in_group(child)
    ksignal(child.proc, Signal.STOP)
    assert child.proc.stopped
    return child


@pytest.mark.parametrize("action", [None, SIG_IGN])
def test_cont_continues_a_process_that_does_nothing_about_it(lwp: Lwp, action: int | None) -> None:
    child = stopped_child(lwp)
    if action is not None:
        child.proc.sigacts.set(Signal.CONT, SigAction(action))
    ksignal(child.proc, Signal.CONT)
    assert (child.proc.stopped, child.proc.continued) == (False, True)
    assert (child.state, child.pending, child.proc.pending) == (LwpState.READY, 0, 0)


def test_cont_also_runs_a_handler(lwp: Lwp) -> None:
    child = stopped_child(lwp)
    caught(child.proc, Signal.CONT)
    ksignal(child.proc, Signal.CONT)
    assert (child.proc.stopped, child.state) == (False, LwpState.READY)
    assert child.pending | child.proc.pending == bit(19)


def test_cont_continues_a_process_that_masks_it_and_waits(lwp: Lwp) -> None:
    child = stopped_child(lwp)
    caught(child.proc, Signal.CONT)
    child.sigmask = bit(19)
    ksignal(child.proc, Signal.CONT)
    assert (child.proc.stopped, child.pending, child.proc.pending) == (False, 0, bit(19))


def test_cont_to_one_that_is_not_stopped_is_nothing_unless_it_is_caught(lwp: Lwp) -> None:
    ksignal(lwp.proc, Signal.CONT)
    assert (lwp.pending, lwp.proc.pending, lwp.proc.continued) == (0, 0, False)
    caught(lwp.proc, Signal.CONT)
    ksignal(lwp.proc, Signal.CONT)
    assert (lwp.pending, lwp.proc.continued) == (bit(19), False)


def test_cont_takes_stop_signals_back_and_they_it(lwp: Lwp) -> None:
    """Only those that wait at the process: what waits at an LWP stays, as in the original."""
    caught(lwp.proc, Signal.CONT, Signal.TSTP)
    lwp.sigmask = set_of(18, 19)
    ksignal(lwp.proc, Signal.TSTP)
    assert lwp.proc.pending == bit(18)
    ksignal(lwp.proc, Signal.CONT)
    assert lwp.proc.pending == bit(19)
    lwpsignal(lwp.proc, lwp, Signal.TSTP)
    assert (lwp.proc.pending, lwp.pending) == (0, bit(18))
    ksignal(lwp.proc, Signal.CONT)
    assert (lwp.proc.pending, lwp.pending) == (bit(19), bit(18))


def test_a_stop_forgets_that_the_process_was_continued(lwp: Lwp) -> None:
    child = stopped_child(lwp)
    ksignal(child.proc, Signal.CONT)
    ksignal(child.proc, Signal.STOP)
    assert (child.proc.stopped, child.proc.continued) == (True, False)


def test_a_signal_to_a_stopped_process_waits_until_it_is_continued(lwp: Lwp) -> None:
    child = stopped_child(lwp)
    caught(child.proc, Signal.USR1)
    ksignal(child.proc, Signal.USR1)
    assert (child.proc.stopped, child.proc.pending) == (True, bit(30))
    assert child.state is LwpState.STOPPED
    ksignal(child.proc, Signal.CONT)
    assert (child.state, child.proc.pending) == (LwpState.READY, bit(30))


def test_a_stop_signal_to_a_stopped_process_is_forgotten(lwp: Lwp) -> None:
    child = stopped_child(lwp)
    ksignal(child.proc, Signal.TSTP)
    assert (child.proc.pending, child.pending, child.proc.stop_signal) == (0, 0, Signal.STOP)


def test_kill_ends_a_stopped_process(boot: Boot) -> None:
    machine = boot("SYSCALL SYS_wait4, -1, 0, 0, 0\nSYSCALL SYS_exit, 7")
    child = stopped_child(machine.lwp)
    ksignal(child.proc, Signal.KILL)
    assert (child.proc.stopped, child.state) == (False, LwpState.READY)
    assert machine.run() == 7
    assert child.proc.killed_by == Signal.KILL


def test_kill_wakes_a_stopped_process(lwp: Lwp) -> None:
    child = sleeping(child_of(lwp))
    ksignal(child.proc, Signal.STOP)
    ksignal(child.proc, Signal.KILL)
    assert child.state is LwpState.READY


def test_a_signal_that_came_while_the_process_was_stopped_breaks_one_sleep(lwp: Lwp) -> None:
    child = child_of(lwp)
    call_in_group(child)
    sleepers = [sleeping(each) for each in (child, another(child))]
    ksignal(child.proc, Signal.STOP)
    caught(child.proc, Signal.USR1)
    ksignal(child.proc, Signal.USR1)
    assert [each.state for each in sleepers] == [LwpState.SLEEPING] * 2
    ksignal(child.proc, Signal.CONT)
    assert [each.state for each in sleepers] == [LwpState.READY, LwpState.SLEEPING]


@pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)
def test_what_cont_does_to_sleeps_depends_on_the_version(boot: Boot, abi: object) -> None:
    """In 2011 they go on; later those that a signal may break end, as if woken."""
    lwp = boot(abi=abi).lwp
    child = child_of(lwp)
    call_in_group(child)
    first, second = sleeping(child), sleeping(another(child), interruptible=False)
    ksignal(child.proc, Signal.STOP)
    ksignal(child.proc, Signal.CONT)
    goes_on = abi is ABI_2011
    assert first.state is (LwpState.SLEEPING if goes_on else LwpState.READY)
    assert second.state is LwpState.SLEEPING


def test_a_call_does_not_go_on_while_its_process_is_stopped(lwp: Lwp, sched: Scheduler) -> None:
    """A stop signal that comes to light at the end of a sleep stops the process there."""
    child = child_of(lwp)
    call_in_group(child)
    went_on = []

    def pause() -> Generator[Sleep, bool, None]:
        yield Sleep((CHANNEL,))
        went_on.append("yes")

    child.sigmask = bit(18)
    ksignal(child.proc, Signal.TSTP)
    while sched.choose() is not child:
        sched.give_way()
    child.call, child.sleep = pause(), None
    table.resume(child)
    assert child.state is LwpState.SLEEPING
    child.sigmask = 0
    sched.wakeup(CHANNEL)
    while sched.choose() is not child:
        sched.give_way()
    table.resume(child)
    assert (child.proc.stopped, child.state, went_on) == (True, LwpState.STOPPED, [])
    ksignal(child.proc, Signal.CONT)
    while sched.choose() is not child:
        sched.give_way()
    table.resume(child)
    assert (went_on, child.call) == (["yes"], None)


@pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)
def test_who_ignores_sigchld_has_no_children_to_wait_for_in_later_versions(
    boot: Boot, abi: object
) -> None:
    lwp = boot(abi=abi).lwp
    child = child_of(lwp)
    lwp.proc.sigacts.set(Signal.CHLD, SigAction(SIG_IGN))
    exit1(child.proc)
    assert (child.proc.pid in lwp.proc.kernel.procs) == (abi is ABI_2011)
