"""<sys/unistd.h>: how extexit(2) ends what, and what rfork(2) shares."""

from enum import IntEnum, IntFlag


class ExtExit(IntEnum):
    """Low half of `how`."""

    SIMPLE = 0
    SETINT = 1


class ExtExitWho(IntEnum):
    """High half of `how`."""

    PROC = 0
    LWP = 0x10000


class Rfork(IntFlag):
    """What a new process shares with its parent, and what it does not."""

    FDG = 1 << 2
    PROC = 1 << 4
    MEM = 1 << 5
    NOWAIT = 1 << 6
    CFDG = 1 << 12
    THREAD = 1 << 13
    SIGSHARE = 1 << 14
    LINUXTHPN = 1 << 16
    PGLOCK = 1 << 30
    PPWAIT = 1 << 31


RFORK_KERNEL_ONLY = Rfork.PGLOCK | Rfork.PPWAIT
