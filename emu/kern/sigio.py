"""SIGIO: who gets it for a file, and when (fsetown() in sys/kern/kern_descrip.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Open
from emu.abi.signal import Signal
from emu.kern.file import File
from emu.kern.proc import Kernel, Pgrp, Proc, Ucred
from emu.kern.signal import ksignal

_ASYNC = int(Open.ASYNC)


class Sigio:
    """A process or a group that owns a file (struct sigio).  One that is gone is nobody.

    It gets no signal that whoever made it the owner might not have sent.
    """

    __slots__ = ("_ucred", "_who")

    def __init__(self, who: Proc | Pgrp, ucred: Ucred) -> None:
        self._who = who
        self._ucred = ucred

    @property
    def number(self) -> int:
        """The process, the group as a negative number, or 0."""
        who = self._who
        if isinstance(who, Proc):
            return who.pid if who.alive else 0
        return -who.id if who.members else 0

    def send(self) -> None:
        who = self._who
        for proc in [who] if isinstance(who, Proc) else list(who.members):
            if self._ucred.may_handle(proc.ucred):
                ksignal(proc, Signal.IO)


def fsetown(proc: Proc, file: File, number: int) -> None:
    """Make a process, or a group if `number` is negative, the owner of `file`; 0 means nobody."""
    _check(file)
    file.sigio = Sigio(_find(proc, number), proc.ucred) if number else None
    watch_input(proc.kernel, file)


def fgetown(file: File) -> int:
    _check(file)
    return file.sigio.number if file.sigio is not None else 0


def watch_input(kernel: Kernel, file: File) -> None:
    """Look out for input as long as somebody wants SIGIO for it."""
    if file.sigio is None or not file.flags & _ASYNC:
        file.ignore_input()
    elif file.edge is None:
        file.edge = kernel.edges.watch(file.node.until_signal(), lambda: _sigio(file))


def _sigio(file: File) -> None:
    if file.sigio is not None:
        file.sigio.send()


def _check(file: File) -> None:
    if not file.node.signals:
        raise KernelError(Errno.ENOTTY, "this file sends no signals")


def _find(proc: Proc, number: int) -> Proc | Pgrp:
    kernel = proc.kernel
    who: Proc | Pgrp | None
    if number > 0:
        who = kernel.procs.get(number)
        session = who.pgrp.session if who is not None and who.alive else None
    else:
        who = kernel.pgrps.get(-number)
        session = who.session if who is not None else None
    if who is None or session is None:
        raise KernelError(Errno.ESRCH, f"no owner {number}")
    if session is not proc.pgrp.session:
        raise KernelError(Errno.EPERM, "another session")
    return who
