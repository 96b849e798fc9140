"""<sys/wait.h>: how wait4(2) is asked, and what the status it stores means."""

from enum import IntFlag

WAIT_ANY = -1
WAIT_MYPGRP = 0
WSTOPPED = 0x7F
WCONTINUED_STATUS = 19  # SIGCONT


class Wait(IntFlag):
    NOHANG = 1
    UNTRACED = 2
    CONTINUED = 4
    LINUXCLONE = 0x8000_0000


def exit_code(status: int, signal: int) -> int:
    """Return the status of a process that exited with `status`, or was ended by `signal`."""
    return (status & 0xFF) << 8 | signal


def stop_code(signal: int) -> int:
    """Return the status of a process stopped by `signal`."""
    return signal << 8 | WSTOPPED
