"""Structures the kernel exchanges with programs, in their C layout.

<sys/time.h>, <sys/lwp.h>, <sys/uio.h>, <sys/stat.h>, <sys/ttycom.h>, <sys/_termios.h>,
<sys/dirent.h>.
"""

from ctypes import (
    Array,
    LittleEndianStructure,
    c_int16,
    c_int32,
    c_int64,
    c_ubyte,
    c_uint16,
    c_uint32,
    c_uint64,
)


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


IOVEC_SIZE = 16
FLOCK_SIZE = 24
WINSIZE_SIZE = 8

NCCS = 20


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


class DirentHeader(LittleEndianStructure):
    """What comes before the name in a struct dirent."""

    _fields_ = [
        ("d_fileno", c_uint64),
        ("d_namlen", c_uint16),
        ("d_type", c_ubyte),
        ("d_unused1", c_ubyte),
        ("d_unused2", c_uint32),
    ]

    d_fileno: int
    d_namlen: int
    d_type: int
    d_unused1: int
    d_unused2: int


def pack_dirent(fileno: int, kind: int, name: bytes) -> bytes:
    """Return a struct dirent as readers step over it: the name ends in NUL, padded to 8 bytes."""
    header = bytes(DirentHeader(d_fileno=fileno, d_namlen=len(name), d_type=kind))
    length = (len(header) + len(name) + 1 + 7) & ~7
    return (header + name).ljust(length, b"\0")
