"""Outlives the engine's translator when that aborts, which some encodings make it do.

A host routine stands around each run, another is the handler of SIGABRT.  When abort() was called
in a run, the handler has the engine look for code at an address that is not canonical.  The engine
then leaves the translator as it does when code cannot be fetched, and the run ends with #GP.

Only for x86-64 Linux; anywhere else an abort is the end of the process.
"""

import mmap
import platform
import signal
import sys
from ctypes import CDLL, addressof, c_char, c_int, c_uint32, c_uint64, c_void_p
from functools import cache

from emu.cpu.safe_stop import place_code
from emu.cpu.unicorn_library import (
    NOT_CANONICAL,
    START_FUNCTION,
    TRANSLATE_FUNCTION,
    TRANSLATE_REQUEST,
    address_of,
)

# The words that the routines share with us, by their offset; their address lies behind the code.
_ENGINE = 0  # the handle of the engine that is running, or 0
_STACK = 8  # the stack pointer when it was started
_START = 16
_ABORTED = 24  # 32 bits, set by the handler
_REQUEST = 28  # 32 bits
_ADDRESS = 32
_TRANSLATE = 40
_OLD_HANDLER = 48
_SIGNAL = 56
_RAISE = 64
_BLOCK = 72  # for the description of a block that is never translated

_HANDLER_AT = 64
_WORDS_AT = 256

START_TEXT = """
        push rbx
        mov rbx, qword ptr [rip + 248]
        mov qword ptr [rbx + 8], rsp
        mov qword ptr [rbx], rdi
        call qword ptr [rbx + 16]
        mov qword ptr [rbx], 0
        pop rbx
        ret
"""
START = bytes.fromhex("53 488b1df8000000 48896308 48893b ff5310 48c70300000000 5b c3")

# A thread other than the one that runs has its stack elsewhere.  What is not ours goes to the
# handler that was there before.
HANDLER_TEXT = """
        push rbx
        mov rbx, qword ptr [rip + 184]
        mov rcx, qword ptr [rbx + 8]
        sub rcx, rsp
        cmp rcx, 0x100000
        jae other
        mov rdi, qword ptr [rbx]
        test rdi, rdi
        jz other
        mov dword ptr [rbx + 24], 1
        mov esi, dword ptr [rbx + 28]
        mov rdx, qword ptr [rbx + 32]
        lea rcx, [rbx + 72]
        xor eax, eax
        call qword ptr [rbx + 40]
    other:
        mov edi, 6
        mov rsi, qword ptr [rbx + 48]
        call qword ptr [rbx + 56]
        mov edi, 6
        call qword ptr [rbx + 64]
        pop rbx
        ret
"""
HANDLER = bytes.fromhex(
    "53 488b1db8000000 488b4b08 4829e1 4881f900001000 731f 488b3b 4885ff 7417 c7431801000000 8b731c"
    "488b5320 488d4b48 31c0 ff5328 bf06000000 488b7330 ff5338 bf06000000 ff5340 5b c3"
)


class AbortGuard:
    """The one guard of this process: SIGABRT can have only one handler."""

    def __init__(self) -> None:
        host = mmap.mmap(-1, mmap.PAGESIZE)
        words = addressof(c_char.from_buffer(host))
        libc = CDLL(None)
        libc.signal.restype = c_void_p
        libc.signal.argtypes = (c_int, c_void_p)
        code = START.ljust(_HANDLER_AT, b"\0") + HANDLER
        page = place_code(code.ljust(_WORDS_AT, b"\0") + words.to_bytes(8, "little"))
        self._host = host
        self._aborted = c_uint32.from_address(words + _ABORTED)
        self.start = 0
        """The address of what is called instead of uc_emu_start; 0 if there is no guard."""
        if page is None:
            return
        c_uint32.from_address(words + _REQUEST).value = TRANSLATE_REQUEST
        for at, value in (
            (_START, START_FUNCTION),
            (_ADDRESS, NOT_CANONICAL),
            (_TRANSLATE, TRANSLATE_FUNCTION),
            (_SIGNAL, address_of(libc.signal)),
            (_RAISE, address_of(getattr(libc, "raise"))),
        ):
            c_uint64.from_address(words + at).value = value
        old = libc.signal(signal.SIGABRT, page + _HANDLER_AT)
        c_uint64.from_address(words + _OLD_HANDLER).value = old or 0
        self.start = page

    def take(self) -> bool:
        """Tell whether the last run was ended by an abort, once."""
        if not self._aborted.value:
            return False
        self._aborted.value = 0
        # The handler was not returned from, so the signal is still blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGABRT])
        return True


@cache
def abort_guard() -> AbortGuard | None:
    """Return the guard, None where there can be none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    guard = AbortGuard()
    return guard if guard.start else None
