"""varsym_*: variables that symbolic links may contain (sys/kern/kern_varsym.c)."""

from contextlib import suppress
from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.varsym import MAXVARSYM_DATA, MAXVARSYM_NAME, Varsym, VarsymMask
from emu.kern.proc import Lwp
from emu.kern.varsym import VarsymSet
from syscalls.args import Int, Ptr, Str, enum_kind, flags_kind

LevelArg = Annotated[int, enum_kind(Varsym, "VARSYM_")]
MaskArg = Annotated[int, flags_kind(VarsymMask, "VARSYM_")]

_INT = 4


def varsym_set(lwp: Lwp, level: LevelArg, name: Str, data: Str) -> None:
    """Set a variable of the process, its user or, for root, the system; NULL removes it.

    A level that does not exist changes nothing.
    """
    space = lwp.vmspace
    variable = space.copyinstr(name, MAXVARSYM_NAME)
    value = space.copyinstr(data, MAXVARSYM_DATA) if data else None
    if level in (Varsym.SYS, Varsym.PRISON):
        lwp.proc.ucred.check_root("a variable of the system")
    if level not in Varsym.__members__.values():
        return
    variables = _variables(lwp, level)
    if value is None:
        variables.unset(variable)
    else:
        variables.set(variable, value)


def varsym_get(lwp: Lwp, mask: MaskArg, wild: Str, buf: Ptr, bufsize: Int) -> int:
    """Store the value of the variable `wild`; return the size of that, with its NUL.

    If it does not fit, an empty string is stored.
    """
    name = lwp.vmspace.copyinstr(wild, MAXVARSYM_NAME)
    value = lwp.proc.find_varsym(name, mask)
    if value is None:
        raise KernelError(Errno.ENOENT, f"no variable {name!r}")
    with suppress(KernelError):  # the original does not look
        if len(value) < bufsize:
            lwp.vmspace.copyout(buf, value + b"\0")
        elif bufsize:
            lwp.vmspace.copyout(buf, b"\0")
    return len(value) + 1


def varsym_list(lwp: Lwp, level: LevelArg, buf: Ptr, maxsize: Int, marker: Ptr) -> int:
    """Store names and values, from number `*marker` on, as many as fit; return their size.

    The number to go on from is stored, -1 at the end.  EOVERFLOW if not even one fits.
    """
    space = lwp.vmspace
    first = int.from_bytes(space.copyin(marker, _INT), "little", signed=True)
    stored = b""
    after = -1
    for number, (name, value) in enumerate(_variables(lwp, level)):
        if number < first:
            continue
        pair = name + b"\0" + value + b"\0"
        if len(stored) + len(pair) > maxsize:
            if not stored:
                raise KernelError(Errno.EOVERFLOW, f"{len(pair)} bytes")
            after = number
            break
        stored += pair
    space.copyout(buf, stored)
    space.copyout(marker, after.to_bytes(_INT, "little", signed=True))
    return len(stored)


def _variables(lwp: Lwp, level: int) -> VarsymSet:
    proc = lwp.proc
    match level:
        case Varsym.PROC:
            return proc.varsyms
        case Varsym.USER:
            return proc.kernel.varsyms_of_user(proc.ucred.uid)
        case Varsym.SYS:
            return proc.kernel.varsyms
    raise KernelError(Errno.EINVAL, f"level {level}")
