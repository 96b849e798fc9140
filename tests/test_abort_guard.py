"""What makes the engine's translator abort is an invalid instruction, and ends nothing else."""

import os
import signal
import subprocess
import sys

import pytest
from test_odd_code import VADDPS
from test_unicorn_engine import ABSENT, CODE, DATA, Guest, asm, trap_of

from emu.abi.vkernel import Trap
from emu.cpu.abort_guard import abort_guard
from emu.cpu.engine import Exit

pytestmark = pytest.mark.skipif(abort_guard() is None, reason="only on x86-64 Linux")

BIT_TESTS = {
    "lock bt eax, ecx": "f00fa3c8",
    "lock bts eax, ecx": "f00fabc8",
    "lock btr eax, ecx": "f00fb3c8",
    "lock btc eax, ecx": "f00fbbc8",
    "lock bt rax, rcx": "f0480fa3c8",
    "lock bts ax, cx": "66f00fabc8",
    "lock bt eax, 5": "f00fbae005",
    "lock btc r8, 5": "f0490fbaf805",
}
LOCK_BT = bytes.fromhex("f00fa3c8")


@pytest.fixture
def guest(engine):
    engine.budget = None
    engine.fp_reset()
    return Guest(engine)


@pytest.mark.parametrize("code", BIT_TESTS.values(), ids=BIT_TESTS)
def test_a_locked_bit_test_of_a_register_is_an_invalid_instruction(guest, code):
    registers = {"rax": 0xFFFF, "rcx": 3, "rdi": DATA, "rflags": 0x2D7}
    for before in ("", "nop; ", "inc rbx; mov [rdi], rbx; ", "mov rdx, [rdi]; "):
        first = asm(before) if before else b""
        assert guest.run(first + bytes.fromhex(code) + asm("syscall"), **registers) is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, len(first))
        assert (guest.frame.rax, guest.frame.rcx) == (0xFFFF, 3)
        if "inc" in before:
            assert (guest.word(), guest.frame.rbx) == (1, 1)
        else:
            assert guest.frame.rflags == 0x102D7
    assert guest.run("mov [rdi], al", rdi=ABSENT) is Exit.PAGE_FAULT
    assert guest.frame.err == 6


def test_a_long_block_before_it_is_executed_once(guest):
    guest.run(asm("inc rbx; nop") * 60 + LOCK_BT)
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 240)
    assert guest.frame.rbx == 60


def test_it_can_be_jumped_over(guest):
    assert guest.run(
        asm("jmp x; nop; nop; nop; nop; x: syscall").replace(b"\x90" * 4, LOCK_BT)
    ) is (Exit.SYSCALL)


def test_whatever_comes_first_is_reported(guest):
    tail = asm("nop") + LOCK_BT
    assert guest.run(asm("mov [rdi], al") + tail, rdi=ABSENT) is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (6, ABSENT)
    assert guest.frame.rflags & 0x100 == 0
    guest.run(asm("div ecx") + tail)
    assert trap_of(guest) == (Trap.DIVIDE, 0, 0)
    guest.run(asm("nop") + VADDPS + tail)
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)
    guest.run("nop; mov dword ptr [rdi], 0; ldmxcsr [rdi]; syscall", rdi=DATA)
    guest.run(asm("nop; divss xmm0, xmm0") + tail)
    assert trap_of(guest) == (Trap.XMMFLT, 0, 1)


@pytest.mark.parametrize("flags", [0x202, 0x302])
@pytest.mark.parametrize("instruction", ["in al, dx", "out dx, al"])
def test_what_is_refused_before_it_is_reported(guest, instruction, flags):
    code = asm(instruction) + LOCK_BT
    assert guest.run(code, rflags=flags, rax=5, rdx=0x60) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 0)
    assert (guest.frame.rax, guest.frame.rflags) == (5, flags | 0x10000)
    assert guest.run("mov [rdi], rax; syscall", rdi=DATA, rax=6) is Exit.SYSCALL


def test_after_a_load_of_ss_it_is_found_as_well(guest):
    code = asm("mov eax, 0x23; mov ss, eax") + LOCK_BT
    guest.run(code)
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 7)
    assert guest.frame.rflags == 0x10202


def test_single_stepping_reaches_it(guest):
    guest.put(asm("nop; nop") + LOCK_BT)
    guest.set(rflags=0x302)
    for at in (1, 2):
        guest.run()
        assert trap_of(guest) == (Trap.TRCTRAP, 0, at)
    guest.run()
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 2)
    assert guest.frame.rflags == 0x10302


def test_a_budget_is_kept(guest):
    guest.engine.budget = 3
    assert guest.run(asm("nop; nop; nop; nop; nop") + LOCK_BT) is Exit.INTERRUPTED
    assert guest.frame.rip == CODE + 3
    assert guest.frame.rflags == 0x202
    guest.engine.budget = 100
    assert guest.run() is Exit.TRAP
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 5)


def test_a_thousand_of_them_do_no_harm(guest):
    guest.put(asm("nop") + LOCK_BT)
    for count in range(1000):
        guest.set(rip=CODE + count % 2)
        assert guest.run() is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)
    assert guest.run("mov [rdi], rax; syscall", rdi=DATA, rax=5) is Exit.SYSCALL
    assert guest.word() == 5


ABORTS = """
import os, signal
from emu.cpu.unicorn_engine import UnicornEngine
from emu.vm.phys import PhysicalMemory
engine = UnicornEngine(PhysicalMemory(1 << 20))
{}
"""


@pytest.mark.parametrize("way", ["os.abort()", "os.kill(os.getpid(), signal.SIGABRT)"])
def test_any_other_abort_ends_the_process(way):
    program = [sys.executable, "-c", ABORTS.format(way)]
    assert subprocess.run(program, env=os.environ, timeout=60).returncode == -signal.SIGABRT
