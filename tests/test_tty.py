"""Terminals: settings in the guest's format, and given back at the end."""

import fcntl
import os
import pty
import select
import termios
from collections.abc import Iterator
from ctypes import sizeof
from typing import Any

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode, Open
from emu.abi.ioctl import CC_DISABLED, Cc, Cflag, Iflag, Ioctl, Lflag, Oflag
from emu.abi.structs import Termios, Winsize
from emu.kern.file import File, Stream
from emu.kern.tty import Tty, guest_termios, host_termios


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal: the person's, and the program's."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


@pytest.fixture
def terminal(ends: tuple[int, int]) -> File:
    return File(Stream(ends[1]), Open.RDWR)


def settings(terminal: File) -> Termios:
    data = bytearray(sizeof(Termios))
    terminal.ioctl(Ioctl.TIOCGETA, data)
    return Termios.from_buffer_copy(data)


def refusal(file: File, com: int, size: int) -> Errno:
    with pytest.raises(KernelError) as caught:
        file.ioctl(com, bytearray(size))
    return caught.value.errno


def test_the_settings_have_the_guests_bits(terminal: File) -> None:
    now = settings(terminal)
    assert now.c_lflag & (Lflag.ECHO | Lflag.ICANON | Lflag.ISIG) == 0x188
    assert now.c_iflag & Iflag.ICRNL
    assert now.c_oflag & (Oflag.OPOST | Oflag.ONLCR) == 3
    assert now.c_cflag & (0x300 | Cflag.CREAD) == 0xB00  # CS8
    assert (now.c_cc[Cc.VINTR], now.c_cc[Cc.VEOF]) == (3, 4)
    assert now.c_cc[Cc.VEOL] == now.c_cc[Cc.VSTATUS] == CC_DISABLED
    assert now.c_ispeed == now.c_ospeed == 38400


@pytest.mark.parametrize("com", [Ioctl.TIOCSETA, Ioctl.TIOCSETAW, Ioctl.TIOCSETAF])
def test_raw_mode_reaches_the_host_and_is_taken_back(
    terminal: File, ends: tuple[int, int], com: int
) -> None:
    before = termios.tcgetattr(ends[1])
    wanted = settings(terminal)
    wanted.c_lflag &= ~(Lflag.ECHO | Lflag.ICANON | Lflag.ISIG)
    wanted.c_cc[Cc.VMIN], wanted.c_cc[Cc.VTIME] = 1, 0
    wanted.c_cc[Cc.VINTR] = CC_DISABLED
    terminal.ioctl(com, bytearray(bytes(wanted)))

    raw = termios.tcgetattr(ends[1])
    assert not raw[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert raw[6][termios.VMIN] in (1, b"\1")
    assert raw[6][termios.VINTR] == bytes([os.fpathconf(ends[1], "PC_VDISABLE")])
    assert bytes(settings(terminal)) == bytes(wanted)

    terminal.drop()
    assert termios.tcgetattr(ends[1]) == before


def test_what_only_the_host_knows_is_left_alone(ends: tuple[int, int]) -> None:
    host: list[Any] = termios.tcgetattr(ends[1])
    host[2] |= 1 << 30
    guest = guest_termios(host, disabled=0)
    assert host_termios(guest, host, disabled=0) == host


def test_the_window_has_a_size(terminal: File, ends: tuple[int, int]) -> None:
    termios.tcsetwinsize(ends[1], (24, 80))
    data = bytearray(sizeof(Winsize))
    terminal.ioctl(Ioctl.TIOCGWINSZ, data)
    size = Winsize.from_buffer_copy(data)
    assert (size.ws_row, size.ws_col) == (24, 80)


def test_input_is_counted_and_a_terminal_is_a_character_device(
    terminal: File, ends: tuple[int, int]
) -> None:
    os.write(ends[0], b"abc\n")
    select.select([ends[1]], [], [], 10)  # the host's line discipline takes its time
    data = bytearray(4)
    terminal.ioctl(Ioctl.FIONREAD, data)
    assert int.from_bytes(data, "little") == 4
    assert terminal.node.stat().st_mode & Mode.FMT == Mode.CHR


def test_flags_of_the_open_file_are_set_by_ioctl(terminal: File) -> None:
    terminal.ioctl(Ioctl.FIONBIO, bytearray(b"\1\0\0\0"))
    terminal.ioctl(Ioctl.FIOASYNC, bytearray(b"\1\0\0\0"))
    assert terminal.flags == Open.RDWR | Open.NONBLOCK | Open.ASYNC
    terminal.ioctl(Ioctl.FIONBIO, bytearray(4))
    assert terminal.flags == Open.RDWR | Open.ASYNC


def test_an_unknown_request_is_none_of_a_terminals(terminal: File) -> None:
    assert refusal(terminal, 0x2000_7455, 0) is Errno.ENOTTY  # TIOCISPTMASTER


@pytest.mark.parametrize("com, size", [(Ioctl.TIOCGETA, 44), (Ioctl.TIOCGWINSZ, 8)])
def test_a_pipe_is_no_terminal(com: int, size: int) -> None:
    reader, writer = os.pipe()
    assert refusal(File(Stream(reader), Open.RDONLY), com, size) is Errno.ENOTTY
    os.close(reader)
    os.close(writer)


def test_the_size_of_the_window_can_be_set(terminal: File, ends: tuple[int, int]) -> None:
    terminal.ioctl(Ioctl.TIOCSWINSZ, bytearray(bytes(Winsize(10, 20))))
    assert termios.tcgetwinsize(ends[0]) == (10, 20)


@pytest.mark.parametrize("which", [0, 1, 3])
def test_input_can_be_thrown_away(terminal: File, ends: tuple[int, int], which: int) -> None:
    os.write(ends[0], b"abc\n")
    assert select.select([ends[1]], [], [], 10)[0]
    terminal.ioctl(Ioctl.TIOCFLUSH, bytearray(which.to_bytes(4, "little")))
    assert not terminal.node.can_read()


def test_output_that_is_stopped_waits_and_goes_on(terminal: File) -> None:
    terminal.ioctl(Ioctl.TIOCSTOP, bytearray())
    assert not terminal.node.can_write()
    terminal.ioctl(Ioctl.TIOCSTART, bytearray())
    assert terminal.node.can_write()


def test_a_terminal_that_the_guest_has_stopped_goes_on_when_it_is_closed(
    terminal: File, ends: tuple[int, int]
) -> None:
    terminal.ioctl(Ioctl.TIOCSTOP, bytearray())
    terminal.drop()
    assert select.select([], [ends[1]], [], 0)[1]


def test_what_is_queued_and_the_discipline_are_told(terminal: File) -> None:
    for com in (Ioctl.TIOCOUTQ, Ioctl.TIOCGETD):
        data = bytearray(b"\xff" * 4)
        terminal.ioctl(com, data)
        assert data == bytes(4)


def test_a_guest_does_not_type_for_the_user(terminal: File) -> None:
    """It could leave commands for the shell that runs the emulator."""
    assert refusal(terminal, Ioctl.TIOCSTI, 1) is Errno.EPERM


def test_the_flags_of_the_hosts_own_file_are_left_alone(ends: tuple[int, int]) -> None:
    before = fcntl.fcntl(ends[1], fcntl.F_GETFL)
    tty = Tty(ends[1])
    assert tty.never_blocks
    assert fcntl.fcntl(tty.fd, fcntl.F_GETFL) & os.O_NONBLOCK
    assert fcntl.fcntl(ends[1], fcntl.F_GETFL) == before


def test_a_full_terminal_takes_what_it_can_and_no_write_blocks(terminal: File) -> None:
    taken = 0
    while terminal.node.can_write() and (count := terminal.write(b"\n" * 512)):
        taken += count
    assert 1000 < taken < 1 << 20
    assert terminal.write(b"x") == 0


def test_a_terminal_that_has_hung_up_is_an_error_and_no_crash() -> None:
    person, program = pty.openpty()
    terminal = File(Stream(program), Open.RDWR)
    wanted = settings(terminal)
    wanted.c_lflag &= ~Lflag.ECHO
    terminal.ioctl(Ioctl.TIOCSETA, bytearray(bytes(wanted)))
    os.close(person)
    assert refusal(terminal, Ioctl.TIOCGETA, 44) is Errno.EIO
    terminal.drop()
    os.close(program)


def test_it_is_given_back_when_the_last_of_several_files_on_it_goes(
    ends: tuple[int, int],
) -> None:
    tty = Tty(ends[1])
    first, second = (File(Stream(ends[1], tty), Open.RDWR) for _ in range(2))
    wanted = settings(first)
    wanted.c_lflag &= ~Lflag.ECHO
    first.ioctl(Ioctl.TIOCSETA, bytearray(bytes(wanted)))
    first.drop()
    assert not termios.tcgetattr(ends[1])[3] & termios.ECHO
    second.drop()
    assert termios.tcgetattr(ends[1])[3] & termios.ECHO


def test_it_is_as_it_was_found_while_the_emulator_is_stopped(ends: tuple[int, int]) -> None:
    before = termios.tcgetattr(ends[1])
    tty = Tty(ends[1])
    terminal = File(Stream(ends[1], tty), Open.RDWR)
    wanted = settings(terminal)
    wanted.c_lflag &= ~Lflag.ECHO
    terminal.ioctl(Ioctl.TIOCSETA, bytearray(bytes(wanted)))
    changed = termios.tcgetattr(ends[1])
    tty.lend()
    assert termios.tcgetattr(ends[1]) == before
    tty.take_back()
    assert termios.tcgetattr(ends[1]) == changed != before
    terminal.drop()
    assert termios.tcgetattr(ends[1]) == before
