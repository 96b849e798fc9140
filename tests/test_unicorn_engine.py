"""The engine keeps its contract, with real guest code: each quirk of Unicorn's has a test here."""

import ctypes
import random
import threading
import time
from functools import cache

import keystone
import pytest

from emu.abi.frames import TRAPFRAME_FIELDS
from emu.abi.vkernel import Trap
from emu.abi.x86 import LEVEL_SHIFTS, PAGE_SIZE, PTE_FRAME, Pte
from emu.cpu.boot_space import GDT_VA
from emu.cpu.engine import EngineError, Exit
from emu.cpu.unicorn_engine import UnicornEngine
from emu.vm.phys import PhysicalMemory

CODE = 0x400000
READ_ONLY = 0x500000
DATA = 0x600000
ABSENT = 0x700000
STACK = 0x800000  # the page before it
NOT_CANONICAL = 0x8000_0000_0000

CODE_PAGE = Pte.V | Pte.U
READ_PAGE = Pte.V | Pte.U | Pte.NX
WRITE_PAGE = Pte.V | Pte.U | Pte.RW | Pte.NX

GENERAL = TRAPFRAME_FIELDS[:15]
ALL_ONES = 0x274DD5 & ~0x100 | 0x202  # what a vkernel may ask for, except T


@cache
def asm(text):
    code, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(text)
    return bytes(code)


SYSCALL = asm("syscall")


class Guest:
    """One address space with a page of code, of data, of stack, and a read-only one."""

    def __init__(self, engine):
        self.engine = engine
        self.frame = engine.frame
        self.phys = engine._phys
        self.root = self.phys.alloc()
        self.phys.words[(self.root >> 3) + 511] = self.phys.kernel_pml4e
        self.data = self.enter(DATA, WRITE_PAGE)
        self.stack = self.enter(STACK - PAGE_SIZE, WRITE_PAGE)
        self.enter(READ_ONLY, READ_PAGE)

    def slot(self, va):
        """Return the address of the entry for `va`, making the tables on the way."""
        table = self.root
        for shift in LEVEL_SHIFTS[:-1]:
            slot = table + 8 * (va >> shift & 511)
            if not self.phys.read_u64(slot):
                self.phys.write_u64(slot, self.phys.alloc() | Pte.V | Pte.RW | Pte.U)
            table = self.phys.read_u64(slot) & PTE_FRAME
        return table + 8 * (va >> 12 & 511)

    def enter(self, va, bits, pa=None):
        pa = self.phys.alloc() if pa is None else pa
        self.phys.write_u64(self.slot(va), pa | bits)
        return pa

    def put(self, code, va=CODE):
        """Map a fresh page with `code` at `va`.  Code that was there is forgotten."""
        page, rest = va & ~0xFFF, va & 0xFFF
        pa = self.enter(page, CODE_PAGE)
        self.phys.page(pa)[rest : rest + len(code)] = code
        self.phys.stale.translations()

    def set(self, **registers):
        for name in TRAPFRAME_FIELDS:
            setattr(self.frame, name, 0)
        self.frame.rip, self.frame.rsp, self.frame.rflags = CODE, STACK - 0x100, 0x202
        for name, value in registers.items():
            setattr(self.frame, name, value)
        self.engine.load()

    def run(self, code=None, **registers):
        """Run `code` from its start with these registers; without code, go on."""
        if code is not None:
            self.put(asm(code) if isinstance(code, str) else code)
            self.set(**registers)
        return self.engine.run(self.root)

    def word(self, offset=0):
        return self.phys.words[(self.data + offset) >> 3]


@pytest.fixture(scope="module")
def armed():
    """An engine of its own: arming cannot be undone, and makes everything slower."""
    engine = UnicornEngine(PhysicalMemory(1 << 26))
    engine.arm()
    return engine


@pytest.fixture(scope="module")
def without_executable_memory():
    return UnicornEngine(PhysicalMemory(1 << 26), native=False)


@pytest.fixture
def guest(engine):
    engine.fp_trap = False
    return Guest(engine)


@pytest.fixture
def slice_of(armed):
    armed.budget = None
    return Guest(armed)


# ---- SYSCALL


def numbered():
    return {name: 0x1111_2222_3333_0000 + i for i, name in enumerate(GENERAL)}


def test_a_syscall_leaves_the_frame_that_a_kernel_entry_leaves(guest):
    registers = numbered() | {"rsp": STACK - 0x40, "addr": 0xAAAA, "flags": 0xBBBB, "xflags": 0xCC}
    assert guest.run(SYSCALL, **registers) is Exit.SYSCALL
    frame = guest.frame
    for name in GENERAL:
        if name != "rcx":
            assert getattr(frame, name) == registers[name], name
    assert frame.rcx == registers["r10"]
    assert (frame.rip, frame.rsp, frame.rflags) == (CODE + 2, STACK - 0x40, 0x202)
    assert (frame.err, frame.trapno, frame.xflags) == (2, 0x81, 0)
    assert (frame.cs, frame.ss) == (0x2B, 0x23)
    assert (frame.addr, frame.flags) == (0xAAAA, 0xBBBB)


def test_after_a_syscall_rcx_is_what_r10_was(guest):
    guest.run(asm("syscall; int3"), rcx=1, r10=2)
    guest.engine.load()
    assert guest.run() is Exit.TRAP
    assert (guest.frame.rcx, guest.frame.r10) == (2, 2)


def test_every_register_survives_a_trap(guest):
    assert guest.run("int3", **numbered()) is Exit.TRAP
    assert {name: getattr(guest.frame, name) for name in GENERAL} == numbered()


def test_a_syscall_right_before_the_end_of_the_user_half_leaves_rip_after_it(guest):
    last = NOT_CANONICAL - 2
    guest.put(SYSCALL, last)
    guest.set(rip=last)
    assert guest.run() is Exit.SYSCALL
    assert guest.frame.rip == NOT_CANONICAL
    guest.engine.load()
    assert guest.run() is Exit.TRAP
    assert (guest.frame.trapno, guest.frame.err, guest.frame.rip) == (9, 0, NOT_CANONICAL)


# ---- page faults


@pytest.mark.parametrize("code", ["iretq", "retfq"])
def test_a_stack_that_a_far_return_cannot_read_is_a_fault_of_user_code(guest, code):
    assert guest.run(f"mov rsp, 0x7000000; {code}") is Exit.PAGE_FAULT
    assert (guest.frame.addr, guest.frame.err) == (0x7000000, 4)


@pytest.mark.parametrize(
    "code, err, addr",
    [
        ("mov al, [rdi]", 4, ABSENT),
        ("mov [rdi], al", 6, ABSENT),
        ("push rax; mov rsp, rdi; push rax", 6, ABSENT - 8),
        ("mov rdi, 0x500000; mov [rdi], al", 7, READ_ONLY),
        ("jmp rdi", 0x14, ABSENT),
        ("mov rdi, 0x600000; jmp rdi", 0x15, DATA),
        ("xor edi, edi; jmp rdi", 0x14, 0),
        (f"mov rdi, {GDT_VA}; mov al, [rdi]", 5, GDT_VA),
        (f"mov rdi, {GDT_VA}; mov [rdi], al", 7, GDT_VA),
        ("mov rdi, 0xffffffffffffff00; mov al, [rdi]", 4, 0xFFFF_FFFF_FFFF_FF00),
        ("mov rax, [rdi - 4]", 4, ABSENT - 4),
    ],
)
def test_a_page_fault_has_the_error_code_and_address_of_the_hardware(guest, code, err, addr):
    assert guest.run(code, rdi=ABSENT) is Exit.PAGE_FAULT
    frame = guest.frame
    assert (frame.trapno, frame.err, frame.addr, frame.xflags) == (12, err, addr, 0)


def test_address_zero_is_an_address_like_any_other(guest):
    guest.put(asm("mov ebx, 5; syscall"), 0)
    assert guest.run("xor edi, edi; jmp rdi") is Exit.SYSCALL
    assert (guest.frame.rbx, guest.frame.rip) == (5, 7)


def test_an_access_across_pages_reports_the_first_byte_that_is_absent(guest):
    guest.enter(ABSENT - PAGE_SIZE, WRITE_PAGE)
    assert guest.run("mov [rdi - 4], rax", rdi=ABSENT) is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (6, ABSENT)


def test_an_instruction_that_runs_into_an_absent_page_faults_there(guest):
    guest.put(asm("mov rax, 0x1122334455667788")[:4], CODE + 0xFFC)
    guest.set(rip=CODE + 0xFFC)
    assert guest.run() is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (0x14, CODE + 0x1000)
    assert guest.frame.rip == CODE + 0xFFC


def run_to_the_end_of_the_page(guest, text, **registers):
    """Run code that ends where an absent page begins, and catch up with its fault."""
    code = asm(text)
    start = CODE + 0x1000 - len(code)
    guest.put(code, start)
    guest.set(rip=start, **registers)
    assert guest.run() is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (0x14, CODE + 0x1000)
    return guest.engine.catch_up(guest.root)


def test_a_fault_in_fetching_is_caught_up_with_at_its_own_instruction(guest):
    """Unicorn translates a block first: its fault is one of the whole block, at its start."""
    reason = run_to_the_end_of_the_page(guest, "mov rbx, rax; add rdx, rbx", rax=5, rdx=6)
    frame = guest.frame
    assert reason is Exit.PAGE_FAULT
    assert (frame.err, frame.addr, frame.rip) == (0x14, CODE + 0x1000, CODE + 0x1000)
    assert (frame.rbx, frame.rdx, frame.rflags) == (5, 11, 0x10202)


def test_what_precedes_a_fault_in_fetching_may_fault_itself(guest):
    reason = run_to_the_end_of_the_page(guest, "mov ebx, 5; mov rcx, [rdi]; nop", rdi=ABSENT)
    frame = guest.frame
    assert reason is Exit.PAGE_FAULT
    assert (frame.err, frame.addr, frame.rip) == (4, ABSENT, CODE + 0xFFC)
    assert frame.rbx == 5


@pytest.mark.parametrize("pushf, size", [("pushfq", 8), (".byte 0x66, 0x9c", 2)])
def test_catching_up_does_not_show_in_flags_that_are_pushed(guest, pushf, size):
    run_to_the_end_of_the_page(guest, f"nop; {pushf}; nop", rsp=STACK, rflags=0x202)
    frame = guest.frame
    assert (frame.rip, frame.rsp, frame.rflags) == (CODE + 0x1000, STACK - size, 0x10202)
    pushed = guest.phys.page(guest.stack)[PAGE_SIZE - size :]
    assert int.from_bytes(pushed, "little") == 0x202


def test_whoever_has_caught_up_goes_on_without_tracing(guest):
    run_to_the_end_of_the_page(guest, "mov ebx, 5; nop")
    guest.put(asm("inc ebx; inc ebx; syscall"), CODE + 0x1000)
    assert guest.run() is Exit.SYSCALL
    assert (guest.frame.rbx, guest.frame.rflags & 0x100) == (7, 0)


def test_every_page_fault_is_reported(guest):
    for _ in range(5):
        assert guest.run("mov [rdi], rax", rdi=ABSENT) is Exit.PAGE_FAULT
        assert (guest.frame.trapno, guest.frame.err) == (Trap.PAGEFLT, 6)


def test_faults_of_different_kinds_do_not_make_double_faults(guest):
    for _ in range(3):
        for code, trapno in [("div ecx", 18), ("mov ds, edi", 9), ("mov al, [rdi]", 12)]:
            guest.run(code, rdi=0x5678)
            assert guest.frame.trapno == trapno


def test_a_fault_resumes_after_the_page_is_entered(guest):
    for _ in range(3):
        guest.phys.write_u64(guest.slot(ABSENT), 0)
        assert guest.run("mov [rdi], rax; syscall", rdi=ABSENT, rax=5) is Exit.PAGE_FAULT
        pa = guest.enter(ABSENT, WRITE_PAGE)
        assert guest.run() is Exit.SYSCALL
        assert guest.phys.read_u64(pa) == 5
        assert guest.frame.rip == CODE + 5


def test_a_page_fault_leaves_the_frame_complete_and_flags_alone(guest):
    guest.run("mov ebx, 7; mov [rdi], al", rdi=ABSENT, rbx=1, rcx=3, flags=0xF00, rsp=STACK)
    frame = guest.frame
    assert (frame.rbx, frame.rcx, frame.rip, frame.rsp) == (7, 3, CODE + 5, STACK)
    assert (frame.trapno, frame.err, frame.addr, frame.flags) == (12, 6, ABSENT, 0xF00)
    assert (frame.cs, frame.ss) == (0x2B, 0x23)


def test_rep_stops_at_the_element_that_faults(guest):
    guest.run("rep stosb", rdi=DATA + 0xFFE, rcx=100)
    frame = guest.frame
    assert (frame.err, frame.addr) == (6, DATA + 0x1000)
    assert (frame.rip, frame.rdi, frame.rcx) == (CODE, DATA + 0x1000, 98)


def test_accessed_and_dirty_bits_are_set_in_the_table(guest):
    guest.run("mov al, [rdi]; syscall", rdi=DATA)
    assert guest.phys.read_u64(guest.slot(DATA)) & (Pte.A | Pte.D) == Pte.A
    guest.run("mov [rdi], al; syscall", rdi=DATA)
    assert guest.phys.read_u64(guest.slot(DATA)) & (Pte.A | Pte.D) == Pte.A | Pte.D


# ---- other exceptions


def trap_of(guest):
    frame = guest.frame
    return frame.trapno, frame.err, frame.rip - CODE


@pytest.mark.parametrize(
    "code, trapno, err, at",
    [
        ("nop; div ecx", Trap.DIVIDE, 0, 1),
        ("nop; ud2", Trap.PRIVINFLT, 0, 1),
        ("nop; int3", Trap.BPTFLT, 0, 2),
        (b"\x90\xcd\x03", Trap.BPTFLT, 0, 3),
        (b"\x90\xf1", Trap.TRCTRAP, 0, 2),
        (b"\x90\x66\xf1", Trap.TRCTRAP, 0, 3),
        (b"\x90\x48\xf1", Trap.TRCTRAP, 0, 3),
        (b"\x90\x2e\xf3\x66\x48\xf1", Trap.TRCTRAP, 0, 6),
        (b"\x90\xf0\xf1", Trap.PRIVINFLT, 0, 1),
        (b"\x90\x0f\x34", Trap.PROTFLT, 0, 1),  # SYSENTER: there is no entry point
        (b"\x90\x48\x0f\x34", Trap.PROTFLT, 0, 1),
        (b"\x90\x66\x2e\x0f\x34", Trap.PROTFLT, 0, 1),
        (b"\x90\xf0\x0f\x34", Trap.PRIVINFLT, 0, 1),
        ("nop; int 0x80", Trap.PROTFLT, 0x402, 1),
        ("nop; int 0", Trap.PROTFLT, 0x002, 1),
        ("nop; int 1", Trap.PROTFLT, 0x00A, 1),
        ("nop; int 6", Trap.PROTFLT, 0x032, 1),
        ("nop; int 8", Trap.PROTFLT, 0x042, 1),
        ("nop; int 13", Trap.PROTFLT, 0x06A, 1),
        ("nop; int 14", Trap.PROTFLT, 0x072, 1),
        ("nop; int 255", Trap.PROTFLT, 0x7FA, 1),
        ("nop; mov ds, esi", Trap.PROTFLT, 0x5678, 1),
        ("xor eax, eax; mov ss, eax", Trap.PROTFLT, 0, 2),
        ("mov eax, 0x0b; mov ds, eax", Trap.PROTFLT, 0x08, 5),
        ("mov eax, 0x10; mov ss, eax", Trap.PROTFLT, 0x10, 5),
        ("mov eax, 0x1b; mov ss, eax", Trap.PROTFLT, 0x18, 5),
        ("mov rdi, 0x800000000000; mov al, [rdi]", Trap.PROTFLT, 0, 10),
        ("push 0x300; fldcw [rsp]; fldz; fld1; fdiv st(0), st(1); fwait", Trap.ARITHTRAP, 0, 14),
    ],
)
def test_a_trap_is_reported_as_the_hardware_and_the_stub_would(guest, code, trapno, err, at):
    assert guest.run(code, rsi=0x5678, addr=0xAAAA, flags=0xBBBB, xflags=1) is Exit.TRAP
    assert trap_of(guest) == (trapno, err, at)
    assert (guest.frame.addr, guest.frame.flags, guest.frame.xflags) == (0, 0xBBBB, 0)


# fmt: off
PRIVILEGED = [
    "hlt", "cli", "sti", "clts", "invd", "wbinvd", "swapgs", "rdmsr", "wrmsr", "sysret", "sysexit",
    "mov cr0, rax", "mov rax, cr0", "mov cr3, rax", "mov rax, cr3", "mov cr4, rax", "mov cr8, rax",
    "mov dr7, rax", "mov rax, dr7", "lgdt [rdi]", "lidt [rdi]", "lldt ax", "ltr ax", "lmsw ax",
    "invlpg [rdi]", "sysenter",
    "in al, dx", "in eax, dx", "in ax, 0x21", "out dx, al", "out 0x80, al", "outsb", "insb",
]
# fmt: on


@pytest.mark.parametrize("instruction", PRIVILEGED)
def test_privileged_instructions_are_protection_faults_and_change_nothing(guest, instruction):
    registers = numbered() | {"rdi": DATA, "rsi": DATA, "rcx": 0x10, "rdx": 0x60}
    assert guest.run(f"nop; {instruction}", **registers) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 1)
    assert {name: getattr(guest.frame, name) for name in GENERAL} == registers
    assert guest.frame.rflags == 0x10202


@pytest.mark.parametrize("instruction", ["rep insb", "rep outsd"])
def test_repeated_port_instructions_do_not_start(guest, instruction):
    assert guest.run(instruction, rdi=DATA, rsi=DATA, rcx=5, rdx=0x60) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 0)
    assert (guest.frame.rcx, guest.frame.rdi, guest.frame.rsi) == (5, DATA, DATA)


def test_the_first_of_two_port_instructions_is_the_one_that_faults(guest):
    assert guest.run("nop; in al, dx; inc rcx; out dx, al", rax=5, rcx=7) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 1)
    assert (guest.frame.rax, guest.frame.rcx) == (5, 7)


def test_a_port_instruction_stops_before_the_next_store(guest):
    assert guest.run("in al, dx; mov [rdi], rbx; mov [rdi], rbx", rdi=DATA, rbx=5) is Exit.TRAP
    assert guest.word() == 0
    assert guest.run("mov [rdi], rbx; syscall", rdi=DATA, rbx=5) is Exit.SYSCALL
    assert guest.word() == 5


@pytest.mark.parametrize(
    "instruction", ["xgetbv", "monitor", "mwait", "vmcall", "vmlaunch", "rdfsbase rax", "clgi"]
)
def test_instructions_that_are_not_there_are_invalid(guest, instruction):
    assert guest.run(f"nop; {instruction}") is Exit.TRAP
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 1)


@pytest.mark.parametrize("instruction", ["sgdt [rdi]", "sidt [rdi]", "str eax", "smsw eax"])
def test_what_ring_3_may_read_it_reads(guest, instruction):
    assert guest.run(f"{instruction}; syscall", rdi=DATA) is Exit.SYSCALL


def test_an_immediate_that_looks_like_int_14_before_a_fault_is_not_one(guest):
    # mov eax, 0x0ecd0000; mov al, [rdi]
    assert guest.run(bytes.fromhex("b80000cd0e 8a07"), rdi=ABSENT) is Exit.PAGE_FAULT
    assert guest.frame.err == 4


def test_a_page_fault_after_a_software_interrupt_is_a_page_fault(guest):
    guest.run("int 14")
    assert guest.run("mov al, [rdi]", rdi=ABSENT) is Exit.PAGE_FAULT
    guest.run("int 6")
    guest.run("ud2")
    assert trap_of(guest) == (Trap.PRIVINFLT, 0, 0)


def far(selector, target="target"):
    return f"lea rax, [rip + {target}]; push {selector}; push rax; retfq; target: syscall"


@pytest.mark.parametrize(
    "selector, err", [(0x0B, 8), (0x08, 8), (0x1B, 0x18), (0x23, 0x20), (0, 0)]
)
def test_a_far_return_cannot_leave_ring_3_or_64_bit_mode(guest, selector, err):
    assert guest.run(far(selector)) is Exit.TRAP
    assert guest.frame.trapno == Trap.PROTFLT
    assert guest.frame.err == err


def test_a_far_return_to_user_code_is_an_ordinary_jump(guest):
    assert guest.run(far(0x2B)) is Exit.SYSCALL


def iretq(cs, ss, rflags):
    pushes = f"push {ss}; push rsp; push {rflags}; push {cs}; push rax"
    return f"lea rax, [rip + t]; {pushes}; iretq; t: syscall"


@pytest.mark.parametrize(
    "cs, ss", [(0x08, 0x10), (0x2B, 0x10), (0x2B, 0), (0x1B, 0x23), (0x2B, 0x1B)]
)
def test_iretq_cannot_leave_ring_3(guest, cs, ss):
    assert guest.run(iretq(cs, ss, 0x3202)) is Exit.TRAP
    assert guest.frame.trapno == Trap.PROTFLT
    assert in_ring_3(guest)


def test_iretq_to_user_code_cannot_raise_the_io_privilege(guest):
    assert guest.run(iretq(0x2B, 0x23, 0x13202)) is Exit.SYSCALL
    assert guest.frame.rflags == 0x202


def enter_virtual_8086(guest, code=None):
    """Run a 32-bit IRET to linear address 0x1000, where there is `code` or nothing."""
    frame = (0, 0x100, 0x23202, 0x80, 0x10, 0x10, 0x10, 0x10, 0x10)
    for i, word in enumerate(frame):
        guest.phys.page(guest.data)[4 * i : 4 * i + 4] = word.to_bytes(4, "little")
    if code:
        guest.put(code, 0x1000)
    return guest.run(b"\xcf", rsp=DATA, r15=15)


@pytest.mark.parametrize("code, trapno", [(SYSCALL, 0x81), (b"\xcc", 3), (None, 12)])
def test_a_32_bit_iret_that_sets_vm_is_undone_by_the_next_trap(guest, code, trapno):
    guest.engine.bases.fs_base = DATA
    guest.engine.load_bases()
    guest.engine.fp_reset()
    guest.run("fldpi; syscall")
    state = guest.engine.fp_save()
    enter_virtual_8086(guest, code)
    assert guest.frame.trapno == trapno
    assert guest.frame.r15 == 15
    assert guest.frame.rflags & ~0x10000 == 0x202
    assert guest.engine.fp_save() == state
    assert guest.run("mov fs:[rcx], rax; syscall", rax=3) is Exit.SYSCALL
    assert (guest.word(), guest.frame.rip) == (3, CODE + 6)
    assert in_ring_3(guest)


def test_whoever_runs_after_a_page_fault_in_virtual_8086_mode_runs_in_64_bit_mode(guest):
    assert enter_virtual_8086(guest) is Exit.PAGE_FAULT
    guest.put(asm("mov [rdi], rax; syscall"))
    guest.set(rdi=DATA, rax=1 << 40)
    assert guest.run() is Exit.SYSCALL
    assert guest.word() == 1 << 40


def test_a_page_fault_in_virtual_8086_mode_is_where_it_happens(guest):
    assert enter_virtual_8086(guest) is Exit.PAGE_FAULT
    assert (guest.frame.addr, guest.frame.rip) == (0x1000, 0)  # CS is 0x100


def test_the_fp_trap_outlasts_virtual_8086_mode(guest):
    guest.engine.fp_trap = True
    enter_virtual_8086(guest, b"\xcc")
    guest.run("fldz; syscall")
    assert trap_of(guest) == (Trap.DNA, 0, 0)


def in_ring_3(guest):
    return guest.run("mov al, [rdi]", rdi=GDT_VA) is Exit.PAGE_FAULT and guest.frame.err == 5


def test_user_selectors_load(guest):
    code = "".join(f"mov eax, {s}; mov ds, eax; mov es, eax; " for s in (0, 0x23, 0x1B, 0x2B))
    assert guest.run(code + "mov eax, 0x23; mov ss, eax; syscall") is Exit.SYSCALL
    assert in_ring_3(guest)


# ---- flags


@pytest.mark.parametrize("code", ["nop; syscall", "syscall"])
def test_rf_is_clear_once_an_instruction_has_completed(guest, code):
    assert guest.run(code, rflags=ALL_ONES) is Exit.SYSCALL
    assert guest.frame.rflags == 0x244ED7


@pytest.mark.parametrize("code", ["mov al, [rdi]", "nop; mov al, [rdi]", "ud2", "int 0x80", "hlt"])
def test_rf_is_set_by_a_fault(guest, code):
    guest.run(code, rdi=ABSENT, rflags=ALL_ONES)
    assert guest.frame.rflags == 0x254ED7


@pytest.mark.parametrize("code", [b"\xcc", b"\xcd\x03", b"\xf1"])
def test_rf_is_clear_after_a_breakpoint(guest, code):
    guest.run(code, rflags=ALL_ONES)
    assert guest.frame.rflags == 0x244ED7


def test_flags_that_are_not_the_users_are_not_loaded(guest):
    guest.run("syscall", rflags=0x3F3202)  # IOPL 3, VM, VIF, VIP
    assert guest.frame.rflags == 0x240202
    guest.run("in al, dx", rflags=0x3202)
    assert guest.frame.trapno == Trap.PROTFLT


def test_the_single_step_flag_traps_after_one_instruction_and_is_reported(guest):
    for _ in range(3):
        assert guest.run("mov eax, 1; mov eax, 2", rflags=0x302) is Exit.TRAP
        assert trap_of(guest) == (Trap.TRCTRAP, 0, 5)
        assert (guest.frame.rax, guest.frame.rflags) == (1, 0x302)


def test_a_syscall_with_the_single_step_flag_is_a_syscall_and_nothing_more(guest):
    assert guest.run("syscall; mov ebx, 5; syscall", rflags=0x302) is Exit.SYSCALL
    assert (guest.frame.rip, guest.frame.rflags) == (CODE + 2, 0x302)
    guest.frame.rflags = 0x202
    guest.engine.load()
    assert guest.run() is Exit.SYSCALL
    assert (guest.frame.rbx, guest.frame.rip) == (5, CODE + 9)


def test_the_step_of_a_syscall_is_not_reported_by_a_later_run(slice_of):
    slice_of.engine.budget = 100
    assert slice_of.run("syscall; l: jmp l", rflags=0x302) is Exit.SYSCALL
    slice_of.frame.rflags = 0x202
    slice_of.engine.load()
    assert slice_of.run() is Exit.INTERRUPTED


def test_a_single_stepped_fault_resumes_stepping(guest):
    assert guest.run("mov [rdi], al; nop", rdi=ABSENT, rflags=0x302) is Exit.PAGE_FAULT
    guest.enter(ABSENT, WRITE_PAGE)
    assert guest.run() is Exit.TRAP
    assert trap_of(guest) == (Trap.TRCTRAP, 0, 2)


# ---- floating point and bases


@pytest.mark.parametrize("instruction", ["fld1", "movaps xmm0, xmm1", "fninit", "emms"])
def test_the_fp_trap_stops_before_the_first_fp_instruction(guest, instruction):
    guest.engine.fp_trap = True
    assert guest.run(f"nop; {instruction}; syscall") is Exit.TRAP
    assert trap_of(guest) == (Trap.DNA, 0, 1)
    guest.engine.fp_trap = False
    assert guest.run() is Exit.SYSCALL


def test_fp_state_survives_being_saved_and_restored(guest):
    engine = guest.engine
    engine.fp_reset()
    guest.run("fld1; fldpi; movq xmm3, rax; movlhps xmm3, xmm3; syscall", rax=0x1234)
    state = engine.fp_save()
    engine.fp_reset()
    guest.run("fldz; pxor xmm3, xmm3; syscall")
    engine.fp_restore(state)
    assert engine.fp_save() == state
    guest.run(
        "fstp qword ptr [rdi]; fstp qword ptr [rdi + 8]; movups [rdi + 16], xmm3; syscall", rdi=DATA
    )
    assert guest.word() == 0x400921FB54442D18
    assert guest.word(8) == 0x3FF0000000000000
    assert (guest.word(16), guest.word(24)) == (0x1234, 0x1234)


def test_fp_state_is_what_fxsave_would_store(guest):
    guest.engine.fp_reset()
    guest.run("fldz; fld1; fldpi; cvtsi2sd xmm9, rax; fxsave64 [rdi]; syscall", rax=77, rdi=DATA)
    image = bytes(guest.phys.page(guest.data)[:416])
    saved = guest.engine.fp_save()[:416]
    assert (saved[:6], saved[24:]) == (image[:6], image[24:])


def test_a_new_program_finds_the_fp_unit_reset(guest):
    guest.run("fld1; syscall")
    guest.engine.fp_reset()
    guest.run("fnstcw [rdi]; stmxcsr [rdi + 8]; fnstsw [rdi + 16]; syscall", rdi=DATA)
    assert (guest.word(), guest.word(8), guest.word(16)) == (0x127F, 0x1F80, 0)


def test_bases_are_loaded(guest):
    guest.engine.bases.fs_base, guest.engine.bases.gs_base = DATA, DATA + 8
    guest.engine.load_bases()
    guest.run("mov fs:[rcx], rax; mov gs:[rcx], rbx; syscall", rax=1, rbx=2)
    assert (guest.word(), guest.word(8)) == (1, 2)


def test_cpuid_offers_no_avx_no_bmi_no_xsave_and_nothing_random(guest):
    guest.run("cpuid; mov r10, rcx; syscall", rax=1)
    assert guest.frame.rcx & (1 << 12 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 29 | 1 << 30) == 0
    assert guest.frame.rdx & (1 << 25 | 1 << 26) == 1 << 25 | 1 << 26  # SSE, SSE2
    guest.run("cpuid; mov r10, rcx; syscall", rax=0xD)
    assert (guest.frame.rax, guest.frame.rbx, guest.frame.rcx, guest.frame.rdx) == (0, 0, 0, 0)
    guest.run("cpuid; syscall", rax=7, rcx=0)
    assert guest.frame.rbx & (1 << 3 | 1 << 5 | 1 << 8 | 1 << 16 | 1 << 18) == 0  # BMI, AVX2, …
    guest.run("cpuid; mov r10, rcx; syscall", rax=7, rcx=1)
    assert (guest.frame.rax, guest.frame.rbx, guest.frame.rcx, guest.frame.rdx) == (0, 0, 0, 0)


@pytest.mark.parametrize("instruction, rcx", [("rdtsc", 9), ("rdtscp", 0)])
def test_the_time_stamp_counter_can_be_the_kernels(guest, monkeypatch, instruction, rcx):
    monkeypatch.setattr(guest.engine, "tsc", lambda: 0x1_2345_6789_ABCD)
    guest.run(f"{instruction}; mov r10, rcx; syscall", rcx=9)
    assert (guest.frame.rax, guest.frame.rdx, guest.frame.rcx) == (0x6789_ABCD, 0x12345, rcx)


def test_an_icebp_across_pages_ends_in_the_second(guest):
    guest.put(b"\x66", CODE + PAGE_SIZE - 1)
    guest.put(b"\xf1", CODE + PAGE_SIZE)
    guest.set(rip=CODE + PAGE_SIZE - 1)
    guest.run()
    assert trap_of(guest) == (Trap.TRCTRAP, 0, PAGE_SIZE + 1)


@pytest.mark.parametrize("flags", [0x202, 0x302])
def test_sysenter_changes_nothing_when_single_stepped_either(guest, flags):
    assert guest.run(b"\x0f\x34", rflags=flags, rsp=STACK - 0x80) is Exit.TRAP
    assert trap_of(guest) == (Trap.PROTFLT, 0, 0)
    assert (guest.frame.rflags, guest.frame.rsp) == (flags | 0x10000, STACK - 0x80)
    assert in_ring_3(guest)


@pytest.mark.parametrize("instruction", ["rdtsc", "rdtscp"])
def test_the_hosts_time_stamp_counter_only_goes_up(guest, instruction):
    read = f"{instruction}; shl rdx, 32; or rax, rdx"
    assert guest.run(f"{read}; mov rbx, rax; {read}; syscall") is Exit.SYSCALL
    assert 0 < guest.frame.rbx < guest.frame.rax


# ---- what the engine does not do, as README "Quirks" has it


@pytest.mark.parametrize("code", ["movaps xmm0, [rdi + 1]", "addps xmm0, [rdi + 8]"])
def test_unaligned_sse_operands_are_not_refused(guest, code):
    assert guest.run(f"{code}; syscall", rdi=DATA) is Exit.SYSCALL


def test_alignment_is_not_checked_with_ac_set_either(guest):
    assert guest.run("mov rax, [rdi + 1]; syscall", rdi=DATA, rflags=0x40202) is Exit.SYSCALL
    assert guest.frame.rflags == 0x40202


def test_an_x87_exception_that_fldcw_unmasks_is_not_delivered(guest):
    guest.engine.fp_reset()
    code = "fld1; fldz; fdivp; push 0x300; fldcw [rsp]; fwait; fnstsw ax; syscall"
    assert guest.run(code) is Exit.SYSCALL
    assert guest.frame.rax == 0x3804  # division by zero, and no summary of it


def test_tzcnt_is_there_although_cpuid_does_not_offer_it(guest):
    guest.run("tzcnt eax, ecx; syscall", rax=7, rcx=0)
    assert guest.frame.rax == 32


# ---- memory that changes behind the CPU


def test_each_root_is_an_address_space(engine):
    one, two = Guest(engine), Guest(engine)
    for guest in (one, two):
        guest.put(asm("l: mov rax, [rdi]; syscall; jmp l"))
        guest.set(rdi=DATA)
    one.phys.words[one.data >> 3], two.phys.words[two.data >> 3] = 1, 2
    seen = []
    for guest in (one, two, one, two):
        guest.run()
        seen.append(engine.frame.rax)
        engine.load()
    assert seen == [1, 2, 1, 2]


def test_a_right_taken_away_is_honoured_once_noted(guest):
    guest.run("mov [rdi], al; syscall; mov [rdi], al; syscall", rdi=DATA)
    guest.enter(DATA, READ_PAGE, guest.data)
    guest.phys.stale.translations()
    assert guest.run() is Exit.PAGE_FAULT
    assert guest.frame.err == 7
    assert not guest.phys.stale.any


def test_a_right_granted_needs_no_note(guest):
    assert guest.run("mov rdi, 0x500000; mov [rdi], al; syscall") is Exit.PAGE_FAULT
    guest.enter(READ_ONLY, WRITE_PAGE)
    assert guest.run() is Exit.SYSCALL


FORTY_ONE, FORTY_TWO = (asm(f"mov ebx, {n}; syscall") for n in (41, 42))


@pytest.fixture
def code_page(guest):
    """The page of a program that has run once and says 41."""
    guest.run(FORTY_ONE)
    assert guest.frame.rbx == 41
    return guest.phys.page(guest.phys.read_u64(guest.slot(CODE)) & PTE_FRAME)


def test_code_that_the_kernel_wrote_runs_as_written(guest, code_page):
    code_page[: len(FORTY_TWO)] = FORTY_TWO
    guest.phys.stale.code_written(guest.root, CODE, len(FORTY_TWO))
    guest.set()
    guest.run()
    assert guest.frame.rbx == 42


def test_code_written_through_another_address_space_runs_as_written(guest, code_page):
    other = Guest(guest.engine)
    other.enter(0x900000, WRITE_PAGE, guest.phys.read_u64(guest.slot(CODE)) & PTE_FRAME)
    guest.put(FORTY_ONE, 0x900000)
    code_page[: len(FORTY_TWO)] = FORTY_TWO
    guest.phys.stale.code_written(other.root, 0x900000, len(FORTY_TWO))
    guest.set()
    guest.run()
    assert guest.frame.rbx == 42


@pytest.mark.parametrize("bits", [0, READ_PAGE], ids=["absent", "not executable"])
def test_forgetting_code_that_cannot_be_fetched_leaves_no_fault_behind(guest, code_page, bits):
    guest.put(FORTY_ONE, 0x900000)
    guest.phys.write_u64(guest.slot(0x900000), bits and guest.data | bits)
    guest.phys.stale.code_written(guest.root, 0x900000, 8)
    assert guest.run("mov al, [rdi]", rdi=ABSENT) is Exit.PAGE_FAULT
    assert (guest.frame.err, guest.frame.addr) == (4, ABSENT)


def test_all_code_can_be_forgotten(guest, code_page):
    code_page[: len(FORTY_TWO)] = FORTY_TWO
    guest.phys.stale.code_changed()
    guest.set()
    guest.run()
    assert guest.frame.rbx == 42


def test_code_the_guest_writes_itself_runs_as_written(guest):
    guest.put(FORTY_ONE, ABSENT)
    pa = guest.phys.read_u64(guest.slot(ABSENT)) & PTE_FRAME
    guest.enter(DATA + PAGE_SIZE, WRITE_PAGE, pa)
    code = "call rdi; inc byte ptr [rsi + 1]; call rdi; syscall"
    guest.phys.page(pa)[:8] = asm("mov ebx, 41; ret").ljust(8, b"\0")
    guest.run(code, rdi=ABSENT, rsi=DATA + PAGE_SIZE)
    assert guest.frame.rbx == 42


def test_code_written_through_an_alias_runs_as_written_behind_other_stores(guest):
    guest.put(FORTY_ONE, ABSENT)
    pa = guest.phys.read_u64(guest.slot(ABSENT)) & PTE_FRAME
    guest.enter(DATA + PAGE_SIZE, WRITE_PAGE, pa)
    guest.phys.executable(pa)
    store = "inc byte ptr [rsi + 256]"
    code = f"{store}; call rdi; {store}; inc byte ptr [rsi + 1]; call rdi; syscall"
    guest.phys.page(pa)[:8] = asm("mov ebx, 41; ret").ljust(8, b"\0")
    guest.run(code, rdi=ABSENT, rsi=DATA + PAGE_SIZE)
    assert guest.frame.rbx == 42


def test_a_file_is_memory_at_once_and_gone_at_once(guest, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(2 * PAGE_SIZE))
    phys = guest.phys
    for value in (1, 2, 3):
        with path.open("r+b") as file:
            region = phys.map_file(file.fileno(), 2 * PAGE_SIZE, writable=True)
        guest.enter(ABSENT, WRITE_PAGE, region.base + PAGE_SIZE)
        assert guest.run("mov [rdi], rax; syscall", rdi=ABSENT, rax=value) is Exit.SYSCALL
        assert path.read_bytes()[PAGE_SIZE] == value
        phys.write_u64(guest.slot(ABSENT), 0)
        phys.unmap_file(region)
        # The engine looks for code in what it unmaps, and keeps the fault it takes there.
        assert guest.run("mov [rdi], rax", rdi=ABSENT) is Exit.PAGE_FAULT
        assert (guest.frame.trapno, guest.frame.err, guest.frame.addr) == (12, 6, ABSENT)


# ---- stops

COUNT = "loop: inc qword ptr [rdi]; jmp loop"


@pytest.mark.parametrize("budget", [0, 1, 2, 1000, 12345])
def test_a_budget_is_exact(slice_of, budget):
    slice_of.put(asm(COUNT))
    slice_of.set(rdi=DATA)
    before = slice_of.engine.blocks
    slice_of.engine.budget = budget
    assert slice_of.run() is Exit.INTERRUPTED
    assert slice_of.word() == budget
    assert (slice_of.engine.budget, slice_of.engine.blocks - before) == (0, budget)
    assert slice_of.frame.rip == CODE


def test_what_is_left_of_a_budget_stays(slice_of):
    slice_of.engine.budget = 100
    before = slice_of.engine.blocks
    slice_of.run("jmp a; a: jmp b; b: syscall")
    assert (slice_of.engine.budget, slice_of.engine.blocks - before) == (97, 3)
    slice_of.run()
    assert slice_of.engine.budget == 96


def test_a_spent_budget_lets_nothing_run(slice_of):
    slice_of.engine.budget = 5
    slice_of.run(COUNT, rdi=DATA)
    for _ in range(3):
        assert slice_of.run() is Exit.INTERRUPTED
    assert slice_of.word() == 5
    assert slice_of.engine.budget == 0


def test_an_interruption_leaves_the_frame_of_a_host_interrupt(slice_of):
    slice_of.engine.budget = 10
    slice_of.run(COUNT, **numbered() | {"rdi": DATA, "err": 1, "addr": 2, "flags": 3, "xflags": 4})
    frame = slice_of.frame
    assert (frame.trapno, frame.err, frame.addr, frame.flags, frame.xflags) == (0, 0, 0, 0, 0)
    assert {name: getattr(frame, name) for name in GENERAL} == numbered() | {"rdi": DATA}
    assert (frame.cs, frame.ss, frame.rsp, frame.rip) == (0x2B, 0x23, STACK - 0x100, CODE)


def test_the_resume_flag_survives_an_interruption_only_if_nothing_ran(slice_of):
    slice_of.engine.budget = 0
    slice_of.run(COUNT, rdi=DATA, rflags=0x10202)
    assert slice_of.frame.rflags == 0x10202
    slice_of.engine.budget = 1
    slice_of.run()
    assert slice_of.frame.rflags & 0x10000 == 0
    slice_of.engine.budget = 0
    slice_of.run()
    assert slice_of.frame.rflags & 0x10000 == 0


def test_slices_are_the_same_every_time(slice_of):
    code = "l: inc rax; imul rbx, rax; test bl, 4; jz m; call f; m: loop l; f: xchg [rdi], rbx; ret"
    runs = []
    for _ in range(2):
        slice_of.put(asm(code))
        slice_of.set(rdi=DATA, rcx=10**9)
        trail = []
        for _ in range(50):
            slice_of.engine.budget = 1007
            assert slice_of.run() is Exit.INTERRUPTED
            trail.append((slice_of.frame.rip, slice_of.frame.rcx, slice_of.frame.rbx))
        runs.append(trail)
    assert runs[0] == runs[1]


def test_a_long_repeat_can_be_interrupted_and_goes_on(slice_of):
    slice_of.engine.budget = 100
    assert slice_of.run("rep stosb; syscall", rdi=DATA, rcx=1000, rax=1) is Exit.INTERRUPTED
    assert 0 < slice_of.frame.rcx < 1000
    slice_of.engine.budget = None
    assert slice_of.run() is Exit.SYSCALL
    assert (slice_of.frame.rdi, slice_of.word(992)) == (DATA + 1000, 0x0101010101010101)


def test_a_limit_that_nobody_set_does_not_stop_the_guest(slice_of, monkeypatch):
    monkeypatch.setattr("emu.cpu.stops.NO_LIMIT", 100)
    slice_of.engine.budget = None
    assert slice_of.run("mov ecx, 5000; l: loop l; syscall") is Exit.SYSCALL
    assert slice_of.engine.budget is None


def kicked(guest, seconds=0.2):
    """Run the counting loop under kicks; return how many came, and the count."""
    engine, frame = guest.engine, guest.frame
    guest.put(asm("l: inc qword ptr [rdi]; dec rcx; jnz l; syscall"))
    guest.set(rdi=DATA, rcx=2_000_000)
    done = threading.Event()

    def kick():
        while not done.is_set():
            engine.kick()
            time.sleep(0.0003)

    thread = threading.Thread(target=kick)
    thread.start()
    kicks = 0
    while guest.run() is Exit.INTERRUPTED:
        assert frame.trapno == 0
        kicks += 1
        engine.load()
    done.set()
    thread.join()
    guest.run("nop; syscall")  # takes a kick that came late
    return kicks, guest.word()


def test_kicks_never_run_an_instruction_twice(slice_of):
    kicks, total = kicked(slice_of)
    assert total == 2_000_000
    assert kicks > 10


def test_a_kick_before_a_run_stops_it(slice_of):
    slice_of.put(asm(COUNT))
    slice_of.set(rdi=DATA, rflags=0x10202)
    slice_of.engine.kick()
    assert slice_of.run() is Exit.INTERRUPTED
    assert (slice_of.word(), slice_of.frame.rip, slice_of.frame.rflags) == (0, CODE, 0x10202)
    slice_of.engine.budget = 3
    slice_of.run()
    assert slice_of.word() == 3


def test_arming_while_a_guest_is_loaded_does_not_disturb_it():
    guest = Guest(UnicornEngine(PhysicalMemory(1 << 20)))
    guest.put(asm("mov [rdi], rax; syscall"))
    guest.set(**numbered() | {"rdi": ABSENT})
    assert guest.run() is Exit.PAGE_FAULT
    guest.engine.arm()
    assert {n: getattr(guest.frame, n) for n in GENERAL} == numbered() | {"rdi": ABSENT}
    guest.enter(ABSENT, WRITE_PAGE)
    assert guest.run() is Exit.SYSCALL


def test_arming_reaches_code_that_was_translated_before():
    guest = Guest(UnicornEngine(PhysicalMemory(1 << 20)))
    guest.run("l: loop l; syscall", rcx=100)
    guest.set(rcx=100)
    guest.engine.budget = 40
    assert guest.run() is Exit.INTERRUPTED
    assert guest.frame.rcx == 60


def test_an_unarmed_engine_ignores_kicks_that_are_not_final(guest):
    guest.engine.kick()
    assert guest.run(SYSCALL) is Exit.SYSCALL


def test_a_final_kick_ends_a_guest_that_never_comes_back():
    guest = Guest(UnicornEngine(PhysicalMemory(1 << 20)))
    done = threading.Event()

    def kick():
        while not done.wait(0.005):
            guest.engine.kick(final=True)

    thread = threading.Thread(target=kick)
    thread.start()
    assert guest.run("l: jmp l") is Exit.INTERRUPTED
    done.set()
    thread.join()


@pytest.mark.parametrize("native", [True, False])
def test_arming_does_not_lose_a_final_kick(native):
    guest = Guest(UnicornEngine(PhysicalMemory(1 << 20), native=native))
    guest.engine.kick(final=True)
    guest.engine.arm()
    assert guest.run("syscall") is Exit.INTERRUPTED


def test_without_executable_memory_kicks_are_exact_too(without_executable_memory):
    engine = without_executable_memory
    guest = Guest(engine)
    assert guest.run(SYSCALL, **numbered()) is Exit.SYSCALL
    assert guest.run("mov al, [rdi]", rdi=ABSENT) is Exit.PAGE_FAULT
    engine.arm()
    kicks, total = kicked(guest)
    assert total == 2_000_000
    assert kicks > 10
    guest.set()
    engine.kick()
    assert guest.run() is Exit.INTERRUPTED
    assert guest.run() is Exit.SYSCALL


def test_without_executable_memory_blocks_cannot_be_counted(without_executable_memory):
    with pytest.raises(EngineError, match="executable memory"):
        without_executable_memory.budget = 5


def test_a_routine_that_does_not_stop_is_replaced(monkeypatch):
    engine = UnicornEngine(PhysicalMemory(1 << 20))
    stops = engine._stops
    monkeypatch.setattr(stops, "_routines", stops._routines._replace(block=a_harmless_function()))
    engine.arm()
    guest = Guest(engine)
    guest.put(asm(COUNT))
    guest.set(rdi=DATA)
    threading.Timer(0.01, engine.kick).start()
    assert guest.run() is Exit.INTERRUPTED
    with pytest.raises(EngineError):
        engine.budget = 1


def a_harmless_function():
    return ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value


# ---- everything at once


def test_four_hundred_random_faults_switches_and_rewrites_produce_the_right_exit(engine):
    chance = random.Random(1883)
    guests = [Guest(engine) for _ in range(3)]
    code = {
        "mov [rdi], al": (Exit.PAGE_FAULT, 12, 6),
        "mov al, [rdi]": (Exit.PAGE_FAULT, 12, 4),
        "jmp rdi": (Exit.PAGE_FAULT, 12, 0x14),
        "syscall": (Exit.SYSCALL, 0x81, 2),
        "int3": (Exit.TRAP, 3, 0),
        "int 14": (Exit.TRAP, 9, 0x72),
        "int 6": (Exit.TRAP, 9, 0x32),
        "ud2": (Exit.TRAP, 1, 0),
        "div ecx": (Exit.TRAP, 18, 0),
        "mov ds, esi": (Exit.TRAP, 9, 0x5678),
        "hlt": (Exit.TRAP, 9, 0),
        "out dx, al": (Exit.TRAP, 9, 0),
    }
    for guest in guests:
        guest.put(SYSCALL)
    for step in range(400):
        guest = chance.choice(guests)
        text = chance.choice(list(code))
        page = guest.phys.page(guest.phys.read_u64(guest.slot(CODE)) & PTE_FRAME)
        page[:8] = asm(text).ljust(8, b"\x90")
        guest.phys.stale.code_written(chance.choice(guests).root, CODE, 8)
        guest.set(rdi=ABSENT, rsi=0x5678, rflags=chance.choice([0x202, ALL_ONES]))
        exit = guest.run()
        assert (exit, guest.frame.trapno, guest.frame.err) == code[text], (step, text)


def test_whatever_bytes_a_guest_runs_it_stays_in_ring_3(slice_of):
    chance = random.Random(3)
    for _ in range(1500):
        slice_of.put(chance.randbytes(64) + asm("int3") * 64)
        slice_of.set(
            **{
                name: chance.choice([0, DATA, STACK, CODE, chance.getrandbits(64)])
                for name in GENERAL
            },
            rflags=0x202 | chance.getrandbits(22) & 0x244CD5,
        )
        slice_of.engine.budget = 500
        for _ in range(3):
            assert slice_of.run() in Exit
            slice_of.engine.load()
    slice_of.engine.budget = None
    assert in_ring_3(slice_of)
