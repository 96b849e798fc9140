"""__sysctl: reading and setting kernel variables (sys/kern/kern_sysctl.c)."""

from struct import unpack

from emu.abi.errno import Errno, KernelError
from emu.abi.sysctl import CTL_MAXNAME
from emu.kern import sysctl
from emu.kern.proc import Lwp
from syscalls.args import Ptr, Size, UInt


def __sysctl(
    lwp: Lwp, name: Ptr, namelen: UInt, old: Ptr, oldlenp: Ptr, new: Ptr, newlen: Size
) -> None:
    """Read the variable `name` into `old` and set it to what is at `new`; either may be NULL.

    A value too long for `old` is cut, nothing is set and the call fails with ENOMEM; `*oldlenp`
    is updated even so, as after success.
    """
    if not 2 <= namelen <= CTL_MAXNAME:
        raise KernelError(Errno.EINVAL, f"a name of {namelen} numbers")
    space = lwp.vmspace
    oid = unpack(f"<{namelen}i", space.copyin(name, 4 * namelen))
    room = int.from_bytes(space.copyin(oldlenp, 8), "little") if oldlenp else 0
    wanted = space.copyin(new, min(newlen, sysctl.MAX_NEW)) if new else None
    value = sysctl.read(lwp.proc, oid, wanted)
    size = len(value)
    short = bool(old) and room < size
    if old:
        size = min(size, room)
        space.copyout(old, value[:size])
    if wanted is not None and not short:
        sysctl.write(lwp.proc, oid, wanted)
    if oldlenp:
        space.copyout(oldlenp, size.to_bytes(8, "little"))
    if short:
        raise KernelError(Errno.ENOMEM, f"{len(value)} bytes do not fit in {room}")
