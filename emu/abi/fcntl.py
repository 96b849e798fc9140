"""<sys/fcntl.h>, <sys/stat.h>, <sys/dirent.h>, <sys/unistd.h>: opening, locking, kinds of files."""

from enum import IntEnum, IntFlag


class Open(IntFlag):
    RDONLY = 0x0000
    WRONLY = 0x0001
    RDWR = 0x0002
    NONBLOCK = 0x0004
    APPEND = 0x0008
    SHLOCK = 0x0010
    EXLOCK = 0x0020
    ASYNC = 0x0040
    FSYNC = 0x0080
    NOFOLLOW = 0x0100
    CREAT = 0x0200
    TRUNC = 0x0400
    EXCL = 0x0800
    NOCTTY = 0x8000
    DIRECT = 0x10000


class Io(IntFlag):
    """The flags of one extpread or extpwrite (O_FMASK)."""

    FBLOCKING = 0x0004_0000
    FNONBLOCKING = 0x0008_0000
    FAPPEND = 0x0010_0000
    FOFFSET = 0x0020_0000
    FSYNCWRITE = 0x0040_0000
    FASYNCWRITE = 0x0080_0000
    FUNBUFFERED = 0x0100_0000
    FBUFFERED = 0x0200_0000
    MAPONREAD = 0x0400_0000
    FRNONBLOCKING = 0x0800_0000


O_ACCMODE = Open.WRONLY | Open.RDWR
OPEN_KEPT = O_ACCMODE | Open.NONBLOCK | Open.APPEND | Open.ASYNC | Open.FSYNC | Open.DIRECT
"""What F_GETFL may report; the original keeps a few one-time flags as well."""
OPEN_SETTABLE = OPEN_KEPT & ~O_ACCMODE
"""What F_SETFL changes (FCNTLFLAGS)."""


class Fcntl(IntEnum):
    DUPFD = 0
    GETFD = 1
    SETFD = 2
    GETFL = 3
    SETFL = 4
    GETOWN = 5
    SETOWN = 6
    GETLK = 7
    SETLK = 8
    SETLKW = 9


FD_CLOEXEC = 1


class RecordLock(IntEnum):
    RDLCK = 1
    UNLCK = 2
    WRLCK = 3


class Lock(IntFlag):
    """flock(2)."""

    SH = 1
    EX = 2
    NB = 4
    UN = 8


class Seek(IntEnum):
    SET = 0
    CUR = 1
    END = 2


class Access(IntFlag):
    X = 1
    W = 2
    R = 4


class At(IntFlag):
    """The flags of the calls that take a directory's descriptor."""

    SYMLINK_NOFOLLOW = 1
    REMOVEDIR = 2
    EACCESS = 4


AT_FDCWD = 0xFFFA_FDCD - (1 << 32)
"""Instead of a descriptor: the working directory."""


class Mode(IntFlag):
    """st_mode: the kind of a file.  S_IFMT is `FMT`."""

    FIFO = 0o010000
    CHR = 0o020000
    DIR = 0o040000
    BLK = 0o060000
    REG = 0o100000
    LNK = 0o120000
    SOCK = 0o140000
    WHT = 0o160000
    FMT = 0o170000


PERMISSIONS = 0o777
CHMOD_BITS = 0o1777
"""What chmod sets: permissions and the sticky bit, but never set-user-id or set-group-id."""


class Dt(IntEnum):
    """d_type of a directory entry."""

    UNKNOWN = 0
    FIFO = 1
    CHR = 2
    DIR = 4
    BLK = 6
    REG = 8
    LNK = 10
    SOCK = 12


MAXPATHLEN = 1024  # with the NUL
NAME_MAX = 255
MAXSYMLINKS = 32
IOV_MAX = 1024
