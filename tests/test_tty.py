"""Terminals: settings in the guest's format, and given back at the end."""

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
from emu.kern.tty import guest_termios, host_termios


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
    assert refusal(terminal, 0x2000_7461, 0) is Errno.ENOTTY


@pytest.mark.parametrize("com, size", [(Ioctl.TIOCGETA, 44), (Ioctl.TIOCGWINSZ, 8)])
def test_a_pipe_is_no_terminal(com: int, size: int) -> None:
    reader, writer = os.pipe()
    assert refusal(File(Stream(reader), Open.RDONLY), com, size) is Errno.ENOTTY
    os.close(reader)
    os.close(writer)
