"""Time as guests see it; pipes stand for input and for the request to stop."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from emu.kern.clock import EPOCH_NS, Clock, HostClock, Interrupted, VirtualClock

CLOCKS: list[Callable[[], Clock]] = [HostClock, VirtualClock]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        read_end, write_end = os.pipe()
        stack.callback(os.close, write_end)
        stack.callback(os.close, read_end)
        yield read_end, write_end


@pytest.mark.parametrize("clock", CLOCKS)
def test_waiting_ends_at_once_when_there_is_input(clock: Callable[[], Clock]) -> None:
    with pipe() as (fd, write_end):
        os.write(write_end, b"x")
        clock().wait_readable(fd)
        assert os.read(fd, 1) == b"x"


def test_waiting_ends_at_end_of_file() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    HostClock().wait_readable(read_end)
    os.close(read_end)


def test_a_regular_file_is_always_readable(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    HostClock().wait_readable(fd)
    os.close(fd)


@pytest.mark.parametrize("clock", CLOCKS)
def test_waiting_is_interrupted_when_the_run_must_end(clock: Callable[[], Clock]) -> None:
    with pipe() as (fd, _), pipe() as (wake_fd, wake):
        watched = clock()
        watched.wake_fd = wake_fd
        os.write(wake, b"x")
        for _attempt in range(2):
            with pytest.raises(Interrupted):
                watched.wait_readable(fd)
        assert os.read(wake_fd, 8) == b"x", "the clock must not drain it"


def test_the_request_to_stop_counts_even_if_there_is_input() -> None:
    with pipe() as (fd, write_end), pipe() as (wake_fd, wake):
        os.write(write_end, b"x")
        os.write(wake, b"x")
        with pytest.raises(Interrupted):
            HostClock(wake_fd).wait_readable(fd)


def test_input_is_seen_while_the_stop_is_watched_too() -> None:
    with pipe() as (fd, write_end), pipe() as (wake_fd, _):
        os.write(write_end, b"x")
        HostClock(wake_fd).wait_readable(fd)


def test_the_virtual_clock_starts_at_its_epoch_and_stands_still() -> None:
    clock = VirtualClock()
    assert (clock.now_ns(), clock.monotonic_ns()) == (EPOCH_NS, 0)
    assert (clock.now_ns(), clock.monotonic_ns()) == (EPOCH_NS, 0)


def test_the_virtual_clock_advances_by_calls_and_blocks() -> None:
    clock = VirtualClock(epoch_ns=5_000_000_000)
    clock.charge_call()
    clock.charge_blocks(3)
    assert clock.monotonic_ns() == 1_030
    assert clock.now_ns() == 5_000_001_030


def test_the_host_clock_ignores_what_is_charged_and_never_goes_back() -> None:
    clock = HostClock()
    before = clock.monotonic_ns()
    clock.charge_call()
    clock.charge_blocks(1 << 40)
    assert 0 <= clock.monotonic_ns() - before < 10_000_000_000
    assert clock.now_ns() > EPOCH_NS


def test_the_time_stamp_counter_of_a_virtual_clock_never_stands_still() -> None:
    clock = VirtualClock()
    assert [clock.read_tsc() for _ in range(3)] == [10, 20, 30]
