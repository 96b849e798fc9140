"""Outlives a division that overflows in the engine.

The engine does IDIV of 16 and 32 bits with a wider division of the host, which faults for the
least dividend and -1.  The handler of SIGFPE then puts another dividend there, whose quotient is
too large for the guest: the engine goes on, and makes that the guest's #DE.

Only for x86-64 Linux; anywhere else such a division is the end of the process.
"""

import platform
import signal
import sys
from ctypes import CDLL, Structure, addressof, byref, c_int, c_ubyte, c_void_p
from functools import cache
from pathlib import Path

from emu.cpu.safe_stop import place_code
from emu.cpu.unicorn_library import LIBRARY_PATH, address_of

_SA_SIGINFO = 4

# rdx is a ucontext: RDX is at 136, RAX at 144, RIP at 168.  What is not in the library, or still
# faults, goes to the handler that was there before.  The constants lie behind the code.
HANDLER_TEXT = """
        mov rax, qword ptr [rdx + 168]
        mov rcx, rax
        sub rcx, qword ptr [rip + 87]
        cmp rcx, qword ptr [rip + 88]
        jae other
        movzx ecx, byte ptr [rax]
        and ecx, 0xf8
        mov eax, 0x7fffffff
        cmp ecx, 0x48
        jne narrow
        mov rax, 0x7fffffffffffffff
    narrow:
        cmp qword ptr [rdx + 144], rax
        je other
        mov qword ptr [rdx + 144], rax
        mov qword ptr [rdx + 136], 0
        ret
    other:
        mov edi, 8
        mov rsi, qword ptr [rip + 25]
        xor edx, edx
        jmp qword ptr [rip + 25]
        nop
"""
HANDLER = bytes.fromhex(
    "488b82a8000000 4889c1 482b0d57000000 483b0d58000000 7339 0fb608 81e1f8000000 b8ffffff7f"
    "83f948 750a 48b8ffffffffffffff7f 48398290000000 7413 48898290000000 48c7828800000000000000 c3"
    "bf08000000 488b3519000000 31d2 ff2519000000 90"
)


class _Sigaction(Structure):
    _fields_ = [
        ("handler", c_void_p),
        ("mask", c_ubyte * 128),
        ("flags", c_int),
        ("restorer", c_void_p),
    ]


_old = _Sigaction()  # as long as the handler may need it


@cache
def guard_divisions() -> bool:
    """Guard this process from now on; tell whether that can be done."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    place = _library_code()
    if place is None:
        return False
    libc = CDLL(None)
    sigaction = address_of(libc.sigaction)
    constants = (*place, addressof(_old), sigaction)
    handler = place_code(HANDLER + b"".join(word.to_bytes(8, "little") for word in constants))
    if handler is None:
        return False
    action = _Sigaction(handler=handler, flags=_SA_SIGINFO)
    failed: int = libc.sigaction(signal.SIGFPE, byref(action), byref(_old))
    return not failed


def _library_code() -> tuple[int, int] | None:
    """Return where the code of the engine's library is, and its size."""
    path = str(Path(LIBRARY_PATH).resolve())
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, rights, *_, name = line.split(maxsplit=5)
        if "x" in rights and name == path:
            start, end = (int(address, 16) for address in where.split("-"))
            return start, end - start
    return None
