"""Terminals: the host's settings in the guest's format, and back (sys/kern/tty.c).

Flags and control characters are matched by name; what only one side knows is left alone on the
host, and absent for the guest.  The host's settings come back when the terminal is closed, and
at the latest when the emulator ends.
"""

import atexit
import fcntl
import os
import termios
from enum import IntFlag
from typing import Any

from emu.abi.errno import Errno, KernelError
from emu.abi.ioctl import (
    CC_DISABLED,
    CHARACTER_SIZES,
    CSIZE,
    Cc,
    Cflag,
    Iflag,
    Ioctl,
    Lflag,
    Oflag,
)
from emu.abi.structs import WINSIZE_SIZE, Termios
from emu.kern.host import host_errors

_WHEN = {
    Ioctl.TIOCSETA: termios.TCSANOW,
    Ioctl.TIOCSETAW: termios.TCSADRAIN,
    Ioctl.TIOCSETAF: termios.TCSAFLUSH,
}
_HOST_NAMES = {"OXTABS": "TAB3"}
_FLAG_WORDS: tuple[type[IntFlag], ...] = (Iflag, Oflag, Cflag, Lflag)  # in tcgetattr's order
_SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit()
}
_CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = 2, 3, 4, 5, 6


class Tty:
    """A host terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._original = self._get()
        self._changed = False

    def ioctl(self, com: int, data: bytearray) -> None:
        """Carry out `com` on its parameter.  ENOTTY if it is none of a terminal's."""
        match com:
            case Ioctl.TIOCGETA:
                data[:] = bytes(guest_termios(self._get(), self._disabled()))
            case Ioctl.TIOCSETA | Ioctl.TIOCSETAW | Ioctl.TIOCSETAF:
                self._set(Termios.from_buffer_copy(data), _WHEN[Ioctl(com)])
            case Ioctl.TIOCGWINSZ:
                with host_errors():
                    data[:] = fcntl.ioctl(self._fd, termios.TIOCGWINSZ, bytes(WINSIZE_SIZE))
            case _:
                raise KernelError(Errno.ENOTTY, f"ioctl {com:#x} on a terminal")

    def close(self) -> None:
        """Give the terminal back as it was found."""
        if self._changed:
            self._changed = False
            atexit.unregister(self.close)
            with host_errors():
                termios.tcsetattr(self._fd, termios.TCSANOW, self._original)

    def _get(self) -> list[Any]:
        with host_errors():
            return termios.tcgetattr(self._fd)

    def _set(self, wanted: Termios, when: int) -> None:
        settings = host_termios(wanted, self._get(), self._disabled())
        if not self._changed:
            self._changed = True
            atexit.register(self.close)
        with host_errors():
            termios.tcsetattr(self._fd, when, settings)

    def _disabled(self) -> int:
        return os.fpathconf(self._fd, "PC_VDISABLE")


def input_pending(fd: int) -> int:
    """Return how many bytes wait in the terminal or pipe `fd`."""
    with host_errors():
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")


def guest_termios(settings: list[Any], disabled: int) -> Termios:
    """Return what tcgetattr() told, in the guest's format."""
    words: list[int] = [
        sum(flag for flag in flags if (bits := _host_bits(flag)) and host & bits == bits)
        for host, flags in zip(settings, _FLAG_WORDS, strict=False)
    ]
    for name, value in CHARACTER_SIZES.items():
        if settings[_CFLAG] & termios.CSIZE == getattr(termios, name):
            words[_CFLAG] |= value
    result = Termios(*words)
    for index in Cc:
        at = getattr(termios, index.name, None)
        character = CC_DISABLED if at is None else _byte(settings[_CC][at])
        if character == disabled and index not in (Cc.VMIN, Cc.VTIME):
            character = CC_DISABLED
        result.c_cc[index] = character
    result.c_ispeed = _SPEEDS.get(settings[_ISPEED], 0)
    result.c_ospeed = _SPEEDS.get(settings[_OSPEED], 0)
    return result


def host_termios(wanted: Termios, settings: list[Any], disabled: int) -> list[Any]:
    """Return `settings` changed to what the guest wants, for tcsetattr()."""
    result = [*settings[:_CC], list(settings[_CC])]
    words = (wanted.c_iflag, wanted.c_oflag, wanted.c_cflag, wanted.c_lflag)
    for at, (word, flags) in enumerate(zip(words, _FLAG_WORDS, strict=True)):
        for flag in flags:
            bits = _host_bits(flag)
            result[at] = result[at] | bits if word & flag == flag else result[at] & ~bits
    for name, value in CHARACTER_SIZES.items():
        if wanted.c_cflag & CSIZE == value:
            result[_CFLAG] = result[_CFLAG] & ~termios.CSIZE | getattr(termios, name)
    for index in Cc:
        at_host = getattr(termios, index.name, None)
        if at_host is None:
            continue
        character = wanted.c_cc[index]
        if index in (Cc.VMIN, Cc.VTIME):
            # Where the host keeps them in the places of VEOF and VEOL, they count only when raw.
            if not wanted.c_lflag & Lflag.ICANON:
                result[_CC][at_host] = character
        else:
            character = disabled if character == CC_DISABLED else character
            result[_CC][at_host] = bytes([character])
    for at, speed in ((_ISPEED, wanted.c_ispeed), (_OSPEED, wanted.c_ospeed)):
        # A speed the host does not know stays as it was: it means nothing on a pseudo-terminal.
        result[at] = next((code for code, rate in _SPEEDS.items() if rate == speed), result[at])
    return result


def _host_bits(flag: IntFlag) -> int:
    name = flag.name or ""
    bits: int = getattr(termios, _HOST_NAMES.get(name, name), 0)
    return bits


def _byte(character: bytes | int) -> int:
    return character if isinstance(character, int) else character[0]
