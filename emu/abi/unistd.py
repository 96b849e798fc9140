"""<sys/unistd.h>, <sys/syslimits.h>: how extexit(2) ends what, what rfork(2) shares, limits."""

from enum import IntEnum, IntFlag

MAXLOGNAME = 17  # with the NUL
MAXHOSTNAMELEN = 256  # with the NUL
NGROUPS = 16


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


class Pc(IntEnum):
    """What pathconf(2) is asked about (_PC_*)."""

    LINK_MAX = 1
    MAX_CANON = 2
    MAX_INPUT = 3
    NAME_MAX = 4
    PATH_MAX = 5
    PIPE_BUF = 6
    CHOWN_RESTRICTED = 7
    NO_TRUNC = 8
    VDISABLE = 9


LINK_MAX = 32767
MAX_CANON = 255
MAX_INPUT = 255
