"""Scheduling policies, which are remembered (sys/kern/kern_p1003_1b.c, kern_sched.c)."""

from struct import pack, unpack

import pytest
from conftest import call, finish

from emu.abi.errno import Errno
from emu.abi.unistd import Rfork
from emu.abi.x86 import PAGE_SIZE
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Ucred

BUFFER = 0x60_0000
BAD = 0x7000_0000
FIFO, OTHER, RR = 1, 2, 3
OTHERS = 999
NORMAL = (1, 0)


@pytest.fixture
def lwp(lwp: Lwp) -> Lwp:
    lwp.vmspace.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
    return lwp


def param(lwp: Lwp, priority: int) -> int:
    lwp.vmspace.copyout(BUFFER, pack("<i", priority))
    return BUFFER


def priority(lwp: Lwp, pid: int = 0) -> int:
    assert call(lwp, "sched_getparam", pid, param(lwp, -1)) == 0
    return int(unpack("<i", lwp.vmspace.copyin(BUFFER, 4))[0])


def test_a_process_has_no_policy_of_real_time_at_first(lwp: Lwp) -> None:
    assert call(lwp, "sched_getscheduler", 0) == OTHER
    assert priority(lwp) == 0


@pytest.mark.parametrize(("policy", "rtprio"), [(FIFO, (4, 24)), (RR, (0, 24))])
def test_a_policy_is_the_one_of_rtprio_the_other_way_round(
    lwp: Lwp, policy: int, rtprio: tuple[int, int]
) -> None:
    assert call(lwp, "sched_setscheduler", 0, policy, param(lwp, 7)) == 0
    assert lwp.rtprio == rtprio
    assert call(lwp, "sched_getscheduler", lwp.proc.pid) == policy
    assert priority(lwp) == 7
    assert call(lwp, "sched_setparam", 0, param(lwp, 31)) == 0
    assert (lwp.rtprio[1], priority(lwp)) == (0, 31)
    assert call(lwp, "sched_setscheduler", 0, OTHER, param(lwp, 3)) == 0
    assert (lwp.rtprio, priority(lwp)) == ((1, 28), 0)


@pytest.mark.parametrize("wrong", [-1, 32])
def test_priorities_of_real_time_are_0_to_31(lwp: Lwp, wrong: int) -> None:
    assert call(lwp, "sched_setscheduler", 0, RR, param(lwp, wrong)) is Errno.EPERM
    assert lwp.rtprio == NORMAL


def test_the_usual_policy_takes_any_priority_as_16_bits(lwp: Lwp) -> None:
    assert call(lwp, "sched_setscheduler", 0, OTHER, param(lwp, 32)) == 0
    assert lwp.rtprio == (1, 0xFFFF)


def test_the_usual_policy_has_no_priorities_to_set(lwp: Lwp) -> None:
    assert call(lwp, "sched_setparam", 0, param(lwp, 0)) is Errno.EINVAL


def test_a_policy_that_does_not_exist_changes_nothing(lwp: Lwp) -> None:
    assert call(lwp, "sched_setscheduler", 0, 4, param(lwp, 5)) == 0
    assert lwp.rtprio == NORMAL


def test_priorities_have_a_range(lwp: Lwp) -> None:
    for policy in (FIFO, RR):
        assert call(lwp, "sched_get_priority_min", policy) == 0
        assert call(lwp, "sched_get_priority_max", policy) == 31
    assert call(lwp, "sched_get_priority_min", OTHER) == (1 << 64) - 20
    assert call(lwp, "sched_get_priority_max", OTHER) == 20
    for name in ("sched_get_priority_min", "sched_get_priority_max"):
        assert call(lwp, name, 0) is Errno.EINVAL


def test_a_slice_is_said_to_be_a_tenth_of_a_second(lwp: Lwp) -> None:
    assert call(lwp, "sched_rr_get_interval", 0, BUFFER) == 0
    assert unpack("<qq", lwp.vmspace.copyin(BUFFER, 16)) == (0, 100_000_000)
    assert call(lwp, "sched_rr_get_interval", 0, BAD) is Errno.EFAULT


def test_only_root_may_change_or_look_at_others(lwp: Lwp) -> None:
    child = finish(fork1(lwp, Rfork.PROC | Rfork.FDG))
    assert call(lwp, "sched_setscheduler", child.pid, FIFO, param(lwp, 1)) == 0
    assert priority(lwp, child.pid) == 1
    lwp.proc.ucred = child.ucred = Ucred(uid=5, ruid=5)
    for pid in (0, lwp.proc.pid, child.pid):
        assert call(lwp, "sched_setscheduler", pid, OTHER, param(lwp, 1)) is Errno.EPERM
        assert call(lwp, "sched_setparam", pid, param(lwp, 1)) is Errno.EPERM
        assert call(lwp, "sched_rr_get_interval", pid, BUFFER) is Errno.EPERM
    for name in ("sched_getparam", "sched_getscheduler"):
        assert call(lwp, name, child.pid, BUFFER) is Errno.EPERM
        assert not isinstance(call(lwp, name, lwp.proc.pid, BUFFER), Errno)


def test_nobody_has_the_number(lwp: Lwp) -> None:
    lwp.proc.ucred = Ucred(uid=5)
    for name in ("sched_getparam", "sched_getscheduler", "sched_setparam", "sched_rr_get_interval"):
        assert call(lwp, name, OTHERS, BUFFER) is Errno.ESRCH
    assert call(lwp, "sched_setscheduler", OTHERS, RR, BUFFER) is Errno.ESRCH


def test_what_is_set_must_be_readable_and_what_is_asked_need_not_be_writable(lwp: Lwp) -> None:
    assert call(lwp, "sched_setparam", 0, BAD) is Errno.EFAULT
    assert call(lwp, "sched_setscheduler", 0, RR, BAD) is Errno.EFAULT
    assert call(lwp, "sched_getparam", 0, BAD) == 0
