"""A person at a terminal: the keys that send signals, and a terminal that always comes back.

Each test runs the command on a real pseudo-terminal of its own, as a job of a small shell.
"""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

# Starts its arguments as a job in the foreground, says STOPPED when it stops and continues it
# when it reads a line, and says what became of it.
SHELL = """
import os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(number, lambda *_: None)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    for number in (signal.SIGTTOU, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", "emu", "run", *sys.argv[1:]])
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpid())
    if not os.WIFSTOPPED(status):
        break
    echo = "echo" if termios.tcgetattr(0)[3] & termios.ECHO else "no echo"
    print(f"STOPPED by {os.WSTOPSIG(status)}, {echo}", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
    print("CONTINUED", flush=True)
code = os.waitstatus_to_exitcode(status)
print(f"ENDED with {code}", flush=True)
"""

PATIENCE = 30  # seconds that nothing takes, on the slowest machine

CTRL_C, CTRL_Z, CTRL_BACKSLASH = b"\x03", b"\x1a", b"\x1c"


class Terminal:
    """A shell on a pseudo-terminal with a job, and the person in front of it."""

    def __init__(self, *args: str | Path) -> None:
        self.person, self.program = pty.openpty()
        self.before = termios.tcgetattr(self.program)
        self.seen = ""
        self.shell = subprocess.Popen(
            [sys.executable, "-c", SHELL, *map(str, args)],
            stdin=self.program,
            stdout=self.program,
            stderr=self.program,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def until(self, text: str) -> str:
        """Read what is printed up to `text`; return all that came before it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self.person], [], [], deadline - time.monotonic())
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.person, 4096).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def look(self) -> None:
        """Read what has been printed by now."""
        while select.select([self.person], [], [], 0)[0]:
            self.seen += os.read(self.person, 4096).decode()

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def ends(self) -> tuple[int, str]:
        """Wait for the end of the job; return its status, and what was printed last."""
        said = self.until("ENDED with ")
        status = int(self.until("\r\n"))
        assert self.shell.wait(PATIENCE) == 0
        return status, said

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.program, (rows, columns))

    @property
    def given_back(self) -> bool:
        return termios.tcgetattr(self.program) == self.before

    def close(self) -> None:
        if self.shell.poll() is None:
            os.killpg(os.tcgetpgrp(self.person), signal.SIGKILL)
            self.shell.kill()
            self.shell.wait(PATIENCE)
        os.close(self.person)
        os.close(self.program)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Run an assembled program, with options, and wait until it has said `ready`."""
    made: list[Terminal] = []

    def run(source: str, *options: str) -> Terminal:
        path = tmp_path / "program.s"
        path.write_text(PROGRAM.format(source=source))
        made.append(Terminal(*options, path))
        made[-1].until("ready")
        return made[-1]

    yield run
    for each in made:
        each.close()


PROGRAM = """
.include "vkemu.inc"
.macro SAY text, length
        SYSCALL SYS_write, 1, offset \\text, \\length
.endm
# Take echo and line editing from the terminal, but leave the signals.
.macro CBREAK
        SYSCALL SYS_ioctl, 0, 0x402c7413, offset settings
        and dword ptr [rip + settings + 12], 0xfffffef7
        SYSCALL SYS_ioctl, 0, 0x802c7414, offset settings
.endm
.macro CATCH signal, action
        SYSCALL SYS_sigaction, \\signal, offset \\action, 0
.endm
        {source}
loop:   jmp loop
wait:   SYSCALL SYS_read, 0, offset buffer, 16
        jmp wait
exit_0: SYSCALL SYS_exit, 0
handler:
        mov r12, rdx
        SAY caught, 6
        SYSCALL SYS_sigreturn, r12
action: .quad handler, 2, 0, 0
ignore: .quad 1, 0, 0, 0
all:    .quad -1, -1
ready:  .ascii "ready"
caught: .ascii "caught"
buffer: .quad 0, 0
settings: .space 48
"""

# Ctrl-C and its like


@pytest.mark.parametrize("then", ["loop", "wait"])
@pytest.mark.parametrize(
    ("key", "status", "lines"), [(CTRL_C, 130, 0), (CTRL_BACKSLASH, 131, 1)], ids=["C", "quit"]
)
def test_keys_end_a_guest_without_handlers(
    start: Start, key: bytes, status: int, lines: int, then: str
) -> None:
    terminal = start(f"SAY ready, 5\njmp {then}")
    terminal.type(key)
    ended, said = terminal.ends()
    assert ended == status
    assert said.count("vkemu: ") == lines
    assert "Traceback" not in said and "Aborted" not in said


def test_a_handler_gets_ctrl_c_and_the_guest_goes_on(start: Start) -> None:
    terminal = start("CATCH 2, action\nSAY ready, 5\njmp loop")
    for _ in range(4):
        terminal.type(CTRL_C)
        terminal.until("caught")
    terminal.type(CTRL_BACKSLASH)
    assert terminal.ends()[0] == 131


def test_a_guest_that_blocks_everything_is_ended_by_the_second_ctrl_c(start: Start) -> None:
    terminal = start("SYSCALL SYS_sigprocmask, 3, offset all, 0\nSAY ready, 5\njmp loop")
    terminal.type(CTRL_C)
    terminal.until("^C")
    time.sleep(0.5)  # a person is no faster; what comes at once counts as one
    terminal.type(CTRL_C)
    assert terminal.ends()[0] == 130


def test_a_guest_that_ignores_ctrl_c_is_ended_by_the_third_within_a_second(start: Start) -> None:
    terminal = start("CATCH 2, ignore\nSAY ready, 5\njmp loop")
    while "ENDED" not in terminal.seen:  # a busy host may make one signal of two, or take a second
        terminal.type(CTRL_C)
        time.sleep(0.1)
        terminal.look()
    assert terminal.ends()[0] == 130


def test_many_interrupts_are_130_like_one(start: Start) -> None:
    """Whatever they hit on the way out."""
    terminal = start("SAY ready, 5\njmp loop")
    job = os.tcgetpgrp(terminal.person)
    while not select.select([terminal.person], [], [], 0.002)[0]:
        with suppress(ProcessLookupError):
            os.kill(job, signal.SIGINT)
    assert terminal.ends() == (130, "")


def test_sigterm_is_the_guests(start: Start) -> None:
    terminal = start("CBREAK\nCATCH 15, action\nSAY ready, 5\njmp loop")
    job = os.tcgetpgrp(terminal.person)
    os.kill(job, signal.SIGTERM)
    terminal.until("caught")
    os.kill(job, signal.SIGHUP)
    assert terminal.ends()[0] == 129
    assert terminal.given_back


def test_a_new_size_of_the_window_reaches_the_guest(start: Start) -> None:
    terminal = start(
        """
        CATCH 28, winch
        SAY ready, 5
        jmp wait
size:   SYSCALL SYS_ioctl, 0, 0x40087468, offset buffer
        movzx ebx, word ptr [rip + buffer + 2]
        SYSCALL SYS_exit, rbx
winch:  .quad size, 2, 0, 0
        """
    )
    terminal.resize(33, 77)
    assert terminal.ends()[0] == 77


# Ctrl-Z


def test_ctrl_z_stops_a_plain_guest_and_fg_continues_it(start: Start) -> None:
    terminal = start("SAY ready, 5\njmp loop")
    terminal.type(CTRL_Z)
    terminal.until(f"STOPPED by {signal.SIGTSTP.value}, echo\r\n")
    terminal.type(b"\n")
    terminal.until("CONTINUED")
    terminal.type(CTRL_C)
    assert terminal.ends()[0] == 130


@pytest.mark.parametrize("then", ["loop", "wait"])
def test_the_terminal_is_the_shells_while_the_guest_is_stopped(start: Start, then: str) -> None:
    terminal = start(f"CBREAK\nCATCH 19, action\nSAY ready, 5\njmp {then}")
    assert not terminal.given_back
    terminal.type(CTRL_Z)
    terminal.until(f"STOPPED by {signal.SIGTSTP.value}, echo\r\n")
    assert terminal.given_back
    terminal.type(b"\n")
    terminal.until("caught")  # SIGCONT
    assert not terminal.given_back
    terminal.type(CTRL_C)
    assert terminal.ends()[0] == 130
    assert terminal.given_back


def test_a_guest_may_catch_ctrl_z_and_then_stop_itself(start: Start) -> None:
    """What editors do: put the terminal right, stop with the default action, go on."""
    terminal = start(
        """
        CATCH 18, stop
        SAY ready, 5
        jmp loop
on_stop:
        SAY caught, 6
        CATCH 18, default
        SYSCALL SYS_sigprocmask, 3, offset none, 0
        SYSCALL SYS_kill, 100, 18
        SAY again, 5
        SYSCALL SYS_exit, 7
stop:   .quad on_stop, 2, 0, 0
default: .quad 0, 0, 0, 0
none:   .quad 0, 0
again:  .ascii "again"
        """
    )
    terminal.type(CTRL_Z)
    terminal.until("caught")
    terminal.until("STOPPED by")
    terminal.type(b"\n")
    terminal.until("again")
    assert terminal.ends()[0] == 7


# The terminal comes back


@pytest.mark.parametrize(
    ("source", "options", "keys", "status"),
    [
        ("jmp exit_0", (), b"", 0),
        ("ud2", (), b"", 132),
        ("jmp loop", (), CTRL_C, 130),
        ("jmp loop", (), CTRL_BACKSLASH, 131),
        ("jmp wait", ("--timeout", "2"), b"", 124),
        ("jmp loop", ("--timeout", "2"), b"", 124),
    ],
    ids=["exit", "killed", "interrupt", "quit", "timeout asleep", "timeout running"],
)
def test_the_terminal_comes_back(
    start: Start, source: str, options: tuple[str, ...], keys: bytes, status: int
) -> None:
    terminal = start(f"CBREAK\nSAY ready, 5\n{source}", *options)
    terminal.type(keys)
    assert terminal.ends()[0] == status
    assert terminal.given_back


# A terminal that takes no more


@pytest.mark.parametrize(
    ("options", "status"), [((), 130), (("--timeout", "2"), 124)], ids=["interrupt", "timeout"]
)
def test_a_guest_that_writes_to_a_stopped_terminal_can_be_ended(
    start: Start, options: tuple[str, ...], status: int
) -> None:
    terminal = start(
        """
        SAY ready, 5
        SYSCALL SYS_ioctl, 1, 0x2000746f
more:   SAY caught, 6
        jmp more
        """,
        *options,
    )
    if not options:
        terminal.type(CTRL_C)
    assert terminal.ends()[0] == status
