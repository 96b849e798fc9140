"""What is known of a file: modes, owners, times; its file system (sys/kern/vfs_syscalls.c)."""

from typing import Annotated, NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import AT_FDCWD, MAXPATHLEN, NAME_MAX, At
from emu.abi.fcntl import Mode as FileMode
from emu.abi.ioctl import CC_DISABLED
from emu.abi.mount import Mnt, MntWait, St
from emu.abi.pipe import PIPE_BUF
from emu.abi.structs import TIMEVAL_SIZE, Statfs, Statvfs, Timeval
from emu.abi.unistd import LINK_MAX, MAX_CANON, MAX_INPUT, Pc
from emu.abi.x86 import U32_MASK
from emu.kern.proc import Lwp
from syscalls.args import AtArg, DirFd, Fd, Int, Mode, Ptr, Size, Str, enum_kind, flags_kind
from syscalls.path import copyin_at, copyin_path, follows, vnode_file

PcArg = Annotated[int, enum_kind(Pc, "_PC_")]
MountArg = Annotated[int, flags_kind(MntWait, "MNT_")]

FILE_SYSTEM = b"vkemu"
"""The name of the only type of file system there is."""

_PATHCONF: dict[int, int] = {
    Pc.LINK_MAX: LINK_MAX,
    Pc.MAX_CANON: MAX_CANON,
    Pc.MAX_INPUT: MAX_INPUT,
    Pc.NAME_MAX: NAME_MAX,
    Pc.PATH_MAX: MAXPATHLEN,
    Pc.PIPE_BUF: PIPE_BUF,
    Pc.CHOWN_RESTRICTED: 1,
    Pc.NO_TRUNC: 1,
    Pc.VDISABLE: CC_DISABLED,
}
_NS_PER_S = 1_000_000_000
_TIME_MIN, _TIME_MAX = -(1 << 63), (1 << 63) - 1


def chmod(lwp: Lwp, path: Str, mode: Mode) -> None:
    fchmodat(lwp, AT_FDCWD, path, mode, 0)


def lchmod(lwp: Lwp, path: Str, mode: Mode) -> None:
    fchmodat(lwp, AT_FDCWD, path, mode, At.SYMLINK_NOFOLLOW)


def fchmod(lwp: Lwp, fd: Fd, mode: Mode) -> None:
    vnode_file(lwp, fd).node.chmod(mode)


def fchmodat(lwp: Lwp, fd: DirFd, path: Str, mode: Mode, flags: AtArg) -> None:
    follow = follows(flags)
    name, start = copyin_at(lwp, fd, path)
    lwp.proc.kernel.tree.chmod(name, start, mode, follow=follow)


def chown(lwp: Lwp, path: Str, uid: Int, gid: Int) -> None:
    fchownat(lwp, AT_FDCWD, path, uid, gid, 0)


def lchown(lwp: Lwp, path: Str, uid: Int, gid: Int) -> None:
    fchownat(lwp, AT_FDCWD, path, uid, gid, At.SYMLINK_NOFOLLOW)


def fchown(lwp: Lwp, fd: Fd, uid: Int, gid: Int) -> None:
    vnode_file(lwp, fd).node.chown(_owner(uid), _owner(gid))


def fchownat(lwp: Lwp, fd: DirFd, path: Str, uid: Int, gid: Int, flags: AtArg) -> None:
    follow = follows(flags)
    name, start = copyin_at(lwp, fd, path)
    lwp.proc.kernel.tree.chown(name, start, _owner(uid), _owner(gid), follow=follow)


def chflags(lwp: Lwp, path: Str, flags: Int) -> NoReturn:
    """Set flags such as UF_IMMUTABLE, which this file system does not have."""
    lwp.proc.kernel.tree.check(copyin_path(lwp, path), lwp.proc.files.cwd)
    raise KernelError(Errno.EOPNOTSUPP, "no flags")


def lchflags(lwp: Lwp, path: Str, flags: Int) -> NoReturn:
    lwp.proc.kernel.tree.check(copyin_path(lwp, path), lwp.proc.files.cwd, follow=False)
    raise KernelError(Errno.EOPNOTSUPP, "no flags")


def fchflags(lwp: Lwp, fd: Fd, flags: Int) -> NoReturn:
    vnode_file(lwp, fd)
    raise KernelError(Errno.EOPNOTSUPP, "no flags")


def utimes(lwp: Lwp, path: Str, tptr: Ptr) -> None:
    """Set the times of last access and change to those at `tptr`, or NULL: to now."""
    _utimes(lwp, path, tptr, follow=True)


def lutimes(lwp: Lwp, path: Str, tptr: Ptr) -> None:
    _utimes(lwp, path, tptr, follow=False)


def futimes(lwp: Lwp, fd: Fd, tptr: Ptr) -> None:
    times = _times(lwp, tptr)
    vnode_file(lwp, fd).node.utimes(*times)


def statfs(lwp: Lwp, path: Str, buf: Ptr) -> None:
    lwp.proc.kernel.tree.check(copyin_path(lwp, path), lwp.proc.files.cwd)
    lwp.vmspace.copyout(buf, bytes(_statfs(lwp)))


def fstatfs(lwp: Lwp, fd: Fd, buf: Ptr) -> None:
    vnode_file(lwp, fd)
    lwp.vmspace.copyout(buf, bytes(_statfs(lwp)))


def statvfs(lwp: Lwp, path: Str, buf: Ptr) -> None:
    lwp.proc.kernel.tree.check(copyin_path(lwp, path), lwp.proc.files.cwd)
    lwp.vmspace.copyout(buf, bytes(_statvfs(lwp)))


def fstatvfs(lwp: Lwp, fd: Fd, buf: Ptr) -> None:
    vnode_file(lwp, fd)
    lwp.vmspace.copyout(buf, bytes(_statvfs(lwp)))


def getfsstat(lwp: Lwp, buf: Ptr, bufsize: Size, flags: MountArg) -> int:
    """Store what is known of each file system, as far as there is room; return their number.

    There is one.  With NULL nothing is stored.
    """
    status = bytes(_statfs(lwp))
    if not buf:
        return 1
    if bufsize < len(status):
        return 0
    lwp.vmspace.copyout(buf, status)
    return 1


def getvfsstat(lwp: Lwp, buf: Ptr, vbuf: Ptr, vbufsize: Size, flags: MountArg) -> int:
    """As getfsstat, of both kinds; `vbuf` decides how many there are."""
    status = bytes(_statvfs(lwp))
    if not vbuf:
        return 1
    if vbufsize < len(status):
        return 0
    lwp.vmspace.copyout(buf, bytes(_statfs(lwp)))
    lwp.vmspace.copyout(vbuf, status)
    return 1


def pathconf(lwp: Lwp, path: Str, name: PcArg) -> int:
    """Return a limit of the file `path`."""
    lwp.proc.kernel.tree.check(copyin_path(lwp, path), lwp.proc.files.cwd)
    return _pathconf(name)


def fpathconf(lwp: Lwp, fd: Fd, name: PcArg) -> int:
    node = lwp.proc.files.get(fd).node
    match node.stat().st_mode & FileMode.FMT:
        case FileMode.FIFO | FileMode.SOCK:
            if name != Pc.PIPE_BUF:
                raise KernelError(Errno.EINVAL, "asked about a pipe")
        case 0:
            raise KernelError(Errno.EOPNOTSUPP, "no file, pipe or socket")
    return _pathconf(name)


def sync(lwp: Lwp) -> None:
    """Start to write to disk what is not there yet: the host does so all the time."""


def _owner(number: int) -> int:
    """Return a user or group as the host wants it: unsigned, or -1 to change nothing."""
    return number if number == -1 else number & U32_MASK


def _utimes(lwp: Lwp, path: int, tptr: int, *, follow: bool) -> None:
    times = _times(lwp, tptr)
    name = copyin_path(lwp, path)
    lwp.proc.kernel.tree.utimes(name, lwp.proc.files.cwd, *times, follow=follow)


def _times(lwp: Lwp, tptr: int) -> tuple[int, int]:
    """Return the two times at `tptr`, or now, in nanoseconds."""
    if not tptr:
        now = lwp.proc.kernel.clock.now_ns()
        return now, now
    raw = lwp.vmspace.copyin(tptr, 2 * TIMEVAL_SIZE)
    atime, mtime = (Timeval * 2).from_buffer_copy(raw)
    return _nanoseconds(atime), _nanoseconds(mtime)


def _nanoseconds(time: Timeval) -> int:
    result = time.tv_sec * _NS_PER_S + time.tv_usec * 1000
    if not _TIME_MIN <= result // _NS_PER_S <= _TIME_MAX:
        raise KernelError(Errno.EINVAL, "no time")
    return result


def _statfs(lwp: Lwp) -> Statfs:
    space = lwp.proc.kernel.tree.space()
    result = Statfs(
        f_bsize=space.block_size,
        f_iosize=space.block_size,
        f_blocks=space.blocks,
        f_bfree=space.free_blocks,
        f_bavail=space.free_blocks,
        f_files=space.files,
        f_ffree=space.free_files,
        f_flags=Mnt.LOCAL | Mnt.ROOTFS | Mnt.NOSUID,
        f_fstypename=FILE_SYSTEM,
        f_mntonname=b"/",
        f_mntfromname=FILE_SYSTEM,
    )
    result.f_fsid[0] = space.device
    return result


def _statvfs(lwp: Lwp) -> Statvfs:
    space = lwp.proc.kernel.tree.space()
    return Statvfs(
        f_bsize=space.block_size,
        f_frsize=space.block_size,
        f_blocks=space.blocks,
        f_bfree=space.free_blocks,
        f_bavail=space.free_blocks,
        f_files=space.files,
        f_ffree=space.free_files,
        f_favail=space.free_files,
        f_fsid=space.device,
        f_flag=St.NOSUID,
        f_namemax=NAME_MAX,
    )


def _pathconf(name: int) -> int:
    value = _PATHCONF.get(name)
    if value is None:
        raise KernelError(Errno.EINVAL, f"pathconf name {name}")
    return value
