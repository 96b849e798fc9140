"""Making a mapping, in a process's own space or in a vmspace (kern_mmap, sys/vm/vm_mmap.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.mman import PROT_ALL, Inherit, Map, Prot
from emu.abi.x86 import PAGE_MASK, PAGE_SIZE, U64_MASK, round_page
from emu.kern.file import File
from emu.kern.proc import Proc
from emu.vm.vm_map import VmMapEntry
from emu.vm.vm_object import ANONYMOUS_PAGES, AnonymousObject, ShadowObject, VmObject
from emu.vm.vmspace import STACK_STEP, Vmspace

MAX_DATA_SIZE = 32 << 30
"""How far above the start of the data segment unhinted mappings begin (MAXDSIZ)."""

_SUPERPAGE = 2 << 20
_READ_WRITE = int(Prot.READ | Prot.WRITE)


def kern_mmap(
    proc: Proc, space: Vmspace, addr: int, size: int, prot: int, flags: int, fd: int, pos: int
) -> int:
    """Map `fd` from `pos`, or memory, into `space`; return the address.

    The checks come in the original's order (abi 6.9).  Raise KernelError with nothing changed.
    """
    prot &= PROT_ALL
    if flags & Map.ANON and (fd != -1 or pos != 0):
        raise KernelError(Errno.EINVAL, "MAP_ANON with a file or an offset")
    if size == 0:
        raise KernelError(Errno.EINVAL, "no length")
    if flags & Map.STACK:
        if fd != -1 or prot & _READ_WRITE != _READ_WRITE:
            raise KernelError(Errno.EINVAL, "MAP_STACK wants no file, and PROT_READ|PROT_WRITE")
        flags |= Map.ANON
        pos = 0
    if flags & Map.VPAGETABLE:
        if not proc.kernel.vkernel_enable:
            raise KernelError(Errno.EOPNOTSUPP, "vm.vkernel_enable is 0")
        if flags & Map.STACK:
            raise KernelError(Errno.EINVAL, "MAP_VPAGETABLE with MAP_STACK")
        if prot & _READ_WRITE != _READ_WRITE:
            raise KernelError(Errno.EINVAL, "MAP_VPAGETABLE wants PROT_READ|PROT_WRITE")
    page_offset = pos & PAGE_MASK
    pos -= page_offset
    length = round_page(size + page_offset)
    if length >> 64:
        raise KernelError(Errno.EINVAL, "the length wraps")
    fixed = bool(flags & (Map.FIXED | Map.TRYFIXED))
    if fixed:
        addr -= page_offset
        if addr & PAGE_MASK:
            raise KernelError(Errno.EINVAL, f"{addr:#x} is not page aligned")
        if addr < 0 or addr + length > space.user_max:
            raise KernelError(Errno.EINVAL, "outside the address space")
    else:
        addr = _hint(proc, addr)
    file = None if flags & Map.ANON else proc.files.get(fd)
    if file is not None and file.is_zero_device:
        file, pos = None, 0
    max_prot = PROT_ALL if file is None else _file_rights(file, prot, flags)
    if space.map.full:
        raise KernelError(Errno.ENOMEM, "too many map entries")
    if space is proc.vmspace and space.exceeds_limit(length):
        raise KernelError(Errno.ENOMEM, "more than RLIMIT_VMEM")
    if flags & Map.SIZEALIGN and length & (length - 1):
        raise KernelError(Errno.EINVAL, "MAP_SIZEALIGN with a length that is no power of two")
    if not fixed:
        alignment = _alignment(proc, length, flags)
        for_stack = bool(flags & Map.STACK)
        addr = space.map.find_space(addr, length, alignment, for_stack=for_stack)
    elif flags & Map.TRYFIXED and space.map.overlapping(addr, addr + length):
        raise KernelError(Errno.ENOMEM, "something is mapped there")
    backing = _backing(proc, file, length, flags)

    start = addr
    if flags & Map.STACK:
        start = max(addr, addr + length - STACK_STEP)
    entry = VmMapEntry(
        start,
        addr + length,
        backing,
        offset=pos & U64_MASK,
        prot=prot,
        max_prot=max_prot,
        inherit=Inherit.SHARE if flags & (Map.SHARED | Map.INHERIT) else Inherit.COPY,
        vpagetable=bool(flags & Map.VPAGETABLE),
        stack_reserve=start - addr,
        nosync=bool(flags & Map.NOSYNC),
        nocore=bool(flags & Map.NOCORE),
    )
    space.map_object(entry, replace=fixed and not flags & Map.TRYFIXED)
    return addr + page_offset


def _hint(proc: Proc, addr: int) -> int:
    """Return where the search for room begins (vm_map_hint)."""
    above_data = round_page(proc.vmspace.data_start + MAX_DATA_SIZE)
    if addr == 0 or round_page(proc.vmspace.text_start) <= addr < above_data:
        return above_data
    return round_page(addr)


def _alignment(proc: Proc, length: int, flags: int) -> int:
    if flags & Map.STACK:  # vm_map_stack() heeds no alignment
        return PAGE_SIZE
    if flags & Map.SIZEALIGN:
        return length
    big = length % _SUPERPAGE == 0 or length > 32 << 20
    return _SUPERPAGE if proc.kernel.abi.mmap_superpages and big else PAGE_SIZE


def _file_rights(file: File, prot: int, flags: int) -> int:
    """Return the most that may ever be done with a mapping of `file`, or refuse it."""
    file.check_mappable()
    if prot & Prot.READ and not file.readable:
        raise KernelError(Errno.EACCES, "not open for reading")
    shared = flags & Map.SHARED
    if shared and prot & Prot.WRITE and not file.writable:
        raise KernelError(Errno.EACCES, "not open for writing")
    rights = int(Prot.EXEC)
    if file.readable:
        rights |= Prot.READ
    if file.writable or not shared:
        rights |= Prot.WRITE
    return rights


def _backing(proc: Proc, file: File | None, length: int, flags: int) -> VmObject:
    phys = proc.kernel.phys
    if file is None:
        pages = ANONYMOUS_PAGES if flags & Map.VPAGETABLE else length // PAGE_SIZE
        return AnonymousObject(phys, pages)
    whole = file.vm_object(phys)
    return whole if flags & Map.SHARED else ShadowObject(phys, whole)
