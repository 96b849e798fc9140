"""Counts of what happened in a run, for --stats.  An observer, like the tracer."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from emu.abi.x86 import Pgex
from emu.cpu.engine import Exit
from emu.kern.clock import VirtualClock
from emu.kern.proc import Lwp, Proc, SignalEvent, Usage
from emu.machine import Machine

MOST_PROCESSES = 32
"""How many processes have a line of their own."""

_SECOND = 1_000_000_000
_SIGNALS = {
    SignalEvent.HANDLER: "signals, to a handler",
    SignalEvent.MAILBOX: "signals, to a mailbox",
    SignalEvent.ENDS: "signals, fatal",
    SignalEvent.STOPS: "signals, stop",
    SignalEvent.CONTINUES: "signals, continue",
}


@dataclass(slots=True)
class _Account:
    """What one process did."""

    name: str
    usage: Usage
    calls: int = 0
    faults: int = 0
    signals: int = 0


class Ledger:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._accounts: dict[int, _Account] = {}
        self._began = time.monotonic()

    def attach(self, machine: Machine) -> None:
        handle, counts = machine.handle, self._counts

        def counted(lwp: Lwp, reason: Exit) -> None:
            account = self._account(lwp.proc)
            inside = lwp.inside
            err = lwp.frame.err
            before = lwp.fault, lwp.proc.usage.signals
            handle(lwp, reason)
            signalled = lwp.fault is not before[0] or lwp.proc.usage.signals != before[1]
            left = inside and not lwp.inside
            if reason is Exit.SYSCALL and not inside:
                counts["system calls"] += 1
                account.calls += 1
            elif reason is Exit.PAGE_FAULT and not left and not signalled:
                counts[f"faults resolved, {_kind(err)}"] += 1
                account.faults += 1
            elif reason is not Exit.SYSCALL:
                counts["traps reflected" if left else "traps that became signals"] += 1
            if left:
                counts["round trips"] += 1
            if left or (lwp.inside and not inside):
                counts["switches"] += 1

        machine.handle = counted
        machine.lwp.proc.kernel.signal_observers.append(self._signal)

    def lines(self, lwp: Lwp) -> Iterator[str]:
        """Yield the report, a line each."""
        kernel = lwp.proc.kernel
        sched = kernel.sched
        counts = self._counts.copy()
        counts["LWP switches"] = sched.switches
        counts["wake-ups"] = sched.wakeups
        rows = {name: f"{count:,}" for name, count in sorted(counts.items()) if count}
        if isinstance(lwp.proc.kernel.clock, VirtualClock):
            rows["blocks"] = f"{lwp.cpu.blocks:,}"
        if sched.idle_ns:
            rows["idle time"] = f"{sched.idle_ns / _SECOND:.3f} s"
        rows["wall time"] = f"{time.monotonic() - self._began:.3f} s"
        rows["memory of the machine"] = f"{kernel.phys.peak >> 10:,} KiB at most"
        width = max(map(len, rows))
        for name, text in rows.items():
            yield f"{name:{width}}  {text}"
        if len(self._accounts) > 1:
            yield from self._processes()

    def _processes(self) -> Iterator[str]:
        """Yield a line for each of the busiest processes."""
        busiest = sorted(self._accounts.items(), key=lambda item: -item[1].calls)[:MOST_PROCESSES]
        for pid, account in sorted(busiest):
            yield (
                f"process {pid} {account.name}: system calls {account.calls:,}, "
                f"faults {account.faults:,}, signals {account.signals:,}, "
                f"{account.usage.user_ns / _SECOND:.3f} s"
            )
        if more := len(self._accounts) - len(busiest):
            yield f"and {more:,} more processes"

    def _account(self, proc: Proc) -> _Account:
        account = self._accounts.get(proc.pid)
        if account is None or account.usage is not proc.usage:
            account = self._accounts[proc.pid] = _Account(proc.name, proc.usage)
        account.name = proc.name
        return account

    def _signal(self, proc: Proc, lwp: Lwp | None, signal: int, event: SignalEvent) -> None:
        self._counts[_SIGNALS[event]] += 1
        self._account(proc).signals += 1


def _kind(err: int) -> str:
    if err & Pgex.I:
        return "fetch"
    return "write" if err & Pgex.W else "read"
