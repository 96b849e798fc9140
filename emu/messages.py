"""What a command says to its user: a line on standard error, or more on standard output."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

STDERR = 2

_USAGE_ERROR = 2
_PIPE_WIDTH = 200


def tell(line: str) -> None:
    """Say it, if anybody can hear it; the run goes on."""
    with suppress(OSError):
        write_line(STDERR, f"vkemu: {line}")


def write_line(fd: int, line: str) -> None:
    # Not through Python's own streams: what they cannot write they try again at exit.
    data = f"{line}\n".encode()
    while data:
        data = data[os.write(fd, data) :]


def output_width() -> int | None:
    """Return how wide standard output is: a line each for a pipe; a terminal wraps."""
    return None if sys.stdout.isatty() else _PIPE_WIDTH


def fail(reason: str) -> NoReturn:
    """The user's mistake: one line that says what it is."""
    tell(reason)
    sys.exit(_USAGE_ERROR)
