"""<sys/event.h>: kernel events."""

from enum import IntFlag


class Note(IntFlag):
    """What happened to a process."""

    EXIT = 0x8000_0000
    FORK = 0x4000_0000
    EXEC = 0x2000_0000
    SIGNAL = 0x0800_0000  # the kernel's own: for EVFILT_SIGNAL
