"""Calls that name a file, and directories (sys/kern/vfs_syscalls.c, vfs_cache.c).

A call that ends in `at` takes a directory's descriptor for its relative paths to start from.
"""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import AT_FDCWD, MAXPATHLEN, O_ACCMODE, Access, At, Open
from emu.abi.fcntl import Mode as FileMode
from emu.kern.device import DescriptorDevice, TerminalDevice
from emu.kern.file import File
from emu.kern.job_control import open_terminal
from emu.kern.lockf import flock
from emu.kern.namecache import Nchandle
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking
from emu.kern.vnode import Directory
from syscalls.args import (
    AtArg,
    DirFd,
    Fd,
    Int,
    Mode,
    Off,
    Pad,
    Ptr,
    Size,
    Str,
    UInt,
    flags_kind,
)

OpenArg = Annotated[int, flags_kind(Open, "O_")]
AccessArg = Annotated[int, flags_kind(Access, "")]

_MODE_BITS = 0o7777
# Plain integers: the complement of an IntFlag has its own bits only.
_NOFOLLOW = int(At.SYMLINK_NOFOLLOW)
_REMOVEDIR = int(At.REMOVEDIR)
_EACCESS = int(At.EACCESS)
_NODES = (FileMode.FMT, FileMode.CHR, FileMode.BLK, FileMode.WHT, FileMode.DIR)


def open(lwp: Lwp, path: Str, flags: OpenArg, mode: Mode) -> Blocking[int]:
    return (yield from openat(lwp, AT_FDCWD, path, flags, mode))


def openat(lwp: Lwp, fd: DirFd, path: Str, flags: OpenArg, mode: Mode) -> Blocking[int]:
    name, start = copyin_at(lwp, fd, path)
    if flags & O_ACCMODE == O_ACCMODE:
        raise KernelError(Errno.EINVAL, "access mode 3")
    proc = lwp.proc
    proc.files.lowest_free()  # EMFILE before the file is made or cut
    file = proc.kernel.tree.open(name, start, flags, mode & ~proc.umask)
    if isinstance(file.node, DescriptorDevice):
        return proc.files.reopen(file.node.descriptor, flags)
    if isinstance(file.node, TerminalDevice):
        file = open_terminal(proc, flags)
    try:
        if flags & (Open.EXLOCK | Open.SHLOCK):
            yield from flock(
                proc.kernel.sched,
                file.node,
                file,
                exclusive=bool(flags & Open.EXLOCK),
                wait=not flags & Open.NONBLOCK,
            )
        return proc.files.add(file)  # EMFILE if others took the last descriptors meanwhile
    except BaseException:  # a signal, and the death of the LWP, end the wait too
        file.drop()
        raise


def stat(lwp: Lwp, path: Str, ub: Ptr) -> None:
    fstatat(lwp, AT_FDCWD, path, ub, 0)


def lstat(lwp: Lwp, path: Str, ub: Ptr) -> None:
    fstatat(lwp, AT_FDCWD, path, ub, At.SYMLINK_NOFOLLOW)


def fstatat(lwp: Lwp, fd: DirFd, path: Str, sb: Ptr, flags: AtArg) -> None:
    follow = follows(flags)
    name, start = copyin_at(lwp, fd, path)
    lwp.vmspace.copyout(sb, bytes(lwp.proc.kernel.tree.stat(name, start, follow=follow)))


def access(lwp: Lwp, path: Str, flags: AccessArg) -> None:
    faccessat(lwp, AT_FDCWD, path, flags, 0)


def faccessat(lwp: Lwp, fd: DirFd, path: Str, amode: AccessArg, flags: AtArg) -> None:
    """May the process use the file like this?  Its real and effective user are the same."""
    name, start = copyin_at(lwp, fd, path)
    if flags & ~_EACCESS:
        raise KernelError(Errno.EINVAL, f"flags {flags:#x}")
    lwp.proc.kernel.tree.access(name, start, amode)


def truncate(lwp: Lwp, path: Str, pad: Pad, length: Off) -> None:
    name = copyin_path(lwp, path)
    if length < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    lwp.proc.kernel.tree.truncate(name, lwp.proc.files.cwd, length)


def link(lwp: Lwp, path: Str, link: Str) -> None:
    """Give the file `path` the name `link` as well."""
    name, new = copyin_path(lwp, path), copyin_path(lwp, link)
    lwp.proc.kernel.tree.link(name, new, lwp.proc.files.cwd)


def symlink(lwp: Lwp, path: Str, link: Str) -> None:
    symlinkat(lwp, path, AT_FDCWD, link)


def symlinkat(lwp: Lwp, path1: Str, fd: DirFd, path2: Str) -> None:
    """Make `path2` a symbolic link to `path1`."""
    target = lwp.vmspace.copyinstr(path1, MAXPATHLEN)
    name, start = copyin_at(lwp, fd, path2)
    lwp.proc.kernel.tree.symlink(target, name, start)


def readlink(lwp: Lwp, path: Str, buf: Ptr, count: Int) -> int:
    return readlinkat(lwp, AT_FDCWD, path, buf, count)


def readlinkat(lwp: Lwp, fd: DirFd, path: Str, buf: Ptr, bufsize: Size) -> int:
    """Store as much of the link's target as fits, without a NUL; return how much that is."""
    name, start = copyin_at(lwp, fd, path)
    target = lwp.proc.kernel.tree.readlink(name, start)
    if 0 <= bufsize < len(target):  # a negative count of readlink() is a huge one
        target = target[:bufsize]
    lwp.vmspace.copyout(buf, target)
    return len(target)


def rename(lwp: Lwp, from_: Str, to: Str) -> None:
    renameat(lwp, AT_FDCWD, from_, AT_FDCWD, to)


def renameat(lwp: Lwp, oldfd: DirFd, old: Str, newfd: DirFd, new: Str) -> None:
    source, source_start = copyin_at(lwp, oldfd, old)
    target, target_start = copyin_at(lwp, newfd, new)
    lwp.proc.kernel.tree.rename(source, source_start, target, target_start)


def unlink(lwp: Lwp, path: Str) -> None:
    unlinkat(lwp, AT_FDCWD, path, 0)


def unlinkat(lwp: Lwp, fd: DirFd, path: Str, flags: AtArg) -> None:
    """Remove a file, or with AT_REMOVEDIR a directory."""
    if flags & ~_REMOVEDIR:
        raise KernelError(Errno.EINVAL, f"flags {flags:#x}")
    name, start = copyin_at(lwp, fd, path)
    tree = lwp.proc.kernel.tree
    if flags & At.REMOVEDIR:
        tree.rmdir(name, start)
    else:
        tree.unlink(name, start)


def mkdir(lwp: Lwp, path: Str, mode: Mode) -> None:
    mkdirat(lwp, AT_FDCWD, path, mode)


def mkdirat(lwp: Lwp, fd: DirFd, path: Str, mode: Mode) -> None:
    name, start = copyin_at(lwp, fd, path)
    lwp.proc.kernel.tree.mkdir(name, start, mode & ~lwp.proc.umask)


def mkfifo(lwp: Lwp, path: Str, mode: Mode) -> None:
    mkfifoat(lwp, AT_FDCWD, path, mode)


def mkfifoat(lwp: Lwp, fd: DirFd, path: Str, mode: Mode) -> None:
    name, start = copyin_at(lwp, fd, path)
    lwp.proc.kernel.tree.mknod(name, start)


def mknod(lwp: Lwp, path: Str, mode: Mode, dev: Int) -> None:
    mknodat(lwp, AT_FDCWD, path, mode, dev)


def mknodat(lwp: Lwp, fd: DirFd, path: Str, mode: Mode, dev: UInt) -> None:
    name, start = copyin_at(lwp, fd, path)
    if mode & FileMode.FMT not in _NODES:
        raise KernelError(Errno.EINVAL, f"mode {mode:o} is no device")
    lwp.proc.kernel.tree.mknod(name, start)


def rmdir(lwp: Lwp, path: Str) -> None:
    unlinkat(lwp, AT_FDCWD, path, At.REMOVEDIR)


def chdir(lwp: Lwp, path: Str) -> None:
    files = lwp.proc.files
    files.cwd = lwp.proc.kernel.tree.enter(copyin_path(lwp, path), files.cwd)


def fchdir(lwp: Lwp, fd: Fd) -> None:
    files = lwp.proc.files
    file = vnode_file(lwp, fd)
    if not isinstance(file.node, Directory):
        raise KernelError(Errno.ENOTDIR, f"descriptor {fd}")
    file.node.check_search()
    files.cwd = file.node.handle


def __getcwd(lwp: Lwp, buf: Ptr, buflen: UInt) -> None:
    """Store the path of the working directory.  ERANGE if it does not fit."""
    if buflen == 0:
        raise KernelError(Errno.EINVAL, "no room at all")
    path = b"/" + b"/".join(lwp.proc.files.cwd.names) + b"\0"
    if len(path) > min(buflen, MAXPATHLEN):
        raise KernelError(Errno.ERANGE, f"{len(path)} bytes")
    lwp.vmspace.copyout(buf, path)


def umask(lwp: Lwp, newmask: Mode) -> int:
    """Set the bits that new files do not get; return what they were."""
    old = lwp.proc.umask
    lwp.proc.umask = newmask & _MODE_BITS
    return old


def revoke(lwp: Lwp, path: Str) -> None:
    """Close a file for everybody who has it open; only for its owner and root.

    EOPNOTSUPP if somebody has: open files stay open.
    """
    tree, cwd = lwp.proc.kernel.tree, lwp.proc.files.cwd
    name = copyin_path(lwp, path)
    if tree.stat(name, cwd).st_uid != lwp.proc.ucred.uid:
        lwp.proc.ucred.check_root("somebody else's file")
    if tree.is_open(name, cwd):
        raise KernelError(Errno.EOPNOTSUPP, "open files stay open")


def getdirentries(lwp: Lwp, fd: Fd, buf: Ptr, count: UInt, basep: Ptr) -> int:
    """Store directory entries, and at `basep`, unless NULL, the position they began at."""
    base = lwp.proc.files.get(fd).offset
    size = _entries(lwp, fd, buf, count)
    if basep:
        lwp.vmspace.copyout(basep, base.to_bytes(8, "little"))
    return size


def getdents(lwp: Lwp, fd: Fd, buf: Ptr, count: Size) -> int:
    return _entries(lwp, fd, buf, count)


def copyin_path(lwp: Lwp, path: int) -> bytes:
    """Return a path the program names.  ENOENT if it is empty."""
    name = lwp.vmspace.copyinstr(path, MAXPATHLEN)
    if not name:
        raise KernelError(Errno.ENOENT, "an empty path")
    return name


def copyin_at(lwp: Lwp, fd: int, path: int) -> tuple[bytes, Nchandle]:
    """Return a path the program names and the directory it starts from (nlookup_init_at)."""
    name = copyin_path(lwp, path)
    if fd == AT_FDCWD or name.startswith(b"/"):
        return name, lwp.proc.files.cwd
    node = vnode_file(lwp, fd).node
    if not isinstance(node, Directory):
        raise KernelError(Errno.ENOTDIR, f"descriptor {fd}")
    return name, node.handle


def follows(flags: int) -> bool:
    """Return whether a symbolic link at the end is followed.  EINVAL for any other flag."""
    if flags & ~_NOFOLLOW:
        raise KernelError(Errno.EINVAL, f"flags {flags:#x}")
    return not flags


def vnode_file(lwp: Lwp, fd: int) -> File:
    """Return the file of `fd`.  EINVAL if it is a stream or the like (holdvnode)."""
    file = lwp.proc.files.get(fd)
    if not file.node.seekable:
        raise KernelError(Errno.EINVAL, f"descriptor {fd} is no file")
    return file


def _entries(lwp: Lwp, fd: int, buf: int, count: int) -> int:
    """Store as many whole entries as fit; return their size, 0 at the end."""
    file = vnode_file(lwp, fd)
    if not file.readable:
        raise KernelError(Errno.EBADF, "not open for reading")
    if not isinstance(file.node, Directory):
        raise KernelError(Errno.EINVAL, "not a directory")
    entries = file.node.entries(file.offset, count)
    data = b"".join(entries)
    lwp.vmspace.copyout(buf, data)
    file.offset += len(entries)
    return len(data)
