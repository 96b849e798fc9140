"""kevent, select, pselect and poll: waiting, for the host and for time."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from conftest import Booted, call

from emu.abi.errno import Errno
from emu.abi.fcntl import Open
from emu.abi.poll import Poll
from emu.abi.socket import Af, Sock
from emu.abi.structs import Pollfd
from emu.kern.file import File, Stream
from emu.kern.host_socket import HostSocket
from emu.kern.kqueue import Kqueue
from emu.kern.proc import Lwp
from syscalls import event

Boot = Callable[..., Booted]

SECOND = 1_000_000_000
STRUCTS = """
    .balign 8
zero: .quad 0, 0
second: .quad 1, 0
us: .quad 0, 10
two_days: .quad 172800, 0
past: .quad -1, 0
reads: .quad 1
fds: .long 0
    .short POLLIN, 0
add_input:
    .quad 0
    .short EVFILT_READ, EV_ADD | EV_CLEAR
    .long 0
    .quad 0, 0
add_timer:
    .quad 1
    .short EVFILT_TIMER, EV_ADD
    .long 0
    .quad 10, 0
    .quad 2
    .short EVFILT_TIMER, EV_ADD | EV_ONESHOT
    .long 0
    .quad 15, 0
catch: .quad handler, 0, 0, 0
events: .zero 256
caught: .quad 0
handler:
    inc qword ptr [caught]
    ret
"""
EXIT = "mov rdi, rax\nSYSCALL SYS_exit, rdi\n"
KQUEUE = "SYSCALL SYS_kqueue\nmov r12, rax\n"


class HostPipe:
    """Standard input of a guest, which the host writes to."""

    def __init__(self, lwp: Lwp) -> None:
        self._reader, self._writer = os.pipe()
        lwp.proc.files.add(File(Stream(self._reader), Open.RDONLY))

    def write_later(self) -> threading.Timer:
        """Write a byte once the guest has had time to fall asleep."""
        timer = threading.Timer(0.02, os.write, [self._writer, b"x"])
        timer.start()
        return timer

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@pytest.mark.parametrize(
    "wait",
    [
        "SYSCALL SYS_select, 1, reads, 0, 0, 0",
        "SYSCALL SYS_pselect, 1, reads, 0, 0, 0, zero",
        "SYSCALL SYS_poll, fds, 1, -1",
        KQUEUE + "SYSCALL SYS_kevent, r12, add_input, 1, events, 8, 0",
    ],
    ids=["select", "pselect", "poll", "kevent"],
)
def test_input_from_the_host_ends_a_wait_that_costs_no_time(boot: Boot, wait: str) -> None:
    machine = boot(wait + "\n" + EXIT + STRUCTS)
    with closing(HostPipe(machine.lwp)) as pipe:
        timer = pipe.write_later()
        assert machine.run() == 1
        timer.join()
        machine.lwp.proc.files.close_all()
    assert machine.lwp.proc.kernel.clock.monotonic_ns() < 100_000


def test_input_from_the_host_sends_sigio_through_a_kqueue(boot: Boot) -> None:
    source = f"""
    {KQUEUE}
    SYSCALL SYS_sigaction, SIGIO, catch, 0
    SYSCALL SYS_getpid
    mov r13, rax
    SYSCALL SYS_fcntl, r12, F_SETOWN, r13
    SYSCALL SYS_fcntl, r12, F_SETFL, O_ASYNC
    SYSCALL SYS_kevent, r12, add_input, 1, 0, 0, 0
    SYSCALL SYS_sigsuspend, zero
    SYSCALL SYS_kevent, r12, 0, 0, events, 8, zero
    {EXIT}{STRUCTS}"""
    machine = boot(source)
    with closing(HostPipe(machine.lwp)) as pipe:
        timer = pipe.write_later()
        assert machine.run() == 1
        timer.join()
        machine.lwp.proc.files.close_all()


def test_sigio_reaches_a_guest_that_is_busy(boot: Boot) -> None:
    source = f"""
    SYSCALL SYS_sigaction, SIGIO, catch, 0
    SYSCALL SYS_getpid
    mov r13, rax
    SYSCALL SYS_fcntl, 0, F_SETOWN, r13
    SYSCALL SYS_fcntl, 0, F_SETFL, O_ASYNC
busy:
    cmp qword ptr [caught], 0
    je busy
    mov rax, [caught]
    {EXIT}{STRUCTS}"""
    machine = boot(source)
    with closing(HostPipe(machine.lwp)) as pipe:
        timer = pipe.write_later()
        assert machine.run() == 1
        timer.join()
        machine.lwp.proc.files.close_all()


@pytest.mark.parametrize(
    ("wait", "ns"),
    [
        ("SYSCALL SYS_select, 0, 0, 0, 0, second", SECOND),
        ("SYSCALL SYS_select, 0, 0, 0, 0, us", 10_000),
        ("SYSCALL SYS_pselect, 0, 0, 0, 0, second, 0", SECOND),
        ("SYSCALL SYS_poll, 0, 0, 1500", 1_500_000_000),
        (KQUEUE + "SYSCALL SYS_kevent, r12, 0, 0, events, 8, second", SECOND),
        (KQUEUE + "SYSCALL SYS_kevent, r12, 0, 0, events, 8, two_days", 86_400 * SECOND),
        (KQUEUE + "SYSCALL SYS_kevent, r12, 0, 0, events, 8, past", 0),
        ("SYSCALL SYS_select, 0, 0, 0, 0, past", 0),
        ("SYSCALL SYS_poll, 0, 0, -2", 0),
    ],
)
def test_a_wait_is_as_long_as_it_is_asked_to_be(boot: Boot, wait: str, ns: int) -> None:
    machine = boot(wait + "\n" + EXIT + STRUCTS)
    assert machine.run() == 0
    assert ns <= machine.lwp.proc.kernel.clock.monotonic_ns() < ns + 20_000


def test_timers_end_waits_in_their_order(boot: Boot) -> None:
    source = f"""
    {KQUEUE}
    SYSCALL SYS_kevent, r12, add_timer, 2, 0, 0, 0
    xor r13, r13
next:
    SYSCALL SYS_kevent, r12, 0, 0, events, 8, 0
    shl r13, 2
    add r13, [events]
    test r13, 0xc0
    jz next
    mov rax, r13
    {EXIT}{STRUCTS}"""
    machine = boot(source)
    # At 10 ms, 15 ms, 20 ms and 30 ms.
    assert machine.run() == 0b01_10_01_01
    assert 30_000_000 <= machine.lwp.proc.kernel.clock.monotonic_ns() < 30_100_000


def test_two_threads_wait_for_one_kqueue(boot: Boot) -> None:
    """Both wake up; who comes second finds nothing and sleeps on."""
    source = f"""
    {KQUEUE}
    mov rax, stack
    mov [params+16], rax
    SYSCALL SYS_lwp_create, params
    SYSCALL SYS_kevent, r12, add_timer+32, 1, events, 8, 0
    mov r13, rax
    SYSCALL SYS_kevent, r12, add_timer+32, 1, events, 8, 0
    add r13, rax
    add r13, [other]
    mov rax, r13
    {EXIT}
thread:
    SYSCALL SYS_kevent, r12, 0, 0, others, 8, 0
    mov [other], rax
    SYSCALL SYS_kevent, r12, 0, 0, others, 8, 0
    .balign 8
params: .quad thread, 0, 0, 0, 0
other: .quad 0
others: .zero 256
    .zero 256
stack:
    {STRUCTS}"""
    assert boot(source).run() == 2


# Limits


@pytest.fixture
def buffer(lwp: Lwp) -> int:
    """An address with room for many structures."""
    return call(lwp, "mmap", 0, 1 << 16, 3, 0x1002, -1, 0, 0)


def test_poll_looks_at_twice_as_many_as_can_be_open(lwp: Lwp, buffer: int) -> None:
    lwp.proc.files.limit = 4
    lwp.vmspace.copyout(buffer, bytes(Pollfd(9, Poll.IN, -1)) * 10)
    assert call(lwp, "poll", buffer, 10, 0) == 8
    raw = lwp.vmspace.copyin(buffer, 80)
    entries = (Pollfd * 10).from_buffer_copy(raw)
    assert [each.revents for each in entries] == [Poll.NVAL] * 8 + [-1] * 2


def test_select_looks_at_as_many_as_can_be_open(lwp: Lwp, buffer: int) -> None:
    lwp.proc.files.limit = 64
    lwp.vmspace.copyout(buffer, b"\xff" * 24)
    assert call(lwp, "select", 192, buffer, 0, 0, buffer + 64) is Errno.EBADF
    lwp.vmspace.copyout(buffer, bytes(8))
    assert call(lwp, "select", 192, buffer, 0, 0, buffer + 64) == 0
    assert lwp.vmspace.copyin(buffer, 24) == bytes(8) + b"\xff" * 16


def test_a_table_that_is_full_has_no_kqueue(lwp: Lwp) -> None:
    lwp.proc.files.limit = 1
    assert call(lwp, "kqueue") == 0
    assert call(lwp, "kqueue") is Errno.EMFILE


@pytest.fixture
def queue(lwp: Lwp) -> Iterator[Kqueue]:
    fd = call(lwp, "kqueue")
    assert fd == 0
    node = lwp.proc.files.get(0).node
    assert isinstance(node, Kqueue)
    yield node


def test_changes_before_a_bad_address_are_made(lwp: Lwp, queue: Kqueue, buffer: int) -> None:
    """Eight at a time, as the original reads them."""
    timer = (1).to_bytes(8, "little") + b"\xf9\xff\1\0" + bytes(20)
    end = buffer + (1 << 16)
    for at in range(12):
        lwp.vmspace.copyout(end - 32 * (12 - at), (at).to_bytes(8, "little") + timer[8:])
    assert call(lwp, "kevent", 0, end - 32 * 12, 16, 0, 0, 0) is Errno.EFAULT
    assert lwp.proc.kernel.event_timers == 8
    assert call(lwp, "kevent", 0, buffer, -1, 0, 0, 0) is Errno.EFAULT


# Descriptors that are closed meanwhile


def test_poll_tells_of_a_socket_that_was_closed_while_it_waited(lwp: Lwp, buffer: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        node = HostSocket(lwp.proc.kernel, Af.UNIX, Sock.STREAM, ours.dup())
        fd = lwp.proc.files.add(File(node, Open.RDWR))
        with suppress(BlockingIOError):
            while ours.send(bytes(4096), socket.MSG_DONTWAIT):
                pass
        lwp.vmspace.copyout(buffer, bytes(Pollfd(fd, Poll.OUT, 0)))
        waiting = event.poll(lwp, buffer, 1, -1)
        next(waiting)
        call(lwp, "close", fd)
        theirs.close()
        with pytest.raises(StopIteration) as end:
            waiting.send(True)
        assert end.value.value == 1
        found = lwp.vmspace.copyin_struct(buffer, Pollfd)
        assert found.revents == Poll.HUP
