"""Processes, their groups and sessions, and their TLS.

sys/kern/kern_exit.c, kern_prot.c; sys/platform/pc64/x86_64/tls.c and sysarch.c; sys/vm/vm_mmap.c.
"""

from typing import Annotated, NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.exec import ARG_MAX
from emu.abi.fcntl import MAXPATHLEN
from emu.abi.frames import TLS_INFO_SIZE
from emu.abi.resource import RlimitKind
from emu.abi.unistd import RFORK_KERNEL_ONLY, ExtExit, ExtExitWho, Rfork
from emu.abi.wait import Wait
from emu.kern.exec import execve as execute
from emu.kern.exit import exit1, kern_wait, lwp_exit
from emu.kern.fork import divorce, fork1
from emu.kern.pgrp import enter_group, new_session
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking
from syscalls.args import JUST_RETURN, Int, Ptr, Size, Str, flags_kind
from syscalls.resource import find, pack_rusage

WaitArg = Annotated[int, flags_kind(Wait, "W")]
RforkArg = Annotated[int, flags_kind(Rfork, "RF")]

_WORD = 8
_INT = 4


def exit(lwp: Lwp, rval: Int) -> int:
    """End the process.  Only the low 8 bits of `rval` reach whoever waits."""
    exit1(lwp.proc, status=rval)
    return JUST_RETURN


def extexit(lwp: Lwp, how: Int, status: Int, addr: Ptr) -> int:
    """End this LWP or the process; the last LWP is the process.

    With SETINT `status` is stored at `addr` first; if that fails, nobody exits.
    """
    try:
        who = ExtExitWho(how & 0xFFFF_0000)
        action = ExtExit(how & 0xFFFF)
    except ValueError:
        raise KernelError(Errno.EINVAL, f"how {how:#x}") from None
    if action is ExtExit.SETINT:
        lwp.vmspace.copyout(addr, status.to_bytes(4, "little", signed=True))
    if who is ExtExitWho.LWP and len(lwp.proc.lwps) > 1:
        lwp_exit(lwp)
    else:
        exit1(lwp.proc, status=status)
    return JUST_RETURN


def fork(lwp: Lwp) -> Blocking[int]:
    """Make a child with a copy of the caller's memory and descriptors; it sees 0."""
    return (yield from _fork(lwp, Rfork.FDG | Rfork.PROC))


def vfork(lwp: Lwp) -> Blocking[int]:
    """As fork, but the child borrows the caller's memory, which waits until it has done so."""
    return (yield from _fork(lwp, Rfork.FDG | Rfork.PROC | Rfork.PPWAIT | Rfork.MEM))


def rfork(lwp: Lwp, flags: RforkArg) -> Blocking[int]:
    """Make a child that shares what `flags` say; without RFPROC, give up what is shared."""
    if flags & RFORK_KERNEL_ONLY:
        raise KernelError(Errno.EINVAL, f"flags {flags:#x}")
    if flags & Rfork.PROC:
        return (yield from _fork(lwp, flags))
    divorce(lwp, flags)
    lwp.frame.rdx = 0
    return 0


def _fork(lwp: Lwp, flags: int) -> Blocking[int]:
    child = yield from fork1(lwp, flags)
    lwp.frame.rdx = 0
    return child.pid


def execve(lwp: Lwp, fname: Str, argv: Ptr, envv: Ptr) -> int:
    """Replace the process's program.  argv[0] is `fname` if argv is empty; envv may be NULL.

    The new program starts with every register as exec_setregs() has left it, in every version,
    but for RDX: that is the second word of the result, and still the caller's.
    """
    rdx = lwp.frame.rdx
    space = lwp.vmspace
    path = space.copyinstr(fname, MAXPATHLEN)
    if not path:
        raise KernelError(Errno.ENOENT, "an empty path")
    if not argv:
        raise KernelError(Errno.EFAULT, "no arguments")
    args = _strings(lwp, argv, ARG_MAX) or [path]
    room = ARG_MAX - sum(len(arg) + 1 for arg in args)
    execute(lwp, path, args, _strings(lwp, envv, room) if envv else [])
    lwp.frame.rdx = rdx
    lwp.cpu.load()
    return JUST_RETURN


def _strings(lwp: Lwp, vector: int, room: int) -> list[bytes]:
    """Return the strings that a vector of pointers, which ends with NULL, points to.

    E2BIG if they take more than `room` bytes.
    """
    strings: list[bytes] = []
    while at := int.from_bytes(lwp.vmspace.copyin(vector, _WORD), "little"):
        try:
            strings.append(lwp.vmspace.copyinstr(at, room))
        except KernelError as refusal:
            if refusal.errno is Errno.ENAMETOOLONG:
                raise KernelError(Errno.E2BIG, "arguments and environment") from None
            raise
        room -= len(strings[-1]) + 1
        vector += _WORD
    return strings


def wait4(lwp: Lwp, pid: Int, status: Ptr, options: WaitArg, rusage: Ptr) -> Blocking[int]:
    """Wait for a child; store how it ended, and what it used, unless the pointers are NULL."""
    found, how, usage = yield from kern_wait(lwp, pid, options)
    if found and status:
        lwp.vmspace.copyout(status, how.to_bytes(_INT, "little"))
    if found and rusage:
        lwp.vmspace.copyout(rusage, bytes(pack_rusage(usage)))
    return found


def getpid(lwp: Lwp) -> int:
    return lwp.proc.pid


def getppid(lwp: Lwp) -> int:
    return lwp.proc.ppid


def getdtablesize(lwp: Lwp) -> int:
    return lwp.proc.rlimits[RlimitKind.NOFILE].cur


def getpgrp(lwp: Lwp) -> int:
    return lwp.proc.pgrp.id


def getpgid(lwp: Lwp, pid: Int) -> int:
    return find(lwp, pid).pgrp.id


def getsid(lwp: Lwp, pid: Int) -> int:
    return find(lwp, pid).pgrp.session.sid


def setpgid(lwp: Lwp, pid: Int, pgid: Int) -> None:
    """Move the caller or a descendant to a group of the session, or to one of its own."""
    proc = lwp.proc
    if pgid < 0:
        raise KernelError(Errno.EINVAL, f"group {pgid}")
    target = find(lwp, pid)
    if target is not proc:
        if not target.descends_from(proc):
            raise KernelError(Errno.ESRCH, f"{pid} is no descendant")
        if target.pgrp.session is not proc.pgrp.session:
            raise KernelError(Errno.EPERM, "in another session")
        if target.executed:
            raise KernelError(Errno.EACCES, "it has executed a program")
    if target.pgrp.session.leader is target:
        raise KernelError(Errno.EPERM, "a session leader")
    if pgid not in (0, target.pid):
        pgrp = proc.kernel.pgrps.get(pgid)
        if pgrp is None or pgrp.session is not proc.pgrp.session:
            raise KernelError(Errno.EPERM, f"no group {pgid} in this session")
    enter_group(target, pgid or target.pid)


def setsid(lwp: Lwp) -> int:
    """Become the leader of a new session.  EPERM for the leader of a group."""
    proc = lwp.proc
    if proc.pid in proc.kernel.pgrps:
        raise KernelError(Errno.EPERM, "a group has this number")
    new_session(proc)
    return proc.pid


def set_tls_area(lwp: Lwp, which: Int, info: Ptr, infosize: Size) -> int:
    """Set the FS (0) or GS (1) base from a struct tls_info; what `infosize` leaves out is 0.

    The base is taken as it is, canonical or not.  Later versions do not return fast from here: all
    registers are loaded from the frame (set_user_TLS).
    """
    _check_tls(which)
    area = lwp.vmspace.copyin(info, min(infosize, TLS_INFO_SIZE)).ljust(TLS_INFO_SIZE, b"\0")
    if int.from_bytes(area[8:], "little", signed=True) < -1:
        raise KernelError(Errno.EINVAL, "a negative TLS size")
    start = which * TLS_INFO_SIZE
    lwp.bases_bytes[start : start + TLS_INFO_SIZE] = area
    lwp.cpu.load_bases()
    lwp.succeed(0)
    lwp.cpu.load()
    return JUST_RETURN


def get_tls_area(lwp: Lwp, which: Int, info: Ptr, infosize: Size) -> None:
    """Store as much of what set_tls_area() was given as fits in `infosize`."""
    _check_tls(which)
    start = which * TLS_INFO_SIZE
    lwp.vmspace.copyout(info, lwp.bases_bytes[start : start + min(infosize, TLS_INFO_SIZE)])


def _check_tls(which: int) -> None:
    if which not in (0, 1):
        raise KernelError(Errno.ERANGE, f"TLS area {which}")


def sysarch(lwp: Lwp, op: Int, parms: Ptr) -> NoReturn:
    """Not on this architecture: FS and GS are set with set_tls_area()."""
    raise KernelError(Errno.EOPNOTSUPP)


def sbrk(lwp: Lwp, incr: Int) -> NoReturn:
    raise KernelError(Errno.EOPNOTSUPP)


def sstk(lwp: Lwp, incr: Int) -> NoReturn:
    raise KernelError(Errno.EOPNOTSUPP)
