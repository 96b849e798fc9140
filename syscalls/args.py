"""How a system call's arguments are written down: the annotations of its handler.

The dispatcher decodes registers by them, the tracer prints values by them.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum, IntFlag
from typing import Annotated, Any, NamedTuple

from emu.abi.fcntl import AT_FDCWD, At
from emu.abi.mman import Inherit, Madv, Map, Ms, Prot
from emu.abi.vkernel import VmspaceCtl
from emu.abi.x86 import U32_MASK
from emu.kern.sched import Blocking

Peek = Callable[[int, int], bytes | None]
"""Read guest memory without faulting anything in: (address, size) → bytes, or None."""

Handler = Callable[..., int | Blocking[int | None] | None]
"""A system call: handler(lwp, *arguments) → the result word (None for 0).

One that may have to wait is a generator: see emu.kern.sched.
"""

JUST_RETURN = -(1 << 64)
"""What a handler returns that has set up the frame itself (EJUSTRETURN).  No result is this."""


class Kind(NamedTuple):
    """One sort of argument.  `decode` is None where the raw 64-bit word is the value."""

    ctype: str
    decode: Callable[[int], int] | None
    show: Callable[[int, Peek], str]


def signed32(raw: int) -> int:
    return ((raw & U32_MASK) ^ 0x8000_0000) - 0x8000_0000


def signed64(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw


def unsigned32(raw: int) -> int:
    return raw & U32_MASK


def flag_names(flags: type[IntFlag], prefix: str, value: int) -> str:
    """Return `value` spelled with the names of its bits: PROT_READ|PROT_WRITE|0x40."""
    names = []
    for flag in flags:
        if flag.value and value & flag.value == flag.value:
            names.append(f"{prefix}{flag.name}")
            value &= ~flag.value
    if value or not names:
        names.append(hex(value) if value else "0")
    return "|".join(names)


def _decimal(value: int, peek: Peek) -> str:
    return str(value)


def _hex(value: int, peek: Peek) -> str:
    return hex(value) if value else "0"


def _directory(value: int, peek: Peek) -> str:
    return "AT_FDCWD" if value == AT_FDCWD else str(value)


def _octal(value: int, peek: Peek) -> str:
    return f"0{value:o}"


def _string(value: int, peek: Peek) -> str:
    text = b""
    while len(text) < 64:
        chunk = peek(value + len(text), 1)
        if chunk is None:
            return hex(value)
        if chunk == b"\0":
            return '"' + text.decode("latin-1").encode("unicode_escape").decode() + '"'
        text += chunk
    return '"' + text.decode("latin-1").encode("unicode_escape").decode() + '"…'


def _flags(flags: type[IntFlag], prefix: str) -> Callable[[int, Peek], str]:
    return lambda value, peek: flag_names(flags, prefix, value)


def _enum(enum: type[IntEnum], prefix: str) -> Callable[[int, Peek], str]:
    names = {member.value: f"{prefix}{member.name}" for member in enum}
    return lambda value, peek: names.get(value, str(value))


def flags_kind(flags: type[IntFlag], prefix: str) -> Kind:
    """Return the kind of an `int` argument made of the bits in `flags`."""
    return Kind("int", signed32, _flags(flags, prefix))


def enum_kind(enum: type[IntEnum], prefix: str) -> Kind:
    """Return the kind of an `int` argument that is one of `enum`."""
    return Kind("int", signed32, _enum(enum, prefix))


Int = Annotated[int, Kind("int", signed32, _decimal)]
UInt = Annotated[int, Kind("u_int", unsigned32, _decimal)]
Long = Annotated[int, Kind("long", signed64, _decimal)]
Off = Annotated[int, Kind("off_t", signed64, _hex)]
Size = Annotated[int, Kind("size_t", None, _decimal)]
Ptr = Annotated[int, Kind("void *", None, _hex)]
Word = Annotated[int, Kind("u_long", None, _hex)]
Str = Annotated[int, Kind("char *", None, _string)]
Fd = Annotated[int, Kind("int", signed32, _decimal)]
DirFd = Annotated[int, Kind("int", signed32, _directory)]
Mode = Annotated[int, Kind("mode_t", unsigned32, _octal)]
Pad = Annotated[int, Kind("int", None, _hex)]
AtArg = Annotated[int, flags_kind(At, "AT_")]
ProtArg = Annotated[int, flags_kind(Prot, "PROT_")]
MapArg = Annotated[int, flags_kind(Map, "MAP_")]
MsArg = Annotated[int, flags_kind(Ms, "MS_")]
MadvArg = Annotated[int, enum_kind(Madv, "MADV_")]
InheritArg = Annotated[int, enum_kind(Inherit, "INHERIT_")]
VmspaceCtlArg = Annotated[int, enum_kind(VmspaceCtl, "VMSPACE_CTL_")]


def signature(handler: Handler) -> Mapping[str, Kind]:
    """Return the kinds of `handler`'s arguments after the LWP, in order."""
    # As they stand: `inspect` and `typing` would take 4 ms at every start for all handlers.
    hints = handler.__annotations__
    return {name: _kind(hint) for name, hint in hints.items() if name not in ("lwp", "return")}


def _kind(hint: Any) -> Kind:
    (kind,) = hint.__metadata__
    assert isinstance(kind, Kind)
    return kind
