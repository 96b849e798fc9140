"""A division of the guest's that overflows is the guest's exception, and ends nothing else."""

import signal
import subprocess
import sys

import keystone
import pytest
from test_unicorn_engine import Guest, asm, trap_of

from emu.abi.vkernel import Trap
from emu.cpu.division_guard import HANDLER, HANDLER_TEXT, guard_divisions
from emu.cpu.engine import Exit

pytestmark = pytest.mark.skipif(not guard_divisions(), reason="only on x86-64 Linux")


LEAST = {
    "idiv cl": {"rax": 0x8000, "rcx": 0xFF},
    "idiv cx": {"rdx": 0x8000, "rcx": 0xFFFF},
    "idiv ecx": {"rdx": 0x80000000, "rcx": 0xFFFFFFFF},
    "idiv rcx": {"rdx": 1 << 63, "rcx": (1 << 64) - 1},
}


@pytest.mark.parametrize("code", LEAST)
def test_the_least_integer_by_minus_1_is_a_division_error(engine, code):
    guest = Guest(engine)
    for _ in range(3):
        assert guest.run(f"nop; {code}", **LEAST[code]) is Exit.TRAP
        assert trap_of(guest) == (Trap.DIVIDE, 0, 1)
        assert {name: getattr(guest.frame, name) for name in LEAST[code]} == LEAST[code]
    assert guest.run("cdq; idiv ecx; syscall", rax=100, rcx=7) is Exit.SYSCALL
    assert (guest.frame.rax, guest.frame.rdx) == (14, 2)


def test_a_division_error_of_the_emulators_own_still_ends_it():
    divides = asm("xor ecx, ecx; div ecx; ret").hex()
    program = f"""
from ctypes import CFUNCTYPE
from emu.cpu.division_guard import guard_divisions
from emu.cpu.safe_stop import place_code
assert guard_divisions()
CFUNCTYPE(None)(place_code(bytes.fromhex("{divides}")))()
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == -signal.SIGFPE


def test_the_handler_is_what_its_text_says():
    text = HANDLER_TEXT.replace("\n        ", "\n").strip()
    code, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(text)
    assert bytes(code) == HANDLER
