"""System calls on files, as a process makes them."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from ctypes import sizeof
from pathlib import Path
from typing import Any

import pytest
from conftest import Finishing

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Fcntl, Io, Lock, Open, RecordLock, Seek
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Map, Prot
from emu.abi.structs import Dirent, FiodnameArgs, Flock, Iovec, Stat
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import File, FileTable, Stream
from emu.kern.mmap import kern_mmap
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls import file, path

calls = Finishing(file)
paths = Finishing(path)

BUFFER = 0x10_0000
SIZE = 4 * PAGE_SIZE
PATH = BUFFER + 3 * PAGE_SIZE
UNMAPPED = 0x2000_0000
READ_WRITE = int(Prot.READ | Prot.WRITE)


@pytest.fixture
def lwp(tmp_path: Path) -> Iterator[Lwp]:
    """A process over `tmp_path`, with no file open and four pages of memory at BUFFER."""
    phys = PhysicalMemory(1 << 20)
    with closing(Tree(tmp_path)) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(BUFFER, BUFFER + SIZE)
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        lwp = Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))
        yield lwp
        lwp.proc.files.close_all()


@pytest.fixture
def pipe(lwp: Lwp) -> Iterator[tuple[int, int]]:
    """Descriptor 0, a stream to read; the host's end that feeds it."""
    reader, writer = os.pipe()
    assert lwp.proc.files.add(File(Stream(reader), Open.RDONLY)) == 0
    yield 0, writer
    os.close(reader)
    os.close(writer)


def at_path(lwp: Lwp, text: bytes) -> int:
    lwp.vmspace.copyout(PATH, text + b"\0")
    return PATH


def open_file(lwp: Lwp, name: bytes, flags: int = Open.RDWR | Open.CREAT) -> int:
    return paths.open(lwp, at_path(lwp, name), flags, 0o666)


def refusal(call: Callable[..., Any], *args: Any) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


def vector(lwp: Lwp, *pieces: tuple[int, int]) -> int:
    lwp.vmspace.copyout(PATH, b"".join(bytes(Iovec(*piece)) for piece in pieces))
    return PATH


def test_what_is_written_is_read_back(lwp: Lwp, tmp_path: Path) -> None:
    fd = open_file(lwp, b"/file")
    lwp.vmspace.copyout(BUFFER, b"hello")
    assert calls.write(lwp, fd, BUFFER, 5) == 5
    assert (tmp_path / "file").read_bytes() == b"hello"
    assert calls.lseek(lwp, fd, 0, 1, Seek.SET) == 1
    assert calls.read(lwp, fd, BUFFER + 100, 1000) == 4
    assert lwp.vmspace.copyin(BUFFER + 100, 5) == b"ello\0"
    assert calls.read(lwp, fd, BUFFER, 1000) == 0


def test_vectors_scatter_and_gather(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    lwp.vmspace.copyout(BUFFER, b"abcdef")
    assert calls.writev(lwp, fd, vector(lwp, (BUFFER + 3, 3), (0, 0), (BUFFER, 3)), 3) == 6
    calls.lseek(lwp, fd, 0, 0, Seek.SET)
    assert calls.readv(lwp, fd, vector(lwp, (BUFFER, 2), (BUFFER + 10, 100)), 2) == 6
    assert lwp.vmspace.copyin(BUFFER, 2) == b"de"
    assert lwp.vmspace.copyin(BUFFER + 10, 4) == b"fabc"


def test_a_given_offset_leaves_the_position_alone(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    lwp.vmspace.copyout(BUFFER, b"xyz")
    assert calls.extpwrite(lwp, fd, BUFFER, 3, 0, 10) == 3
    assert calls.extpread(lwp, fd, BUFFER, 2, 0, 11) == 2
    assert lwp.vmspace.copyin(BUFFER, 2) == b"yz"
    assert calls.lseek(lwp, fd, 0, 0, Seek.CUR) == 0
    assert calls.extpread(lwp, fd, BUFFER, 5, 0, -1) == 5
    assert calls.lseek(lwp, fd, 0, 0, Seek.CUR) == 5


@pytest.mark.parametrize(
    "call, args, errno",
    [
        (calls.read, (9, BUFFER, 1), Errno.EBADF),
        (calls.write, (-1, BUFFER, 1), Errno.EBADF),
        (calls.read, (0, BUFFER, 1 << 63), Errno.EINVAL),
        (calls.write, (0, UNMAPPED, 1), Errno.EFAULT),
        (calls.write, (0, UNMAPPED, 1 << 62), Errno.EFAULT),
        (calls.read, (0, UNMAPPED, 1 << 62), Errno.EFAULT),
        (calls.read, (0, (1 << 64) - 8, 16), Errno.EFAULT),
        (calls.readv, (0, UNMAPPED, 1), Errno.EFAULT),
        (calls.writev, (0, UNMAPPED, 1025), Errno.EMSGSIZE),
        (calls.extpread, (0, BUFFER, 1, 0, -2), Errno.EINVAL),
        (calls.extpread, (0, BUFFER, 1, Io.FOFFSET, -1), Errno.EINVAL),
        (calls.extpwrite, (0, BUFFER, 2, 0, (1 << 63) - 2), Errno.EFBIG),
        (calls.lseek, (0, 0, -1, Seek.SET), Errno.EINVAL),
        (calls.ftruncate, (0, 0, -1), Errno.EINVAL),
        (calls.ftruncate, (9, 0, 1), Errno.EBADF),
        (calls.fstat, (0, UNMAPPED), Errno.EFAULT),
        (calls.fcntl, (0, 99, 0), Errno.EINVAL),
        (calls.fcntl, (9, Fcntl.GETFL, 0), Errno.EBADF),
        (calls.fcntl, (0, Fcntl.SETOWN, 100), Errno.ENOTTY),
        (calls.fcntl, (0, Fcntl.DUPFD, -1), Errno.EINVAL),
        (calls.ioctl, (0, Ioctl.TIOCGETA, BUFFER), Errno.ENOTTY),
        (calls.ioctl, (0, Ioctl.TIOCSETA, UNMAPPED), Errno.EFAULT),
        (calls.ioctl, (9, Ioctl.TIOCGETA, BUFFER), Errno.EBADF),
        (calls.flock, (0, 0), Errno.EBADF),
        (calls.close, (9,), Errno.EBADF),
        (calls.closefrom, (-1,), Errno.EINVAL),
        (paths.fchdir, (0,), Errno.ENOTDIR),
        (paths.getdents, (0, BUFFER, 100), Errno.EINVAL),
        (paths.open, (UNMAPPED, 0, 0), Errno.EFAULT),
        (paths.__getcwd, (BUFFER, 0), Errno.EINVAL),
        (paths.__getcwd, (BUFFER, 1), Errno.ERANGE),
    ],
)
def test_a_call_refuses(lwp: Lwp, call: Callable[..., Any], args: Any, errno: Errno) -> None:
    assert open_file(lwp, b"/file") == 0
    lwp.proc.files.get(0).node.write(0, b"0123456789")
    assert refusal(call, lwp, *args) is errno
    assert lwp.proc.files.get(0).offset == 0
    assert lwp.proc.files.get(0).node.length() == 10


def test_a_vector_must_not_be_longer_than_a_result_can_say(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    iovp = vector(lwp, (BUFFER, 1 << 62), (BUFFER, 1 << 62))
    assert refusal(calls.readv, lwp, fd, iovp, 2) is Errno.EINVAL


def test_the_access_mode_counts(lwp: Lwp) -> None:
    open_file(lwp, b"/file", Open.CREAT | Open.WRONLY)
    open_file(lwp, b"/file", Open.RDONLY)
    assert refusal(calls.read, lwp, 0, BUFFER, 1) is Errno.EBADF
    assert refusal(calls.write, lwp, 1, BUFFER, 1) is Errno.EBADF
    assert refusal(calls.ftruncate, lwp, 1, 0, 0) is Errno.EINVAL
    assert refusal(open_file, lwp, b"/file", 3) is Errno.EINVAL


def test_a_read_that_meets_unmapped_memory_takes_nothing_from_the_file(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    lwp.proc.files.get(fd).node.write(0, bytes(2 * SIZE))
    assert refusal(calls.read, lwp, fd, BUFFER, 2 * SIZE) is Errno.EFAULT
    assert calls.lseek(lwp, fd, 0, 0, Seek.CUR) == 0


def test_open_honours_the_umask(lwp: Lwp, tmp_path: Path) -> None:
    host = os.umask(0)
    try:
        assert paths.umask(lwp, 0o077) == 0o022
        open_file(lwp, b"/file")
        paths.mkdir(lwp, at_path(lwp, b"/dir"), 0o777)
    finally:
        os.umask(host)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "dir").stat().st_mode & 0o777 == 0o700


def test_a_full_table_is_noticed_before_the_file_is_made(lwp: Lwp, tmp_path: Path) -> None:
    fd = open_file(lwp, b"/first")
    while True:
        try:
            calls.dup(lwp, fd)
        except KernelError:
            break
    assert refusal(open_file, lwp, b"/second") is Errno.EMFILE
    assert not (tmp_path / "second").exists()


# What a virtual kernel does with its memory image


def test_a_memory_image_is_opened_cut_sized_and_mapped(lwp: Lwp) -> None:
    flags = Open.RDWR | Open.CREAT | Open.EXLOCK | Open.NONBLOCK
    assert flags == 0x226
    fd = open_file(lwp, b"/memimg", flags)
    assert refusal(open_file, lwp, b"/memimg", flags) is Errno.EAGAIN
    calls.ftruncate(lwp, fd, 0, 0)
    calls.ftruncate(lwp, fd, 0, 64 << 20)
    calls.fstat(lwp, fd, BUFFER)
    assert Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Stat))).st_size == 64 << 20
    proc = lwp.proc
    at = kern_mmap(proc, proc.vmspace, 0, 512 << 30, READ_WRITE, Map.SHARED, fd, 0)
    last = (64 << 20) - 4
    lwp.vmspace.copyout(at + last, b"last")
    assert calls.extpread(lwp, fd, BUFFER, 100, 0, last) == 4
    assert lwp.vmspace.copyin(BUFFER, 4) == b"last"
    assert refusal(lwp.vmspace.copyin, at + (64 << 20), 1) is Errno.EFAULT


def test_a_cut_takes_pages_away_from_a_mapping_at_once(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    calls.ftruncate(lwp, fd, 0, 2 * PAGE_SIZE)
    proc = lwp.proc
    at = kern_mmap(proc, proc.vmspace, 0, SIZE, READ_WRITE, Map.SHARED, fd, 0)
    lwp.vmspace.copyout(at + PAGE_SIZE, b"x")
    calls.ftruncate(lwp, fd, 0, PAGE_SIZE)
    assert refusal(lwp.vmspace.copyin, at + PAGE_SIZE, 1) is Errno.EFAULT
    calls.ftruncate(lwp, fd, 0, 2 * PAGE_SIZE)
    assert lwp.vmspace.copyin(at + PAGE_SIZE, 1) == b"\0"


def test_a_file_can_be_read_into_its_own_mapping(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    lwp.proc.files.get(fd).node.write(0, b"abc".ljust(PAGE_SIZE))
    proc = lwp.proc
    at = kern_mmap(proc, proc.vmspace, 0, PAGE_SIZE, READ_WRITE, Map.SHARED, fd, 0)
    assert calls.extpread(lwp, fd, at + 100, 3, 0, 0) == 3
    assert calls.extpwrite(lwp, fd, at, 3, 0, 200) == 3
    assert lwp.vmspace.copyin(at + 100, 3) == lwp.vmspace.copyin(at + 200, 3) == b"abc"


def test_a_private_mapping_leaves_the_file_alone(lwp: Lwp, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    fd = open_file(lwp, b"/file", Open.RDONLY)
    proc = lwp.proc
    at = kern_mmap(proc, proc.vmspace, 0, PAGE_SIZE, READ_WRITE, Map.PRIVATE, fd, 0)
    lwp.vmspace.copyout(at, b"X")
    assert lwp.vmspace.copyin(at, 3) == b"Xbc"
    assert (tmp_path / "file").read_bytes() == b"abc"


# Streams


def test_a_stream_gives_what_it_has(lwp: Lwp, pipe: tuple[int, int]) -> None:
    fd, writer = pipe
    os.write(writer, b"abc")
    assert calls.read(lwp, fd, BUFFER, 1000) == 3
    assert calls.extpread(lwp, fd, BUFFER, 0, 0, -1) == 0


def test_an_empty_stream_is_not_waited_for_if_asked(lwp: Lwp, pipe: tuple[int, int]) -> None:
    fd, writer = pipe
    assert refusal(calls.extpread, lwp, fd, BUFFER, 32, Io.FNONBLOCKING, -1) is Errno.EAGAIN
    calls.fcntl(lwp, fd, Fcntl.SETFL, Open.NONBLOCK)
    assert refusal(calls.read, lwp, fd, BUFFER, 32) is Errno.EAGAIN
    os.write(writer, b"x")
    assert calls.read(lwp, fd, BUFFER, 32) == 1


def test_a_stream_has_no_offsets(lwp: Lwp, pipe: tuple[int, int]) -> None:
    assert refusal(calls.extpread, lwp, pipe[0], BUFFER, 1, 0, 0) is Errno.ESPIPE
    assert refusal(calls.lseek, lwp, pipe[0], 0, 0, Seek.SET) is Errno.ESPIPE
    assert refusal(calls.fsync, lwp, pipe[0]) is Errno.EINVAL
    assert refusal(calls.flock, lwp, pipe[0], Lock.EX) is Errno.EOPNOTSUPP


def test_a_non_blocking_write_stops_when_the_pipe_is_full(lwp: Lwp) -> None:
    reader, writer = os.pipe()
    fd = lwp.proc.files.add(File(Stream(writer), Open.WRONLY | Open.NONBLOCK))
    total = 0
    with pytest.raises(KernelError) as caught:
        while True:
            total += calls.write(lwp, fd, BUFFER, SIZE)
    assert caught.value.errno is Errno.EAGAIN
    assert total > 0
    os.close(reader)
    os.close(writer)


# Descriptors


def test_descriptor_and_file_flags_are_different_things(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file", Open.CREAT | Open.RDWR | Open.TRUNC)
    assert calls.fcntl(lwp, fd, Fcntl.GETFL, 0) == Open.RDWR
    calls.fcntl(lwp, fd, Fcntl.SETFL, Open.APPEND | Open.WRONLY | Open.CREAT)
    calls.fcntl(lwp, fd, Fcntl.SETFD, 1)
    other = calls.fcntl(lwp, fd, Fcntl.DUPFD, 5)
    assert other == 5
    assert calls.fcntl(lwp, other, Fcntl.GETFL, 0) == Open.RDWR | Open.APPEND
    assert (calls.fcntl(lwp, fd, Fcntl.GETFD, 0), calls.fcntl(lwp, other, Fcntl.GETFD, 0)) == (1, 0)
    calls.ioctl(lwp, other, Ioctl.FIOCLEX, 0)
    assert calls.fcntl(lwp, other, Fcntl.GETFD, 0) == 1


def test_closefrom_closes_the_rest(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    calls.dup2(lwp, fd, 7)
    calls.dup2(lwp, fd, 1)
    calls.closefrom(lwp, 1)
    assert refusal(calls.close, lwp, 7) is Errno.EBADF
    calls.close(lwp, fd)


def test_a_record_lock_of_the_process_itself_is_no_obstacle(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    lwp.vmspace.copyout(BUFFER, bytes(Flock(l_type=RecordLock.WRLCK)))
    calls.fcntl(lwp, fd, Fcntl.SETLK, BUFFER)
    calls.fcntl(lwp, fd, Fcntl.GETLK, BUFFER)
    lock = Flock.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Flock)))
    assert lock.l_type == RecordLock.UNLCK
    assert refusal(calls.fcntl, lwp, fd, Fcntl.SETLK, UNMAPPED) is Errno.EFAULT


def test_ioctl_tells_how_much_of_a_file_is_left(lwp: Lwp) -> None:
    fd = open_file(lwp, b"/file")
    calls.ftruncate(lwp, fd, 0, 10)
    calls.lseek(lwp, fd, 0, 4, Seek.SET)
    calls.ioctl(lwp, fd, Ioctl.FIONREAD, BUFFER)
    assert lwp.vmspace.copyin(BUFFER, 4) == (6).to_bytes(4, "little")


@pytest.fixture
def device(lwp: Lwp, tmp_path: Path) -> Callable[[bytes], int]:
    """Open a device of /dev, given without that."""
    (tmp_path / "dev" / "fd").mkdir(parents=True)
    return lambda name: open_file(lwp, b"/dev/" + name, Open.RDWR)


@pytest.mark.parametrize("name", [b"null", b"urandom"])
def test_a_device_tells_its_name(lwp: Lwp, device: Callable[[bytes], int], name: bytes) -> None:
    fd = device(name)
    lwp.vmspace.copyout(BUFFER, bytes(FiodnameArgs(BUFFER + 100, len(name) + 1)))
    lwp.vmspace.copyout(BUFFER + 100, b"x" * 10)
    calls.ioctl(lwp, fd, Ioctl.FIODNAME, BUFFER)
    assert lwp.vmspace.copyin(BUFFER + 100, 9) == (name + b"\0").ljust(9, b"x")


@pytest.mark.parametrize(
    ("args", "errno"),
    [
        (FiodnameArgs(BUFFER + 100, 4), Errno.EINVAL),
        (FiodnameArgs(UNMAPPED, 100), Errno.EFAULT),
    ],
)
def test_a_device_whose_name_has_nowhere_to_go(
    lwp: Lwp, device: Callable[[bytes], int], args: FiodnameArgs, errno: Errno
) -> None:
    fd = device(b"null")
    lwp.vmspace.copyout(BUFFER, bytes(args))
    assert refusal(calls.ioctl, lwp, fd, Ioctl.FIODNAME, BUFFER) is errno
    assert lwp.vmspace.copyin(BUFFER + 100, 5) == bytes(5)


def test_what_is_no_device_has_no_name_there(lwp: Lwp, pipe: tuple[int, int]) -> None:
    fd = open_file(lwp, b"/file")
    lwp.vmspace.copyout(BUFFER, bytes(FiodnameArgs(BUFFER + 100, 100)))
    for each in (fd, pipe[0]):
        assert refusal(calls.ioctl, lwp, each, Ioctl.FIODNAME, BUFFER) is Errno.ENOTTY


def test_a_terminal_is_named_as_it_can_be_opened(lwp: Lwp) -> None:
    person, program = os.openpty()
    fd = lwp.proc.files.add(File(Stream(program), Open.RDWR))
    lwp.vmspace.copyout(BUFFER, bytes(FiodnameArgs(BUFFER + 100, 4)))
    calls.ioctl(lwp, fd, Ioctl.FIODNAME, BUFFER)
    assert lwp.vmspace.copyin(BUFFER + 100, 4) == b"tty\0"
    lwp.proc.files.close(fd)
    os.close(person)
    os.close(program)


# Names and directories


def entries(data: bytes) -> list[bytes]:
    names = []
    while data:
        entry = Dirent.from_buffer_copy(data.ljust(sizeof(Dirent), b"\0"))
        names.append(entry.d_name)
        data = data[(16 + entry.d_namlen + 1 + 7) & ~7 :]
    return names


def test_a_directory_is_read_in_order_and_in_pieces(lwp: Lwp, tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).touch()
    fd = open_file(lwp, b"/", Open.RDONLY)
    assert paths.getdirentries(lwp, fd, BUFFER, 50, BUFFER + PAGE_SIZE) == 48
    assert entries(lwp.vmspace.copyin(BUFFER, 48)) == [b".", b".."]
    assert paths.getdirentries(lwp, fd, BUFFER, 4096, BUFFER + PAGE_SIZE) == 72
    assert entries(lwp.vmspace.copyin(BUFFER, 72)) == [b"a", b"b", b"c"]
    assert lwp.vmspace.copyin(BUFFER + PAGE_SIZE, 8) == (2).to_bytes(8, "little")
    assert paths.getdents(lwp, fd, BUFFER, 4096) == 0
    calls.lseek(lwp, fd, 0, 0, Seek.SET)
    assert refusal(paths.getdents, lwp, fd, BUFFER, 23) is Errno.EINVAL
    assert refusal(paths.getdents, lwp, fd, UNMAPPED, 100) is Errno.EFAULT
    assert paths.getdents(lwp, fd, BUFFER, 24) == 24


def test_the_parent_of_the_root_is_the_root(lwp: Lwp, tmp_path: Path) -> None:
    fd = open_file(lwp, b"/", Open.RDONLY)
    size = paths.getdents(lwp, fd, BUFFER, 4096)
    assert size == 48
    data = lwp.vmspace.copyin(BUFFER, size)
    assert data[:8] == data[24:32] == tmp_path.stat().st_ino.to_bytes(8, "little")


def test_the_working_directory_follows_chdir_and_fchdir(lwp: Lwp) -> None:
    paths.mkdir(lwp, at_path(lwp, b"/a"), 0o755)
    paths.mkdir(lwp, at_path(lwp, b"/a/b"), 0o755)
    paths.chdir(lwp, at_path(lwp, b"a/b"))
    paths.__getcwd(lwp, BUFFER, 100)
    assert lwp.vmspace.copyin(BUFFER, 5) == b"/a/b\0"
    paths.fchdir(lwp, open_file(lwp, b"..", Open.RDONLY))
    paths.__getcwd(lwp, BUFFER, 3)
    assert lwp.vmspace.copyin(BUFFER, 3) == b"/a\0"
    paths.rmdir(lwp, at_path(lwp, b"b"))
    assert refusal(paths.chdir, lwp, at_path(lwp, b"b")) is Errno.ENOENT
    paths.chdir(lwp, at_path(lwp, b"/"))
    paths.__getcwd(lwp, BUFFER, 2)
    assert lwp.vmspace.copyin(BUFFER, 2) == b"/\0"


def test_stat_lstat_access_truncate_and_unlink_take_paths(lwp: Lwp, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    open_file(lwp, b"/file")
    paths.truncate(lwp, at_path(lwp, b"/link"), 0, 123)
    paths.stat(lwp, at_path(lwp, b"/link"), BUFFER)
    assert Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, 128)).st_size == 123
    paths.lstat(lwp, at_path(lwp, b"/link"), BUFFER)
    assert Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, 128)).st_size == 4
    paths.access(lwp, at_path(lwp, b"/file"), 0)
    paths.unlink(lwp, at_path(lwp, b"/file"))
    assert refusal(paths.access, lwp, at_path(lwp, b"/file"), 0) is Errno.ENOENT
    assert refusal(paths.stat, lwp, at_path(lwp, b""), BUFFER) is Errno.ENOENT
    assert refusal(paths.stat, lwp, at_path(lwp, b"x" * 1024), BUFFER) is Errno.ENAMETOOLONG
