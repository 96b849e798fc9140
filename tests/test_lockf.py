"""Advisory locks: who is in whose way, and who waits for whom."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Booted, call, finish
from hypothesis import given
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Fcntl, Lock, Open, RecordLock
from emu.abi.structs import Flock
from emu.kern.clock import VirtualClock
from emu.kern.file import File, FileTable
from emu.kern.lockf import LAST, Lockf, Range, flock, lock_record
from emu.kern.namecache import Nchandle
from emu.kern.proc import Lwp
from emu.kern.sched import Scheduler, Sleep
from emu.kern.tree import Tree
from syscalls import file as calls
from syscalls import path as paths

Boot = Callable[..., Booted]

A, B, C = "a", "b", "c"


def held(owner: object, first: int, last: int, *, exclusive: bool = True, pid: int = 1) -> Range:
    return Range(owner, exclusive, first, last, pid)


def ranges(locks: Lockf) -> list[tuple[object, int, int, bool]]:
    return [(each.owner, each.first, each.last, each.exclusive) for each in locks.ranges]


def test_shared_locks_do_not_exclude_each_other() -> None:
    locks = Lockf()
    locks.add(held(A, 0, 9, exclusive=False))
    assert locks.conflict(held(B, 5, 20, exclusive=False)) is None
    assert locks.conflict(held(B, 9, 20)) == held(A, 0, 9, exclusive=False)
    assert locks.conflict(held(B, 10, 20)) is None


def test_an_owner_is_never_in_its_own_way() -> None:
    locks = Lockf()
    locks.add(held(A, 0, LAST))
    assert locks.conflict(held(A, 5, 6)) is None


def test_a_new_lock_replaces_what_its_owner_had_there() -> None:
    locks = Lockf()
    locks.add(held(A, 0, 99))
    locks.add(held(A, 10, 19, exclusive=False))
    assert ranges(locks) == [(A, 0, 9, True), (A, 10, 19, False), (A, 20, 99, True)]


def test_the_middle_of_a_lock_can_be_given_up() -> None:
    locks = Lockf()
    locks.add(held(A, 0, LAST))
    locks.remove(A, 100, 199)
    assert ranges(locks) == [(A, 0, 99, True), (A, 200, LAST, True)]
    locks.remove(B)
    assert len(locks.ranges) == 2
    locks.remove(A)
    assert locks.ranges == []


@pytest.fixture
def sched() -> Scheduler:
    return Scheduler(VirtualClock())


def test_whoever_may_not_wait_gets_eagain(sched: Scheduler) -> None:
    locks = Lockf()
    locks.add(held(A, 0, 9))
    with pytest.raises(KernelError) as caught:
        next(lock_record(sched, locks, held(B, 9, 9, pid=2), wait=False))
    assert caught.value.errno is Errno.EAGAIN


def test_a_waiter_gets_the_lock_when_it_is_released(sched: Scheduler) -> None:
    locks = Lockf()
    locks.add(held(A, 0, 9))
    waiter = lock_record(sched, locks, held(B, 0, 9, pid=2), wait=True)
    assert isinstance(next(waiter), Sleep)
    locks.remove(A, 0, 4)
    assert isinstance(waiter.send(True), Sleep)
    locks.remove(A)
    with pytest.raises(StopIteration):
        waiter.send(True)
    assert ranges(locks) == [(B, 0, 9, True)]
    assert not locks.waiting


def test_waiting_for_somebody_who_waits_is_a_deadlock(sched: Scheduler) -> None:
    locks = Lockf()
    locks.add(held(A, 0, 0))
    locks.add(held(B, 1, 1))
    first = lock_record(sched, locks, held(A, 1, 1), wait=True)
    next(first)
    with pytest.raises(KernelError) as caught:
        next(lock_record(sched, locks, held(B, 0, 0, pid=2), wait=True))
    assert caught.value.errno is Errno.EDEADLK
    first.close()  # its LWP died
    assert not locks.waiting


bytes_of_file = st.integers(0, 30)


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B, C]), bytes_of_file, bytes_of_file, st.sampled_from("sxu")),
        max_size=30,
    )
)
def test_locks_are_like_a_table_of_bytes(steps: list[tuple[str, int, int, str]]) -> None:
    locks = Lockf()
    table: dict[tuple[str, int], str] = {}
    for owner, one, other, kind in steps:
        first, last = min(one, other), max(one, other)
        span = range(first, last + 1)
        if kind == "u":
            locks.remove(owner, first, last)
            for at in span:
                table.pop((owner, at), None)
            continue
        blocked = any(
            at in span and holder != owner and "x" in (kind, held_kind)
            for (holder, at), held_kind in table.items()
        )
        wanted = held(owner, first, last, exclusive=kind == "x")
        assert (locks.conflict(wanted) is not None) == blocked
        if not blocked:
            locks.add(wanted)
            table.update({(owner, at): kind for at in span})
    found = {
        (each.owner, at): "x" if each.exclusive else "s"
        for each in locks.ranges
        for at in range(each.first, each.last + 1)
    }
    assert found == table
    assert locks.ranges == sorted(locks.ranges, key=lambda each: each.first)


# By open files


def take(sched: Scheduler, file: File, *, exclusive: bool) -> None:
    """Lock a file, or raise KernelError if that would mean to wait."""
    finish(flock(sched, file.node, file, exclusive=exclusive, wait=False))


@pytest.mark.parametrize("emulators", [1, 2])
def test_a_lock_keeps_other_open_files_out(
    sched: Scheduler, tmp_path: Path, emulators: int
) -> None:
    """Those of another emulator too."""
    (tmp_path / "file").touch()
    tree, other = Tree(tmp_path), Tree(tmp_path)
    holder = tree.open(b"file", Nchandle(), Open.RDWR)
    rival = (tree if emulators == 1 else other).open(b"file", Nchandle(), Open.RDWR)
    take(sched, holder, exclusive=True)
    for exclusive in (True, False):
        with pytest.raises(KernelError) as caught:
            take(sched, rival, exclusive=exclusive)
        assert caught.value.errno is Errno.EAGAIN
    holder.drop()
    take(sched, rival, exclusive=True)
    rival.drop()
    tree.close()
    other.close()


def test_the_lock_of_another_emulator_is_waited_for(sched: Scheduler, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tree, other = Tree(tmp_path), Tree(tmp_path)
    holder = other.open(b"file", Nchandle(), Open.RDWR)
    take(sched, holder, exclusive=True)
    waiter = tree.open(b"file", Nchandle(), Open.RDWR)
    waiting = flock(sched, waiter.node, waiter, exclusive=True, wait=True)
    assert next(waiting).deadline == 10_000_000  # to look again: the host tells nobody
    holder.drop()
    with pytest.raises(StopIteration):
        waiting.send(False)
    tree.close()
    other.close()


# What other LWPs do meanwhile


def opened(lwp: Lwp) -> int:
    """Open a file, the same each time."""
    at = lwp.frame.rsp - 64
    lwp.vmspace.copyout(at, b"file\0")
    fd = call(lwp, "open", at, Open.RDWR | Open.CREAT, 0o600)
    assert not isinstance(fd, Errno)
    return fd


def test_who_closes_the_file_while_flock_waits_gives_up_the_lock_too(lwp: Lwp) -> None:
    holder, waiter = opened(lwp), opened(lwp)
    node = lwp.proc.files.get(holder).node
    call(lwp, "flock", holder, Lock.EX)
    waiting = calls.flock(lwp, waiter, Lock.EX)
    next(waiting)
    call(lwp, "close", waiter)
    call(lwp, "flock", holder, Lock.UN)
    with pytest.raises(StopIteration):
        waiting.send(True)
    assert node.locks.ranges == []


def test_who_closes_the_file_while_fcntl_waits_gives_up_the_lock_too(lwp: Lwp) -> None:
    fd, other = opened(lwp), FileTable()
    node = lwp.proc.files.get(fd).node
    node.locks.add(Range(other, True, 0, LAST, 1))
    at = lwp.frame.rsp - 64
    lwp.vmspace.copyout(at, bytes(Flock(l_type=RecordLock.WRLCK)))
    waiting = calls.fcntl(lwp, fd, Fcntl.SETLKW, at)
    next(waiting)
    call(lwp, "close", fd)
    node.locks.remove(other)
    with pytest.raises(StopIteration):
        waiting.send(True)
    assert node.locks.ranges == []


def test_a_file_that_gets_no_descriptor_after_all_is_not_locked(lwp: Lwp) -> None:
    holder = opened(lwp)
    node = lwp.proc.files.get(holder).node
    call(lwp, "flock", holder, Lock.EX)
    waiting = paths.open(lwp, lwp.frame.rsp - 64, Open.RDWR | Open.EXLOCK, 0)
    next(waiting)
    lwp.proc.files.limit = 1
    call(lwp, "flock", holder, Lock.UN)
    with pytest.raises(KernelError) as refusal:
        waiting.send(True)
    assert refusal.value.errno is Errno.EMFILE
    assert node.locks.ranges == []


# By processes

OPEN = """
        SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
        CHECK_OK 1
        mov r15, rax
"""
DATA = """
        .balign 8
path:   .asciz "file"
        .balign 8
status: .quad 0
lock:   .quad 0, 0
        .long 0
        .short F_WRLCK, SEEK_SET
short:  .quad 0, 2000000
"""


def test_a_child_waits_for_the_record_lock_of_its_parent(boot: Boot) -> None:
    machine = boot(
        OPEN
        + """
        SYSCALL SYS_fcntl, r15, F_SETLK, lock
        CHECK_OK 2
        SYSCALL SYS_fork
        test rax, rax
        jz child
        mov r14, rax
        SYSCALL SYS_nanosleep, short, 0
        SYSCALL SYS_wait4, r14, status, WNOHANG, 0
        CHECK_EQ 3, rax, 0
        SYSCALL SYS_close, r15            # gives the lock up
        SYSCALL SYS_wait4, r14, status, 0, 0
        CHECK_MEM 4, status, 0x500
        DONE
child:
        SYSCALL SYS_fcntl, r15, F_SETLK, lock
        CHECK_ERRNO 5, ERRNO_EAGAIN
        SYSCALL SYS_fcntl, r15, F_SETLKW, lock
        CHECK_OK 6
        SYSCALL SYS_exit, 5
        """
        + DATA
    )
    assert machine.run() == 0
    assert machine.told == []


def test_flock_is_shared_by_fork_and_waits_between_open_files(boot: Boot) -> None:
    machine = boot(
        OPEN
        + """
        SYSCALL SYS_flock, r15, LOCK_EX
        CHECK_OK 2
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_nanosleep, short, 0
        SYSCALL SYS_flock, r15, LOCK_UN
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_MEM 3, status, 0x500
        DONE
child:
        SYSCALL SYS_flock, r15, LOCK_EX + LOCK_NB     # its own already
        CHECK_OK 4
        SYSCALL SYS_open, path, O_RDWR + O_EXLOCK + O_NONBLOCK, 0
        CHECK_ERRNO 5, ERRNO_EAGAIN
        SYSCALL SYS_open, path, O_RDWR + O_EXLOCK, 0
        CHECK_OK 6
        SYSCALL SYS_exit, 5
        """
        + DATA
    )
    assert machine.run() == 0


def test_a_signal_ends_the_wait_for_a_lock(boot: Boot) -> None:
    machine = boot(
        OPEN
        + """
        SYSCALL SYS_flock, r15, LOCK_EX
        SYSCALL SYS_sigaction, SIGUSR1, action, 0
        SYSCALL SYS_fork
        test rax, rax
        jz child
        mov r14, rax
        SYSCALL SYS_nanosleep, short, 0
        SYSCALL SYS_kill, r14, SIGUSR1
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_MEM 2, status, 0x500
        DONE
child:
        SYSCALL SYS_open, path, O_RDWR + O_SHLOCK, 0
        CHECK_ERRNO 3, ERRNO_EINTR
        SYSCALL SYS_dup, r15                          # the descriptor of that open is free
        CHECK_EQ 4, rax, 1
        SYSCALL SYS_exit, 5
handler:
        ret
        .balign 8
action: .quad handler, 0, 0, 0
        """
        + DATA
    )
    assert machine.run() == 0
