"""<sys/signal.h>: signal numbers, codes and default actions."""

from enum import Enum, IntEnum, IntFlag

SIG_DFL = 0
SIG_IGN = 1
SIG_MAX = 128
"""Signals are numbered from 1 to this."""
SIGSET_SIZE = 16
"""Bytes of a sigset_t: bit N-1 stands for signal N."""


class Signal(IntEnum):
    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    EMT = 7
    FPE = 8
    KILL = 9
    BUS = 10
    SEGV = 11
    SYS = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    URG = 16
    STOP = 17
    TSTP = 18
    CONT = 19
    CHLD = 20
    TTIN = 21
    TTOU = 22
    IO = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    INFO = 29
    USR1 = 30
    USR2 = 31
    THR = 32
    CKPT = 33
    CKPTEXIT = 34


class Action(Enum):
    TERMINATE = "terminated"
    CORE = "terminated with a core image"
    STOP = "stopped"
    IGNORE = "ignored"
    CHECKPOINT = "saved to a file, which is not done here"


def default_action(signal: int) -> Action:
    """Return what the original does when nobody catches `signal` (kern_sig.c:140).

    Its table ends at 63; what has no entry there ends the process.
    """
    return _DEFAULTS.get(signal, Action.IGNORE if signal < _NSIG else Action.TERMINATE)


_NSIG = 64


_DEFAULTS: dict[int, Action] = {
    **dict.fromkeys(
        (
            Signal.HUP,
            Signal.INT,
            Signal.KILL,
            Signal.PIPE,
            Signal.ALRM,
            Signal.TERM,
            Signal.XCPU,
            Signal.XFSZ,
            Signal.VTALRM,
            Signal.PROF,
            Signal.USR1,
            Signal.USR2,
        ),
        Action.TERMINATE,
    ),
    **dict.fromkeys(
        (
            Signal.QUIT,
            Signal.ILL,
            Signal.TRAP,
            Signal.ABRT,
            Signal.EMT,
            Signal.FPE,
            Signal.BUS,
            Signal.SEGV,
            Signal.SYS,
        ),
        Action.CORE,
    ),
    **dict.fromkeys((Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU), Action.STOP),
    # In spite of its name and its entry in the original's table, the second does not end anybody.
    **dict.fromkeys((Signal.CKPT, Signal.CKPTEXIT), Action.CHECKPOINT),
}


class SaFlag(IntFlag):
    """sa_flags."""

    ONSTACK = 0x0001
    RESTART = 0x0002
    RESETHAND = 0x0004
    NOCLDSTOP = 0x0008
    NODEFER = 0x0010
    NOCLDWAIT = 0x0020
    SIGINFO = 0x0040
    MAILBOX = 0x1000


class SsFlag(IntFlag):
    """ss_flags of a stack_t."""

    ONSTACK = 1
    DISABLE = 4


class SigHow(IntEnum):
    """How sigprocmask(2) changes the mask."""

    BLOCK = 1
    UNBLOCK = 2
    SETMASK = 3


class IllCode(IntEnum):
    ILLOPC = 1
    ILLOPN = 2
    ILLADR = 3
    ILLTRP = 4
    PRVOPC = 5
    PRVREG = 6
    COPROC = 7
    BADSTK = 8


class FpeCode(IntEnum):
    NONE = 0
    INTOVF = 1
    INTDIV = 2
    FLTDIV = 3
    FLTOVF = 4
    FLTUND = 5
    FLTRES = 6
    FLTINV = 7
    FLTSUB = 8


class SegvCode(IntEnum):
    MAPERR = 1
    ACCERR = 2


class BusCode(IntEnum):
    ADRALN = 1
    ADRERR = 2
    OBJERR = 3


class TrapCode(IntEnum):
    BRKPT = 1
    TRACE = 2
