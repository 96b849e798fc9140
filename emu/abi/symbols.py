"""The ABI's constants under the names its headers give them, for assembly sources."""

from collections.abc import Iterator
from enum import IntEnum, IntFlag

from emu.abi.errno import Errno
from emu.abi.event import Ev, Evfilt, Note
from emu.abi.fcntl import AT_FDCWD, FD_CLOEXEC, At, Fcntl, Io, Lock, Mode, Open, RecordLock, Seek
from emu.abi.frames import TRAPFRAME_SIZE, VEXTFRAME_SIZE, Trapframe, Vextframe
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Inherit, Madv, Map, Mincore, Ms, Prot
from emu.abi.resource import RlimitKind
from emu.abi.signal import SIG_DFL, SIG_IGN, SaFlag, SigHow, Signal, SsFlag
from emu.abi.time import ClockId, Itimer
from emu.abi.unistd import ExtExit, ExtExitWho, Rfork
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
    "MINCORE_": Mincore,
    "SIG": Signal,
    "SIG_": SigHow,
    "SA_": SaFlag,
    "SS_": SsFlag,
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
    "ITIMER_": Itimer,
    "EVFILT_": Evfilt,
    "EV_": Ev,
    "NOTE_": Note,
    "W": Wait,
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
    for name, member in Mode.__members__.items():
        yield f"S_IF{name.removeprefix('F')}", int(member)
    for name, bit in abi.vpte.symbols.items():
        yield f"VPTE_{name}", bit
    yield "VPTE_FRAME", VPTE_FRAME
    for member in Io:
        yield f"O_{member.name}", int(member)
    for member in RecordLock:
        yield f"F_{member.name}", int(member)
    for member in (*ExtExit, *ExtExitWho):
        yield f"EXTEXIT_{member.name}", int(member)
    yield "SIG_DFL", SIG_DFL
    yield "SIG_IGN", SIG_IGN
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
