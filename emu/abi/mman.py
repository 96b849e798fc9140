"""<sys/mman.h>: protection, mapping and advice constants."""

from enum import IntEnum, IntFlag


class Prot(IntFlag):
    NONE = 0x0
    READ = 0x1
    WRITE = 0x2
    EXEC = 0x4


PROT_ALL = int(Prot.READ | Prot.WRITE | Prot.EXEC)  # an integer, as rights are in every fault


class Map(IntFlag):
    FILE = 0x0000
    SHARED = 0x0001
    PRIVATE = 0x0002
    FIXED = 0x0010
    RENAME = 0x0020
    NORESERVE = 0x0040
    INHERIT = 0x0080
    NOEXTEND = 0x0100
    HASSEMAPHORE = 0x0200
    STACK = 0x0400
    NOSYNC = 0x0800
    ANON = 0x1000
    VPAGETABLE = 0x2000  # contents are reached through a page table the caller keeps
    TRYFIXED = 0x10000
    NOCORE = 0x20000
    SIZEALIGN = 0x40000


class Madv(IntEnum):
    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    WILLNEED = 3
    DONTNEED = 4
    FREE = 5
    NOSYNC = 6
    AUTOSYNC = 7
    NOCORE = 8
    CORE = 9
    INVAL = 10  # the virtual page table changed: forget what the pmap cached of it
    SETMAP = 11  # set the root of a VPAGETABLE mapping


class Inherit(IntEnum):
    SHARE = 0
    COPY = 1
    NONE = 2


class Ms(IntFlag):
    SYNC = 0x0
    ASYNC = 0x1
    INVALIDATE = 0x2


class Mcl(IntFlag):
    CURRENT = 0x1
    FUTURE = 0x2


class Mincore(IntFlag):
    INCORE = 0x1
    REFERENCED = 0x2
    MODIFIED = 0x4
    REFERENCED_OTHER = 0x8
    MODIFIED_OTHER = 0x10
