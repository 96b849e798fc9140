"""What a child is, and when there can be none.  What it sees: guest_programs/conformance."""

from collections.abc import Callable

import pytest
from conftest import Booted, call, finish

from emu.abi.errno import Errno, KernelError
from emu.abi.resource import Rlimit, RlimitKind
from emu.abi.signal import Signal, SsFlag
from emu.abi.unistd import Rfork
from emu.abi.versions import VERSIONS
from emu.abi.x86 import PAGE_SIZE, Rflags
from emu.kern.exec import execve
from emu.kern.exit import exit1
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Ucred
from emu.kern.sched import LwpState
from emu.kern.sigacts import SigAction, bit
from emu.kern.signal import ksignal
from emu.kern.vkernel import VkernelProc

Boot = Callable[..., Booted]

# One page of text with the headers in it: jmp to itself at 0x10000078.
ELF = (
    bytes.fromhex("7f454c4602010100 0000000000000000 02003e0001000000 7800001000000000")
    + bytes.fromhex("4000000000000000 0000000000000000 0000000040003800 0100400000000000")
    + bytes.fromhex("0100000005000000 0000000000000000 0000001000000000 0000001000000000")
    + bytes.fromhex("7a00000000000000 7a00000000000000 0010000000000000 ebfe")
)
FORK = Rfork.PROC | Rfork.FDG


def child_of(lwp: Lwp, flags: int = FORK) -> Lwp:
    """Fork, and return the only LWP of the child."""
    (child,) = finish(fork1(lwp, flags)).lwps.values()
    return child


@pytest.mark.parametrize("name", ["fork", "rfork"])
@pytest.mark.parametrize("abi", VERSIONS)
def test_both_return_with_two_results(boot: Boot, abi: str, name: str) -> None:
    """abi 1.3."""
    lwp = boot(abi=VERSIONS[abi]).lwp
    frame = lwp.frame
    frame.rbx, frame.r8, frame.rflags = 0x77, 0x88, frame.rflags | Rflags.C | Rflags.Z
    pid = call(lwp, name, FORK, 6, 0xDEAD)
    assert (pid, frame.rax, frame.rdx) == (101, 101, 0)
    assert frame.rflags & (Rflags.C | Rflags.Z) == Rflags.Z
    (child,) = lwp.proc.kernel.procs[101].lwps.values()
    saved = child.saved_frame()
    assert (saved.rax, saved.rdx, saved.rdi, saved.rbx, saved.r8) == (0, 1, FORK, 0x77, 0x88)
    assert saved.rflags & (Rflags.C | Rflags.Z) == Rflags.Z
    assert (saved.rip, saved.rsp) == (frame.rip, frame.rsp)
    assert (child.tid, child.state) == (0, LwpState.READY)


def test_a_child_is_like_its_parent(lwp: Lwp) -> None:
    proc = lwp.proc
    proc.name, proc.umask, proc.nice = "prog", 0o27, 5
    proc.ucred, proc.changed_ids = Ucred(uid=7, ruid=8), True
    proc.rlimits[RlimitKind.FSIZE] = Rlimit(1, 2)
    proc.sigacts.set(Signal.USR1, SigAction(0x1234))
    lwp.sigmask = bit(Signal.USR2)
    lwp.altstack.sp, lwp.altstack.size, lwp.altstack.enabled = 0x1000, 0x2000, True
    lwp.altstack.flags = SsFlag.ONSTACK
    lwp.cpus = frozenset((0,))
    lwp.rtprio = (1, 3)
    child = child_of(lwp)
    new = child.proc
    assert (new.name, new.umask, new.nice) == ("prog", 0o27, 5)
    assert (new.ucred, new.changed_ids) == (Ucred(uid=7, ruid=8), True)
    assert new.rlimits == proc.rlimits and new.rlimits is not proc.rlimits
    assert new.sigacts.get(Signal.USR1).handler == 0x1234 and new.sigacts is not proc.sigacts
    assert (new.pgrp, new.parent, new.leader) == (proc.pgrp, proc, new)
    assert child.sigmask == bit(Signal.USR2)
    assert child.altstack == lwp.altstack and child.altstack is not lwp.altstack
    assert (child.cpus, child.rtprio) == (frozenset((0,)), (1, 3))
    assert child.vmspace is new.vmspace is not proc.vmspace


def test_what_belongs_to_the_parent_alone_is_not_in_the_child(lwp: Lwp) -> None:
    proc = lwp.proc
    lwp.sigmask = proc.pending = bit(Signal.USR1)
    lwp.pending = bit(Signal.USR2)
    proc.mailbox = proc.executed = proc.over_cpu_limit = True
    proc.usage.user_ns = proc.children_usage.user_ns = 5
    proc.timers[0] = object()
    proc.watchers.append(lambda note, data: None)
    child = child_of(lwp)
    proc.timers.clear()
    new = child.proc
    assert new.pending == 0
    assert child.pending == bit(Signal.USR2)  # kern_fork.c: lwp_siglist is copied
    assert not (new.mailbox or new.executed or new.over_cpu_limit)
    assert (new.usage.user_ns, new.children_usage.user_ns) == (0, 0)
    assert not new.timers and not new.watchers


def test_the_vmspaces_are_shared_but_nobody_is_inside_one(lwp: Lwp) -> None:
    """abi 6.15."""
    call(lwp, "vmspace_create", 0x1000, 0, 0)
    child = child_of(lwp)
    assert isinstance(child.proc.vkernel, VkernelProc)
    assert child.proc.vkernel is lwp.proc.vkernel
    assert (child.proc.vkernel.refs, child.vkernel) == (2, None)


def test_a_child_that_shares_memory_moves_the_break_for_both(lwp: Lwp) -> None:
    """vm_dsize is the vmspace's."""
    end = lwp.vmspace.data_start + lwp.vmspace.data_size
    child = child_of(lwp, FORK | Rfork.MEM)
    call(child, "break", end + PAGE_SIZE)
    assert call(lwp, "break", end + 2 * PAGE_SIZE) == 0
    assert lwp.vmspace.copyin(end, 2 * PAGE_SIZE) == bytes(2 * PAGE_SIZE)


def test_a_child_that_copies_memory_moves_its_own_break(lwp: Lwp) -> None:
    before = lwp.vmspace.data_size
    child = child_of(lwp)
    call(child, "break", child.vmspace.data_start + before + PAGE_SIZE)
    assert child.vmspace.data_size == before + PAGE_SIZE
    assert lwp.vmspace.data_size == before


@pytest.mark.parametrize("ending", ["exit", "signal", "exec"])
def test_vfork_returns_when_the_child_does_not_need_the_memory(lwp: Lwp, ending: str) -> None:
    kernel = lwp.proc.kernel
    call(lwp, "vfork")
    child = kernel.procs[101]
    assert lwp.state is LwpState.SLEEPING
    assert child.vmspace is lwp.proc.vmspace
    if ending == "exec":
        with pytest.raises(KernelError):
            execve(child.lwps[0], b"missing", [b"x"], [])
        assert lwp.state is LwpState.SLEEPING
        file = kernel.tree.open(b"prog", child.files.cwd, 0x201, 0o755)
        file.write(ELF)
        file.drop()
        execve(child.lwps[0], b"prog", [b"prog"], [])
        assert child.vmspace is not lwp.proc.vmspace
    elif ending == "exit":
        exit1(child, status=3)
    else:
        exit1(child, signal=Signal.KILL)
    assert lwp.state is LwpState.READY
    assert lwp.proc.vmspace.refs == 1


def test_a_child_that_its_parent_waits_for_does_not_stop(lwp: Lwp) -> None:
    """P_PPWAIT: the parent could not go on."""
    call(lwp, "vfork")
    child = lwp.proc.kernel.procs[101]
    ksignal(child, Signal.STOP)
    assert not child.stopped


def test_a_signal_does_not_wake_a_parent_in_vfork(lwp: Lwp) -> None:
    call(lwp, "vfork")
    ksignal(lwp.proc, Signal.TERM)
    assert lwp.state is LwpState.SLEEPING


def test_one_process_too_many_is_refused_after_half_a_second(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        CHECK_OK 1
        test rax, rax
        jz child
        SYSCALL SYS_fork
        CHECK_ERRNO 2, ERRNO_EAGAIN
        DONE
    child:
        jmp child
        """
    )
    kernel = machine.lwp.proc.kernel
    kernel.limits.procs = 2
    assert machine.run() == 0
    assert 500_000_000 <= kernel.clock.monotonic_ns() < 600_000_000
    assert len(kernel.procs) == 2


def test_a_zombie_counts_as_a_process(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_nanosleep, a_moment, 0
        SYSCALL SYS_fork
        CHECK_ERRNO 2, ERRNO_EAGAIN
        SYSCALL SYS_wait4, -1, 0, 0, 0
        SYSCALL SYS_fork
        CHECK_OK 3
    child:
        DONE
        .balign 8
    a_moment:
        .quad 0, 1000
        """
    )
    machine.lwp.proc.kernel.limits.procs = 2
    assert machine.run() == 0


def refused_with(lwp: Lwp, flags: int = FORK) -> bool:
    """Is a fork put off, in order to fail?"""
    return next(fork1(lwp, flags)).deadline is not None


def test_lwps_are_limited_too(lwp: Lwp) -> None:
    lwp.proc.kernel.limits.lwps = 2
    child_of(lwp)
    assert refused_with(lwp)


def test_others_than_root_have_their_own_limit_and_leave_ten_for_root(lwp: Lwp) -> None:
    kernel, proc = lwp.proc.kernel, lwp.proc
    kernel.limits.procs = 20
    proc.rlimits[RlimitKind.NPROC] = Rlimit(2, 2)
    for _ in range(3):
        child_of(lwp)  # root does not care
    proc.ucred = Ucred(uid=5, ruid=5)
    child_of(lwp)
    assert refused_with(lwp)
    proc.rlimits[RlimitKind.NPROC] = Rlimit(100, 100)
    while len(kernel.procs) < 10:
        child_of(lwp)
    assert refused_with(lwp)


def test_a_fork_without_memory_leaves_nothing(boot: Boot) -> None:
    lwp = boot(memory=1 << 20).lwp
    kernel = lwp.proc.kernel
    with pytest.raises(KernelError):
        while True:
            kernel.phys.alloc()
    while kernel.phys.used < kernel.phys.size - PAGE_SIZE:
        kernel.phys.alloc()  # what the last attempt has freed
    used, files = kernel.phys.used, lwp.proc.files
    assert call(lwp, "fork") is Errno.ENOMEM
    assert list(kernel.procs.values()) == [lwp.proc]
    assert (kernel.phys.used, kernel.lwps, files.refs) == (used, 1, 1)
    assert (lwp.proc.children, lwp.proc.vmspace.refs) == ({}, 1)


@pytest.mark.parametrize("flags", [Rfork.FDG | Rfork.CFDG, FORK | Rfork.CFDG])
def test_files_are_copied_or_not_there_but_not_both(lwp: Lwp, flags: int) -> None:
    assert call(lwp, "rfork", flags) is Errno.EINVAL
    assert len(lwp.proc.kernel.procs) == 1


def test_a_process_with_threads_does_not_give_up_what_it_shares(lwp: Lwp) -> None:
    lwp.fork(lwp.proc)
    assert call(lwp, "rfork", Rfork.FDG) is Errno.EINVAL


def test_without_a_new_process_what_is_shared_becomes_ones_own(lwp: Lwp) -> None:
    child = child_of(lwp, Rfork.PROC | Rfork.MEM)
    proc, files, space = lwp.proc, lwp.proc.files, lwp.proc.vmspace
    assert (child.proc.files, child.proc.vmspace) == (files, space)
    assert call(lwp, "rfork", Rfork.MEM) == 0
    assert (proc.files, proc.vmspace) == (files, space)
    assert call(lwp, "rfork", Rfork.FDG) == 0
    assert proc.files is not files and proc.vmspace is not space is not lwp.vmspace
    assert (files.refs, space.refs, proc.files.refs, proc.vmspace.refs) == (1, 1, 1, 1)


def test_peers_of_peers_have_the_same_leader(lwp: Lwp) -> None:
    leader = child_of(lwp)
    peer = child_of(leader, FORK | Rfork.THREAD)
    third = child_of(peer, FORK | Rfork.THREAD)
    loner = child_of(peer)
    assert list(leader.proc.peers) == [peer.proc, third.proc]
    assert loner.proc.leader is loner.proc
    exit1(peer.proc)
    assert list(leader.proc.peers) == [third.proc]
    exit1(leader.proc)
    assert (third.proc.killed_by, loner.proc.alive) == (Signal.KILL, True)
    assert loner.proc.parent is None
