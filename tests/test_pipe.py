"""Pipes: what goes in at one end comes out at the other (sys_pipe.c)."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from conftest import Booted, Finishing, call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Fcntl, Io, Mode, Open, Seek
from emu.abi.ioctl import Ioctl
from emu.abi.pipe import PIPE_BUF, PIPE_SIZE
from emu.abi.signal import Signal
from emu.abi.socket import Shut
from emu.abi.structs import Stat
from emu.kern.clock import EPOCH_NS
from emu.kern.file import MAX_FILES
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import LwpState
from emu.kern.sigacts import bit
from syscalls import file

calls = Finishing(file)

DATA = 0x1000_0000
UNMAPPED = 0xDEAD_0000
NONBLOCK = int(Open.NONBLOCK)


@pytest.fixture
def ends(lwp: Lwp) -> tuple[int, int]:
    """The descriptors of a new pipe."""
    first = file.pipe(lwp)
    return first, lwp.frame.rdx


@pytest.fixture(autouse=True)
def memory(lwp: Lwp) -> None:
    """Four times what a pipe holds, at DATA."""
    lwp.proc.vmspace.map_anonymous(DATA, DATA + 4 * PIPE_SIZE)


def put(lwp: Lwp, fd: int, data: bytes) -> Any:
    lwp.vmspace.copyout(DATA, data)
    return calls.write(lwp, fd, DATA, len(data))


def get(lwp: Lwp, fd: int, size: int) -> bytes:
    count = calls.read(lwp, fd, DATA, size)
    return lwp.vmspace.copyin(DATA, count)


def refusal(call: Callable[..., Any], *args: Any) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


def started(transfer: Any) -> Generator[Any, bool, int]:
    """Return a system call that has begun to wait."""
    next(transfer)
    assert isinstance(transfer, Generator)
    return transfer


def finished(transfer: Generator[Any, bool, int]) -> int:
    """Return what a call returns whose wait is over."""
    with pytest.raises(StopIteration) as end:
        transfer.send(True)
    result = end.value.value
    assert isinstance(result, int)
    return result


def test_both_descriptors_come_in_registers(lwp: Lwp) -> None:
    """abi 1.3"""
    lwp.frame.rdx = 77
    assert call(lwp, "pipe") == 0
    assert lwp.frame.rdx == 1


def test_both_ends_are_read_and_written(lwp: Lwp, ends: tuple[int, int]) -> None:
    one, other = ends
    assert put(lwp, other, b"there") == 5
    assert put(lwp, one, b"and back") == 8
    assert get(lwp, one, 100) == b"there"
    assert get(lwp, other, 3) == b"and"
    assert get(lwp, other, 100) == b" back"


def test_an_end_of_file_comes_after_what_was_written(lwp: Lwp, ends: tuple[int, int]) -> None:
    put(lwp, ends[1], b"last")
    calls.close(lwp, ends[1])
    assert get(lwp, ends[0], 100) == b"last"
    assert get(lwp, ends[0], 100) == b""


@pytest.mark.parametrize("size", [0, 5])
def test_a_pipe_that_nobody_reads_is_broken(lwp: Lwp, ends: tuple[int, int], size: int) -> None:
    calls.close(lwp, ends[0])
    assert refusal(put, lwp, ends[1], bytes(size)) is Errno.EPIPE
    assert lwp.pending == bit(Signal.PIPE)


def test_the_last_of_several_descriptors_closes_an_end(lwp: Lwp, ends: tuple[int, int]) -> None:
    again = file.dup(lwp, ends[1])
    child = lwp.proc.files.copy()
    calls.close(lwp, ends[1])
    calls.close(lwp, again)
    end = lwp.proc.files.get(ends[0]).node
    assert not end.can_read()
    child.drop()
    assert end.can_read() and get(lwp, ends[0], 1) == b""


def test_nothing_to_read_is_waited_for(lwp: Lwp, ends: tuple[int, int]) -> None:
    reading = started(file.read(lwp, ends[0], DATA, 100))
    put(lwp, ends[1], b"abc")
    assert finished(reading) == 3


def test_a_reader_that_waits_is_woken_by_the_end(lwp: Lwp, ends: tuple[int, int]) -> None:
    reading = started(file.read(lwp, ends[0], DATA, 100))
    calls.close(lwp, ends[1])
    assert finished(reading) == 0


def test_a_reader_keeps_its_end_open(lwp: Lwp, ends: tuple[int, int]) -> None:
    reading = started(file.read(lwp, ends[0], DATA, 100))
    calls.close(lwp, ends[0])
    assert put(lwp, ends[1], b"abc") == 3
    assert finished(reading) == 3
    assert refusal(put, lwp, ends[1], b"x") is Errno.EPIPE


def test_readers_take_turns(lwp: Lwp, ends: tuple[int, int]) -> None:
    first = started(file.read(lwp, ends[0], DATA, 2))
    second = started(file.read(lwp, ends[0], DATA + 100, 2))
    put(lwp, ends[1], b"abcd")
    second.send(True)  # the first has not finished
    assert finished(first) == finished(second) == 2
    assert lwp.vmspace.copyin(DATA, 2) == b"ab"
    assert lwp.vmspace.copyin(DATA + 100, 2) == b"cd"


def test_writers_do_not_mix_what_they_write(lwp: Lwp, ends: tuple[int, int]) -> None:
    size = PIPE_SIZE + 1000
    lwp.vmspace.copyout(DATA, b"a" * size)
    first = started(file.write(lwp, ends[1], DATA, size))
    second = started(file.write(lwp, ends[1], DATA + PIPE_SIZE + 500, 500))
    assert calls.read(lwp, ends[0], DATA + 2 * PIPE_SIZE, 2000) == 2000
    second.send(True)
    assert finished(first) == size
    assert finished(second) == 500


def test_an_lwp_that_is_ended_in_the_middle_lets_the_next_one_go_on(
    lwp: Lwp, ends: tuple[int, int]
) -> None:
    first = started(file.read(lwp, ends[0], DATA, 2))
    second = started(file.read(lwp, ends[0], DATA, 2))
    first.close()
    put(lwp, ends[1], b"ab")
    assert finished(second) == 2


def test_a_pipe_holds_16384_bytes(lwp: Lwp, ends: tuple[int, int]) -> None:
    calls.fcntl(lwp, ends[1], Fcntl.SETFL, NONBLOCK)
    assert put(lwp, ends[1], bytes(PIPE_SIZE + 10)) == 16384
    assert refusal(put, lwp, ends[1], b"x") is Errno.EAGAIN
    assert len(get(lwp, ends[0], 1 << 20)) == 16384


def test_a_small_write_goes_in_as_a_whole(lwp: Lwp, ends: tuple[int, int]) -> None:
    calls.fcntl(lwp, ends[1], Fcntl.SETFL, NONBLOCK)
    put(lwp, ends[1], bytes(PIPE_SIZE - 100))
    assert refusal(put, lwp, ends[1], bytes(PIPE_BUF)) is Errno.EAGAIN
    assert put(lwp, ends[1], bytes(PIPE_BUF + 1)) == 100


def test_a_large_write_waits_until_all_is_written(lwp: Lwp, ends: tuple[int, int]) -> None:
    size = 3 * PIPE_SIZE
    lwp.vmspace.copyout(DATA, b"x" * size)
    writing = started(file.write(lwp, ends[1], DATA, size))
    received = get(lwp, ends[0], PIPE_SIZE)
    writing.send(True)
    received += get(lwp, ends[0], PIPE_SIZE)
    assert finished(writing) == size
    received += get(lwp, ends[0], PIPE_SIZE)
    assert received == b"x" * size


def test_a_signal_leaves_what_was_written(lwp: Lwp, ends: tuple[int, int]) -> None:
    size = PIPE_SIZE + 1
    writing = started(file.write(lwp, ends[1], DATA, size))
    with pytest.raises(StopIteration) as end:
        writing.throw(KernelError(Errno.EINTR))
    assert end.value.value == PIPE_SIZE


@pytest.mark.parametrize(
    ("flags", "errno"), [(NONBLOCK, Errno.EAGAIN), (0, None)], ids=["non-blocking", "blocking"]
)
def test_a_flag_of_one_call_overrides_the_files(
    lwp: Lwp, ends: tuple[int, int], flags: int, errno: Errno | None
) -> None:
    calls.fcntl(lwp, ends[0], Fcntl.SETFL, flags)
    assert refusal(calls.extpread, lwp, ends[0], DATA, 1, Io.FNONBLOCKING, -1) is Errno.EAGAIN
    started(file.extpread(lwp, ends[0], DATA, 1, Io.FBLOCKING, -1)).close()
    if errno:
        assert refusal(calls.read, lwp, ends[0], DATA, 1) is errno
    else:
        started(file.read(lwp, ends[0], DATA, 1)).close()


def test_a_read_that_cannot_be_delivered_leaves_the_data(lwp: Lwp, ends: tuple[int, int]) -> None:
    put(lwp, ends[1], b"abc")
    assert refusal(calls.read, lwp, ends[0], UNMAPPED, 3) is Errno.EFAULT
    assert refusal(calls.write, lwp, ends[1], UNMAPPED, 1 << 62) is Errno.EFAULT
    assert get(lwp, ends[0], 3) == b"abc"


def test_what_a_pipe_is_can_be_asked(lwp: Lwp, ends: tuple[int, int]) -> None:
    put(lwp, ends[1], b"abc")
    calls.fstat(lwp, ends[0], DATA)
    status = Stat.from_buffer_copy(lwp.vmspace.copyin(DATA, 128))
    assert status.st_mode == Mode.FIFO
    assert (status.st_size, status.st_blksize, status.st_blocks) == (3, 16384, 1)
    assert status.st_mtim.tv_sec == EPOCH_NS // 1_000_000_000
    calls.ioctl(lwp, ends[0], Ioctl.FIONREAD, DATA)
    assert lwp.vmspace.copyin(DATA, 4) == b"\x03\0\0\0"


def test_the_flags_of_an_end_can_be_set(lwp: Lwp, ends: tuple[int, int]) -> None:
    assert calls.fcntl(lwp, ends[0], Fcntl.GETFL, 0) == Open.RDWR
    flags = int(Open.NONBLOCK | Open.APPEND | Open.ASYNC)
    calls.fcntl(lwp, ends[0], Fcntl.SETFL, flags)
    assert calls.fcntl(lwp, ends[0], Fcntl.GETFL, 0) == Open.RDWR | flags
    assert calls.fcntl(lwp, ends[1], Fcntl.GETFL, 0) == Open.RDWR
    calls.fcntl(lwp, ends[0], Fcntl.SETOWN, 100)
    assert calls.fcntl(lwp, ends[0], Fcntl.GETOWN, 0) == 100


def test_a_pipe_has_no_positions(lwp: Lwp, ends: tuple[int, int]) -> None:
    assert refusal(calls.lseek, lwp, ends[0], 0, 0, Seek.SET) is Errno.ESPIPE
    assert refusal(calls.extpread, lwp, ends[0], DATA, 1, 0, 0) is Errno.ESPIPE
    assert refusal(calls.ftruncate, lwp, ends[0], 0, 0) is Errno.EINVAL


def test_one_direction_can_be_ended(lwp: Lwp, ends: tuple[int, int]) -> None:
    one, other = ends
    file.shutdown(lwp, one, Shut.WR)
    assert get(lwp, other, 1) == b""
    assert refusal(put, lwp, one, b"x") is Errno.EPIPE
    assert put(lwp, other, b"x") == 1
    file.shutdown(lwp, one, Shut.RD)
    assert get(lwp, one, 10) == b"x"
    assert get(lwp, one, 10) == b""
    assert refusal(file.shutdown, lwp, one, 3) is Errno.EPIPE


@pytest.mark.parametrize("free", [0, 1])
def test_a_full_table_leaves_nothing_open(lwp: Lwp, free: int) -> None:
    files = lwp.proc.files
    file.pipe(lwp)
    while True:
        try:
            files.dup(0)
        except KernelError:
            break
    if free:
        files.close(MAX_FILES - 1)
    lwp.frame.rdx = 77
    assert call(lwp, "pipe") is Errno.EMFILE
    assert lwp.frame.rdx == 77
    if free:
        assert files.lowest_free() == MAX_FILES - 1


def test_a_process_and_its_child_talk_through_a_pipe(lwp: Lwp, ends: tuple[int, int]) -> None:
    kernel = lwp.proc.kernel
    child = Proc(kernel, lwp.proc.vmspace, lwp.proc.files.copy(), lwp.proc)
    other = lwp.fork(child)
    kernel.sched.add(other)
    assert call(lwp, "read", ends[0], DATA, 100) == 3  # the registers are as they were
    assert lwp.state is LwpState.SLEEPING
    assert kernel.sched.choose() is other
    put(other, ends[1], b"hello")
    assert lwp.state is LwpState.READY


def test_a_broken_pipe_ends_a_guest_that_does_not_care(boot: Callable[..., Booted]) -> None:
    machine = boot(
        """
        SYSCALL SYS_pipe
        mov r12, rax
        mov r13, rdx
        SYSCALL SYS_close, r12
        SYSCALL SYS_write, r13, 0x400000, 1
        DONE
        """
    )
    assert machine.run() == 128 + Signal.PIPE


pieces = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 20_000)), max_size=30)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=pieces)
def test_a_pipe_is_two_queues(lwp: Lwp, pieces: list[tuple[bool, bool, int]]) -> None:
    """abi 1.3: whatever is written and read, it comes out in order, and 16384 bytes fit."""
    one = file.pipe(lwp)
    ends = one, lwp.frame.rdx
    for fd in ends:
        calls.fcntl(lwp, fd, Fcntl.SETFL, NONBLOCK)
    queues = bytearray(), bytearray()
    for stamp, (end, writes, size) in enumerate(pieces):
        if writes:
            data = bytes((stamp,)) * size
            queue = queues[not end]
            room = 16384 - len(queue)
            fits = size if size <= room else room if size > 512 else 0
            if fits or not size:
                assert put(lwp, ends[end], data) == fits
            else:
                assert refusal(put, lwp, ends[end], data) is Errno.EAGAIN
            queue += data[:fits]
        else:
            queue = queues[end]
            if queue or not size:
                assert get(lwp, ends[end], size) == queue[:size]
            else:
                assert refusal(get, lwp, ends[end], size) is Errno.EAGAIN
            del queue[:size]
    for fd in ends:
        calls.close(lwp, fd)
