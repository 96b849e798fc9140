"""The machine: one loop around the engine, and the thread that listens to the world outside."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from select import select
from types import FrameType, TracebackType
from typing import Any

from emu import trap
from emu.abi.signal import Action, Signal, default_action
from emu.cpu.engine import Exit
from emu.kern.alarm import Alarm
from emu.kern.bell import Bell
from emu.kern.clock import BLOCK_NS, VirtualClock
from emu.kern.exit import lwp_exit, release
from emu.kern.proc import Lwp, Proc
from emu.kern.sched import SLICE_NS, LwpState
from emu.kern.sendsig import userret
from emu.kern.sigacts import bit
from emu.kern.signal import pgsignal
from emu.kern.tty import Tty

MOST_BLOCKS = 1 << 30
"""What the virtual clock's block counter starts from if nothing is due before."""

FIRST_BLOCKS = 20_000
"""How many blocks an LWP may run, a fraction of a millisecond, before the alarm is set for it.

Most give up the CPU earlier, and the alarm costs two switches between threads of the host.
"""

STATUS_SIGNAL = 128
STATUS_TIMEOUT = 124


class Machine:
    """One process and what it makes of itself, run to its end."""

    def __init__(self, lwp: Lwp) -> None:
        self.lwp = lwp
        """The first thread of the first process."""
        self.handle: Callable[[Lwp, Exit], None] = trap.handle
        """Called for every way out of the engine.  Observers put themselves around it."""
        self.resume: Callable[[Lwp], None] = trap.resume
        """Called for every LWP whose sleep in a system call is over.  Likewise."""
        self.stopped: int | None = None
        """The exit status with which the run is being ended from outside."""
        self.running = False
        self.over = False
        """The run has ended: nothing from outside matters any more."""
        self.suspend: Callable[[], None] | None = None
        """Stop the emulator until it is continued: its first process has stopped."""
        self._proc = lwp.proc
        self.kernel = lwp.proc.kernel
        self._sched = lwp.proc.kernel.sched
        self._torn = False  # the kernel was broken off in the middle of something
        self._signals: deque[tuple[Signal, float]] = deque()  # with the time of each
        self._impatience = Impatience()
        self._alarm = Alarm(lwp.cpu.kick)
        self._poll_due = False
        self._due: int | None = None  # when something is due that only the clock tells of
        self._ran_long = False  # the first blocks are used up
        self._look_at: int | None = None  # when to look at descriptors, if nothing tells of them

    @property
    def terminal(self) -> Tty | None:
        """The first process's controlling terminal."""
        return self._proc.pgrp.session.tty

    def run(self) -> int:
        """Run until the first process ends or stop() is called; return the exit status."""
        clock, engine, proc = self.kernel.clock, self.lwp.cpu, self._proc
        if isinstance(clock, VirtualClock):
            engine.budget = 0
            engine.tsc = clock.read_tsc
        self._sched.attention = True
        self.running = True
        try:
            try:
                self._loop()
            finally:
                self.running, self.over = False, True
        except KeyboardInterrupt:
            if self.stopped is None:
                raise
            self._torn = True
        finally:
            if self.terminal is not None:
                self.terminal.restore()  # before anything is said about the run
        if proc.exit_status is not None:
            return proc.exit_status
        if proc.killed_by is not None:
            return STATUS_SIGNAL + proc.killed_by
        assert self.stopped is not None
        return self.stopped

    def _loop(self) -> None:
        sched, engine, clock = self._sched, self.lwp.cpu, self.kernel.clock
        virtual = isinstance(clock, VirtualClock)
        seen = engine.blocks
        run, interrupted = engine.run, Exit.INTERRUPTED
        while (lwp := self._next()) is not None:
            handle, due = self.handle, self._due
            while True:
                reason = run(lwp.vmspace.pmap.cr3)
                if virtual:
                    if (blocks := engine.blocks) != seen:
                        clock.charge_blocks(blocks - seen)
                        seen = blocks
                    if reason is not interrupted:
                        clock.charge_call()
                if reason is interrupted:
                    self._poll_due = self._ran_long = True
                    break
                handle(lwp, reason)
                if sched.attention:
                    break
                if due is not None and clock.monotonic_ns() >= due:
                    self._poll_due = True
                    break

    def _next(self) -> Lwp | None:
        """Do what is due, and return the LWP whose program runs next; None at the end."""
        sched, proc = self._sched, self._proc
        sched.charge()
        current = sched.current
        if current is not None and current.proc.cpu_due is not None:
            current.proc.run_cpu_callouts()
        while True:
            sched.attention = False
            if self._signals:
                self._take_signals()
            sched.run_callouts()
            if self._poll_due or self._look_is_due():
                self._poll_due, self._look_at = False, None
                sched.poll()
            if self.stopped is not None or not proc.alive:
                return None
            if proc.stopped and self.suspend is not None:
                self.suspend()
                pgsignal(self.kernel.in_group(proc.pgrp.id), Signal.CONT)
                continue
            lwp = sched.choose()
            if lwp is None:
                sched.idle()
                continue
            if lwp.call is not None:
                self.resume(lwp)
            if lwp.state is LwpState.RUNNING:
                userret(lwp)
            if not sched.attention and lwp.state is LwpState.RUNNING:
                break
        self._set_alarm()
        return lwp

    def _look_is_due(self) -> bool:
        return self._look_at is not None and self.kernel.clock.monotonic_ns() >= self._look_at

    def _set_alarm(self) -> None:
        """Have the engine come back in time for the next thing that is due."""
        sched, clock, engine = self._sched, self.kernel.clock, self.lwp.cpu
        deadline, watched = sched.interruption(), sched.watched
        ran_long, self._ran_long = self._ran_long, False
        virtual = isinstance(clock, VirtualClock)
        if not watched:
            self._look_at = None
        if deadline is None and not watched:
            self._due = None
            engine.budget = MOST_BLOCKS if virtual else None
            if self._alarm.used:
                self._alarm.set(None, watched)
            return
        engine.arm()
        if (ran_long and not virtual) or not engine.counts:
            engine.budget = self._due = None
            self._alarm.set(deadline, watched)
            return
        now = clock.monotonic_ns()
        if watched and self._look_at is None:
            self._look_at = now + SLICE_NS  # and no later, however often the CPU changes hands
        self._due = min(moment for moment in (deadline, self._look_at) if moment is not None)
        blocks = max(-(-(self._due - now) // BLOCK_NS), 1) if virtual else FIRST_BLOCKS
        engine.budget = min(blocks, MOST_BLOCKS)

    # The world outside

    def stop(self, status: int) -> None:
        """End the run with `status`.  Any thread may call it, and again until run() returns."""
        if self.over:
            return
        if self.stopped is None:
            self.stopped = status
            self._sched.wake()
        self.lwp.cpu.kick(final=True)

    def signal(self, number: Signal) -> None:
        """Send a signal from outside to the guest.  Any thread may call it."""
        now = time.monotonic()
        if number is Signal.INT and any(
            queued is number and now - at >= PATIENCE_SECONDS for queued, at in list(self._signals)
        ):
            self.stop(STATUS_SIGNAL + number)  # it is the kernel that does not come back
            return
        self._signals.append((number, now))
        self._sched.wake()
        self.nudge()

    @property
    def deaf(self) -> bool:
        """Are there deadly signals from outside that have not been looked at?"""
        return any(_deadly(number) for number, _ in list(self._signals))

    def nudge(self) -> None:
        """Make the kernel look at the signals from outside.  Any thread may call it."""
        # Whoever could survive a deadly signal has made the engine interruptible.
        self.lwp.cpu.kick(final=self.deaf)

    def _take_signals(self) -> None:
        """Pass signals from outside on: the terminal's to the foreground, the rest to the first."""
        while self._signals:
            number, at = self._signals.popleft()
            foreground = self._proc.pgrp.session.foreground
            if number in _FROM_TERMINAL and foreground is not None:
                targets = self.kernel.in_group(foreground.id)
            else:
                targets = [self._proc]
            if number is Signal.INT and self._impatience.ends_run(
                at,
                waiting=all(_waits(proc, number) for proc in targets),
                ignored=all(proc.sigacts.ignored & bit(number) for proc in targets),
            ):
                self.stop(STATUS_SIGNAL + number)
                return
            pgsignal(targets, number)

    def close(self) -> None:
        """Let go of everything: terminal, processes, memory, files, the alarm."""
        if self.terminal is not None:
            self.terminal.restore()
        self._alarm.close()
        for proc in list(self.kernel.procs.values()):
            if self._torn:
                proc.files.drop()
                continue
            if proc.alive or proc is self._proc:
                for lwp in list(proc.lwps.values()):
                    lwp_exit(lwp)
                release(proc)
        self._sched.close()
        self.kernel.spare.close()


def _deadly(number: Signal) -> bool:
    return default_action(number) in (Action.TERMINATE, Action.CORE)


def _waits(proc: Proc, number: Signal) -> bool:
    """Has the process not taken the last signal with this number yet?"""
    pending = proc.pending
    for lwp in proc.lwps.values():
        pending |= lwp.pending
    return bool(pending & bit(number))


_FROM_TERMINAL = (Signal.INT, Signal.QUIT, Signal.TSTP, Signal.WINCH)

PATIENCE_SECONDS = 0.1
IGNORED_LIMIT = 3
IGNORED_SECONDS = 1.0


class Impatience:
    """Tells when Ctrl-C ends a run whose guest does not listen to it.

    The second one does if the first still waits, blocked or because the guest does not get to it;
    or the third within a second if the guest ignores them.  Two that come at once count as one.
    """

    def __init__(self) -> None:
        self._sent = 0.0
        self._ignored: deque[float] = deque(maxlen=IGNORED_LIMIT)

    def ends_run(self, at: float, *, waiting: bool, ignored: bool) -> bool:
        if ignored:
            self._ignored.append(at)
            return len(self._ignored) == IGNORED_LIMIT and at - self._ignored[0] <= IGNORED_SECONDS
        if waiting:
            return at - self._sent >= PATIENCE_SECONDS
        self._sent = at
        return False


class Watcher:
    """A thread that stops the machine at a deadline and passes signals to the emulator on.

    Python's own signal handlers do not run while the engine does, so the interpreter is told to
    write signal numbers to a pipe, and this thread reads them.
    """

    PASSED = tuple(
        int(getattr(signal, f"SIG{name}"))
        for name in ("INT", "QUIT", "TERM", "HUP", "WINCH", "USR1", "USR2")
        if hasattr(signal, f"SIG{name}")
    )
    RETRY_SECONDS = 0.01  # a kick just before the engine starts is lost
    RETRIES = 30  # then it is the kernel that does not come back: it copies, or waits for the host

    def __init__(
        self, machine: Machine, timeout: float | None = None, *, last: bool = False
    ) -> None:
        """`last`: nothing of importance comes after the run, so that its signals stay ignored."""
        self._machine = machine
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._last = last
        self._bell = Bell()
        self._thread = threading.Thread(target=self._watch, name="vkemu-watcher", daemon=True)
        self._done = False
        self._before: dict[int, Any] = {}
        self._fd_before = -1

    def __enter__(self) -> "Watcher":
        for number in self.PASSED:
            self._catch(number)
        self._fd_before = signal.set_wakeup_fd(self._bell.rope, warn_on_full_buffer=False)
        self._thread.start()
        machine = self._machine
        if machine.terminal is not None:
            # As long as the guest has no say in it, the host stops the emulator all by itself.
            machine.kernel.job_control = True
            machine.kernel.on_arm = lambda: self._catch(signal.SIGTSTP)
            machine.suspend = self._suspend
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done = True
        machine = self._machine
        machine.suspend = machine.kernel.on_arm = None
        machine.kernel.job_control = False
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._last else handler)
        self._bell.ring()
        self._thread.join()
        self._bell.close()

    def _catch(self, number: int) -> None:
        # What was ignored from the start stays so: nohup, jobs in the background of a script.
        if signal.getsignal(number) is not signal.SIG_IGN:
            self._before[number] = signal.signal(number, self._on_signal)

    def _suspend(self) -> None:
        """Stop the emulator as a shell expects it, with the terminal as it was found."""
        terminal = self._machine.terminal
        assert terminal is not None
        terminal.lend()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To this thread: it does not go on before the stop is over.
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        terminal.take_back()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The watcher has read the number; the next one breaks off whatever the kernel does."""
        machine = self._machine
        if machine.stopped is not None and machine.running and not self._done:
            self._done = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        retries = 0
        while not self._done:
            readable, _, _ = select([self._bell], [], [], self._patience())
            if readable:
                for number in self._bell.answer():
                    if number in self._before:
                        self._machine.signal(Signal[signal.Signals(number).name[3:]])
            elif self._machine.stopped is not None or self._overdue():
                self._machine.stop(STATUS_TIMEOUT)
                retries += 1
                if retries == self.RETRIES and self._before:
                    number = next(iter(self._before))
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
            elif self._machine.deaf:
                self._machine.nudge()

    def _overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _patience(self) -> float | None:
        """Return how long to sleep: to the deadline, or to the next try of a kick."""
        if self._machine.over:
            return None
        if self._machine.stopped is not None or self._machine.deaf:
            return self.RETRY_SECONDS
        if self._deadline is None:
            return None
        return max(self._deadline - time.monotonic(), 0.0)
