"""<sys/time.h>: which clock clock_gettime(2) is asked for, which timer setitimer(2) sets."""

from enum import IntEnum


class ClockId(IntEnum):
    REALTIME = 0
    VIRTUAL = 1
    PROF = 2
    MONOTONIC = 4


class Itimer(IntEnum):
    REAL = 0
    VIRTUAL = 1
    PROF = 2


ITIMER_LONGEST = 100_000_000
"""The most seconds that a timer can be set to."""
