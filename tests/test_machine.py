"""The loop around the engine: how a run ends, and what time it is meanwhile."""

import gc
import os
import pty
import signal
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import unpack

import pytest
from conftest import LOAD_ADDRESS, Booted, call

from emu.abi.fcntl import Open
from emu.abi.ioctl import Ioctl
from emu.abi.signal import Signal
from emu.cpu.engine import Exit
from emu.kern.clock import EPOCH_NS, Clock, HostClock, VirtualClock
from emu.kern.file import File, Stream
from emu.kern.proc import Lwp
from emu.machine import STATUS_TIMEOUT, Impatience, Watcher

Boot = Callable[..., Booted]

LOOP = b"\xeb\xfe"  # jmp to itself
EXIT_7 = bytes.fromhex("bf07000000 b801000000 0f05")
# mov ebx, N; dec ebx; jnz back; then exit 0
COUNT_1000 = bytes.fromhex("bbe8030000 ffcb 75fc 31ff b801000000 0f05")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (EXIT_7, 7),
        (bytes.fromhex("bf00010000 b801000000 0f05"), 0),  # exit(256)
        (bytes.fromhex("bfffffffff b801000000 0f05"), 255),  # exit(-1)
        (bytes.fromhex("31ff be05000000 b8ee010000 0f05"), 5),  # extexit(0, 5)
        (bytes.fromhex("b8e7030000 0f05"), 140),  # there is no call 999
        (bytes.fromhex("0f0b"), 132),
    ],
)
def test_the_status_is_the_guests_or_its_signals(boot: Boot, code: bytes, status: int) -> None:
    assert boot(code).run() == status


def test_a_stop_from_another_thread_ends_the_run_with_its_status(boot: Boot) -> None:
    machine = boot(LOOP)
    threading.Timer(0.02, machine.machine.stop, [42]).start()
    assert machine.run() == 42
    assert machine.lwp.proc.alive


def test_a_stop_before_the_run_is_not_lost(boot: Boot) -> None:
    machine = boot(LOOP)
    machine.machine.stop(42)
    assert machine.run() == 42


def test_the_first_of_two_stops_counts(boot: Boot) -> None:
    machine = boot(LOOP)
    machine.machine.stop(42)
    machine.machine.stop(43)
    assert machine.run() == 42


def test_a_process_that_ends_by_itself_is_not_stopped(boot: Boot) -> None:
    machine = boot(EXIT_7)
    with Watcher(machine.machine, 100):
        assert machine.run() == 7
    assert machine.machine.stopped is None


@pytest.mark.parametrize(
    "code",
    [
        LOOP,
        bytes.fromhex("b814000000 0f05 ebf7"),  # getpid for ever
        bytes.fromhex("90 90 90 ebfb"),
    ],
    ids=["loop", "calls", "longer loop"],
)
def test_a_guest_that_does_not_end_is_ended_at_the_deadline(boot: Boot, code: bytes) -> None:
    machine = boot(code)
    with Watcher(machine.machine, 0.05):
        assert machine.run() == STATUS_TIMEOUT == 124


def test_a_deadline_that_has_passed_ends_the_run_at_once(boot: Boot) -> None:
    machine = boot(LOOP)
    with Watcher(machine.machine, 0):
        assert machine.run() == 124


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_emulator_ends_the_run(boot: Boot, number: signal.Signals) -> None:
    machine = boot(LOOP)
    with Watcher(machine.machine):
        threading.Timer(0.05, os.kill, [os.getpid(), number]).start()
        assert machine.run() == 128 + number


def test_the_watcher_puts_back_what_it_found() -> None:
    """The wake-up descriptor and the handlers are the caller's."""
    handlers = [signal.getsignal(number) for number in Watcher.PASSED]
    machine = Booted(EXIT_7)
    with Watcher(machine.machine):
        assert signal.getsignal(signal.SIGINT) != handlers[0]
        machine.run()
    machine.close()
    assert [signal.getsignal(number) for number in Watcher.PASSED] == handlers
    assert signal.set_wakeup_fd(-1) == -1


# The virtual clock


def test_a_block_takes_10_ns(boot: Boot) -> None:
    def elapsed(count: int) -> int:
        machine = boot(b"\xbb" + count.to_bytes(4, "little") + COUNT_1000[5:])
        assert machine.run() == 0
        return machine.lwp.proc.kernel.clock.monotonic_ns()

    assert elapsed(2000) - elapsed(1000) == 1000 * 10


def test_a_system_call_takes_1_us(boot: Boot) -> None:
    # mov ebx, N; (mov eax, 20; syscall; dec ebx; jnz back); exit 0
    def machine_with(count: int) -> Booted:
        return boot(
            b"\xbb" + count.to_bytes(4, "little") + bytes.fromhex("b814000000 0f05 ffcb 75f5")
            + EXIT_7
        )  # fmt: skip

    one, eleven = machine_with(1), machine_with(11)
    assert (one.run(), eleven.run()) == (7, 7)
    elapsed = [machine.lwp.proc.kernel.clock.monotonic_ns() for machine in (one, eleven)]
    blocks = [machine.lwp.cpu.blocks for machine in (one, eleven)]
    assert elapsed[1] - elapsed[0] == 10 * 1000 + (blocks[1] - blocks[0]) * 10


def test_the_clock_starts_at_its_epoch(boot: Boot) -> None:
    machine = boot(EXIT_7)
    clock = machine.lwp.proc.kernel.clock
    assert (clock.now_ns(), clock.monotonic_ns()) == (EPOCH_NS, 0)
    assert EPOCH_NS == 1_320_278_400_000_000_000


# clock_gettime(4, rsp); add [rsp+8] into rbx, many times; exit with what is in bl
TIMES = bytes.fromhex(
    "4883ec20 41bc32000000"  # sub rsp, 32; mov r12d, 50
    "bf04000000 4889e6 b8e8000000 0f05"  # clock_gettime(CLOCK_MONOTONIC, rsp)
    "48035c2408 41ffcc 75e7"  # add rbx, [rsp+8]; dec r12d; jnz back
    "89df b801000000 0f05"
)


def test_two_runs_are_identical(boot: Boot) -> None:
    ends = []
    for _ in range(2):
        machine = boot(TIMES)
        status = machine.run()
        lwp = machine.lwp
        clock = lwp.proc.kernel.clock
        ends.append((status, bytes(lwp.frame_bytes), clock.now_ns(), lwp.cpu.blocks))
    assert ends[0] == ends[1]
    assert ends[0][1] != bytes(200)


def test_closing_lets_go_of_the_host_and_late_calls_do_no_harm() -> None:
    gc.collect()  # what tests before this one have left to be closed
    before = len(os.listdir("/proc/self/fd"))
    machine = Booted(EXIT_7)
    machine.run()
    machine.close()
    machine.machine.stop(1)
    machine.machine.signal(Signal.INT)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_kernel_that_does_not_come_back_is_broken_off(boot: Boot) -> None:
    """No kick of the engine helps while the kernel itself waits for the host."""
    machine = boot(EXIT_7)
    machine.machine.handle = lambda lwp, reason: time.sleep(60)
    with Watcher(machine.machine, 0.05):
        assert machine.run() == STATUS_TIMEOUT


@pytest.fixture
def changed_terminal(boot: Boot) -> Iterator[tuple[Booted, Callable[[], bool]]]:
    """A machine whose guest has changed its terminal, and whether that is given back."""
    person, program = pty.openpty()
    before = termios.tcgetattr(program)
    machine = boot(LOOP)
    machine.lwp.proc.files.add(File(Stream(program), Open.RDWR))
    assert call(machine.lwp, "ioctl", 0, Ioctl.TIOCSCTTY, 0) == 0
    assert call(machine.lwp, "ioctl", 0, Ioctl.TIOCGETA, SCRATCH) == 0
    machine.lwp.proc.vmspace.copyout(SCRATCH + 12, bytes(4))  # c_lflag
    assert call(machine.lwp, "ioctl", 0, Ioctl.TIOCSETA, SCRATCH) == 0
    assert termios.tcgetattr(program) != before
    machine.lwp.frame.rip = LOAD_ADDRESS
    machine.lwp.cpu.load()
    yield machine, lambda: termios.tcgetattr(program) == before
    os.close(person)
    os.close(program)


SCRATCH = LOAD_ADDRESS + 0x3000


def test_the_terminal_comes_back_from_a_kernel_that_is_broken_off(
    changed_terminal: tuple[Booted, Callable[[], bool]],
) -> None:
    machine, given_back = changed_terminal
    machine.machine.handle = lambda lwp, reason: time.sleep(60)
    with Watcher(machine.machine, 0.05):
        assert machine.run() == STATUS_TIMEOUT
    assert given_back()


def test_the_terminal_comes_back_after_a_bug_of_ours(
    changed_terminal: tuple[Booted, Callable[[], bool]],
) -> None:
    machine, given_back = changed_terminal

    def broken(lwp: Lwp, reason: Exit) -> None:
        raise ZeroDivisionError

    machine.machine.handle = broken
    with pytest.raises(ZeroDivisionError):
        machine.run()
    assert given_back()


@pytest.mark.parametrize("how", ["timeout", "interrupt"])
def test_a_write_to_a_full_pipe_does_not_block_the_machine(boot: Boot, how: str) -> None:
    machine = boot("again: SYSCALL SYS_write, 0, 0x400000, 0x1000\njmp again")
    reader, writer = os.pipe()
    machine.lwp.proc.files.add(File(Stream(writer), Open.WRONLY))
    with Watcher(machine.machine, 0.05 if how == "timeout" else 60):
        if how == "interrupt":
            sched = machine.lwp.proc.kernel.sched
            threading.Thread(target=_interrupt_when, args=[machine, lambda: sched.watched]).start()
        assert machine.run() == (STATUS_TIMEOUT if how == "timeout" else 130)
    os.close(reader)
    os.close(writer)


def _interrupt_when(machine: Booted, ready: Callable[[], object]) -> None:
    while not ready() and not machine.machine.over:
        threading.Event().wait(0.005)
    machine.machine.signal(Signal.INT)


# Ctrl-C that nobody listens to


def test_the_second_ctrl_c_ends_a_run_whose_guest_has_not_taken_the_first() -> None:
    impatience = Impatience()
    assert not impatience.ends_run(10.0, waiting=False, ignored=False)
    assert not impatience.ends_run(10.05, waiting=True, ignored=False)  # as good as the first
    assert impatience.ends_run(10.2, waiting=True, ignored=False)


def test_a_guest_that_takes_each_ctrl_c_may_get_any_number() -> None:
    impatience = Impatience()
    assert not any(impatience.ends_run(0.1 * n, waiting=False, ignored=False) for n in range(99))


def test_the_third_ctrl_c_within_a_second_ends_a_run_whose_guest_ignores_them() -> None:
    impatience = Impatience()
    times = [0.0, 0.9, 1.8, 2.0, 2.8]
    assert [impatience.ends_run(at, waiting=False, ignored=True) for at in times] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_a_signal_that_is_handled_does_not_end_the_run(boot: Boot) -> None:
    """The watcher tries again until it is looked at, and then no more."""
    machine = boot(
        """
        SYSCALL SYS_sigaction, 2, offset action, 0
again:  mov eax, [rip + caught]
        cmp eax, 3
        jne again
        SYSCALL SYS_exit, 7
handler:
        inc dword ptr [rip + caught]
        SYSCALL SYS_sigreturn, rdx
action: .quad handler, 0, 0, 0
caught: .quad 0
        """
    )
    with Watcher(machine.machine, 60):
        sender = threading.Thread(target=_interrupt, args=[machine, 3])
        sender.start()
        assert machine.run() == 7
        sender.join()


def _interrupt(machine: Booted, times: int) -> None:
    """Interrupt, and again only when the last one has reached its handler."""
    proc = machine.lwp.proc
    _interrupt_when(machine, lambda: proc.sigacts.caught)
    for count in range(1, times):
        _interrupt_when(machine, lambda count=count: proc.usage.signals >= count)


# What is left


EVERYTHING = """
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    SYSCALL SYS_ftruncate, 0, 0, 0x10000
    SYSCALL7 SYS_mmap, 0, 0x10000, PROT_READ + PROT_WRITE, MAP_SHARED, 0, 0, 0
    mov r12, rax
    SYSCALL SYS_pipe
    SYSCALL SYS_vmspace_create, 0x1000
    SYSCALL SYS_fork
    test rax, rax
    jz sleeper
    SYSCALL SYS_fork
    test rax, rax
    jz borrower
    SYSCALL SYS_fork
    test rax, rax
    jz reader
    SYSCALL SYS_fork
    test rax, rax
    jz zombie
until_all_have_begun:
    SYSCALL SYS_nanosleep, a_moment, 0
    cmp qword ptr [r12], 1
    jne until_all_have_begun
    {ending}
sleeper:
    SYSCALL SYS_nanosleep, an_hour, 0
borrower:
    SYSCALL SYS_vfork
    mov qword ptr [r12], 1
loop:
    jmp loop
reader:
    SYSCALL SYS_read, 1, path, 1
zombie:
    SYSCALL SYS_exit, 0
    .balign 8
a_moment:
    .quad 0, 20000000
an_hour:
    .quad 3600, 0
path:
    .asciz "file"
"""


def held() -> tuple[int, int]:
    """Return how many descriptors and threads this process has."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="there is no /proc")
@pytest.mark.parametrize(
    ("ending", "timeout", "status"),
    [
        ("SYSCALL SYS_exit, 7", 60, 7),
        ("jmp loop", 2, STATUS_TIMEOUT),
        ("jmp loop", None, None),
    ],
    ids=["the first process ends", "timeout", "our own failure"],
)
@pytest.mark.parametrize("clock", [VirtualClock, HostClock])
def test_nothing_is_left_on_the_host(
    ending: str,
    timeout: float | None,
    status: int | None,
    clock: type[Clock],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()  # what tests before this one have left to be closed
    before = held()
    machine = Booted(EVERYTHING.format(ending=ending), clock=clock())
    kernel = machine.lwp.proc.kernel
    try:
        if status is None:

            def fail() -> None:
                assert len(kernel.procs) < 6, "all have begun"
                kernel.sched.callout(kernel.clock.monotonic_ns() + 10_000_000, fail)

            fail()
            with pytest.raises(AssertionError, match="all have begun"):
                machine.run()
        else:
            with Watcher(machine.machine, timeout):
                assert machine.run() == status
        assert len(kernel.procs) == 6
        assert held()[0] > before[0] and os.listdir(tmp_path)
    finally:
        machine.close()
    assert (held(), os.listdir(tmp_path)) == (before, [])
    assert kernel.lwps == 0


STAMPS = """
    .macro STAMP
    rdtsc
    shl rdx, 32
    or rax, rdx
    stosq
    .endm
    lea rdi, [rip + stamps]
    STAMP
    STAMP
    mov ecx, 1000
delay:
    loop delay
    STAMP
    mov rbx, rdi
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, now
    mov rdi, rbx
    STAMP
    SYSCALL SYS_write, 0, stamps, 48
    SYSCALL SYS_exit, 0
    .balign 8
stamps: .space 32
now:    .space 16
"""


def test_the_time_stamp_counter_is_the_virtual_clock_and_the_same_every_time(boot: Boot) -> None:
    outputs = []
    for _ in range(2):
        machine = boot(STAMPS)
        reader, writer = os.pipe()
        machine.lwp.proc.files.add(File(Stream(writer), Open.WRONLY))
        assert machine.run() == 0
        outputs.append(os.read(reader, 100))
        os.close(reader)
    first, second, third, last, seconds, nanoseconds = unpack("<6Q", outputs[0])
    assert 0 < first < second < third < seconds * 10**9 + nanoseconds < last
    assert outputs[0] == outputs[1]
