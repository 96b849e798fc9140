"""Structures the kernel exchanges with programs, in their C layout.

<sys/time.h>, <sys/event.h>, <sys/poll.h>, <sys/lwp.h>, <sys/uio.h>, <sys/stat.h>,
<sys/mount.h>, <sys/statvfs.h>, <sys/filio.h>, <sys/ttycom.h>, <sys/_termios.h>, <sys/dirent.h>.
"""

from ctypes import (
    Array,
    LittleEndianStructure,
    c_char,
    c_int16,
    c_int32,
    c_int64,
    c_ubyte,
    c_uint16,
    c_uint32,
    c_uint64,
)

MFSNAMELEN = 16
MNAMELEN = 80


class Timespec(LittleEndianStructure):
    _fields_ = [("tv_sec", c_int64), ("tv_nsec", c_int64)]

    tv_sec: int
    tv_nsec: int


class Timeval(LittleEndianStructure):
    _fields_ = [("tv_sec", c_int64), ("tv_usec", c_int64)]

    tv_sec: int
    tv_usec: int


class Itimerval(LittleEndianStructure):
    _fields_ = [("it_interval", Timeval), ("it_value", Timeval)]

    it_interval: Timeval
    it_value: Timeval


class Kevent(LittleEndianStructure):
    """A change to a kqueue, or an event from it."""

    _fields_ = [
        ("ident", c_uint64),
        ("filter", c_int16),
        ("flags", c_uint16),
        ("fflags", c_uint32),
        ("data", c_int64),
        ("udata", c_uint64),
    ]

    ident: int
    filter: int
    flags: int
    fflags: int
    data: int
    udata: int


class Pollfd(LittleEndianStructure):
    _fields_ = [("fd", c_int32), ("events", c_int16), ("revents", c_int16)]

    fd: int
    events: int
    revents: int


class LwpParams(LittleEndianStructure):
    """What lwp_create(2) is given."""

    _fields_ = [
        ("func", c_uint64),
        ("arg", c_uint64),
        ("stack", c_uint64),
        ("tid1", c_uint64),
        ("tid2", c_uint64),
    ]

    func: int
    arg: int
    stack: int
    tid1: int
    tid2: int


class Iovec(LittleEndianStructure):
    _fields_ = [("iov_base", c_uint64), ("iov_len", c_uint64)]

    iov_base: int
    iov_len: int


class Winsize(LittleEndianStructure):
    _fields_ = [
        ("ws_row", c_uint16),
        ("ws_col", c_uint16),
        ("ws_xpixel", c_uint16),
        ("ws_ypixel", c_uint16),
    ]

    ws_row: int
    ws_col: int
    ws_xpixel: int
    ws_ypixel: int


class Stat(LittleEndianStructure):
    """struct stat: 128 bytes."""

    _fields_ = [
        ("st_ino", c_uint64),
        ("st_nlink", c_uint32),
        ("st_dev", c_uint32),
        ("st_mode", c_uint16),
        ("st_padding1", c_uint16),
        ("st_uid", c_uint32),
        ("st_gid", c_uint32),
        ("st_rdev", c_uint32),
        ("st_atim", Timespec),
        ("st_mtim", Timespec),
        ("st_ctim", Timespec),
        ("st_size", c_int64),
        ("st_blocks", c_int64),
        ("st_blksize", c_uint32),
        ("st_flags", c_uint32),
        ("st_gen", c_uint32),
        ("st_lspare", c_int32),
        ("st_qspare1", c_int64),
        ("st_qspare2", c_int64),
    ]

    st_ino: int
    st_nlink: int
    st_dev: int
    st_mode: int
    st_padding1: int
    st_uid: int
    st_gid: int
    st_rdev: int
    st_atim: Timespec
    st_mtim: Timespec
    st_ctim: Timespec
    st_size: int
    st_blocks: int
    st_blksize: int
    st_flags: int
    st_gen: int
    st_lspare: int
    st_qspare1: int
    st_qspare2: int


class Statfs(LittleEndianStructure):
    """struct statfs: 320 bytes."""

    _fields_ = [
        ("f_spare2", c_int64),
        ("f_bsize", c_int64),
        ("f_iosize", c_int64),
        ("f_blocks", c_int64),
        ("f_bfree", c_int64),
        ("f_bavail", c_int64),
        ("f_files", c_int64),
        ("f_ffree", c_int64),
        ("f_fsid", c_int32 * 2),
        ("f_owner", c_uint32),
        ("f_type", c_int32),
        ("f_flags", c_int32),
        ("f_padding", c_int32),
        ("f_syncwrites", c_int64),
        ("f_asyncwrites", c_int64),
        ("f_fstypename", c_char * MFSNAMELEN),
        ("f_mntonname", c_char * MNAMELEN),
        ("f_syncreads", c_int64),
        ("f_asyncreads", c_int64),
        ("f_spares1", c_int16),
        ("f_mntfromname", c_char * MNAMELEN),
        ("f_spares2", c_int16),
        ("f_padding2", c_int32),
        ("f_spare", c_int64 * 2),
    ]

    f_bsize: int
    f_iosize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_fsid: Array[c_int32]
    f_owner: int
    f_type: int
    f_flags: int
    f_fstypename: bytes
    f_mntonname: bytes
    f_mntfromname: bytes


class Statvfs(LittleEndianStructure):
    """struct statvfs: 160 bytes."""

    _fields_ = [
        ("f_bsize", c_uint64),
        ("f_frsize", c_uint64),
        ("f_blocks", c_uint64),
        ("f_bfree", c_uint64),
        ("f_bavail", c_uint64),
        ("f_files", c_uint64),
        ("f_ffree", c_uint64),
        ("f_favail", c_uint64),
        ("f_fsid", c_uint64),
        ("f_flag", c_uint64),
        ("f_namemax", c_uint64),
        ("f_owner", c_uint32),
        ("f_type", c_uint32),
        ("f_syncreads", c_uint64),
        ("f_syncwrites", c_uint64),
        ("f_asyncreads", c_uint64),
        ("f_asyncwrites", c_uint64),
        ("f_fsid_uuid", c_ubyte * 16),
        ("f_uid_uuid", c_ubyte * 16),
    ]

    f_bsize: int
    f_frsize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_favail: int
    f_fsid: int
    f_flag: int
    f_namemax: int
    f_owner: int
    f_type: int


class Flock(LittleEndianStructure):
    """What F_GETLK and F_SETLK exchange."""

    _fields_ = [
        ("l_start", c_int64),
        ("l_len", c_int64),
        ("l_pid", c_int32),
        ("l_type", c_int16),
        ("l_whence", c_int16),
    ]

    l_start: int
    l_len: int
    l_pid: int
    l_type: int
    l_whence: int


TIMEVAL_SIZE = 16
IOVEC_SIZE = 16
KEVENT_SIZE = 32
POLLFD_SIZE = 8
WINSIZE_SIZE = 8
DIRENT_NAME_OFFSET = 16

NCCS = 20


class FiodnameArgs(LittleEndianStructure):
    """What FIODNAME is given: where the name of the device goes, and the room there."""

    _fields_ = [("name", c_uint64), ("len", c_uint32)]

    name: int
    len: int


class Termios(LittleEndianStructure):
    """struct termios: 44 bytes."""

    _fields_ = [
        ("c_iflag", c_uint32),
        ("c_oflag", c_uint32),
        ("c_cflag", c_uint32),
        ("c_lflag", c_uint32),
        ("c_cc", c_ubyte * NCCS),
        ("c_ispeed", c_uint32),
        ("c_ospeed", c_uint32),
    ]

    c_iflag: int
    c_oflag: int
    c_cflag: int
    c_lflag: int
    c_cc: Array[c_ubyte]
    c_ispeed: int
    c_ospeed: int


class Dirent(LittleEndianStructure):
    """struct dirent: 272 bytes with the longest name.  In a directory it ends after the name."""

    _fields_ = [
        ("d_fileno", c_uint64),
        ("d_namlen", c_uint16),
        ("d_type", c_ubyte),
        ("d_unused1", c_ubyte),
        ("d_unused2", c_uint32),
        ("d_name", c_char * 256),
    ]

    d_fileno: int
    d_namlen: int
    d_type: int
    d_unused1: int
    d_unused2: int
    d_name: bytes


def pack_dirent(fileno: int, kind: int, name: bytes) -> bytes:
    """Return a struct dirent as readers step over it: the name ends in NUL, padded to 8 bytes."""
    entry = Dirent(d_fileno=fileno, d_namlen=len(name), d_type=kind, d_name=name)
    return bytes(entry)[: (DIRENT_NAME_OFFSET + len(name) + 1 + 7) & ~7]
