"""vmspace_*: address spaces a virtual kernel creates, fills and runs (sys/vm/vm_vmspace.c)."""

from collections.abc import Iterator

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import Madv
from emu.abi.vkernel import VmspaceCtl
from emu.abi.x86 import PAGE_MASK, PAGE_SIZE
from emu.kern import vkernel
from emu.kern.mmap import kern_mmap
from emu.kern.proc import Lwp
from emu.vm.vmspace import Vmspace
from syscalls.args import (
    JUST_RETURN,
    Fd,
    Int,
    MadvArg,
    MapArg,
    Off,
    ProtArg,
    Ptr,
    Size,
    VmspaceCtlArg,
    Word,
)

_RUN = int(VmspaceCtl.RUN)


def vmspace_create(lwp: Lwp, id: Ptr, type: Int, data: Ptr) -> None:
    """Make an empty vmspace known as `id`.  The first call makes the process a virtual kernel.

    The original documents that `id` is not NULL and the rest is 0; it checks neither.
    """
    proc = lwp.proc
    if not proc.kernel.vkernel_enable:
        raise KernelError(Errno.EOPNOTSUPP, "vm.vkernel_enable is 0")
    if proc.vkernel is None:
        proc.vkernel = vkernel.VkernelProc()
    if id in proc.vkernel.entries:
        raise KernelError(Errno.EEXIST, f"vmspace {id:#x} exists")
    proc.vkernel.create(id, proc.vmspace.empty())


def vmspace_destroy(lwp: Lwp, id: Ptr) -> None:
    """Forget `id` and unmap what it held.  EBUSY while any LWP runs in it."""
    _vkernel(lwp).destroy(id)


def vmspace_ctl(lwp: Lwp, id: Ptr, cmd: VmspaceCtlArg, tframe: Ptr, vframe: Ptr) -> int:
    """Run inside `id` until something needs the virtual kernel.

    "Returns" twice: at once into the guest, with the guest's registers, and later, through
    vkernel.leave(), to the caller.
    """
    entry = _vkernel(lwp).find(id)
    if lwp.proc.mailbox:
        lwp.proc.mailbox = False
        raise KernelError(Errno.EINTR, "a signal is in its mailbox")
    if cmd != _RUN:
        raise KernelError(Errno.EOPNOTSUPP, f"command {cmd}")
    vkernel.enter(lwp, entry, tframe, vframe)
    return JUST_RETURN


def vmspace_mmap(
    lwp: Lwp, id: Ptr, addr: Ptr, len: Size, prot: ProtArg, flags: MapArg, fd: Fd, offset: Off
) -> int:
    return kern_mmap(lwp.proc, _space(lwp, id), addr, len, prot, flags, fd, offset)


def vmspace_munmap(lwp: Lwp, id: Ptr, addr: Ptr, len: Size) -> None:
    _space(lwp, id).munmap(addr, len)


def vmspace_mcontrol(lwp: Lwp, id: Ptr, addr: Ptr, len: Size, behav: MadvArg, value: Word) -> None:
    space = _space(lwp, id)
    if not 0 <= behav <= Madv.SETMAP:
        raise KernelError(Errno.EINVAL, f"advice {behav}")
    space.advise(addr, len, behav, value)


def vmspace_pread(lwp: Lwp, id: Ptr, buf: Ptr, nbyte: Size, flags: Int, offset: Ptr) -> int:
    """Copy from the vmspace to the caller; EINVAL, as in the original, without --ext vmspace-io.

    The count is short if a page of the vmspace cannot be had; the caller may repair it and go on.
    """
    guest = _space(lwp, id)
    _require_io(lwp)
    for done, step in _pieces(offset, nbyte):
        try:
            data = guest.copyin(offset + done, step)
        except KernelError as refusal:
            return _short(done, refusal)
        lwp.vmspace.copyout(buf + done, data)
    return nbyte


def vmspace_pwrite(lwp: Lwp, id: Ptr, buf: Ptr, nbyte: Size, flags: Int, offset: Ptr) -> int:
    """Copy from the caller to the vmspace; see vmspace_pread."""
    guest = _space(lwp, id)
    _require_io(lwp)
    for done, step in _pieces(offset, nbyte):
        data = lwp.vmspace.copyin(buf + done, step)
        try:
            guest.copyout(offset + done, data)
        except KernelError as refusal:
            return _short(done, refusal)
    return nbyte


def _pieces(at: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut [at, at+size) at page boundaries: (bytes before the piece, its size)."""
    done = 0
    while done < size:
        step = min(size - done, PAGE_SIZE - (at + done & PAGE_MASK))
        yield done, step
        done += step


def _short(done: int, refusal: KernelError) -> int:
    if refusal.errno is not Errno.EFAULT:
        raise refusal
    return done


def _require_io(lwp: Lwp) -> None:
    if not lwp.proc.kernel.vmspace_io:
        raise KernelError(Errno.EINVAL, "not implemented in the original")


def _space(lwp: Lwp, id: int) -> Vmspace:
    return _vkernel(lwp).find(id).vmspace


def _vkernel(lwp: Lwp) -> vkernel.VkernelProc:
    if lwp.proc.vkernel is None:
        raise KernelError(Errno.EINVAL, "not a virtual kernel")
    return lwp.proc.vkernel
