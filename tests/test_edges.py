"""News of files: what is told again, and what keeps nobody awake."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from emu.abi.errno import Errno, KernelError
from emu.kern.clock import VirtualClock
from emu.kern.edges import Edge, Edges
from emu.kern.sched import READABLE, WRITABLE, Scheduler, Sleep


class News:
    """The edges of a scheduler, and a list of what happened."""

    def __init__(self) -> None:
        self.sched = Scheduler(VirtualClock())
        self.edges = Edges(self.sched)
        self._told: list[str] = []

    def watch(self, name: str, fd: int, events: int = READABLE) -> Edge:
        return self.edges.watch(Sleep(fds=((fd, events),)), lambda: self._told.append(name))

    def listen(self, name: str, *channels: str) -> Edge:
        return self.edges.watch(Sleep(channels), lambda: self._told.append(name))

    def take(self) -> list[str]:
        """Return what happened since the last time."""
        self.sched.poll()
        told, self._told[:] = list(self._told), []
        return told


@pytest.fixture
def news() -> Iterator[News]:
    made = News()
    with closing(made.sched):
        yield made
        assert made.sched.watched == {}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def test_each_arrival_is_news_and_what_is_left_unread_is_none(
    news: News, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    os.write(writer, b"old")
    edge = news.watch("a", reader)
    assert news.take() == []
    os.write(writer, b"new")
    assert news.take() == ["a"]
    assert news.take() == []
    os.write(writer, b"newer")
    assert news.take() == ["a"]
    os.close(writer)
    assert news.take() == ["a"]
    assert news.take() == []
    edge.cancel()


def test_a_descriptor_that_the_host_refuses_leaves_nothing_behind(news: News) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(KernelError) as refusal:
        news.watch("a", writer)  # the other is the epoll now
    assert refusal.value.errno is Errno.EBADF
    assert news.sched.watched == {}


def test_everybody_is_told_and_who_comes_later_only_of_what_comes_later(
    news: News, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    first = news.watch("first", reader)
    os.write(writer, b"x")
    assert news.take() == ["first"]
    second = news.watch("second", reader)
    assert news.take() == []
    os.write(writer, b"y")
    assert news.take() == ["first", "second"]
    first.cancel()
    os.write(writer, b"z")
    assert news.take() == ["second"]
    second.cancel()
    os.close(writer)


def test_reading_and_writing_are_different_news(news: News) -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        reads = news.watch("reads", ours.fileno())
        writes = news.watch("writes", ours.fileno(), WRITABLE)
        theirs.send(b"x")
        assert news.take() == ["reads"]
        reads.cancel()
        writes.cancel()


def test_half_a_hang_up_is_news(news: News) -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        edge = news.watch("a", ours.fileno())
        theirs.shutdown(socket.SHUT_WR)
        assert news.take() == ["a"]
        assert news.take() == []
        edge.cancel()


def test_a_regular_file_has_no_news(news: News, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    edge = news.watch("a", fd)
    os.write(fd, b"x")
    assert news.take() == []
    edge.cancel()
    os.close(fd)


def test_a_descriptor_that_was_closed_meanwhile_is_let_go(news: News) -> None:
    reader, writer = os.pipe()
    edge = news.watch("a", reader)
    os.close(reader)
    os.close(writer)
    edge.cancel()


def test_a_wakeup_is_news_with_and_without_sleepers(news: News) -> None:
    edge = news.listen("a", "here", "there")
    other = news.listen("b", "here")
    assert news.sched.wakeup("here") == 0
    assert news.take() == ["a", "b"]
    news.sched.wakeup("there")
    assert news.take() == ["a"]
    edge.cancel()
    news.sched.wakeup("here")
    assert news.take() == ["b"]
    other.cancel()
    news.sched.wakeup("here")
    assert news.take() == []
