"""What the engine would not do as hardware is stopped before it is done; all else is left alone."""

import random
import re

import pytest
from test_unicorn_engine import (
    ABSENT,
    CODE,
    DATA,
    GENERAL,
    STACK,
    WRITE_PAGE,
    Guest,
    asm,
    numbered,
    trap_of,
)

from emu.abi.vkernel import Trap
from emu.abi.x86 import PAGE_SIZE, PTE_FRAME
from emu.cpu import odd_code
from emu.cpu.engine import Exit
from emu.cpu.new_code import Kind, instructions
from emu.cpu.unicorn_engine import UnicornEngine
from emu.vm.phys import PhysicalMemory

VADDPS = bytes.fromhex("c5f058c2")  # vaddps xmm0, xmm1, xmm2
ADDPS = bytes.fromhex("0f58c2 90")


@pytest.fixture
def guest(engine):
    engine.budget = None
    return Guest(engine)


INVALID = {
    "vaddps xmm0, xmm1, xmm2": "c5f058c2",
    "vaddps xmm8, xmm1, xmm2": "c57058c2",
    "vaddps with a three-byte prefix": "c4e17058c2",
    "vpaddd xmm0, xmm1, xmm2": "c5f1fec2",
    "vpshufb xmm0, xmm1, xmm2": "c4e27100c2",
    "vpalignr xmm0, xmm1, xmm2, 3": "c4e3710fc203",
    "vmovaps xmm0, [rdi]": "c5f82807",
    "vmovaps [rdi], xmm0": "c5f82907",
    "vaddps ymm0, ymm1, ymm2": "c5f458c2",
    "vzeroupper": "c5f877",
    "vfmadd213ps": "c4e271a8c2",
    "vaddps in a segment": "64c5f05807",
    "vaddps with a short address": "67c5f05807",
    "vaddps after lock": "f0c5f058c2",
    "vaddps after rex": "48c5f058c2",
    "a system call in VEX": "c5f805",
    "cpuid in VEX": "c5f8a2",
    "a jump in VEX": "c5f88400000000",
    "andn eax, ecx, edx": "c4e270f2c2",
    "bextr eax, edx, ecx": "c4e270f7c2",
    "mulx rax, rcx, rdx": "c4e2f3f6c2",
    "rorx eax, edx, 7": "c4e37bf0c207",
    "vaddps zmm0, zmm1, zmm2": "62f1744858c2",
    "vpcomb, which is XOP": "8fe870ccc200",
    "pop with another opcode extension": "8fc8",
    "xbegin": "c7f800000000",
    "xabort 5": "c6f805",
    "xbegin with another register": "c7fb00000000",
    "mov rax, cr1": "0f20c8",
    "mov cr5, rax": "0f22e8",
    "mov rax, cr15": "440f20f8",
    "mov rax, cr9": "4c0f20c8",
    "extrq xmm0, 1, 2": "660f78c00102",
    "extrq xmm0, xmm1": "660f79c1",
    "insertq xmm0, xmm1, 1, 2": "f20f78c10102",
    "insertq xmm0, xmm1": "f20f79c1",
    "movntss [rdi], xmm0": "f30f2b07",
    "movntsd [rdi], xmm0": "f20f2b07",
    "movmskps eax, [rdi]": "0f5007",
    "psllw [rdi], 1": "0f713701",
    "movq2dq xmm0, [rdi]": "f30fd607",
    "lock mov [rdi], eax": "f08907",
    "lock nop": "f090",
    "lock add eax, [rdi]": "f00307",
    "lock xchg ecx, eax": "f087c1",
    "lock xadd ecx, eax": "f00fc1c1",
    "lock cmp [rdi], eax": "f03907",
    "lock bt [rdi], eax": "f00fa307",
    "lock ret": "f0c3",
    "lock paddd xmm0, xmm0": "f0660ffec0",
    "lock inc eax": "f0ffc0",
}


@pytest.mark.parametrize("code", INVALID.values(), ids=INVALID)
def test_what_this_cpu_does_not_have_is_an_invalid_instruction(guest, code):
    registers = numbered() | {"rdi": DATA, "rflags": 0x2D7}
    before = guest.engine.fp_save()
    assert guest.run(b"\x90" + bytes.fromhex(code) + asm("int3"), **registers) is Exit.TRAP
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)
    assert {name: getattr(guest.frame, name) for name in GENERAL} == {
        name: registers[name] for name in GENERAL
    }
    assert guest.frame.rflags == 0x102D7
    assert guest.engine.fp_save() == before
    assert guest.word() == 0


@pytest.mark.parametrize("code", ["0f33", "480f33", "0f20c0", "0f22d8", "440f20c0", "450f22c7"])
def test_what_ring_3_may_not_do_is_a_protection_fault(guest, code):
    registers = numbered() | {"rflags": 0x2D7}
    assert guest.run(b"\x90" + bytes.fromhex(code) + asm("int3"), **registers) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 1)
    assert {name: getattr(guest.frame, name) for name in GENERAL} == numbered()
    assert guest.frame.rflags == 0x102D7


LEFT_ALONE = {
    "add rsp, 0": "4883c400",
    "add rsp, 2": "4883c402 4883ec02",
    "mov ebp, eax": "89c5",
    "xor eax, 0xc5f058c2": "35c258f0c5",
    "mov rax, 0xc5c5c5c5c4c1c4c1": "48b8c1c4c1c4c5c5c5c5",
    "lea rcx, [rdi - 0x3a073b3b]": "488d8fc5c4f8c5",
    "pop rax": "50 8fc0",
    "mov eax, 0xf8c7f8c6": "b8c6f8c7f8",
    "mov ecx, 0xf8": "c7c1f8000000",
    "tzcnt eax, ecx": "f30fbcc1",
    "lzcnt eax, ecx": "f30fbdc1",
    "crc32 eax, ecx": "f20f38f1c1",
    "aesenc xmm0, xmm1": "660f38dcc1",
    "movntps [rdi], xmm0": "0f2b07",
    "movmskps eax, xmm0": "0f50c0",
    "psllw xmm0, 1": "660f71f001",
    "movdq2q mm0, xmm0": "f20fd6c0 0f77",
    "movq [rdi], xmm0": "660fd607",
    "lock inc dword [rdi]": "f0ff07",
    "lock xadd [rdi], eax": "f00fc107",
    "lock bts [rdi], eax": "f00fab07",
    "lock btr dword [rdi], 3": "f00fba3703",
    "lock cmpxchg8b [rdi]": "f00fc70f",
    "xchg [rdi], eax": "8707",
    "lock xchg [rdi], eax": "f08707",
    "lock neg byte [rdi]": "f0f61f",
    "lock or word [rdi], 0xf0": "66f0810ff000",
}


@pytest.mark.parametrize("code", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_instructions_that_only_look_odd_are_done(guest, code):
    assert guest.run(bytes.fromhex(code) + asm("syscall"), rdi=DATA) is Exit.SYSCALL
    assert guest.frame.rip == CODE + len(bytes.fromhex(code)) + 2


def test_what_comes_before_in_the_block_is_done_once(guest):
    guest.put(asm("inc qword ptr [rdi]; inc rbx") + VADDPS + asm("inc rbx; int3"))
    for times in (1, 2, 3):
        guest.set(rdi=DATA)
        assert guest.run() is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, 6)
        assert (guest.word(), guest.frame.rbx) == (times, 1)


def test_it_is_found_wherever_the_block_begins(guest):
    guest.put(asm("nop; nop; nop") + VADDPS)
    for start in (0, 1, 2, 3, 2, 1, 0):
        guest.set(rip=CODE + start)
        assert guest.run() is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, 3)


def test_a_handler_may_skip_it(guest):
    guest.run(VADDPS + asm("mov ebx, 5") + VADDPS + asm("syscall"))
    for _ in range(2):
        assert guest.frame.trapno == Trap.PRIVINFLT
        guest.frame.rip += len(VADDPS)
        guest.engine.load()
        guest.run()
    assert (guest.frame.trapno, guest.frame.rbx) == (Trap.FAST_SYSCALL, 5)


def test_a_register_can_be_jumped_through_to_it(guest):
    guest.put(VADDPS, ABSENT)
    assert guest.run("jmp rdi", rdi=ABSENT) is Exit.TRAP
    assert (guest.frame.trapno, guest.frame.rip) == (Trap.PRIVINFLT, ABSENT)


@pytest.mark.parametrize("before", [1, 2, 3])
def test_an_instruction_across_pages_is_found(guest, before):
    guest.put(VADDPS[:before], CODE + PAGE_SIZE - before)
    guest.put(VADDPS[before:], CODE + PAGE_SIZE)
    guest.set(rip=CODE + PAGE_SIZE - before)
    assert guest.run() is Exit.TRAP
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, PAGE_SIZE - before)


def test_it_is_found_in_a_block_that_began_on_the_page_before(guest):
    guest.put(asm("inc rbx"), CODE + PAGE_SIZE - 3)
    guest.put(asm("inc rbx") + VADDPS, CODE + PAGE_SIZE)
    guest.set(rip=CODE + PAGE_SIZE - 3)
    assert guest.run() is Exit.TRAP
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, PAGE_SIZE + 3)
    assert guest.frame.rbx == 2


def test_an_instruction_that_runs_into_an_absent_page_faults_there_first(guest):
    guest.put(VADDPS[:3], CODE + PAGE_SIZE - 3)
    guest.set(rip=CODE + PAGE_SIZE - 3)
    assert guest.run() is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (0x14, CODE + PAGE_SIZE)


def test_it_is_found_in_code_that_a_guest_writes(guest):
    guest.put(ADDPS + asm("ret"), ABSENT)
    alias = guest.phys.read_u64(guest.slot(ABSENT)) & PTE_FRAME
    guest.enter(DATA + PAGE_SIZE, WRITE_PAGE, alias)
    for code, trapno in [(ADDPS, 0x81), (VADDPS, 1), (ADDPS, 0x81), (VADDPS, 1)]:
        value = int.from_bytes(code, "little")
        guest.run("mov [rsi], eax; call rdi; syscall", rdi=ABSENT, rsi=DATA + PAGE_SIZE, rax=value)
        assert guest.frame.trapno == trapno


def test_it_is_found_in_code_that_the_kernel_writes(guest):
    guest.put(ADDPS + asm("syscall"))
    page = guest.phys.page(guest.phys.read_u64(guest.slot(CODE)) & PTE_FRAME)
    for code, trapno in [(ADDPS, 0x81), (VADDPS, 1), (ADDPS, 0x81), (VADDPS, 1)]:
        page[:4] = code
        guest.phys.stale.code_written(guest.root, CODE, 4)
        guest.set()
        guest.run()
        assert guest.frame.trapno == trapno


def test_another_address_space_may_have_other_code_at_the_same_address(engine):
    first, second = Guest(engine), Guest(engine)
    first.put(VADDPS + asm("int3"))
    second.put(ADDPS + asm("int3"))
    for _ in range(3):
        for guest, trapno, rip in [(first, 1, 0), (second, 3, 5)]:
            guest.set()
            assert guest.run() is Exit.TRAP
            assert trap_of(guest) == (trapno, 0, rip)
    second.put(b"\x90" + VADDPS)
    second.set()
    second.run()
    assert trap_of(second) == (Trap.PRIVINFLT, 0, 1)


def test_it_is_stopped_before_when_single_stepped(guest):
    guest.put(asm("nop") + VADDPS)
    guest.set(rflags=0x302)
    guest.run()
    assert trap_of(guest) == (Trap.TRCTRAP, 0, 1)
    guest.run()
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)
    assert guest.frame.rflags == 0x10302


def test_a_fault_after_it_is_not_a_double_fault(guest):
    for _ in range(3):
        guest.run(VADDPS)
        assert guest.frame.trapno == Trap.PRIVINFLT
        assert guest.run("mov [rdi], al", rdi=ABSENT) is Exit.PAGE_FAULT
        assert guest.frame.err == 6


def test_more_of_them_than_there_are_hooks_are_all_found(guest, monkeypatch):
    monkeypatch.setattr(odd_code, "_MOST_HOOKS", 8)
    code = (asm("nop") + VADDPS) * 40
    guest.put(code)
    for start in [*range(0, 200, 5), *range(0, 200, 5)]:
        guest.set(rip=CODE + start)
        assert guest.run() is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, start + 1)
        assert guest.run("mov [rdi], al", rdi=ABSENT) is Exit.PAGE_FAULT
        guest.phys.stale.translations()
        guest.put(code)


def test_looking_at_code_counts_no_block(guest):
    guest.engine.budget = 100
    before = guest.engine.blocks
    guest.run(asm("jmp a; a: jmp b; b: nop") + VADDPS)
    assert (guest.engine.budget, guest.engine.blocks - before) == (97, 3)


def test_without_executable_memory_it_is_found_too():
    guest = Guest(UnicornEngine(PhysicalMemory(1 << 20), native=False))
    for _ in range(2):
        assert guest.run(b"\x90" + VADDPS) is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)
        guest.engine.arm()


# ---- decoding


@pytest.fixture
def blocks(engine, monkeypatch):
    """Every block that the engine translates: its bytes, and how many instructions it sees."""
    seen = []

    def suspects(code, count, unmasked):
        seen.append((code, count))
        return []

    monkeypatch.setattr(engine._odd_code, "_suspicious", re.compile(b""))
    monkeypatch.setattr(odd_code, "suspects", suspects)
    return seen


def test_instructions_are_as_long_as_the_engine_takes_them_to_be(guest, blocks):
    chance = random.Random(62)
    prefixes = [
        b"",
        b"",
        b"\x66",
        b"\x48",
        b"\xf2",
        b"\xf3",
        b"\x66\x48",
        b"\x67",
        b"\x64",
        b"\x4f\x66",
    ]
    maps = [b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\xc5", b"\xc4"]
    guest.engine.budget = 50
    for _i in range(4000):
        code = chance.choice(prefixes) + chance.choice(maps) + chance.randbytes(40)
        if b"\xf0" in code:  # LOCK BTS on a register is not to be translated
            continue
        guest.phys.stale.code_changed()
        guest.put(code + asm("int3") * 16)
        values = {name: chance.choice([0, DATA, STACK - 0x800, CODE]) for name in GENERAL}
        guest.set(**values, rflags=chance.choice([0x202, 0x302]))
        guest.engine.budget = 50
        guest.run()
    guest.engine.budget = None
    assert len(blocks) > 3000
    for code, count in blocks:
        found = list(instructions(code))
        assert len(found) == count, code.hex()
        assert found[-1][2] >= len(code), code.hex()


def test_a_block_that_cannot_be_decoded_is_searched_byte_by_byte(guest, monkeypatch):
    def nonsense(code):
        yield 0, 0, len(code)

    monkeypatch.setattr("emu.cpu.new_code.instructions", nonsense)
    monkeypatch.setattr(
        odd_code, "kind_of", lambda code: Kind.INVALID if code[:4] == VADDPS else None
    )
    code = asm("mov eax, 0xc5c5c5c5; add rsp, 8; nop") + VADDPS + asm("nop; syscall")
    for _ in range(2):
        assert guest.run(code) is Exit.TRAP
        assert trap_of(guest) == (Trap.PRIVINFLT, 0, 10)


@pytest.mark.parametrize("code", ["or [rdi], ecx", "stmxcsr [rdi]"])
def test_what_faults_where_there_is_a_hook_keeps_the_flags(guest, code):
    guest.run(asm("add eax, eax") + VADDPS)
    other = Guest(guest.engine)
    for _ in range(2):
        assert other.run(f"add eax, eax; {code}", rdi=ABSENT) is Exit.PAGE_FAULT
        assert (other.frame.rip, other.frame.rflags) == (CODE + 2, 0x10246)


@pytest.mark.parametrize("code", ["660f3a6107 00", "660f3a6007 00"])  # xmm0, [rdi], 0
def test_lengths_that_the_engine_cannot_take_are_as_they_were_afterwards(guest, code):
    lengths = {"rax": 0x80000000, "rdx": 0xFFFF_FFFF_8000_0000}
    assert guest.run(bytes.fromhex(code) + b"\x0f\x05", rdi=DATA, **lengths) is Exit.SYSCALL
    assert (guest.frame.rax, guest.frame.rdx) == (lengths["rax"], lengths["rdx"])
    assert guest.run(bytes.fromhex(code), rdi=ABSENT, **lengths) is Exit.PAGE_FAULT
    assert (guest.frame.rip, guest.frame.rax, guest.frame.rdx) == (
        CODE, lengths["rax"], lengths["rdx"],
    )  # fmt: skip


def test_flags_of_an_earlier_run_do_not_come_back(guest):
    """An instruction with a hook is not fetched the next time, and has other flags then."""
    guest.put(asm("stmxcsr [rsi]; syscall"), CODE)
    for rflags in (0x202, 0x202):
        guest.frame.rip, guest.frame.rsi, guest.frame.rflags = CODE, DATA, rflags
        guest.engine.load()
        assert guest.engine.run(guest.root) is Exit.SYSCALL
    slot = guest.slot(CODE)
    entry = guest.phys.read_u64(slot)
    guest.phys.words[slot >> 3] = 0
    guest.phys.stale.translations()
    guest.phys.stale.code_changed()
    guest.frame.rip, guest.frame.rflags = CODE, 0x297
    guest.engine.load()
    assert guest.engine.run(guest.root) is Exit.PAGE_FAULT
    assert guest.frame.rflags & 0x8D5 == 0x95
    guest.phys.words[slot >> 3] = entry
