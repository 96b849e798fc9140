"""Pairs of local sockets (sys/kern/uipc_usrreq.c).

They are the emulator's own, like pipes: no host knows what an open file of the guest is, and open
files are what programs send each other here.
"""

from collections import deque
from dataclasses import dataclass, field

from emu.abi.errno import Errno, KernelError
from emu.abi.socket import (
    LOCAL_PEERCRED,
    MCLBYTES,
    MLEN,
    MSIZE,
    PIPSIZ,
    SUN_NONAME,
    UNPDG_RECVSPACE,
    UNPDG_SENDSPACE,
    Af,
    Msg,
    Shut,
    Sock,
)
from emu.kern.file import File, Readiness
from emu.kern.proc import Kernel
from emu.kern.sched import Blocking, Restart, Sleep
from emu.kern.socket import Address, Control, Deliver, Received, Socket, Transfer
from emu.kern.uio import Uio

_COST_PER_BYTE = 8
"""A buffer may cost this many times what it holds (sb_efficiency)."""


@dataclass(slots=True, eq=False)
class _Record:
    """A message; in a stream, what was sent since the last control message, and that before it."""

    data: bytearray = field(default_factory=bytearray)
    control: Control | None = None
    source: bytes | None = None
    ends: bool = False
    """MSG_EOR"""

    @property
    def size(self) -> int:
        control = self.control.size if self.control is not None else 0
        return len(self.data) + control + len(self.source or b"")

    @property
    def cost(self) -> int:
        """What a message takes of memory: many small ones are not free (sb_mbcnt)."""
        pieces = 1 + (self.control is not None) + (self.source is not None)
        if len(self.data) <= MLEN:
            return pieces * MSIZE
        return pieces * MSIZE + -(-len(self.data) // MCLBYTES) * (MSIZE + MCLBYTES)


class LocalSocket(Socket):
    """One end of a pair, with what the other has sent to it."""

    def __init__(self, kernel: Kernel, kind: Sock) -> None:
        sizes = (PIPSIZ, PIPSIZ)
        if kind is Sock.DGRAM:
            sizes = (UNPDG_SENDSPACE, UNPDG_RECVSPACE)
        super().__init__(kernel, Af.UNIX, kind, *sizes)
        self._peer: LocalSocket | None = None
        self._records: deque[_Record] = deque()
        self._size = 0
        self._cost = 0
        self._taken = 0
        """What the kernel's account has of both."""
        self._cant_send = False
        self._cant_receive = False
        self._error: Errno | None = None
        self._stopped = False
        """The peer's buffer is full (SSB_STOP)."""

    @classmethod
    def pair(cls, kernel: Kernel, kind: Sock) -> "tuple[LocalSocket, LocalSocket]":
        one, other = cls(kernel, kind), cls(kernel, kind)
        one._peer, other._peer = other, one
        return one, other

    def send(
        self, data: Transfer, to: Address | None, control: Control | None, flags: int
    ) -> Blocking[None]:
        try:
            yield from self._send_all(data, to, control, flags)
        finally:
            if control is not None and not control.sent:
                self._kernel.rights.lose(control.files)

    def _send_all(
        self, data: Transfer, to: Address | None, control: Control | None, flags: int
    ) -> Blocking[None]:
        if self.kind is Sock.STREAM and flags & Msg.EOR:
            raise KernelError(Errno.EINVAL, "a stream has no records")
        begun = False
        while not begun or data.resid:
            peer = self._check_connected(to)
            extra = control.size if control is not None else 0
            if (self._atomic and data.resid > self.snd.hiwat) or extra > self.snd.hiwat:
                raise KernelError(Errno.EMSGSIZE, f"{data.resid} bytes")
            if self.space < data.resid + extra and (
                self._atomic or self.space < self.snd.lowat or self.space < extra
            ):
                yield from self._wait(self.until_writable(), self.snd, flags)
                continue
            if flags & Msg.OOB:
                raise KernelError(Errno.EOPNOTSUPP, "urgent data")
            if self._kernel.messages >= self._kernel.limits.messages:
                raise KernelError(Errno.ENOBUFS, "messages take all the memory for them")
            source = SUN_NONAME if self.kind is Sock.DGRAM else None
            if source is not None and not peer._has_room_for(peer):
                raise KernelError(Errno.ENOBUFS, "the receiver has no room")
            sent = bytearray(data.take(self.space - extra))
            peer._append(_Record(sent, control, source, bool(flags & Msg.EOR)))
            if control is not None:
                control.sent = True
            self._stopped = source is None and not peer._has_room_for(self)
            control, begun = None, True

    def receive(self, uio: Uio, flags: int, deliver: Deliver | None) -> Blocking[Received]:
        if flags & Msg.OOB:
            raise KernelError(Errno.EOPNOTSUPP, "urgent data")
        received = Received(flags & ~Msg.EOR)
        wanted = uio.resid
        found = False
        while True:
            while self._must_wait(uio.resid, flags):
                if self._error is not None and not self._records:
                    self._raise_error(peek=bool(flags & Msg.PEEK))
                if self._cant_receive and not self._records:
                    return received
                if self._error is not None or self._cant_receive:
                    break
                if self._peer is None and self.kind is not Sock.DGRAM:
                    raise KernelError(Errno.ENOTCONN, "no peer")
                if not uio.resid:
                    return received
                yield from self._wait(self.until_readable(), self.rcv, flags)
            record = self._records[0]
            if record.source is not None:
                received.source, found = record.source, True
            if record.control is not None and not flags & Msg.PEEK:
                found = self._take_control(record, deliver) or found
            self._take_data(record, uio, received)
            if flags & Msg.WAITALL and not flags & Msg.PEEK:
                yield from self._take_all(uio)
            found = found or not wanted or uio.resid != wanted
            if found or received.flags & (Msg.EOR | Msg.PEEK) or self._cant_receive:
                return received

    def bind(self, address: Address) -> None:
        raise KernelError(Errno.EINVAL, "an end of a pair gets no name")

    def connect(self, address: Address, wait: bool) -> Blocking[None]:
        raise KernelError(Errno.EISCONN, "an end of a pair")

    def listen(self, backlog: int) -> None:
        raise KernelError(Errno.EINVAL, "an end of a pair")

    def accept(self, wait: bool) -> Blocking[Socket]:
        raise KernelError(Errno.EINVAL, "it does not listen")

    def name(self) -> bytes | None:
        return None

    def peer(self) -> bytes:
        if self._peer is None:
            raise KernelError(Errno.ENOTCONN, "no peer")
        return SUN_NONAME

    def end(self, how: Shut) -> None:
        if how is not Shut.WR:
            self._cant_receive = True
            self._forget()
            self._kernel.sched.wakeup(self._data)
        if how is not Shut.RD:
            self._cant_send = True
            self._kernel.sched.wakeup(self._room)
            if self._peer is not None and self.kind is not Sock.DGRAM:
                self._peer._cant_receive = True
                self._kernel.sched.wakeup(self._peer._data)

    def take_error(self) -> int:
        error, self._error = self._error, None
        return error or 0

    def protocol_option(self, level: int, name: int) -> bytes:
        if self.kind is Sock.DGRAM:
            return super().protocol_option(level, name)
        if name == LOCAL_PEERCRED:
            raise KernelError(Errno.ENOTCONN, "nobody has connected this pair")
        raise KernelError(Errno.EOPNOTSUPP, f"option {name:#x}")

    def set_protocol_option(self, level: int, name: int, value: bytes) -> None:
        if self.kind is Sock.DGRAM:
            return super().set_protocol_option(level, name, value)
        raise KernelError(Errno.EOPNOTSUPP, f"option {name:#x}")

    def can_read(self) -> bool:
        ready = self._size >= self.rcv.lowat or self._cant_receive
        return ready or self._error is not None

    def can_write(self) -> bool:
        connected = self._peer is not None or self.kind is Sock.DGRAM
        ready = connected and self.space >= self.snd.lowat
        return ready or self._cant_send or self._error is not None

    def input(self, offset: int) -> Readiness:
        return Readiness(self.can_read(), self._size, self._cant_receive)

    def output(self) -> Readiness:
        return Readiness(self.can_write(), self.space, self._cant_send)

    def until_readable(self) -> Sleep:
        return Sleep((self._data,))

    def until_writable(self) -> Sleep:
        return Sleep((self._room,))

    def pending(self, offset: int) -> int:
        return self._size

    def close(self, file: File) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer._peer = None
            if self.kind is Sock.DGRAM:
                peer._error = Errno.ECONNRESET
            else:
                peer._cant_send = peer._cant_receive = True
            self._kernel.sched.wakeup(peer._data)
            self._kernel.sched.wakeup(peer._room)
        self._forget()

    @property
    def space(self) -> int:
        return 0 if self._stopped else self.snd.hiwat

    @property
    def _atomic(self) -> bool:
        return self.kind is not Sock.STREAM

    def _has_room_for(self, payer: "LocalSocket") -> bool:
        """Is there room for more?  A stream's data counts against its sender's buffer."""
        limit = self.rcv.hiwat if payer is self else payer.snd.hiwat
        return self._size < limit and self._cost < limit * _COST_PER_BYTE

    def _check_connected(self, to: Address | None) -> "LocalSocket":
        if self._cant_send:
            raise KernelError(Errno.EPIPE, "nobody can receive it")
        if self._error is not None:
            self._raise_error()
        if self._peer is None:
            lost = self.kind is Sock.DGRAM and to is None
            raise KernelError(Errno.EDESTADDRREQ if lost else Errno.ENOTCONN, "no peer")
        if to is not None and self.kind is Sock.DGRAM:
            raise KernelError(Errno.EISCONN, "it has a peer already")
        return self._peer

    def _raise_error(self, *, peek: bool = False) -> None:
        error = self._error
        assert error is not None
        if not peek:
            self._error = None
        raise KernelError(error, "what became of the peer")

    def _must_wait(self, wanted: int, flags: int) -> bool:
        """Is there less than the receiver wants to wait for?"""
        if not self._records:
            return True
        if self._atomic or len(self._records) > 1 or flags & Msg.DONTWAIT or self._size >= wanted:
            return False
        all_of_it = flags & Msg.WAITALL and wanted <= self.rcv.hiwat
        return self._size < self.rcv.lowat or bool(all_of_it)

    def _append(self, record: _Record) -> None:
        self._size += record.size
        if self._atomic:
            self._records.append(record)
            self._cost += record.cost
        elif record.control is not None or (record.data and not self._records):
            self._records.append(record)
        elif record.data:
            self._records[-1].data += record.data
        self._measure()
        if self._size >= self.rcv.lowat:
            self._kernel.sched.wakeup(self._data)

    def _take_control(self, record: _Record, deliver: Deliver | None) -> bool:
        """Deliver the control message of `record`; return whether anybody wanted it."""
        control = record.control
        assert control is not None
        self._size -= control.size
        if self._atomic:
            self._cost -= MSIZE
        record.control = None
        self._measure()
        if deliver is None:
            self._kernel.rights.lose(control.files)
            return False
        try:
            deliver(control)
        except KernelError:
            self._kernel.rights.lose(control.files)
            if self._atomic:
                self._drop(record)
            raise
        return True

    def _take_data(self, record: _Record, uio: Uio, received: Received) -> None:
        """Take what is wanted of `record`, and be done with it if it is a message."""
        data = bytes(record.data[: min(uio.resid, len(record.data))])
        uio.put(data)
        left = len(record.data) > len(data)
        if left and self._atomic:
            received.flags |= Msg.TRUNC
        if record.ends and not left:
            received.flags |= Msg.EOR
        if received.flags & Msg.PEEK:
            return
        if not self._atomic:
            del record.data[: len(data)]
            self._size -= len(data)
        if self._atomic or not record.data:
            self._drop(record)
        self._made_room()

    def _take_all(self, uio: Uio) -> Blocking[None]:
        """Wait for the rest (MSG_WAITALL).  What breaks the wait leaves what there is."""
        while uio.resid and not self._atomic and not self._records:
            if self._error is not None or self._cant_receive:
                return
            try:
                yield from self._wait(self.until_readable(), self.rcv)
            except (KernelError, Restart):
                return
            if self._records and self._records[0].control is None:
                self._take_data(self._records[0], uio, Received(0))

    def _drop(self, record: _Record) -> None:
        self._records.remove(record)
        self._size -= record.size
        if self._atomic:
            self._cost -= record.cost
        self._made_room()

    def _made_room(self) -> None:
        """Let the peer go on if it has filled this buffer (uipc_rcvd)."""
        self._measure()
        peer = self._peer
        if peer is not None and peer._stopped and self._has_room_for(peer):
            peer._stopped = False
            self._kernel.sched.wakeup(peer._room)

    def _forget(self) -> None:
        """Throw away what nobody will receive."""
        records, self._records = self._records, deque()
        self._size = self._cost = 0
        self._measure()
        for record in records:
            if record.control is not None:
                self._kernel.rights.lose(record.control.files)

    def _measure(self) -> None:
        """Tell the kernel's account what is held here by now."""
        taken = self._size + self._cost
        self._kernel.messages += taken - self._taken
        self._taken = taken

    # What is slept on

    @property
    def _data(self) -> tuple[object, str]:
        return self, "data"

    @property
    def _room(self) -> tuple[object, str]:
        return self, "room"
