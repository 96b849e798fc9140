"""The end of processes and LWPs, and waiting for it."""

from collections.abc import Callable

import pytest
from conftest import Booted, call, finish

from emu.abi.errno import Errno
from emu.abi.event import Note
from emu.abi.fcntl import Open
from emu.abi.resource import Rusage
from emu.abi.signal import SIG_IGN, Signal
from emu.abi.unistd import Rfork
from emu.abi.versions import VERSIONS
from emu.abi.vkernel import VmspaceCtl
from emu.abi.wait import WAIT_ANY, Wait
from emu.abi.x86 import PAGE_SIZE
from emu.kern.exit import exit1, kern_wait, lwp_exit
from emu.kern.fork import fork1
from emu.kern.pgrp import new_session
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import LwpState
from emu.kern.sigacts import SigAction, bit
from emu.kern.signal import ksignal, proc_stop

Boot = Callable[..., Booted]

BUFFER = 0x60_0000


def child_of(lwp: Lwp, flags: int = Rfork.PROC | Rfork.FDG) -> Proc:
    return finish(fork1(lwp, flags))


def first_lwp(proc: Proc) -> Lwp:
    return next(iter(proc.lwps.values()))


def wait(lwp: Lwp, pid: int = WAIT_ANY, options: int = Wait.NOHANG) -> tuple[int, int]:
    """Wait without sleeping; return the pid and the status."""
    found, status, _ = finish(kern_wait(lwp, pid, options))
    return found, status


def test_a_zombie_holds_nothing_but_its_number_and_its_status(lwp: Lwp) -> None:
    kernel = lwp.proc.kernel
    file = kernel.tree.open(b"file", lwp.proc.files.cwd, Open.CREAT | Open.RDWR, 0o600)
    lwp.proc.files.add(file)
    used = kernel.phys.used
    child = child_of(lwp)
    child.timers[0] = timer = kernel.sched.callout(1 << 60, lambda: None)
    child.pending = bit(Signal.USR1)
    first_lwp(child).vmspace.copyout(0x40_0000, b"own page")
    assert (file.refs, kernel.lwps) == (2, 2)
    exit1(child, status=0x1FF)
    assert (file.refs, kernel.lwps, child.lwps) == (1, 1, {})
    assert kernel.phys.used <= used + PAGE_SIZE  # the parent's table pages have come
    assert (child.timers, timer.action, child.pending) == ({}, None, 0)
    assert kernel.procs[child.pid] is child and kernel.find(child.pid) is None
    assert child in child.pgrp.members
    assert wait(lwp) == (child.pid, 0xFF00)
    assert child.pid not in kernel.procs and child not in lwp.proc.pgrp.members


def test_the_second_of_two_ends_does_not_count(lwp: Lwp) -> None:
    child = child_of(lwp)
    exit1(child, status=1)
    exit1(child, signal=Signal.KILL)
    assert wait(lwp) == (child.pid, 0x100)


def test_orphans_go_to_init_and_zombies_among_them_are_reaped(lwp: Lwp) -> None:
    child = child_of(lwp)
    living = child_of(first_lwp(child), Rfork.PROC | Rfork.FDG | Rfork.LINUXTHPN)
    dead = child_of(first_lwp(child))
    exit1(dead)
    exit1(child)
    kernel = lwp.proc.kernel
    assert dead.pid not in kernel.procs
    assert (living.parent, living.ppid, living.exit_signal) == (None, 1, Signal.CHLD)
    exit1(living)
    assert living.pid not in kernel.procs


def test_an_orphan_of_a_process_that_is_not_waited_for_vanishes_with_it(lwp: Lwp) -> None:
    child = child_of(lwp)
    pgid = child.pid
    call(first_lwp(child), "setpgid", 0, 0)
    exit1(child)
    assert pgid in lwp.proc.kernel.pgrps
    wait(lwp)
    assert pgid not in lwp.proc.kernel.pgrps


@pytest.mark.parametrize("abi", VERSIONS)
def test_who_ignores_sigchld_still_gets_zombies_in_2011(boot: Boot, abi: str) -> None:
    lwp = boot(abi=VERSIONS[abi]).lwp
    lwp.proc.sigacts.set(Signal.CHLD, SigAction(SIG_IGN))
    child = child_of(lwp)
    exit1(child)
    assert (child.pid in lwp.proc.kernel.procs) == (abi == "2011")


def test_children_of_who_wants_none_vanish_and_wait_ends_with_the_last(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_sigaction, SIGCHLD, action, 0
        CHECK_OK 1
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_wait4, -1, 0, 0, 0
        CHECK_ERRNO 2, ERRNO_ECHILD
        DONE
    child:
        SYSCALL SYS_exit, 0
        .balign 8
    action:
        .quad SIG_DFL
        .long SA_NOCLDWAIT, 0
        .quad 0, 0
        """
    )
    assert machine.run() == 0
    assert len(machine.lwp.proc.kernel.procs) == 1


def test_the_parent_is_signalled_and_woken(lwp: Lwp) -> None:
    child = child_of(lwp)
    lwp.proc.sigacts.set(Signal.CHLD, SigAction(0x1234))
    call(lwp, "wait4", -1, 0, 0, 0)
    assert lwp.state is LwpState.SLEEPING
    exit1(child)
    assert lwp.state is LwpState.READY
    assert lwp.pending == bit(Signal.CHLD)


def test_watchers_are_told_the_status(lwp: Lwp) -> None:
    child = child_of(lwp)
    seen: list[tuple[int, int]] = []
    child.watchers.append(lambda note, data: seen.append((note, data)))
    exit1(child, status=3)
    assert seen == [(Note.EXIT, 0x300)]


def test_a_session_leader_takes_its_foreground_group_with_it(lwp: Lwp) -> None:
    leader = child_of(lwp)
    new_session(leader)
    worker = child_of(first_lwp(leader))
    call(first_lwp(worker), "setpgid", 0, 0)
    session = leader.pgrp.session
    session.foreground = worker.pgrp
    exit1(leader)
    assert (session.leader, session.foreground) == (None, None)
    assert first_lwp(worker).pending == bit(Signal.HUP)


def test_the_vmspaces_go_with_the_last_who_has_them(lwp: Lwp) -> None:
    """abi 6.15."""
    phys = lwp.proc.kernel.phys
    call(lwp, "vmspace_create", 0x1000, 0, 0)
    entry = lwp.proc.vkernel.find(0x1000)
    child = child_of(lwp)
    inside = first_lwp(child)
    call(inside, "vmspace_create", 0x2000, 0, 0)
    exit1(child)
    assert set(lwp.proc.vkernel.entries) == {0x1000, 0x2000}
    used = phys.used
    second = child_of(lwp)
    lwp.proc.vkernel.drop()
    lwp.proc.vkernel = None
    assert second.vkernel.entries[0x1000] is entry
    exit1(second)
    assert phys.used <= used - 2 * PAGE_SIZE


def test_an_lwp_that_ends_inside_a_vmspace_leaves_it(boot: Boot) -> None:
    machine = boot("nop")
    lwp = machine.lwp
    lwp.vmspace.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
    call(lwp, "vmspace_create", 0x1000, 0, 0)
    second = lwp.fork(lwp.proc)
    lwp.proc.kernel.sched.add(second)
    call(second, "vmspace_ctl", 0x1000, VmspaceCtl.RUN, BUFFER, BUFFER + 512)
    assert second.inside
    assert call(lwp, "vmspace_destroy", 0x1000) is Errno.EBUSY
    lwp_exit(second)
    assert call(lwp, "vmspace_destroy", 0x1000) == 0


def test_the_last_lwp_of_a_process_is_the_process(lwp: Lwp) -> None:
    child = child_of(lwp)
    first = first_lwp(child)
    second = first.fork(child)
    lwp.proc.kernel.sched.add(second)
    call(first, "extexit", 0x10000, 1, 0)
    assert child.alive and list(child.lwps.values()) == [second]
    call(second, "extexit", 0x10000, 2, 0)
    assert wait(lwp) == (child.pid, 0x200)


def test_an_lwp_that_exits_ends_the_call_of_another_that_sleeps(lwp: Lwp) -> None:
    child = child_of(lwp)
    sleeper = first_lwp(child)
    sleeper.vmspace.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
    call(sleeper, "wait4", -1, 0, 0, 0)  # ECHILD
    kernel = lwp.proc.kernel
    grandchild = child_of(sleeper)
    sleeper.state = LwpState.RUNNING
    call(sleeper, "wait4", -1, 0, 0, 0)
    assert sleeper.state is LwpState.SLEEPING and kernel.sched.wakeup(child) == 1
    exit1(child)
    assert (sleeper.state, sleeper.call, grandchild.parent) == (LwpState.GONE, None, None)
    assert kernel.sched.wakeup(child) == 0


# wait4: what can be told without sleeping; the rest is in conformance/processes/wait.s


@pytest.mark.parametrize("options", [8, 0x10, 0x4000_0000, 0x7FFF_FFF8])
def test_unknown_options_are_refused(lwp: Lwp, options: int) -> None:
    child_of(lwp)
    assert call(lwp, "wait4", -1, 0, options | Wait.NOHANG, 0) is Errno.EINVAL


def test_a_stopped_child_is_told_of_again_after_it_has_gone_on(lwp: Lwp) -> None:
    child = child_of(lwp)
    proc_stop(child, Signal.TSTP)
    assert wait(lwp) == (0, 0)
    assert wait(lwp, options=Wait.NOHANG | Wait.UNTRACED) == (child.pid, 0x127F)
    assert wait(lwp, options=Wait.NOHANG | Wait.UNTRACED) == (0, 0)
    ksignal(child, Signal.CONT)
    assert wait(lwp, options=Wait.NOHANG | Wait.CONTINUED) == (child.pid, 19)
    proc_stop(child, Signal.STOP)
    assert wait(lwp, options=Wait.NOHANG | Wait.UNTRACED) == (child.pid, 0x117F)
    ksignal(child, Signal.KILL)
    exit1(child, signal=Signal.KILL)
    assert wait(lwp, options=Wait.NOHANG | Wait.UNTRACED | Wait.CONTINUED) == (child.pid, 9)


def test_what_children_have_used_is_summed_up(boot: Boot) -> None:
    """ruadd: grandchildren count once they were waited for."""
    machine = boot(
        """
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_wait4, -1, 0, 0, usage
        CHECK_OK 1
        SYSCALL SYS_getrusage, -1, children
        CHECK_OK 2
        DONE
    child:
        SYSCALL SYS_fork
        test rax, rax
        jz grandchild
        mov rcx, 100000
    one:
        dec rcx
        jnz one
        SYSCALL SYS_wait4, -1, 0, 0, 0
        SYSCALL SYS_exit, 0
    grandchild:
        mov rcx, 300000
    two:
        dec rcx
        jnz two
        SYSCALL SYS_exit, 0
        .balign 8
    usage:
        .space 144
    children:
        .space 144
    end:
        """
    )
    assert machine.run() == 0
    usage = machine.lwp.proc.children_usage
    assert 4_000_000 < usage.user_ns < 4_100_000  # 400,000 blocks of 10 ns, and some calls
    data = machine.lwp.vmspace.copyin(0x40_0000, PAGE_SIZE)
    told = usage.user_ns // 1000
    pair = bytes(Rusage().ru_utime)[:8] + told.to_bytes(8, "little")
    assert data.count(pair) >= 2  # wait4 and getrusage say the same


def test_a_signal_breaks_wait_or_lets_it_go_on(boot: Boot) -> None:
    """EINTR, or the call is made again: SA_RESTART."""
    machine = boot(
        """
        SYSCALL SYS_sigaction, SIGUSR1, breaking, 0
        SYSCALL SYS_sigaction, SIGUSR2, restarting, 0
        SYSCALL SYS_getpid
        mov r14, rax
        SYSCALL SYS_fork
        test rax, rax
        jz child
        mov r15, rax
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_ERRNO 1, ERRNO_EINTR
        CHECK_MEM 2, count, 1
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_EQ 3, rax, r15
        CHECK_MEM 4, count, 2
        DONE
    child:
        SYSCALL SYS_nanosleep, a_moment, 0
        SYSCALL SYS_kill, r14, SIGUSR1
        SYSCALL SYS_nanosleep, a_moment, 0
        SYSCALL SYS_kill, r14, SIGUSR2
        SYSCALL SYS_nanosleep, a_moment, 0
        SYSCALL SYS_exit, 0
    handler:
        inc qword ptr [count]
        ret
        .balign 8
    status:
        .quad 0
    count:
        .quad 0
    a_moment:
        .quad 0, 1000000
    breaking:
        .quad handler, 0, 0, 0
    restarting:
        .quad handler
        .long SA_RESTART, 0
        .quad 0, 0
        """
    )
    assert machine.run() == 0


def test_nobody_is_left_when_the_first_process_ends(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_exit, 5
    child:
        SYSCALL SYS_nanosleep, an_hour, 0
        .balign 8
    an_hour:
        .quad 3600, 0
        """
    )
    kernel = machine.lwp.proc.kernel
    assert machine.run() == 5
    assert kernel.clock.monotonic_ns() < 1_000_000_000
    alone = boot("SYSCALL SYS_exit, 5")
    alone.run()
    for each in (machine, alone):
        each.machine.close()
    assert kernel.lwps == 0
    assert kernel.phys.used == alone.lwp.proc.kernel.phys.used
