"""A process's own memory: mmap and its family, and the break (sys/vm/vm_mmap.c, vm_unix.c)."""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import Madv, Mcl, Ms
from emu.abi.resource import RlimitKind
from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE, U64_MASK, round_page, trunc_page
from emu.kern.mmap import kern_mmap
from emu.kern.proc import Lwp
from syscalls.args import (
    Fd,
    InheritArg,
    MadvArg,
    MapArg,
    MsArg,
    Off,
    Pad,
    ProtArg,
    Ptr,
    Size,
    Word,
    flags_kind,
)

MclArg = Annotated[int, flags_kind(Mcl, "MCL_")]


def mmap(
    lwp: Lwp, addr: Ptr, len: Size, prot: ProtArg, flags: MapArg, fd: Fd, pad: Pad, pos: Off
) -> int:
    return kern_mmap(lwp.proc, lwp.vmspace, addr, len, prot, flags, fd, pos)


def munmap(lwp: Lwp, addr: Ptr, len: Size) -> None:
    lwp.vmspace.munmap(addr, len)


def mprotect(lwp: Lwp, addr: Ptr, len: Size, prot: ProtArg) -> None:
    lwp.vmspace.mprotect(addr, len, prot)


def madvise(lwp: Lwp, addr: Ptr, len: Size, behav: MadvArg) -> None:
    """Advice without a value: MADV_INVAL is allowed, MADV_SETMAP is not."""
    if not 0 <= behav < Madv.SETMAP:
        raise KernelError(Errno.EINVAL, f"advice {behav}")
    lwp.vmspace.advise(addr, len, behav, 0)


def mcontrol(lwp: Lwp, addr: Ptr, len: Size, behav: MadvArg, value: Word) -> None:
    if not 0 <= behav <= Madv.SETMAP:
        raise KernelError(Errno.EINVAL, f"advice {behav}")
    lwp.vmspace.advise(addr, len, behav, value)


def msync(lwp: Lwp, addr: Ptr, len: Size, flags: MsArg) -> None:
    """Shared file pages are the file's own pages: there is nothing to write back."""
    both = Ms.ASYNC | Ms.INVALIDATE
    if flags & both == both:
        raise KernelError(Errno.EINVAL, "MS_ASYNC and MS_INVALIDATE")
    lwp.vmspace.check_mapped(addr, len)


def minherit(lwp: Lwp, addr: Ptr, len: Size, inherit: InheritArg) -> None:
    lwp.vmspace.minherit(addr, len, inherit)


def mincore(lwp: Lwp, addr: Ptr, len: Size, vec: Ptr) -> None:
    """Store one byte of MINCORE_* bits for each page; 0 where nothing is mapped."""
    space = lwp.vmspace
    start = trunc_page(addr)
    end = start + round_page(len)
    if end > space.user_max:
        raise KernelError(Errno.EINVAL)
    # A piece at a time, because a guest may ask about the whole address space.
    while start < end:
        stop = min(start + (PAGE_SIZE << PAGE_SHIFT), end)
        space.copyout(vec, space.mincore(start, stop))
        vec += (stop - start) >> PAGE_SHIFT
        start = stop


def mlock(lwp: Lwp, addr: Ptr, len: Size) -> None:
    """Memory is always resident; only root may ask for it, and not for more than there is."""
    _check_lock(lwp, addr, len)


def munlock(lwp: Lwp, addr: Ptr, len: Size) -> None:
    """What mlock() may be asked for can be given up."""
    _check_lock(lwp, addr, len, unlock=True)


def mlockall(lwp: Lwp, how: MclArg) -> None:
    """MCL_FUTURE is granted; MCL_CURRENT is ENOSYS, as in the original."""
    if not how & (Mcl.CURRENT | Mcl.FUTURE):
        raise KernelError(Errno.EINVAL, f"how {how}")
    lwp.proc.ucred.check_root("mlockall")
    if how & Mcl.CURRENT:
        raise KernelError(Errno.ENOSYS, "MCL_CURRENT")


def munlockall(lwp: Lwp) -> None:
    """Nothing was locked that would not be resident anyway."""


def _check_lock(lwp: Lwp, addr: int, size: int, *, unlock: bool = False) -> None:
    start = trunc_page(addr)
    end = start + round_page(size + addr - start)
    if end > U64_MASK:
        raise KernelError(Errno.EINVAL, "the range wraps")
    if not unlock and end - start > lwp.proc.kernel.phys.size // 3:
        raise KernelError(Errno.EAGAIN, "more than a third of the memory")
    lwp.proc.ucred.check_root("locking memory")
    if not lwp.vmspace.map.covers(start, max(end, start + PAGE_SIZE)):
        raise KernelError(Errno.ENOMEM, "not everything there is mapped")


def obreak(lwp: Lwp, nsize: Ptr) -> None:
    """Move the end of the data segment to `nsize`, rounded up.  Returns 0, not an address."""
    proc, space = lwp.proc, lwp.vmspace
    base = round_page(space.data_start)
    old = base + round_page(space.data_size)
    new = round_page(nsize) & U64_MASK
    if new < base:
        raise KernelError(Errno.EINVAL, "below the data segment")
    if new >= space.user_max or (new > old and new - base > proc.rlimits[RlimitKind.DATA].cur):
        raise KernelError(Errno.ENOMEM)
    if new > old:
        if space.exceeds_limit(new - old):
            raise KernelError(Errno.ENOMEM, "more than RLIMIT_VMEM")
        if space.map.overlapping(old, new):
            raise KernelError(Errno.ENOMEM, "something is mapped there")
        space.map_anonymous(old, new)
    elif new < old:
        space.unmap(new, old)
    space.data_size = new - base
