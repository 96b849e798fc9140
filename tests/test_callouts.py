"""Callouts: what is to be done at a time, and how long the host sleeps for them."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from emu.kern.clock import HostClock, VirtualClock
from emu.kern.sched import Scheduler


@pytest.fixture
def sched() -> Iterator[Scheduler]:
    with closing(Scheduler(VirtualClock())) as made:
        yield made


def test_callouts_are_done_in_the_order_of_their_time_then_of_their_making(
    sched: Scheduler,
) -> None:
    done: list[str] = []
    for deadline, name in ((20, "c"), (10, "a"), (10, "b"), (30, "d")):
        sched.callout(deadline, lambda name=name: done.append(name))
    sched.clock.skip_to(20)
    sched.run_callouts()
    assert done == ["a", "b", "c"]
    assert sched.next_callout() == 30


def test_a_cancelled_callout_is_not_done(sched: Scheduler) -> None:
    done: list[int] = []
    sched.callout(10, lambda: done.append(1)).cancel()
    assert sched.next_callout() is None
    sched.clock.skip_to(10)
    sched.run_callouts()
    assert done == []


def test_cancelled_callouts_do_not_pile_up(sched: Scheduler) -> None:
    """A guest may set and cancel a timer that is far away as often as it likes."""
    kept = [sched.callout(1 << 60, list) for _ in range(1000)]
    sched.callout(1, list)
    for _ in range(100_000):
        sched.callout(1 << 50, list).cancel()
    assert len(sched._heap) <= 2100
    assert sched.next_callout() == 1
    for callout in kept:
        callout.cancel()
    for _ in range(2000):
        sched.callout(1 << 50, list).cancel()
    assert len(sched._heap) <= 300


def test_the_host_is_not_asked_to_sleep_longer_than_it_can() -> None:
    """A deadline may be 2^63 seconds away; poll() takes the milliseconds as a C int."""
    clock = HostClock()
    assert clock.patience(clock.monotonic_ns() + (1 << 63) * 1_000_000_000) == (1 << 31) - 1
    assert clock.patience(clock.monotonic_ns() - 1) == 0
    assert clock.patience(None) is None


def test_who_wakes_the_kernel_never_waits_for_it(sched: Scheduler) -> None:
    """The guest may compute for long, and somebody may send it signals all the time."""
    for _ in range(10_000):
        sched.wake()
    sched.idle()
