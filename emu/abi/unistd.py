"""<sys/unistd.h>: how extexit(2) ends what."""

from enum import IntEnum


class ExtExit(IntEnum):
    """Low half of `how`."""

    SIMPLE = 0
    SETINT = 1


class ExtExitWho(IntEnum):
    """High half of `how`."""

    PROC = 0
    LWP = 0x10000
