"""The ABI's constants under the names its headers give them, for assembly sources."""

from collections.abc import Iterator
from enum import IntEnum, IntFlag

from emu.abi.errno import Errno
from emu.abi.event import Ev, Evfilt, Note
from emu.abi.fcntl import (
    AT_FDCWD,
    FD_CLOEXEC,
    At,
    Dt,
    Fcntl,
    Io,
    Lock,
    Mode,
    Open,
    RecordLock,
    Seek,
)
from emu.abi.frames import TRAPFRAME_SIZE, VEXTFRAME_SIZE, Trapframe, Vextframe
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Inherit, Madv, Map, Mcl, Mincore, Ms, Prot
from emu.abi.poll import Poll
from emu.abi.reboot import Rb
from emu.abi.resource import RlimitKind
from emu.abi.sched import SchedPolicy
from emu.abi.sigframe import McFpFormat, McOwnedFp, SigactionStruct, Siginfo, StackT
from emu.abi.signal import (
    SIG_DFL,
    SIG_IGN,
    BusCode,
    FpeCode,
    IllCode,
    SaFlag,
    SegvCode,
    SigHow,
    Signal,
    SsFlag,
    TrapCode,
)
from emu.abi.socket import Af, Level, Msg, Scm, Shut, So, Sock
from emu.abi.structs import LwpParams
from emu.abi.time import ClockId, Itimer
from emu.abi.unistd import ExtExit, ExtExitWho, Rfork
from emu.abi.varsym import Varsym, VarsymMask
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
    "SIG_": SigHow,
    "SA_": SaFlag,
    "SS_": SsFlag,
    "ILL_": IllCode,
    "FPE_": FpeCode,
    "SEGV_": SegvCode,
    "BUS_": BusCode,
    "TRAP_": TrapCode,
    "T_": Trap,
    "VMSPACE_CTL_": VmspaceCtl,
    "PGEX_": Pgex,
    "PSL_": Rflags,
    "RFLAGS_": Rflags,
    "O_": Open,
    "F_": Fcntl,
    "SEEK_": Seek,
    "DT_": Dt,
    "LOCK_": Lock,
    "AT_": At,
    "CLOCK_": ClockId,
    "ITIMER_": Itimer,
    "EVFILT_": Evfilt,
    "EV_": Ev,
    "NOTE_": Note,
    "POLL": Poll,
    "W": Wait,
    "RF": Rfork,
    "RLIMIT_": RlimitKind,
    "RB_": Rb,
    "SCHED_": SchedPolicy,
    "VARSYM_": Varsym,
    "AF_": Af,
    "SOCK_": Sock,
    "SO_": So,
    "MSG_": Msg,
    "SCM_": Scm,
    "SHUT_": Shut,
    "": Ioctl,
}


def abi_symbols(abi: AbiVersion) -> dict[str, int]:
    """Return name → value of everything `abi` names.

    VPTE_* have the version's values; TF_*, VEXT_*, SF_* and so on are byte offsets into the
    structures.  System call numbers (SYS_*) are not here: the table of calls has them.
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
    for mask in VarsymMask:
        yield f"VARSYM_{mask.name}", int(mask)
    for member in (*ExtExit, *ExtExitWho):
        yield f"EXTEXIT_{member.name}", int(member)
    yield "SIG_DFL", SIG_DFL
    yield "SIG_IGN", SIG_IGN
    yield "FD_CLOEXEC", FD_CLOEXEC
    yield "AT_FDCWD", AT_FDCWD & U32_MASK
    yield "SOL_SOCKET", Level.SOCKET
    for name, *_ in Trapframe._fields_:
        yield f"TF_{name.upper()}", getattr(Trapframe, name).offset
    yield "TF_SIZE", TRAPFRAME_SIZE
    for name, *_ in Vextframe._fields_:
        yield f"VEXT_{name.upper()}", getattr(Vextframe, name).offset
    yield "VEXT_SIZE", VEXTFRAME_SIZE
    yield from _signal_structures(abi)
    for name, *_ in LwpParams._fields_:
        yield f"LWP_{name.upper()}", getattr(LwpParams, name).offset
    yield "LWP_PARAMS_SIZE", memoryview(LwpParams()).nbytes
    yield "PSL_USER", RFLAGS_USER
    yield "RFLAGS_USER", RFLAGS_USER
    yield "RFLAGS_SANITISE", RFLAGS_SANITISE
    yield "USER_CS", USER_CS
    yield "USER_CS32", USER_CS32
    yield "USER_SS", USER_SS
    yield "USER_MAX", abi.user_max
    yield "ABI", int(abi.name)
    yield "PAGE_SIZE", PAGE_SIZE
    yield "PAGE_SHIFT", PAGE_SHIFT


def _signal_structures(abi: AbiVersion) -> Iterator[tuple[str, int]]:
    """Yield the offsets of what signal handlers are given: SF_*, UC_*, MC_*, SI_*, and of what
    sigaction(2) and sigaltstack(2) take."""
    sigframe = abi.sigframe()
    structures = (sigframe, sigframe.sf_uc, sigframe.sf_uc.uc_mcontext, Siginfo())
    for structure in (*structures, SigactionStruct(), StackT()):
        for name, *_ in structure._fields_:
            if name[2] == "_":
                yield name.upper(), getattr(type(structure), name).offset
    for prefix, structure in zip(("SF", "UC", "MC", "SI"), structures, strict=True):
        yield f"{prefix}_SIZE", memoryview(structure).nbytes
    registers = type(sigframe.sf_uc.uc_mcontext).mc_frame.offset
    for name, *_ in Trapframe._fields_:
        yield f"MC_{name.upper()}", registers + getattr(Trapframe, name).offset
    for fp in McFpFormat:
        yield f"MC_FPFMT_{fp.name}", int(fp)
    for owned in McOwnedFp:
        yield f"MC_FPOWNED_{owned.name}", int(owned)
