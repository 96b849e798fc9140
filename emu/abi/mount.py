"""<sys/mount.h>, <sys/statvfs.h>: what is said about a mounted file system."""

from enum import IntFlag


class Mnt(IntFlag):
    """f_flags of a struct statfs."""

    NOSUID = 0x0008
    LOCAL = 0x1000
    ROOTFS = 0x4000


class St(IntFlag):
    """f_flag of a struct statvfs."""

    NOSUID = 0x0002


class MntWait(IntFlag):
    """How fresh the answer of getfsstat(2) must be; ours always is."""

    WAIT = 1
    NOWAIT = 2
    LAZY = 4
