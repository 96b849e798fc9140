"""Kernel event queues (sys/kern/kern_event.c).

A knote watches one thing for one kqueue.  It is *active* from when its event has happened until
that is told or found to be over; active knotes that are not disabled wait in line.  What happens
inside the emulator comes from notify() of a file or a process; what happens at a descriptor of
the host comes from emu.kern.edges, so that a knote which has told its event is woken by news
alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.event import NOTE_PCTRLMASK, Ev, Evfilt, Note
from emu.abi.fcntl import Mode
from emu.abi.structs import KEVENT_SIZE, Kevent, Stat
from emu.abi.wait import exit_code
from emu.kern.clock import TICK_NS
from emu.kern.edges import Edge
from emu.kern.file import File, FileTable, Node, Readiness
from emu.kern.proc import Kernel, Proc
from emu.kern.sched import READABLE, WRITABLE, Callout, Sleep
from emu.kern.uio import Uio

MAX_KNOTES = 1 << 18
"""How many knotes all kqueues may have.  They cost the host memory that is no frame."""
MAX_TIMERS = 4096
"""How many of them may be timers (kern.kq_calloutmax)."""
_MS = 1_000_000

# Plain integers: the operators of an IntFlag are a hundred times slower.
_ADD, _DELETE, _ENABLE, _DISABLE = int(Ev.ADD), int(Ev.DELETE), int(Ev.ENABLE), int(Ev.DISABLE)
_ONESHOT, _CLEAR, _FLAG1 = int(Ev.ONESHOT), int(Ev.CLEAR), int(Ev.FLAG1)
_EOF, _NODATA = int(Ev.EOF), int(Ev.NODATA)


class Knote(ABC):
    """What a kqueue watches (struct knote).  There is a subclass for each kind of filter."""

    __slots__ = (
        "active",
        "data",
        "disabled",
        "fflags",
        "filter",
        "flags",
        "ident",
        "kqueue",
        "queued",
        "sdata",
        "sfflags",
        "udata",
    )

    def __init__(self, kqueue: "Kqueue", change: Kevent) -> None:
        self.kqueue = kqueue
        self.ident = change.ident
        self.filter = change.filter
        self.flags = change.flags
        self.udata = change.udata
        self.fflags = 0
        self.data = 0
        """What has happened, as it will be told."""
        self.sfflags = change.fflags
        self.sdata = change.data
        """What was asked for."""
        self.active = False
        self.queued = False
        self.disabled = False

    @abstractmethod
    def attach(self, proc: Proc) -> None:
        """Begin to watch.  KernelError if there is nothing to watch; then nothing is left."""

    @abstractmethod
    def detach(self) -> None:
        """Watch no more."""

    def event(self, note: int = 0, data: int = 0) -> bool:
        """Take in what happened, if anything new did; return whether there is a thing to tell."""
        return self.data != 0

    def notify(self, note: int = 0, data: int = 0) -> None:
        """Something happened to what is watched."""
        if self.event(note, data):
            self.kqueue.activate(self)

    def descriptor_closed(self, table: FileTable, fd: int) -> None:
        """The descriptor `fd` of `table`, which is watched or an equal of that, is closed."""
        if self.ident == fd and self.kqueue.table is table:
            self.kqueue.remove(self)

    def kevent(self) -> Kevent:
        return Kevent(self.ident, self.filter, self.flags, self.fflags, self.data, self.udata)


class FileKnote(Knote):
    """EVFILT_READ, EVFILT_WRITE and EVFILT_VNODE."""

    __slots__ = ("_edge", "_file")

    def attach(self, proc: Proc) -> None:
        kernel = self.kqueue.kernel
        self._file = self.kqueue.table.get(self.ident)
        node = self._file.node
        if self.filter not in node.filters:
            raise KernelError(Errno.EOPNOTSUPP, f"filter {self.filter} on this kind of file")
        self._edge: Edge = kernel.edges.watch(self._sleep(node), self.notify)
        self._file.knotes.append(self)
        node.watchers = (*node.watchers, self.notify)

    def detach(self) -> None:
        node = self._file.node
        node.watchers = tuple(each for each in node.watchers if each != self.notify)
        self._file.knotes.remove(self)
        self._edge.cancel()

    def event(self, note: int = 0, data: int = 0) -> bool:
        node = self._file.node
        if self.filter == Evfilt.VNODE:
            self.fflags |= note & self.sfflags
            return self.fflags != 0
        reading = self.filter == Evfilt.READ
        found = node.input(self._file.offset) if reading else node.output()
        self.data = found.data
        if found.ended:
            self.flags |= _EOF if found.data and reading else _EOF | _NODATA
        return found.ready

    def _sleep(self, node: Node) -> Sleep:
        match self.filter:
            case Evfilt.READ:
                return node.news(READABLE)
            case Evfilt.WRITE:
                return node.news(WRITABLE)
        return Sleep()


class ProcKnote(Knote):
    """EVFILT_PROC: a process forks, executes, exits."""

    __slots__ = ("_proc",)

    def attach(self, proc: Proc) -> None:
        target = self.kqueue.kernel.procs.get(self.ident)
        if target is None or not (target.alive or self.sfflags & Note.EXIT):
            raise KernelError(Errno.ESRCH, f"no process {self.ident}")
        self._proc: Proc | None = target
        self.flags |= _CLEAR
        if self.flags & _FLAG1:
            self.flags &= ~_FLAG1
            self.data = self.sdata
            self.fflags = int(Note.CHILD)
        target.watchers.append(self.notify)
        if not target.alive:
            status = exit_code(target.exit_status or 0, target.killed_by or 0)
            self.notify(Note.EXIT, status)

    def detach(self) -> None:
        if self._proc is not None:
            self._proc.watchers.remove(self.notify)
            self._proc = None

    def event(self, note: int = 0, data: int = 0) -> bool:
        event = note & NOTE_PCTRLMASK
        self.fflags |= event & self.sfflags
        if event == Note.EXIT:
            self.detach()
            self.data = data
            self.flags |= _EOF | _NODATA | _ONESHOT
            return True
        if event == Note.FORK and self.sfflags & Note.TRACK:
            self._track(data)
        return self.fflags != 0

    def _track(self, pid: int) -> None:
        """Watch a child too, and tell so at once."""
        flags = self.flags | _ADD | _ENABLE | _FLAG1
        child = Kevent(pid, self.filter, flags, self.sfflags, self.ident, self.udata)
        assert self._proc is not None
        try:
            self.kqueue.register(self._proc, child)
        except KernelError:
            self.fflags |= Note.TRACKERR


class SignalKnote(Knote):
    """EVFILT_SIGNAL: how often the process that asks got a signal, even if it ignores it."""

    __slots__ = ("_proc",)

    def attach(self, proc: Proc) -> None:
        self._proc = proc
        self.flags |= _CLEAR
        proc.watchers.append(self.notify)

    def detach(self) -> None:
        self._proc.watchers.remove(self.notify)

    def event(self, note: int = 0, data: int = 0) -> bool:
        if note == Note.SIGNAL and data == self.ident:
            self.data += 1
        return self.data != 0


class TimerKnote(Knote):
    """EVFILT_TIMER: how often some milliseconds have passed.  Never early."""

    __slots__ = ("_callout",)

    def attach(self, proc: Proc) -> None:
        kernel = self.kqueue.kernel
        if kernel.event_timers >= MAX_TIMERS:
            raise KernelError(Errno.ENOMEM, f"more than {MAX_TIMERS} timers")
        kernel.event_timers += 1
        self.flags |= _CLEAR
        self._arm(kernel.clock.monotonic_ns() + self._period)

    def detach(self) -> None:
        self._callout.cancel()
        self.kqueue.kernel.event_timers -= 1

    @property
    def _period(self) -> int:
        return self.sdata * _MS if self.sdata > 0 else TICK_NS

    def _arm(self, deadline: int) -> None:
        sched = self.kqueue.kernel.sched
        self._callout: Callout = sched.callout(deadline, lambda: self._expire(deadline))

    def _expire(self, deadline: int) -> None:
        if self.flags & _ONESHOT:
            self.data += 1
        else:
            late = self.kqueue.kernel.clock.monotonic_ns() - deadline
            count = 1 + late // self._period
            self.data += count
            self._arm(deadline + count * self._period)
        self.kqueue.activate(self)


class AioKnote(Knote):
    """EVFILT_AIO: the original is built without asynchronous input and output."""

    __slots__ = ()

    def attach(self, proc: Proc) -> None:
        raise KernelError(Errno.ENXIO, "no asynchronous input and output")

    def detach(self) -> None:
        """It never is attached."""


_KINDS: Mapping[int, Callable[["Kqueue", Kevent], Knote]] = {
    Evfilt.READ: FileKnote,
    Evfilt.WRITE: FileKnote,
    Evfilt.AIO: AioKnote,
    Evfilt.VNODE: FileKnote,
    Evfilt.PROC: ProcKnote,
    Evfilt.SIGNAL: SignalKnote,
    Evfilt.TIMER: TimerKnote,
    Evfilt.EXCEPT: FileKnote,
}


class Kqueue(Node):
    """A queue of events (struct kqueue), with the descriptor table that its knotes mean."""

    signals = True
    inherited = False
    takes_uio = True  # and refuses it: what can_read() says is for other kqueues
    filters = frozenset((Evfilt.READ,))

    def __init__(self, kernel: Kernel, table: FileTable) -> None:
        self.kernel = kernel
        self.table = table
        self._knotes: dict[tuple[int, int], Knote] = {}
        self._pending: dict[Knote, None] = {}

    @property
    def count(self) -> int:
        """How many knotes wait in line."""
        return len(self._pending)

    def read_uio(self, uio: Uio, wait: bool) -> NoReturn:
        raise KernelError(Errno.ENXIO, "a kqueue is not read")

    def write_uio(self, uio: Uio, wait: bool) -> NoReturn:
        raise KernelError(Errno.ENXIO, "a kqueue is not written")

    def register(self, proc: Proc, change: Kevent) -> None:
        """Carry out one change, for `proc` (kqueue_register).  A refused one leaves no trace.

        What an EV_ADD asks for is taken out of `change`, which an error is then told with.
        """
        kind = _KINDS.get(change.filter)
        if kind is None:
            raise KernelError(Errno.EINVAL, f"there is no filter {change.filter}")
        if kind is FileKnote:
            self.table.get(change.ident)
        key = (change.filter, change.ident)
        knote = self._knotes.get(key)
        if knote is None and not change.flags & _ADD:
            raise KernelError(Errno.ENOENT, "nothing like that is watched")
        if change.flags & _ADD:
            if knote is None:
                knote = self._add(proc, kind, change)
            else:
                knote.sfflags, knote.sdata = change.fflags, change.data
                knote.udata = change.udata
            if knote.event():
                self.activate(knote)
        assert knote is not None
        if change.flags & _DELETE and not change.flags & _ADD:
            self.remove(knote)
            return
        if change.flags & _DISABLE:
            knote.disabled = True
        if change.flags & _ENABLE and knote.disabled:
            knote.disabled = False
            if knote.active and not knote.queued:
                self._enqueue(knote)

    def _add(self, proc: Proc, kind: Callable[["Kqueue", Kevent], Knote], change: Kevent) -> Knote:
        if self.kernel.knotes >= MAX_KNOTES:
            raise KernelError(Errno.ENOMEM, f"more than {MAX_KNOTES} knotes")
        knote = kind(self, change)
        change.fflags = change.data = 0
        knote.attach(proc)
        self._knotes[change.filter, change.ident] = knote
        self.kernel.knotes += 1
        return knote

    def remove(self, knote: Knote) -> None:
        """Forget a knote (knote_drop)."""
        knote.detach()
        del self._knotes[knote.filter, knote.ident]
        self.kernel.knotes -= 1
        self._pending.pop(knote, None)

    def activate(self, knote: Knote) -> None:
        """There is something to tell of `knote`."""
        knote.active = True
        if not knote.queued and not knote.disabled:
            self._enqueue(knote)

    def _enqueue(self, knote: Knote) -> None:
        knote.queued = True
        self._pending[knote] = None
        if self.count == 1:
            self.kernel.sched.wakeup((self, "first"))
        self.kernel.sched.wakeup(self)

    def scan(self, limit: int) -> list[Kevent]:
        """Take up to `limit` events (kqueue_scan).  Each knote in line is looked at once.

        One without EV_CLEAR or EV_ONESHOT goes to the end of the line.
        """
        found: list[Kevent] = []
        for knote in list(self._pending):
            if len(found) >= limit:
                break
            del self._pending[knote]
            if knote.disabled:
                knote.queued = False
            elif not knote.flags & _ONESHOT and not knote.event():
                knote.queued = knote.active = False
            else:
                found.append(knote.kevent())
                if knote.flags & _ONESHOT:
                    self.remove(knote)
                elif knote.flags & _CLEAR:
                    knote.data = knote.fflags = 0
                    knote.queued = knote.active = False
                else:
                    self._pending[knote] = None
        return found

    def can_read(self) -> bool:
        return bool(self._pending)

    def until_readable(self) -> Sleep:
        return Sleep((self,))

    def until_signal(self) -> Sleep:
        return Sleep(((self, "first"),))

    def input(self, offset: int) -> Readiness:
        return Readiness(bool(self._pending), self.count)

    def stat(self) -> Stat:
        return Stat(st_size=self.count, st_mode=Mode.FIFO, st_blksize=KEVENT_SIZE)

    def close(self, file: File) -> None:
        for knote in list(self._knotes.values()):
            self.remove(knote)
