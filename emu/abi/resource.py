"""<sys/resource.h>, <sys/rtprio.h>: limits and usage of resources, priorities."""

from ctypes import Array, LittleEndianStructure, c_int64, c_uint16, c_uint32
from enum import IntEnum
from typing import NamedTuple

from emu.abi.structs import Timeval

RLIM_INFINITY = (1 << 63) - 1


class Rlimit(NamedTuple):
    """A limit as it is and as far as it may be raised."""

    cur: int
    max: int


class RlimitKind(IntEnum):
    CPU = 0
    FSIZE = 1
    DATA = 2
    STACK = 3
    CORE = 4
    RSS = 5
    MEMLOCK = 6
    NPROC = 7
    NOFILE = 8
    SBSIZE = 9
    VMEM = 10
    POSIXLOCKS = 11


def default_rlimits() -> dict[int, Rlimit]:
    """Return the limits that the first process has; data and stack as far as they can go."""
    limits: dict[int, Rlimit] = dict.fromkeys(RlimitKind, Rlimit(RLIM_INFINITY, RLIM_INFINITY))
    limits[RlimitKind.DATA] = Rlimit(32 << 30, 32 << 30)
    limits[RlimitKind.STACK] = Rlimit(512 << 20, 512 << 20)
    return limits


class RlimitStruct(LittleEndianStructure):
    """struct rlimit."""

    _fields_ = [("rlim_cur", c_int64), ("rlim_max", c_int64)]

    rlim_cur: int
    rlim_max: int


class RusageWho(IntEnum):
    SELF = 0
    CHILDREN = -1


class Prio(IntEnum):
    """Whose priority getpriority and setpriority mean."""

    PROCESS = 0
    PGRP = 1
    USER = 2


PRIO_MIN = -20
PRIO_MAX = 20


class Rusage(LittleEndianStructure):
    _fields_ = [
        ("ru_utime", Timeval),
        ("ru_stime", Timeval),
        ("ru_maxrss", c_int64),
        ("ru_ixrss", c_int64),
        ("ru_idrss", c_int64),
        ("ru_isrss", c_int64),
        ("ru_minflt", c_int64),
        ("ru_majflt", c_int64),
        ("ru_nswap", c_int64),
        ("ru_inblock", c_int64),
        ("ru_oublock", c_int64),
        ("ru_msgsnd", c_int64),
        ("ru_msgrcv", c_int64),
        ("ru_nsignals", c_int64),
        ("ru_nvcsw", c_int64),
        ("ru_nivcsw", c_int64),
    ]


class RtpFunction(IntEnum):
    LOOKUP = 0
    SET = 1


class RtpType(IntEnum):
    REALTIME = 0
    NORMAL = 1
    IDLE = 2
    FIFO = 4


RTP_PRIO_MAX = 31


class Rtprio(LittleEndianStructure):
    _fields_ = [("type", c_uint16), ("prio", c_uint16)]

    type: int
    prio: int


LOADAVG_SCALE = 2048
"""What stands for 1 in a struct loadavg (FSCALE)."""


class Loadavg(LittleEndianStructure):
    _fields_ = [("ldavg", c_uint32 * 3), ("fscale", c_int64)]

    ldavg: Array[c_uint32]
    fscale: int
