"""A guest that waits costs the host nothing."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from conftest import DEFAULT_STRESS, Booted

from emu.abi.fcntl import Open
from emu.kern.clock import HostClock
from emu.kern.file import File, FileTable, Stream

MOST = 0.02
"""Of one CPU of the host."""
TRIES = 10
"""A busy host may take long until everybody waits; whoever does not wait is never idle."""

WAITS = {
    "umtx": "SYSCALL SYS_umtx_sleep, zeros, 0, 1000000",
    "time": "SYSCALL SYS_nanosleep, ten_seconds, 0",
    "signal": "SYSCALL SYS_sigsuspend, zeros",
    "input": "SYSCALL SYS_read, 0, zeros, 1",
    "queue": """
        SYSCALL SYS_kqueue
        mov r12, rax
        SYSCALL SYS_kevent, r12, changes, 2, zeros, 1, 0
    """,
    "child": """
        SYSCALL SYS_fork
        SYSCALL SYS_wait4, -1, 0, 0, 0
        SYSCALL SYS_nanosleep, ten_seconds, 0
    """,
    "threads": """
        mov r15d, 20
    more:
        SYSCALL SYS_lwp_create, parameters
        dec r15d
        jnz more
    thread:
        SYSCALL SYS_umtx_sleep, zeros, 0, 1000000
        jmp thread
        .balign 8
    parameters:
        .quad thread, 0, 0x410000, 0, 0
    """,
}
GUEST = """
again:
    {}
    jmp again
    .balign 8
ten_seconds:
    .quad 10, 0
changes:
    .quad 0
    .short EVFILT_READ, EV_ADD
    .long 0
    .quad 0, 0
    .quad 1
    .short EVFILT_TIMER, EV_ADD
    .long 0
    .quad 1000, 0
zeros:
    .zero 64
"""


@pytest.fixture
def silence() -> Iterator[FileTable]:
    """Standard input from which nothing comes."""
    reader, writer = os.pipe()
    files = FileTable()
    files.add(File(Stream(reader), Open.RDONLY))
    yield files
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("wait", WAITS)
def test_a_guest_that_waits_takes_no_time(
    wait: str, silence: FileTable, stress_seconds: float
) -> None:
    window = 3.0 if stress_seconds > DEFAULT_STRESS else 0.3
    booted = Booted(GUEST.format(WAITS[wait]), clock=HostClock(), files=silence)
    taken: list[float] = []

    def measure(stop: Callable[[int], None]) -> None:
        time.sleep(0.1)  # until everybody waits
        for _ in range(TRIES):
            before = time.process_time()
            time.sleep(window)
            taken.append(time.process_time() - before)
            if taken[-1] < MOST * window:
                break
        stop(99)

    watch = threading.Thread(target=measure, args=[booted.machine.stop])
    try:
        watch.start()
        assert booted.run() == 99
    finally:
        watch.join()
        booted.close()
    assert taken[-1] < MOST * window
