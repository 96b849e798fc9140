"""The ABI as a C header: constants, structures and system calls of one version, for guests in C.

All of it comes from emu.abi and the table of system calls; vkernel.h beside the guest programs is
the hand-written rest.
"""

from collections.abc import Iterator
from ctypes import (
    Array,
    Structure,
    c_int16,
    c_int32,
    c_int64,
    c_ubyte,
    c_uint16,
    c_uint32,
    c_uint64,
    sizeof,
)
from typing import Any

from emu.abi.frames import TlsInfo, Trapframe, Vextframe
from emu.abi.structs import Flock, Iovec, Stat, Termios, Timespec, Timeval, Winsize
from emu.abi.symbols import abi_symbols
from emu.abi.versions import AbiVersion
from syscalls.args import Kind
from syscalls.table import REGISTER_ARGUMENTS, SYMBOLS, TABLE, Syscall

# A structure, its name in C and what C puts before the names of its fields.
_STRUCTURES: tuple[tuple[type[Structure], str, str], ...] = (
    (Timespec, "timespec", ""),
    (Timeval, "timeval", ""),
    (Iovec, "iovec", ""),
    (Stat, "stat", ""),
    (Flock, "flock", ""),
    (Winsize, "winsize", ""),
    (Termios, "termios", ""),
    (TlsInfo, "tls_info", ""),
    (Trapframe, "trapframe", "tf_"),
    (Vextframe, "vextframe", "vx_"),
)
_STRUCT_NAMES = {structure: name for structure, name, _ in _STRUCTURES}

_SCALARS: dict[type[Any], str] = {
    c_ubyte: "uint8_t",
    c_int16: "int16_t",
    c_uint16: "uint16_t",
    c_int32: "int32_t",
    c_uint32: "uint32_t",
    c_int64: "int64_t",
    c_uint64: "uint64_t",
}

# To the kernel a pointer is a number; to C it is not.
_POINTERS = {("iovec", "iov_base"): "void *", ("tls_info", "base"): "void *"}

_COUNTED = ("SYS_", "ERRNO_", "SIG")  # these are read as decimal numbers


def c_header(abi: AbiVersion) -> str:
    """Return the text of the header."""
    return "\n".join(_lines(abi)) + "\n"


def _lines(abi: AbiVersion) -> Iterator[str]:
    yield f"/* The ABI of {abi.name}, made by `vkemu header`: change emu/abi, not this. */"
    yield ""
    yield "#ifndef VKERNEL_ABI_H"
    yield "#define VKERNEL_ABI_H"
    yield ""
    yield "#include <stddef.h>"
    yield "#include <stdint.h>"
    yield from _defines({**abi_symbols(abi), **SYMBOLS})
    for structure, name, prefix in _STRUCTURES:
        yield ""
        yield from _struct(structure, name, prefix)
    yield ""
    yield "#ifdef VKERNEL_H /* which says how a system call is made */"
    for call in TABLE.values():
        yield ""
        yield from _call(call)
    yield ""
    yield "#endif /* VKERNEL_H */"
    yield ""
    yield "#endif /* VKERNEL_ABI_H */"


def _defines(symbols: dict[str, int]) -> Iterator[str]:
    group = None
    for name, value in symbols.items():
        stem = name.partition("_")[0] if "_" in name else ""
        if stem != group:
            group = stem
            yield ""
        yield f"#define {name} {value if value < 10 or name.startswith(_COUNTED) else hex(value)}"


def _struct(structure: type[Structure], name: str, prefix: str) -> Iterator[str]:
    fields = [(field, kind) for field, kind, *_ in structure._fields_]
    yield f"struct {name} {{"
    for field, kind in fields:
        yield f"\t{_declaration(name, prefix + field, kind)};"
    yield "};"
    yield f'_Static_assert(sizeof(struct {name}) == {sizeof(structure)}, "struct {name}");'
    for field, _ in fields:
        offset = getattr(structure, field).offset
        member = prefix + field
        yield f'_Static_assert(offsetof(struct {name}, {member}) == {offset}, "{member}");'


def _declaration(struct: str, member: str, kind: Any) -> str:
    if issubclass(kind, Array):
        return f"{_declaration(struct, member, kind._type_)}[{kind._length_}]"
    if issubclass(kind, Structure):
        return f"struct {_STRUCT_NAMES[kind]} {member}"
    if (struct, member) in _POINTERS:
        return f"{_POINTERS[struct, member]}{member}"
    return f"{_SCALARS[kind]} {member}"


def _call(call: Syscall) -> Iterator[str]:
    parameters, words = [], []
    for argument, kind in call.args.items():
        ctype, name = _ctype(kind), argument.rstrip("_")
        pointer = ctype.endswith("*")
        parameters.append(f"{ctype}{name}" if pointer else f"{ctype} {name}")
        words.append(f"(long){name}" if pointer else name)
    primitive = "vk_syscall" if len(words) <= REGISTER_ARGUMENTS else "vk_syscall7"
    words += ["0"] * (REGISTER_ARGUMENTS - len(words))
    yield "static inline long"
    yield f"sys_{call.name}({', '.join(parameters) or 'void'})"
    yield "{"
    yield f"\treturn ({primitive}(SYS_{call.name}, {', '.join(words)}));"
    yield "}"


def _ctype(kind: Kind) -> str:
    """Return the type a caller finds least in the way: any object may go where a `void *` does."""
    if not kind.ctype.endswith("*"):
        return kind.ctype
    return "const char *" if kind.ctype == "char *" else "void *"
