"""Sockets of the host, for programs that may use its loopback network.

Nothing reaches further: an internet address is one of 127.0.0.0/8, and a socket is bound to one
before the host could choose another.  The name of a local socket is looked up like every other
name; the host is then given a path through a descriptor, of the directory for a new socket, and
of the socket itself for one that is there.
"""

import os
import select
import socket as host
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_ubyte
from functools import partial
from typing import TypeVar

from emu.abi.errno import Errno, KernelError
from emu.abi.socket import (
    IP_TOS,
    IP_TTL,
    PIPSIZ,
    SOCKADDR_IN_SIZE,
    SOMAXCONN,
    SUN_NONAME,
    TF_NODELAY,
    UDP_RECVSPACE,
    UDP_SENDSPACE,
    UNPDG_RECVSPACE,
    UNPDG_SENDSPACE,
    Af,
    Level,
    Msg,
    Shut,
    So,
    Sock,
    SockaddrIn,
    Tcp,
)
from emu.kern.file import File, Readiness
from emu.kern.host import guest_errno, host_errors
from emu.kern.proc import Kernel
from emu.kern.sched import READABLE, WRITABLE, Blocking, Restart, Sleep
from emu.kern.socket import (
    Address,
    Control,
    Deliver,
    Received,
    Sockbuf,
    Socket,
    Transfer,
    int_option,
    option_int,
)
from emu.kern.tty import input_pending
from emu.kern.uio import Uio

T = TypeVar("T")

PIECE = 1 << 16
"""The most that is moved at a time; no datagram is longer."""
_FOR_EVER = Sockbuf(0, 0)
"""Accepting knows no timeout."""

_LOOPBACK = "127.0.0.1"
_ANY = "0.0.0.0"
_DESCRIPTORS = b"/proc/self/fd"
_HOST_PATH_MAX = 107
"""What sun_path of the host has room for, without the NUL."""
_FAMILIES = {Af.UNIX: host.AF_UNIX, Af.INET: host.AF_INET}
_KINDS = {
    Sock.STREAM: host.SOCK_STREAM,
    Sock.DGRAM: host.SOCK_DGRAM,
    Sock.SEQPACKET: host.SOCK_SEQPACKET,
}
_SIZES = {
    (Af.INET, Sock.STREAM): (PIPSIZ, PIPSIZ),
    (Af.INET, Sock.DGRAM): (UDP_SENDSPACE, UDP_RECVSPACE),
    (Af.UNIX, Sock.STREAM): (PIPSIZ, PIPSIZ),
    (Af.UNIX, Sock.DGRAM): (UNPDG_SENDSPACE, UNPDG_RECVSPACE),
    (Af.UNIX, Sock.SEQPACKET): (PIPSIZ, PIPSIZ),
}
_SENT = (Msg.OOB, Msg.DONTROUTE, Msg.EOR)
_WANTED = (Msg.OOB, Msg.PEEK)
_TOLD = (Msg.OOB, Msg.EOR, Msg.TRUNC)
_NO_SIGNAL = getattr(host, "MSG_NOSIGNAL", 0)
_HOST_SWITCHES = {
    So.KEEPALIVE: host.SO_KEEPALIVE,
    So.REUSEADDR: host.SO_REUSEADDR,
    So.REUSEPORT: getattr(host, "SO_REUSEPORT", None),
    So.OOBINLINE: host.SO_OOBINLINE,
}
_HALF_CLOSED: int = getattr(select, "POLLRDHUP", 0)
_HOST_SIZES = {So.SNDBUF: host.SO_SNDBUF, So.RCVBUF: host.SO_RCVBUF}
_HOST_IP = {IP_TOS: host.IP_TOS, IP_TTL: host.IP_TTL}


class HostSocket(Socket):
    """A socket of the host.  It never blocks there: whoever has to wait sleeps here."""

    def __init__(self, kernel: Kernel, family: Af, kind: Sock, made: host.socket) -> None:
        super().__init__(kernel, family, kind, *_SIZES[family, kind])
        self._host = made
        self._host.setblocking(False)
        self._bound = False
        self._has_been_connected = False
        self._has_tried = False
        """It was given a peer, perhaps in vain."""
        self._name: bytes | None = None
        self._peer_name = SUN_NONAME
        self._host_name = b""
        self._directory = -1
        """Held open as long as the name that leads through it is in use."""
        self._undelivered = b""
        """What the host has given already, and the program's memory could not take."""

    @classmethod
    def create(cls, kernel: Kernel, family: Af, kind: Sock) -> "HostSocket":
        with host_errors():
            return cls(kernel, family, kind, host.socket(_FAMILIES[family], _KINDS[kind]))

    def send(
        self, data: Transfer, to: Address | None, control: Control | None, flags: int
    ) -> Blocking[None]:
        if self.kind is Sock.STREAM and flags & Msg.EOR:
            raise KernelError(Errno.EINVAL, "a stream has no records")
        if control is not None and self.family is Af.UNIX:
            raise KernelError(Errno.EOPNOTSUPP, "control messages need a socketpair")
        if control is not None and self.kind is Sock.STREAM:
            raise KernelError(Errno.EINVAL, "no control messages here")
        if self.kind is not Sock.STREAM and data.resid > min(self.snd.hiwat, PIECE):
            raise KernelError(Errno.EMSGSIZE, f"{data.resid} bytes")
        if self.kind is not Sock.DGRAM:
            to = None
        elif to is not None and self._is_connected():
            raise KernelError(Errno.EISCONN, "it has a peer already")
        host_flags = _host_flags(flags, _SENT) | _NO_SIGNAL
        begun = False
        while not begun or data.resid:
            piece = data.look(PIECE)
            sending = self._retry(
                partial(self._send, piece, host_flags, to), WRITABLE, flags, self.snd
            )
            data.skip((yield from sending))
            begun = True

    def receive(self, uio: Uio, flags: int, deliver: Deliver | None) -> Blocking[Received]:
        host_flags = _host_flags(flags, _WANTED)
        received = Received(flags & ~Msg.EOR)
        stream = self.kind is Sock.STREAM
        while uio.resid or not stream:
            size = min(uio.resid, PIECE)
            try:
                receive = partial(self._receive, size, host_flags)
                data, told, source = yield from self._retry(receive, READABLE, flags, self.rcv)
            except KernelError as refusal:
                if refusal.errno is Errno.EAGAIN and not uio.resid:
                    return received
                raise
            try:
                uio.put(data)
            except KernelError:
                if stream and not flags & (Msg.PEEK | Msg.OOB):
                    self._undelivered = data
                raise
            received.source = source
            for flag in _TOLD:
                if told & _host_flag(flag):
                    received.flags |= flag
            if not (stream and data and flags & Msg.WAITALL) or flags & (Msg.PEEK | Msg.OOB):
                break
        return received

    def _send(self, piece: bytes, host_flags: int, to: Address | None) -> int:
        try:
            if to is None:
                with host_errors():
                    return self._host.send(piece, host_flags)
            with self._target(to) as target, host_errors():
                return self._host.sendto(piece, host_flags, target)
        except KernelError as refusal:
            if refusal.errno is Errno.EPIPE and not self._is_connected():
                raise KernelError(Errno.ENOTCONN, "no peer") from None
            if refusal.errno is Errno.EAGAIN and self.family is Af.UNIX and to is not None:
                # The host would have us wait for a receiver that it does not let us watch.
                raise KernelError(Errno.ENOBUFS, "the receiver has no room") from None
            raise

    def _receive(self, size: int, host_flags: int) -> tuple[bytes, int, bytes | None]:
        """Return data, the host's flags, and the sender's address where messages have one."""
        if self._undelivered and not host_flags & _host_flag(Msg.OOB):
            data = self._undelivered[:size]
            if not host_flags & host.MSG_PEEK:
                self._undelivered = self._undelivered[size:]
            return data, 0, None
        try:
            with host_errors():
                data, _, told, source = self._host.recvmsg(size, 0, host_flags)
        except KernelError as refusal:
            # The host calls a datagram socket readable after shutdown(), and has readers wait.
            if refusal.errno is not Errno.EAGAIN or not self._look(_HALF_CLOSED) & _HALF_CLOSED:
                raise
            return b"", 0, None
        return data, told, self._guest_address(source) if self.kind is Sock.DGRAM else None

    # Addresses and connections

    def bind(self, address: Address) -> None:
        if self._bound:
            raise KernelError(Errno.EINVAL, "it has an address already")
        if self.family is Af.UNIX:
            self._bind_name(address)
        else:
            ip, port = _internet(address)
            if ip != _ANY and not _is_loopback(ip):
                raise KernelError(Errno.EADDRNOTAVAIL, f"{ip} is not a loopback address")
            with host_errors():
                self._host.bind((_LOOPBACK if ip == _ANY else ip, port))
        self._bound = True

    def connect(self, address: Address, wait: bool) -> Blocking[None]:
        if self.listening:
            raise KernelError(Errno.EOPNOTSUPP, "it listens")
        if self.kind is not Sock.DGRAM and self._is_connected():
            raise KernelError(Errno.EISCONN, "it has a peer already")
        try:
            with self._target(address) as target, host_errors():
                if self.family is Af.INET:
                    self._try()
                self._host.connect(target)
            self._try()
        except KernelError as refusal:
            if refusal.errno is Errno.EAGAIN and self.family is Af.UNIX:
                raise KernelError(Errno.ECONNREFUSED, "too many wait already") from None
            if refusal.errno is not Errno.EINPROGRESS or not wait:
                raise
            try:
                while not self._is_ready(WRITABLE):
                    yield self.until_writable()
            except Restart:
                raise KernelError(Errno.EINTR) from None
            if error := self.take_error():
                raise KernelError(Errno(error), "the connection failed") from None
        if self.family is Af.UNIX:
            self._peer_name = address.raw

    def listen(self, backlog: int) -> None:
        if self.kind is not Sock.DGRAM and self._is_connected():
            raise KernelError(Errno.EINVAL, "it has a peer")
        if self.family is Af.UNIX and not self._bound:
            raise KernelError(Errno.EINVAL, "it has no name")
        self._bind_to_loopback()
        with host_errors():
            self._host.listen(backlog if 0 <= backlog <= SOMAXCONN else SOMAXCONN)
        self.listening = True
        self._kernel.sched.wakeup(self)

    def accept(self, wait: bool) -> Blocking[Socket]:
        if not self.listening:
            raise KernelError(Errno.EINVAL, "it does not listen")
        try:
            made, source = yield from self._retry(
                self._host.accept, READABLE, 0 if wait else Msg.FNONBLOCKING, _FOR_EVER
            )
        except Restart:
            raise KernelError(Errno.EINTR) from None
        connection = HostSocket(self._kernel, self.family, self.kind, made)
        connection._inherit(self)
        connection._bound = connection._has_been_connected = True
        connection._name = self._name
        if self.family is Af.UNIX:
            connection._peer_name = self._guest_address(source)
        return connection

    def name(self) -> bytes | None:
        if self.family is Af.UNIX:
            return self._name
        with host_errors():
            return self._guest_address(self._host.getsockname())

    def peer(self) -> bytes:
        with host_errors():
            address = self._host.getpeername()
        return self._peer_name if self.family is Af.UNIX else self._guest_address(address)

    def end(self, how: Shut) -> None:
        with host_errors():
            self._host.shutdown((host.SHUT_RD, host.SHUT_WR, host.SHUT_RDWR)[how])

    def take_error(self) -> int:
        error = self._host.getsockopt(host.SOL_SOCKET, host.SO_ERROR)
        return guest_errno(OSError(error, "")) if error else 0

    # As a file

    def can_read(self) -> bool:
        return bool(self._undelivered) or (not self._is_idle() and self._is_ready(READABLE))

    def can_write(self) -> bool:
        return not self._is_idle() and self._is_ready(WRITABLE)

    def until_readable(self) -> Sleep:
        return Sleep((self,)) if self._is_idle() else self.news(READABLE)

    def until_writable(self) -> Sleep:
        return Sleep((self,)) if self._is_idle() else self.news(WRITABLE)

    def news(self, events: int) -> Sleep:
        return Sleep(fds=((self._host.fileno(), events),))

    def input(self, offset: int) -> Readiness:
        if self._is_idle():
            return Readiness(False)
        found = self._look(READABLE | _HALF_CLOSED)
        if self.listening:
            return Readiness(bool(found), 1 if found else 0)
        ended = bool(found & (_HALF_CLOSED | select.POLLHUP))
        return Readiness(bool(found or self._undelivered), self.pending(0), ended)

    def output(self) -> Readiness:
        if self._is_idle():
            return Readiness(False)
        found = self._look(WRITABLE)
        ended = bool(found & select.POLLHUP)
        return Readiness(bool(found), self.space if found and not ended else 0, ended)

    def pending(self, offset: int) -> int:
        if self.listening:
            return 0
        return len(self._undelivered) + input_pending(self._host.fileno())

    def close(self, file: File) -> None:
        self._host.close()
        if self._directory >= 0:
            del self._kernel.socket_names[self._host_name]
            os.close(self._directory)

    # Options

    def set_protocol_option(self, level: int, name: int, value: bytes) -> None:
        number = option_int(value)
        with host_errors():
            self._host.setsockopt(*self._host_option(level, name), number)

    def protocol_option(self, level: int, name: int) -> bytes:
        with host_errors():
            number = self._host.getsockopt(*self._host_option(level, name))
        if (level, name) == (Level.TCP, Tcp.NODELAY):
            number = TF_NODELAY if number else 0
        return int_option(number)

    def _host_option(self, level: int, name: int) -> tuple[int, int]:
        if self.family is Af.INET:
            if level == Level.IP and name in _HOST_IP:
                return host.IPPROTO_IP, _HOST_IP[name]
            if level == Level.TCP and self.kind is Sock.STREAM and name == Tcp.NODELAY:
                return host.IPPROTO_TCP, host.TCP_NODELAY
        raise KernelError(
            Errno.EOPNOTSUPP if self.family is Af.UNIX else Errno.ENOPROTOOPT,
            f"option {name:#x} of level {level}",
        )

    def _switch(self, option: So, on: bool) -> None:
        if (known := _HOST_SWITCHES.get(option)) is not None:
            with host_errors():
                self._host.setsockopt(host.SOL_SOCKET, known, on)
        super()._switch(option, on)
        if option is So.LINGER:
            # Any longer than 0, and the host would have the emulator wait in close().
            value = struct.pack("ii", on and not self._linger, 0)
            self._host.setsockopt(host.SOL_SOCKET, host.SO_LINGER, value)

    def _set_size(self, option: So, size: int) -> None:
        super()._set_size(option, size)
        if (known := _HOST_SIZES.get(option)) is not None:
            reserved = self.snd.hiwat if option is So.SNDBUF else self.rcv.hiwat
            with host_errors():
                self._host.setsockopt(host.SOL_SOCKET, known, reserved)

    # The host

    def _retry(
        self, operation: Callable[[], T], events: int, flags: int, buffer: Sockbuf
    ) -> Blocking[T]:
        """Carry out `operation` as soon as it does not have to wait."""
        while True:
            try:
                with host_errors():
                    return operation()
            except KernelError as refusal:
                if refusal.errno is not Errno.EAGAIN:
                    raise
            yield from self._wait(Sleep(fds=((self._host.fileno(), events),)), buffer, flags)

    def _is_ready(self, events: int) -> bool:
        return bool(self._look(events))

    def _look(self, events: int) -> int:
        """Return those of `events` that the host is ready for, and what is wrong with it."""
        poll = select.poll()
        poll.register(self._host, events)
        ready = poll.poll(0)
        return ready[0][1] if ready else 0

    def _is_connected(self) -> bool:
        """Is there a peer, or has there been one?"""
        if not self._has_been_connected:
            try:
                self._host.getpeername()
            except OSError:
                return False
            self._has_been_connected = True
        return True

    def _is_idle(self) -> bool:
        """Is there no peer, and never was, nor anybody to come?  The host would say: hung up."""
        if self.kind is Sock.DGRAM or self._has_tried or self.listening:
            return False
        return not self._is_connected()

    def _try(self) -> None:
        """The host is asked for a peer; for a local socket, has given one.

        A local name at which nobody listens leaves a socket as it was.
        """
        self._has_tried = True
        self._kernel.sched.wakeup(self)

    def _bind_to_loopback(self) -> None:
        """The host must not choose an address that can be reached from elsewhere."""
        if self.family is Af.INET and not self._bound:
            with host_errors():
                self._host.bind((_LOOPBACK, 0))
            self._bound = True

    def _bind_name(self, address: Address) -> None:
        """Make a socket in the guest's tree."""
        with self._kernel.tree.new_socket(address.path, address.cwd) as (at, name):
            directory = os.dup(at)
            try:
                host_name = _under(directory, name)
                with host_errors():
                    os.fchmod(self._host.fileno(), 0o777 & ~address.umask)
                    self._host.bind(host_name)
            except KernelError:
                os.close(directory)
                raise
        self._directory, self._name = directory, address.raw
        self._host_name = host_name
        self._kernel.socket_names[host_name] = address.raw

    @contextmanager
    def _target(self, address: Address) -> Iterator[bytes | tuple[str, int]]:
        """Find what `address` stands for, as the host has to be told."""
        if self.family is Af.UNIX:
            with self._kernel.tree.socket(address.path, address.cwd) as fd:
                yield _path_of(fd)
            return
        ip, port = _internet(address)
        if address.family != Af.INET:
            raise KernelError(Errno.EAFNOSUPPORT, f"address family {address.family}")
        if port == 0:
            raise KernelError(Errno.EADDRNOTAVAIL, "port 0")
        if ip == _ANY:
            ip = _LOOPBACK
        if not _is_loopback(ip):
            raise KernelError(Errno.ENETUNREACH, f"{ip} is not a loopback address")
        if self.kind is Sock.DGRAM:
            self._bind_to_loopback()
        yield ip, port

    def _guest_address(self, address: object) -> bytes:
        """Return an address of the host in the guest's format."""
        if self.family is Af.INET:
            assert isinstance(address, tuple)
            ip, port = address
            return bytes(
                SockaddrIn(
                    SOCKADDR_IN_SIZE,
                    Af.INET,
                    (c_ubyte * 2)(*port.to_bytes(2, "big")),
                    (c_ubyte * 4)(*host.inet_aton(ip)),
                )
            )
        assert isinstance(address, str | bytes | None)
        return self._kernel.socket_names.get(os.fsencode(address or b""), SUN_NONAME)


def _internet(address: Address) -> tuple[str, int]:
    raw = address.raw
    if len(raw) != SOCKADDR_IN_SIZE:
        raise KernelError(Errno.EINVAL, f"an address of {len(raw)} bytes")
    sin = SockaddrIn.from_buffer_copy(raw)
    return host.inet_ntoa(bytes(sin.sin_addr)), int.from_bytes(bytes(sin.sin_port), "big")


def _is_loopback(ip: str) -> bool:
    return ip.startswith("127.")


def _path_of(fd: int) -> bytes:
    """Return a path of the host to what is open here."""
    if not os.path.isdir(_DESCRIPTORS):
        raise KernelError(Errno.EOPNOTSUPP, "the host has no way to name it")
    return b"%s/%d" % (_DESCRIPTORS, fd)


def _under(directory: int, name: bytes) -> bytes:
    """Return a path of the host to `name` in a directory that is open here."""
    path = b"%s/%s" % (_path_of(directory), name)
    if len(path) > _HOST_PATH_MAX:
        raise KernelError(Errno.ENAMETOOLONG, "longer than the host permits")
    return path


def _host_flag(flag: Msg) -> int:
    """Return the host's flag of the same name, or 0."""
    return getattr(host, f"MSG_{flag.name}", 0)


def _host_flags(flags: int, known: tuple[Msg, ...]) -> int:
    return sum(_host_flag(flag) for flag in known if flags & flag)
