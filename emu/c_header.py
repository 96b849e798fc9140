"""The ABI as a C header: constants, structures and system calls of one version, for guests in C.

All of it comes from emu.abi and the table of system calls; vkernel.h beside the guest programs is
the hand-written rest.
"""

from collections.abc import Iterator
from ctypes import (
    Array,
    Structure,
    c_char,
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

from emu.abi.exec import PsStrings
from emu.abi.frames import TlsInfo, Trapframe, Vextframe
from emu.abi.resource import RlimitStruct, Rtprio, Rusage
from emu.abi.sigframe import (
    Mcontext2011,
    Mcontext2014,
    SigactionStruct,
    Sigframe2011,
    Sigframe2014,
    Siginfo,
    StackT,
    Ucontext2011,
    Ucontext2014,
)
from emu.abi.socket import Cmsgcred, Cmsghdr, Linger, Msghdr, SfHdtr, SockaddrIn
from emu.abi.structs import (
    Dirent,
    FiodnameArgs,
    Flock,
    Iovec,
    Itimerval,
    Kevent,
    LwpParams,
    Pollfd,
    Stat,
    Statfs,
    Statvfs,
    Termios,
    Timespec,
    Timeval,
    Winsize,
)
from emu.abi.symbols import abi_symbols
from emu.abi.uuid import Uuid
from emu.abi.versions import AbiVersion
from syscalls.args import Kind
from syscalls.table import REGISTER_ARGUMENTS, SYMBOLS, TABLE, Syscall

_Structures = dict[type[Structure], str]
"""Structures and their names in C, each after those it is made of."""

_STRUCTURES: _Structures = {
    Timespec: "timespec",
    Timeval: "timeval",
    Itimerval: "itimerval",
    Kevent: "kevent",
    Pollfd: "pollfd",
    Iovec: "iovec",
    Stat: "stat",
    Statfs: "statfs",
    Statvfs: "statvfs",
    Flock: "flock",
    Dirent: "dirent",
    FiodnameArgs: "fiodname_args",
    Winsize: "winsize",
    Termios: "termios",
    SockaddrIn: "sockaddr_in",
    Linger: "linger",
    Msghdr: "msghdr",
    Cmsghdr: "cmsghdr",
    Cmsgcred: "cmsgcred",
    SfHdtr: "sf_hdtr",
    RlimitStruct: "rlimit",
    Rusage: "rusage",
    Rtprio: "rtprio",
    LwpParams: "lwp_params",
    TlsInfo: "tls_info",
    Uuid: "uuid",
    PsStrings: "ps_strings",
    Trapframe: "trapframe",
    Vextframe: "vextframe",
    SigactionStruct: "sigaction",
    Siginfo: "siginfo",
    StackT: "sigaltstack",
}

_CONTEXTS: dict[type[Structure], _Structures] = {
    Sigframe2011: {Mcontext2011: "mcontext", Ucontext2011: "ucontext"},
    Sigframe2014: {Mcontext2014: "mcontext", Ucontext2014: "ucontext"},
}

# What C puts before the names of the fields.
_PREFIXES = {"trapframe": "tf_", "vextframe": "vx_"}

_SCALARS: dict[type[Any], str] = {
    c_char: "char",
    c_ubyte: "uint8_t",
    c_int16: "int16_t",
    c_uint16: "uint16_t",
    c_int32: "int32_t",
    c_uint32: "uint32_t",
    c_int64: "int64_t",
    c_uint64: "uint64_t",
}

# To the kernel a pointer is a number; to C it is not.
_POINTERS = {
    "iovec": {"iov_base"},
    "kevent": {"udata"},
    "msghdr": {"msg_name", "msg_iov", "msg_control"},
    "sf_hdtr": {"headers", "trailers"},
    "fiodname_args": {"name"},
    "ps_strings": {"ps_argvstr", "ps_envstr"},
    "lwp_params": {"func", "arg", "stack", "tid1", "tid2"},
    "tls_info": {"base"},
    "sigaction": {"sa_handler"},
    "siginfo": {"si_addr"},
    "sigaltstack": {"ss_sp"},
    "ucontext": {"uc_link"},
}

_BY_HAND = {"pipe"}  # vkernel.h has it, for its second result

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
    structures = _STRUCTURES | _CONTEXTS[abi.sigframe]
    for structure in structures:
        yield ""
        yield from _struct(structure, structures)
    yield ""
    yield "#ifdef VKERNEL_H /* which says how a system call is made */"
    for call in TABLE.values():
        if call.name not in _BY_HAND:
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
        text = str(value) if value < 10 or name.startswith(_COUNTED) else hex(value)
        yield f"#define {name} {text if value >= 0 else f'({text})'}"


def _struct(structure: type[Structure], structures: _Structures) -> Iterator[str]:
    name = structures[structure]
    prefix = _PREFIXES.get(name, "")
    members = [(field, f"{prefix}{field}", kind) for field, kind, *_ in structure._fields_]
    yield f"struct {name} {{"
    for field, member, kind in members:
        pointer = field in _POINTERS.get(name, ())
        yield f"\t{f'void *{member}' if pointer else _declaration(member, kind, structures)};"
    yield "};"
    yield f'_Static_assert(sizeof(struct {name}) == {sizeof(structure)}, "struct {name}");'
    for field, member, _ in members:
        offset = getattr(structure, field).offset
        yield f'_Static_assert(offsetof(struct {name}, {member}) == {offset}, "{member}");'


def _declaration(member: str, kind: Any, structures: _Structures) -> str:
    if issubclass(kind, Array):
        return f"{_declaration(member, kind._type_, structures)}[{kind._length_}]"
    if issubclass(kind, Structure):
        return f"struct {structures[kind]} {member}"
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
