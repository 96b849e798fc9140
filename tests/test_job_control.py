"""Controlling terminals, foreground and background, on real pseudo-terminals (tty.c)."""

import os
import pty
import select
import termios
from collections.abc import Callable, Iterator

import pytest
from conftest import LOAD_ADDRESS, Booted, call, finish

from emu.abi.errno import Errno
from emu.abi.fcntl import Open
from emu.abi.ioctl import Ioctl
from emu.abi.signal import Signal
from emu.abi.unistd import Rfork
from emu.kern.exit import exit1
from emu.kern.file import File, Stream
from emu.kern.fork import fork1
from emu.kern.proc import Lwp
from emu.kern.sigacts import bit

Boot = Callable[..., Booted]

AT = LOAD_ADDRESS + 0x5000
PATH = LOAD_ADDRESS + 0x5100
FORK = Rfork.PROC | Rfork.FDG


@pytest.fixture
def person() -> Iterator[int]:
    """A person's end of the terminal that `on_terminal` gives to a program."""
    ends = pty.openpty()
    _slave.append(ends[1])
    yield ends[0]
    _slave.clear()
    for end in ends:
        os.close(end)


_slave: list[int] = []


def on_terminal(machine: Booted) -> Booted:
    """Put the terminal on descriptor 0."""
    machine.lwp.proc.files.add(File(Stream(_slave[0]), Open.RDWR))
    return machine


def ioctl(lwp: Lwp, com: int, value: int = 0) -> int | Errno:
    """Make the call with an int parameter; return what is in it afterwards."""
    space = lwp.proc.vmspace
    space.copyout(AT, value.to_bytes(4, "little"))
    result = call(lwp, "ioctl", 0, com, AT)
    return result or int.from_bytes(space.copyin(AT, 4), "little")


def test_a_session_leader_takes_a_controlling_terminal(boot: Boot, person: int) -> None:
    lwp = on_terminal(boot()).lwp
    assert ioctl(lwp, Ioctl.TIOCGPGRP) is Errno.ENOTTY
    assert ioctl(lwp, Ioctl.TIOCGSID) is Errno.ENOTTY
    assert ioctl(lwp, Ioctl.TIOCSPGRP, 100) is Errno.ENOTTY
    assert ioctl(lwp, Ioctl.TIOCSCTTY) == 0
    assert ioctl(lwp, Ioctl.TIOCGPGRP) == 100
    assert ioctl(lwp, Ioctl.TIOCGSID) == 100
    assert ioctl(lwp, Ioctl.TIOCSCTTY) == 0  # again


def test_a_session_has_one_terminal(boot: Boot, person: int) -> None:
    lwp = on_terminal(boot()).lwp
    assert ioctl(lwp, Ioctl.TIOCSCTTY) == 0
    other = pty.openpty()
    lwp.proc.files.close(0)
    lwp.proc.files.add(File(Stream(other[1]), Open.RDWR))
    assert ioctl(lwp, Ioctl.TIOCSCTTY) is Errno.EPERM
    for end in other:
        os.close(end)


@pytest.mark.parametrize(
    ("group", "result"),
    [(0, Errno.EINVAL), (100_000, Errno.EINVAL), (77, Errno.EPERM), (100, 100)],
)
def test_the_foreground_is_a_group_of_the_session(
    boot: Boot, person: int, group: int, result: int | Errno
) -> None:
    lwp = on_terminal(boot()).lwp
    ioctl(lwp, Ioctl.TIOCSCTTY)
    assert ioctl(lwp, Ioctl.TIOCSPGRP, group) == result


def test_a_leader_cannot_do_without_its_terminal(boot: Boot, person: int) -> None:
    lwp = on_terminal(boot()).lwp
    assert ioctl(lwp, Ioctl.TIOCNOTTY) is Errno.ENOTTY
    ioctl(lwp, Ioctl.TIOCSCTTY)
    assert ioctl(lwp, Ioctl.TIOCNOTTY) is Errno.EINVAL


def test_a_new_session_has_no_terminal(boot: Boot, person: int) -> None:
    """And its leader may not take one that belongs to another."""
    machine = on_terminal(
        boot(
            """
        SYSCALL SYS_ioctl, 0, 0x20007461
        CHECK_OK 1
        SYSCALL SYS_fork
        test eax, eax
        jz child
        SYSCALL SYS_wait4, -1, offset status, 0
        movzx ebx, byte ptr [rip + status + 1]
        SYSCALL SYS_exit, rbx
child:  SYSCALL SYS_setsid
        CHECK_OK 2
        SYSCALL SYS_ioctl, 0, 0x40047477, offset status
        CHECK_ERRNO 3, ERRNO_ENOTTY
        SYSCALL SYS_ioctl, 0, 0x20007461
        CHECK_ERRNO 4, ERRNO_EPERM
        SYSCALL SYS_open, offset tty, 2
        CHECK_ERRNO 5, ERRNO_ENXIO
        DONE
status: .quad 0
tty:    .asciz "/dev/tty"
        """
        )
    )
    assert machine.run() == 0


def test_the_terminal_of_a_session_is_free_when_its_leader_has_ended(
    boot: Boot, person: int
) -> None:
    """The leader's foreground group is hung up; members have no terminal any more."""
    lwp = on_terminal(boot()).lwp
    leader = finish(fork1(lwp, FORK)).lwps[0]
    call(leader, "setsid")
    member = finish(fork1(leader, FORK)).lwps[0]
    assert ioctl(leader, Ioctl.TIOCSCTTY) == 0
    assert ioctl(lwp, Ioctl.TIOCSCTTY) is Errno.EPERM
    exit1(leader.proc)
    assert member.pending == bit(Signal.HUP)
    assert ioctl(member, Ioctl.TIOCGPGRP) is Errno.ENOTTY
    assert ioctl(lwp, Ioctl.TIOCSCTTY) == 0


def test_the_name_of_the_controlling_terminal_is_dev_tty(boot: Boot, person: int) -> None:
    lwp = on_terminal(boot()).lwp
    lwp.proc.vmspace.copyout(PATH, b"/dev/tty\0")
    assert call(lwp, "open", PATH, Open.RDWR) is Errno.ENXIO
    ioctl(lwp, Ioctl.TIOCSCTTY)
    assert call(lwp, "open", PATH, Open.RDWR) == 1
    assert call(lwp, "write", 1, PATH, 8) == 8
    assert os.read(person, 100) == b"/dev/tty"
    assert call(lwp, "close", 0) == 0
    assert ioctl(lwp, Ioctl.TIOCGSID) is Errno.EBADF
    lwp.proc.files.dup2(1, 0)
    assert ioctl(lwp, Ioctl.TIOCGSID) == 100


# The parent puts its child into a group of its own, and waits until that has stopped.
BACKGROUND = """
        SYSCALL SYS_ioctl, 0, 0x20007461
        CHECK_OK 1
        {before}
        SYSCALL SYS_fork
        test eax, eax
        jz child
        mov r12, rax
        SYSCALL SYS_wait4, r12, offset status, 2
        {parent}
        SYSCALL SYS_wait4, r12, offset status, 0
        movzx ebx, byte ptr [rip + status + 1]
        SYSCALL SYS_exit, rbx
child:  SYSCALL SYS_setpgid, 0, 0
        {child}
        DONE
to_foreground:
        cmp dword ptr [rip + status], {stopped:#x}
        mov ebx, 90
        jne failed
        mov [rip + group], r12
        SYSCALL SYS_ioctl, 0, 0x80047476, offset group
        CHECK_OK 91
        SYSCALL SYS_kill, r12, 19
        CHECK_OK 92
        ret
status: .quad 0
group:  .quad 0
buffer: .quad 0, 0
ignore: .quad 1, 0, 0, 0
"""


def background(child: str, *, stopped: int = 0, before: str = "", parent: str = "") -> str:
    parent = parent or "call to_foreground"
    return BACKGROUND.format(child=child, stopped=stopped, before=before, parent=parent)


def test_a_read_from_the_background_stops_until_the_foreground(boot: Boot, person: int) -> None:
    machine = on_terminal(
        boot(
            background(
                """
        SYSCALL SYS_read, 0, offset buffer, 16
        mov ebx, 10
        cmp eax, 3
        jne failed
        """,
                stopped=0x157F,
            )
        )
    )
    os.write(person, b"ab\n")
    assert machine.run() == 0


@pytest.mark.parametrize(
    "before",
    [
        "SYSCALL SYS_sigaction, 21, offset ignore, 0",
        "mov qword ptr [rip + group], 0x100000\nSYSCALL SYS_sigprocmask, 1, offset group, 0",
    ],
    ids=["ignored", "masked"],
)
def test_a_read_from_the_background_that_cannot_stop_fails(
    boot: Boot, person: int, before: str
) -> None:
    machine = on_terminal(
        boot(
            background(
                """
        SYSCALL SYS_read, 0, offset buffer, 16
        CHECK_ERRNO 10, ERRNO_EIO
        """,
                before=before,
                parent="""
        movzx ebx, byte ptr [rip + status + 1]
        SYSCALL SYS_exit, rbx
        """,
            )
        )
    )
    assert machine.run() == 0


def test_nobody_could_continue_an_orphan(boot: Boot, person: int) -> None:
    """The first process itself, once it has put an empty group of its own to the fore."""
    machine = on_terminal(
        boot(
            """
        SYSCALL SYS_ioctl, 0, 0x20007461
        SYSCALL SYS_fork
        test eax, eax
        jz child
        mov [rip + group], rax
        SYSCALL SYS_setpgid, rax, rax
        SYSCALL SYS_ioctl, 0, 0x80047476, offset group
        CHECK_OK 1
        SYSCALL SYS_read, 0, offset group, 1
        CHECK_ERRNO 2, ERRNO_EIO
        SYSCALL SYS_ioctl, 0, 0x80047476, offset group
        CHECK_ERRNO 3, ERRNO_EIO
        DONE
child:  SYSCALL SYS_sigsuspend, offset none
none:   .quad 0, 0
group:  .quad 0
        """
        )
    )
    assert machine.run() == 0


def test_a_write_from_the_background_goes_through(boot: Boot, person: int) -> None:
    machine = on_terminal(
        boot(
            background(
                """
        SYSCALL SYS_write, 0, offset buffer, 3
        CHECK_OK 10
        """,
                parent="""
        movzx ebx, byte ptr [rip + status + 1]
        SYSCALL SYS_exit, rbx
        """,
            )
        )
    )
    assert machine.run() == 0
    assert os.read(person, 100) == bytes(3)


def test_with_tostop_it_stops_until_the_foreground(boot: Boot, person: int) -> None:
    settings = termios.tcgetattr(_slave[0])
    settings[3] |= termios.TOSTOP
    termios.tcsetattr(_slave[0], termios.TCSANOW, settings)
    machine = on_terminal(
        boot(
            background(
                """
        SYSCALL SYS_write, 0, offset buffer, 3
        CHECK_OK 10
        """,
                stopped=0x167F,
            )
        )
    )
    assert machine.run() == 0
    assert os.read(person, 100) == bytes(3)


def test_changing_the_terminal_from_the_background_stops_without_tostop(
    boot: Boot, person: int
) -> None:
    machine = on_terminal(
        boot(
            background(
                """
        SYSCALL SYS_ioctl, 0, 0x80047410, offset group
        CHECK_OK 10
        """,
                stopped=0x167F,
            )
        )
    )
    assert machine.run() == 0


# Reading, and waiting for it


def raw(minimum: int, tenths: int) -> None:
    settings = termios.tcgetattr(_slave[0])
    settings[3] &= ~(termios.ICANON | termios.ECHO)
    settings[6][termios.VMIN], settings[6][termios.VTIME] = minimum, tenths
    termios.tcsetattr(_slave[0], termios.TCSANOW, settings)


READ_16 = """
        SYSCALL SYS_read, 0, offset buffer, 16
        SYSCALL SYS_exit, rax
buffer: .quad 0, 0
"""


def typed(person: int, text: bytes) -> None:
    os.write(person, text)
    assert select.select([_slave[0]], [], [], 10)[0]


def test_a_line_is_read_as_a_whole_and_no_further(boot: Boot, person: int) -> None:
    machine = on_terminal(boot(READ_16))
    typed(person, b"one\ntwo\n")
    assert machine.run() == 4


@pytest.mark.parametrize("tenths", [0, 3])
def test_with_vmin_0_a_read_ends_with_nothing(boot: Boot, person: int, tenths: int) -> None:
    """At once, or after VTIME, which passes in virtual time."""
    raw(0, tenths)
    machine = on_terminal(boot(READ_16))
    assert machine.run() == 0
    waited = machine.lwp.proc.kernel.clock.monotonic_ns()
    assert tenths * 100_000_000 <= waited < tenths * 100_000_000 + 1_000_000


def test_with_vmin_0_a_read_takes_what_is_there(boot: Boot, person: int) -> None:
    raw(0, 0)
    machine = on_terminal(boot(READ_16))
    typed(person, b"abc")
    assert machine.run() == 3


def test_a_read_that_must_not_wait_does_not(boot: Boot, person: int) -> None:
    lwp = on_terminal(boot()).lwp
    call(lwp, "fcntl", 0, 4, Open.NONBLOCK)
    assert call(lwp, "read", 0, AT, 16) is Errno.EAGAIN


def test_settings_that_wait_for_the_output_do_so_asleep(boot: Boot, person: int) -> None:
    """TIOCSETAW on a terminal that is stopped; the host's own call would block the machine."""
    lwp = on_terminal(boot()).lwp
    assert call(lwp, "ioctl", 0, Ioctl.TIOCGETA, AT) == 0
    assert call(lwp, "ioctl", 0, Ioctl.TIOCSTOP, AT) == 0
    assert call(lwp, "ioctl", 0, Ioctl.TIOCDRAIN, AT) == 0
    assert call(lwp, "ioctl", 0, Ioctl.TIOCSETAW, AT) == 0
    assert call(lwp, "ioctl", 0, Ioctl.TIOCSTART, AT) == 0
