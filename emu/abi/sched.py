"""<sys/sched.h>: the scheduling policies of POSIX."""

from enum import IntEnum


class SchedPolicy(IntEnum):
    FIFO = 1
    OTHER = 2
    RR = 3
