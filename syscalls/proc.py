"""Processes, their identity and their TLS.

sys/kern/kern_exit.c, kern_prot.c; sys/platform/pc64/x86_64/tls.c and sysarch.c; sys/vm/vm_mmap.c.
"""

from typing import NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import TLS_INFO_SIZE
from emu.abi.resource import RlimitKind
from emu.abi.unistd import ExtExit, ExtExitWho
from emu.kern.exit import exit1, lwp_exit
from emu.kern.proc import Lwp
from syscalls.args import Int, JustReturn, Ptr, Size

_ROOT = 0


def exit(lwp: Lwp, rval: Int) -> NoReturn:
    """End the process.  Only the low 8 bits of `rval` reach whoever waits."""
    exit1(lwp.proc, status=rval)
    raise JustReturn


def extexit(lwp: Lwp, how: Int, status: Int, addr: Ptr) -> NoReturn:
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
    raise JustReturn


def getpid(lwp: Lwp) -> int:
    return lwp.proc.pid


def getppid(lwp: Lwp) -> int:
    return lwp.proc.ppid


def getuid(lwp: Lwp) -> int:
    return _ROOT


def geteuid(lwp: Lwp) -> int:
    return _ROOT


def getgid(lwp: Lwp) -> int:
    return _ROOT


def getegid(lwp: Lwp) -> int:
    return _ROOT


def issetugid(lwp: Lwp) -> int:
    return 0


def getdtablesize(lwp: Lwp) -> int:
    return lwp.proc.rlimits[RlimitKind.NOFILE].cur


def set_tls_area(lwp: Lwp, which: Int, info: Ptr, infosize: Size) -> None:
    """Set the FS (0) or GS (1) base from a struct tls_info; what `infosize` leaves out is 0.

    The base is taken as it is, canonical or not.
    """
    _check_tls(which)
    area = lwp.vmspace.copyin(info, min(infosize, TLS_INFO_SIZE)).ljust(TLS_INFO_SIZE, b"\0")
    if int.from_bytes(area[8:], "little", signed=True) < -1:
        raise KernelError(Errno.EINVAL, "a negative TLS size")
    start = which * TLS_INFO_SIZE
    lwp.bases_bytes[start : start + TLS_INFO_SIZE] = area
    lwp.cpu.load_bases()


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
