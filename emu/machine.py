"""The machine: one loop around the engine, and the thread that can end it from outside."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from select import select
from types import FrameType, TracebackType
from typing import Any

from emu import trap
from emu.cpu.engine import Exit
from emu.kern.clock import Interrupted, VirtualClock
from emu.kern.proc import Lwp

SLICE_BLOCKS = 1 << 30
"""What the virtual clock's block counter starts from; it is filled up again when it runs out."""

STATUS_SIGNAL = 128
STATUS_TIMEOUT = 124


class Machine:
    """One process with one LWP, run to its end."""

    def __init__(self, lwp: Lwp) -> None:
        self.lwp = lwp
        self.handle: Callable[[Lwp, Exit], None] = trap.handle
        """Called for every way out of the engine.  Observers put themselves around it."""
        self.stopped: int | None = None
        """The exit status with which the run is being ended from outside."""
        self.running = False
        self._torn = False  # the kernel was broken off in the middle of something
        self._wake_reader, self._wake_writer = socket.socketpair()
        lwp.proc.kernel.clock.wake_fd = self._wake_reader.fileno()

    def run(self) -> int:
        """Run until the process ends or stop() is called; return the exit status."""
        lwp, engine = self.lwp, self.lwp.cpu
        proc, clock, handle = lwp.proc, lwp.proc.kernel.clock, self.handle
        if isinstance(clock, VirtualClock):
            engine.budget = SLICE_BLOCKS
            engine.tsc = clock.read_tsc
        seen = engine.blocks
        self.running = True
        try:
            while self.stopped is None and proc.exit_status is None and proc.killed_by is None:
                reason = engine.run(lwp.vmspace.pmap.cr3)
                if (blocks := engine.blocks) != seen:
                    clock.charge_blocks(blocks - seen)
                    seen = blocks
                if reason is Exit.INTERRUPTED:
                    if engine.budget is not None:
                        engine.budget = SLICE_BLOCKS
                    continue
                clock.charge_call()
                handle(lwp, reason)
        except Interrupted:
            pass
        except KeyboardInterrupt:
            if self.stopped is None:
                raise
            self._torn = True
        finally:
            self.running = False
        if proc.exit_status is not None:
            return proc.exit_status
        if proc.killed_by is not None:
            return STATUS_SIGNAL + proc.killed_by
        assert self.stopped is not None
        return self.stopped

    def stop(self, status: int) -> None:
        """End the run with `status`.  Any thread may call it, and again until run() returns."""
        if self.stopped is None:
            self.stopped = status
            self._wake_writer.send(b"!")
        self.lwp.cpu.kick(final=True)

    def close(self) -> None:
        """Let go of everything: memory, files, the wake-up sockets."""
        proc = self.lwp.proc
        if not self._torn:
            if proc.vkernel is not None:
                proc.vkernel.release()
            proc.vmspace.destroy()
        proc.files.close_all()
        self._wake_reader.close()
        self._wake_writer.close()


class Watcher:
    """A thread that stops the machine at a deadline or on a signal to the emulator.

    Python's own signal handlers do not run while the engine does, so the interpreter is told to
    write signal numbers to a socket, and this thread reads them.
    """

    ENDING = tuple(
        int(getattr(signal, name))
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if hasattr(signal, name)
    )
    RETRY_SECONDS = 0.01  # a kick just before the engine starts is lost
    RETRIES = 30  # then it is the kernel that does not come back: it copies, or writes to a pipe

    def __init__(self, machine: Machine, timeout: float | None = None) -> None:
        self._machine = machine
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._thread = threading.Thread(target=self._watch, name="vkemu-watcher", daemon=True)
        self._done = False
        self._before: dict[int, Any] = {}
        self._fd_before = -1

    def __enter__(self) -> "Watcher":
        for number in self.ENDING:
            self._before[number] = signal.signal(number, self._on_signal)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done = True
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.send(b"\0")
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The watcher has read the number; the next one breaks off whatever the kernel does."""
        machine = self._machine
        if machine.stopped is not None and machine.running and not self._done:
            self._done = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        retries = 0
        while not self._done:
            readable, _, _ = select([self._reader], [], [], self._patience())
            if readable:
                for number in self._reader.recv(64):
                    if number in self.ENDING:
                        self._machine.stop(STATUS_SIGNAL + number)
            elif not self._done:
                self._machine.stop(STATUS_TIMEOUT)
                retries += 1
                if retries == self.RETRIES:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _patience(self) -> float | None:
        """Return how long to sleep: to the deadline, or to the next try of a stop under way."""
        if self._machine.stopped is not None:
            return self.RETRY_SECONDS
        if self._deadline is None:
            return None
        return max(self._deadline - time.monotonic(), 0.0)
