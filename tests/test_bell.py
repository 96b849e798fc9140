"""The bell, on pipes of the host."""

import os
import select
from collections.abc import Iterator

import pytest

from emu.kern.bell import Bell


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    yield made
    made.close()


def rings(bell: Bell) -> bool:
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    return bool(poll.poll(0))


def test_a_bell_rings_until_it_is_answered(bell: Bell) -> None:
    assert not rings(bell)
    bell.ring()
    bell.ring()
    assert rings(bell)
    assert bell.answer() == b"\0\0"
    assert not rings(bell)


def test_what_is_written_to_the_rope_is_the_answer(bell: Bell) -> None:
    os.write(bell.rope, b"\x02\x0f")
    assert bell.answer() == b"\x02\x0f"


def test_a_bell_that_nobody_answers_can_be_rung_for_ever(bell: Bell) -> None:
    for _ in range(70_000):
        bell.ring()
    assert rings(bell)


def test_a_bell_that_is_forgotten_is_closed() -> None:
    bell = Bell()
    fd = bell.fileno()
    del bell
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_closed_bell_makes_no_sound() -> None:
    bell = Bell()
    reader, writer = bell.fileno(), bell.rope
    bell.close()
    bell.ring()
    for fd in (reader, writer):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
