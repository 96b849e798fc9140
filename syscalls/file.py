"""Reading and writing, and what else is done with a descriptor.

sys/kern/sys_generic.c, kern_descrip.c, sys_pipe.c and vfs_syscalls.c.  Data moves in pieces: a
huge length costs nothing until there is that much to move.
"""

from typing import Annotated, TypeVar

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import FD_CLOEXEC, Fcntl, Io, Lock, Open, RecordLock, Seek
from emu.abi.ioctl import IOC_IN, IOC_OUT, IOCPARM_MASK, IOCPARM_SHIFT, Ioctl
from emu.abi.resource import RLIM_INFINITY, RlimitKind
from emu.abi.signal import Signal
from emu.abi.socket import Shut
from emu.abi.structs import Flock
from emu.abi.x86 import U32_MASK
from emu.kern import lockf
from emu.kern.file import MAX_OFFSET, File
from emu.kern.job_control import background_read, background_write
from emu.kern.job_control import ioctl as ttioctl
from emu.kern.pipe import Pipe
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart
from emu.kern.sigio import fgetown, fsetown, watch_input
from emu.kern.signal import lwpsignal
from emu.kern.uio import Uio, single, vector
from emu.kern.vnode import Vnode
from syscalls.args import Fd, Long, Off, Pad, Ptr, Size, UInt, Word, enum_kind, flags_kind

T = TypeVar("T")

IoArg = Annotated[int, flags_kind(Io, "O_")]
FcntlArg = Annotated[int, enum_kind(Fcntl, "F_")]
LockArg = Annotated[int, flags_kind(Lock, "LOCK_")]
SeekArg = Annotated[int, enum_kind(Seek, "SEEK_")]
ShutArg = Annotated[int, enum_kind(Shut, "SHUT_")]

PIECE = 1 << 20
"""The most that is moved at a time."""
_HARMLESS = (Errno.EINTR, Errno.EAGAIN)
_NONBLOCK = int(Open.NONBLOCK)
_FNONBLOCKING = int(Io.FNONBLOCKING)
_FRNONBLOCKING = int(Io.FRNONBLOCKING)
_FBLOCKING = int(Io.FBLOCKING)
_FOFFSET = int(Io.FOFFSET)
_FAPPEND = int(Io.FAPPEND)


def read(lwp: Lwp, fd: Fd, buf: Ptr, nbyte: Size) -> Blocking[int]:
    return (yield from _read(lwp, fd, single(lwp.vmspace, buf, nbyte)))


def write(lwp: Lwp, fd: Fd, buf: Ptr, nbyte: Size) -> Blocking[int]:
    return (yield from _write(lwp, fd, single(lwp.vmspace, buf, nbyte)))


def readv(lwp: Lwp, fd: Fd, iovp: Ptr, iovcnt: UInt) -> Blocking[int]:
    return (yield from _read(lwp, fd, vector(lwp.vmspace, iovp, iovcnt)))


def writev(lwp: Lwp, fd: Fd, iovp: Ptr, iovcnt: UInt) -> Blocking[int]:
    return (yield from _write(lwp, fd, vector(lwp.vmspace, iovp, iovcnt)))


def extpread(lwp: Lwp, fd: Fd, buf: Ptr, nbyte: Size, flags: IoArg, offset: Off) -> Blocking[int]:
    """Read at `offset`, or at the file's position if it is -1."""
    return (yield from _read(lwp, fd, single(lwp.vmspace, buf, nbyte), flags, offset))


def extpwrite(lwp: Lwp, fd: Fd, buf: Ptr, nbyte: Size, flags: IoArg, offset: Off) -> Blocking[int]:
    """Write at `offset`, or at the file's position if it is -1."""
    return (yield from _write(lwp, fd, single(lwp.vmspace, buf, nbyte), flags, offset))


def extpreadv(
    lwp: Lwp, fd: Fd, iovp: Ptr, iovcnt: UInt, flags: IoArg, offset: Off
) -> Blocking[int]:
    return (yield from _read(lwp, fd, vector(lwp.vmspace, iovp, iovcnt), flags, offset))


def extpwritev(
    lwp: Lwp, fd: Fd, iovp: Ptr, iovcnt: UInt, flags: IoArg, offset: Off
) -> Blocking[int]:
    return (yield from _write(lwp, fd, vector(lwp.vmspace, iovp, iovcnt), flags, offset))


def close(lwp: Lwp, fd: Fd) -> None:
    lwp.proc.files.close(fd)


def closefrom(lwp: Lwp, fd: Fd) -> None:
    """Close every descriptor from `fd` up."""
    if fd < 0:
        raise KernelError(Errno.EINVAL, f"closefrom({fd})")
    lwp.proc.files.close_from(fd)


def pipe(lwp: Lwp) -> int:
    """Return both ends of a new pipe, the second in RDX."""
    files = lwp.proc.files
    files.lowest_free(files.lowest_free() + 1)  # EMFILE before anything is open
    one, other = Pipe.pair(lwp.proc.kernel)
    first = files.add(File(one, Open.RDWR))
    lwp.frame.rdx = files.add(File(other, Open.RDWR))
    return first


def shutdown(lwp: Lwp, s: Fd, how: ShutArg) -> None:
    """End one direction of a socket or a pipe, or both."""
    lwp.proc.files.get(s).node.shutdown(how)


def dup(lwp: Lwp, fd: Fd) -> int:
    return lwp.proc.files.dup(fd)


def dup2(lwp: Lwp, from_: Fd, to: Fd) -> int:
    return lwp.proc.files.dup2(from_, to)


def lseek(lwp: Lwp, fd: Fd, pad: Pad, offset: Off, whence: SeekArg) -> int:
    return lwp.proc.files.get(fd).seek(offset, whence)


def fstat(lwp: Lwp, fd: Fd, sb: Ptr) -> None:
    lwp.vmspace.copyout(sb, bytes(lwp.proc.files.get(fd).node.stat()))


def ftruncate(lwp: Lwp, fd: Fd, pad: Pad, length: Off) -> None:
    if length < 0:
        raise KernelError(Errno.EINVAL, "a negative length")
    file = lwp.proc.files.get(fd)
    if not file.writable:
        raise KernelError(Errno.EINVAL, "not open for writing")
    file.node.resize(length)


def fsync(lwp: Lwp, fd: Fd) -> None:
    lwp.proc.files.get(fd).node.sync()


def flock(lwp: Lwp, fd: Fd, how: LockArg) -> Blocking[None]:
    """Lock or unlock the whole file, for the open file `fd` stands for."""
    file = lwp.proc.files.get(fd)
    if not file.node.seekable:
        raise KernelError(Errno.EOPNOTSUPP, "cannot be locked")
    if how & Lock.UN:
        file.node.unlock(file)
    elif how & (Lock.EX | Lock.SH):
        exclusive, wait = bool(how & Lock.EX), not how & Lock.NB
        sched = lwp.proc.kernel.sched
        file.hold()  # another LWP may close the descriptor meanwhile
        try:
            yield from lockf.flock(sched, file.node, file, exclusive=exclusive, wait=wait)
        finally:
            file.drop()
    else:
        raise KernelError(Errno.EBADF, f"flock({how}) asks for nothing")


def fcntl(lwp: Lwp, fd: Fd, cmd: FcntlArg, arg: Long) -> Blocking[int]:
    files = lwp.proc.files
    word = (arg & U32_MASK ^ 0x8000_0000) - 0x8000_0000  # an int, but for locks
    match cmd:
        case Fcntl.DUPFD:
            return files.dup(fd, word)
        case Fcntl.GETFD:
            return FD_CLOEXEC if files.close_on_exec(fd) else 0
        case Fcntl.SETFD:
            files.set_close_on_exec(fd, bool(word & FD_CLOEXEC))
        case Fcntl.GETFL:
            return files.get(fd).flags
        case Fcntl.SETFL:
            file = files.get(fd)
            file.set_flags(word)
            watch_input(lwp.proc.kernel, file)
        case Fcntl.GETOWN:
            return fgetown(files.get(fd)) & U32_MASK
        case Fcntl.SETOWN:
            fsetown(lwp.proc, files.get(fd), word)
        case Fcntl.GETLK | Fcntl.SETLK | Fcntl.SETLKW:
            yield from _record_lock(lwp, fd, cmd, arg)
        case _:
            files.get(fd)
            raise KernelError(Errno.EINVAL, f"fcntl command {cmd}")
    return 0


def ioctl(lwp: Lwp, fd: Fd, com: Word, data: Ptr) -> Blocking[None]:
    """Control a device.  `com` says how long the parameter is, and which way it goes."""
    files = lwp.proc.files
    file = files.get(fd)
    if com in (Ioctl.FIOCLEX, Ioctl.FIONCLEX):
        files.set_close_on_exec(fd, com == Ioctl.FIOCLEX)
        return
    size = com >> IOCPARM_SHIFT & IOCPARM_MASK
    parameter = bytearray(lwp.vmspace.copyin(data, size) if com & IOC_IN else size)
    match com:
        case Ioctl.FIOSETOWN:
            fsetown(lwp.proc, file, int.from_bytes(parameter, "little", signed=True))
        case Ioctl.FIOGETOWN:
            parameter[:] = fgetown(file).to_bytes(4, "little", signed=True)
        case _:
            yield from ttioctl(lwp, file, com, parameter)
            watch_input(lwp.proc.kernel, file)
    if com & IOC_OUT and size:
        lwp.vmspace.copyout(data, parameter)


def _read(lwp: Lwp, fd: int, uio: Uio, flags: int = 0, offset: int = -1) -> Blocking[int]:
    """Fill the buffers: to the end of the file, or with what a stream has (kern_preadv)."""
    file = lwp.proc.files.get(fd)
    if not file.readable:
        raise KernelError(Errno.EBADF, "not open for reading")
    at = _position(file, flags, offset)
    if file.node.takes_uio:
        transfer = file.node.read_uio(uio, not _nonblocking(file, flags))
        return (yield from transferred(file, uio, transfer))
    done = 0
    while uio.resid:
        if file.node.tty is not None or not file.node.can_read():
            yield from _until_readable(lwp, file, flags)
        size = min(uio.resid, PIECE)
        data = file.read(size, at)
        try:
            uio.put(data)
        except KernelError:
            if at is None:
                file.offset -= len(data)
            raise
        done += len(data)
        if at is not None:
            at += len(data)
        if len(data) < size or file.node.waits:
            break
    return done


def _write(lwp: Lwp, fd: int, uio: Uio, flags: int = 0, offset: int = -1) -> Blocking[int]:
    """Write the buffers out.  A failure after part of it is still a failure (kern_pwritev).

    But what a signal breaks off, or a non-blocking file does not take, has been written.
    """
    file = lwp.proc.files.get(fd)
    if not file.writable:
        raise KernelError(Errno.EBADF, "not open for writing")
    at = _position(file, flags, offset)
    if file.node.takes_uio:
        transfer = file.node.write_uio(uio, not _nonblocking(file, flags))
        return (yield from sent(lwp, transferred(file, uio, transfer)))
    if isinstance(file.node, Vnode):
        _check_size(lwp, file, uio.resid, at, append=bool(flags & _FAPPEND))
    done = 0
    data = b""
    while data or uio.resid:
        try:
            if file.node.tty is not None or not file.node.can_write():
                yield from _until_writable(lwp, file, flags)
        except (KernelError, Restart):
            if done:
                break
            raise
        data = data or uio.take(min(PIECE, file.node.piece))
        try:
            count = file.write(data, at, append=bool(flags & _FAPPEND))
        except KernelError as refusal:
            if refusal.errno is Errno.EPIPE:
                lwpsignal(lwp.proc, lwp, Signal.PIPE)
            raise
        done += count
        if at is not None:
            at += count
        data = data[count:]
        if data and not file.node.waits:
            break
    return done


def _check_size(lwp: Lwp, file: File, size: int, at: int | None, *, append: bool) -> None:
    """Raise EFBIG, and send SIGXFSZ, if the file would get longer than RLIMIT_FSIZE."""
    limit = lwp.proc.rlimits[RlimitKind.FSIZE].cur
    if limit == RLIM_INFINITY:
        return
    if append or file.flags & Open.APPEND:
        at = file.node.length()
    if (file.offset if at is None else at) + size > limit:
        lwpsignal(lwp.proc, lwp, Signal.XFSZ)
        raise KernelError(Errno.EFBIG, f"more than {limit} bytes in a file")


def _until_readable(lwp: Lwp, file: File, flags: int) -> Blocking[None]:
    """Wait until there is something to read, or a terminal's patience is at its end."""
    node = file.node
    while True:
        if node.tty is not None:
            yield from background_read(lwp, node.tty)
        if node.can_read():
            return
        if _nonblocking(file, flags):
            raise KernelError(Errno.EAGAIN, "nothing to read yet")
        sleep = node.until_readable()
        if node.tty is not None and (patience := node.tty.patience()) is not None:
            sleep.deadline = lwp.proc.kernel.clock.monotonic_ns() + patience
        if not (yield sleep):
            return


def _until_writable(lwp: Lwp, file: File, flags: int) -> Blocking[None]:
    node = file.node
    while True:
        if node.tty is not None:
            yield from background_write(lwp, node.tty)
        if node.can_write():
            return
        if _nonblocking(file, flags):
            raise KernelError(Errno.EAGAIN, "no room to write yet")
        yield node.until_writable()


def transferred(file: File, uio: Uio, transfer: Blocking[T]) -> Blocking[int]:
    """Carry out `transfer` and return how much of `uio` it has used up.

    What a signal or a wait that is not to be has broken off has been done that far.
    """
    wanted = uio.resid
    file.hold()  # another LWP may close the descriptor meanwhile
    try:
        yield from transfer
    except (KernelError, Restart) as broken:
        harmless = isinstance(broken, Restart) or broken.errno in _HARMLESS
        if uio.resid == wanted or not harmless:
            raise
    finally:
        file.drop()
    return wanted - uio.resid


def sent(lwp: Lwp, transfer: Blocking[int]) -> Blocking[int]:
    """Carry out `transfer`.  SIGPIPE if nobody is there to receive it."""
    try:
        return (yield from transfer)
    except KernelError as refusal:
        if refusal.errno is Errno.EPIPE:
            lwpsignal(lwp.proc, lwp, Signal.PIPE)
        raise


def _position(file: File, flags: int, offset: int) -> int | None:
    """Return where to read or write, or None for the file's own position."""
    if offset == -1 and not flags & _FOFFSET:
        return None
    if not file.node.seekable:
        raise KernelError(Errno.ESPIPE, "this file has no positions")
    if not 0 <= offset <= MAX_OFFSET:
        raise KernelError(Errno.EINVAL, f"no position {offset}")
    return offset


def _nonblocking(file: File, flags: int) -> bool:
    if flags & _FRNONBLOCKING:
        return True
    if flags & _FBLOCKING:
        return False
    return bool(flags & _FNONBLOCKING or file.flags & _NONBLOCK)


def _record_lock(lwp: Lwp, fd: int, cmd: int, arg: int) -> Blocking[None]:
    """Ask about, take or give up a lock on some bytes, for the process."""
    proc = lwp.proc
    lock = lwp.vmspace.copyin_struct(arg, Flock)
    file = proc.files.get(fd)
    node = file.node
    if not node.seekable:
        raise KernelError(Errno.EBADF, "cannot be locked")
    if lock.l_type not in RecordLock.__members__.values():
        raise KernelError(Errno.EINVAL, f"lock type {lock.l_type}")
    exclusive = lock.l_type == RecordLock.WRLCK
    wanted = lockf.Range(proc.files, exclusive, *_lock_bytes(file, lock), proc.pid)
    if cmd == Fcntl.GETLK:
        holder = None if lock.l_type == RecordLock.UNLCK else node.locks.conflict(wanted)
        lwp.vmspace.copyout(arg, bytes(_describe(lock, holder)))
    elif lock.l_type == RecordLock.UNLCK:
        node.locks.remove(proc.files, wanted.first, wanted.last)
    elif not (file.writable if exclusive else file.readable):
        raise KernelError(Errno.EBADF, "not open for that kind of lock")
    else:
        wait = cmd == Fcntl.SETLKW
        file.hold()
        try:
            yield from lockf.lock_record(proc.kernel.sched, node.locks, wanted, wait=wait)
            if not proc.files.stands_for(fd, file):  # closed meanwhile: that has missed the lock
                node.unlock(proc.files)
        finally:
            file.drop()


def _lock_bytes(file: File, lock: Flock) -> tuple[int, int]:
    """Return the first and the last byte that a struct flock means."""
    match lock.l_whence:
        case Seek.SET:
            start = lock.l_start
        case Seek.CUR:
            start = file.offset + lock.l_start
        case Seek.END:
            start = file.node.length() + lock.l_start
        case _:
            raise KernelError(Errno.EINVAL, f"a lock from {lock.l_whence}")
    end = start + lock.l_len - 1 if lock.l_len else lockf.LAST
    if not 0 <= start <= end <= lockf.LAST or lock.l_len < 0:
        raise KernelError(Errno.EINVAL, f"a lock of {lock.l_len} bytes from {start}")
    return start, end


def _describe(lock: Flock, holder: lockf.Range | None) -> Flock:
    """Return what F_GETLK answers: `lock` itself, unlocked, if nobody is in its way."""
    if holder is None:
        lock.l_type = RecordLock.UNLCK
        return lock
    return Flock(
        l_start=holder.first,
        l_len=0 if holder.last == lockf.LAST else holder.last - holder.first + 1,
        l_pid=holder.pid,
        l_type=RecordLock.WRLCK if holder.exclusive else RecordLock.RDLCK,
        l_whence=Seek.SET,
    )
