"""<sys/usched.h>: what usched_set(2) is asked to do."""

from enum import IntEnum

NAME_LENGTH = 32


class UschedCmd(IntEnum):
    SET_SCHEDULER = 0
    SET_CPU = 1
    ADD_CPU = 2
    DEL_CPU = 3
    GET_CPU = 4
