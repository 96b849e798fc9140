"""Threads of a process and what they meet on.

sys/kern/kern_fork.c, kern_exit.c, kern_umtx.c, kern_usched.c, kern_synch.c, kern_resource.c.
"""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.resource import RTP_PRIO_MAX, RtpFunction, Rtprio, RtpType
from emu.abi.structs import LwpParams
from emu.abi.usched import NAME_LENGTH, UschedCmd
from emu.abi.x86 import U64_MASK, trunc_page
from emu.kern.fork import fork_return
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart, Sleep
from syscalls.args import Int, Ptr, enum_kind
from syscalls.resource import find

RtpArg = Annotated[int, enum_kind(RtpFunction, "RTP_")]
UschedArg = Annotated[int, enum_kind(UschedCmd, "USCHED_")]

_INT_SIZE = 4
_US = 1000


def lwp_create(lwp: Lwp, params: Ptr) -> None:
    """Start an LWP with the caller's registers, but for rip, rsp and rdi; store its number.

    It inherits TLS bases, signal mask, pending signals, alternate stack and FP state.  The 2011
    version starts it without a stack too, but then as if it were forked.
    """
    proc, space = lwp.proc, lwp.vmspace
    wanted = space.copyin_struct(params, LwpParams)
    kernel = proc.kernel
    if kernel.lwps >= kernel.limits.lwps:
        raise KernelError(Errno.ENOMEM, f"more than {kernel.limits.lwps} LWPs")
    stack = wanted.stack - 8 & U64_MASK
    created = lwp.fork(proc)
    frame = created.saved_frame()
    frame.rip, frame.rsp, frame.rdi = wanted.func, stack, wanted.arg
    try:
        try:
            space.copyout(stack, bytes(8))  # where the return address would be
        except KernelError:
            if kernel.abi.thread_stack_checked:
                raise
            fork_return(frame)
        for at in (wanted.tid1, wanted.tid2):
            if at:
                space.copyout(at, created.tid.to_bytes(_INT_SIZE, "little"))
    except KernelError:
        created.forget()
        raise
    kernel.sched.add(created)


def lwp_gettid(lwp: Lwp) -> int:
    return lwp.tid


def umtx_sleep(lwp: Lwp, ptr: Ptr, value: Int, timeout: Int) -> Blocking[None]:
    """Sleep while the int at `ptr` is `value`, at most `timeout` microseconds (0: for ever).

    EBUSY if it is not; EAGAIN when the time is over; EINTR after any signal.
    """
    if timeout < 0:
        raise KernelError(Errno.EINVAL, f"timeout {timeout}")
    if ptr % _INT_SIZE:
        raise KernelError(Errno.EFAULT, f"{ptr:#x} is not aligned")
    # As for a write, so that a private page is copied before its address counts.
    pa = lwp.vmspace.physical(ptr, write=True)
    word = lwp.vmspace.copyin(ptr, _INT_SIZE)
    if int.from_bytes(word, "little", signed=True) != value:
        raise KernelError(Errno.EBUSY, "the word has changed")
    deadline = lwp.proc.kernel.clock.monotonic_ns() + timeout * _US if timeout else None
    lwp.proc.kernel.tell_of_copies()
    try:
        # The second ends the sleep when the page is copied: the word may now be elsewhere.
        woken = yield Sleep((("umtx", pa), ("page", trunc_page(pa))), deadline)
    except Restart:
        raise KernelError(Errno.EINTR) from None
    if not woken:
        raise KernelError(Errno.EAGAIN, "timeout")


def umtx_wakeup(lwp: Lwp, ptr: Ptr, count: Int) -> None:
    """Wake one LWP that sleeps on the physical memory at `ptr` if `count` is 1, else all."""
    if ptr % _INT_SIZE:
        raise KernelError(Errno.EFAULT, f"{ptr:#x} is not aligned")
    pa = lwp.vmspace.physical(ptr, write=False)
    lwp.proc.kernel.sched.wakeup(("umtx", pa), 1 if count == 1 else None)


def sched_yield(lwp: Lwp) -> None:
    """Let the other LWPs that are ready run first."""
    lwp.proc.kernel.sched.give_way()


def lwp_rtprio(lwp: Lwp, function: RtpArg, pid: Int, tid: Int, rtp: Ptr) -> None:
    """Look at or set the priority of an LWP, -1 for the caller.  All LWPs take turns even so."""
    wanted = lwp.vmspace.copyin_struct(rtp, Rtprio)
    if pid < 0:
        raise KernelError(Errno.EINVAL, f"pid {pid}")
    proc = find(lwp, pid)
    if tid < -1:
        raise KernelError(Errno.EINVAL, f"LWP {tid}")
    target = lwp if tid == -1 else proc.lwps.get(tid)
    if target is None:
        raise KernelError(Errno.ESRCH, f"no LWP {tid}")
    _rtprio(lwp, function, target, wanted, rtp, own=pid == 0)


def rtprio(lwp: Lwp, function: RtpArg, pid: Int, rtp: Ptr) -> None:
    """Look at or set the priority of a process's first LWP; see lwp_rtprio."""
    wanted = lwp.vmspace.copyin_struct(rtp, Rtprio)
    target = next(iter(find(lwp, pid).lwps.values()))
    _rtprio(lwp, function, target, wanted, rtp, own=pid == 0)


def _rtprio(lwp: Lwp, function: int, target: Lwp, wanted: Rtprio, rtp: int, *, own: bool) -> None:
    match function:
        case RtpFunction.LOOKUP:
            lwp.vmspace.copyout(rtp, bytes(Rtprio(*target.rtprio)))
        case RtpFunction.SET:
            if not own or wanted.type in (RtpType.REALTIME, RtpType.FIFO):
                lwp.proc.ucred.check_root("such a priority")
            if wanted.type not in RtpType.__members__.values() or wanted.prio > RTP_PRIO_MAX:
                raise KernelError(Errno.EINVAL, f"priority {wanted.type}, {wanted.prio}")
            target.rtprio = wanted.type, wanted.prio
        case _:
            raise KernelError(Errno.EINVAL, f"function {function}")


def usched_set(lwp: Lwp, pid: Int, cmd: UschedArg, data: Ptr, bytes: Int) -> None:
    """Choose the scheduler, and the CPUs of the LWP; there are as many as hw.ncpu says."""
    if pid not in (0, lwp.proc.pid):
        raise KernelError(Errno.EINVAL, f"pid {pid}")
    match cmd:
        case UschedCmd.SET_SCHEDULER:
            name = lwp.vmspace.copyinstr(data, NAME_LENGTH)
            if len(lwp.proc.lwps) != 1 or name not in _SCHEDULERS:
                raise KernelError(Errno.EINVAL, f"scheduler {name!r}")
        case UschedCmd.SET_CPU:
            lwp.cpus = frozenset((_cpu(lwp, data, bytes),))
        case UschedCmd.ADD_CPU:
            lwp.cpus |= {_cpu(lwp, data, bytes)}
        case UschedCmd.DEL_CPU:
            left = lwp.cpus - {_cpu(lwp, data, bytes)}
            if not left:
                raise KernelError(Errno.EPERM, "the last CPU")
            lwp.cpus = left
        case UschedCmd.GET_CPU:
            _check_int(bytes)
            lwp.vmspace.copyout(data, min(lwp.cpus).to_bytes(_INT_SIZE, "little"))
        case _:
            raise KernelError(Errno.EINVAL, f"command {cmd}")


_SCHEDULERS = (b"bsd4", b"dummy")


def _cpu(lwp: Lwp, data: int, size: int) -> int:
    """Return the number of a CPU that the caller names.  EFBIG if there is no such CPU."""
    _check_int(size)
    cpu = int.from_bytes(lwp.vmspace.copyin(data, _INT_SIZE), "little", signed=True)
    if not 0 <= cpu < lwp.proc.kernel.ncpu:
        raise KernelError(Errno.EFBIG, f"no CPU {cpu}")
    return cpu


def _check_int(size: int) -> None:
    if size != _INT_SIZE:
        raise KernelError(Errno.EINVAL, f"{size} bytes")
