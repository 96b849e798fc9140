"""What --trace and --stats say, line for line."""

from collections.abc import Callable

import pytest
from conftest import LOAD_ADDRESS, Booted, call
from test_vkernel import GUEST_CODE, GUEST_STACK, ID, RUN, TFRAME, VFRAME, VirtualKernel

from emu.abi.frames import Trapframe
from emu.debug.ledger import Ledger
from emu.debug.trace import EVENTS, FAULTS, SIGNALS, SYSCALLS, TRAPS, Tracer, call_text
from emu.machine import Watcher

Boot = Callable[..., Booted]

# syscall; mov edi, 3; mov eax, 1; syscall
ENTER_THEN_EXIT_3 = bytes.fromhex("0f05 bf03000000 b801000000 0f05")
PATH = LOAD_ADDRESS + 0x4000


def traced(machine: Booted, *events: str) -> list[str]:
    lines: list[str] = []
    tracer = Tracer(lines.append, frozenset(events))
    tracer.attach(machine.machine)
    machine.run()
    tracer.finish()
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
        lwp.words[at] = value
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
    ledger.attach(machine.machine)
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


def test_the_ledger_counts_the_trap_that_becomes_a_signal(boot: Boot) -> None:
    machine = boot(b"\xf4")
    ledger = Ledger()
    ledger.attach(machine.machine)
    assert machine.run() == 138
    assert any(
        line.split("  ")[0] == "traps that became signals" for line in ledger.lines(machine.lwp)
    )


# Several processes and LWPs

FORK_AND_WAIT = """
        SYSCALL SYS_fork
        test eax, eax
        jz child
        SYSCALL SYS_wait4, -1, 0, 0
        SYSCALL SYS_exit, 3
child:  SYSCALL SYS_getpid
        SYSCALL SYS_exit, 5
"""


def test_lines_say_whose_they_are_once_there_are_several_processes(boot: Boot) -> None:
    assert traced(boot("SYSCALL SYS_getpid\n" + FORK_AND_WAIT), SYSCALLS) == [
        "getpid() = 100",
        "[100] fork() = 101",
        "[100] wait4(-1, 0, 0, 0) <unfinished …>",
        "[101] getpid() = 101",
        "[101] exit(5) = ?",
        "[100] <… wait4 resumed> = 101",
        "[100] exit(3) = ?",
    ]


def test_a_call_that_sleeps_is_one_line_if_nothing_else_happens(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_nanosleep, offset delay, 0
        SYSCALL SYS_exit, 0
delay:  .quad 2, 0
        """
    )
    assert traced(machine, SYSCALLS)[0].endswith(", 0) = 0")


def test_a_call_that_nobody_comes_back_from_is_shown_at_the_end(boot: Boot) -> None:
    machine = boot("SYSCALL SYS_sigsuspend, offset none\nnone: .quad 0, 0")
    with Watcher(machine.machine, 0.05):
        (line,) = traced(machine, SYSCALLS)
    assert line.startswith("sigsuspend(0x400") and line.endswith(") = ?")


def test_a_process_that_sleeps_when_the_first_one_ends_is_unfinished(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        test eax, eax
        jz child
        SYSCALL SYS_yield
        SYSCALL SYS_exit, 0
child:  SYSCALL SYS_sigsuspend, offset none
none:   .quad 0, 0
        """
    )
    *_, unfinished, last = traced(machine, SYSCALLS)
    assert unfinished.startswith("[101] sigsuspend(0x400")
    assert unfinished.endswith(") <unfinished …>")
    assert last == "[100] exit(0) = ?"


def test_the_lwps_of_a_process_have_numbers(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_lwp_create, offset params
        SYSCALL SYS_umtx_sleep, offset cell, 0, 0
        SYSCALL SYS_exit, 0
other:  SYSCALL SYS_lwp_gettid
        mov dword ptr [rip + cell], 1
        SYSCALL SYS_umtx_wakeup, offset cell, 0
        SYSCALL SYS_extexit, 0x10000, 0, 0
params: .quad other, 0, stack, 0, 0
cell:   .quad 0
        .space 512
stack:
        """
    )
    lines = traced(machine, SYSCALLS)
    assert lines[0].startswith("[100:0] lwp_create(")
    assert lines[1].startswith("[100:0] umtx_sleep(") and lines[1].endswith(" <unfinished …>")
    assert lines[2] == "[100:1] lwp_gettid() = 1"
    assert lines[3].startswith("[100:1] umtx_wakeup(")
    assert lines[4:6] == ["[100:1] extexit(65536, 0, 0) = ?", "[100] <… umtx_sleep resumed> = 0"]


# Signals

HANDLED = """
        SYSCALL SYS_sigaction, {signal}, offset action, 0
        {cause}
        SYSCALL SYS_exit, 0
handler:
        SYSCALL SYS_exit, 4
action: .quad handler, 0, 0, 0
"""


def test_a_signal_that_is_handled_shows_its_cause_and_its_handler(boot: Boot) -> None:
    machine = boot(HANDLED.format(signal=11, cause="mov eax, [0x10]"))
    lines = traced(machine, TRAPS, SIGNALS)
    assert len(lines) == 2
    assert lines[0].startswith("T_PAGEFLT read 0x10 (err 0x4) at 0x400")
    assert lines[0].endswith(" → handler of SIGSEGV")
    assert lines[1].startswith("--- SIGSEGV {code 1, addr 0x10} → handler 0x400")


def test_signals_follow_the_call_that_sent_them(boot: Boot) -> None:
    machine = boot(HANDLED.format(signal=15, cause="SYSCALL SYS_kill, 100, 15"))
    lines = traced(machine, SYSCALLS, SIGNALS)
    assert lines[1] == "kill(100, SIGTERM) = 0"
    assert lines[2].startswith("--- SIGTERM → handler 0x400") and lines[2].endswith(" ---")
    assert lines[3] == "exit(4) = ?"


def test_a_fatal_signal_ends_the_trace(boot: Boot) -> None:
    assert traced(boot("SYSCALL SYS_kill, 100, 15"), SYSCALLS, SIGNALS) == [
        "kill(100, SIGTERM) = 0",
        "--- SIGTERM → ends the process ---",
    ]


def test_a_signal_that_nobody_notices_leaves_later_faults_alone(boot: Boot) -> None:
    """SIGSYS ignored: the faults after it are still resolved, not signals."""
    machine = boot(
        """
        SYSCALL SYS_sigaction, 12, offset ignore, 0
        SYSCALL 999
        mov [rsp - 0x3000], eax
        SYSCALL SYS_exit, 0
ignore: .quad 1, 0, 0, 0
        """
    )
    assert traced(machine, FAULTS)[-1].endswith(" → resolved")


def test_a_stop_and_what_ends_it_are_shown(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        test eax, eax
        jz child
        mov r12, rax
        SYSCALL SYS_wait4, r12, 0, 2
        SYSCALL SYS_kill, r12, 19
        SYSCALL SYS_wait4, r12, 0, 0
        SYSCALL SYS_exit, 0
child:  SYSCALL SYS_kill, 101, 17
        SYSCALL SYS_exit, 5
        """
    )
    assert traced(machine, SIGNALS) == [
        "[101] --- SIGSTOP → stops the process ---",
        "[101] --- SIGCONT → continues the process ---",
    ]


def test_a_call_to_be_made_again_says_so(boot: Boot) -> None:
    """A handler with SA_RESTART breaks the parent's wait4."""
    machine = boot(
        """
        SYSCALL SYS_sigaction, 30, offset action, 0
        SYSCALL SYS_fork
        test eax, eax
        jz child
        SYSCALL SYS_wait4, -1, 0, 0
        SYSCALL SYS_exit, 0
child:  SYSCALL SYS_kill, 100, 30
        SYSCALL SYS_exit, 5
handler:
        SYSCALL SYS_sigreturn, rdx
action: .quad handler, 2, 0, 0
        """
    )
    lines = traced(machine, SYSCALLS, SIGNALS)
    again = lines.index("[100] <… wait4 resumed> = ? (to be made again)")
    assert lines[again + 1].startswith("[100] --- SIGUSR1 → handler 0x400")
    assert lines[-2:] == ["[100] wait4(-1, 0, 0, 0) = 101", "[100] exit(0) = ?"]


def test_the_ledger_has_a_line_for_each_of_several_processes(boot: Boot) -> None:
    machine = boot(FORK_AND_WAIT)
    ledger = Ledger()
    ledger.attach(machine.machine)
    assert machine.run() == 3
    lines = [" ".join(line.split()) for line in ledger.lines(machine.lwp)]
    assert "LWP switches 2" in lines
    assert "wake-ups 1" in lines
    assert [line.split(",")[0] for line in lines if line.startswith("process ")] == [
        "process 100 : system calls 3",
        "process 101 : system calls 2",
    ]


def test_the_ledger_tells_signals_and_idle_time(boot: Boot) -> None:
    machine = boot("SYSCALL SYS_kill, 100, 15")
    ledger = Ledger()
    ledger.attach(machine.machine)
    machine.run()
    lines = [" ".join(line.split()) for line in ledger.lines(machine.lwp)]
    assert "signals, fatal 1" in lines

    machine = boot("SYSCALL SYS_nanosleep, offset delay, 0\nSYSCALL SYS_exit, 0\ndelay: .quad 2, 0")
    ledger = Ledger()
    ledger.attach(machine.machine)
    assert machine.run() == 0
    assert any(
        line.startswith("idle time") and line.endswith(" 2.000 s")
        for line in ledger.lines(machine.lwp)
    )
