"""New processes (sys/kern/kern_fork.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.frames import Trapframe
from emu.abi.resource import RlimitKind
from emu.abi.signal import Signal
from emu.abi.unistd import Rfork
from emu.abi.x86 import U64_MASK, Rflags
from emu.kern.file import FileTable
from emu.kern.plimit import watch_cpu_time
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import Blocking, Sleep

_REFUSED_NS = 500_000_000
"""How long a fork that exceeds the limit takes to fail; it keeps a fork bomb from exploding."""
_FOR_ROOT = 10
"""The last processes are kept for root."""


def fork1(lwp: Lwp, flags: int) -> Blocking[Proc]:
    """Make a child of the LWP's process with a copy of this LWP, which sees fork return 0.

    With RFPPWAIT the caller sleeps until the child exits or executes a program.
    Raise KernelError with nothing changed: EINVAL, EAGAIN at the limit, ENOMEM.
    """
    check_flags(flags)
    parent, kernel = lwp.proc, lwp.proc.kernel
    if _too_many(parent):
        now = kernel.clock.monotonic_ns()
        yield Sleep((), now + _REFUSED_NS, interruptible=False)
        raise KernelError(Errno.EAGAIN, "too many processes")
    space = parent.vmspace.hold() if flags & Rfork.MEM else parent.vmspace.fork()
    child = Proc(
        kernel,
        space,
        _files(parent, flags),
        parent,
        name=parent.name,
        umask=parent.umask,
        nice=parent.nice,
        ucred=parent.ucred,
        changed_ids=parent.changed_ids,
        exit_signal=Signal.USR1 if flags & Rfork.LINUXTHPN else Signal.CHLD,
        vkernel=parent.vkernel.hold() if parent.vkernel is not None else None,
        rlimits=dict(parent.rlimits),
        sigacts=parent.sigacts if flags & Rfork.SIGSHARE else parent.sigacts.copy(),
        varsyms=parent.varsyms.copy(),
    )
    watch_cpu_time(child)
    child_lwp = lwp.fork(child)
    fork_return(child_lwp.saved_frame())
    if flags & Rfork.THREAD:
        child.leader = parent.leader
        child.leader.peers[child] = None
    if flags & Rfork.NOWAIT:
        child.set_parent(None)
    child.parent_waits = bool(flags & Rfork.PPWAIT)
    parent.notify(Note.FORK, child.pid)
    kernel.sched.add(child_lwp)
    while child.parent_waits:
        yield Sleep(((child, "ppwait"),), interruptible=False)
    return child


def fork_return(frame: Trapframe) -> None:
    """Have a new LWP see fork return 0, with 1 as the second result."""
    frame.rax, frame.rdx = 0, 1
    frame.rflags &= U64_MASK & ~Rflags.C


def divorce(lwp: Lwp, flags: int) -> None:
    """Give the process copies of its own of what it shares (rfork without RFPROC)."""
    check_flags(flags)
    proc = lwp.proc
    if len(proc.lwps) != 1:
        raise KernelError(Errno.EINVAL, "a process with threads")
    if not flags & Rfork.MEM and proc.vmspace.refs > 1:
        shared, proc.vmspace = proc.vmspace, proc.vmspace.fork()
        lwp.vmspace = proc.vmspace
        shared.drop()
    if flags & Rfork.CFDG or (flags & Rfork.FDG and proc.files.refs > 1):
        files, proc.files = proc.files, _files(proc, flags)
        files.drop()


def check_flags(flags: int) -> None:
    if flags & Rfork.FDG and flags & Rfork.CFDG:
        raise KernelError(Errno.EINVAL, "RFFDG and RFCFDG")


def _too_many(parent: Proc) -> bool:
    kernel = parent.kernel
    procs, limits = kernel.procs, kernel.limits
    if len(procs) >= limits.procs or kernel.lwps >= limits.lwps:
        return True
    user = parent.ucred.ruid
    if user == 0:
        return False
    own = sum(proc.ucred.ruid == user for proc in procs.values())
    return len(procs) >= limits.procs - _FOR_ROOT or own >= parent.rlimits[RlimitKind.NPROC].cur


def _files(proc: Proc, flags: int) -> FileTable:
    if flags & Rfork.CFDG:
        return proc.files.empty()
    return proc.files.copy() if flags & Rfork.FDG else proc.files.hold()
