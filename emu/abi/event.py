"""<sys/event.h>: kernel events."""

from enum import IntEnum, IntFlag


class Evfilt(IntEnum):
    """What a knote watches."""

    READ = -1
    WRITE = -2
    AIO = -3
    VNODE = -4
    PROC = -5
    SIGNAL = -6
    TIMER = -7
    EXCEPT = -8


class Ev(IntFlag):
    """What to do about a knote, how it behaves, what it tells."""

    ADD = 0x0001
    DELETE = 0x0002
    ENABLE = 0x0004
    DISABLE = 0x0008
    ONESHOT = 0x0010
    CLEAR = 0x0020
    NODATA = 0x1000
    FLAG1 = 0x2000  # the kernel's own: a child that NOTE_TRACK follows
    ERROR = 0x4000
    EOF = 0x8000


EV_SYSFLAGS = 0xF000
"""What only the kernel sets."""


class Note(IntFlag):
    """What happened to a file or a process, or is to be told of it."""

    DELETE = 0x0001
    WRITE = 0x0002
    EXTEND = 0x0004
    ATTRIB = 0x0008
    LINK = 0x0010
    RENAME = 0x0020
    REVOKE = 0x0040
    EXIT = 0x8000_0000
    FORK = 0x4000_0000
    EXEC = 0x2000_0000
    TRACK = 0x0001
    TRACKERR = 0x0002
    CHILD = 0x0004
    SIGNAL = 0x0800_0000  # the kernel's own: for EVFILT_SIGNAL


NOTE_PCTRLMASK = 0xF000_0000
"""The events of processes."""
KQ_NEVENTS = 8
"""How many changes are copied in at a time."""
