"""Safe stops: callbacks for the engine's hooks that stop at the start of a block, and say why.

A stop asked for by another host thread can land between the store of an instruction and the
update of RIP; the instruction then runs twice.  A stop made inside a block hook cannot.  So the
hook is a host routine that looks at a word another thread may set, and stops there.

Two words, on different cache lines, with one writer each: `kick` is only read by the routine,
`budget` is only written by it and the engine's own thread.  A kick that wrote to the counter
could be lost between the load and the store of its decrement.

A host without executable memory has no such routine.  There a kick swaps the hook's callback.
"""

import mmap
import platform
import sys
from collections.abc import Mapping
from ctypes import (
    CDLL,
    addressof,
    byref,
    c_char,
    c_int,
    c_size_t,
    c_uint64,
    c_ulong,
    c_void_p,
    memmove,
)
from typing import NamedTuple

from emu.cpu.engine import EngineError
from emu.cpu.hooks import Hooks
from emu.cpu.unicorn_library import HARMLESS_FUNCTION, NEVER, STOPPING_FUNCTION

# The 32-bit words behind every hook's user_data, by index.
VECTOR = 0  # the exception that ended the run, or -1
SYSCALL = 1  # 1 if a SYSCALL ended it
STOP = 2  # two words: the address of the function that stops the engine
KICK = 16
BUDGET = 32  # blocks that may still start; negative once one was refused
WORDS_SIZE = 192

NO_LIMIT = 0x7FFF_FFFF  # for BUDGET; refilled when it runs out


class Convention(NamedTuple):
    """The routines as one calling convention wants them: text, and the bytes it assembles to."""

    block_text: str
    block: bytes
    syscall_text: str
    syscall: bytes
    interrupt_text: str
    interrupt: bytes


# Each is called with the engine first and the words last; between them a block hook gets
# (address, size) and an interrupt hook gets (vector).  The tail call passes the engine on.

SYSTEM_V = Convention(
    block_text="""
            cmp dword ptr [rcx + 64], 0
            jne stop
            dec dword ptr [rcx + 128]
            js stop
            ret
        stop:
            jmp qword ptr [rcx + 8]
    """,
    block=bytes.fromhex("83794000 7509 ff8980000000 7801 c3 ff6108"),
    syscall_text="""
            mov dword ptr [rsi + 4], 1
            jmp qword ptr [rsi + 8]
    """,
    syscall=bytes.fromhex("c7460401000000 ff6608"),
    interrupt_text="""
            mov dword ptr [rdx], esi
            jmp qword ptr [rdx + 8]
    """,
    interrupt=bytes.fromhex("8932 ff6208"),
)

WIN64 = Convention(
    block_text="""
            cmp dword ptr [r9 + 64], 0
            jne stop
            dec dword ptr [r9 + 128]
            js stop
            ret
        stop:
            jmp qword ptr [r9 + 8]
    """,
    block=bytes.fromhex("4183794000 750a 41ff8980000000 7801 c3 41ff6108"),
    syscall_text="""
            mov dword ptr [rdx + 4], 1
            jmp qword ptr [rdx + 8]
    """,
    syscall=bytes.fromhex("c7420401000000 ff6208"),
    interrupt_text="""
            mov dword ptr [r8], edx
            jmp qword ptr [r8 + 8]
    """,
    interrupt=bytes.fromhex("418910 41ff6008"),
)

AARCH64 = Convention(
    block_text="""
            ldr w4, [x3, #64]
            cbnz w4, stop
            ldr w4, [x3, #128]
            subs w4, w4, #1
            str w4, [x3, #128]
            b.mi stop
            ret
        stop:
            ldr x4, [x3, #8]
            br x4
    """,
    block=bytes.fromhex("644040b9c4000035648040b984040071648000b944000054c0035fd6640440f980001fd6"),
    syscall_text="""
            mov w4, #1
            str w4, [x1, #4]
            ldr x4, [x1, #8]
            br x4
    """,
    syscall=bytes.fromhex("24008052240400b9240440f980001fd6"),
    interrupt_text="""
            str w1, [x2]
            ldr x4, [x2, #8]
            br x4
    """,
    interrupt=bytes.fromhex("410000b9440440f980001fd6"),
)

_CONVENTIONS: Mapping[tuple[str, bool], Convention] = {
    ("x86_64", False): SYSTEM_V,
    ("amd64", False): SYSTEM_V,
    ("amd64", True): WIN64,
    ("aarch64", False): AARCH64,
    ("arm64", False): AARCH64,
}


class Words:
    """The words the routines and the engine share, each group on a cache line of its own."""

    __slots__ = ("_host", "address", "words")

    def __init__(self) -> None:
        self._host = mmap.mmap(-1, mmap.PAGESIZE)
        self.address = addressof(c_char.from_buffer(self._host))
        self.words = memoryview(self._host)[:WORDS_SIZE].cast("i")
        memoryview(self._host).cast("Q")[STOP // 2] = STOPPING_FUNCTION
        self.words[VECTOR] = -1


class Routines(NamedTuple):
    """Addresses of the three routines in executable memory."""

    block: int
    syscall: int
    interrupt: int


def place_routines() -> Routines | None:
    """Copy this host's routines to executable memory.  None if it has none, or refuses."""
    windows = sys.platform == "win32"
    convention = _CONVENTIONS.get((platform.machine().lower(), windows))
    if convention is None:
        return None
    parts = [convention.block, convention.syscall, convention.interrupt]
    address = place_code(b"".join(part.ljust(_SLOT, b"\0") for part in parts))
    if address is None:
        return None
    return Routines(*(address + _SLOT * i for i in range(len(parts))))


_SLOT = 64

_MEM_COMMIT_RESERVE = 0x3000
_PAGE_READWRITE = 0x04
_PAGE_EXECUTE_READ = 0x20


def place_code(code: bytes) -> int | None:
    """Return the address of a read-execute copy of `code`, at most a page, which is never freed.

    None if the host refuses.
    """
    return _executable_windows(code) if sys.platform == "win32" else _executable_posix(code)


def _executable_posix(code: bytes) -> int | None:
    libc = CDLL(None)
    libc.mmap.restype = c_void_p
    libc.mmap.argtypes = (c_void_p, c_size_t, c_int, c_int, c_int, c_size_t)
    libc.mprotect.argtypes = (c_void_p, c_size_t, c_int)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    size = mmap.PAGESIZE
    address: int | None = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if address is None or address == c_void_p(-1).value:
        return None
    memmove(address, code, len(code))
    # Written before it becomes executable: hosts that enforce W^X allow no other order, and
    # Linux on arm64 cleans the instruction cache at this change.
    if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
        return None
    if sys.platform == "darwin":
        libc.sys_icache_invalidate(c_void_p(address), c_size_t(len(code)))
    return address


def _executable_windows(code: bytes) -> int | None:
    kernel32 = CDLL("kernel32")
    kernel32.VirtualAlloc.restype = c_void_p
    size = c_size_t(mmap.PAGESIZE)
    address: int | None = kernel32.VirtualAlloc(None, size, _MEM_COMMIT_RESERVE, _PAGE_READWRITE)
    if address is None:
        return None
    memmove(address, code, len(code))
    page = c_void_p(address)
    if not kernel32.VirtualProtect(page, size, _PAGE_EXECUTE_READ, byref(c_ulong())):
        return None
    kernel32.FlushInstructionCache(c_void_p(-1), page, size)
    return address


class SwappedCallback:
    """Safe kicks on a host without executable memory.

    A block hook over everything calls a function of the library that does nothing; a kick puts
    uc_emu_stop in its place.  With one hook alone the engine would bake the function's address
    into translated code, hence a second hook, over an address that never runs.
    """

    def __init__(self, hooks: Hooks) -> None:
        structure = hooks.on_block(HARMLESS_FUNCTION)
        hooks.on_block(HARMLESS_FUNCTION, NEVER)
        # A hook's handle is its address; where in it the callback lies is for us to find.
        words = [structure + 8 * i for i in range(12)]
        found = [at for at in words if c_uint64.from_address(at).value == HARMLESS_FUNCTION]
        if len(found) != 1:
            raise EngineError("this host offers no safe way to interrupt the guest")
        self._callback = c_uint64.from_address(found[0])

    def set(self) -> None:
        self._callback.value = STOPPING_FUNCTION

    def clear(self) -> None:
        self._callback.value = HARMLESS_FUNCTION
