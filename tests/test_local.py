"""Pairs of local sockets, and the files that are sent through them (uipc_usrreq.c)."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from struct import pack, unpack
from typing import Any

import pytest
from conftest import Finishing, call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode, Open
from emu.abi.ioctl import Ioctl
from emu.abi.signal import Signal
from emu.abi.socket import (
    LOCAL_PEERCRED,
    PIPSIZ,
    SUN_NONAME,
    Af,
    Cmsghdr,
    Level,
    Msg,
    Msghdr,
    Scm,
    Shut,
    So,
    Sock,
)
from emu.abi.structs import Iovec, Stat, Timeval
from emu.kern.file import File, FileTable
from emu.kern.local import LocalSocket
from emu.kern.pipe import Pipe
from emu.kern.proc import Lwp
from emu.kern.sigacts import bit
from syscalls import file, socket

calls = Finishing(socket)
files = Finishing(file)

DATA = 0x1000_0000
HEADER = DATA + 0x20000
CONTROL = HEADER + 0x1000
SMALL = CONTROL + 0x1000
UNMAPPED = 0xDEAD_0000


@pytest.fixture(autouse=True)
def memory(lwp: Lwp) -> Iterator[None]:
    """In the end nothing is on its way."""
    lwp.proc.vmspace.map_anonymous(DATA, SMALL + 0x1000)
    yield
    lwp.proc.files.close_all()
    assert lwp.proc.kernel.messages == 0


def pair(lwp: Lwp, kind: Sock = Sock.STREAM) -> tuple[int, int]:
    socket.socketpair(lwp, Af.UNIX, kind, 0, SMALL)
    one, other = unpack("<ii", lwp.vmspace.copyin(SMALL, 8))
    return one, other


@pytest.fixture
def stream(lwp: Lwp) -> tuple[int, int]:
    return pair(lwp)


@pytest.fixture
def datagrams(lwp: Lwp) -> tuple[int, int]:
    return pair(lwp, Sock.DGRAM)


def put(lwp: Lwp, fd: int, data: bytes, flags: int = 0) -> Any:
    lwp.vmspace.copyout(DATA, data)
    return calls.sendto(lwp, fd, DATA, len(data), flags, 0, 0)


def get(lwp: Lwp, fd: int, size: int, flags: int = 0) -> bytes:
    count = calls.recvfrom(lwp, fd, DATA, size, flags, 0, 0)
    return lwp.vmspace.copyin(DATA, count)


def message(lwp: Lwp, size: int, control: int = 0, room: int = 0, name: int = 0) -> int:
    """Store a struct msghdr for `size` bytes at DATA."""
    lwp.vmspace.copyout(HEADER + 0x100, bytes(Iovec(DATA, size)))
    header = Msghdr(
        msg_name=name,
        msg_namelen=16,
        msg_iov=HEADER + 0x100,
        msg_iovlen=1,
        msg_control=control,
        msg_controllen=room,
        msg_flags=-1,
    )
    lwp.vmspace.copyout(HEADER, bytes(header))
    return HEADER


def send_files(lwp: Lwp, fd: int, data: bytes, *fds: int) -> Any:
    control = pack(f"<Iii{len(fds)}i", 12 + 4 * len(fds), Level.SOCKET, Scm.RIGHTS, *fds)
    lwp.vmspace.copyout(CONTROL, control)
    lwp.vmspace.copyout(DATA, data)
    return calls.sendmsg(lwp, fd, message(lwp, len(data), CONTROL, len(control)), 0)


def receive_files(
    lwp: Lwp, fd: int, size: int, flags: int = 0, room: int = 64
) -> tuple[bytes, list[int], int]:
    """Return data, descriptors and the message's flags."""
    count = calls.recvmsg(lwp, fd, message(lwp, size, CONTROL, room), flags)
    header = Msghdr.from_buffer_copy(lwp.vmspace.copyin(HEADER, 48))
    control = lwp.vmspace.copyin(CONTROL, header.msg_controllen)
    received: list[int] = []
    if control:
        head = Cmsghdr.from_buffer_copy(control)
        assert (head.cmsg_level, head.cmsg_type) == (Level.SOCKET, Scm.RIGHTS)
        received = list(memoryview(control[12:]).cast("i"))
    return lwp.vmspace.copyin(DATA, count), received, header.msg_flags


def option(lwp: Lwp, fd: int, name: int, level: int = Level.SOCKET) -> bytes:
    lwp.vmspace.copyout(SMALL, pack("<i", 16))
    socket.getsockopt(lwp, fd, level, name, SMALL + 8, SMALL)
    return lwp.vmspace.copyin(SMALL + 8, int.from_bytes(lwp.vmspace.copyin(SMALL, 4), "little"))


def set_option(lwp: Lwp, fd: int, name: int, value: bytes) -> None:
    lwp.vmspace.copyout(SMALL, value)
    socket.setsockopt(lwp, fd, Level.SOCKET, name, SMALL, len(value))


def refusal(call: Callable[..., Any], *args: Any) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


def started(transfer: Any) -> Generator[Any, bool, int]:
    next(transfer)
    assert isinstance(transfer, Generator)
    return transfer


def finished(transfer: Generator[Any, bool, int]) -> int:
    with pytest.raises(StopIteration) as end:
        transfer.send(True)
    result = end.value.value
    assert isinstance(result, int)
    return result


# Making a pair


@pytest.mark.parametrize(
    ("domain", "kind", "protocol", "errno"),
    [
        (Af.INET, Sock.STREAM, 0, Errno.EOPNOTSUPP),
        (Af.UNIX, Sock.RAW, 0, Errno.EPROTONOSUPPORT),
        (Af.UNIX, Sock.STREAM, 6, Errno.EPROTONOSUPPORT),
        (Af.INET6, Sock.STREAM, 0, Errno.EPROTONOSUPPORT),
        (99, 1, 0, Errno.EPROTONOSUPPORT),
    ],
)
def test_only_local_sockets_come_in_pairs(
    lwp: Lwp, domain: int, kind: int, protocol: int, errno: Errno
) -> None:
    assert refusal(socket.socketpair, lwp, domain, kind, protocol, SMALL) is errno
    assert lwp.proc.files.lowest_free() == 0


def test_a_pair_that_cannot_be_told_is_not_made(lwp: Lwp) -> None:
    arguments = (lwp, Af.UNIX, Sock.STREAM, 0, UNMAPPED)
    assert refusal(socket.socketpair, *arguments) is Errno.EFAULT
    assert lwp.proc.files.lowest_free() == 0


def test_a_pair_needs_two_descriptors(lwp: Lwp, stream: tuple[int, int]) -> None:
    while lwp.proc.files.lowest_free() < 1023:
        file.dup(lwp, stream[0])
    assert call(lwp, "socketpair", Af.UNIX, Sock.STREAM, 0, SMALL) is Errno.EMFILE
    assert lwp.proc.files.lowest_free() == 1023


# Streams


def test_a_stream_has_no_records(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    assert put(lwp, one, b"abc") == 3
    assert put(lwp, one, b"def") == 3
    assert get(lwp, other, 4) == b"abcd"
    assert files.read(lwp, other, DATA, 100) == 2
    lwp.vmspace.copyout(DATA, b"back")
    assert files.write(lwp, other, DATA, 4) == 4
    assert get(lwp, one, 100) == b"back"
    assert refusal(put, lwp, one, b"x", Msg.EOR) is Errno.EINVAL


def test_a_stream_holds_as_much_as_its_sender_may_send(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    lwp.vmspace.copyout(DATA, b"x" * PIPSIZ)
    size = PIPSIZ + 10
    sending = started(socket.sendto(lwp, one, DATA, size, 0, 0, 0))
    assert refusal(put, lwp, one, b"x", Msg.DONTWAIT) is Errno.EAGAIN
    assert get(lwp, other, 1 << 40) == b"x" * PIPSIZ
    assert finished(sending) == size
    assert len(get(lwp, other, 100)) == 10


def test_what_is_there_can_be_looked_at(lwp: Lwp, stream: tuple[int, int]) -> None:
    put(lwp, stream[0], b"abc")
    assert get(lwp, stream[1], 2, Msg.PEEK) == b"ab"
    files.ioctl(lwp, stream[1], Ioctl.FIONREAD, SMALL)
    assert lwp.vmspace.copyin(SMALL, 4) == b"\x03\0\0\0"
    assert get(lwp, stream[1], 100) == b"abc"


def test_all_of_it_can_be_waited_for(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    put(lwp, one, b"ab")
    receiving = started(socket.recvfrom(lwp, other, DATA + 100, 6, Msg.WAITALL, 0, 0))
    put(lwp, one, b"cd")
    receiving.send(True)
    put(lwp, one, b"ef")
    assert finished(receiving) == 6
    assert lwp.vmspace.copyin(DATA + 100, 6) == b"abcdef"


def test_a_peer_that_is_closed_is_the_end(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    put(lwp, one, b"last")
    file.close(lwp, one)
    assert get(lwp, other, 100) == b"last"
    assert get(lwp, other, 100) == b""
    assert refusal(put, lwp, other, b"x") is Errno.EPIPE
    assert lwp.pending == bit(Signal.PIPE)
    lwp.pending = 0
    assert refusal(put, lwp, other, b"x", Msg.NOSIGNAL) is Errno.EPIPE
    assert lwp.pending == 0
    assert refusal(socket.getpeername, lwp, other, SMALL, CONTROL) is Errno.ENOTCONN


def test_there_are_two_directions(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    assert refusal(file.shutdown, lwp, one, 3) is Errno.EINVAL
    file.shutdown(lwp, one, Shut.WR)
    assert get(lwp, other, 1) == b""
    assert refusal(put, lwp, one, b"x") is Errno.EPIPE
    assert put(lwp, other, b"x") == 1
    file.shutdown(lwp, one, Shut.RD)
    assert get(lwp, one, 1) == b""


def test_a_timeout_ends_the_wait(lwp: Lwp, stream: tuple[int, int]) -> None:
    set_option(lwp, stream[0], So.RCVTIMEO, bytes(Timeval(0, 25_000)))
    assert Timeval.from_buffer_copy(option(lwp, stream[0], So.RCVTIMEO)).tv_usec == 20_000
    receiving = socket.recvfrom(lwp, stream[0], DATA, 1, 0, 0, 0)
    sleep = next(receiving)
    assert sleep.deadline == lwp.proc.kernel.clock.monotonic_ns() + 20_000_000
    with pytest.raises(KernelError) as refused:
        receiving.send(False)
    assert refused.value.errno is Errno.EAGAIN


def test_a_receiver_sleeps_until_something_comes(lwp: Lwp, stream: tuple[int, int]) -> None:
    node = lwp.proc.files.get(stream[1]).node
    assert not node.can_read() and node.can_write()
    receiving = started(socket.recvfrom(lwp, stream[1], DATA, 1, 0, 0, 0))
    put(lwp, stream[0], b"abc")
    assert node.can_read()
    assert finished(receiving) == 1


# Messages


@pytest.mark.parametrize("kind", [Sock.DGRAM, Sock.SEQPACKET])
def test_messages_stay_apart(lwp: Lwp, kind: Sock) -> None:
    one, other = pair(lwp, kind)
    put(lwp, one, b"first")
    put(lwp, one, b"second")
    assert get(lwp, other, 3) == b"fir"
    assert get(lwp, other, 100) == b"second"


def test_a_cut_message_is_marked(lwp: Lwp, datagrams: tuple[int, int]) -> None:
    put(lwp, datagrams[0], b"abc")
    assert receive_files(lwp, datagrams[1], 2) == (b"ab", [], Msg.TRUNC)


def test_an_empty_datagram_is_one_too(lwp: Lwp, datagrams: tuple[int, int]) -> None:
    assert put(lwp, datagrams[0], b"") == 0
    assert put(lwp, datagrams[0], b"next") == 4
    assert get(lwp, datagrams[1], 100) == b""
    assert get(lwp, datagrams[1], 100) == b"next"


def test_a_datagram_comes_from_somebody_without_a_name(
    lwp: Lwp, datagrams: tuple[int, int]
) -> None:
    put(lwp, datagrams[0], b"abc")
    lwp.vmspace.copyout(SMALL, pack("<i", 100))
    assert calls.recvfrom(lwp, datagrams[1], DATA, 10, 0, SMALL + 8, SMALL) == 3
    assert lwp.vmspace.copyin(SMALL, 4) == b"\x10\0\0\0"
    assert lwp.vmspace.copyin(SMALL + 8, 16) == SUN_NONAME


def test_a_datagram_is_not_larger_than_2048_bytes(lwp: Lwp, datagrams: tuple[int, int]) -> None:
    assert refusal(put, lwp, datagrams[0], bytes(2049)) is Errno.EMSGSIZE
    huge = (lwp, datagrams[0], DATA, 1 << 62, 0, 0, 0)
    assert refusal(calls.sendto, *huge) is Errno.EMSGSIZE


@pytest.mark.parametrize(("size", "messages"), [(2000, 3), (0, 32)])
def test_a_receiver_that_does_not_keep_up_loses_no_memory(
    lwp: Lwp, datagrams: tuple[int, int], size: int, messages: int
) -> None:
    for _ in range(messages):
        put(lwp, datagrams[0], bytes(size))
    assert refusal(put, lwp, datagrams[0], b"x") is Errno.ENOBUFS
    for _ in range(messages):
        assert len(get(lwp, datagrams[1], 4096)) == size
    assert put(lwp, datagrams[0], b"x") == 1


def test_a_datagram_socket_hears_once_that_its_peer_is_gone(
    lwp: Lwp, datagrams: tuple[int, int]
) -> None:
    file.close(lwp, datagrams[1])
    assert refusal(get, lwp, datagrams[0], 1) is Errno.ECONNRESET
    assert refusal(get, lwp, datagrams[0], 1, Msg.DONTWAIT) is Errno.EAGAIN
    assert refusal(put, lwp, datagrams[0], b"x") is Errno.EDESTADDRREQ


# Files in messages


def test_a_file_is_received_under_another_number(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    read_end = file.pipe(lwp)
    write_end = lwp.frame.rdx
    assert send_files(lwp, one, b"take it", write_end) == 7
    file.close(lwp, write_end)
    data, received, flags = receive_files(lwp, other, 100)
    assert (data, received, flags) == (b"take it", [write_end], 0)
    lwp.vmspace.copyout(DATA, b"through")
    files.write(lwp, received[0], DATA, 7)
    assert files.read(lwp, read_end, DATA, 100) == 7
    assert lwp.proc.kernel.rights.count == 0


def test_a_stream_is_read_up_to_the_files(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = stream
    put(lwp, one, b"before")
    send_files(lwp, one, b"with", one)
    put(lwp, one, b"after")
    assert receive_files(lwp, other, 100) == (b"before", [], 0)
    assert receive_files(lwp, other, 2) == (b"wi", [2], 0)
    assert receive_files(lwp, other, 100) == (b"thafter", [], 0)


def test_files_need_no_data(lwp: Lwp, stream: tuple[int, int]) -> None:
    assert send_files(lwp, stream[0], b"", stream[0]) == 0
    assert receive_files(lwp, stream[1], 100) == (b"", [2], 0)


def test_a_receiver_that_does_not_ask_loses_the_files(lwp: Lwp, stream: tuple[int, int]) -> None:
    held = lwp.proc.files.get(stream[0])
    send_files(lwp, stream[0], b"abc", stream[0])
    assert held.refs == 2
    assert get(lwp, stream[1], 100) == b"abc"
    assert held.refs == 1


def test_looking_leaves_the_files(lwp: Lwp, stream: tuple[int, int]) -> None:
    send_files(lwp, stream[0], b"abc", stream[0])
    assert receive_files(lwp, stream[1], 100, Msg.PEEK) == (b"abc", [], Msg.PEEK)
    assert receive_files(lwp, stream[1], 100) == (b"abc", [2], 0)


def test_an_empty_message_with_files_can_be_looked_at(lwp: Lwp, stream: tuple[int, int]) -> None:
    send_files(lwp, stream[0], b"", stream[0])
    assert get(lwp, stream[1], 100, Msg.PEEK) == b""


def test_a_receiver_without_room_loses_the_files_and_not_the_data(
    lwp: Lwp, stream: tuple[int, int]
) -> None:
    held = lwp.proc.files.get(stream[0])
    send_files(lwp, stream[0], b"abc", stream[0], stream[0])
    while lwp.proc.files.lowest_free() < 1023:
        file.dup(lwp, stream[1])
    assert refusal(receive_files, lwp, stream[1], 100) is Errno.EMSGSIZE
    assert held.refs == 1
    assert receive_files(lwp, stream[1], 100) == (b"abc", [], 0)


def test_files_nobody_receives_are_closed(lwp: Lwp, stream: tuple[int, int]) -> None:
    one, other = Pipe.pair(lwp.proc.kernel)
    sent = lwp.proc.files.add(File(one, Open.RDWR))
    send_files(lwp, stream[0], b"x", sent)
    file.close(lwp, sent)
    assert not other.can_read()
    file.close(lwp, stream[1])
    assert other.can_read()
    assert lwp.proc.kernel.rights.count == 0


def test_a_long_chain_of_sockets_in_flight_is_closed(lwp: Lwp, stream: tuple[int, int]) -> None:
    """Each holds the one before it, and only the last is held by a descriptor."""
    one, other = Pipe.pair(lwp.proc.kernel)
    held = lwp.proc.files.add(File(one, Open.RDWR))
    for _ in range(1000):
        first, second = pair(lwp)
        send_files(lwp, first, b"x", held)
        file.close(lwp, held)
        file.close(lwp, first)
        held = second
    assert not other.can_read()
    file.close(lwp, held)
    assert other.can_read()


def test_not_too_many_files_are_in_flight(lwp: Lwp, stream: tuple[int, int]) -> None:
    limit = lwp.proc.kernel.limits.rights
    assert limit == 1024
    for _ in range(limit // 64):
        send_files(lwp, stream[0], b"x", *[stream[0]] * 64)
    held = lwp.proc.files.get(stream[0])
    assert held.refs == 1025
    assert refusal(send_files, lwp, stream[0], b"x", stream[0]) is Errno.ENOBUFS
    assert held.refs == 1025


def test_a_sender_that_is_ended_gives_the_files_up(lwp: Lwp, stream: tuple[int, int]) -> None:
    held = lwp.proc.files.get(stream[1])
    put(lwp, stream[0], bytes(PIPSIZ))
    lwp.vmspace.copyout(CONTROL, pack("<Iiii", 16, Level.SOCKET, Scm.RIGHTS, stream[1]))
    sending = started(socket.sendmsg(lwp, stream[0], message(lwp, 1, CONTROL, 16), 0))
    assert held.refs == 2
    sending.close()
    assert held.refs == 1


@pytest.mark.parametrize(
    ("control", "errno"),
    [
        (pack("<Iiii", 16, Level.SOCKET, Scm.RIGHTS, 999), Errno.EBADF),
        (pack("<Iiii", 16, 0, Scm.RIGHTS, 0), Errno.EINVAL),
        (pack("<Iiii", 16, Level.SOCKET, Scm.TIMESTAMP, 0), Errno.EINVAL),
        (pack("<Iiii", 12, Level.SOCKET, Scm.RIGHTS, 0), Errno.EINVAL),
        (pack("<Iiii", 4, Level.SOCKET, Scm.RIGHTS, 0), Errno.EINVAL),
        (pack("<Iiii", 0xFFFF_FFFF, Level.SOCKET, Scm.RIGHTS, 0), Errno.EINVAL),
        (bytes(11), Errno.EINVAL),
        (bytes(353), Errno.EINVAL),
    ],
)
def test_a_control_message_is_checked(
    lwp: Lwp, stream: tuple[int, int], control: bytes, errno: Errno
) -> None:
    lwp.vmspace.copyout(CONTROL, control)
    header = message(lwp, 1, CONTROL, len(control))
    assert refusal(calls.sendmsg, lwp, stream[0], header, 0) is errno
    assert refusal(get, lwp, stream[1], 1, Msg.DONTWAIT) is Errno.EAGAIN


def test_the_kernel_says_who_has_sent_a_message(lwp: Lwp, stream: tuple[int, int]) -> None:
    lwp.vmspace.copyout(CONTROL, pack("<Iii", 96, Level.SOCKET, Scm.CREDS) + b"\xff" * 84)
    calls.sendmsg(lwp, stream[0], message(lwp, 1, CONTROL, 96), 0)
    calls.recvmsg(lwp, stream[1], message(lwp, 1, CONTROL, 100), 0)
    received = lwp.vmspace.copyin(CONTROL, 36)
    assert unpack("<Iii", received[:12]) == (96, Level.SOCKET, Scm.CREDS)
    assert unpack("<iIIIhhI", received[12:]) == (lwp.proc.pid, 0, 0, 0, 1, 0, 0)


# What can be asked


def test_a_socket_is_one(lwp: Lwp, stream: tuple[int, int]) -> None:
    file.fstat(lwp, stream[0], SMALL)
    status = Stat.from_buffer_copy(lwp.vmspace.copyin(SMALL, 128))
    assert status.st_mode == Mode.SOCK | 0o666
    assert refusal(calls.sendto, lwp, lwp.proc.files.add(_pipe(lwp)), DATA, 1, 0, 0, 0) is (
        Errno.ENOTSOCK
    )


def _pipe(lwp: Lwp) -> File:
    return File(Pipe(lwp.proc.kernel), Open.RDWR)


def test_a_pair_has_no_names(lwp: Lwp, stream: tuple[int, int]) -> None:
    lwp.vmspace.copyout(SMALL, pack("<i", 100))
    socket.getsockname(lwp, stream[0], SMALL + 8, SMALL)
    assert lwp.vmspace.copyin(SMALL, 4) == bytes(4)
    lwp.vmspace.copyout(SMALL, pack("<iii", 2, 0, -1))
    socket.getpeername(lwp, stream[0], SMALL + 8, SMALL)
    assert lwp.vmspace.copyin(SMALL, 12) == pack("<iibbh", 2, 0, 16, Af.UNIX, -1)


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        (So.REUSEADDR, pack("<i", 1), pack("<i", 4)),
        (So.KEEPALIVE, pack("<i", 77), pack("<i", 8)),
        (So.LINGER, pack("<ii", 1, 5), pack("<ii", 0x80, 5)),
        (So.SNDBUF, pack("<i", 5000), pack("<i", 5000)),
        (So.RCVBUF, pack("<i", 1 << 30), pack("<i", 209715)),
        (So.RCVLOWAT, pack("<i", 1 << 30), pack("<i", 57344)),
        (So.SNDTIMEO, bytes(Timeval(3, 500_000)), bytes(Timeval(3, 500_000))),
        (So.RCVTIMEO, bytes(Timeval(0, 1)), bytes(Timeval(0, 10_000))),
    ],
)
def test_an_option_is_kept(
    lwp: Lwp, stream: tuple[int, int], name: So, value: bytes, stored: bytes
) -> None:
    set_option(lwp, stream[0], name, value)
    assert option(lwp, stream[0], name) == stored


@pytest.mark.parametrize(
    ("name", "value", "errno"),
    [
        (So.SNDBUF, pack("<i", 0), Errno.EINVAL),
        (So.SNDBUF, b"\x01", Errno.EINVAL),
        (So.LINGER, bytes(4), Errno.EINVAL),
        (So.SNDTIMEO, bytes(Timeval(-1, 0)), Errno.EDOM),
        (So.SNDTIMEO, bytes(Timeval(0, 1_000_000)), Errno.EDOM),
        (So.SNDTIMEO, bytes(Timeval(1 << 60, 0)), Errno.EDOM),
        (So.ACCEPTFILTER, bytes(4), Errno.EINVAL),
        (So.TYPE, bytes(4), Errno.ENOPROTOOPT),
        (0x4000, bytes(4), Errno.ENOPROTOOPT),
    ],
)
def test_an_option_is_refused(
    lwp: Lwp, stream: tuple[int, int], name: int, value: bytes, errno: Errno
) -> None:
    assert refusal(set_option, lwp, stream[0], name, value) is errno


def test_options_that_are_only_asked(lwp: Lwp, datagrams: tuple[int, int]) -> None:
    assert option(lwp, datagrams[0], So.TYPE) == pack("<i", 2)
    assert option(lwp, datagrams[0], So.SNDSPACE) == pack("<q", 2048)
    file.close(lwp, datagrams[1])
    assert option(lwp, datagrams[0], So.ERROR) == pack("<i", Errno.ECONNRESET)
    assert option(lwp, datagrams[0], So.ERROR) == pack("<i", 0)
    assert refusal(option, lwp, datagrams[0], So.ACCEPTCONN) is Errno.ENOPROTOOPT
    assert refusal(option, lwp, datagrams[0], LOCAL_PEERCRED, 0) is Errno.ENOPROTOOPT


def test_a_child_has_both_ends(lwp: Lwp, stream: tuple[int, int]) -> None:
    child: FileTable = lwp.proc.files.copy()
    for end in stream:
        file.close(lwp, end)
    node = child.get(stream[0]).node
    assert isinstance(node, LocalSocket)
    assert node.peer() == SUN_NONAME
    child.drop()
    assert refusal(node.peer) is Errno.ENOTCONN


steps = st.lists(st.tuples(st.sampled_from("swr"), st.integers(0, 300)), max_size=40)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_files_stay_with_the_data_they_came_with(lwp: Lwp, steps: list[tuple[str, int]]) -> None:
    """A stream is a queue of pieces, and a piece with a file begins with it."""
    one, other = pair(lwp)
    queue: list[tuple[bool, bytearray]] = []
    for stamp, (step, size) in enumerate(steps):
        data = bytes((stamp,)) * size
        if step == "s":
            send_files(lwp, one, data, one)
            queue.append((True, bytearray(data)))
        elif step == "w":
            put(lwp, one, data)
            if queue:
                queue[-1][1].extend(data)
            elif data:
                queue.append((False, bytearray(data)))
        elif not queue:
            expected = None if size == 0 else Errno.EAGAIN
            if expected:
                assert refusal(get, lwp, other, size, Msg.DONTWAIT) is expected
        else:
            with_file, piece = queue[0]
            received, fds, _ = receive_files(lwp, other, size)
            assert (received, bool(fds)) == (bytes(piece[:size]), with_file)
            for fd in fds:
                file.close(lwp, fd)
            del piece[:size]
            queue[0] = (False, piece)
            if not piece:
                del queue[0]
    file.close(lwp, one)
    file.close(lwp, other)
    assert lwp.proc.kernel.rights.count == 0


@pytest.mark.parametrize("kind", [Sock.STREAM, Sock.DGRAM, Sock.SEQPACKET])
def test_messages_of_all_sockets_together_have_a_limit(lwp: Lwp, kind: Sock) -> None:
    kernel = lwp.proc.kernel
    kernel.limits = replace(kernel.limits, messages=3000)
    first, second = pair(lwp, kind), pair(lwp, kind)
    put(lwp, first[0], bytes(1000))
    with pytest.raises(KernelError) as refused:
        while True:
            put(lwp, second[0], bytes(500))
    assert refused.value.errno is Errno.ENOBUFS
    assert 3000 <= kernel.messages < 6000
    get(lwp, first[1], 1000)
    put(lwp, second[0], b"x")
