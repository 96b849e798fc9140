"""Sockets: what all of them have in common (sys/kern/uipc_socket.c, sys_socket.c)."""

from abc import abstractmethod
from collections.abc import Callable
from ctypes import sizeof
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode
from emu.abi.socket import (
    CMSGHDR_SIZE,
    HZ,
    MCLBYTES,
    SB_MAX,
    SOCKADDR_HEADER,
    Af,
    Level,
    Linger,
    Msg,
    Scm,
    Shut,
    So,
    Sock,
    cmsg_align,
)
from emu.abi.structs import Stat, Timeval
from emu.kern.file import File, Node
from emu.kern.namecache import Nchandle
from emu.kern.proc import Kernel
from emu.kern.sched import Blocking, Sleep
from emu.kern.uio import Uio

_TICK_NS = 1_000_000_000 // HZ
_TICK_US = 1_000_000 // HZ
_INT_MAX = (1 << 31) - 1
_NONBLOCKING = int(Msg.FNONBLOCKING | Msg.DONTWAIT)

SWITCHES = frozenset(
    (
        So.DEBUG,
        So.KEEPALIVE,
        So.DONTROUTE,
        So.USELOOPBACK,
        So.BROADCAST,
        So.REUSEADDR,
        So.REUSEPORT,
        So.OOBINLINE,
        So.TIMESTAMP,
    )
)
"""Options that are on or off."""


class Transfer(Protocol):
    """What is sent: a program's memory, or the kernel's own."""

    @property
    def resid(self) -> int: ...

    def take(self, limit: int) -> bytes: ...

    def look(self, limit: int) -> bytes: ...

    def skip(self, count: int) -> None: ...


class KernelData:
    """Bytes that the kernel itself sends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def resid(self) -> int:
        return len(self._data)

    def take(self, limit: int) -> bytes:
        data = self.look(limit)
        self.skip(len(data))
        return data

    def look(self, limit: int) -> bytes:
        return self._data[:limit]

    def skip(self, count: int) -> None:
        self._data = self._data[count:]


class Address(NamedTuple):
    """An address as a process gives it: a path is looked up from where the process is."""

    raw: bytes
    cwd: Nchandle
    umask: int

    @property
    def family(self) -> int:
        return self.raw[1]

    @property
    def path(self) -> bytes:
        """The path of a local address.  EINVAL if there is none."""
        if len(self.raw) <= SOCKADDR_HEADER:
            raise KernelError(Errno.EINVAL, "no path")
        return self.raw[SOCKADDR_HEADER:].partition(b"\0")[0]


@dataclass(slots=True)
class Control:
    """A control message: files (SCM_RIGHTS), or bytes."""

    type: Scm
    data: bytes = b""
    files: tuple[File, ...] = ()
    sent: bool = False

    @property
    def size(self) -> int:
        """What it takes in a buffer, where a file is a pointer."""
        return cmsg_align(CMSGHDR_SIZE + len(self.data)) + 8 * len(self.files)


Deliver = Callable[[Control], None]
"""Gives a control message to the receiving process.  It may refuse."""


@dataclass(slots=True)
class Received:
    """What comes with the data."""

    flags: int
    source: bytes | None = None
    """The sender's address, where messages have one."""


@dataclass(slots=True)
class Sockbuf:
    """The limits of a buffer (struct signalsockbuf)."""

    hiwat: int
    lowat: int
    ticks: int = 0
    """How long to wait (SO_RCVTIMEO, SO_SNDTIMEO); 0 is for ever."""

    def reserve(self, size: int) -> None:
        self.hiwat = min(size, SB_MAX)
        self.lowat = min(self.lowat, self.hiwat)


class Socket(Node):
    """An endpoint.  Addresses are the guest's struct sockaddr, as bytes."""

    signals = True
    waits = True
    takes_uio = True

    def __init__(self, kernel: Kernel, family: Af, kind: Sock, send: int, receive: int) -> None:
        self.family = family
        self.kind = kind
        self.listening = False
        self.snd = Sockbuf(send, min(max(send // 2, MCLBYTES), send))
        self.rcv = Sockbuf(receive, 1)
        self._kernel = kernel
        self._options = 0
        self._linger = 0

    # What a protocol does

    @abstractmethod
    def send(
        self, data: Transfer, to: Address | None, control: Control | None, flags: int
    ) -> Blocking[None]:
        """Send all of `data` (sosend).  If `control` cannot be sent, its files are lost."""
        ...

    @abstractmethod
    def receive(self, uio: Uio, flags: int, deliver: Deliver | None) -> Blocking[Received]:
        """Fill `uio` with what there is (soreceive).  Without `deliver` control is lost."""
        ...

    @abstractmethod
    def bind(self, address: Address) -> None:
        """Take a name."""
        ...

    @abstractmethod
    def connect(self, address: Address, wait: bool) -> Blocking[None]:
        """EINPROGRESS if it takes time and must not `wait`."""
        ...

    @abstractmethod
    def listen(self, backlog: int) -> None: ...

    @abstractmethod
    def accept(self, wait: bool) -> "Blocking[Socket]": ...

    @abstractmethod
    def name(self) -> bytes | None:
        """Return the own address, if there is one."""
        ...

    @abstractmethod
    def peer(self) -> bytes:
        """Return the other's address.  ENOTCONN if there is none."""
        ...

    @abstractmethod
    def end(self, how: Shut) -> None: ...

    @abstractmethod
    def take_error(self) -> int:
        """Return the error number that SO_ERROR reports, and forget it."""
        ...

    # As a file

    def read_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        yield from self.receive(uio, 0 if wait else Msg.FNONBLOCKING, None)

    def write_uio(self, uio: Uio, wait: bool) -> Blocking[None]:
        yield from self.send(uio, None, None, 0 if wait else Msg.FNONBLOCKING)

    def shutdown(self, how: int) -> None:
        if how not in Shut.__members__.values():
            raise KernelError(Errno.EINVAL, f"shutdown({how})")
        self.end(Shut(how))

    def stat(self) -> Stat:
        return Stat(st_mode=Mode.SOCK | 0o666, st_size=self.pending(0), st_blksize=self.snd.hiwat)

    # Options

    def set_option(self, level: int, name: int, value: bytes) -> None:
        """sosetopt"""
        if level != Level.SOCKET:
            self.set_protocol_option(level, name, value)
            return
        match name:
            case So.LINGER:
                linger = Linger.from_buffer_copy(_at_least(value, sizeof(Linger)))
                self._linger = linger.l_linger
                self._switch(So.LINGER, bool(linger.l_onoff))
            case _ if name in SWITCHES:
                self._switch(So(name), bool(option_int(value)))
            case So.SNDBUF | So.RCVBUF | So.SNDLOWAT | So.RCVLOWAT:
                size = option_int(value)
                if size < 1:
                    raise KernelError(Errno.EINVAL, f"{size} bytes")
                self._set_size(So(name), size)
            case So.SNDTIMEO | So.RCVTIMEO:
                ticks = _ticks(Timeval.from_buffer_copy(_at_least(value, sizeof(Timeval))))
                (self.snd if name == So.SNDTIMEO else self.rcv).ticks = ticks
            case So.ACCEPTFILTER:
                raise KernelError(Errno.ENOENT if self.listening else Errno.EINVAL, "no filter")
            case _:
                raise KernelError(Errno.ENOPROTOOPT, f"option {name:#x}")

    def option(self, level: int, name: int) -> bytes:
        """sogetopt"""
        if level != Level.SOCKET:
            return self.protocol_option(level, name)
        match name:
            case So.LINGER:
                return bytes(Linger(self._options & So.LINGER, self._linger))
            case _ if name in SWITCHES:
                return int_option(self._options & name)
            case So.TYPE:
                return int_option(self.kind)
            case So.ERROR:
                return int_option(self.take_error())
            case So.SNDBUF:
                return int_option(self.snd.hiwat)
            case So.RCVBUF:
                return int_option(self.rcv.hiwat)
            case So.SNDLOWAT:
                return int_option(self.snd.lowat)
            case So.RCVLOWAT:
                return int_option(self.rcv.lowat)
            case So.SNDTIMEO | So.RCVTIMEO:
                ticks = (self.snd if name == So.SNDTIMEO else self.rcv).ticks
                return bytes(Timeval(ticks // HZ, ticks % HZ * _TICK_US))
            case So.SNDSPACE:
                return self.space.to_bytes(8, "little")
            case So.ACCEPTFILTER if not self.listening:
                raise KernelError(Errno.EINVAL, "it does not listen")
            case _:
                raise KernelError(Errno.ENOPROTOOPT, f"option {name:#x}")

    def set_protocol_option(self, level: int, name: int, value: bytes) -> None:
        raise KernelError(Errno.ENOPROTOOPT, f"option {name:#x} of level {level}")

    def protocol_option(self, level: int, name: int) -> bytes:
        raise KernelError(Errno.ENOPROTOOPT, f"option {name:#x} of level {level}")

    @property
    def space(self) -> int:
        """How much could be sent at once."""
        return self.snd.hiwat

    def _switch(self, option: So, on: bool) -> None:
        self._options = self._options | option if on else self._options & ~option

    def _set_size(self, option: So, size: int) -> None:
        match option:
            case So.SNDBUF:
                self.snd.reserve(size)
            case So.RCVBUF:
                self.rcv.reserve(size)
            case So.SNDLOWAT:
                self.snd.lowat = min(size, self.snd.hiwat)
            case So.RCVLOWAT:
                self.rcv.lowat = min(size, self.rcv.hiwat)

    def _inherit(self, listener: "Socket") -> None:
        """A new connection has what was set on the socket that listens (sonewconn)."""
        self._options, self._linger = listener._options, listener._linger
        for mine, its in ((self.snd, listener.snd), (self.rcv, listener.rcv)):
            mine.hiwat, mine.lowat, mine.ticks = its.hiwat, its.lowat, its.ticks

    def _wait(self, sleep: Sleep, buffer: Sockbuf, flags: int = 0) -> Blocking[None]:
        """Sleep, unless that is not wanted; EAGAIN also when the time is over (ssb_wait)."""
        if flags & _NONBLOCKING:
            raise KernelError(Errno.EAGAIN, "it would have to wait")
        if buffer.ticks:
            sleep.deadline = self._kernel.clock.monotonic_ns() + buffer.ticks * _TICK_NS
        if not (yield sleep):
            raise KernelError(Errno.EAGAIN, "timeout")


def option_int(value: bytes) -> int:
    return int.from_bytes(_at_least(value, 4), "little", signed=True)


def int_option(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def _at_least(value: bytes, size: int) -> bytes:
    """Return the first `size` bytes of an option.  EINVAL if there are fewer."""
    if len(value) < size:
        raise KernelError(Errno.EINVAL, f"{len(value)} bytes for {size}")
    return value[:size]


def _ticks(time: Timeval) -> int:
    if not (0 <= time.tv_sec <= _INT_MAX // HZ and 0 <= time.tv_usec < 1_000_000):
        raise KernelError(Errno.EDOM, f"{time.tv_sec} s and {time.tv_usec} us")
    ticks = time.tv_sec * HZ + time.tv_usec // _TICK_US
    if ticks > _INT_MAX:
        raise KernelError(Errno.EDOM, f"{time.tv_sec} s and {time.tv_usec} us")
    return ticks or int(time.tv_usec != 0)
