"""What becomes of each trap: resolved, reflected, or a signal (abi 3.4, 7)."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from conftest import LOAD_ADDRESS, Booted, call, step
from test_vkernel import (
    GUEST_CODE,
    GUEST_STACK,
    ID,
    MINUS_ONE,
    RUN,
    TFRAME,
    VFRAME,
    VirtualKernel,
)

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import Trapframe
from emu.abi.mman import Madv, Map, Prot
from emu.abi.versions import VERSIONS
from emu.abi.vkernel import Trap
from emu.abi.x86 import Rflags
from emu.kern.proc import Lwp
from emu.vm.phys import PhysicalMemory

Boot = Callable[..., Booted]

READ_ONLY = 0x20000  # a page of the guest's and of the process's that cannot be written
ANON_FIXED = int(Map.ANON | Map.PRIVATE | Map.FIXED)
BUS, FPE, ILL, SEGV, TRAP = 138, 136, 132, 139, 133
SIGNALS = {138: "BUS", 136: "FPE", 132: "ILL", 139: "SEGV", 133: "TRAP"}


class Event(NamedTuple):
    """What a piece of code leads to.  rip is counted from the start of the code."""

    name: str
    code: str
    trapno: int
    err: int
    addr: int
    rip: int
    rflags: int
    status: int
    told: str


# fmt: off
EVENTS = [
    # Traps: rip is past the instruction, RF clear.
    Event("int3", "cc", 3, 0, 0, 1, 0x202, TRAP, "T_BPTFLT at 0x400001 (after int3)"),
    Event("int 3", "cd03", 3, 0, 0, 2, 0x202, TRAP, "T_BPTFLT at 0x400002 (after int3)"),
    Event("icebp", "f1 90", 10, 0, 0, 1, 0x202, TRAP, "T_TRCTRAP at 0x400001 (nop)"),
    # INT n has no gate for ring 3.
    Event("int 0", "cd00", 9, 0x002, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (int 0)"),
    Event("int 6", "cd06", 9, 0x032, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (int 6)"),
    Event("int 14", "cd0e", 9, 0x072, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (int 0xe)"),
    Event("int 0x80", "cd80", 9, 0x402, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (int 0x80)"),
    Event("int 0xff", "cdff", 9, 0x7FA, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (int 0xff)"),
    # What ring 3 may not do.
    Event("hlt", "f4", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (hlt)"),
    Event("cli", "fa", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (cli)"),
    Event("sti", "fb", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (sti)"),
    Event("in", "ec", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (in al, dx)"),
    Event("out", "ee", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (out dx, al)"),
    Event("mov rax, cr0", "0f20c0", 9, 0, 0, 0, 0x10202, BUS,
          "T_PROTFLT at 0x400000 (mov rax, cr0)"),
    Event("rdmsr", "0f32", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (rdmsr)"),
    Event("swapgs", "0f01f8", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (swapgs)"),
    Event("lgdt", "0f011424", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (lgdt [rsp])"),
    Event("ltr", "0f00d8", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (ltr ax)"),
    Event("clts", "0f06", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (clts)"),
    Event("invd", "0f08", 9, 0, 0, 0, 0x10202, BUS, "T_PROTFLT at 0x400000 (invd)"),
    Event("a selector that does not exist", "b878560000 8ed8", 9, 0x5678, 0, 5, 0x10202, BUS,
          "T_PROTFLT at 0x400005 (mov ds, eax)"),
    Event("a non-canonical address", "48b80000000000800000 8a00", 9, 0, 0, 10, 0x10202, BUS,
          "T_PROTFLT at 0x40000a (mov al, byte ptr [rax])"),
    # The same through RBP, RSP, or as the top of the stack.
    Event("a non-canonical local", "48bd0000000000800000 8a4500", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (mov al, byte ptr [rbp])"),
    Event("a non-canonical argument", "48bc0000000000900000 8a0424", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (mov al, byte ptr [rsp])"),
    Event("a non-canonical push", "48bc0000000000900000 50", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (push rax)"),
    Event("a non-canonical pop", "48bc0000000000900000 58", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (pop rax)"),
    Event("a non-canonical call", "48bc0000000000900000 e800000000", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (call 0x40000f)"),
    Event("a non-canonical return", "48bc0000000000900000 c3", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (ret)"),
    Event("a non-canonical leave", "48bd0000000000900000 c9", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (leave)"),
    Event("a non-canonical enter", "48bc0000000000900000 c8100000", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (enter 0x10, 0)"),
    Event("a non-canonical iret", "48bc0000000000900000 48cf", 27, 0, 0, 10, 0x10202, BUS,
          "T_STKFLT at 0x40000a (iretq)"),
    Event("a non-canonical local in FS", "48bd0000000000900000 648a4500", 9, 0, 0, 10, 0x10202, BUS,
          "T_PROTFLT at 0x40000a (mov al, byte ptr fs:[rbp])"),
    # Exceptions with a number of their own.
    Event("ud2", "0f0b", 1, 0, 0, 0, 0x10202, ILL, "T_PRIVINFLT at 0x400000 (ud2)"),
    Event("no instruction", "06", 1, 0, 0, 0, 0x10202, ILL, "T_PRIVINFLT at 0x400000 ((bad))"),
    Event("vaddps", "90 c5f058c2", 1, 0, 0, 1, 0x10202, ILL,
          "T_PRIVINFLT at 0x400001 (vaddps xmm0, xmm1, xmm2)"),
    Event("lock nop", "f090", 1, 0, 0, 0, 0x10202, ILL, "T_PRIVINFLT at 0x400000 "),
    Event("division by zero", "31c9 f7f1", 18, 0, 0, 2, 0x10246, FPE,
          "T_DIVIDE at 0x400002 (div ecx)"),
    # fldcw [rip+8]; fld1; fldz; fdivp; fwait; nop; dw 0x40
    Event("x87 division by zero", "d92d08000000 d9e8 d9ee def9 9b 90 4000", 6, 0, 0,
          12, 0x10202, FPE,
          "T_ARITHTRAP at 0x40000c (wait)"),
    # ldmxcsr [rip+8]; xorps xmm0, xmm0; nop; divss xmm0, xmm0; dd 0
    Event("SSE invalid operation", "0fae1508000000 0f57c0 90 f30f5ec0 00000000", 29, 0, 0,
          11, 0x10202, FPE, "T_XMMFLT at 0x40000b (divss xmm0, xmm0)"),
    # Page faults: err is the CPU's own view.
    Event("read", "8a042507000000", 12, 4, 7, 0, 0x10202, SEGV,
          "T_PAGEFLT at 0x400000 (mov al, byte ptr [7]): read of 0x7: "),
    Event("write", "88042507000000", 12, 6, 7, 0, 0x10202, SEGV,
          "T_PAGEFLT at 0x400000 (mov byte ptr [7], al): write to 0x7: "),
    Event("fetch", "b807700000 ffe0", 12, 0x14, 0x7007, 0x7007, 0x10202, SEGV,
          "T_PAGEFLT at 0x7007 (no code): fetch from 0x7007: "),
    Event("read of the kernel's half", "48b8000000e0ffffffff 8a00",
          12, 4, 0xFFFFFFFFE0000000, 10, 0x10202, SEGV,
          "T_PAGEFLT at 0x40000a (mov al, byte ptr [rax]): read of 0xffffffffe0000000: "),
    Event("write to the last byte", "48c7c0ffffffff 8800", 12, 6, (1 << 64) - 1, 7, 0x10202, SEGV,
          "T_PAGEFLT at 0x400007 (mov byte ptr [rax], al): write to 0xffffffffffffffff: "),
    Event("write to a page that was read", "8a042500000200 88042500000200",
          12, 7, READ_ONLY, 7, 0x10202, BUS,
          "T_PAGEFLT at 0x400007 (mov byte ptr [0x20000], al): write to 0x20000: "),
    Event("write to a page that is only readable", "88042500000200",
          12, 6, READ_ONLY, 0, 0x10202, BUS,
          "T_PAGEFLT at 0x400000 (mov byte ptr [0x20000], al): write to 0x20000: "),
    # Read-modify-write is a write from the start.
    Event("inc", "48ff042500000000", 12, 6, 0, 0, 0x10202, SEGV,
          "(inc qword ptr [0]): write to 0x0: "),
    Event("lock inc", "f048ff042500000000", 12, 6, 0, 0, 0x10202, SEGV,
          "(lock inc qword ptr [0]): write to 0x0: "),
    Event("cmpxchg", "0fb00c2500000000", 12, 6, 0, 0, 0x10202, SEGV,
          "(cmpxchg byte ptr [0], cl): write to 0x0: "),
    Event("xchg", "87042500000000", 12, 6, 0, 0, 0x10202, SEGV,
          "(xchg dword ptr [0], eax): write to 0x0: "),
    Event("add to a page that is only readable", "01042500000200",
          12, 6, READ_ONLY, 0, 0x10202, BUS,
          "(add dword ptr [0x20000], eax): write to 0x20000: "),
    Event("add to a page that was read", "8b042500000200 01042500000200",
          12, 7, READ_ONLY, 7, 0x10202, BUS,
          "(add dword ptr [0x20000], eax): write to 0x20000: "),
    Event("add from memory", "03042500000000", 12, 4, 0, 0, 0x10202, SEGV,
          "(add eax, dword ptr [0]): read of 0x0: "),
    Event("push", "bc08000000 50", 12, 6, 0, 5, 0x10202, SEGV, "(push rax): write to 0x0: "),
    Event("pop", "bc08000000 58", 12, 4, 8, 5, 0x10202, SEGV, "(pop rax): read of 0x8: "),
    Event("call", "bc08000000 e800000000", 12, 6, 0, 5, 0x10202, SEGV,
          "(call 0x40000a): write to 0x0: "),
    Event("stos", "bf00000000 aa", 12, 6, 0, 5, 0x10202, SEGV,
          "(stosb byte ptr [rdi], al): write to 0x0: "),
    Event("fxsave", "0fae042500000000", 12, 6, 0, 0, 0x10202, SEGV, "(fxsave [0]): write to 0x0: "),
]
# fmt: on
NAMES = [event.name for event in EVENTS]


def virtual_kernel(boot: Boot, code: str | bytes, **options: object) -> VirtualKernel:
    vk = VirtualKernel(
        boot(b"\x90", **options), bytes.fromhex(code) if isinstance(code, str) else code
    )
    vk.map(READ_ONLY, 4096, Prot.READ)
    return vk


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_in_a_vmspace_every_event_is_reflected(boot: Boot, event: Event) -> None:
    vk = virtual_kernel(boot, event.code)
    start = GUEST_CODE if event.trapno != 12 or event.err != 0x14 else 0
    tframe = vk.run(trapno=99, err=99, addr=99, xflags=0x7F)
    assert (tframe.trapno, tframe.err, tframe.addr) == (event.trapno, event.err, event.addr)
    assert tframe.rip == start + event.rip
    assert tframe.rflags == event.rflags
    assert (tframe.cs, tframe.ss, tframe.xflags) == (0x2B, 0x23, 0)
    assert vk.lwp.proc.alive
    assert vk.lwp.frame.rax == 0
    assert vk.machine.told == []


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_in_a_process_of_its_own_the_event_is_a_signal(boot: Boot, event: Event) -> None:
    machine = boot(bytes.fromhex(event.code))
    lwp = machine.lwp
    call(lwp, "mmap", READ_ONLY, 4096, Prot.READ, ANON_FIXED, MINUS_ONE, 0, 0)
    assert machine.run() == event.status
    (line,) = machine.told
    ended = f"process 100 ended by SIG{SIGNALS[event.status]} in its own vmspace: "
    assert line.startswith(ended)
    assert event.told in line.removeprefix(ended)
    assert (lwp.frame.trapno, lwp.frame.err, lwp.frame.addr) == event[2:5]


@pytest.mark.parametrize("abi", ["2014", "2020"])
def test_a_system_call_is_reflected_in_every_version(boot: Boot, abi: str) -> None:
    vk = virtual_kernel(boot, "0f05", abi=VERSIONS[abi])
    tframe = vk.run(rax=4, r10=0x10)
    assert (tframe.trapno, tframe.err, tframe.rax, tframe.rcx) == (0x81, 2, 4, 0x10)
    assert tframe.rip == GUEST_CODE + 2
    assert tframe.rflags == 0x202


def test_what_can_be_resolved_the_virtual_kernel_never_learns(boot: Boot) -> None:
    # mov [0x12000], eax; mov al, [0x13000]; push rax; syscall
    vk = virtual_kernel(boot, "89042500200100 8a042500300100 50 0f05")
    tframe = vk.run()
    assert tframe.trapno == Trap.FAST_SYSCALL
    assert tframe.rip == GUEST_CODE + 17


def test_a_fault_reports_the_first_byte_that_is_not_there(boot: Boot) -> None:
    # mov rax, [0x13ffc]: four bytes are there
    tframe = virtual_kernel(boot, "488b0425fc3f0100").run()
    assert (tframe.trapno, tframe.addr, tframe.err) == (12, GUEST_STACK, 4)


def test_an_instruction_that_ends_in_an_absent_page_is_reported_at_its_start(boot: Boot) -> None:
    vk = virtual_kernel(boot, "90")
    vk.space.copyout(GUEST_STACK - 2, b"\x48\xb8")  # mov rax, imm64
    tframe = vk.run(rip=GUEST_STACK - 2)
    assert (tframe.trapno, tframe.addr, tframe.err) == (12, GUEST_STACK, 0x14)
    assert tframe.rip == GUEST_STACK - 2


def test_rep_stops_at_the_element_that_faults(boot: Boot) -> None:
    vk = virtual_kernel(boot, "f3a4")  # rep movsb
    tframe = vk.run(rsi=GUEST_CODE, rdi=GUEST_STACK - 3, rcx=10)
    assert (tframe.trapno, tframe.addr, tframe.err) == (12, GUEST_STACK, 6)
    assert (tframe.rcx, tframe.rsi, tframe.rdi) == (7, GUEST_CODE + 3, GUEST_STACK)
    assert tframe.rip == GUEST_CODE


def test_a_vmspace_has_no_stack_that_grows(boot: Boot) -> None:
    tframe = virtual_kernel(boot, "50").run(rsp=GUEST_CODE)
    assert (tframe.trapno, tframe.addr) == (12, GUEST_CODE - 8)


def test_a_jump_to_a_non_canonical_address_is_a_protection_fault_there(boot: Boot) -> None:
    tframe = virtual_kernel(boot, "ffe0").run(rax=0x8000000000000000)
    assert (tframe.trapno, tframe.err, tframe.addr) == (9, 0, 0)
    assert tframe.rip == 0x8000000000000000


def test_a_bad_rip_to_begin_with_is_reflected_at_once(boot: Boot) -> None:
    tframe = virtual_kernel(boot, "90").run(rip=0x8000000000000000)
    assert (tframe.trapno, tframe.err, tframe.rip) == (9, 0, 0x8000000000000000)


# Versions


@pytest.mark.parametrize(("abi", "status"), [("2011", BUS), ("2014", SEGV), ("2020", SEGV)])
def test_a_protection_failure_is_sigbus_or_sigsegv(boot: Boot, abi: str, status: int) -> None:
    machine = boot(bytes.fromhex("88042500000200"), abi=VERSIONS[abi])
    call(machine.lwp, "mmap", READ_ONLY, 4096, Prot.READ, ANON_FIXED, MINUS_ONE, 0, 0)
    assert machine.run() == status
    assert machine.told[0].endswith("write to 0x20000: the mapping does not allow it")


@pytest.mark.parametrize(("abi", "status"), [("2011", BUS), ("2014", SEGV), ("2020", SEGV)])
def test_so_is_a_page_past_the_end_of_a_file(boot: Boot, abi: str, status: int) -> None:
    machine = boot(bytes.fromhex("8a042500100200"), abi=VERSIONS[abi])  # mov al, [0x21000]
    lwp = machine.lwp
    lwp.proc.vmspace.copyout(TFRAME, b"/file\0")
    fd = call(lwp, "open", TFRAME, 0x202, 0o644)
    assert call(lwp, "ftruncate", fd, 0, 100) == 0
    flags = int(Map.SHARED | Map.FIXED)
    assert call(lwp, "mmap", READ_ONLY, 8192, Prot.READ, flags, fd, 0, 0) == READ_ONLY
    assert machine.run() == status
    assert machine.told[0].endswith("read of 0x21000: past the end of the object")


@pytest.mark.parametrize("abi", ["2011", "2014", "2020"])
def test_an_address_without_a_mapping_is_sigsegv_always(boot: Boot, abi: str) -> None:
    assert boot(bytes.fromhex("8a042500000000"), abi=VERSIONS[abi]).run() == SEGV


@pytest.mark.parametrize(("abi", "status"), [("2011", TRAP), ("2014", TRAP), ("2020", SEGV)])
def test_data_executes_unless_the_version_knows_better(boot: Boot, abi: str, status: int) -> None:
    machine = boot(bytes.fromhex("b800000200 ffe0"), abi=VERSIONS[abi])
    lwp = machine.lwp
    rw = Prot.READ | Prot.WRITE
    call(lwp, "mmap", READ_ONLY, 4096, rw, ANON_FIXED, MINUS_ONE, 0, 0)
    lwp.proc.vmspace.copyout(READ_ONLY, b"\xcc")
    assert machine.run() == status


# Single step


def test_a_single_step_is_reported_once_without_t(boot: Boot) -> None:
    vk = virtual_kernel(boot, "90 90 0f05")
    tframe = vk.run(rflags=0x302)
    assert (tframe.trapno, tframe.err, tframe.rip) == (10, 0, GUEST_CODE + 1)
    assert tframe.rflags == 0x202
    assert vk.lwp.proc.alive


def test_a_guest_is_stepped_by_setting_t_again(boot: Boot) -> None:
    vk = virtual_kernel(boot, "48ffc0 48ffc0 ebf8")  # inc rax; inc rax; jmp back
    tframe = vk.run(rflags=0x302)
    path = [tframe.rip - GUEST_CODE]
    for _ in range(4):
        tframe.rflags |= Rflags.T
        vk.lwp.proc.vmspace.copyout(TFRAME, bytes(tframe))
        call(vk.lwp, "vmspace_ctl", ID, RUN, TFRAME, VFRAME)
        vk.go()
        tframe = vk.reflected()
        path.append(tframe.rip - GUEST_CODE)
    assert path == [3, 6, 0, 3, 6]
    assert tframe.rax == 4


def test_a_stepped_system_call_keeps_t_and_the_virtual_kernel_gets_sigtrap(boot: Boot) -> None:
    vk = virtual_kernel(boot, "0f05")
    vk.lwp.frame.rflags = 0x302
    vk.lwp.cpu.load()
    tframe = vk.run(rflags=0x302)
    assert (tframe.trapno, tframe.rip, tframe.rflags) == (0x81, GUEST_CODE + 2, 0x302)
    assert vk.lwp.frame.rflags & Rflags.T == 0
    assert vk.lwp.proc.killed_by == 5
    (line,) = vk.machine.told
    assert "SIGTRAP" in line


def test_a_process_that_steps_its_own_system_call_gets_sigtrap_after_it(boot: Boot) -> None:
    # mov eax, 20; pushfq; or dword [rsp], 0x100; popfq; syscall
    machine = boot(bytes.fromhex("b814000000 9c 810c2400010000 9d 0f05"))
    assert machine.run() == TRAP
    assert machine.lwp.frame.rax == 100
    assert machine.lwp.frame.rflags & Rflags.T == 0
    assert machine.lwp.frame.rip == LOAD_ADDRESS + 16


def test_exit_while_stepping_is_an_exit(boot: Boot) -> None:
    # mov edi, 3; mov eax, 1; pushfq; or dword [rsp], 0x100; popfq; syscall
    machine = boot(bytes.fromhex("bf03000000 b801000000 9c 810c2400010000 9d 0f05"))
    assert machine.run() == 3
    assert machine.told == []


def test_a_virtual_kernel_that_steps_vmspace_ctl_gets_out_at_once(boot: Boot) -> None:
    # pushfq; or dword [rsp], 0x100; popfq; syscall
    machine = boot(bytes.fromhex("9c 810c2400010000 9d 0f05"))
    vk = VirtualKernel(machine, b"\xf4")
    lwp, frame = vk.lwp, vk.lwp.frame
    lwp.proc.vmspace.copyout(TFRAME, bytes(Trapframe(rip=GUEST_CODE, rbx=5, trapno=9)))
    frame.rax, frame.rdi, frame.rsi, frame.rdx, frame.r10 = 488, ID, RUN, TFRAME, VFRAME
    frame.rip = LOAD_ADDRESS
    lwp.cpu.load()
    assert machine.run() == TRAP
    tframe = vk.reflected()
    assert (tframe.trapno, tframe.rip, tframe.rbx) == (0, GUEST_CODE, 5)
    assert vk.refs == 0
    assert (frame.rax, frame.rflags & Rflags.C) == (0, 0)


# The floating-point unit


MOVQ_XMM0_RAX = "66480f6ec0"
MOVQ_RAX_XMM0 = "66480f7ec0"


@pytest.mark.parametrize("code", [MOVQ_XMM0_RAX, "d9e8", "0f77", "0fae042500200100"])
def test_first_fp_use_is_reported_if_the_virtual_kernel_asks(boot: Boot, code: str) -> None:
    vk = virtual_kernel(boot, "90" + code + "0f05")
    tframe = vk.run(xflags=0x80)
    assert (tframe.trapno, tframe.err, tframe.addr, tframe.xflags) == (22, 0, 0, 0)
    assert (tframe.rip, tframe.rflags) == (GUEST_CODE + 1, 0x10202)
    # Asked for once, it is over; the virtual kernel may use the unit, and so may its guest.
    assert not vk.lwp.cpu.fp_trap
    tframe = vk.run(rip=GUEST_CODE + 1, xflags=0)
    assert tframe.trapno == Trap.FAST_SYSCALL


@pytest.mark.parametrize("xflags", [0, 0x7F, (1 << 64) - 1 - 0x80])
def test_fp_use_is_nobodys_business_otherwise(boot: Boot, xflags: int) -> None:
    vk = virtual_kernel(boot, MOVQ_XMM0_RAX + "0f05")
    assert vk.run(xflags=xflags).trapno == Trap.FAST_SYSCALL


def test_the_wish_for_an_fp_trap_ends_with_the_stay(boot: Boot) -> None:
    vk = virtual_kernel(boot, "0f05" + MOVQ_XMM0_RAX + "0f05")
    assert vk.run(xflags=0x80).trapno == Trap.FAST_SYSCALL
    assert vk.run(rip=GUEST_CODE + 2, xflags=0).trapno == Trap.FAST_SYSCALL
    assert vk.run(rip=GUEST_CODE + 2, xflags=0x80).trapno == Trap.DNA


def test_fp_registers_flow_from_the_guest_to_the_virtual_kernel(boot: Boot) -> None:
    machine = boot(bytes.fromhex(MOVQ_RAX_XMM0 + "cc"))
    vk = VirtualKernel(machine, bytes.fromhex(MOVQ_XMM0_RAX + "0f05"))
    vk.run(rax=0x1122334455667788)
    assert machine.run() == TRAP
    assert vk.lwp.frame.rax == 0x1122334455667788


def test_fp_registers_flow_from_the_virtual_kernel_to_the_guest(boot: Boot) -> None:
    machine = boot(bytes.fromhex("48b88877665544332211" + MOVQ_XMM0_RAX + "cc"))
    vk = VirtualKernel(machine, bytes.fromhex(MOVQ_RAX_XMM0 + "0f05"))
    assert machine.run() == TRAP
    machine.lwp.proc.killed_by = None
    assert vk.run().rax == 0x1122334455667788


# Translations


def test_rights_taken_away_are_gone_for_the_running_guest(boot: Boot) -> None:
    vk = virtual_kernel(boot, "88042500300100 0f05")  # mov [0x13000], al; syscall
    assert vk.run().trapno == Trap.FAST_SYSCALL
    vk.space.mprotect(GUEST_CODE + 0x3000, 4096, Prot.READ)
    tframe = vk.run()
    assert (tframe.trapno, tframe.err, tframe.addr) == (12, 7, GUEST_CODE + 0x3000)


def test_rights_given_need_no_announcement(boot: Boot) -> None:
    vk = virtual_kernel(boot, "88042500000200 0f05")  # mov [READ_ONLY], al; syscall
    assert vk.run().trapno == Trap.PAGEFLT
    vk.space.mprotect(READ_ONLY, 4096, Prot.READ | Prot.WRITE)
    assert vk.run().trapno == Trap.FAST_SYSCALL


def test_a_page_replaced_by_mmap_is_new(boot: Boot) -> None:
    vk = virtual_kernel(boot, "8a042500300100 0f05")  # mov al, [0x13000]; syscall
    vk.space.copyout(GUEST_CODE + 0x3000, b"\x55")
    assert vk.run().rax == 0x55
    vk.map(GUEST_CODE + 0x3000, 4096)
    assert vk.run().rax == 0


def test_a_cleared_root_counts_from_the_mcontrol_on(boot: Boot) -> None:
    vk = virtual_kernel(boot, "8a042500000400 0f05")  # mov al, [0x40000]; syscall
    flags = ANON_FIXED | Map.VPAGETABLE
    rw = Prot.READ | Prot.WRITE
    assert call(vk.lwp, "vmspace_mmap", ID, 0x40000, 4096, rw, flags, MINUS_ONE, 0) == 0x40000
    assert vk.run().trapno == Trap.PAGEFLT
    call(vk.lwp, "vmspace_mcontrol", ID, 0x40000, 4096, Madv.SETMAP, 0xF)  # linear
    assert vk.run().trapno == Trap.FAST_SYSCALL
    call(vk.lwp, "vmspace_mcontrol", ID, 0x40000, 4096, Madv.SETMAP, 0)
    tframe = vk.run()
    assert (tframe.trapno, tframe.err, tframe.addr) == (12, 4, 0x40000)


def test_a_write_to_a_page_that_was_read_sets_modified_unseen(boot: Boot) -> None:
    # mov al, [0x40000]; mov [0x40000], al; syscall
    vk = virtual_kernel(boot, "8a042500000400 88042500000400 0f05")
    flags = ANON_FIXED | Map.VPAGETABLE
    rw = Prot.READ | Prot.WRITE
    call(vk.lwp, "vmspace_mmap", ID, 0x40000, 4096, rw, flags, MINUS_ONE, 0)
    call(vk.lwp, "vmspace_mcontrol", ID, 0x40000, 4096, Madv.SETMAP, 0xF)
    assert vk.run().trapno == Trap.FAST_SYSCALL
    call(vk.lwp, "vmspace_mcontrol", ID, 0x40000, 4096, Madv.INVAL, 0)
    call(vk.lwp, "vmspace_mcontrol", ID, 0x40000, 4096, Madv.SETMAP, 0x7)  # no longer writable
    tframe = vk.run()
    assert (tframe.trapno, tframe.err, tframe.rip) == (12, 7, GUEST_CODE + 7)


# Memory


FILL = bytes.fromhex("48893f 4881c700100000 ebf4")  # mov [rdi], rdi; add rdi, 4096; jmp back
HUGE = 0x100000000


MANY_EXITS = 5000


def go_on(lwp: Lwp) -> None:
    """Let `lwp` run to its end, or for far longer than it needs."""
    for _ in range(MANY_EXITS):
        if not lwp.proc.alive:
            break
        step(lwp)


def exhaust(phys: PhysicalMemory) -> None:
    """Take every frame there is.  The first refusal may have freed page tables."""
    for _ in range(3):
        with pytest.raises(KernelError) as caught:
            while True:
                phys.alloc()
        assert caught.value.errno is Errno.ENOMEM


def test_a_process_that_wants_too_much_memory_is_killed(boot: Boot) -> None:
    machine = boot(b"\xbf\0\0\0\x10" + FILL, memory=2 << 20)
    rw = Prot.READ | Prot.WRITE
    at = 0x10000000
    assert call(machine.lwp, "mmap", at, 1 << 30, rw, ANON_FIXED, MINUS_ONE, 0, 0) == at
    go_on(machine.lwp)
    assert machine.lwp.proc.killed_by == 9
    (line,) = machine.told
    assert line.startswith("process 100 ended by SIGKILL in its own vmspace: out of memory")


def test_a_guest_that_wants_too_much_memory_ends_the_virtual_kernel(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90", memory=2 << 20), FILL)
    vk.map(HUGE, 1 << 30)
    vk.enter(rdi=HUGE)
    go_on(vk.lwp)
    assert vk.lwp.proc.killed_by == 9
    (line,) = vk.machine.told
    assert line.startswith("process 100 ended by SIGKILL in vmspace 0x1000: out of memory")


def test_system_calls_get_enomem_and_the_emulator_lives(boot: Boot) -> None:
    lwp = boot(b"\x90", memory=2 << 20).lwp
    rw = Prot.READ | Prot.WRITE
    call(lwp, "vmspace_create", ID, 0, 0)
    at = 0x10000000
    call(lwp, "mmap", at, 1 << 20, rw, ANON_FIXED, MINUS_ONE, 0, 0)
    exhaust(lwp.proc.kernel.phys)
    assert call(lwp, "vmspace_create", 2, 0, 0) is Errno.ENOMEM
    assert call(lwp, "vmspace_destroy", 2) is Errno.ENOENT
    assert call(lwp, "get_tls_area", 0, at, 16) is Errno.ENOMEM
    assert call(lwp, "getpid") == 100
    assert call(lwp, "vmspace_destroy", ID) == 0
    assert call(lwp, "vmspace_create", ID, 0, 0) == 0


def test_a_reflection_without_memory_is_an_error_of_the_call(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90", memory=2 << 20))
    vk.enter()
    exhaust(vk.lwp.proc.kernel.phys)
    vk.go()
    proc = vk.lwp.proc
    assert not proc.alive or vk.lwp.frame.rax in (0, Errno.EFAULT, Errno.ENOMEM)
    assert not vk.inside
