"""Processes by number, who may handle whom, and process groups."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from conftest import Booted, call, finish
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.signal import Signal
from emu.abi.unistd import Rfork
from emu.kern.exit import exit1
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Pgrp, Proc, Ucred
from emu.kern.sigacts import SigAction, bit
from emu.kern.signal import ksignal, proc_stop
from syscalls import proc as calls

Boot = Callable[..., Booted]


def child_of(lwp: Lwp) -> Lwp:
    (child,) = finish(fork1(lwp, Rfork.PROC | Rfork.FDG)).lwps.values()
    return child


# Numbers


def test_pids_count_up_and_begin_again_with_100(lwp: Lwp) -> None:
    kernel = lwp.proc.kernel
    assert (lwp.proc.pid, child_of(lwp).proc.pid) == (100, 101)
    kernel._next_pid = 99_999
    assert child_of(lwp).proc.pid == 99_999
    assert child_of(lwp).proc.pid == 102


def test_the_number_of_a_group_or_session_names_no_new_process(lwp: Lwp) -> None:
    kernel = lwp.proc.kernel
    leader = child_of(lwp)
    call(leader, "setsid")
    member = child_of(leader)
    other = child_of(member)
    call(other, "setpgid", 0, 0)
    for gone in (leader, member):
        exit1(gone.proc)
    with suppress(KernelError):
        call(lwp, "wait4", -1, 0, 1, 0)
    assert set(kernel.procs) == {100, 103} and set(kernel.pgrps) == {100, 103}
    kernel._next_pid = 100
    assert kernel.new_pid() == 102  # 101 is the session's


def test_a_zombie_is_not_found_by_its_number(lwp: Lwp) -> None:
    child = child_of(lwp)
    assert lwp.proc.kernel.find(child.proc.pid) is child.proc
    exit1(child.proc)
    assert lwp.proc.kernel.find(child.proc.pid) is None
    for name in ("getpgid", "getsid"):
        assert call(lwp, name, child.proc.pid) is Errno.ESRCH
    assert call(lwp, "setpgid", child.proc.pid, 0) is Errno.ESRCH


# Who may handle whom


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        (Ucred(), Ucred(uid=5, ruid=5), True),
        (Ucred(uid=5, ruid=5), Ucred(), False),
        (Ucred(uid=5, ruid=6), Ucred(uid=6, ruid=7), True),
        (Ucred(uid=5, ruid=6), Ucred(uid=7, ruid=6), True),
        (Ucred(uid=5, ruid=6), Ucred(uid=5, ruid=7), True),
        (Ucred(uid=5, ruid=6), Ucred(uid=7, ruid=5), True),
        (Ucred(uid=5, ruid=6), Ucred(uid=7, ruid=8, svuid=5), False),
        (Ucred(uid=5, ruid=0), Ucred(uid=0, ruid=0), True),
        (Ucred(uid=5, ruid=0), Ucred(uid=7, ruid=7), False),
    ],
)
def test_one_may_handle_another(one: Ucred, other: Ucred, may: bool) -> None:
    """p_trespass."""
    assert one.may_handle(other) is may


# Groups and sessions


def test_a_new_session_has_no_terminal_and_the_old_login_name(lwp: Lwp) -> None:
    lwp.proc.pgrp.session.login = b"somebody"
    child = child_of(lwp)
    assert call(child, "setsid") == child.proc.pid
    session = child.proc.pgrp.session
    assert (session.sid, session.leader, session.foreground) == (101, child.proc, None)
    assert session.login == b"somebody"
    assert call(child, "setsid") is Errno.EPERM
    assert call(child, "setpgid", 0, 0) is Errno.EPERM


def test_who_leads_a_group_that_still_exists_cannot_have_a_session(lwp: Lwp) -> None:
    child = child_of(lwp)
    call(child, "setpgid", 0, 0)
    child_of(child)
    assert call(child, "setpgid", 0, 100) == 0
    assert call(child, "setsid") is Errno.EPERM


def test_a_descendant_may_be_as_far_away_as_there_are_processes(lwp: Lwp) -> None:
    last = lwp.proc
    lwp.proc.kernel.limits.procs = 1200
    for _ in range(1100):
        last = Proc(last.kernel, last.vmspace, last.files, last)
    assert call(lwp, "setpgid", last.pid, 0) == 0
    assert last.pgrp.id == last.pid
    stranger = lwp.proc.kernel.procs[101]
    stranger.set_parent(None)
    assert call(lwp, "setpgid", stranger.pid, 0) is Errno.ESRCH


def test_a_parent_may_move_its_descendants_until_they_execute_a_program(lwp: Lwp) -> None:
    child = child_of(lwp)
    grandchild = child_of(child)
    assert call(lwp, "setpgid", 102, 101) is Errno.EPERM  # no such group
    assert call(lwp, "setpgid", 101, 0) == 0
    assert call(lwp, "setpgid", 102, 101) == 0
    assert call(child, "setpgid", 100, 0) is Errno.ESRCH
    assert call(lwp, "setpgid", 102, -1) is Errno.EINVAL
    grandchild.proc.executed = True
    assert call(lwp, "setpgid", 102, 100) is Errno.EACCES
    assert call(grandchild, "setpgid", 0, 100) == 0
    call(child, "setpgid", 0, 100)
    call(child, "setsid")
    assert call(lwp, "setpgid", 101, 0) is Errno.EPERM
    assert call(lwp, "getsid", 101) == call(lwp, "getpgid", 101) == 101


def jobc(pgrp: Pgrp) -> int:
    """Count the members whose parent is in the session, but in another group."""
    return sum(
        proc.alive
        and proc.parent is not None
        and proc.parent.pgrp is not pgrp
        and proc.parent.pgrp.session is pgrp.session
        for proc in pgrp.members
    )


NUMBERS = st.integers(0, 7)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fork"), NUMBERS, NUMBERS),
        st.tuples(st.just("setpgid"), NUMBERS, NUMBERS),
        st.tuples(st.just("move"), NUMBERS, NUMBERS),
        st.tuples(st.just("setsid"), NUMBERS, NUMBERS),
        st.tuples(st.just("exit"), NUMBERS, NUMBERS),
        st.tuples(st.just("wait"), NUMBERS, NUMBERS),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(STEPS)
def test_groups_know_whether_they_are_orphaned(steps: list[tuple[str, int, int]]) -> None:
    machine = Booted(b"\x90")
    kernel = machine.lwp.proc.kernel
    try:
        for what, first, second in steps:
            living = [proc for proc in kernel.procs.values() if proc.alive]
            proc, other = living[first % len(living)], living[second % len(living)]
            (lwp,) = proc.lwps.values()
            with suppress(KernelError):
                match what:
                    case "fork":
                        child_of(lwp)
                    case "setpgid":
                        calls.setpgid(lwp, 0, [0, other.pgrp.id][second & 1])
                    case "move":
                        calls.setpgid(lwp, other.pid, [0, proc.pgrp.id][second & 1])
                    case "setsid":
                        calls.setsid(lwp)
                    case "exit" if proc is not kernel.first:
                        exit1(proc)
                    case "wait":
                        finish(calls.wait4(lwp, -1, 0, 1, 0))
            for pgrp in kernel.pgrps.values():
                assert pgrp.jobc == jobc(pgrp)
                assert pgrp.orphaned == (jobc(pgrp) == 0)
                assert pgrp.members and all(member.pgrp is pgrp for member in pgrp.members)
            for each in kernel.procs.values():
                assert each.parent is None or (each.parent.alive and each in each.parent.children)
    finally:
        machine.close()


def group_of_two(lwp: Lwp) -> tuple[Proc, Proc]:
    """Return the leader of a group whose parent is outside, and its child in the group."""
    leader = child_of(lwp)
    call(leader, "setpgid", 0, 0)
    return leader.proc, child_of(leader).proc


def test_a_group_with_a_stopped_member_is_hung_up_when_its_leader_exits(lwp: Lwp) -> None:
    leader, member = group_of_two(lwp)
    third = child_of(next(iter(leader.lwps.values()))).proc
    for proc in (member, third):
        proc.sigacts.set(Signal.HUP, SigAction(0x1234))
    proc_stop(member, Signal.STOP)
    exit1(leader)
    assert not member.stopped
    for proc in (member, third):
        assert proc.pending | proc.lwps[0].pending == bit(Signal.HUP)


def test_a_group_without_a_stopped_member_is_left_alone(lwp: Lwp) -> None:
    leader, member = group_of_two(lwp)
    exit1(leader)
    assert member.lwps[0].pending == 0 and member.pgrp.orphaned


def test_a_group_is_not_hung_up_while_somebody_could_continue_it(lwp: Lwp) -> None:
    leader, member = group_of_two(lwp)
    second = child_of(lwp)
    call(lwp, "setpgid", second.proc.pid, leader.pid)
    proc_stop(member, Signal.STOP)
    exit1(leader)
    assert member.stopped
    exit1(second.proc)
    assert not member.stopped


def test_a_group_is_orphaned_when_the_parent_goes_to_another_session(lwp: Lwp) -> None:
    parent = child_of(lwp)
    member = child_of(parent)
    call(member, "setpgid", 0, 0)
    proc_stop(member.proc, Signal.STOP)
    call(parent, "setsid")
    assert not member.proc.stopped


@pytest.mark.parametrize("signal", [Signal.TSTP, Signal.TTIN, Signal.TTOU, Signal.STOP])
def test_the_terminal_does_not_stop_a_group_that_nobody_could_continue(
    lwp: Lwp, signal: Signal
) -> None:
    leader, member = group_of_two(lwp)
    ksignal(member, signal)
    assert member.stopped
    ksignal(member, Signal.CONT)
    exit1(leader)
    ksignal(member, signal)
    assert member.stopped == (signal is Signal.STOP)
