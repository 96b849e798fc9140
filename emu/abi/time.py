"""<sys/time.h>: which clock clock_gettime(2) is asked for."""

from enum import IntEnum


class ClockId(IntEnum):
    REALTIME = 0
    VIRTUAL = 1
    PROF = 2
    MONOTONIC = 4
