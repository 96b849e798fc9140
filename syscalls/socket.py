"""Sockets (sys/kern/uipc_syscalls.c)."""

from contextlib import suppress
from functools import partial
from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Io, Open
from emu.abi.socket import (
    AF_MAX,
    CMSGHDR_SIZE,
    MCLBYTES,
    MLEN,
    MSG_CONTROLLEN_AT,
    MSG_FLAGS_AT,
    MSG_NAMELEN_AT,
    SOCK_MAXADDRLEN,
    SOCKADDR_HEADER,
    SOMAXOPT_SIZE,
    Af,
    Cmsgcred,
    Cmsghdr,
    Level,
    Msg,
    Msghdr,
    Scm,
    SfHdtr,
    So,
    Sock,
    cmsg_align,
)
from emu.abi.x86 import PAGE_SIZE, U32_MASK
from emu.kern.file import File, kept_open
from emu.kern.local import LocalSocket
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart
from emu.kern.socket import Address, Control, KernelData, Received, Socket
from emu.kern.uio import Uio, single, vector
from emu.kern.vnode import Vnode
from syscalls.args import Fd, Int, Off, Ptr, Size, enum_kind, flags_kind
from syscalls.file import IoArg, sent, transferred

AfArg = Annotated[int, enum_kind(Af, "AF_")]
SockArg = Annotated[int, enum_kind(Sock, "SOCK_")]
LevelArg = Annotated[int, enum_kind(Level, "SOL_")]
SoArg = Annotated[int, enum_kind(So, "SO_")]
MsgArg = Annotated[int, flags_kind(Msg, "MSG_")]

_FORCED = int(Msg.FNONBLOCKING | Msg.FBLOCKING)
_NONBLOCK = int(Open.NONBLOCK)
_INT_SIZE = 4
_FILE_SIZE = 8
"""What a file takes in a message: a pointer."""

_KINDS: dict[Af, dict[Sock, int]] = {
    Af.UNIX: {Sock.STREAM: 0, Sock.DGRAM: 0, Sock.SEQPACKET: 0},
    Af.INET: {Sock.STREAM: Level.TCP, Sock.DGRAM: Level.UDP},
}
"""The sockets there are, with their protocol."""


def socket(lwp: Lwp, domain: AfArg, type: SockArg, protocol: Int) -> int:
    kernel = lwp.proc.kernel
    if not kernel.net:
        if not kernel.net_refused:
            kernel.net_refused = True
            kernel.tell("the guest asked for a network: --net loopback gives it one")
        raise KernelError(Errno.EPERM, "no network")
    with kernel.spare:
        # With it comes Python's own module, which only a run with a network needs.
        from emu.kern.host_socket import HostSocket

    lwp.proc.files.lowest_free()
    family, kind = _protocol(domain, type, protocol)
    made = HostSocket.create(kernel, family, kind)
    return lwp.proc.files.add(File(made, Open.RDWR))


def socketpair(lwp: Lwp, domain: AfArg, type: SockArg, protocol: Int, rsv: Ptr) -> None:
    """Make two sockets that are connected with each other."""
    family, kind = _protocol(domain, type, protocol)
    if family is not Af.UNIX:
        raise KernelError(Errno.EOPNOTSUPP, "only local sockets come in pairs")
    files = lwp.proc.files
    second = files.lowest_free(files.lowest_free() + 1)
    first = files.lowest_free()
    numbers = first.to_bytes(_INT_SIZE, "little") + second.to_bytes(_INT_SIZE, "little")
    lwp.vmspace.copyout(rsv, numbers)
    for end in LocalSocket.pair(lwp.proc.kernel, kind):
        files.add(File(end, Open.RDWR))


def bind(lwp: Lwp, s: Fd, name: Ptr, namelen: Int) -> None:
    address = _address(lwp, name, namelen)
    _socket(lwp, s)[1].bind(address)


def listen(lwp: Lwp, s: Fd, backlog: Int) -> None:
    _socket(lwp, s)[1].listen(backlog)


def accept(lwp: Lwp, s: Fd, name: Ptr, anamelen: Ptr) -> Blocking[int]:
    return (yield from extaccept(lwp, s, 0, name, anamelen))


def extaccept(lwp: Lwp, s: Fd, flags: IoArg, name: Ptr, anamelen: Ptr) -> Blocking[int]:
    """Wait for a connection, which gets the flags of the socket that listens."""
    room = _room(lwp, anamelen) if name else 0
    file, listener = _socket(lwp, s)
    files = lwp.proc.files
    files.lowest_free()
    with kept_open(file):
        connection = File((yield from listener.accept(_waits(file, flags))), file.flags)
    connection.readable, connection.writable = file.readable, file.writable
    try:
        if name:
            assert isinstance(connection.node, Socket)
            _store(lwp, connection.node.peer(), name, anamelen, room)
        return files.add(connection)
    except KernelError:
        connection.drop()
        raise


def connect(lwp: Lwp, s: Fd, name: Ptr, namelen: Int) -> Blocking[None]:
    yield from extconnect(lwp, s, 0, name, namelen)


def extconnect(lwp: Lwp, s: Fd, flags: IoArg, name: Ptr, namelen: Int) -> Blocking[None]:
    address = _address(lwp, name, namelen)
    file, connecting = _socket(lwp, s)
    with kept_open(file):
        yield from connecting.connect(address, _waits(file, flags))


def sendto(
    lwp: Lwp, s: Fd, buf: Ptr, len: Size, flags: MsgArg, to: Ptr, tolen: Int
) -> Blocking[int]:
    address = _address(lwp, to, tolen) if to else None
    return (yield from _send(lwp, s, single(lwp.vmspace, buf, len), flags, address))


def sendmsg(lwp: Lwp, s: Fd, msg: Ptr, flags: MsgArg) -> Blocking[int]:
    header = lwp.vmspace.copyin_struct(msg, Msghdr)
    address = None
    if header.msg_name:
        address = _address(lwp, header.msg_name, header.msg_namelen)
    uio = vector(lwp.vmspace, header.msg_iov, header.msg_iovlen)
    control = _control(lwp, header) if header.msg_control else None
    return (yield from _send(lwp, s, uio, flags, address, control))


def recvfrom(
    lwp: Lwp, s: Fd, buf: Ptr, len: Size, flags: MsgArg, from_: Ptr, fromlenaddr: Ptr
) -> Blocking[int]:
    room = _room(lwp, fromlenaddr) if from_ and fromlenaddr else 0
    uio = single(lwp.vmspace, buf, len)
    count, received = yield from _receive(lwp, s, uio, flags)
    if from_:
        _store(lwp, received.source, from_, fromlenaddr, room)
    return count


def recvmsg(lwp: Lwp, s: Fd, msg: Ptr, flags: MsgArg) -> Blocking[int]:
    space = lwp.vmspace
    header = space.copyin_struct(msg, Msghdr)
    if (header.msg_name and header.msg_namelen < 0) or (
        header.msg_control and header.msg_controllen < 0
    ):
        raise KernelError(Errno.EINVAL, "a negative length")
    uio = vector(space, header.msg_iov, header.msg_iovlen)
    messages: list[bytes] | None = [] if header.msg_control else None
    count, received = yield from _receive(lwp, s, uio, flags, messages)
    if header.msg_name:
        _store(lwp, received.source, header.msg_name, msg + MSG_NAMELEN_AT, header.msg_namelen)
    if messages is not None:
        # Descriptors that do not fit have been received all the same.
        control = b"".join(messages)[: header.msg_controllen]
        space.copyout(header.msg_control, control)
        _store_int(lwp, msg + MSG_CONTROLLEN_AT, _size(control))
    _store_int(lwp, msg + MSG_FLAGS_AT, received.flags)
    return count


def getsockname(lwp: Lwp, fdes: Fd, asa: Ptr, alen: Ptr) -> None:
    room = _int(lwp, alen)
    _, named = _socket(lwp, fdes)
    if room < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    _store(lwp, named.name(), asa, alen, room)


def getpeername(lwp: Lwp, fdes: Fd, asa: Ptr, alen: Ptr) -> None:
    room = _int(lwp, alen)
    _, connected = _socket(lwp, fdes)
    if room < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    _store(lwp, connected.peer(), asa, alen, room)


def setsockopt(lwp: Lwp, s: Fd, level: LevelArg, name: SoArg, val: Ptr, valsize: Int) -> None:
    if not 0 <= valsize <= SOMAXOPT_SIZE:
        raise KernelError(Errno.EINVAL, f"{valsize} bytes")
    value = lwp.vmspace.copyin(val, valsize) if val else b""
    if not val and valsize:
        raise KernelError(Errno.EFAULT, "no value")
    if val and not valsize:
        raise KernelError(Errno.EINVAL, "no value")
    _socket(lwp, s)[1].set_option(level, name, value)


def getsockopt(lwp: Lwp, s: Fd, level: LevelArg, name: SoArg, val: Ptr, avalsize: Ptr) -> None:
    """Store as much of the value as there is room for, and how much that is."""
    room = _int(lwp, avalsize) if val else 0
    if not 0 <= room <= SOMAXOPT_SIZE or (val and not room):
        raise KernelError(Errno.EINVAL, f"{room} bytes")
    value = _socket(lwp, s)[1].option(level, name)[:room]
    _store_int(lwp, avalsize, _size(value))
    if val:
        lwp.vmspace.copyout(val, value)


def sendfile(
    lwp: Lwp,
    fd: Fd,
    s: Fd,
    offset: Off,
    nbytes: Size,
    hdtr: Ptr,
    sbytes: Ptr,
    flags: Int,
) -> Blocking[None]:
    """Send a file, or `nbytes` of it if that is not 0, and what is to go before and after it.

    The size of the header counts as a part of `nbytes` from the second page on, as in the
    original; so does `sbytes`, which is stored even if the call fails.
    """
    sent_bytes = [0]
    try:
        yield from _send_file(lwp, fd, s, offset, nbytes, hdtr, sent_bytes)
    except Restart:
        _report(lwp, sbytes, sent_bytes)
        if sent_bytes[0]:
            raise KernelError(Errno.EINTR) from None
        raise
    except KernelError:
        _report(lwp, sbytes, sent_bytes)
        raise
    _report(lwp, sbytes, sent_bytes)


def _report(lwp: Lwp, sbytes: int, sent_bytes: list[int]) -> None:
    if sbytes:
        with suppress(KernelError):
            lwp.vmspace.copyout(sbytes, sent_bytes[0].to_bytes(8, "little"))


def _send_file(
    lwp: Lwp, fd: int, s: int, offset: int, nbytes: int, hdtr: int, sent_bytes: list[int]
) -> Blocking[None]:
    source = lwp.proc.files.get(fd)
    if not source.readable:
        raise KernelError(Errno.EBADF, "not open for reading")
    if not isinstance(source.node, Vnode):
        raise KernelError(Errno.EINVAL, "not a regular file")
    wanted = lwp.vmspace.copyin_struct(hdtr, SfHdtr) if hdtr else SfHdtr()
    header = b""
    if wanted.headers:
        uio = vector(lwp.vmspace, wanted.headers, wanted.hdr_cnt)
        if uio.resid > SOMAXOPT_SIZE:
            raise KernelError(Errno.ENOBUFS, f"a header of {uio.resid} bytes")
        header = uio.take(uio.resid)
    file, target = _socket(lwp, s)
    if target.kind is not Sock.STREAM:
        raise KernelError(Errno.EINVAL, "not a stream")
    target.peer()  # ENOTCONN
    if offset < 0:
        raise KernelError(Errno.EINVAL, "a negative position")
    with kept_open(file, source):
        at = offset
        while True:
            size = PAGE_SIZE - at % PAGE_SIZE
            if nbytes:
                size = min(size, max(nbytes - sent_bytes[0], 0))
            page = source.node.read(at, size)
            if not page and not header:
                break
            yield from _send_data(file, target, header + page, sent_bytes)
            at += _size(page)
            header = b""
    if wanted.trailers:
        trailer = vector(lwp.vmspace, wanted.trailers, wanted.trl_cnt)
        sent_bytes[0] += yield from _send(lwp, s, trailer, 0)


def _send_data(file: File, target: Socket, data: bytes, sent_bytes: list[int]) -> Blocking[None]:
    """Send `data` of the kernel's own, and count what was sent even if that is not all."""
    message = KernelData(data)
    try:
        yield from target.send(message, None, None, _forced(file, 0))
    finally:
        sent_bytes[0] += _size(data) - message.resid


def _send(
    lwp: Lwp,
    s: int,
    uio: Uio,
    flags: int,
    address: Address | None = None,
    control: bytes | None = None,
) -> Blocking[int]:
    """kern_sendmsg"""
    file, target = _socket(lwp, s)
    message = None
    if control is not None:
        # Files are put into a message only where somebody can take them out again.
        local = isinstance(target, LocalSocket)
        message = _internalize(lwp, control) if local else Control(Scm.RIGHTS, control)
    transfer = target.send(uio, address, message, _forced(file, flags))
    sending = transferred(file, uio, transfer)
    return (yield from (sending if flags & Msg.NOSIGNAL else sent(lwp, sending)))


def _receive(
    lwp: Lwp, s: int, uio: Uio, flags: int, messages: list[bytes] | None = None
) -> Blocking[tuple[int, Received]]:
    """kern_recvmsg.  Control messages are put into `messages`, if they are wanted."""
    file, source = _socket(lwp, s)
    received = Received(_forced(file, flags))

    def transfer() -> Blocking[None]:
        nonlocal received
        deliver = None if messages is None else partial(_externalize, lwp, messages)
        received = yield from source.receive(uio, received.flags, deliver)

    count = yield from transferred(file, uio, transfer())
    return count, received


def _control(lwp: Lwp, header: Msghdr) -> bytes:
    """Return the control message that `header` points to."""
    if not CMSGHDR_SIZE <= header.msg_controllen <= MLEN:
        raise KernelError(Errno.EINVAL, f"{header.msg_controllen} bytes of control")
    return lwp.vmspace.copyin(header.msg_control, header.msg_controllen)


def _internalize(lwp: Lwp, raw: bytes) -> Control:
    """Turn the sender's control message into what is sent (unp_internalize)."""
    header = Cmsghdr.from_buffer_copy(raw)
    if (
        header.cmsg_level != Level.SOCKET
        or header.cmsg_type not in (Scm.RIGHTS, Scm.CREDS)
        or cmsg_align(header.cmsg_len) != _size(raw)
    ):
        raise KernelError(Errno.EINVAL, "not one control message that is known")
    data = raw[CMSGHDR_SIZE : header.cmsg_len]
    if header.cmsg_type == Scm.CREDS:
        credentials = bytes(Cmsgcred(cmcred_pid=lwp.proc.pid, cmcred_ngroups=1))
        return Control(Scm.CREDS, credentials[: _size(data)] + data[_size(credentials) :])
    count = _size(data) // _INT_SIZE
    if CMSGHDR_SIZE + count * _FILE_SIZE > MCLBYTES:
        raise KernelError(Errno.E2BIG, f"{count} descriptors")
    files = [lwp.proc.files.get(fd) for fd in memoryview(data[: count * _INT_SIZE]).cast("i")]
    if not all(file.node.inherited for file in files):
        raise KernelError(Errno.EOPNOTSUPP, "a file that belongs to one process")
    return Control(Scm.RIGHTS, files=lwp.proc.kernel.rights.start(files))


def _externalize(lwp: Lwp, messages: list[bytes], control: Control) -> None:
    """Give a control message to the receiver.  EMSGSIZE if it has no room for the files."""
    table = lwp.proc.files
    fd = -1
    try:
        for _ in control.files:
            fd = table.lowest_free(fd + 1)
    except KernelError:
        raise KernelError(Errno.EMSGSIZE, "no room for the files") from None
    data = control.data
    for file in control.files:
        data += table.add(file).to_bytes(_INT_SIZE, "little")
    lwp.proc.kernel.rights.land(control.files)
    header = Cmsghdr(CMSGHDR_SIZE + _size(data), Level.SOCKET, control.type)
    messages.append((bytes(header) + data).ljust(cmsg_align(header.cmsg_len), b"\0"))


def _protocol(domain: int, type: int, protocol: int) -> tuple[Af, Sock]:
    """Return what kind of socket is meant (pffindproto, pffindtype)."""
    for family, kinds in _KINDS.items():
        for kind, number in kinds.items():
            if (family, kind) == (domain, type) and protocol in (0, number):
                return family, kind
    raise KernelError(Errno.EPROTONOSUPPORT, f"domain {domain}, type {type}, {protocol}")


def _socket(lwp: Lwp, fd: int) -> tuple[File, Socket]:
    """holdsock"""
    file = lwp.proc.files.get(fd)
    if not isinstance(file.node, Socket):
        raise KernelError(Errno.ENOTSOCK, f"descriptor {fd}")
    return file, file.node


def _address(lwp: Lwp, name: int, namelen: int) -> Address:
    """Copy an address in (getsockaddr)."""
    if not 0 <= namelen <= SOCK_MAXADDRLEN:
        raise KernelError(Errno.ENAMETOOLONG, f"an address of {namelen} bytes")
    if namelen < SOCKADDR_HEADER:
        raise KernelError(Errno.EDOM, f"an address of {namelen} bytes")
    raw = lwp.vmspace.copyin(name, namelen)
    length, family = raw[:SOCKADDR_HEADER]
    if family == 0 and length < AF_MAX:
        family = length  # as programs did when addresses had no length
    raw = bytes((namelen, family)) + raw[SOCKADDR_HEADER:]
    return Address(raw, lwp.proc.files.cwd, lwp.proc.umask)


def _waits(file: File, flags: int) -> bool:
    if flags & Io.FBLOCKING:
        return True
    return not (flags & Io.FNONBLOCKING or file.flags & _NONBLOCK)


def _forced(file: File, flags: int) -> int:
    """Add to MSG_* flags what the file's own say, unless they say themselves."""
    if not flags & _FORCED and file.flags & _NONBLOCK:
        flags |= Msg.FNONBLOCKING
    return flags


def _int(lwp: Lwp, at: int) -> int:
    return int.from_bytes(lwp.vmspace.copyin(at, _INT_SIZE), "little", signed=True)


def _room(lwp: Lwp, at: int) -> int:
    room = _int(lwp, at)
    if room < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    return room


def _store_int(lwp: Lwp, at: int, value: int) -> None:
    lwp.vmspace.copyout(at, (value & U32_MASK).to_bytes(_INT_SIZE, "little"))


def _store(lwp: Lwp, address: bytes | None, at: int, length_at: int, room: int) -> None:
    """Store an address, as much of it as there is room for, and how much that is."""
    stored = (address or b"")[:room]
    lwp.vmspace.copyout(at, stored)
    _store_int(lwp, length_at, _size(stored))


_size = len  # a parameter has the name
