"""<sys/poll.h>: what poll(2) is asked and tells."""

from enum import IntFlag


class Poll(IntFlag):
    IN = 0x0001
    PRI = 0x0002
    OUT = 0x0004
    ERR = 0x0008
    HUP = 0x0010
    NVAL = 0x0020
    RDNORM = 0x0040
    RDBAND = 0x0080
    WRBAND = 0x0100


INFTIM = -1
"""A timeout that never comes."""
NFDBITS = 64
"""Descriptors in a word of an fd_set, for select(2)."""
