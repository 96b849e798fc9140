"""kqueue and kevent (abi 2.1): knotes on files and descriptors of the host, and their limits."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from ctypes import sizeof
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Finishing

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Ev, Evfilt, Note
from emu.abi.fcntl import Fcntl, Open
from emu.abi.socket import Af, Sock
from emu.abi.structs import Kevent
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern import kqueue
from emu.kern.clock import VirtualClock
from emu.kern.file import File, FileTable, Stream
from emu.kern.host_socket import HostSocket
from emu.kern.local import LocalSocket
from emu.kern.pgrp import new_session
from emu.kern.proc import Kernel, Lwp, Proc, Ucred
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls import attr, event, file, path

events = Finishing(event)
files = Finishing(file)
paths = Finishing(path)
attrs = Finishing(attr)

CHANGES = 0x10_0000
EVENTS = CHANGES + PAGE_SIZE
BUFFER = CHANGES + 2 * PAGE_SIZE
NOW = BUFFER + PAGE_SIZE - 16  # a timespec of zero
READ, WRITE, TIMER = Evfilt.READ, Evfilt.WRITE, Evfilt.TIMER
ADD, DELETE, CLEAR, EOF, NODATA = Ev.ADD, Ev.DELETE, Ev.CLEAR, Ev.EOF, Ev.NODATA


class Told(NamedTuple):
    ident: int
    filter: int
    flags: int
    data: int


def change(ident: int, filter: int, flags: int, data: int = 0, fflags: int = 0) -> Kevent:
    return Kevent(ident, filter, flags, fflags, data, 0)


def kevent(lwp: Lwp, fd: int, *changes: Kevent, room: int = 8) -> list[Told]:
    """Make changes, and return the events that are there now."""
    lwp.vmspace.copyout(CHANGES, b"".join(map(bytes, changes)))
    count = events.kevent(lwp, fd, CHANGES, len(changes), EVENTS, room, NOW)
    raw = lwp.vmspace.copyin(EVENTS, count * sizeof(Kevent))
    found = (Kevent * count).from_buffer_copy(raw)
    return [Told(each.ident, each.filter, each.flags, each.data) for each in found]


@pytest.fixture
def lwp(tmp_path: Path) -> Iterator[Lwp]:
    """A process over `tmp_path`, with no file open and four pages of memory."""
    phys = PhysicalMemory(1 << 20)
    with closing(Tree(tmp_path)) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(CHANGES, CHANGES + 4 * PAGE_SIZE)
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        lwp = Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))
        yield lwp
        lwp.proc.files.close_all()
        assert kernel.sched.watched == {}
        assert (kernel.knotes, kernel.event_timers) == (0, 0)


@pytest.fixture
def queue(lwp: Lwp) -> int:
    """A kqueue, descriptor 0."""
    return events.kqueue(lwp)


class Pipe:
    """A pipe whose one end is a descriptor of the process, and whose other is the host's."""

    def __init__(self, lwp: Lwp, *, reads: bool) -> None:
        reader, writer = os.pipe()
        self._guest, self._host = (reader, writer) if reads else (writer, reader)
        flags = Open.RDONLY if reads else Open.WRONLY
        self.fd = lwp.proc.files.add(File(Stream(self._guest), flags))

    def write(self, data: bytes) -> None:
        os.write(self._host, data)

    def hang_up(self) -> None:
        os.close(self._host)
        self._host = -1

    def close(self) -> None:
        for fd in (self._guest, self._host):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe(lwp: Lwp) -> Iterator[Pipe]:
    """Standard input, say."""
    with closing(Pipe(lwp, reads=True)) as pipe:
        yield pipe


@pytest.fixture
def output(lwp: Lwp) -> Iterator[Pipe]:
    with closing(Pipe(lwp, reads=False)) as pipe:
        yield pipe


def open_file(lwp: Lwp, name: bytes) -> int:
    fd: int = paths.open(lwp, at(lwp, name), Open.RDWR | Open.CREAT, 0o666)
    return fd


# Descriptors of the host


def test_input_is_told_until_it_is_read(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    assert kevent(lwp, queue, change(pipe.fd, READ, ADD)) == []
    pipe.write(b"abc")
    told = Told(pipe.fd, READ, ADD, 3)
    assert kevent(lwp, queue) == [told]
    assert kevent(lwp, queue) == [told]
    assert files.read(lwp, pipe.fd, BUFFER, 100) == 3
    assert kevent(lwp, queue) == []
    pipe.write(b"d")
    assert kevent(lwp, queue) == [Told(pipe.fd, READ, ADD, 1)]


def test_with_ev_clear_only_news_is_told(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    assert kevent(lwp, queue, change(pipe.fd, READ, ADD | CLEAR)) == []
    pipe.write(b"abc")
    assert kevent(lwp, queue) == [Told(pipe.fd, READ, ADD | CLEAR, 3)]
    assert kevent(lwp, queue) == []
    pipe.write(b"de")
    assert kevent(lwp, queue) == [Told(pipe.fd, READ, ADD | CLEAR, 5)]
    assert files.read(lwp, pipe.fd, BUFFER, 2) == 2
    assert kevent(lwp, queue) == []
    assert files.read(lwp, pipe.fd, BUFFER, 3) == 3
    pipe.write(b"f")
    assert kevent(lwp, queue) == [Told(pipe.fd, READ, ADD | CLEAR, 1)]


def test_with_ev_clear_the_end_of_input_is_told_once(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    """vkernel64.md 4: else a virtual kernel is flooded with SIGIO."""
    kevent(lwp, queue, change(pipe.fd, READ, ADD | CLEAR))
    pipe.hang_up()
    assert kevent(lwp, queue) == [Told(pipe.fd, READ, ADD | CLEAR | EOF | NODATA, 0)]
    assert kevent(lwp, queue) == []
    assert files.read(lwp, pipe.fd, BUFFER, 100) == 0
    assert kevent(lwp, queue) == []
    again = kevent(lwp, queue, change(pipe.fd, READ, ADD))
    assert again == [Told(pipe.fd, READ, ADD | CLEAR | EOF | NODATA, 0)]


def test_what_was_there_before_is_told(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    pipe.write(b"abc")
    pipe.hang_up()
    told = kevent(lwp, queue, change(pipe.fd, READ, ADD | CLEAR))
    assert told == [Told(pipe.fd, READ, ADD | CLEAR | EOF, 3)]
    assert kevent(lwp, queue) == []


def test_two_queues_are_told_of_the_same_news(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    other = events.kqueue(lwp)
    for each in (queue, other):
        assert kevent(lwp, each, change(pipe.fd, READ, ADD | CLEAR)) == []
    pipe.write(b"abc")
    for each in (queue, other):
        assert kevent(lwp, each) == [Told(pipe.fd, READ, ADD | CLEAR, 3)]
        assert kevent(lwp, each) == []


def test_a_host_that_is_told_of_keeps_nobody_awake(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    kevent(lwp, queue, change(pipe.fd, READ, ADD | CLEAR))
    pipe.write(b"abc")
    pipe.hang_up()
    assert len(kevent(lwp, queue)) == 1
    sched = lwp.proc.kernel.sched
    assert sched.poll() is False
    assert sched.next_callout() is None


def test_room_to_write_is_told_and_that_nobody_reads(lwp: Lwp, queue: int, output: Pipe) -> None:
    told = kevent(lwp, queue, change(output.fd, WRITE, ADD))
    assert told == [Told(output.fd, WRITE, ADD, 512)]
    lwp.vmspace.copyout(BUFFER, bytes(PAGE_SIZE - 16))
    node = lwp.proc.files.get(output.fd).node
    while node.can_write():
        files.write(lwp, output.fd, BUFFER, 1)
    assert kevent(lwp, queue) == []
    output.hang_up()
    assert kevent(lwp, queue) == [Told(output.fd, WRITE, ADD | EOF | NODATA, 0)]


@pytest.mark.parametrize("content", [b"", b"12345"])
def test_a_redirected_host_file_ends(lwp: Lwp, queue: int, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "input").write_bytes(content)
    host = os.open(tmp_path / "input", os.O_RDONLY)
    fd = lwp.proc.files.add(File(Stream(host), Open.RDONLY))
    flags = ADD | CLEAR if content else ADD | CLEAR | EOF | NODATA
    told = kevent(lwp, queue, change(fd, READ, ADD | CLEAR))
    assert told == [Told(fd, READ, flags, len(content))]
    assert kevent(lwp, queue) == []
    lwp.proc.files.close(fd)
    os.close(host)


# Sockets


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def host_socket(lwp: Lwp, made: socket.socket) -> tuple[HostSocket, int]:
    node = HostSocket(lwp.proc.kernel, Af.INET, Sock.STREAM, made.dup())
    return node, lwp.proc.files.add(File(node, Open.RDWR))


def test_a_socket_that_listens_is_readable_when_somebody_calls(
    lwp: Lwp, queue: int, server: socket.socket
) -> None:
    node, fd = host_socket(lwp, server)
    node.listening = True
    assert kevent(lwp, queue, change(fd, READ, ADD | CLEAR)) == []
    with socket.create_connection(server.getsockname()):
        assert kevent(lwp, queue) == [Told(fd, READ, ADD | CLEAR, 1)]
        assert kevent(lwp, queue) == []
        with socket.create_connection(server.getsockname()):
            assert kevent(lwp, queue) == [Told(fd, READ, ADD | CLEAR, 1)]


def test_a_connection_tells_of_data_room_and_half_a_hang_up(
    lwp: Lwp, queue: int, server: socket.socket
) -> None:
    with socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        node, fd = host_socket(lwp, accepted)
        accepted.close()
        assert kevent(lwp, queue, change(fd, READ, ADD | CLEAR)) == []
        client.send(b"abc")
        assert kevent(lwp, queue) == [Told(fd, READ, ADD | CLEAR, 3)]
        client.shutdown(socket.SHUT_WR)
        assert kevent(lwp, queue) == [Told(fd, READ, ADD | CLEAR | EOF, 3)]
        assert kevent(lwp, queue) == []
        told = kevent(lwp, queue, change(fd, WRITE, ADD))
        assert told == [Told(fd, WRITE, ADD, node.space)]


def test_a_socket_without_a_peer_is_neither_readable_nor_writable(lwp: Lwp, queue: int) -> None:
    with socket.socket() as made:
        _, fd = host_socket(lwp, made)
        assert kevent(lwp, queue, change(fd, READ, ADD), change(fd, WRITE, ADD)) == []


@pytest.mark.parametrize("kind", [Sock.STREAM, Sock.DGRAM])
def test_a_pair_of_sockets_tells_of_each_other(lwp: Lwp, queue: int, kind: Sock) -> None:
    ours, theirs = (
        lwp.proc.files.add(File(each, Open.RDWR))
        for each in LocalSocket.pair(lwp.proc.kernel, kind)
    )
    assert kevent(lwp, queue, change(ours, READ, ADD | CLEAR)) == []
    files.write(lwp, theirs, BUFFER, 3)
    (told,) = kevent(lwp, queue)
    assert (told.ident, told.data >= 3) == (ours, True)
    assert kevent(lwp, queue) == []
    node = lwp.proc.files.get(ours).node
    assert kevent(lwp, queue, change(ours, WRITE, ADD))[0].data == node.output().data > 0
    files.close(lwp, theirs)
    if kind is Sock.STREAM:
        flags = {told.filter: told.flags for told in kevent(lwp, queue)}
        assert flags == {READ: ADD | CLEAR | EOF, WRITE: ADD | EOF | NODATA}


# Files


def test_a_regular_file_is_readable_up_to_its_end(lwp: Lwp, queue: int) -> None:
    fd = open_file(lwp, b"/file")
    assert kevent(lwp, queue, change(fd, READ, ADD)) == []
    assert files.write(lwp, fd, BUFFER, 10) == 10
    assert kevent(lwp, queue) == []
    files.lseek(lwp, fd, 0, 4, 0)
    assert kevent(lwp, queue, change(fd, READ, ADD)) == [Told(fd, READ, ADD, 6)]
    files.lseek(lwp, fd, 0, 12, 0)
    assert kevent(lwp, queue) == [Told(fd, READ, ADD, -2)]
    files.lseek(lwp, fd, 0, 10, 0)
    assert kevent(lwp, queue) == []
    other = open_file(lwp, b"/file")
    files.lseek(lwp, other, 0, 10, 0)
    assert files.write(lwp, other, BUFFER, 5) == 5
    assert kevent(lwp, queue) == [Told(fd, READ, ADD, 5)]
    assert kevent(lwp, queue, change(fd, WRITE, ADD))[1] == Told(fd, WRITE, ADD, 0)


def test_a_closed_descriptor_is_watched_no_more_but_its_equal_is(
    lwp: Lwp, queue: int, pipe: Pipe
) -> None:
    equal = files.dup(lwp, pipe.fd)
    kevent(lwp, queue, change(pipe.fd, READ, ADD), change(equal, READ, ADD))
    files.close(lwp, pipe.fd)
    pipe.write(b"abc")
    assert kevent(lwp, queue) == [Told(equal, READ, ADD, 3)]
    assert kevent(lwp, queue, change(pipe.fd, READ, DELETE)) == [
        Told(pipe.fd, READ, Ev.ERROR, Errno.EBADF)
    ]
    files.dup2(lwp, queue, equal)
    assert kevent(lwp, queue) == []


def test_a_closed_kqueue_lets_go_of_what_it_watches(lwp: Lwp, queue: int, pipe: Pipe) -> None:
    kevent(lwp, queue, change(pipe.fd, READ, ADD), change(1, TIMER, ADD, 1000))
    files.close(lwp, queue)
    kernel = lwp.proc.kernel
    assert kernel.sched.watched == {}
    assert kernel.sched.next_callout() is None
    assert kernel.event_timers == 0
    assert lwp.proc.files.get(pipe.fd).knotes == []


@pytest.mark.parametrize(
    ("filter", "errno"),
    [
        (Evfilt.EXCEPT, Errno.EOPNOTSUPP),
        (Evfilt.VNODE, Errno.EOPNOTSUPP),
        (Evfilt.AIO, Errno.ENXIO),
        (0, Errno.EINVAL),
        (5, Errno.EINVAL),
        (-9, Errno.EINVAL),
    ],
)
def test_a_filter_that_does_not_fit_is_refused(
    lwp: Lwp, queue: int, pipe: Pipe, filter: int, errno: Errno
) -> None:
    told = kevent(lwp, queue, change(pipe.fd, filter, ADD))
    assert told == [Told(pipe.fd, filter, Ev.ERROR, errno)]
    assert kevent(lwp, queue) == []


def test_a_descriptor_of_another_kind_is_none_of_kevents(lwp: Lwp, pipe: Pipe) -> None:
    with pytest.raises(KernelError) as caught:
        kevent(lwp, pipe.fd)
    assert caught.value.errno is Errno.EBADF


# What happens to files and directories

EVERYTHING = Note.DELETE | Note.WRITE | Note.EXTEND | Note.ATTRIB | Note.LINK | Note.RENAME


def notes(lwp: Lwp, queue: int) -> dict[int, int]:
    """Return what happened to each descriptor since the last time."""
    count = events.kevent(lwp, queue, 0, 0, EVENTS, 8, NOW)
    raw = lwp.vmspace.copyin(EVENTS, count * sizeof(Kevent))
    return {each.ident: each.fflags for each in (Kevent * count).from_buffer_copy(raw)}


@pytest.fixture
def watched(lwp: Lwp, queue: int) -> tuple[int, int]:
    """The file /file and the directory / of it, of which everything is watched."""
    folder = paths.open(lwp, at(lwp, b"/"), Open.RDONLY, 0)
    fd = open_file(lwp, b"/file")
    both = fd, folder
    kevent(lwp, queue, *(change(each, Evfilt.VNODE, ADD | CLEAR, 0, EVERYTHING) for each in both))
    assert notes(lwp, queue) == {}
    return both


def at(lwp: Lwp, name: bytes, where: int = BUFFER) -> int:
    lwp.vmspace.copyout(where, name + b"\0")
    return where


OTHER = BUFFER + 256


@pytest.mark.parametrize(
    ("act", "file_note", "folder_note"),
    [
        (lambda lwp, fd: files.write(lwp, fd, BUFFER, 5), Note.WRITE | Note.EXTEND, 0),
        (lambda lwp, fd: files.write(lwp, fd, BUFFER, 0), 0, 0),
        (lambda lwp, fd: files.ftruncate(lwp, fd, 0, 9), Note.WRITE | Note.EXTEND, 0),
        (lambda lwp, fd: files.ftruncate(lwp, fd, 0, 0), 0, 0),
        (lambda lwp, fd: attrs.fchmod(lwp, fd, 0o600), Note.ATTRIB, 0),
        (lambda lwp, fd: attrs.chmod(lwp, at(lwp, b"/file"), 0o600), Note.ATTRIB, 0),
        (lambda lwp, fd: attrs.utimes(lwp, at(lwp, b"/file"), 0), Note.ATTRIB, 0),
        (lambda lwp, fd: paths.unlink(lwp, at(lwp, b"/file")), Note.DELETE, Note.WRITE),
        (
            lambda lwp, fd: paths.link(lwp, at(lwp, b"/file"), at(lwp, b"/new", OTHER)),
            Note.LINK,
            Note.WRITE,
        ),
        (
            lambda lwp, fd: paths.rename(lwp, at(lwp, b"/file"), at(lwp, b"/new", OTHER)),
            Note.RENAME,
            Note.WRITE,
        ),
        (
            lambda lwp, fd: paths.symlink(lwp, at(lwp, b"/file"), at(lwp, b"/new", OTHER)),
            0,
            Note.WRITE,
        ),
        (lambda lwp, fd: open_file(lwp, b"/new"), 0, Note.WRITE),
        (lambda lwp, fd: paths.mkdir(lwp, at(lwp, b"/new"), 0o700), 0, Note.WRITE | Note.LINK),
    ],
)
def test_what_a_guest_does_to_a_file_is_told(
    lwp: Lwp,
    queue: int,
    watched: tuple[int, int],
    act: Callable[[Lwp, int], object],
    file_note: int,
    folder_note: int,
) -> None:
    act(lwp, watched[0])
    told = notes(lwp, queue)
    assert (told.get(watched[0], 0), told.get(watched[1], 0)) == (file_note, folder_note)


def test_one_name_of_several_is_removed(lwp: Lwp, queue: int, watched: tuple[int, int]) -> None:
    paths.link(lwp, at(lwp, b"/file"), at(lwp, b"/new", OTHER))
    open_file(lwp, b"/over")
    notes(lwp, queue)
    paths.rename(lwp, at(lwp, b"/over"), at(lwp, b"/new", OTHER))
    assert notes(lwp, queue) == {watched[0]: Note.LINK, watched[1]: Note.WRITE}


def test_a_directory_that_is_removed_is_told(lwp: Lwp, queue: int) -> None:
    paths.mkdir(lwp, at(lwp, b"/dir"), 0o700)
    folder = paths.open(lwp, at(lwp, b"/dir"), Open.RDONLY, 0)
    kevent(lwp, queue, change(folder, Evfilt.VNODE, ADD, 0, Note.DELETE))
    paths.rmdir(lwp, at(lwp, b"/dir"))
    assert notes(lwp, queue) == {folder: Note.DELETE}


def test_what_is_done_through_one_open_of_a_directory_is_told_of_all(
    lwp: Lwp, queue: int, watched: tuple[int, int]
) -> None:
    other = paths.open(lwp, at(lwp, b"/"), Open.RDONLY, 0)
    attrs.fchmod(lwp, other, 0o700)
    assert notes(lwp, queue) == {watched[1]: Note.ATTRIB}
    attrs.fchmod(lwp, watched[1], 0o700)
    assert notes(lwp, queue) == {watched[1]: Note.ATTRIB}
    files.close(lwp, other)
    attrs.chmod(lwp, at(lwp, b"/"), 0o700)
    assert notes(lwp, queue) == {watched[1]: Note.ATTRIB}


def test_only_what_is_asked_for_is_told(lwp: Lwp, queue: int) -> None:
    fd = open_file(lwp, b"/file")
    kevent(lwp, queue, change(fd, Evfilt.VNODE, ADD, 0, Note.EXTEND))
    attrs.fchmod(lwp, fd, 0o600)
    assert notes(lwp, queue) == {}
    files.write(lwp, fd, BUFFER, 1)
    assert notes(lwp, queue) == {fd: Note.EXTEND}


# Processes


def test_a_process_tells_what_is_asked_for(lwp: Lwp, queue: int) -> None:
    kevent(lwp, queue, change(lwp.proc.pid, Evfilt.PROC, ADD, 0, Note.EXEC | Note.FORK))
    for happened in (Note.EXEC, Note.FORK):
        lwp.proc.notify(happened, 0)
        assert notes(lwp, queue) == {lwp.proc.pid: happened}
    lwp.proc.notify(Note.SIGNAL, 1)
    assert notes(lwp, queue) == {}


def test_a_child_that_cannot_be_followed_is_told(
    lwp: Lwp, queue: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kevent(lwp, queue, change(lwp.proc.pid, Evfilt.PROC, ADD, 0, Note.TRACK))
    monkeypatch.setattr(kqueue, "MAX_KNOTES", 1)
    lwp.proc.notify(Note.FORK, 54321)
    assert notes(lwp, queue) == {lwp.proc.pid: Note.TRACKERR}


# Order and limits


def test_events_come_in_turn_if_there_is_not_room_for_all(lwp: Lwp, queue: int) -> None:
    first, second, third = (open_file(lwp, name) for name in (b"/a", b"/b", b"/c"))
    changes = [change(fd, WRITE, ADD) for fd in (first, second, third)]
    assert [told.ident for told in kevent(lwp, queue, *changes, room=2)] == [first, second]
    assert [told.ident for told in kevent(lwp, queue, room=2)] == [third, first]
    assert [told.ident for told in kevent(lwp, queue)] == [second, third, first]


def test_a_knote_may_be_made_disabled(lwp: Lwp, queue: int) -> None:
    fd = open_file(lwp, b"/file")
    assert kevent(lwp, queue, change(fd, WRITE, ADD | Ev.DISABLE)) == []
    told = kevent(lwp, queue, change(fd, WRITE, Ev.ENABLE))
    assert told == [Told(fd, WRITE, ADD | Ev.DISABLE, 0)]


def test_timers_and_knotes_of_all_queues_together_are_limited(
    lwp: Lwp, queue: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = events.kqueue(lwp)
    monkeypatch.setattr(kqueue, "MAX_TIMERS", 2)
    monkeypatch.setattr(kqueue, "MAX_KNOTES", 3)
    full = Told(3, TIMER, Ev.ERROR, Errno.ENOMEM)
    assert kevent(lwp, queue, *(change(each, TIMER, ADD, 9) for each in (1, 2, 3))) == [full]
    signals = [change(each, Evfilt.SIGNAL, ADD) for each in (1, 2)]
    assert kevent(lwp, other, *signals) == [Told(2, Evfilt.SIGNAL, Ev.ERROR, Errno.ENOMEM)]
    kevent(lwp, queue, change(1, TIMER, DELETE))
    assert kevent(lwp, queue, change(3, TIMER, ADD, 9)) == []


def test_a_timer_that_is_looked_at_late_has_missed_nothing(lwp: Lwp, queue: int) -> None:
    kernel = lwp.proc.kernel
    start = kernel.clock.monotonic_ns()
    kevent(lwp, queue, change(1, TIMER, ADD, 10))
    for ms, count in ((9, 0), (10, 1), (19, 0), (55, 4), (59, 0), (60, 1)):
        kernel.clock.skip_to(start + ms * 1_000_000)
        kernel.sched.run_callouts()
        told = [Told(1, TIMER, ADD | CLEAR, count)] if count else []
        assert kevent(lwp, queue) == told, ms


@pytest.mark.parametrize("data", [0, -5])
def test_a_timer_of_no_time_is_one_tick(lwp: Lwp, queue: int, data: int) -> None:
    kevent(lwp, queue, change(1, TIMER, ADD, data))
    assert lwp.proc.kernel.sched.next_callout() == 10_000_000


# SIGIO


def sigio(lwp: Lwp) -> bool:
    """Was SIGIO, which is ignored, sent since the last time?"""
    found = kevent(lwp, 0)
    return [told.ident for told in found] == [23]


@pytest.fixture
def counted(lwp: Lwp, queue: int) -> None:
    kevent(lwp, queue, change(23, Evfilt.SIGNAL, ADD))


def test_sigio_tells_the_owner_of_input(lwp: Lwp, counted: None, pipe: Pipe) -> None:
    files.fcntl(lwp, pipe.fd, Fcntl.SETFL, Open.ASYNC)
    pipe.write(b"a")
    assert not sigio(lwp)
    files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, lwp.proc.pid)
    assert files.fcntl(lwp, pipe.fd, Fcntl.GETOWN, 0) == lwp.proc.pid
    assert not sigio(lwp)
    pipe.write(b"b")
    assert sigio(lwp)
    assert not sigio(lwp)
    files.fcntl(lwp, pipe.fd, Fcntl.SETFL, 0)
    pipe.write(b"c")
    assert not sigio(lwp)


def test_sigio_ends_with_the_file(lwp: Lwp, counted: None, pipe: Pipe) -> None:
    files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, -lwp.proc.pgrp.id)
    files.fcntl(lwp, pipe.fd, Fcntl.SETFL, Open.ASYNC)
    pipe.write(b"a")
    assert sigio(lwp)
    files.close(lwp, pipe.fd)
    assert lwp.proc.kernel.sched.watched == {}


def test_an_owner_that_exits_is_forgotten(lwp: Lwp, pipe: Pipe) -> None:
    child = Proc(lwp.proc.kernel, lwp.vmspace.hold(), lwp.proc.files.hold(), lwp.proc)
    files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, child.pid)
    assert files.fcntl(lwp, pipe.fd, Fcntl.GETOWN, 0) == child.pid
    child.exit_status = 0
    assert files.fcntl(lwp, pipe.fd, Fcntl.GETOWN, 0) == 0


def test_an_owner_gets_no_signal_from_somebody_it_does_not_obey(
    lwp: Lwp, counted: None, pipe: Pipe
) -> None:
    lwp.proc.ucred = Ucred(uid=1000, ruid=1000)
    files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, lwp.proc.pid)
    files.fcntl(lwp, pipe.fd, Fcntl.SETFL, Open.ASYNC)
    lwp.proc.ucred = Ucred(uid=2000, ruid=2000)
    pipe.write(b"a")
    assert not sigio(lwp)


@pytest.mark.parametrize("owner", [99_999, -99_999])
def test_nobody_is_no_owner(lwp: Lwp, pipe: Pipe, owner: int) -> None:
    with pytest.raises(KernelError) as caught:
        files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, owner)
    assert caught.value.errno is Errno.ESRCH


def test_an_owner_is_of_the_same_session(lwp: Lwp, pipe: Pipe) -> None:
    child = Proc(lwp.proc.kernel, lwp.vmspace.hold(), lwp.proc.files.hold(), lwp.proc)
    new_session(child)
    for owner in (child.pid, -child.pgrp.id):
        with pytest.raises(KernelError) as caught:
            files.fcntl(lwp, pipe.fd, Fcntl.SETOWN, owner)
        assert caught.value.errno is Errno.EPERM


def test_queues_of_queues_may_be_as_many_as_there_are_files(lwp: Lwp, queue: int) -> None:
    last = queue
    for _ in range(1000):
        before, last = last, events.kqueue(lwp)
        kevent(lwp, last, change(before, READ, ADD), room=0)
    kevent(lwp, queue, change(23, Evfilt.SIGNAL, ADD), room=0)
    lwp.proc.notify(Note.SIGNAL, 23)
    assert kevent(lwp, last) == [Told(last - 1, READ, ADD, 1)]


@pytest.mark.parametrize("call", [files.read, files.write])
def test_a_kqueue_is_neither_read_nor_written_even_if_it_has_no_events(
    lwp: Lwp, call: Callable[..., int]
) -> None:
    fd = event.kqueue(lwp)
    with pytest.raises(KernelError) as caught:
        call(lwp, fd, BUFFER, 32)
    assert caught.value.errno is Errno.ENXIO
