"""Sockets of the host's loopback network, and that no guest gets further than that."""

import os
import socket as host
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from struct import pack
from threading import Thread
from typing import Any

import pytest
from conftest import LOAD_ADDRESS, Booted, Finishing, call, finish

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Fcntl, Io, Mode, Open
from emu.abi.poll import Poll
from emu.abi.socket import SUN_NONAME, Af, Level, Msg, Msghdr, Shut, So, Sock, Tcp
from emu.abi.structs import Iovec, Pollfd, Stat, Timeval
from emu.kern.proc import Lwp
from emu.kern.sched import LwpState, Restart
from syscalls import event, file, path, socket
from syscalls.table import resume

Boot = Callable[..., Booted]

calls = Finishing(socket)
files = Finishing(file)
paths = Finishing(path)

DATA = 0x1000_0000
NAME = DATA + 0x20000
LENGTH = NAME + 0x800
SMALL = NAME + 0x1000
UNMAPPED = 0xDEAD_0000
NONBLOCK = int(Open.NONBLOCK)
LOOPBACK = "127.0.0.1"


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def lwp(boot: Boot) -> Iterator[Lwp]:
    """A guest that may use the network.  Nothing of it stays open on the host."""
    lwp = boot(net=True).lwp
    lwp.proc.vmspace.map_anonymous(DATA, SMALL + 0x1000)
    before = open_descriptors()
    yield lwp
    lwp.proc.files.close_all()
    assert open_descriptors() <= before


@pytest.fixture
def server() -> Iterator[host.socket]:
    """A socket of the host that listens."""
    with closing(host.create_server((LOOPBACK, 0))) as server:
        yield server


def inet(ip: str, port: int) -> bytes:
    return pack(">BBH4s8x", 16, Af.INET, port, host.inet_aton(ip))


def unix(name: bytes) -> bytes:
    return bytes((len(name) + 2, Af.UNIX)) + name


def at(lwp: Lwp, address: bytes) -> tuple[int, int]:
    lwp.vmspace.copyout(NAME, address)
    return NAME, len(address)


def address_of(lwp: Lwp, ask: Callable[[Lwp, int, int, int], None], fd: int) -> bytes:
    lwp.vmspace.copyout(LENGTH, pack("<i", 255))
    ask(lwp, fd, NAME, LENGTH)
    return lwp.vmspace.copyin(NAME, int.from_bytes(lwp.vmspace.copyin(LENGTH, 4), "little"))


def port_of(lwp: Lwp, fd: int) -> int:
    name = address_of(lwp, socket.getsockname, fd)
    port = int.from_bytes(name[2:4], "big")
    assert name == inet(LOOPBACK, port)
    return port


def put(lwp: Lwp, fd: int, data: bytes, flags: int = 0, to: bytes = b"") -> Any:
    lwp.vmspace.copyout(DATA, data)
    return calls.sendto(lwp, fd, DATA, len(data), flags, *(at(lwp, to) if to else (0, 0)))


def get(lwp: Lwp, fd: int, size: int, flags: int = 0) -> bytes:
    count = waited(socket.recvfrom(lwp, fd, DATA, size, flags, 0, 0))
    return lwp.vmspace.copyin(DATA, count)


def waited(transfer: Generator[Any, bool, Any]) -> Any:
    """Return what a call returns, which may have to wait for the host."""
    try:
        next(transfer)
    except StopIteration as end:
        return end.value
    return woken(transfer)


def woken(transfer: Generator[Any, bool, Any]) -> Any:
    """Return what a call returns that sleeps already."""
    try:
        while True:
            transfer.send(True)
    except StopIteration as end:
        return end.value


def refusal(call: Callable[..., Any], *args: Any) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


def connected(lwp: Lwp, server: host.socket) -> tuple[int, host.socket]:
    fd = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    waited(socket.connect(lwp, fd, *at(lwp, inet(*server.getsockname()))))
    peer, _ = server.accept()
    return fd, peer


def listening(lwp: Lwp) -> int:
    fd = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    socket.bind(lwp, fd, *at(lwp, inet("0.0.0.0", 0)))
    socket.listen(lwp, fd, 5)
    return fd


# Without permission


def test_there_is_no_network_without_permission(boot: Boot) -> None:
    machine = boot()
    for domain in (Af.INET, Af.UNIX, Af.INET):
        assert call(machine.lwp, "socket", domain, Sock.STREAM, 0) is Errno.EPERM
    assert machine.told == ["the guest asked for a network: --net loopback gives it one"]
    assert call(machine.lwp, "socketpair", Af.UNIX, Sock.STREAM, 0, LOAD_ADDRESS) == 0


@pytest.mark.parametrize(
    ("domain", "kind", "protocol"),
    [
        (Af.INET6, Sock.STREAM, 0),
        (Af.INET, Sock.RAW, 0),
        (Af.INET, Sock.STREAM, Level.UDP),
        (Af.UNSPEC, Sock.STREAM, 0),
        (Af.UNIX, Sock.STREAM, 1),
    ],
)
def test_other_kinds_of_sockets_do_not_exist(
    lwp: Lwp, domain: int, kind: int, protocol: int
) -> None:
    assert refusal(socket.socket, lwp, domain, kind, protocol) is Errno.EPROTONOSUPPORT


@pytest.mark.parametrize("ip", ["8.8.8.8", "192.168.1.1", "255.255.255.255", "224.0.0.1"])
def test_nothing_but_loopback_is_reached(lwp: Lwp, ip: str) -> None:
    stream = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    datagram = socket.socket(lwp, Af.INET, Sock.DGRAM, Level.UDP)
    for fd in stream, datagram:
        assert refusal(calls.connect, lwp, fd, *at(lwp, inet(ip, 9))) is Errno.ENETUNREACH
        assert refusal(socket.bind, lwp, fd, *at(lwp, inet(ip, 0))) is Errno.EADDRNOTAVAIL
    assert refusal(put, lwp, datagram, b"x", 0, inet(ip, 9)) is Errno.ENETUNREACH


def test_a_socket_is_never_bound_to_more_than_loopback(lwp: Lwp, server: host.socket) -> None:
    stream = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    socket.listen(lwp, stream, 5)
    datagram = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    put(lwp, datagram, b"x", 0, inet(*server.getsockname()))
    any_address = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    socket.bind(lwp, any_address, *at(lwp, inet("0.0.0.0", 0)))
    for fd in stream, datagram, any_address:
        assert port_of(lwp, fd) > 0


# Streams


def test_a_guest_talks_to_a_server(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        assert address_of(lwp, socket.getpeername, fd) == inet(*server.getsockname())
        assert put(lwp, fd, b"question") == 8
        assert peer.recv(100) == b"question"
        peer.send(b"answer")
        assert get(lwp, fd, 3) == b"ans"
        assert waited(file.read(lwp, fd, DATA, 100)) == 3
        file.shutdown(lwp, fd, Shut.WR)
        assert peer.recv(100) == b""
        assert refusal(put, lwp, fd, b"x", Msg.NOSIGNAL) is Errno.EPIPE
    assert get(lwp, fd, 10) == b""


def test_a_guest_is_a_server(lwp: Lwp) -> None:
    fd = listening(lwp)
    accepting = socket.accept(lwp, fd, NAME, LENGTH)
    lwp.vmspace.copyout(LENGTH, pack("<i", 255))
    next(accepting)
    with closing(host.create_connection((LOOPBACK, port_of(lwp, fd)))) as peer:
        lwp.vmspace.copyout(LENGTH, pack("<i", 255))
        connection = woken(accepting)
        assert lwp.vmspace.copyin(NAME, 16) == inet(*peer.getsockname())
        peer.send(b"question")
        assert get(lwp, connection, 100) == b"question"
        put(lwp, connection, b"answer")
        assert peer.recv(100) == b"answer"


def test_an_accepted_socket_is_as_the_one_that_listened(lwp: Lwp) -> None:
    fd = listening(lwp)
    files.fcntl(lwp, fd, Fcntl.SETFL, NONBLOCK)
    lwp.vmspace.copyout(SMALL, bytes(Timeval(3, 0)))
    socket.setsockopt(lwp, fd, Level.SOCKET, So.RCVTIMEO, SMALL, 16)
    assert refusal(calls.accept, lwp, fd, 0, 0) is Errno.EAGAIN
    with closing(host.create_connection((LOOPBACK, port_of(lwp, fd)))):
        connection = waited(socket.extaccept(lwp, fd, Io.FBLOCKING, 0, 0))
    assert files.fcntl(lwp, connection, Fcntl.GETFL, 0) == Open.RDWR | Open.NONBLOCK
    lwp.vmspace.copyout(LENGTH, pack("<i", 16))
    socket.getsockopt(lwp, connection, Level.SOCKET, So.RCVTIMEO, SMALL, LENGTH)
    assert lwp.vmspace.copyin(SMALL, 16) == bytes(Timeval(3, 0))


def test_a_connection_whose_address_cannot_be_stored_is_dropped(lwp: Lwp) -> None:
    fd = listening(lwp)
    lwp.vmspace.copyout(LENGTH, pack("<i", 255))
    with closing(host.create_connection((LOOPBACK, port_of(lwp, fd)))) as peer:
        accepting = socket.accept(lwp, fd, UNMAPPED, LENGTH)
        assert refusal(waited, accepting) is Errno.EFAULT
        assert peer.recv(1) == b""
    assert lwp.proc.files.lowest_free() == fd + 1


@pytest.mark.parametrize("broken", [Restart(), KernelError(Errno.EINTR)])
def test_accept_is_not_made_again_after_a_signal(lwp: Lwp, broken: Exception) -> None:
    accepting = socket.accept(lwp, listening(lwp), 0, 0)
    next(accepting)
    with pytest.raises(KernelError) as refused:
        accepting.throw(broken)
    assert refused.value.errno is Errno.EINTR


def test_receiving_is_made_again_after_a_signal(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        receiving = socket.recvfrom(lwp, fd, DATA, 1, 0, 0, 0)
        next(receiving)
        with pytest.raises(Restart):
            receiving.throw(Restart())


def test_nobody_there_is_a_refused_connection(lwp: Lwp, server: host.socket) -> None:
    address = inet(*server.getsockname())
    server.close()
    fd = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    assert refusal(waited, socket.connect(lwp, fd, *at(lwp, address))) is Errno.ECONNREFUSED


def ready(lwp: Lwp, fd: int) -> Poll:
    """Return what poll says of a socket without waiting."""
    lwp.vmspace.copyout(DATA, bytes(Pollfd(fd, Poll.IN | Poll.OUT)))
    finish(event.poll(lwp, DATA, 1, 0))
    return Poll(lwp.vmspace.copyin_struct(DATA, Pollfd).revents)


def test_a_refused_connection_has_ended(lwp: Lwp, server: host.socket) -> None:
    address = inet(*server.getsockname())
    server.close()
    fd = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    assert refusal(waited, socket.connect(lwp, fd, *at(lwp, address))) is Errno.ECONNREFUSED
    assert ready(lwp, fd) == Poll.IN | Poll.HUP


@pytest.mark.parametrize("family", [Af.INET, Af.UNIX])
def test_a_stream_that_never_had_a_peer_is_ready_for_nothing(lwp: Lwp, family: Af) -> None:
    fd = socket.socket(lwp, family, Sock.STREAM, 0)
    assert ready(lwp, fd) == 0
    name = inet(LOOPBACK, 0) if family is Af.INET else unix(b"/tmp/name")
    socket.bind(lwp, fd, *at(lwp, name))
    assert ready(lwp, fd) == 0
    socket.listen(lwp, fd, 1)
    assert ready(lwp, fd) == 0


def test_a_datagram_socket_is_ready_to_send_without_a_peer(lwp: Lwp) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    assert ready(lwp, fd) == Poll.OUT


def test_a_local_name_that_nobody_listens_at_is_no_peer(lwp: Lwp) -> None:
    socket.bind(lwp, socket.socket(lwp, Af.UNIX, Sock.STREAM, 0), *at(lwp, unix(b"/tmp/name")))
    fd = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
    assert refusal(calls.connect, lwp, fd, *at(lwp, unix(b"/tmp/name"))) is Errno.ECONNREFUSED
    assert ready(lwp, fd) == 0


@pytest.mark.parametrize("family", [Af.INET, Af.UNIX])
def test_whoever_waits_for_a_stream_without_a_peer_hears_of_its_connection(
    lwp: Lwp, server: host.socket, family: Af
) -> None:
    name = unix(b"/tmp/name") if family is Af.UNIX else inet(*server.getsockname())
    if family is Af.UNIX:
        listener = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
        socket.bind(lwp, listener, *at(lwp, name))
        socket.listen(lwp, listener, 1)
    fd = socket.socket(lwp, family, Sock.STREAM, 0)
    kernel = lwp.proc.kernel
    other = lwp.fork(lwp.proc)
    kernel.sched.add(other)
    lwp.vmspace.copyout(DATA, bytes(Pollfd(fd, Poll.OUT)))
    call(lwp, "poll", DATA, 1, -1)
    assert not kernel.sched.poll()
    assert lwp.state is LwpState.SLEEPING
    waited(socket.connect(other, fd, *at(lwp, name)))
    assert lwp.state is LwpState.READY
    resume(lwp)
    assert lwp.vmspace.copyin_struct(DATA, Pollfd).revents == Poll.OUT


WAIT_FOR_NOTHING = """
    SYSCALL SYS_socket, AF_INET, SOCK_STREAM, 0
    mov [entry], eax
    SYSCALL SYS_poll, OFFSET entry, 1, 1000
    SYSCALL SYS_exit, rax
entry:
    .long 0
    .word POLLIN | POLLOUT
    .word 0
"""


def test_a_wait_for_a_stream_without_a_peer_times_out(boot: Boot) -> None:
    machine = boot(WAIT_FOR_NOTHING, net=True)
    assert machine.run() == 0
    assert machine.lwp.proc.kernel.clock.monotonic_ns() > 1_000_000_000


def test_a_connection_is_made_once(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    peer.close()
    address = inet(*server.getsockname())
    assert refusal(calls.connect, lwp, fd, *at(lwp, address)) is Errno.EISCONN
    assert refusal(socket.listen, lwp, fd, 1) is Errno.EINVAL
    assert refusal(calls.accept, lwp, fd, 0, 0) is Errno.EINVAL
    other = listening(lwp)
    assert refusal(calls.connect, lwp, other, *at(lwp, address)) is Errno.EOPNOTSUPP
    assert refusal(socket.bind, lwp, other, *at(lwp, address)) is Errno.EINVAL


def test_an_unconnected_stream_says_so(lwp: Lwp) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    assert refusal(put, lwp, fd, b"x") is Errno.ENOTCONN
    assert refusal(get, lwp, fd, 1) is Errno.ENOTCONN
    assert refusal(socket.getpeername, lwp, fd, NAME, LENGTH) is Errno.ENOTCONN
    assert address_of(lwp, socket.getsockname, fd) == inet("0.0.0.0", 0)


def test_a_large_message_waits_for_the_receiver(lwp: Lwp, server: host.socket) -> None:
    size = 8 << 20
    lwp.proc.vmspace.map_anonymous(0x2000_0000, 0x2000_0000 + size)
    lwp.vmspace.copyout(0x2000_0000, b"0123456789abcdef" * (size // 16))
    fd, peer = connected(lwp, server)
    with closing(peer):
        received = bytearray()
        sending = socket.sendto(lwp, fd, 0x2000_0000, size, 0, 0, 0)
        next(sending)
        try:
            while True:
                received += peer.recv(1 << 20)
                sending.send(True)
        except StopIteration as end:
            assert end.value == size
        while len(received) < size:
            received += peer.recv(1 << 20)
        assert received == b"0123456789abcdef" * (size // 16)


@pytest.mark.parametrize("family", [Af.UNIX, Af.INET])
def test_nothing_more_comes_to_a_datagram_socket_that_is_shut_down(lwp: Lwp, family: Af) -> None:
    fd = calls.socket(lwp, family, Sock.DGRAM, 0)
    if family is Af.INET:
        calls.bind(lwp, fd, *at(lwp, inet(LOOPBACK, 0)))
        calls.connect(lwp, fd, *at(lwp, inet(LOOPBACK, port_of(lwp, fd))))
    files.shutdown(lwp, fd, Shut.RD)
    assert get(lwp, fd, 10) == b""
    lwp.vmspace.copyout(LENGTH, (16).to_bytes(4, "little"))
    assert calls.recvfrom(lwp, fd, DATA, 10, 0, NAME, LENGTH) == 0
    assert lwp.vmspace.copyin(LENGTH, 4) == bytes(4)


def test_a_huge_length_costs_nothing(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        peer.send(b"abc")
        assert get(lwp, fd, 1 << 62) == b"abc"
        datagram = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
        arguments = (lwp, datagram, DATA, 1 << 62, 0, *at(lwp, inet(*server.getsockname())))
        assert refusal(calls.sendto, *arguments) is Errno.EMSGSIZE


def test_data_that_cannot_be_delivered_is_not_lost(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        peer.send(b"abcdef")
        receiving = socket.recvfrom(lwp, fd, UNMAPPED, 4, 0, 0, 0)
        assert refusal(waited, receiving) is Errno.EFAULT
        assert lwp.proc.files.get(fd).node.pending(0) == 6
        assert get(lwp, fd, 2, Msg.PEEK) == b"ab"
        assert get(lwp, fd, 6, Msg.WAITALL) == b"abcdef"


def test_all_of_it_can_be_waited_for(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        peer.send(b"ab")
        receiving = socket.recvfrom(lwp, fd, DATA, 4, Msg.WAITALL, 0, 0)
        node = lwp.proc.files.get(fd).node
        next(receiving)
        assert not node.can_read()
        peer.send(b"cd")
        assert woken(receiving) == 4
        assert lwp.vmspace.copyin(DATA, 4) == b"abcd"


def test_a_timeout_ends_the_wait(lwp: Lwp, server: host.socket) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        lwp.vmspace.copyout(SMALL, bytes(Timeval(2, 0)))
        socket.setsockopt(lwp, fd, Level.SOCKET, So.RCVTIMEO, SMALL, 16)
        receiving = socket.recvfrom(lwp, fd, DATA, 1, 0, 0, 0)
        sleep = next(receiving)
        assert sleep.deadline == lwp.proc.kernel.clock.monotonic_ns() + 2_000_000_000
        with pytest.raises(KernelError) as refused:
            receiving.send(False)
        assert refused.value.errno is Errno.EAGAIN


def test_options_are_the_hosts_where_that_matters(lwp: Lwp) -> None:
    fd = listening(lwp)
    for level, name, stored in (
        (Level.TCP, Tcp.NODELAY, 4),
        (Level.IP, 4, 1),
        (Level.SOCKET, So.REUSEADDR, 4),
        (Level.SOCKET, So.SNDBUF, 1),
    ):
        lwp.vmspace.copyout(SMALL, pack("<i", 1))
        socket.setsockopt(lwp, fd, level, name, SMALL, 4)
        lwp.vmspace.copyout(LENGTH, pack("<i", 4))
        socket.getsockopt(lwp, fd, level, name, SMALL, LENGTH)
        assert lwp.vmspace.copyin(SMALL, 4) == pack("<i", stored), name
    lwp.vmspace.copyout(SMALL, pack("<ii", 1, 1000))
    socket.setsockopt(lwp, fd, Level.SOCKET, So.LINGER, SMALL, 8)
    refused = (lwp, fd, Level.IP, 12, SMALL, 8)  # IP_ADD_MEMBERSHIP
    assert refusal(socket.setsockopt, *refused) is Errno.ENOPROTOOPT


def test_only_a_linger_of_no_time_at_all_breaks_the_connection_off(
    lwp: Lwp, server: host.socket
) -> None:
    for linger, breaks_off in (
        (((1, 0),), True),
        (((1, 0), (1, 5)), False),
        (((1, 0), (0, 0)), False),
    ):
        fd, peer = connected(lwp, server)
        with closing(peer):
            for each in linger:
                lwp.vmspace.copyout(SMALL, pack("<ii", *each))
                socket.setsockopt(lwp, fd, Level.SOCKET, So.LINGER, SMALL, 8)
            file.close(lwp, fd)
            if breaks_off:
                with pytest.raises(ConnectionResetError):
                    peer.recv(1)
            else:
                assert peer.recv(1) == b""


def test_a_socket_is_one(lwp: Lwp) -> None:
    file.fstat(lwp, listening(lwp), SMALL)
    status = Stat.from_buffer_copy(lwp.vmspace.copyin(SMALL, 128))
    assert (status.st_mode, status.st_size) == (Mode.SOCK | 0o666, 0)


# Datagrams


def test_datagrams_go_both_ways(lwp: Lwp) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    with closing(host.socket(host.AF_INET, host.SOCK_DGRAM)) as peer:
        peer.bind((LOOPBACK, 0))
        to = inet(*peer.getsockname())
        assert put(lwp, fd, b"question", 0, to) == 8
        data, source = peer.recvfrom(100)
        assert data == b"question" and source == (LOOPBACK, port_of(lwp, fd))
        peer.sendto(b"answer", source)
        lwp.vmspace.copyout(LENGTH, pack("<i", 255))
        assert waited(socket.recvfrom(lwp, fd, DATA, 100, 0, NAME, LENGTH)) == 6
        assert lwp.vmspace.copyin(NAME, 16) == to
        peer.sendto(b"too long", source)
        lwp.vmspace.copyout(SMALL, bytes(Iovec(DATA, 3)))
        lwp.vmspace.copyout(NAME, bytes(Msghdr(msg_iov=SMALL, msg_iovlen=1)))
        assert waited(socket.recvmsg(lwp, fd, NAME, 0)) == 3
        assert Msghdr.from_buffer_copy(lwp.vmspace.copyin(NAME, 48)).msg_flags == Msg.TRUNC
        waited(socket.connect(lwp, fd, *at(lwp, to)))
        assert refusal(put, lwp, fd, b"x", 0, to) is Errno.EISCONN
        assert put(lwp, fd, b"") == 0
        assert peer.recv(100) == b""
        assert refusal(put, lwp, fd, bytes(9217)) is Errno.EMSGSIZE


def test_port_0_is_nobodys(lwp: Lwp) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    assert refusal(put, lwp, fd, b"x", 0, inet(LOOPBACK, 0)) is Errno.EADDRNOTAVAIL
    assert refusal(put, lwp, fd, b"x") is Errno.EDESTADDRREQ


@pytest.mark.parametrize(
    ("address", "size", "errno"),
    [
        (NAME, 256, Errno.ENAMETOOLONG),
        (NAME, -1, Errno.ENAMETOOLONG),
        (NAME, 1, Errno.EDOM),
        (NAME, 8, Errno.EINVAL),
        (UNMAPPED, 16, Errno.EFAULT),
    ],
)
def test_an_address_is_checked(lwp: Lwp, address: int, size: int, errno: Errno) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    at(lwp, inet(LOOPBACK, 9))
    assert refusal(socket.bind, lwp, fd, address, size) is errno
    assert refusal(calls.connect, lwp, fd, address, size) is errno
    assert refusal(calls.sendto, lwp, fd, DATA, 1, 0, address, size) is errno


def test_an_address_of_another_family_is_refused(lwp: Lwp) -> None:
    fd = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    address = bytes((16, Af.UNIX)) + inet(LOOPBACK, 9)[2:]
    assert refusal(calls.connect, lwp, fd, *at(lwp, address)) is Errno.EAFNOSUPPORT


# Local sockets


def bound(lwp: Lwp, name: bytes, kind: Sock = Sock.STREAM) -> int:
    fd = socket.socket(lwp, Af.UNIX, kind, 0)
    socket.bind(lwp, fd, *at(lwp, unix(name)))
    return fd


def test_local_sockets_meet_at_a_name(lwp: Lwp) -> None:
    server = bound(lwp, b"/tmp/name")
    socket.listen(lwp, server, 5)
    client = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
    waited(socket.connect(lwp, client, *at(lwp, unix(b"tmp/../tmp/name\0junk"))))
    connection = waited(socket.accept(lwp, server, 0, 0))
    put(lwp, client, b"question")
    assert get(lwp, connection, 100) == b"question"
    assert address_of(lwp, socket.getsockname, connection) == unix(b"/tmp/name")
    assert address_of(lwp, socket.getpeername, connection) == SUN_NONAME
    lwp.vmspace.copyout(NAME, b"/tmp/name\0")
    paths.stat(lwp, NAME, SMALL)
    mode = Stat.from_buffer_copy(lwp.vmspace.copyin(SMALL, 128)).st_mode
    assert mode & Mode.FMT == Mode.SOCK
    assert mode & 0o777 == 0o755


def test_a_name_may_be_too_long_for_the_host(lwp: Lwp) -> None:
    """To bind to it is not possible, but it may have got it later."""
    server = bound(lwp, b"/tmp/name")
    socket.listen(lwp, server, 5)
    lwp.vmspace.copyout(NAME, b"/tmp/name\0")
    lwp.vmspace.copyout(SMALL, b"/tmp/" + b"x" * 200 + b"\0")
    paths.rename(lwp, NAME, SMALL)
    client = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
    waited(socket.connect(lwp, client, *at(lwp, unix(b"/tmp/" + b"x" * 200))))


def test_a_datagram_comes_from_a_name(lwp: Lwp) -> None:
    one = bound(lwp, b"/tmp/one", Sock.DGRAM)
    other = bound(lwp, b"/tmp/other", Sock.DGRAM)
    put(lwp, one, b"abc", 0, unix(b"/tmp/other"))
    lwp.vmspace.copyout(LENGTH, pack("<i", 255))
    assert waited(socket.recvfrom(lwp, other, DATA, 100, 0, NAME, LENGTH)) == 3
    assert lwp.vmspace.copyin(NAME, 10) == unix(b"/tmp/one")
    nameless = socket.socket(lwp, Af.UNIX, Sock.DGRAM, 0)
    put(lwp, nameless, b"abc", 0, unix(b"/tmp/other"))
    lwp.vmspace.copyout(LENGTH, pack("<i", 255))
    waited(socket.recvfrom(lwp, other, DATA, 100, 0, NAME, LENGTH))
    assert lwp.vmspace.copyin(NAME, 16) == SUN_NONAME


def test_a_receiver_that_does_not_keep_up_is_enobufs(lwp: Lwp) -> None:
    other = bound(lwp, b"/tmp/other", Sock.DGRAM)
    one = socket.socket(lwp, Af.UNIX, Sock.DGRAM, 0)
    with pytest.raises(KernelError) as refused:
        while True:
            put(lwp, one, b"x", 0, unix(b"/tmp/other"))
    assert refused.value.errno is Errno.ENOBUFS
    assert get(lwp, other, 10) == b"x"


def test_a_name_leads_nowhere_outside_the_tree(lwp: Lwp, tmp_path: Any) -> None:
    outside = os.fsencode(tmp_path / "socket")
    with closing(host.socket(host.AF_UNIX, host.SOCK_STREAM)) as server:
        server.bind(outside)
        server.listen()
        fd = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
        for name in (outside, b"../../../../.." + outside):
            assert refusal(calls.connect, lwp, fd, *at(lwp, unix(name))) is Errno.ENOENT
    assert refusal(socket.bind, lwp, fd, *at(lwp, unix(outside))) is Errno.ENOENT


@pytest.mark.parametrize(
    ("name", "on_bind", "on_connect"),
    [
        (b"", Errno.EINVAL, Errno.EINVAL),
        (b"\0abstract", Errno.ENOENT, Errno.ENOENT),
        (b"/tmp", Errno.EADDRINUSE, Errno.ENOTSOCK),
        (b"/dev/null", Errno.EADDRINUSE, Errno.ENOTSOCK),
        (b"/nowhere/x", Errno.ENOENT, Errno.ENOENT),
        (b"/tmp/" + b"x" * 200, Errno.ENAMETOOLONG, Errno.ENOENT),
    ],
)
def test_a_local_name_is_checked(lwp: Lwp, name: bytes, on_bind: Errno, on_connect: Errno) -> None:
    fd = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
    assert refusal(socket.bind, lwp, fd, *at(lwp, unix(name))) is on_bind
    assert refusal(calls.connect, lwp, fd, *at(lwp, unix(name))) is on_connect
    assert refusal(socket.listen, lwp, fd, 1) is Errno.EINVAL


def test_a_name_is_taken_once(lwp: Lwp) -> None:
    fd = bound(lwp, b"/tmp/name")
    assert refusal(bound, lwp, b"/tmp/name") is Errno.EADDRINUSE
    assert refusal(socket.bind, lwp, fd, *at(lwp, unix(b"/tmp/other"))) is Errno.EINVAL
    client = socket.socket(lwp, Af.UNIX, Sock.STREAM, 0)
    address = at(lwp, unix(b"/tmp/name"))
    assert refusal(calls.connect, lwp, client, *address) is Errno.ECONNREFUSED
    wrong = socket.socket(lwp, Af.UNIX, Sock.DGRAM, 0)
    assert refusal(calls.connect, lwp, wrong, *address) is Errno.EPROTOTYPE


def test_files_are_not_sent_where_the_host_carries_the_message(lwp: Lwp) -> None:
    one = bound(lwp, b"/tmp/one", Sock.DGRAM)
    lwp.vmspace.copyout(SMALL, pack("<Iiii", 16, Level.SOCKET, 1, one))
    lwp.vmspace.copyout(NAME, bytes(Msghdr(msg_control=SMALL, msg_controllen=16)))
    assert refusal(calls.sendmsg, lwp, one, NAME, 0) is Errno.EOPNOTSUPP
    assert lwp.proc.files.get(one).refs == 1


# sendfile


def sent_file(lwp: Lwp, fd: int, *arguments: int) -> int:
    waited(socket.sendfile(lwp, lwp.proc.files.dup(0), fd, *arguments, SMALL, 0))
    return int.from_bytes(lwp.vmspace.copyin(SMALL, 8), "little")


@pytest.fixture
def contents(lwp: Lwp) -> bytes:
    """What is in the file that descriptor 0 stands for."""
    lwp.vmspace.copyout(NAME, b"/file\0")
    assert paths.open(lwp, NAME, Open.CREAT | Open.RDWR, 0o644) == 0
    data = bytes(range(256)) * 40
    lwp.vmspace.copyout(DATA, data)
    assert files.write(lwp, 0, DATA, len(data)) == 10240
    return data


def test_a_file_is_sent(lwp: Lwp, server: host.socket, contents: bytes) -> None:
    fd, peer = connected(lwp, server)
    with closing(peer):
        assert sent_file(lwp, fd, 0, 0, 0) == 10240
        assert sent_file(lwp, fd, 100, 5000, 0) == 5000
        assert sent_file(lwp, fd, 20000, 0, 0) == 0
        lwp.vmspace.copyout(NAME, pack("<QIxxxxQIxxxx", LENGTH, 1, LENGTH, 1))
        lwp.vmspace.copyout(LENGTH, bytes(Iovec(DATA + 1, 3)))
        assert sent_file(lwp, fd, 10000, 0, NAME) == 3 + 240 + 3
        file.close(lwp, fd)
        received = b"".join(iter(lambda: peer.recv(1 << 16), b""))
    edge = b"\x01\x02\x03"
    assert received == contents + contents[100:5100] + edge + contents[10000:] + edge


def test_a_file_that_cannot_be_sent(lwp: Lwp, server: host.socket, contents: bytes) -> None:
    fd, peer = connected(lwp, server)
    unconnected = socket.socket(lwp, Af.INET, Sock.STREAM, 0)
    datagram = socket.socket(lwp, Af.INET, Sock.DGRAM, 0)
    with closing(peer):
        for arguments, errno in (
            ((99, fd, 0, 0, 0, 0, 0), Errno.EBADF),
            ((fd, fd, 0, 0, 0, 0, 0), Errno.EINVAL),
            ((0, 0, 0, 0, 0, 0, 0), Errno.ENOTSOCK),
            ((0, datagram, 0, 0, 0, 0, 0), Errno.EINVAL),
            ((0, unconnected, 0, 0, 0, 0, 0), Errno.ENOTCONN),
            ((0, fd, -1, 0, 0, 0, 0), Errno.EINVAL),
            ((0, fd, 0, 0, UNMAPPED, 0, 0), Errno.EFAULT),
        ):
            assert refusal(waited, socket.sendfile(lwp, *arguments)) is errno


# Whole programs


def test_a_program_asks_a_server(boot: Boot, server: host.socket) -> None:
    machine = boot(
        """
            SYSCALL SYS_socket, AF_INET, SOCK_STREAM, 0
            CHECK_OK 1
            mov r12, rax
            SYSCALL SYS_connect, r12, address, 16
            CHECK_OK 2
            SYSCALL SYS_write, r12, question, 8
            CHECK_EQ 3, rax, 8
            SYSCALL SYS_recvfrom, r12, question, 100, MSG_WAITALL
            CHECK_EQ 4, rax, 7
            CHECK_EQ 5, [question], 0x6e21726577736e61
            DONE
        question: .ascii "question"
        address:  .byte 16, AF_INET, """
        + ", ".join(map(str, inet(*server.getsockname())[2:8]))
        + """
            .fill 108
        """,
        net=True,
    )

    def answer() -> None:
        peer, _ = server.accept()
        with closing(peer):
            assert peer.recv(100) == b"question"
            peer.send(b"answer!")

    thread = Thread(target=answer)
    thread.start()
    assert machine.run() == 0
    thread.join()


def test_a_program_serves_until_its_client_is_gone(boot: Boot) -> None:
    """It tells its address to a datagram socket, and then echoes what its client sends."""
    with closing(host.socket(host.AF_INET, host.SOCK_DGRAM)) as mailbox:
        mailbox.bind((LOOPBACK, 0))
        told = ", ".join(map(str, inet(*mailbox.getsockname())[2:8]))
        machine = boot(
            f"""
                SYSCALL SYS_socket, AF_INET, SOCK_STREAM, 0
                mov r12, rax
                SYSCALL SYS_listen, r12, 1
                CHECK_OK 1
                SYSCALL SYS_getsockname, r12, name, length
                CHECK_OK 2
                SYSCALL SYS_socket, AF_INET, SOCK_DGRAM, 0
                SYSCALL SYS_sendto, rax, name, 16, 0, mailbox, 16
                CHECK_EQ 3, rax, 16
                SYSCALL SYS_accept, r12
                CHECK_OK 4
                mov r12, rax
            echo:
                SYSCALL SYS_read, r12, name, 64
                CHECK_OK 5
                mov r13, rax
                SYSCALL SYS_write, r12, name, r13
                test r13, r13
                jnz echo
                DONE
            length:   .long 16
            mailbox:  .byte 16, AF_INET, {told}
                .fill 8
            name:     .fill 64
            """,
            net=True,
        )
        echoed: list[bytes] = []

        def ask() -> None:
            port = int.from_bytes(mailbox.recv(16)[2:4], "big")
            with closing(host.create_connection((LOOPBACK, port))) as client:
                for word in b"one", b"two":
                    client.send(word)
                    echoed.append(client.recv(100))

        thread = Thread(target=ask)
        thread.start()
        assert machine.run() == 0
        thread.join()
        assert echoed == [b"one", b"two"]


def test_a_call_sleeps_while_another_lwp_runs(lwp: Lwp) -> None:
    fd = listening(lwp)
    kernel = lwp.proc.kernel
    other = lwp.fork(lwp.proc)
    kernel.sched.add(other)
    call(lwp, "accept", fd, 0, 0)
    assert lwp.state is LwpState.SLEEPING
    assert kernel.sched.choose() is other
    file.close(other, fd)  # the sleeper still has it
    with closing(host.socket()) as peer:
        sleep = lwp.sleep
        assert sleep is not None
        ((host_fd, _),) = sleep.fds
        listener = host.socket(fileno=os.dup(host_fd))
        with closing(listener):
            peer.connect(listener.getsockname())
        assert kernel.sched.poll()
    assert lwp.state is LwpState.READY
    assert lwp.call is not None
    lwp.call.close()
    lwp.call = None
