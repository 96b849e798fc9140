"""Which LWP has the CPU and what the others wait for (kern_synch.c, kern_timeout.c, usched_bsd4.c).

There is one CPU.  LWPs that are ready share it round robin; the others sleep on channels (any
hashable object that wakeup() is then given), on descriptors of the host, or until a deadline.
Kernel code is never interrupted: it gives up the CPU only where it sleeps, so a check and the
sleep that follows it are one step.

A system call that may sleep is a generator.  It yields a Sleep and goes on when that is over:

    while not ready():
        yield Sleep((channel,), deadline)

The value of the yield is False if the deadline passed, else True; as in the original a sleep may
end for no reason, so callers look again.  If a signal breaks the sleep, KernelError(EINTR) or
Restart is raised at the yield.
"""

import heapq
import select
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from emu.kern.bell import Bell
from emu.kern.clock import Clock

if TYPE_CHECKING:
    from emu.kern.proc import Lwp

SLICE_NS = 10_000_000
"""How long an LWP keeps the CPU while others are ready."""

_FEW_CALLOUTS = 256
"""The heap is searched for cancelled ones when it is twice what it was after the last search, and
larger than this."""

READABLE = select.POLLIN
WRITABLE = select.POLLOUT

T = TypeVar("T")


class Restart(Exception):
    """A signal broke the sleep and its handler wants the system call made again (ERESTART)."""


@dataclass(slots=True, eq=False)
class Sleep:
    """What an LWP waits for: the first of these to happen ends the sleep."""

    channels: tuple[Hashable, ...] = ()
    deadline: int | None = None
    """Nanoseconds of the monotonic clock."""
    fds: tuple[tuple[int, int], ...] = ()
    """Descriptors of the host, each with the poll events that end the sleep."""
    interruptible: bool = True
    """May a signal break it? (PCATCH)"""
    begun: bool = field(init=False, default=False)
    timed_out: bool = field(init=False, default=False)
    broken: bool = field(init=False, default=False)
    """A signal has come while the process was stopped."""
    _callout: "Callout | None" = field(init=False, default=None)
    _watches: "list[Watch]" = field(init=False, default_factory=list)


Blocking = Generator[Sleep, bool, T]
"""A system call, or a part of one, that may sleep and then returns T."""


class LwpState(Enum):
    RUNNING = "has the CPU"
    READY = "wants the CPU"
    SLEEPING = "waits in a system call"
    STOPPED = "its process is stopped; else it would be ready"
    GONE = "has exited"


class Callout:
    """Something to be done at a time.  A cancelled one stays in the heap for a while."""

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: int, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Watch:
    """Something to be done when a descriptor of the host becomes ready, and each time it is."""

    __slots__ = ("action", "events", "fd")

    def __init__(self, fd: int, events: int, action: Callable[[], None]) -> None:
        self.fd = fd
        self.events = events
        self.action = action


class Scheduler:
    """The run queue, the sleep queues, the callouts and the descriptors that are waited for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.current: Lwp | None = None
        """Whose registers are in the engine.  It need not be running any more."""
        self.attention = False
        """Something happened that must be looked at before the engine goes on."""
        self.yielded = False
        """The current LWP gives way to the next one that is ready."""
        self.switches = 0
        """How often the CPU went from one LWP to another."""
        self.wakeups = 0
        """How often a sleep was over, for whatever reason."""
        self.idle_ns = 0
        """How long nobody wanted the CPU."""
        self._ready: deque[Lwp] = deque()
        self._sleeping: dict[Hashable, dict[Lwp, None]] = {}
        self._listeners: dict[Hashable, list[Callable[[], None]]] = {}
        self._news: deque[Callable[[], None]] = deque()
        self._telling = False
        self._heap: list[tuple[int, int, Callout]] = []
        self._crowded = _FEW_CALLOUTS
        self._order = count()
        self._watches: dict[int, list[Watch]] = {}
        self._slice_end: int | None = None  # counted only while others are ready
        self._charged_until = clock.monotonic_ns()
        self._poll = select.poll()
        self._bell = Bell()
        self._poll.register(self._bell, select.POLLIN)

    def close(self) -> None:
        """Let go of the host."""
        self._bell.close()

    # The CPU

    @property
    def runnable(self) -> int:
        """How many LWPs have the CPU or wait for it."""
        running = self.current is not None and self.current.state is LwpState.RUNNING
        return len(self._ready) + running

    def charge(self) -> None:
        """Charge the time since the last call to the process that has had the CPU since."""
        now = self.clock.monotonic_ns()
        if self.current is not None:
            self.current.proc.usage.user_ns += now - self._charged_until
        self._charged_until = now

    def choose(self) -> "Lwp | None":
        """Return the LWP that has the CPU now, or None if there is none that could.

        The current one keeps it for its slice.
        """
        current = self.current
        if current is not None and current.state is LwpState.RUNNING:
            if not self._ready:
                self.yielded = False
                self._slice_end = None
                return current
            now = self.clock.monotonic_ns()
            if self._slice_end is None:
                self._slice_end = now + SLICE_NS
            if not self.yielded and now < self._slice_end:
                return current
            current.state = LwpState.READY
            current.proc.usage.involuntary_switches += 1
            self._ready.append(current)
        self.yielded = False
        if not self._ready:
            return None
        chosen = self._ready.popleft()
        chosen.state = LwpState.RUNNING
        if chosen is not current:
            if current is not None:
                current.switch_out()
            chosen.switch_in()
            self.current = chosen
            self.switches += 1
        self._slice_end = None
        if self._ready:
            self._slice_end = self.clock.monotonic_ns() + SLICE_NS
        return chosen

    def add(self, lwp: "Lwp") -> None:
        """Let `lwp`, which was not known, have the CPU in its turn."""
        lwp.state = LwpState.STOPPED
        self.set_runnable(lwp)

    def set_runnable(self, lwp: "Lwp") -> None:
        """Let a sleeping or stopped LWP go on, unless its process is stopped."""
        if lwp.state is LwpState.SLEEPING:
            self._end_sleep(lwp)
            self.wakeups += 1
        elif lwp.state is not LwpState.STOPPED:
            return
        self.attention = True
        if lwp.proc.stopped:
            lwp.state = LwpState.STOPPED
        else:
            lwp.state = LwpState.READY
            self._ready.append(lwp)

    def suspend(self, lwp: "Lwp") -> None:
        """Take the CPU from an LWP whose process is stopped.  A sleeping one sleeps on."""
        if lwp.state is LwpState.READY:
            self._ready.remove(lwp)
        elif lwp.state is not LwpState.RUNNING:
            return
        lwp.state = LwpState.STOPPED
        self.attention = True

    def remove(self, lwp: "Lwp") -> None:
        """`lwp` exits."""
        if lwp.state is LwpState.READY:
            self._ready.remove(lwp)
        elif lwp.state is LwpState.SLEEPING:
            self._end_sleep(lwp)
        lwp.state = LwpState.GONE
        if self.current is lwp:
            self.charge()
            self.current = None
        self.attention = True

    def give_way(self) -> None:
        """Let the next LWP run before the current one goes on (sched_yield)."""
        self.yielded = self.attention = True

    # Sleeping

    def sleep(self, lwp: "Lwp", sleep: Sleep) -> None:
        """Put the running `lwp` to sleep."""
        assert lwp.state in (LwpState.RUNNING, LwpState.STOPPED)
        lwp.state = LwpState.SLEEPING
        lwp.sleep = sleep
        lwp.proc.usage.voluntary_switches += 1
        self.attention = True
        for channel in sleep.channels:
            self._sleeping.setdefault(channel, {})[lwp] = None
        if sleep.deadline is not None:
            sleep._callout = self.callout(sleep.deadline, lambda: self._time_out(lwp, sleep))
        for fd, events in sleep.fds:
            sleep._watches.append(self.watch(fd, events, lambda: self.set_runnable(lwp)))

    def wakeup(self, channel: Hashable, limit: int | None = None) -> int:
        """End the sleep of those who wait on `channel`, longest first; return how many did."""
        waiting = list(self._sleeping.get(channel, ()))[:limit]
        for lwp in waiting:
            self.set_runnable(lwp)
        if self._listeners:
            self._tell(self._listeners.get(channel, ()))
        return len(waiting)

    def _tell(self, listeners: Iterable[Callable[[], None]]) -> None:
        self._news.extend(listeners)
        if self._telling:
            return  # a listener wakes up others, as a kqueue in a kqueue does: not recursively
        self._telling = True
        try:
            while self._news:
                self._news.popleft()()
        finally:
            self._telling = False

    def listen(self, channel: Hashable, action: Callable[[], None]) -> None:
        """Have `action` done at each wakeup() of `channel`, without anybody asleep."""
        self._listeners.setdefault(channel, []).append(action)

    def unlisten(self, channel: Hashable, action: Callable[[], None]) -> None:
        listeners = self._listeners[channel]
        listeners.remove(action)
        if not listeners:
            del self._listeners[channel]

    def _time_out(self, lwp: "Lwp", sleep: Sleep) -> None:
        sleep.timed_out = True
        self.set_runnable(lwp)

    def _end_sleep(self, lwp: "Lwp") -> None:
        sleep = lwp.sleep
        assert sleep is not None
        for channel in sleep.channels:
            waiting = self._sleeping.get(channel)
            if waiting is not None:
                waiting.pop(lwp, None)
                if not waiting:
                    del self._sleeping[channel]
        if sleep._callout is not None:
            sleep._callout.cancel()
        for watch in sleep._watches:
            self.unwatch(watch)
        sleep._watches.clear()

    # Time

    def callout(self, deadline: int, action: Callable[[], None]) -> Callout:
        """Have `action` done once the monotonic clock is at `deadline`."""
        callout = Callout(deadline, action)
        heap = self._heap
        heapq.heappush(heap, (deadline, next(self._order), callout))
        if len(heap) > self._crowded:
            heap[:] = [entry for entry in heap if entry[2].action is not None]
            heapq.heapify(heap)
            self._crowded = max(2 * len(heap), _FEW_CALLOUTS)
        self.attention = True
        return callout

    def next_callout(self) -> int | None:
        """Return the deadline of the next callout."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_callouts(self) -> None:
        """Do what is due."""
        heap = self._heap
        if not heap:
            return
        now = self.clock.monotonic_ns()
        while heap and heap[0][0] <= now:
            callout = heapq.heappop(heap)[2]
            action, callout.action = callout.action, None
            if action is not None:
                action()

    def interruption(self) -> int | None:
        """Return when the engine must come back at the latest.

        That is for a callout, the end of a slice, or a timer that counts CPU time.
        """
        deadline, end, current = self.next_callout(), self._slice_end, self.current
        if deadline is None or (end is not None and end < deadline):
            deadline = end
        if current is not None and current.proc.cpu_due is not None:
            left = current.proc.cpu_due - current.proc.usage.user_ns
            end = self._charged_until + left
            if deadline is None or end < deadline:
                deadline = end
        return deadline

    # Descriptors of the host

    def watch(self, fd: int, events: int, action: Callable[[], None]) -> Watch:
        """Have `action` done whenever `fd` is found to be ready for `events`, or broken."""
        watch = Watch(fd, events, action)
        self._watches.setdefault(fd, []).append(watch)
        self._register(fd)
        self.attention = True
        return watch

    def unwatch(self, watch: Watch) -> None:
        watches = self._watches[watch.fd]
        watches.remove(watch)
        if watches:
            self._register(watch.fd)
        else:
            del self._watches[watch.fd]
            self._poll.unregister(watch.fd)

    @property
    def watched(self) -> dict[int, int]:
        """The descriptors that are waited for, with the poll events."""
        return {fd: self._events(fd) for fd in self._watches}

    def poll(self) -> bool:
        """Do what descriptors that are ready ask for; return whether there were any."""
        return bool(self._watches) and self._act(self._poll.poll(0))

    def idle(self) -> None:
        """Nobody wants the CPU: sleep in the host until something happens.

        With a virtual clock the time until the next callout passes at once.
        """
        deadline = self.next_callout()
        self.charge()
        ready = self._poll.poll(self.clock.patience(deadline))
        if not ready and deadline is not None:
            self.clock.skip_to(deadline)
        now = self.clock.monotonic_ns()
        self.idle_ns += now - self._charged_until
        self._charged_until = now
        self._act(ready)

    def wake(self) -> None:
        """End idle(), now or the next time.  Any thread may call it, even too late."""
        self._bell.ring()

    def _act(self, ready: list[tuple[int, int]]) -> bool:
        found = False
        for fd, events in ready:
            if fd == self._bell.fileno():
                self._bell.answer()
            for watch in list(self._watches.get(fd, ())):
                # Hang-up and errors are reported whatever was asked for, and end every wait.
                if events & (watch.events | ~(READABLE | WRITABLE)):
                    found = True
                    watch.action()
        return found

    def _register(self, fd: int) -> None:
        self._poll.register(fd, self._events(fd))

    def _events(self, fd: int) -> int:
        events = 0
        for watch in self._watches[fd]:
            events |= watch.events
        return events
