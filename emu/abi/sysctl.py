"""<sys/sysctl.h>: the numbers in the names of kernel variables, and their types."""

from enum import IntEnum, IntFlag

CTL_MAXNAME = 12
"""The most numbers a name may have."""
OID_AUTO_FIRST = 256
"""Variables without a number of their own are numbered from here."""


class CtlType(IntEnum):
    NODE = 1
    INT = 2
    STRING = 3
    QUAD = 4
    OPAQUE = 5
    UINT = 6
    LONG = 7
    ULONG = 8


class CtlFlag(IntFlag):
    RD = 0x8000_0000
    WR = 0x4000_0000
    ANYBODY = 0x1000_0000


class Ctl(IntEnum):
    """The first number."""

    SYSCTL = 0
    KERN = 1
    VM = 2
    VFS = 3
    HW = 6
    P1003_1B = 9


class SysctlMeta(IntEnum):
    """Questions about the tree itself: {CTL_SYSCTL, question, name...}."""

    NAME = 1
    NEXT = 2
    NAME2OID = 3
    OIDFMT = 4


class Kern(IntEnum):
    OSTYPE = 1
    OSRELEASE = 2
    OSREV = 3
    VERSION = 4
    MAXPROC = 6
    MAXFILES = 7
    ARGMAX = 8
    SECURELVL = 9
    HOSTNAME = 10
    HOSTID = 11
    CLOCKRATE = 12
    POSIX1 = 17
    NGROUPS = 18
    JOB_CONTROL = 19
    SAVED_IDS = 20
    BOOTTIME = 21
    NISDOMAINNAME = 22
    OSRELDATE = 24
    BOOTFILE = 26
    MAXFILESPERPROC = 27
    MAXPROCPERUID = 28
    PS_STRINGS = 32
    USRSTACK = 33
    LOGSIGEXIT = 34
    IOV_MAX = 35


class Vm(IntEnum):
    LOADAVG = 2


class Hw(IntEnum):
    MACHINE = 1
    MODEL = 2
    NCPU = 3
    BYTEORDER = 4
    PHYSMEM = 5
    USERMEM = 6
    PAGESIZE = 7
    FLOATINGPT = 10
    MACHINE_ARCH = 11
    MACHINE_PLATFORM = 12


class P1003(IntEnum):
    """What there is of POSIX 1003.1b, and how much of it."""

    ASYNCHRONOUS_IO = 1
    MAPPED_FILES = 2
    MEMLOCK = 3
    MEMLOCK_RANGE = 4
    MEMORY_PROTECTION = 5
    MESSAGE_PASSING = 6
    PRIORITIZED_IO = 7
    PRIORITY_SCHEDULING = 8
    REALTIME_SIGNALS = 9
    SEMAPHORES = 10
    FSYNC = 11
    SHARED_MEMORY_OBJECTS = 12
    SYNCHRONIZED_IO = 13
    TIMERS = 14
    AIO_LISTIO_MAX = 15
    AIO_MAX = 16
    AIO_PRIO_DELTA_MAX = 17
    DELAYTIMER_MAX = 18
    PAGESIZE = 20
    RTSIG_MAX = 21
    SEM_NSEMS_MAX = 22
    SEM_VALUE_MAX = 23
    SIGQUEUE_MAX = 24
    TIMER_MAX = 25
