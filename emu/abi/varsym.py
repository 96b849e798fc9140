"""<sys/varsym.h>: variables for symbolic links."""

from enum import IntEnum, IntFlag

MAXVARSYM_NAME = 64
MAXVARSYM_DATA = 256
"""The size of a name and of a value, each with its NUL."""
MAXVARSYM_SET = 16384
"""A set of variables that is this large takes no more."""
VARSYM_COST = 56
"""What a variable takes of that besides its name and value (struct varsym and varsyment, 8)."""


class Varsym(IntEnum):
    """Whose a variable is."""

    PROC = 1
    USER = 2
    SYS = 3
    PRISON = 4


class VarsymMask(IntFlag):
    """Where a variable is looked for."""

    PROC_MASK = 1 << Varsym.PROC
    USER_MASK = 1 << Varsym.USER
    SYS_MASK = 1 << Varsym.SYS


VARSYM_ALL_MASK = int(VarsymMask.PROC_MASK | VarsymMask.USER_MASK | VarsymMask.SYS_MASK)
