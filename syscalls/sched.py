"""Scheduling as POSIX has it (sys/kern/kern_p1003_1b.c, kern_sched.c).

Policies and priorities are remembered, as those of rtprio() are, and are the same ones; all LWPs
take turns.  A call that names a process means its first LWP.
"""

from contextlib import suppress
from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.resource import PRIO_MAX, PRIO_MIN, RTP_PRIO_MAX, RtpType
from emu.abi.sched import SchedPolicy
from emu.abi.structs import Timespec
from emu.kern.proc import Lwp, Proc
from syscalls.args import Int, Ptr, enum_kind
from syscalls.resource import find

PolicyArg = Annotated[int, enum_kind(SchedPolicy, "SCHED_")]

_PARAM_SIZE = 4  # struct sched_param is an int
_RR_INTERVAL = Timespec(0, 100_000_000)
_TYPES: dict[int, RtpType] = {SchedPolicy.FIFO: RtpType.FIFO, SchedPolicy.RR: RtpType.REALTIME}
_POLICIES: dict[int, int] = {type: policy for policy, type in _TYPES.items()}


def sched_setparam(lwp: Lwp, pid: Int, param: Ptr) -> None:
    """Set a priority.  EINVAL unless the policy is one of real time."""
    priority = _param(lwp, param)
    target = _first(_for_root(lwp, pid))
    policy = _policy(target)
    if policy == SchedPolicy.OTHER:
        raise KernelError(Errno.EINVAL, "the policy has no priorities")
    _set(target, policy, priority)


def sched_getparam(lwp: Lwp, pid: Int, param: Ptr) -> None:
    """Store a priority; it is 0 outside of real time, where the original stores anything."""
    target = _first(_looked_at(lwp, pid))
    kind, prio = target.rtprio
    priority = RTP_PRIO_MAX - prio if kind in _POLICIES else 0
    with suppress(KernelError):  # the original does not look
        lwp.vmspace.copyout(param, priority.to_bytes(_PARAM_SIZE, "little"))


def sched_setscheduler(lwp: Lwp, pid: Int, policy: PolicyArg, param: Ptr) -> None:
    """Set a policy and a priority.  A policy that does not exist changes nothing."""
    priority = _param(lwp, param)
    _set(_first(_for_root(lwp, pid)), policy, priority)


def sched_getscheduler(lwp: Lwp, pid: Int) -> int:
    return _policy(_first(_looked_at(lwp, pid)))


def sched_get_priority_max(lwp: Lwp, policy: PolicyArg) -> int:
    return _range(policy)[1]


def sched_get_priority_min(lwp: Lwp, policy: PolicyArg) -> int:
    return _range(policy)[0]


def sched_rr_get_interval(lwp: Lwp, pid: Int, interval: Ptr) -> None:
    """Store how long a slice is said to be: the same for everybody."""
    _for_root(lwp, pid)
    lwp.vmspace.copyout(interval, bytes(_RR_INTERVAL))


def _param(lwp: Lwp, param: int) -> int:
    return int.from_bytes(lwp.vmspace.copyin(param, _PARAM_SIZE), "little", signed=True)


def _for_root(lwp: Lwp, pid: int) -> Proc:
    """Return a process that only root may ask for, be it one's own (p31b_proc)."""
    proc = find(lwp, pid)
    lwp.proc.ucred.check_root("scheduling")
    return proc


def _looked_at(lwp: Lwp, pid: int) -> Proc:
    return lwp.proc if pid in (0, lwp.proc.pid) else _for_root(lwp, pid)


def _first(proc: Proc) -> Lwp:
    return next(iter(proc.lwps.values()))


def _policy(target: Lwp) -> int:
    return _POLICIES.get(target.rtprio[0], SchedPolicy.OTHER)


def _set(target: Lwp, policy: int, priority: int) -> None:
    if policy in _TYPES:
        if not 0 <= priority <= RTP_PRIO_MAX:
            raise KernelError(Errno.EPERM, f"priority {priority}")
        target.rtprio = _TYPES[policy], RTP_PRIO_MAX - priority
    elif policy == SchedPolicy.OTHER:
        target.rtprio = RtpType.NORMAL, RTP_PRIO_MAX - priority & 0xFFFF


def _range(policy: int) -> tuple[int, int]:
    match policy:
        case SchedPolicy.FIFO | SchedPolicy.RR:
            return 0, RTP_PRIO_MAX
        case SchedPolicy.OTHER:
            return PRIO_MIN, PRIO_MAX
    raise KernelError(Errno.EINVAL, f"policy {policy}")
