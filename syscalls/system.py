"""Calls about the machine as a whole, and facilities of the original that are not here.

sys/kern/kern_shutdown.c, kern_uuid.c, kern_ktrace.c, kern_upcall.c.
"""

from typing import Annotated, NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.reboot import Rb
from emu.abi.uuid import UUIDGEN_MAX
from emu.kern.exit import exit1
from emu.kern.proc import Lwp
from syscalls.args import JUST_RETURN, Int, Ptr, Size, flags_kind

RebootArg = Annotated[int, flags_kind(Rb, "RB_")]


def reboot(lwp: Lwp, opt: RebootArg) -> int:
    """End the run with status 0, whatever the other processes think of it.  For root."""
    proc, first = lwp.proc, lwp.proc.kernel.first
    proc.ucred.check_root("reboot")
    assert first is not None
    what = "halted" if opt & (Rb.HALT | Rb.POWEROFF) else "rebooted"
    proc.kernel.tell(f"process {proc.pid} {what} the machine")
    exit1(proc)
    exit1(first)
    return JUST_RETURN


def uuidgen(lwp: Lwp, store: Ptr, count: Int) -> None:
    """Store `count` new UUIDs, which follow each other."""
    if not 1 <= count <= UUIDGEN_MAX:
        raise KernelError(Errno.EINVAL, f"{count} UUIDs")
    uuids = lwp.proc.kernel.uuids.generate(count)
    lwp.vmspace.copyout(store, b"".join(map(bytes, uuids)))


def utrace(lwp: Lwp, addr: Ptr, len: Size) -> None:
    """Put something into the trace of this process: there is none (ktrace)."""


def upc_register(lwp: Lwp, upc: Ptr, ctxfunc: Ptr, func: Ptr, data: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS, "there are no upcalls")


def upc_control(lwp: Lwp, cmd: Int, upcid: Int, data: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS, "there are no upcalls")
