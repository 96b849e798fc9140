"""The clock interrupt: it comes when asked for, once, and not otherwise."""

import os
import threading
from collections.abc import Callable, Iterator
from time import monotonic_ns

import pytest

from emu.kern.alarm import Alarm
from emu.kern.sched import READABLE

MS = 1_000_000
LONG = 3600 * 1000 * MS


class Kicks:
    """What the alarm kicks; the test can wait for it."""

    def __init__(self) -> None:
        self.count = 0
        self._came = threading.Condition()

    def __call__(self) -> None:
        with self._came:
            self.count += 1
            self._came.notify_all()

    def wait_for(self, count: int) -> bool:
        with self._came:
            return self._came.wait_for(lambda: self.count >= count, 10)


Made = tuple[Alarm, Kicks]


@pytest.fixture
def alarm() -> Iterator[Made]:
    kicks = Kicks()
    alarm = Alarm(kicks)
    yield alarm, kicks
    alarm.close()


def test_it_goes_off_at_its_time_and_once(alarm: Made) -> None:
    it, kicks = alarm
    deadline = monotonic_ns() + 5 * MS
    it.set(deadline, {})
    assert kicks.wait_for(1)
    assert monotonic_ns() >= deadline
    it.set(monotonic_ns() + LONG, {})
    assert kicks.count == 1


def test_a_time_that_has_passed_is_now(alarm: Made) -> None:
    it, kicks = alarm
    for count in range(1, 20):
        it.set(monotonic_ns() - MS, {})
        assert kicks.wait_for(count)


def test_what_is_asked_for_later_counts(alarm: Made) -> None:
    it, kicks = alarm
    it.set(monotonic_ns() + LONG, {})
    it.set(monotonic_ns() + 2 * MS, {})
    assert kicks.wait_for(1)


def test_what_was_asked_for_earlier_does_not(alarm: Made) -> None:
    it, kicks = alarm
    it.set(monotonic_ns() + 100 * MS, {})
    it.set(None, {})
    it.set(later := monotonic_ns() + 120 * MS, {})
    assert kicks.wait_for(1)
    assert monotonic_ns() >= later


def test_it_goes_off_when_a_descriptor_is_ready(alarm: Made) -> None:
    it, kicks = alarm
    reader, writer = os.pipe()
    it.set(None, {reader: READABLE})
    assert kicks.count == 0
    os.write(writer, b"x")
    assert kicks.wait_for(1)
    # And again if asked again.
    it.set(None, {reader: READABLE})
    assert kicks.wait_for(2)
    it.set(None, {})
    os.close(reader)
    os.close(writer)


def test_there_is_no_thread_before_anybody_asks() -> None:
    threads = threading.active_count()
    alarm = Alarm(lambda: None)
    assert (alarm.used, threading.active_count()) == (False, threads)
    alarm.close()
    alarm = Alarm(lambda: None)
    alarm.set(None, {})
    assert (alarm.used, threading.active_count()) == (True, threads + 1)
    alarm.close()
    assert threading.active_count() == threads


class Overtaken(Alarm):
    """An alarm that is set anew right after its thread has looked what is next.

    That is the first thing the thread does after a kick.
    """

    _value: int | None = None

    def __init__(self, kicks: Kicks, overtake: Callable[[Alarm], None]) -> None:
        super().__init__(kicks)
        self._kicks = kicks
        self._overtake = overtake
        self._overtaken = False

    @property
    def _deadline(self) -> int | None:
        value = self._value
        if self._kicks.count == 1 and not self._overtaken:
            self._overtaken = True
            self._overtake(self)
        return value

    @_deadline.setter
    def _deadline(self, value: int | None) -> None:
        self._value = value


def test_a_deadline_that_is_set_while_the_thread_looks_is_not_lost() -> None:
    kicks = Kicks()
    alarm = Overtaken(kicks, lambda alarm: alarm.set(monotonic_ns() + 5 * MS, {}))
    alarm.set(monotonic_ns() + MS, {})
    assert kicks.wait_for(2)
    alarm.close()
