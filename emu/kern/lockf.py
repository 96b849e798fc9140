"""Advisory locks on files (sys/kern/kern_lockf.c).

Locks of flock(2) belong to an open file and cover all of it; record locks of fcntl(2) belong to
a descriptor table, which stands for its process, and cover bytes.  As in the original both live
in one list and are in each other's way.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from emu.abi.errno import Errno, KernelError
from emu.kern.sched import Blocking, Scheduler, Sleep

LAST = (1 << 63) - 1
"""The last byte that a lock may cover: a lock to there covers whatever the file becomes."""

_OTHER_EMULATOR_NS = 10_000_000
"""How often to look again whether the host has released a lock; it tells nobody."""


class Range(NamedTuple):
    """Bytes `first` to `last`, held by `owner`."""

    owner: object
    exclusive: bool
    first: int
    last: int
    pid: int
    """The process that holds a record lock; -1 for flock(2)."""

    def overlaps(self, first: int, last: int) -> bool:
        return self.first <= last and first <= self.last


class Lockf:
    """The locks on one file (struct lockf)."""

    def __init__(self) -> None:
        self.ranges: list[Range] = []
        """By their first byte."""
        self.waiting: Counter[object] = Counter()
        """Owners who wait for a lock on this file."""
        self.released: Callable[[], object] | None = None
        """Tells those who wait that something may have become free."""

    def conflict(self, wanted: Range) -> Range | None:
        """Return a range of somebody else's that is in the way of `wanted`."""
        for held in self.ranges:
            if (
                held.owner is not wanted.owner
                and held.overlaps(wanted.first, wanted.last)
                and (held.exclusive or wanted.exclusive)
            ):
                return held
        return None

    def add(self, wanted: Range) -> None:
        """Take the lock, which nobody may be in the way of; it replaces what the owner had."""
        assert self.conflict(wanted) is None
        self._cut(wanted.owner, wanted.first, wanted.last)
        self.ranges.append(wanted)
        self.ranges.sort(key=_place)
        self._tell()

    def remove(self, owner: object, first: int = 0, last: int = LAST) -> None:
        """Give up what `owner` holds of these bytes."""
        self._cut(owner, first, last)
        self._tell()

    def _cut(self, owner: object, first: int, last: int) -> None:
        self.ranges = sorted(
            (piece for held in self.ranges for piece in _remains(held, owner, first, last)),
            key=_place,
        )

    def _tell(self) -> None:
        if self.released is not None:
            self.released()


def _place(held: Range) -> int:
    return held.first


def _remains(held: Range, owner: object, first: int, last: int) -> Iterator[Range]:
    if held.owner is not owner or not held.overlaps(first, last):
        yield held
        return
    if held.first < first:
        yield held._replace(last=first - 1)
    if held.last > last:
        yield held._replace(first=last + 1)


class Lockable(Protocol):
    """A file that can be locked."""

    @property
    def locks(self) -> Lockf: ...

    def lock_host(self, *, exclusive: bool) -> None:
        """Let other emulators see a lock.  Raise KernelError(EAGAIN) if theirs is in the way."""
        ...


def flock(
    sched: Scheduler, node: Lockable, owner: object, *, exclusive: bool, wait: bool
) -> Blocking[None]:
    """Lock the whole file for an open file.  EAGAIN if that would mean to wait and may not."""
    wanted = Range(owner, exclusive, 0, LAST, -1)
    while True:
        yield from _wait(sched, node.locks, wanted, wait)
        try:
            node.lock_host(exclusive=exclusive)
        except KernelError as refusal:
            if refusal.errno is not Errno.EAGAIN or not wait:
                raise
            yield Sleep((node.locks,), sched.clock.monotonic_ns() + _OTHER_EMULATOR_NS)
        else:
            node.locks.add(wanted)
            return


def lock_record(sched: Scheduler, locks: Lockf, wanted: Range, *, wait: bool) -> Blocking[None]:
    """Lock bytes of a file for a process.

    EAGAIN if that would mean to wait and may not, EDEADLK if whoever is in the way waits too.
    """
    yield from _wait(sched, locks, wanted, wait)
    locks.add(wanted)


def _wait(sched: Scheduler, locks: Lockf, wanted: Range, wait: bool) -> Blocking[None]:
    while (holder := locks.conflict(wanted)) is not None:
        if not wait:
            raise KernelError(Errno.EAGAIN, "somebody else holds a lock")
        if wanted.pid >= 0:
            if locks.waiting[holder.owner]:
                raise KernelError(Errno.EDEADLK, "the holder waits for a lock itself")
        elif wanted.exclusive:
            # Two holders of a shared lock who both want it exclusively must not wait for ever.
            locks.remove(wanted.owner)
        locks.released = partial(sched.wakeup, locks)
        locks.waiting[wanted.owner] += 1
        try:
            yield Sleep((locks,))
        finally:
            locks.waiting[wanted.owner] -= 1
            if not locks.waiting[wanted.owner]:
                del locks.waiting[wanted.owner]
