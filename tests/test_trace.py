"""What --trace and --stats say, line for line."""

from collections.abc import Callable

import pytest
from conftest import LOAD_ADDRESS, Booted, call
from test_vkernel import GUEST_CODE, GUEST_STACK, ID, RUN, TFRAME, VFRAME, VirtualKernel

from emu.abi.frames import Trapframe
from emu.debug.ledger import Ledger
from emu.debug.trace import EVENTS, FAULTS, SYSCALLS, TRAPS, Tracer, call_text

Boot = Callable[..., Booted]

# syscall; mov edi, 3; mov eax, 1; syscall
ENTER_THEN_EXIT_3 = bytes.fromhex("0f05 bf03000000 b801000000 0f05")
PATH = LOAD_ADDRESS + 0x4000


def traced(machine: Booted, *events: str) -> list[str]:
    lines: list[str] = []
    machine.machine.handle = Tracer(lines.append, frozenset(events)).around(machine.machine.handle)
    machine.run()
    return lines


def small_virtual_kernel(boot: Boot, guest: str) -> Booted:
    """Enters a vmspace once, with `guest` in it, and exits 3 when it is back."""
    machine = boot(ENTER_THEN_EXIT_3)
    vk = VirtualKernel(machine, bytes.fromhex(guest))
    lwp, frame = vk.lwp, vk.lwp.frame
    tframe = Trapframe(rip=GUEST_CODE, rsp=GUEST_STACK, rdi=1, rsi=2, rdx=3, r10=4, r8=5, r9=6)
    lwp.proc.vmspace.copyout(TFRAME, bytes(tframe))
    lwp.proc.vmspace.copyout(VFRAME, bytes(32))
    frame.rax, frame.rdi, frame.rsi, frame.rdx, frame.r10 = 488, ID, RUN, TFRAME, VFRAME
    frame.rip = LOAD_ADDRESS
    lwp.cpu.load()
    return machine


def test_a_round_trip_by_system_call(boot: Boot) -> None:
    # mov eax, 4; syscall
    machine = small_virtual_kernel(boot, "b804000000 0f05")
    assert traced(machine, SYSCALLS) == [
        "vmspace_ctl(0x1000, VMSPACE_CTL_RUN, 0x402000, 0x403000) → in vmspace 0x1000",
        "    [0x1000] T_FAST_SYSCALL (rax 0x4, rdi 0x1, rsi 0x2, rdx 0x3, r10 0x4, r8 0x5, r9 0x6)"
        " at 0x10007 → to the virtual kernel",
        "vmspace_ctl(…) = 0",
        "exit(3) = ?",
    ]


def test_a_round_trip_by_a_fault_with_everything_shown(boot: Boot) -> None:
    # mov [0x12000], eax; inc qword [0x70]
    machine = small_virtual_kernel(boot, "89042500200100 48ff042570000000")
    assert traced(machine, *EVENTS) == [
        "T_PAGEFLT fetch 0x400000 (err 0x15) at 0x400000 → resolved",
        "vmspace_ctl(0x1000, VMSPACE_CTL_RUN, 0x402000, 0x403000) → in vmspace 0x1000",
        "    [0x1000] T_PAGEFLT fetch 0x10000 (err 0x15) at 0x10000 → resolved",
        "    [0x1000] T_PAGEFLT write 0x12000 (err 0x6) at 0x10000 → resolved",
        "    [0x1000] T_PAGEFLT write 0x70 (err 0x6) at 0x10007 → to the virtual kernel",
        "vmspace_ctl(…) = 0",
        "exit(3) = ?",
    ]


def test_only_what_was_asked_for_is_shown(boot: Boot) -> None:
    code = "89042500200100 f4"
    assert traced(small_virtual_kernel(boot, code), TRAPS) == [
        "    [0x1000] T_PROTFLT at 0x10007 → to the virtual kernel"
    ]
    assert traced(small_virtual_kernel(boot, code), FAULTS)[-1] == (
        "    [0x1000] T_PAGEFLT write 0x12000 (err 0x6) at 0x10000 → resolved"
    )


def test_an_error_has_a_name(boot: Boot) -> None:
    machine = boot(bytes.fromhex("bf77000000 b8e7010000 0f05 b8e7030000 0f05"))
    assert traced(machine, SYSCALLS) == [
        "vmspace_destroy(0x77) = -1 EINVAL",
        "syscall_999() = -1 EINVAL",
    ]


def test_a_trap_that_ends_the_process_is_shown_as_that(boot: Boot) -> None:
    machine = boot(bytes.fromhex("cd80"))
    assert traced(machine, TRAPS) == ["T_PROTFLT (err 0x402) at 0x400000 → SIGBUS"]


def test_an_entry_that_is_refused_is_a_call_like_any_other(boot: Boot) -> None:
    machine = boot(ENTER_THEN_EXIT_3)
    call(machine.lwp, "vmspace_create", ID, 0, 0)
    frame = machine.lwp.frame
    frame.rax, frame.rdi, frame.rsi, frame.rdx, frame.r10 = 488, ID, 2, 0, 0
    machine.lwp.cpu.load()
    assert traced(machine, SYSCALLS) == [
        "vmspace_ctl(0x1000, 2, 0, 0) = -1 EOPNOTSUPP",
        "exit(3) = ?",
    ]


@pytest.mark.parametrize(
    ("rax", "registers", "stack", "text"),
    [
        (20, (), (), "getpid()"),
        (5, (PATH, 0x202, 0o644), (), 'open("/etc/motd\\n", O_RDWR|O_CREAT, 0644)'),
        (5, (0xDEAD000, 0, 0), (), "open(0xdead000, 0, 00)"),
        (
            197,
            (0, 4096, 3, 0x1002, (1 << 64) - 1, 9),
            (0, 0),
            "mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANON, -1, 0)",
        ),
        (
            198,
            (197, 0x1000, 8192, 4, 0x11, 3),
            (0, 0, 0x2000),
            "mmap(0x1000, 8192, PROT_EXEC, MAP_SHARED|MAP_FIXED, 3, 0x2000)",
        ),
        (0, (199, 3, 0, 8, 2), (), "lseek(3, 0x8, SEEK_END)"),
        (
            491,
            (0x1000, 0, 4096, 11, 0xD),
            (),
            "vmspace_mcontrol(0x1000, 0, 4096, MADV_SETMAP, 0xd)",
        ),
        (530, (), (), "syscall_530()"),
    ],
)
def test_calls_are_shown_as_c_would_write_them(
    boot: Boot, rax: int, registers: tuple[int, ...], stack: tuple[int, ...], text: str
) -> None:
    lwp = boot(b"\x90").lwp
    lwp.proc.vmspace.copyout(PATH, b"/etc/motd\n\0")
    lwp.frame.rax = rax
    for at, value in enumerate(registers):
        lwp.arguments[at] = value
    lwp.frame.rsp = PATH + 0x800
    for at, value in enumerate(stack):
        lwp.proc.vmspace.copyout(lwp.frame.rsp + 8 * at, value.to_bytes(8, "little"))
    assert call_text(lwp) == text


def test_arguments_that_cannot_be_read_are_not_faulted_in(boot: Boot) -> None:
    lwp = boot(b"\x90").lwp
    lwp.frame.rax, lwp.frame.rsp = 197, 0xDEAD000
    assert call_text(lwp) == "mmap(… arguments at 0xdead008)"


def test_a_traced_run_ends_as_any_other(boot: Boot) -> None:
    quiet = small_virtual_kernel(boot, "89042500200100 48ff042570000000")
    assert quiet.run() == 3
    seen = small_virtual_kernel(boot, "89042500200100 48ff042570000000")
    traced(seen, *EVENTS)
    assert seen.lwp.proc.exit_status == 3
    space = quiet.lwp.proc.vmspace, seen.lwp.proc.vmspace
    assert space[0].copyin(TFRAME, 200) == space[1].copyin(TFRAME, 200)


def test_the_ledger_counts(boot: Boot) -> None:
    machine = small_virtual_kernel(boot, "89042500200100 48ff042570000000")
    ledger = Ledger()
    machine.machine.handle = ledger.around(machine.machine.handle)
    assert machine.run() == 3
    *lines, wall, memory = ledger.lines(machine.lwp)
    counted = {name.strip(): int(count) for name, count in (line.rsplit("  ", 1) for line in lines)}
    blocks = counted.pop("blocks")
    assert blocks == machine.lwp.cpu.blocks
    assert counted == {
        "faults resolved, fetch": 2,
        "faults resolved, write": 1,
        "round trips": 1,
        "switches": 2,
        "system calls": 2,
        "traps reflected": 1,
    }
    assert wall.startswith("wall time ") and wall.endswith(" s")
    assert memory.startswith("memory of the machine  ") and memory.endswith(" KiB at most")


def test_the_ledger_counts_the_trap_that_ends_the_process(boot: Boot) -> None:
    machine = boot(b"\xf4")
    ledger = Ledger()
    machine.machine.handle = ledger.around(machine.machine.handle)
    assert machine.run() == 138
    assert any(
        line.split("  ")[0] == "traps that ended the process" for line in ledger.lines(machine.lwp)
    )
