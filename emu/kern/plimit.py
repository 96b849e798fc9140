"""Limits of a process's resources (sys/kern/kern_plimit.c).

NOFILE is kept by the descriptor table, STACK and VMEM by the address space, NPROC by fork, DATA
by the break and exec, FSIZE by write, CPU by a callout.  The others are only remembered.
"""

from contextlib import suppress
from functools import partial

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Prot
from emu.abi.resource import RLIM_INFINITY, Rlimit, RlimitKind, default_rlimits
from emu.abi.signal import Signal
from emu.kern.proc import Proc
from emu.kern.signal import ksignal

_SECOND = 1_000_000_000
_GRACE = 5
"""Seconds past the hard limit of CPU time after which a process is killed."""


def set_limit(proc: Proc, which: int, limit: Rlimit) -> None:
    """Change a limit, as far as the machine has that much (kern_setrlimit).

    Raise KernelError: EINVAL; EPERM if somebody other than root raises it.
    """
    before = proc.rlimits.get(which)
    if before is None:
        raise KernelError(Errno.EINVAL, f"limit {which}")
    cur, highest = (RLIM_INFINITY if each < 0 else each for each in limit)
    if max(cur, highest) > before.max:
        proc.ucred.check_root("raising a limit")
    most, least = _most(proc, which), 1 if which == RlimitKind.NPROC else 0
    cur, highest = max(min(cur, highest, most), least), max(min(highest, most), least)
    proc.rlimits[which] = Rlimit(cur, highest)
    space = proc.vmspace
    match which:
        case RlimitKind.CPU:
            watch_cpu_time(proc)
        case RlimitKind.NOFILE:
            proc.files.limit = cur
        case RlimitKind.VMEM:
            space.size_limit = cur
        case RlimitKind.STACK:
            space.stack_limit = cur
            low, high = sorted((before.cur, cur))
            rights = PROT_ALL if cur == high else Prot.NONE
            with suppress(KernelError):  # nobody is told
                space.mprotect(space.user_max - high, high - low, rights)


def _most(proc: Proc, which: int) -> int:
    match which:
        case RlimitKind.NOFILE:
            return proc.kernel.limits.files
        case RlimitKind.NPROC:
            return proc.kernel.limits.procs
        case _:
            return default_rlimits()[which].max


def watch_cpu_time(proc: Proc) -> None:
    """See to it that the limit of CPU time is kept, if there is one."""
    limit = proc.rlimits[RlimitKind.CPU]
    seconds = limit.max + _GRACE if proc.over_cpu_limit else limit.cur
    due = seconds * _SECOND + 1 if seconds < RLIM_INFINITY else None
    proc.cpu_callout(RlimitKind.CPU, due, partial(_over_cpu_limit, proc))


def _over_cpu_limit(proc: Proc) -> None:
    """Signal a process that has had more of the CPU than it may (plimit_testcpulimit).

    SIGXCPU comes once; five seconds after the hard limit comes SIGKILL.
    """
    if not proc.alive:
        return
    if proc.usage.user_ns >= (proc.rlimits[RlimitKind.CPU].max + _GRACE) * _SECOND:
        proc.kernel.tell(f"process {proc.pid} exceeded maximum CPU limit")
        ksignal(proc, Signal.KILL)
    else:
        proc.over_cpu_limit = True
        ksignal(proc, Signal.XCPU)
        watch_cpu_time(proc)
