"""System calls that name files, and what is known of a file, as a process makes them."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from ctypes import sizeof
from pathlib import Path
from typing import Any

import pytest
from conftest import Finishing

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import AT_FDCWD, At, Fcntl, Lock, Mode, Open, RecordLock
from emu.abi.structs import Flock, Stat, Statfs, Statvfs, Timeval
from emu.abi.unistd import Pc
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import File, FileTable, Stream
from emu.kern.proc import Kernel, Lwp, Proc, Ucred
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls import attr
from syscalls import file as file_calls
from syscalls import path as path_calls

path = Finishing(path_calls)

files = Finishing(file_calls)
BUFFER = 0x10_0000
PATH = BUFFER + PAGE_SIZE
OTHER = BUFFER + 2 * PAGE_SIZE
UNMAPPED = 0x2000_0000
OPEN_MAX = 1024


@pytest.fixture
def lwp(tmp_path: Path) -> Iterator[Lwp]:
    """A process over `tmp_path` with /file, /dir/file and /link; descriptor 0 is /dir."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "dev" / "fd").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"top")
    (tmp_path / "dir" / "file").write_bytes(b"inside")
    (tmp_path / "link").symlink_to("dir/file")
    phys = PhysicalMemory(1 << 20)
    with closing(Tree(tmp_path)) as tree:
        space = Vmspace(phys, ABI_2011, grows=True)
        space.map_anonymous(BUFFER, BUFFER + 4 * PAGE_SIZE)
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        lwp = Lwp(Proc(kernel, space, FileTable()), UnicornEngine(phys))
        assert path.open(lwp, named(lwp, b"/dir"), Open.RDONLY, 0) == 0
        yield lwp
        lwp.proc.files.close_all()


def named(lwp: Lwp, text: bytes, at: int = PATH) -> int:
    lwp.vmspace.copyout(at, text + b"\0")
    return at


def other(lwp: Lwp, text: bytes) -> int:
    return named(lwp, text, OTHER)


def refusal(call: Callable[..., Any], *args: Any) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


def status(lwp: Lwp, name: bytes, flags: int = 0) -> Stat:
    path.fstatat(lwp, AT_FDCWD, named(lwp, name), BUFFER, flags)
    return Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Stat)))


# Paths that start from a directory's descriptor


def test_a_relative_path_starts_at_the_descriptor_and_an_absolute_one_does_not(lwp: Lwp) -> None:
    path.fstatat(lwp, 0, named(lwp, b"file"), BUFFER, 0)
    assert Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Stat))).st_size == 6
    path.fstatat(lwp, 99, named(lwp, b"/file"), BUFFER, 0)
    assert Stat.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Stat))).st_size == 3
    path.chdir(lwp, named(lwp, b"/dir"))
    assert status(lwp, b"file").st_size == 6


@pytest.mark.parametrize(
    "fd, name, errno",
    [
        (9, b"file", Errno.EBADF),
        (-1, b"file", Errno.EBADF),
        (1, b"file", Errno.ENOTDIR),
        (2, b"file", Errno.EINVAL),
        (0, b"none", Errno.ENOENT),
        (9, b"", Errno.ENOENT),
    ],
)
def test_a_descriptor_that_is_no_directory_is_no_start(
    lwp: Lwp, fd: int, name: bytes, errno: Errno
) -> None:
    assert path.open(lwp, named(lwp, b"/file"), Open.RDONLY, 0) == 1
    reader, writer = os.pipe()
    assert lwp.proc.files.add(File(Stream(reader), Open.RDONLY)) == 2
    at = named(lwp, name)
    assert refusal(path.openat, lwp, fd, at, Open.RDONLY, 0) is errno
    assert refusal(path.unlinkat, lwp, fd, at, 0) is errno
    assert refusal(path.renameat, lwp, fd, at, AT_FDCWD, other(lwp, b"/new")) is errno
    assert refusal(path.faccessat, lwp, fd, at, 0, 0) is errno
    os.close(reader)
    os.close(writer)


def test_every_call_that_takes_a_directory_starts_there(lwp: Lwp, tmp_path: Path) -> None:
    inside = tmp_path / "dir"
    fd = path.openat(lwp, 0, named(lwp, b"made"), Open.RDWR | Open.CREAT, 0o600)
    assert (fd, (inside / "made").exists()) == (1, True)
    path.mkdirat(lwp, 0, named(lwp, b"sub"), 0o700)
    path.symlinkat(lwp, named(lwp, b"file"), 0, other(lwp, b"sub/link"))
    assert os.readlink(inside / "sub" / "link") == "file"
    assert path.readlinkat(lwp, 0, named(lwp, b"sub/link"), BUFFER, 3) == 3
    assert lwp.vmspace.copyin(BUFFER, 4) == b"fil\0"
    path.renameat(lwp, 0, named(lwp, b"made"), AT_FDCWD, other(lwp, b"moved"))
    assert (tmp_path / "moved").exists()
    path.renameat(lwp, AT_FDCWD, named(lwp, b"moved"), 0, other(lwp, b"sub/made"))
    attr.fchmodat(lwp, 0, named(lwp, b"sub/made"), 0o640, 0)
    assert (inside / "sub" / "made").stat().st_mode & 0o777 == 0o640
    attr.fchownat(lwp, 0, named(lwp, b"sub/made"), -1, -1, 0)
    path.faccessat(lwp, 0, named(lwp, b"sub/made"), 4, At.EACCESS)
    path.unlinkat(lwp, 0, named(lwp, b"sub/made"), 0)
    path.unlinkat(lwp, 0, named(lwp, b"sub/link"), 0)
    path.unlinkat(lwp, 0, named(lwp, b"sub"), At.REMOVEDIR)
    assert os.listdir(inside) == ["file"]
    assert refusal(path.mkfifoat, lwp, 0, named(lwp, b"file"), 0o600) is Errno.EEXIST
    assert refusal(path.mknodat, lwp, 0, named(lwp, b"new"), Mode.CHR, 0) is Errno.EOPNOTSUPP


@pytest.mark.parametrize(
    "call, args",
    [
        (path.fstatat, (BUFFER, At.REMOVEDIR)),
        (path.faccessat, (0, At.SYMLINK_NOFOLLOW)),
        (path.unlinkat, (At.EACCESS,)),
        (attr.fchmodat, (0o600, At.EACCESS)),
        (attr.fchownat, (0, 0, 1 << 31)),
    ],
)
def test_an_unknown_flag_is_refused(lwp: Lwp, call: Callable[..., Any], args: Any) -> None:
    assert refusal(call, lwp, AT_FDCWD, named(lwp, b"/file"), *args) is Errno.EINVAL
    assert status(lwp, b"/file").st_size == 3


def test_an_open_directory_is_a_start_wherever_it_is_moved(lwp: Lwp) -> None:
    path.rename(lwp, named(lwp, b"/dir"), other(lwp, b"/moved"))
    path.mkdir(lwp, named(lwp, b"/dir"), 0o755)
    assert path.openat(lwp, 0, named(lwp, b"file"), Open.RDONLY, 0) == 1
    assert files.read(lwp, 1, BUFFER, 100) == 6
    path.fchdir(lwp, 0)
    path.__getcwd(lwp, BUFFER, 100)
    assert lwp.vmspace.copyin(BUFFER, 7) == b"/moved\0"


def test_a_removed_working_directory_has_no_path(lwp: Lwp) -> None:
    path.mkdir(lwp, named(lwp, b"/gone"), 0o755)
    path.chdir(lwp, named(lwp, b"/gone"))
    path.rmdir(lwp, named(lwp, b"/gone"))
    assert refusal(path.__getcwd, lwp, BUFFER, 100) is Errno.ENOENT
    assert refusal(path.open, lwp, named(lwp, b"x"), Open.CREAT | Open.RDWR, 0o644) is Errno.ENOENT
    path.chdir(lwp, named(lwp, b"/"))


# Names


def test_links_are_made_and_read(lwp: Lwp) -> None:
    path.link(lwp, named(lwp, b"/file"), other(lwp, b"/dir/other"))
    assert status(lwp, b"/dir/other").st_nlink == 2
    path.symlink(lwp, named(lwp, b"anything at all"), other(lwp, b"/sym"))
    assert path.readlink(lwp, named(lwp, b"/sym"), BUFFER, 100) == 15
    assert lwp.vmspace.copyin(BUFFER, 16) == b"anything at all\0"
    assert path.readlink(lwp, named(lwp, b"/sym"), BUFFER, -1) == 15
    assert path.readlink(lwp, named(lwp, b"/sym"), UNMAPPED, 0) == 0
    assert refusal(path.readlink, lwp, named(lwp, b"/sym"), UNMAPPED, 1) is Errno.EFAULT
    assert refusal(path.symlink, lwp, named(lwp, b""), other(lwp, b"/empty")) is Errno.ENOENT


@pytest.mark.parametrize(
    "mode, errno",
    [
        (Mode.CHR, Errno.EOPNOTSUPP),
        (Mode.BLK | 0o600, Errno.EOPNOTSUPP),
        (Mode.DIR, Errno.EOPNOTSUPP),
        (Mode.WHT, Errno.EOPNOTSUPP),
        (Mode.FMT, Errno.EOPNOTSUPP),
        (Mode.REG, Errno.EINVAL),
        (Mode.FIFO, Errno.EINVAL),
        (0o644, Errno.EINVAL),
    ],
)
def test_no_device_is_made(lwp: Lwp, tmp_path: Path, mode: int, errno: Errno) -> None:
    assert refusal(path.mknod, lwp, named(lwp, b"/new"), mode, 0) is errno
    assert refusal(path.mkfifo, lwp, named(lwp, b"/new"), 0o644) is Errno.EOPNOTSUPP
    assert not (tmp_path / "new").exists()


def test_opening_a_descriptors_device_duplicates_it(lwp: Lwp) -> None:
    fd = path.open(lwp, named(lwp, b"/file"), Open.RDONLY, 0)
    lwp.proc.files.set_close_on_exec(fd, True)
    again = path.open(lwp, named(lwp, b"/dev/fd/1"), Open.RDONLY, 0)
    assert (fd, again) == (1, 2)
    assert lwp.proc.files.get(1) is lwp.proc.files.get(2)
    assert lwp.proc.files.close_on_exec(2)
    assert path.open(lwp, named(lwp, b"/dev/stdout"), Open.RDONLY, 0) == 3
    assert refusal(path.open, lwp, named(lwp, b"/dev/fd/1"), Open.RDWR, 0) is Errno.EACCES
    assert refusal(path.open, lwp, named(lwp, b"/dev/fd/9"), Open.RDONLY, 0) is Errno.EBADF
    files.close(lwp, 1)
    assert files.read(lwp, 2, BUFFER, 100) == 3


def test_a_descriptors_device_needs_a_free_descriptor(lwp: Lwp) -> None:
    while lwp.proc.files.dup(0) < OPEN_MAX - 1:
        pass
    assert refusal(path.open, lwp, named(lwp, b"/dev/fd/0"), Open.RDONLY, 0) is Errno.EMFILE


# Modes, owners, times


def test_chmod_by_path_link_and_descriptor(lwp: Lwp) -> None:
    attr.chmod(lwp, named(lwp, b"/link"), 0o600)
    assert status(lwp, b"/dir/file").st_mode == Mode.REG | 0o600
    attr.lchmod(lwp, named(lwp, b"/link"), 0o777)
    assert status(lwp, b"/dir/file").st_mode == Mode.REG | 0o600
    attr.fchmod(lwp, 0, 0o7711)
    assert status(lwp, b"/dir").st_mode == Mode.DIR | 0o1711
    fd = path.open(lwp, named(lwp, b"/file"), Open.RDONLY, 0)
    attr.fchmod(lwp, fd, 0o6640)
    assert status(lwp, b"/file").st_mode == Mode.REG | 0o640


def test_chown_by_path_link_and_descriptor(lwp: Lwp) -> None:
    before = status(lwp, b"/file")
    attr.chown(lwp, named(lwp, b"/file"), -1, -1)
    attr.lchown(lwp, named(lwp, b"/link"), -2, 7)
    attr.fchown(lwp, 0, before.st_uid, -1)
    after = status(lwp, b"/file")
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    link = status(lwp, b"/link", At.SYMLINK_NOFOLLOW)
    assert link.st_uid == ((1 << 32) - 2 if os.geteuid() == 0 else before.st_uid)


def times(lwp: Lwp, *values: tuple[int, int]) -> int:
    lwp.vmspace.copyout(OTHER, b"".join(bytes(Timeval(*value)) for value in values))
    return OTHER


def test_utimes_by_path_link_and_descriptor(lwp: Lwp) -> None:
    attr.utimes(lwp, named(lwp, b"/link"), times(lwp, (1, 2), (3, 999_999)))
    file = status(lwp, b"/dir/file")
    assert (file.st_atim.tv_sec, file.st_atim.tv_nsec) == (1, 2000)
    assert (file.st_mtim.tv_sec, file.st_mtim.tv_nsec) == (3, 999_999_000)
    attr.lutimes(lwp, named(lwp, b"/link"), times(lwp, (4, 0), (5, 0)))
    assert status(lwp, b"/link", At.SYMLINK_NOFOLLOW).st_mtim.tv_sec == 5
    assert status(lwp, b"/dir/file").st_mtim.tv_sec == 3
    attr.futimes(lwp, 0, times(lwp, (6, 0), (7, 0)))
    assert status(lwp, b"/dir").st_mtim.tv_sec == 7
    fd = path.open(lwp, named(lwp, b"/file"), Open.RDWR, 0)
    attr.futimes(lwp, fd, times(lwp, (8, 0), (9, 0)))
    assert status(lwp, b"/file").st_mtim.tv_sec == 9


def test_utimes_without_times_is_now_by_the_machines_clock(lwp: Lwp) -> None:
    attr.utimes(lwp, named(lwp, b"/file"), 0)
    now = lwp.proc.kernel.clock.now_ns() // 1_000_000_000
    assert status(lwp, b"/file").st_atim.tv_sec == status(lwp, b"/file").st_mtim.tv_sec == now


def test_utimes_refuses_what_is_no_time(lwp: Lwp) -> None:
    latest = (1 << 63) - 1
    at = times(lwp, (0, 0), (latest, 1_000_000))
    assert refusal(attr.utimes, lwp, named(lwp, b"/file"), at) is Errno.EINVAL
    assert refusal(attr.utimes, lwp, named(lwp, b"/file"), UNMAPPED) is Errno.EFAULT
    assert refusal(attr.futimes, lwp, 9, UNMAPPED) is Errno.EFAULT
    assert refusal(attr.futimes, lwp, 9, 0) is Errno.EBADF


# File systems and limits


def test_statfs_and_statvfs_describe_the_tree(lwp: Lwp, tmp_path: Path) -> None:
    host = os.statvfs(tmp_path)
    attr.statfs(lwp, named(lwp, b"/link"), BUFFER)
    fs = Statfs.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Statfs)))
    assert (fs.f_bsize, fs.f_blocks) == (host.f_frsize, host.f_blocks)
    assert (fs.f_fstypename, fs.f_mntonname) == (b"vkemu", b"/")
    assert fs.f_flags == 0x5008  # MNT_ROOTFS, MNT_LOCAL, MNT_NOSUID
    attr.fstatvfs(lwp, 0, BUFFER)
    vfs = Statvfs.from_buffer_copy(lwp.vmspace.copyin(BUFFER, sizeof(Statvfs)))
    assert (vfs.f_frsize, vfs.f_blocks, vfs.f_namemax) == (host.f_frsize, host.f_blocks, 255)
    assert vfs.f_flag == 2  # ST_NOSUID
    assert vfs.f_fsid == fs.f_fsid[0]


def test_the_tree_is_the_one_file_system(lwp: Lwp) -> None:
    attr.statfs(lwp, named(lwp, b"/"), OTHER)
    assert attr.getfsstat(lwp, 0, 0, 0) == 1
    assert attr.getfsstat(lwp, BUFFER, 319, 1) == 0
    assert lwp.vmspace.copyin(BUFFER, 320) == bytes(320)
    assert attr.getfsstat(lwp, BUFFER, 320, 1) == 1
    fs = Statfs.from_buffer_copy(lwp.vmspace.copyin(BUFFER, 320))
    assert (fs.f_mntonname, fs.f_fstypename, fs.f_flags) == (b"/", b"vkemu", 0x5008)
    assert refusal(attr.getfsstat, lwp, UNMAPPED, 320, 2) is Errno.EFAULT


def test_file_systems_are_listed_with_both_kinds_of_status(lwp: Lwp) -> None:
    size = sizeof(Statvfs)
    assert attr.getvfsstat(lwp, 0, 0, 0, 0) == 1
    assert attr.getvfsstat(lwp, OTHER, BUFFER, size - 1, 1) == 0
    assert attr.getvfsstat(lwp, OTHER, BUFFER, size, 1) == 1
    assert Statfs.from_buffer_copy(lwp.vmspace.copyin(OTHER, 320)).f_mntonname == b"/"
    assert Statvfs.from_buffer_copy(lwp.vmspace.copyin(BUFFER, size)).f_namemax == 255
    assert refusal(attr.getvfsstat, lwp, OTHER, UNMAPPED, size, 1) is Errno.EFAULT
    assert refusal(attr.getvfsstat, lwp, UNMAPPED, BUFFER, size, 1) is Errno.EFAULT


def test_files_have_no_flags(lwp: Lwp, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("none")
    assert refusal(attr.chflags, lwp, named(lwp, b"/file"), 2) is Errno.EOPNOTSUPP
    assert refusal(attr.chflags, lwp, named(lwp, b"/dangling"), 2) is Errno.ENOENT
    assert refusal(attr.lchflags, lwp, named(lwp, b"/dangling"), 2) is Errno.EOPNOTSUPP
    assert refusal(attr.lchflags, lwp, named(lwp, b"/none"), 2) is Errno.ENOENT
    assert refusal(attr.fchflags, lwp, 0, 2) is Errno.EOPNOTSUPP
    assert refusal(attr.fchflags, lwp, 9, 2) is Errno.EBADF


def test_a_file_that_nobody_has_open_can_be_revoked(lwp: Lwp) -> None:
    path.revoke(lwp, named(lwp, b"/file"))
    fd = path.open(lwp, named(lwp, b"/link"), Open.RDONLY, 0)
    assert refusal(path.revoke, lwp, named(lwp, b"/link")) is Errno.EOPNOTSUPP
    assert refusal(path.revoke, lwp, named(lwp, b"/dir")) is Errno.EOPNOTSUPP
    assert refusal(path.revoke, lwp, named(lwp, b"/dev/null")) is Errno.EOPNOTSUPP
    files.close(lwp, fd)
    path.revoke(lwp, named(lwp, b"/link"))
    assert refusal(path.revoke, lwp, named(lwp, b"/none")) is Errno.ENOENT


def test_only_its_owner_and_root_may_revoke_a_file(lwp: Lwp, tmp_path: Path) -> None:
    owner = (tmp_path / "file").stat().st_uid
    lwp.proc.ucred = Ucred(uid=owner + 1)
    assert refusal(path.revoke, lwp, named(lwp, b"/file")) is Errno.EPERM
    assert refusal(path.revoke, lwp, named(lwp, b"/dir")) is Errno.EPERM
    lwp.proc.ucred = Ucred(uid=owner)
    path.revoke(lwp, named(lwp, b"/file"))


def test_statfs_needs_a_file(lwp: Lwp) -> None:
    assert refusal(attr.statfs, lwp, named(lwp, b"/none"), BUFFER) is Errno.ENOENT
    assert refusal(attr.statvfs, lwp, named(lwp, b"/file/x"), BUFFER) is Errno.ENOTDIR
    assert refusal(attr.fstatfs, lwp, 9, BUFFER) is Errno.EBADF
    assert refusal(attr.fstatfs, lwp, 0, UNMAPPED) is Errno.EFAULT
    reader, writer = os.pipe()
    fd = lwp.proc.files.add(File(Stream(reader), Open.RDONLY))
    assert refusal(attr.fstatvfs, lwp, fd, BUFFER) is Errno.EINVAL
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    "name, value",
    [
        (Pc.LINK_MAX, 32767),
        (Pc.MAX_CANON, 255),
        (Pc.MAX_INPUT, 255),
        (Pc.NAME_MAX, 255),
        (Pc.PATH_MAX, 1024),
        (Pc.PIPE_BUF, 512),
        (Pc.CHOWN_RESTRICTED, 1),
        (Pc.NO_TRUNC, 1),
        (Pc.VDISABLE, 0xFF),
    ],
)
def test_pathconf_tells_the_originals_limits(lwp: Lwp, name: Pc, value: int) -> None:
    assert attr.pathconf(lwp, named(lwp, b"/file"), name) == value
    assert attr.fpathconf(lwp, 0, name) == value


def test_pathconf_refuses_what_it_does_not_know(lwp: Lwp) -> None:
    assert refusal(attr.pathconf, lwp, named(lwp, b"/file"), 10) is Errno.EINVAL
    assert refusal(attr.pathconf, lwp, named(lwp, b"/none"), Pc.NAME_MAX) is Errno.ENOENT
    assert refusal(attr.fpathconf, lwp, 9, Pc.NAME_MAX) is Errno.EBADF


def test_a_pipe_has_one_limit(lwp: Lwp) -> None:
    reader, writer = os.pipe()
    fd = lwp.proc.files.add(File(Stream(reader), Open.RDONLY))
    assert attr.fpathconf(lwp, fd, Pc.PIPE_BUF) == 512
    assert refusal(attr.fpathconf, lwp, fd, Pc.NAME_MAX) is Errno.EINVAL
    os.close(reader)
    os.close(writer)


# Waiting for a lock


def opened(lwp: Lwp, flags: int = Open.RDWR) -> int:
    fd: int = path.open(lwp, named(lwp, b"/file"), flags, 0)
    return fd


def test_a_wait_for_a_lock_outlives_its_descriptor(lwp: Lwp) -> None:
    """And those of the holder: the host file stays open until it is over."""
    holder, waiter = opened(lwp), opened(lwp)
    files.flock(lwp, holder, Lock.EX)
    waiting = file_calls.flock(lwp, waiter, Lock.EX)
    next(waiting)
    files.close(lwp, waiter)
    files.close(lwp, holder)
    with pytest.raises(StopIteration):
        waiting.send(True)
    files.flock(lwp, opened(lwp), Lock.EX | Lock.NB)


def test_a_record_lock_that_comes_after_its_descriptor_was_closed_is_given_up(lwp: Lwp) -> None:
    """fcntl(2) checks for it (checkfdclosed)."""
    other = Lwp(Proc(lwp.proc.kernel, lwp.vmspace, FileTable()), lwp.cpu)
    lwp.vmspace.copyout(OTHER, bytes(Flock(l_type=RecordLock.WRLCK)))
    holder, fd, kept = opened(other), opened(lwp), opened(lwp)
    files.fcntl(other, holder, Fcntl.SETLK, OTHER)
    waiting = file_calls.fcntl(lwp, fd, Fcntl.SETLKW, OTHER)
    next(waiting)
    files.close(lwp, fd)
    files.close(other, holder)
    with pytest.raises(StopIteration):
        waiting.send(True)
    assert lwp.proc.files.get(kept).node.locks.ranges == []
    other.proc.files.close_all()


def test_an_open_that_has_waited_too_long_for_a_descriptor_leaves_nothing(lwp: Lwp) -> None:
    holder = opened(lwp, Open.RDWR | Open.EXLOCK)
    node = lwp.proc.files.get(holder).node
    waiting = path_calls.open(lwp, named(lwp, b"/file"), Open.RDWR | Open.EXLOCK, 0)
    next(waiting)
    files.flock(lwp, holder, Lock.UN)
    while lwp.proc.files.lowest_free() < OPEN_MAX - 1:
        files.dup(lwp, 0)
    files.dup(lwp, 0)
    assert refusal(waiting.send, True) is Errno.EMFILE
    assert node.locks.ranges == []
