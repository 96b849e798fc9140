"""Who a process is, and what only root may do."""

from struct import pack, unpack

import pytest
from conftest import call, finish

from emu.abi.errno import Errno
from emu.abi.resource import Rlimit, RlimitKind
from emu.abi.signal import Signal
from emu.abi.unistd import Rfork
from emu.abi.x86 import PAGE_SIZE
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Ucred

BUFFER = 0x60_0000
BAD = 0x7000_0000
SAME = 0xFFFF_FFFF

SOMEBODY = Ucred(uid=5, ruid=6, svuid=7, groups=(15, 1, 2), rgid=16, svgid=17)


@pytest.fixture
def lwp(lwp: Lwp) -> Lwp:
    lwp.vmspace.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
    return lwp


def users(lwp: Lwp) -> tuple[int, int, int]:
    ids = lwp.proc.ucred
    return ids.ruid, ids.uid, ids.svuid


def groups(lwp: Lwp) -> tuple[int, int, int]:
    ids = lwp.proc.ucred
    return ids.rgid, ids.gid, ids.svgid


def test_guests_start_as_root(lwp: Lwp) -> None:
    for name in ("getuid", "geteuid", "getgid", "getegid", "issetugid"):
        assert call(lwp, name) == 0
    assert call(lwp, "getgroups", 0, 0) == 1


def test_a_process_has_real_and_effective_ids(lwp: Lwp) -> None:
    lwp.proc.ucred = SOMEBODY
    assert [call(lwp, name) for name in ("getuid", "geteuid", "getgid", "getegid")] == [
        6,
        5,
        16,
        15,
    ]
    assert call(lwp, "getresuid", BUFFER, BUFFER + 4, BUFFER + 8) == 0
    assert unpack("<3I", lwp.vmspace.copyin(BUFFER, 12)) == (6, 5, 7)
    assert call(lwp, "getresgid", BUFFER, BUFFER + 4, BUFFER + 8) == 0
    assert unpack("<3I", lwp.vmspace.copyin(BUFFER, 12)) == (16, 15, 17)


@pytest.mark.parametrize("name", ["getresuid", "getresgid"])
def test_ids_are_stored_where_that_can_be_done(lwp: Lwp, name: str) -> None:
    lwp.proc.ucred = SOMEBODY
    assert call(lwp, name, 0, 0, 0) == 0
    assert call(lwp, name, BAD, 0, BUFFER) is Errno.EFAULT
    assert lwp.vmspace.copyin(BUFFER, 4) != bytes(4)


# As root everything is possible.


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("setuid", 8)], (8, 8, 8)),
        ([("seteuid", 8)], (0, 8, 0)),
        ([("setreuid", 8, 9)], (8, 9, 9)),
        ([("setreuid", SAME, 9)], (0, 9, 9)),
        ([("setreuid", 8, SAME)], (8, 0, 0)),
        ([("setreuid", SAME, SAME)], (0, 0, 0)),
        ([("setresuid", 8, 9, 10)], (8, 9, 10)),
        ([("setresuid", SAME, 9, SAME)], (0, 9, 0)),
        ([("setuid", SAME)], (SAME, SAME, SAME)),
        ([("setresuid", 8, 9, 10), ("setreuid", SAME, 8)], (8, 8, 10)),
    ],
)
def test_root_may_be_anybody(
    lwp: Lwp, calls: list[tuple[str, int]], expected: tuple[int, int, int]
) -> None:
    for name, *ids in calls:
        assert call(lwp, name, *ids) == 0
    assert users(lwp) == expected
    assert call(lwp, "issetugid") == (expected != (0, 0, 0))


@pytest.mark.parametrize(
    ("name", "ids", "expected"),
    [
        ("setgid", [8], (8, 8, 8)),
        ("setegid", [8], (0, 8, 0)),
        ("setregid", [8, 9], (8, 9, 9)),
        ("setregid", [SAME, 9], (0, 9, 9)),
        ("setresgid", [8, 9, 10], (8, 9, 10)),
        ("setresgid", [SAME, SAME, 10], (0, 0, 10)),
    ],
)
def test_root_may_be_in_any_group(
    lwp: Lwp, name: str, ids: list[int], expected: tuple[int, int, int]
) -> None:
    assert call(lwp, name, *ids) == 0
    assert groups(lwp) == expected
    assert call(lwp, "issetugid") == 1


# Others have the ids they have.


@pytest.mark.parametrize(
    ("name", "ids", "expected"),
    [
        ("setuid", [6], (6, 6, 6)),
        ("setuid", [5], (5, 5, 5)),
        ("setuid", [7], None),
        ("setuid", [SAME], None),
        ("seteuid", [6], (6, 6, 7)),
        ("seteuid", [7], (6, 7, 7)),
        ("seteuid", [5], None),
        ("setreuid", [7, 6], (7, 6, 6)),
        ("setreuid", [6, 7], (6, 7, 7)),
        ("setreuid", [SAME, 6], (6, 6, 7)),
        ("setreuid", [5, SAME], None),
        ("setreuid", [6, 8], None),
        ("setresuid", [5, 6, 7], (5, 6, 7)),
        ("setresuid", [7, SAME, 5], (7, 5, 5)),
        ("setresuid", [6, 6, 8], None),
        ("setresuid", [0, SAME, SAME], None),
    ],
)
def test_others_may_only_choose_among_their_users(
    lwp: Lwp, name: str, ids: list[int], expected: tuple[int, int, int] | None
) -> None:
    lwp.proc.ucred = SOMEBODY
    result = call(lwp, name, *ids)
    assert result == (Errno.EPERM if expected is None else 0)
    assert users(lwp) == (expected or (6, 5, 7))
    assert groups(lwp) == (16, 15, 17)


@pytest.mark.parametrize(
    ("name", "ids", "expected"),
    [
        ("setgid", [16], (16, 16, 16)),
        ("setgid", [15], (15, 15, 15)),
        ("setgid", [17], None),
        ("setegid", [17], (16, 17, 17)),
        ("setegid", [15], None),
        ("setregid", [17, 16], (17, 16, 16)),
        ("setregid", [15, SAME], None),
        ("setresgid", [15, 16, 17], (15, 16, 17)),
        ("setresgid", [1, SAME, SAME], None),
    ],
)
def test_others_may_only_choose_among_their_groups(
    lwp: Lwp, name: str, ids: list[int], expected: tuple[int, int, int] | None
) -> None:
    lwp.proc.ucred = SOMEBODY
    result = call(lwp, name, *ids)
    assert result == (Errno.EPERM if expected is None else 0)
    assert groups(lwp) == (expected or (16, 15, 17))
    assert lwp.proc.ucred.groups[1:] == (1, 2)


def test_ids_that_do_not_change_are_no_change(lwp: Lwp) -> None:
    lwp.proc.ucred = SOMEBODY
    call(lwp, "seteuid", 6)
    lwp.proc.changed_ids = False
    assert call(lwp, "seteuid", 6) == call(lwp, "setresgid", 16, 15, 17) == 0
    assert call(lwp, "issetugid") == 0


# Groups


def test_groups_are_set_and_got_with_the_effective_one_first(lwp: Lwp) -> None:
    lwp.vmspace.copyout(BUFFER, pack("<3I", 9, 8, 7))
    assert call(lwp, "setgroups", 3, BUFFER) == 0
    assert call(lwp, "getegid") == 9
    assert call(lwp, "getgroups", 2, BUFFER + 16) is Errno.EINVAL
    assert call(lwp, "getgroups", 16, BUFFER + 16) == 3
    assert unpack("<4I", lwp.vmspace.copyin(BUFFER + 16, 16)) == (9, 8, 7, 0)
    assert call(lwp, "getgroups", 3, BAD) is Errno.EFAULT
    assert call(lwp, "setgroups", 0, BAD) == 0
    assert lwp.proc.ucred.groups == (9,)
    assert call(lwp, "issetugid") == 1


@pytest.mark.parametrize(
    ("count", "at", "errno"),
    [(17, BUFFER, Errno.EINVAL), (SAME, BUFFER, Errno.EINVAL), (1, BAD, Errno.EFAULT)],
)
def test_refused_groups_change_nothing(lwp: Lwp, count: int, at: int, errno: Errno) -> None:
    assert call(lwp, "setgroups", count, at) is errno
    assert (lwp.proc.ucred, lwp.proc.changed_ids) == (Ucred(), False)


# What is for root


def test_others_may_not_do_what_is_for_root(lwp: Lwp) -> None:
    lwp.proc.ucred = SOMEBODY
    lwp.vmspace.copyout(BUFFER, b"name\0")
    assert call(lwp, "setgroups", 0, 0) is Errno.EPERM
    assert call(lwp, "setlogin", BUFFER) is Errno.EPERM
    assert call(lwp, "mlock", BUFFER, PAGE_SIZE) is Errno.EPERM
    assert call(lwp, "munlock", BUFFER, PAGE_SIZE) is Errno.EPERM
    assert call(lwp, "mlockall", 2) is Errno.EPERM


def test_others_may_set_their_limits_but_not_raise_them(lwp: Lwp) -> None:
    lwp.proc.ucred = SOMEBODY
    lwp.proc.rlimits[RlimitKind.FSIZE] = Rlimit(10, 20)
    for cur, highest, result in [
        (20, 20, 0),
        (5, 21, Errno.EPERM),
        (21, 20, Errno.EPERM),
        (-1, 20, Errno.EPERM),
        (5, 15, 0),
        (5, 20, Errno.EPERM),
    ]:
        lwp.vmspace.copyout(BUFFER, pack("<qq", cur, highest))
        assert call(lwp, "setrlimit", RlimitKind.FSIZE, BUFFER) == result
    assert lwp.proc.rlimits[RlimitKind.FSIZE] == (5, 15)


def child_of(lwp: Lwp, ucred: Ucred) -> Lwp:
    child = finish(fork1(lwp, Rfork.PROC | Rfork.FDG))
    child.ucred = ucred
    (only,) = child.lwps.values()
    return only


def test_others_may_signal_their_own_and_continue_their_session(lwp: Lwp) -> None:
    mine = child_of(lwp, Ucred(uid=9, ruid=5))
    theirs = child_of(lwp, Ucred(uid=9, ruid=9))
    lwp.proc.ucred = SOMEBODY
    own, foreign = mine.proc.pid, theirs.proc.pid
    assert call(lwp, "kill", own, 0) == 0
    assert call(lwp, "kill", foreign, 0) is Errno.EPERM
    assert call(lwp, "kill", foreign, Signal.CONT) == 0
    assert call(lwp, "lwp_kill", foreign, 0, Signal.TERM) is Errno.EPERM
    assert call(lwp, "kill", 0, Signal.USR1) == 0  # those who may be signalled
    assert mine.pending and not theirs.pending
    assert call(lwp, "kill", -1, Signal.USR2) == 0
    call(theirs, "setsid")
    assert call(lwp, "kill", foreign, Signal.CONT) is Errno.EPERM
    assert call(lwp, "kill", -foreign, Signal.TERM) is Errno.ESRCH


@pytest.mark.parametrize(
    ("target", "prio", "result"),
    [
        (Ucred(uid=5), 10, 0),
        (Ucred(uid=6), 10, 0),
        (Ucred(uid=5), 4, Errno.EACCES),
        (Ucred(uid=5), 5, 0),
        (Ucred(uid=7), 10, Errno.EPERM),
        (Ucred(uid=7), 4, Errno.EPERM),
    ],
)
def test_others_may_only_be_nicer(lwp: Lwp, target: Ucred, prio: int, result: int | Errno) -> None:
    child = child_of(lwp, target)
    lwp.proc.ucred, child.proc.nice = SOMEBODY, 5
    assert call(lwp, "setpriority", 0, child.proc.pid, prio) == result
    assert child.proc.nice == (prio if result == 0 else 5)


@pytest.mark.parametrize(
    ("pid", "kind", "result"),
    [(0, 1, 0), (0, 2, 0), (0, 0, Errno.EPERM), (0, 4, Errno.EPERM), (100, 1, Errno.EPERM)],
)
def test_others_have_no_realtime_priority(
    lwp: Lwp, pid: int, kind: int, result: int | Errno
) -> None:
    lwp.proc.ucred = SOMEBODY
    lwp.vmspace.copyout(BUFFER, pack("<HH", kind, 3))
    assert call(lwp, "rtprio", 1, pid, BUFFER) == result
    assert call(lwp, "lwp_rtprio", 1, pid, -1, BUFFER) == result
    assert call(lwp, "rtprio", 0, 100, BUFFER) == 0


def test_others_do_not_set_kernel_variables(lwp: Lwp) -> None:
    name = b"vm.vkernel_enable"
    lwp.vmspace.copyout(BUFFER, pack("<ii", 0, 3))
    lwp.vmspace.copyout(BUFFER + 64, name)
    lwp.vmspace.copyout(BUFFER + 128, pack("<Q", 64))
    assert call(lwp, "__sysctl", BUFFER, 2, BUFFER + 256, BUFFER + 128, BUFFER + 64, len(name)) == 0
    (size,) = unpack("<Q", lwp.vmspace.copyin(BUFFER + 128, 8))
    value = BUFFER + 64
    lwp.vmspace.copyout(value, bytes(4))
    lwp.proc.ucred = SOMEBODY
    assert call(lwp, "__sysctl", BUFFER + 256, size // 4, 0, 0, value, 4) is Errno.EPERM
    assert lwp.proc.kernel.vkernel_enable
    lwp.proc.ucred = Ucred()
    assert call(lwp, "__sysctl", BUFFER + 256, size // 4, 0, 0, value, 4) == 0
    assert not lwp.proc.kernel.vkernel_enable


# The login name


def test_a_session_has_a_login_name(lwp: Lwp) -> None:
    assert call(lwp, "getlogin", BUFFER, 100) == 0
    assert lwp.vmspace.copyin(BUFFER, 18) == b"root" + bytes(14)
    lwp.vmspace.copyout(BUFFER, b"a-name-of-sixteen" + bytes(1))
    assert call(lwp, "setlogin", BUFFER) is Errno.EINVAL
    lwp.vmspace.copyout(BUFFER, b"a-name-of-16-chr" + bytes(1))
    assert call(lwp, "setlogin", BUFFER) == 0
    assert call(lwp, "setlogin", BAD) is Errno.EFAULT
    lwp.vmspace.copyout(BUFFER, b"\xee" * 32)
    assert call(lwp, "getlogin", BUFFER, 6) == 0
    assert lwp.vmspace.copyin(BUFFER, 7) == b"a-name\xee"
    assert call(lwp, "getlogin", BUFFER, SAME) == 0
    assert lwp.vmspace.copyin(BUFFER, 18) == b"a-name-of-16-chr\0\xee"
