"""Terminals: the host's settings in the guest's format, and back (sys/kern/tty.c).

Flags and control characters are matched by name; what only one side knows is left alone on the
host, and absent for the guest.  The host's settings come back when nobody has the terminal open
any more, while the emulator is stopped, and at the latest when it ends.

Which process may use the terminal is decided in emu.kern.job_control.
"""

import atexit
import fcntl
import os
import termios
from contextlib import suppress
from enum import IntFlag
from typing import TYPE_CHECKING, Any
from weakref import finalize

from emu.abi.errno import Errno, KernelError
from emu.abi.ioctl import (
    CC_DISABLED,
    CHARACTER_SIZES,
    CSIZE,
    TTYDISC,
    Cc,
    Cflag,
    Flush,
    Iflag,
    Ioctl,
    Lflag,
    Oflag,
)
from emu.abi.structs import WINSIZE_SIZE, Termios
from emu.kern.host import host_errors

if TYPE_CHECKING:
    from emu.kern.proc import Session

_HOST_NAMES = {"OXTABS": "TAB3"}
_FLAG_WORDS: tuple[type[IntFlag], ...] = (Iflag, Oflag, Cflag, Lflag)  # in tcgetattr's order
_SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit()
}
_CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = 2, 3, 4, 5, 6
_INT = 4
_TENTH_NS = 100_000_000
_QUEUES = {
    Flush.FREAD: termios.TCIFLUSH,
    Flush.FWRITE: termios.TCOFLUSH,
    Flush.FREAD | Flush.FWRITE: termios.TCIOFLUSH,
}


class Tty:
    """A host terminal.

    `fd` is, if the host permits, an open file of our own that never blocks: a write to a full
    terminal would otherwise keep the whole machine from going on, and to change the flags of the
    one we were given would change them for whoever shares it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.never_blocks = False
        with suppress(OSError):
            self.fd = os.open(os.ttyname(fd), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            self.never_blocks = True
            finalize(self, os.close, self.fd)
        self.session: Session | None = None
        """Whose controlling terminal it is."""
        self._original = self._get()
        self._changed = False
        self._lent: list[Any] | None = None
        self._halted = False
        self._opens = 0

    def hold(self) -> None:
        """Another open file stands on it."""
        self._opens += 1

    def drop(self) -> None:
        """An open file on it is gone; with the last one it is given back as it was found."""
        self._opens -= 1
        if self._opens == 0:
            self.restore()

    def ioctl(self, com: int, data: bytearray) -> None:
        """Carry out `com` on its parameter.  ENOTTY if it is none of a terminal's."""
        match com:
            case Ioctl.TIOCGETA:
                data[:] = bytes(guest_termios(self._get(), self._disabled()))
            case Ioctl.TIOCSETA | Ioctl.TIOCSETAW:
                self._set(Termios.from_buffer_copy(data))
            case Ioctl.TIOCSETAF:
                self._flush(Flush.FREAD)
                self._set(Termios.from_buffer_copy(data))
            case Ioctl.TIOCGWINSZ:
                with host_errors():
                    data[:] = fcntl.ioctl(self.fd, termios.TIOCGWINSZ, bytes(WINSIZE_SIZE))
            case Ioctl.TIOCSWINSZ:
                with host_errors():
                    fcntl.ioctl(self.fd, termios.TIOCSWINSZ, bytes(data))
            case Ioctl.TIOCFLUSH:
                which = int.from_bytes(data, "little") & (Flush.FREAD | Flush.FWRITE)
                self._flush(which or Flush.FREAD | Flush.FWRITE)
            case Ioctl.TIOCOUTQ:
                data[:] = self.output_pending().to_bytes(_INT, "little")
            case Ioctl.TIOCSTOP:
                self._flow(stop=True)
            case Ioctl.TIOCSTART:
                self._flow(stop=False)
            case Ioctl.TIOCGETD:
                data[:] = TTYDISC.to_bytes(_INT, "little")
            case Ioctl.TIOCEXCL | Ioctl.TIOCNXCL:
                pass  # nobody but the guest opens it through us
            case Ioctl.TIOCSTI:
                raise KernelError(Errno.EPERM, "a guest does not type for the user")
            case _:
                raise KernelError(Errno.ENOTTY, f"ioctl {com:#x} on a terminal")

    def output_pending(self) -> int:
        """Return how many bytes the host has not put out yet."""
        with host_errors():
            return int.from_bytes(fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(_INT)), "little")

    @property
    def stops_background_output(self) -> bool:
        """Is TOSTOP set?"""
        return bool(self._get()[_LFLAG] & termios.TOSTOP)

    def patience(self) -> int | None:
        """Return how long a read waits for the first byte, in ns; None for ever (VMIN, VTIME)."""
        settings = self._get()
        if settings[_LFLAG] & termios.ICANON or _byte(settings[_CC][termios.VMIN]):
            return None
        return _byte(settings[_CC][termios.VTIME]) * _TENTH_NS

    def lend(self) -> None:
        """The emulator is about to stop: until take_back() the terminal is as it was found."""
        if self._changed and self._is_ours():
            with suppress(KernelError):
                self._lent = self._get()
                self._apply(self._original)

    def take_back(self) -> None:
        """The emulator goes on: the terminal is as the guest has left it."""
        lent, self._lent = self._lent, None
        if lent is not None:
            with suppress(KernelError):
                self._apply(lent)

    def restore(self) -> None:
        """Give the terminal back as it was found."""
        if self._halted:
            with suppress(KernelError):
                self._flow(stop=False)
        if self._changed:
            self._changed = False
            atexit.unregister(self.restore)
            if self._is_ours():
                with suppress(KernelError):
                    self._apply(self._original)

    def _is_ours(self) -> bool:
        """Is the emulator in the foreground?  If not, the shell has seen to the terminal."""
        try:
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError:
            return True  # not the emulator's controlling terminal: no shell does

    def _get(self) -> list[Any]:
        with host_errors():
            return termios.tcgetattr(self.fd)

    def _set(self, wanted: Termios) -> None:
        settings = host_termios(wanted, self._get(), self._disabled())
        if not self._changed:
            self._changed = True
            atexit.register(self.restore)
        self._apply(settings)

    def _apply(self, settings: list[Any]) -> None:
        with host_errors():
            termios.tcsetattr(self.fd, termios.TCSANOW, settings)

    def _flush(self, which: int) -> None:
        with host_errors():
            termios.tcflush(self.fd, _QUEUES[Flush(which)])

    def _flow(self, *, stop: bool) -> None:
        self._halted = stop
        with host_errors():
            termios.tcflow(self.fd, termios.TCOOFF if stop else termios.TCOON)

    def _disabled(self) -> int:
        with host_errors():
            return os.fpathconf(self.fd, "PC_VDISABLE")


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
