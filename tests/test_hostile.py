"""Guests that mean harm: each ends in an orderly way, in time, and leaves nothing on the host."""

import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import assembled
from test_cli import elf

from emu.cli import vkemu

LIMIT_SECONDS = 20  # on a busy host; none of these should take more than two or three

LOOP = "spin: jmp spin"


@dataclass
class Outcome:
    status: int
    stdout: str
    stderr: list[str]


Run = Callable[..., Outcome]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; there must be none in the end."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


@pytest.fixture
def run(scratch: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a guest in this process, which must be as it was before afterwards."""

    def run(source: str | bytes, *options: str | Path) -> Outcome:
        program = program_file(tmp_path, source)
        gc.collect()  # what tests before this one have left to be closed
        before = os.listdir("/proc/self/fd"), threading.active_count()
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            vkemu(["run", *map(str, options), str(program)], prog_name="vkemu")
        assert time.monotonic() - began < LIMIT_SECONDS
        assert (os.listdir("/proc/self/fd"), threading.active_count()) == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        captured = capfd.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return Outcome(status, captured.out, captured.err.splitlines())

    return run


def program_file(folder: Path, source: str | bytes) -> Path:
    program = folder / "guest"
    program.write_bytes(source if isinstance(source, bytes) else assembled(source))
    return program


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(scratch: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a guest in a process of its own, which says x when it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def start(source: str, *options: str) -> "subprocess.Popen[bytes]":
        program = program_file(tmp_path, f'PRINT ready\n{source}\n{LOOP}\nready: .asciz "x"')
        process = subprocess.Popen(
            [sys.executable, "-m", "emu", "run", *options, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1) == b"x"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)


def end(process: "subprocess.Popen[bytes]", number: signal.Signals, times: int = 1) -> Outcome:
    """Send a signal, as often as it says, and see how the emulator ends, in time."""
    process.send_signal(number)
    for _ in range(times - 1):
        time.sleep(0.5)  # those that come at once count as one
        process.send_signal(number)
    began = time.monotonic()
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert time.monotonic() - began < LIMIT_SECONDS / 2
    return Outcome(process.returncode, out.decode(), err.decode().splitlines())


TIMED_OUT = Outcome(124, "", ["vkemu: still running after 0.2 s: ended"])

FORK_BOMB = """
more:
    SYSCALL SYS_fork
    jmp more
"""


def test_a_fork_bomb_is_ended_by_the_timeout(run: Run) -> None:
    assert run(FORK_BOMB, "--timeout", "0.2") == TIMED_OUT


def test_a_fork_bomb_is_ended_by_ctrl_c(start: Start) -> None:
    process = start(FORK_BOMB)
    time.sleep(0.5)
    assert end(process, signal.SIGINT) == Outcome(130, "", [])


def test_forks_end_with_eagain_and_the_parent_goes_on(run: Run) -> None:
    source = """
    more:
        SYSCALL SYS_fork
        jc refused
        test rax, rax
        jnz more
        SYSCALL SYS_nanosleep, long, 0
    refused:
        mov rdi, rax
        SYSCALL SYS_exit, rdi
    long:
        .quad 1000, 0
    """
    assert run(source) == Outcome(35, "", [])  # EAGAIN


# Memory

HOG = """
MUCH = 1 << 40
    SYSCALL7 SYS_mmap, 0, MUCH, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
    mov r12, rax
touch:
    mov [r12], r12
    add r12, STEP
    jmp touch
"""
SMALL = "--memory", "4M"


def hog(step: str) -> str:
    return f"STEP = {step}\n{HOG}"


@pytest.mark.parametrize("step", ["PAGE_SIZE", "2 << 20"], ids=["pages", "page tables"])
def test_who_touches_too_much_is_killed(run: Run, step: str) -> None:
    outcome = run(hog(step), *SMALL)
    assert (outcome.status, outcome.stdout) == (137, "")
    (line,) = outcome.stderr
    assert line.startswith(
        "vkemu: process 100 ended by SIGKILL in its own vmspace: out of memory for the page at "
    )


def test_a_child_that_touches_too_much_dies_alone(run: Run) -> None:
    source = f"""
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_OK 1
        CHECK_MEM 2, status, SIGKILL
        SYSCALL7 SYS_mmap, 0, PAGE_SIZE, PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
        mov [rax], rax
        DONE
        .balign 8
    status:
        .quad 0
    child:
        {hog("PAGE_SIZE")}
    """
    outcome = run(source, *SMALL)
    assert (outcome.status, len(outcome.stderr)) == (0, 1)
    assert outcome.stderr[0].startswith("vkemu: process 101 ended by SIGKILL")


def test_copies_after_a_fork_may_be_too_much(run: Run) -> None:
    """Two thirds of memory are shared; the child writes to all of it."""
    source = """
    SIZE = 0x2c0000
        SYSCALL7 SYS_mmap, 0, SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
        mov r12, rax
        call touch
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_MEM 1, status, SIGKILL
        call touch
        DONE
    child:
        call touch
        SYSCALL SYS_exit, 0
    touch:
        mov rcx, r12
    next:
        inc qword ptr [rcx]
        add rcx, PAGE_SIZE
        lea rax, [r12 + SIZE]
        cmp rcx, rax
        jb next
        ret
        .balign 8
    status:
        .quad 0
    """
    outcome = run(source, *SMALL)
    assert (outcome.status, len(outcome.stderr)) == (0, 1)
    assert outcome.stderr[0].startswith("vkemu: process 101 ended by SIGKILL")


def until_refused(*lines: str, then: str = "") -> str:
    """A guest that does something again and again, and exits with the errno that ends it."""
    return "\n".join(["again:", *lines, "jnc again", "mov r15, rax", then, "SYSCALL SYS_exit, r15"])


@pytest.mark.parametrize(
    ("source", "errno"),
    [
        (until_refused("SYSCALL SYS_dup, 1"), 24),  # EMFILE
        (
            "mov r12, 1\n" + until_refused("inc r12", "SYSCALL SYS_vmspace_create, r12"),
            12,  # ENOMEM
        ),
        (
            until_refused("SYSCALL SYS_lwp_create, parameters")
            + """
            thread:
                SYSCALL SYS_umtx_sleep, futex, 0, 0
                jmp thread
            parameters: .quad thread, 0, 0x410000, 0, 0
                .balign 8
            futex: .quad 0
            """,
            12,
        ),
    ],
    ids=["descriptors", "vmspaces", "threads"],
)
def test_what_a_guest_has_too_many_of_is_refused(run: Run, source: str, errno: int) -> None:
    assert run(source, *SMALL, "--bss", "128K") == Outcome(errno, "", [])


@pytest.mark.parametrize(
    "call",
    [
        "SYSCALL7 SYS_mmap, r12, PAGE_SIZE, 3, r13, -1, 0, 0",
        "SYSCALL SYS_mprotect, r12, PAGE_SIZE, PROT_READ",
        "SYSCALL SYS_munmap, r12, PAGE_SIZE",
    ],
    ids=["mmap", "mprotect", "munmap"],
)
def test_mappings_cost_the_host_something_and_are_limited(
    run: Run, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork would double them; and pieces of a mapping are mappings."""
    monkeypatch.setattr("emu.vm.vm_map.MAX_ENTRIES", 2000)
    monkeypatch.setattr("emu.vm.vm_map.MAX_ALL_ENTRIES", 3000)
    source = f"""
        mov r12, 0x10000000
        mov r13, MAP_ANON + MAP_PRIVATE + MAP_FIXED
        SYSCALL7 SYS_mmap, r12, 0x40000000, 3, r13, -1, 0, 0
    again:
        add r12, 2*PAGE_SIZE
        {call}
        jnc again
        CHECK_ERRNO 1, ERRNO_ENOMEM
        SYSCALL SYS_fork
        CHECK_ERRNO 2, ERRNO_ENOMEM
        SYSCALL SYS_munmap, 0x10000000, 0x1000
        CHECK_OK 3
        DONE
    """
    assert run(source) == Outcome(0, "", [])


@pytest.mark.parametrize(
    "call",
    [
        "SYSCALL SYS_mkdir, path, 0700",
        "SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_EXCL, 0600",
        "SYSCALL SYS_symlink, path, path",
    ],
    ids=["mkdir", "open", "symlink"],
)
def test_names_fill_the_disk_too(run: Run, call: str) -> None:
    source = until_refused("inc dword ptr [path + 1]", "or dword ptr [path + 1], 0x40404040", call)
    outcome = run(source + '\npath: .ascii "x@@@@"\n.quad 0', "--disk", "256K")
    assert outcome == Outcome(28, "", [])  # ENOSPC


def test_a_guest_that_has_all_descriptors_of_the_host_can_still_run(
    scratch: Path, tmp_path: Path
) -> None:
    """Threads and time need descriptors of the host too, and so does the clean-up."""
    source = "SYSCALL SYS_kqueue\nmov r14, rax\n" + until_refused(
        "inc dword ptr [path + 1]",
        "or dword ptr [path + 1], 0x40404040",
        "SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_EXCL, 0600",
        then="""
        SYSCALL SYS_kevent, r14, change, 1, 0, 0, 0
        CHECK_ERRNO 3, ERRNO_EMFILE
        SYSCALL SYS_pipe
        SYSCALL SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, change
        SYSCALL SYS_lwp_create, parameters
        CHECK_OK 1
        SYSCALL SYS_nanosleep, moment, 0
        CHECK_OK 2
        SYSCALL SYS_stat, path, 0
        """,
    )
    source += """
    failed:
        SYSCALL SYS_exit, 99
        .balign 8
    change:
        .quad 0
        .short EVFILT_READ, EV_ADD | EV_CLEAR
        .long 0
        .quad 0, 0
    parameters: .quad thread, 0, 0x410000, 0, 0
    thread: jmp thread
    moment: .quad 0, 1000
    path: .ascii "x@@@@"
    .quad 0
    """
    done = subprocess.run(
        [sys.executable, "-m", "emu", "run", str(program_file(tmp_path, source))],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (24, b"")  # EMFILE


# Signals

BLOCK_ALL = "SYSCALL SYS_sigprocmask, SIG_SETMASK, all, 0\njmp spin\nall: .quad -1, -1\n"


def test_a_guest_that_blocks_all_signals_is_ended_by_the_timeout(run: Run) -> None:
    assert run(BLOCK_ALL + LOOP, "--timeout", "0.2") == TIMED_OUT


def test_a_guest_that_blocks_all_signals_is_ended_by_the_second_ctrl_c(start: Start) -> None:
    process = start(BLOCK_ALL)
    time.sleep(0.1)
    assert end(process, signal.SIGINT, times=2) == Outcome(130, "", [])


def with_handler(flags: str, body: str, mask: int = 0, signals: Sequence[str] = ("SEGV",)) -> str:
    install = "\n".join(f"SYSCALL SYS_sigaction, SIG{name}, action, 0" for name in signals)
    return f"""
        {install}
        jmp begin
        .balign 8
    action:
        .quad handler
        .long {flags}
        .quad {mask}, 0
    begin:
        {body}
    """


FAULT = "fault: mov [0], rax"


def test_a_handler_that_faults_uses_up_its_stack(run: Run) -> None:
    small_stack = """
        SYSCALL7 SYS_mmap, 0x20000000, 0x10000, 3, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
        mov rsp, 0x20010000
    """
    outcome = run(with_handler("SA_NODEFER", f"{small_stack} handler: {FAULT}"))
    assert (outcome.status, outcome.stdout, len(outcome.stderr)) == (132, "", 1)
    assert "no room on the stack for signal 11" in outcome.stderr[0]


def test_a_handler_that_faults_in_itself_does_so_until_it_is_ended(run: Run) -> None:
    """The signal is masked, so the instruction faults for ever, as in the original."""
    source = with_handler("0", f"handler: {FAULT}")
    assert run(source, "--timeout", "0.2") == TIMED_OUT


@pytest.mark.parametrize("stack", ["0", "8", "0x7fffffffffff0000", "-1", "0x400010000000"])
def test_a_handler_needs_a_stack(run: Run, stack: str) -> None:
    source = with_handler(
        "0",
        f"SYSCALL SYS_getpid\nmov r12, rax\nmov rsp, {stack}\nSYSCALL SYS_kill, r12, SIGUSR1\n"
        "handler: SYSCALL SYS_exit, 1",
        signals=["USR1"],
    )
    outcome = run(source)
    assert (outcome.status, len(outcome.stderr)) == (132, 1)
    assert "no room on the stack for signal 30" in outcome.stderr[0]


def test_a_group_that_stops_itself_is_ended_by_the_timeout(run: Run) -> None:
    source = "SYSCALL SYS_fork\nSYSCALL SYS_kill, 0, SIGSTOP\n"
    assert run(source + LOOP, "--timeout", "0.2") == TIMED_OUT


def test_a_group_that_stops_itself_is_ended_by_the_second_ctrl_c(start: Start) -> None:
    process = start("SYSCALL SYS_fork\nSYSCALL SYS_kill, 0, SIGSTOP\n")
    time.sleep(0.2)
    assert end(process, signal.SIGINT, times=2) == Outcome(130, "", [])


# Ends

LEAVE_EVERYTHING = """
    SYSCALL SYS_vmspace_create, 1
    SYSCALL SYS_fork
    test rax, rax
    jz sleeper
    SYSCALL SYS_fork
    test rax, rax
    jz stopped
    SYSCALL SYS_fork
    test rax, rax
    jz threads
    SYSCALL SYS_vfork
    test rax, rax
    jz zombie
    SYSCALL SYS_nanosleep, moment, 0
    SYSCALL SYS_vmspace_create, 2
    SYSCALL SYS_exit, 7
sleeper:
    SYSCALL SYS_sigsuspend, none
    jmp sleeper
stopped:
    SYSCALL SYS_getpid
    mov r12, rax
    SYSCALL SYS_kill, r12, SIGSTOP
    jmp stopped
zombie:
    SYSCALL SYS_exit, 3
threads:
    mov r15d, 20
more:
    SYSCALL SYS_lwp_create, parameters
    dec r15d
    jnz more
thread:
    SYSCALL SYS_umtx_sleep, futex, 0, 0
    jmp thread
    .balign 8
parameters:
    .quad thread, 0, 0x410000, 0, 0
moment:
    .quad 0, 3000000
none:
    .quad 0, 0
futex:
    .quad 0
"""


@pytest.mark.parametrize("clock", ["host", "virtual"])
def test_the_first_process_may_end_before_all_others(run: Run, clock: str) -> None:
    assert run(LEAVE_EVERYTHING, "--clock", clock) == Outcome(7, "", [])


@pytest.mark.parametrize("clock", ["host", "virtual"])
def test_a_thousand_threads_may_sleep_when_the_end_comes(run: Run, clock: str) -> None:
    source = """
        mov r15d, 1000
    more:
        SYSCALL SYS_lwp_create, parameters
        CHECK_OK 1
        dec r15d
        jnz more
    wait:
        SYSCALL SYS_sched_yield
        cmp dword ptr [arrived], 1000
        jb wait
        DONE
    thread:
        inc dword ptr [arrived]
    sleep:
        SYSCALL SYS_umtx_sleep, futex, 0, 0
        jmp sleep
    parameters: .quad thread, 0, 0x410000, 0, 0
        .balign 8
    futex: .quad 0
    arrived: .quad 0
    """
    assert run(source, "--clock", clock) == Outcome(0, "", [])


SLEEPS = {
    "umtx": "SYSCALL SYS_umtx_sleep, futex, 0, 0",
    "signal": "SYSCALL SYS_sigsuspend, futex",
    "time": "SYSCALL SYS_nanosleep, far, 0",
    "wait": "SYSCALL SYS_fork\nSYSCALL SYS_wait4, -1, 0, 0, 0\nSYSCALL SYS_sigsuspend, futex",
    "input": "SYSCALL SYS_read, 0, futex, 1",
}
WORDS = "\n.balign 8\nfutex: .quad 0, 0\nfar: .quad 0x7fffffffffffffff, 999999999\n"


@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_sleep_that_nobody_ends_is_ended_by_ctrl_c(start: Start, sleep: str) -> None:
    process = start(f"{SLEEPS[sleep]}\njmp spin\n{WORDS}")
    time.sleep(0.1)
    assert end(process, signal.SIGINT) == Outcome(130, "", [])


@pytest.mark.parametrize("sleep", ["umtx", "signal", "time", "wait"])
def test_a_sleep_that_nobody_ends_is_ended_by_the_timeout(run: Run, sleep: str) -> None:
    assert run(f"{SLEEPS[sleep]}\n{LOOP}\n{WORDS}", "--timeout", "0.2") == TIMED_OUT


def test_virtual_time_may_pass_beyond_what_its_numbers_hold(run: Run) -> None:
    """Two sleeps of 2^63 seconds each; nobody can say what time it is, but nothing breaks."""
    source = """
        SYSCALL SYS_nanosleep, far, 0
        CHECK_OK 1
        SYSCALL SYS_nanosleep, far, 0
        CHECK_OK 2
        SYSCALL SYS_clock_gettime, CLOCK_REALTIME, now
        CHECK_OK 3
        SYSCALL SYS_gettimeofday, now, 0
        CHECK_OK 4
        SYSCALL SYS_getrusage, 0, usage
        CHECK_OK 5
        SYSCALL SYS_sigtimedwait, none, 0, far
        CHECK_ERRNO 6, ERRNO_EAGAIN
        rdtsc
        SYSCALL SYS_umtx_sleep, none, 0, 0x7fffffff
        CHECK_ERRNO 7, ERRNO_EAGAIN
        DONE
        .balign 8
    far: .quad 0x7fffffffffffffff, 999999999
    none: .quad 0, 0
    now: .quad 0, 0
    usage: .zero 144
    """
    assert run(source, "--clock", "virtual") == Outcome(0, "", [])


# Programs

# Executes itself, the file /program of its tree, with GROWTH arguments more each time.
EXECUTE_ITSELF = """
    mov rcx, [rdi]
    add rcx, GROWTH
    lea rax, [rip + long]
    push 0
argument:
    push rax
    dec rcx
    jnz argument
    mov rsi, rsp
    lea rdi, [rip + path]
    xor edx, edx
    mov eax, SYS_execve
    syscall
    mov edi, eax
    mov eax, SYS_exit
    syscall
path:
    .asciz "/program"
long:
    .fill 10000, 1, 0x61
    .byte 0
"""


@pytest.fixture
def execute_itself(run: Run, tmp_path: Path) -> Run:
    def execute(growth: int, *options: str) -> Outcome:
        program = elf(assembled(f"GROWTH = {growth}\n{EXECUTE_ITSELF}"))
        root = tmp_path / "root"
        root.mkdir()
        (root / "program").write_bytes(program)
        (root / "program").chmod(0o755)
        return run(program, "--root", root, *options)

    return execute


def test_a_program_that_executes_itself_for_ever_is_ended(execute_itself: Run) -> None:
    assert execute_itself(0, "--timeout", "0.2") == TIMED_OUT


def test_arguments_may_not_grow_for_ever(execute_itself: Run) -> None:
    assert execute_itself(1) == Outcome(7, "", [])  # E2BIG


# The host's side of the standard streams

SAY_AND_EXIT = """
    PRINT hello
    mov rbx, rax
    SYSCALL SYS_exit, rbx
hello:
    .asciz "hello"
"""
DIE = "ud2"


def with_streams(program: Path, redirection: str, *options: str) -> "subprocess.CompletedProcess":
    command = [sys.executable, "-m", "emu", "run", *options, str(program)]
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *command],
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "errno"),
    [(">/dev/full", 28), (">&-", 9), ("<&-", 5), (">&- <&- 2>&-", 9)],  # 5: bytes written
)
def test_output_that_fails_is_the_guests_business(
    scratch: Path, tmp_path: Path, redirection: str, errno: int
) -> None:
    done = with_streams(program_file(tmp_path, SAY_AND_EXIT), redirection)
    assert (done.returncode, done.stderr) == (errno, b"")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&- 2>&- >&-"])
def test_the_status_is_right_even_if_nobody_can_be_told_why(
    scratch: Path, tmp_path: Path, redirection: str
) -> None:
    assert with_streams(program_file(tmp_path, DIE), redirection).returncode == 132


def test_a_closed_stream_does_not_become_a_file_of_ours(scratch: Path, tmp_path: Path) -> None:
    """Descriptors that the host opens for itself must not be what the guest finds at 0."""
    source = """
        SYSCALL SYS_write, 0, 0x400000, 4
        CHECK_ERRNO 1, ERRNO_EBADF
        DONE
    """
    trace = tmp_path / "trace"
    done = with_streams(
        program_file(tmp_path, source), "<&-", "--trace=syscalls", "--trace-file", str(trace)
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert trace.read_text().startswith("write(0, ")
