"""Limits, priorities and what has been used (sys/kern/kern_resource.c, kern_plimit.c)."""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.resource import (
    PRIO_MAX,
    PRIO_MIN,
    Prio,
    Rlimit,
    RlimitKind,
    RlimitStruct,
    Rusage,
    RusageWho,
)
from emu.abi.structs import Timeval
from emu.abi.x86 import U32_MASK
from emu.kern.plimit import set_limit
from emu.kern.proc import Lwp, Proc, Usage
from syscalls.args import Int, Ptr, enum_kind

RlimitArg = Annotated[int, enum_kind(RlimitKind, "RLIMIT_")]
RusageArg = Annotated[int, enum_kind(RusageWho, "RUSAGE_")]
PrioArg = Annotated[int, enum_kind(Prio, "PRIO_")]


def find(lwp: Lwp, pid: int) -> Proc:
    """Return the process `pid`, 0 for the caller's.  ESRCH if there is none."""
    proc = lwp.proc if pid == 0 else lwp.proc.kernel.find(pid)
    if proc is None:
        raise KernelError(Errno.ESRCH, f"no process {pid}")
    return proc


def getrlimit(lwp: Lwp, which: RlimitArg, rlp: Ptr) -> None:
    if which not in lwp.proc.rlimits:
        raise KernelError(Errno.EINVAL, f"limit {which}")
    lwp.vmspace.copyout(rlp, bytes(RlimitStruct(*lwp.proc.rlimits[which])))


def setrlimit(lwp: Lwp, which: RlimitArg, rlp: Ptr) -> None:
    """Change a limit, as far as the machine has that much; only root may raise it."""
    wanted = lwp.vmspace.copyin_struct(rlp, RlimitStruct)
    set_limit(lwp.proc, which, Rlimit(wanted.rlim_cur, wanted.rlim_max))


def getrusage(lwp: Lwp, who: RusageArg, rusage: Ptr) -> None:
    proc = lwp.proc
    match who:
        case RusageWho.SELF:
            proc.kernel.sched.charge()
            usage = proc.usage
        case RusageWho.CHILDREN:
            usage = proc.children_usage
        case _:
            raise KernelError(Errno.EINVAL, f"who {who}")
    lwp.vmspace.copyout(rusage, bytes(pack_rusage(usage)))


def pack_rusage(usage: Usage) -> Rusage:
    seconds, ns = divmod(usage.user_ns, 1_000_000_000)
    return Rusage(
        ru_utime=Timeval(seconds, ns // 1000),
        ru_minflt=usage.minor_faults,
        ru_nsignals=usage.signals,
        ru_nvcsw=usage.voluntary_switches,
        ru_nivcsw=usage.involuntary_switches,
    )


def getpriority(lwp: Lwp, which: PrioArg, who: Int) -> int:
    """Return the lowest nice value among the processes meant."""
    return min(proc.nice for proc in _meant(lwp, which, who)) & U32_MASK


def setpriority(lwp: Lwp, which: PrioArg, who: Int, prio: Int) -> None:
    """Set the nice value of the processes meant.  It is remembered; all LWPs take turns.

    EPERM for somebody else's, EACCES if it gets lower: these are for root.  The others are set.
    """
    nice = min(max(prio, PRIO_MIN), PRIO_MAX)
    own = lwp.proc.ucred
    failure = None
    for proc in _meant(lwp, which, who):
        if own.uid and own.ruid and proc.ucred.uid not in (own.uid, own.ruid):
            failure = KernelError(Errno.EPERM, f"process {proc.pid} is somebody else's")
        elif nice < proc.nice and not own.is_root:
            failure = KernelError(Errno.EACCES, "only root may lower it")
        else:
            proc.nice = nice
    if failure is not None:
        raise failure


def _meant(lwp: Lwp, which: int, who: int) -> list[Proc]:
    kernel = lwp.proc.kernel
    found: list[Proc] = []
    match which:
        case Prio.PROCESS:
            found = [find(lwp, who)]
        case Prio.PGRP:
            pgrp = kernel.pgrps.get(who) if who else lwp.proc.pgrp
            found = list(pgrp.members) if pgrp is not None else []
        case Prio.USER:
            user = who & U32_MASK or lwp.proc.ucred.uid
            found = [
                proc for proc in kernel.procs.values() if proc.alive and proc.ucred.uid == user
            ]
        case _:
            raise KernelError(Errno.EINVAL, f"which {which}")
    if not found:
        raise KernelError(Errno.ESRCH, f"nobody is meant by {who}")
    return found
