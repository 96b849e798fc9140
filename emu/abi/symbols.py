"""The ABI's constants under the names its headers give them, for assembly sources."""

from collections.abc import Iterator
from enum import IntEnum, IntFlag

from emu.abi.errno import Errno
from emu.abi.fcntl import AT_FDCWD, FD_CLOEXEC, At, Fcntl, Io, Lock, Mode, Open, Seek
from emu.abi.frames import TRAPFRAME_SIZE, VEXTFRAME_SIZE, Trapframe, Vextframe
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Inherit, Madv, Map, Mcl, Mincore, Ms, Prot
from emu.abi.resource import RlimitKind
from emu.abi.signal import Signal
from emu.abi.time import ClockId
from emu.abi.unistd import Rfork
from emu.abi.versions import AbiVersion
from emu.abi.vkernel import VPTE_FRAME, Trap, VmspaceCtl
from emu.abi.wait import Wait
from emu.abi.x86 import (
    PAGE_SHIFT,
    PAGE_SIZE,
    RFLAGS_SANITISE,
    RFLAGS_USER,
    U32_MASK,
    USER_CS,
    USER_CS32,
    USER_SS,
    Pgex,
    Rflags,
)

_PREFIXES: dict[str, type[IntEnum] | type[IntFlag]] = {
    "ERRNO_": Errno,
    "PROT_": Prot,
    "MAP_": Map,
    "MADV_": Madv,
    "INHERIT_": Inherit,
    "MS_": Ms,
    "MCL_": Mcl,
    "MINCORE_": Mincore,
    "SIG": Signal,
    "T_": Trap,
    "VMSPACE_CTL_": VmspaceCtl,
    "PGEX_": Pgex,
    "PSL_": Rflags,
    "RFLAGS_": Rflags,
    "O_": Open,
    "F_": Fcntl,
    "SEEK_": Seek,
    "LOCK_": Lock,
    "AT_": At,
    "S_IF": Mode,
    "CLOCK_": ClockId,
    "W_": Wait,
    "RF": Rfork,
    "RLIMIT_": RlimitKind,
    "": Ioctl,
}


def abi_symbols(abi: AbiVersion) -> dict[str, int]:
    """Return name → value of everything `abi` names.

    VPTE_* have the version's values; TF_* and VEXT_* are byte offsets into the frames.  System
    call numbers (SYS_*) are not here: the table of calls has them.
    """
    return dict(_symbols(abi))


def _symbols(abi: AbiVersion) -> Iterator[tuple[str, int]]:
    for prefix, members in _PREFIXES.items():
        for name, member in members.__members__.items():
            yield f"{prefix}{name}", int(member)
    for name, bit in abi.vpte.symbols.items():
        yield f"VPTE_{name}", bit
    yield "VPTE_FRAME", VPTE_FRAME
    for member in Io:
        yield f"O_{member.name}", int(member)
    yield "FD_CLOEXEC", FD_CLOEXEC
    yield "AT_FDCWD", AT_FDCWD & U32_MASK
    for name, *_ in Trapframe._fields_:
        yield f"TF_{name.upper()}", getattr(Trapframe, name).offset
    yield "TF_SIZE", TRAPFRAME_SIZE
    for name, *_ in Vextframe._fields_:
        yield f"VEXT_{name.upper()}", getattr(Vextframe, name).offset
    yield "VEXT_SIZE", VEXTFRAME_SIZE
    yield "PSL_USER", RFLAGS_USER
    yield "RFLAGS_USER", RFLAGS_USER
    yield "RFLAGS_SANITISE", RFLAGS_SANITISE
    yield "USER_CS", USER_CS
    yield "USER_CS32", USER_CS32
    yield "USER_SS", USER_SS
    yield "USER_MAX", abi.user_max
    yield "PAGE_SIZE", PAGE_SIZE
    yield "PAGE_SHIFT", PAGE_SHIFT
