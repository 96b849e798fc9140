"""Calls that name a file, and directories (sys/kern/vfs_syscalls.c, vfs_cache.c)."""

from typing import Annotated

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import MAXPATHLEN, O_ACCMODE, Access, Open
from emu.kern.file import File
from emu.kern.proc import Lwp
from emu.kern.vnode import Directory
from syscalls.args import Fd, Mode, Off, Pad, Ptr, Size, Str, UInt, flags_kind

OpenArg = Annotated[int, flags_kind(Open, "O_")]
AccessArg = Annotated[int, flags_kind(Access, "")]

_MODE_BITS = 0o7777


def open(lwp: Lwp, path: Str, flags: OpenArg, mode: Mode) -> int:
    name = _path(lwp, path)
    if flags & O_ACCMODE == O_ACCMODE:
        raise KernelError(Errno.EINVAL, "access mode 3")
    proc = lwp.proc
    proc.files.lowest_free()  # EMFILE before the file is made or cut
    file = proc.kernel.tree.open(name, proc.files.cwd, flags, mode & ~proc.umask)
    return proc.files.add(file)


def stat(lwp: Lwp, path: Str, ub: Ptr) -> None:
    tree = lwp.proc.kernel.tree
    lwp.vmspace.copyout(ub, bytes(tree.stat(_path(lwp, path), lwp.proc.files.cwd)))


def lstat(lwp: Lwp, path: Str, ub: Ptr) -> None:
    tree = lwp.proc.kernel.tree
    lwp.vmspace.copyout(ub, bytes(tree.stat(_path(lwp, path), lwp.proc.files.cwd, follow=False)))


def access(lwp: Lwp, path: Str, flags: AccessArg) -> None:
    lwp.proc.kernel.tree.access(_path(lwp, path), lwp.proc.files.cwd, flags)


def truncate(lwp: Lwp, path: Str, pad: Pad, length: Off) -> None:
    name = _path(lwp, path)
    if length < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    lwp.proc.kernel.tree.truncate(name, lwp.proc.files.cwd, length)


def unlink(lwp: Lwp, path: Str) -> None:
    lwp.proc.kernel.tree.unlink(_path(lwp, path), lwp.proc.files.cwd)


def mkdir(lwp: Lwp, path: Str, mode: Mode) -> None:
    proc = lwp.proc
    proc.kernel.tree.mkdir(_path(lwp, path), proc.files.cwd, mode & ~proc.umask)


def rmdir(lwp: Lwp, path: Str) -> None:
    lwp.proc.kernel.tree.rmdir(_path(lwp, path), lwp.proc.files.cwd)


def chdir(lwp: Lwp, path: Str) -> None:
    files = lwp.proc.files
    files.cwd = lwp.proc.kernel.tree.enter(_path(lwp, path), files.cwd)


def fchdir(lwp: Lwp, fd: Fd) -> None:
    files = lwp.proc.files
    file = _vnode(lwp, fd)
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


def getdirentries(lwp: Lwp, fd: Fd, buf: Ptr, count: UInt, basep: Ptr) -> int:
    """Store directory entries, and at `basep`, unless NULL, the position they began at."""
    base = lwp.proc.files.get(fd).offset
    size = _entries(lwp, fd, buf, count)
    if basep:
        lwp.vmspace.copyout(basep, base.to_bytes(8, "little"))
    return size


def getdents(lwp: Lwp, fd: Fd, buf: Ptr, count: Size) -> int:
    return _entries(lwp, fd, buf, count)


def _entries(lwp: Lwp, fd: int, buf: int, count: int) -> int:
    """Store as many whole entries as fit; return their size, 0 at the end."""
    file = _vnode(lwp, fd)
    if not file.readable:
        raise KernelError(Errno.EBADF, "not open for reading")
    if not isinstance(file.node, Directory):
        raise KernelError(Errno.EINVAL, "not a directory")
    entries = file.node.entries(file.offset, count)
    data = b"".join(entries)
    lwp.vmspace.copyout(buf, data)
    file.offset += len(entries)
    return len(data)


def _path(lwp: Lwp, path: int) -> bytes:
    """Return a path the program names.  ENOENT if it is empty."""
    name = lwp.vmspace.copyinstr(path, MAXPATHLEN)
    if not name:
        raise KernelError(Errno.ENOENT, "an empty path")
    return name


def _vnode(lwp: Lwp, fd: int) -> File:
    """Return the file of `fd`.  EINVAL if it is a stream or the like (holdvnode)."""
    file = lwp.proc.files.get(fd)
    if not file.node.seekable:
        raise KernelError(Errno.EINVAL, f"descriptor {fd} is no file")
    return file
