"""Counts of what happened in a run, for --stats.  An observer, like the tracer."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

from emu.abi.x86 import Pgex
from emu.cpu.engine import Exit
from emu.kern.proc import Lwp


class Ledger:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()

    def around(self, handle: Callable[[Lwp, Exit], None]) -> Callable[[Lwp, Exit], None]:
        counts = self._counts

        def counted(lwp: Lwp, reason: Exit) -> None:
            space = lwp.vmspace
            inside = space is not lwp.proc.vmspace
            err = lwp.frame.err
            handle(lwp, reason)
            left = inside and lwp.vmspace is not space
            if reason is Exit.SYSCALL and not inside:
                counts["system calls"] += 1
            elif reason is Exit.PAGE_FAULT and not left and lwp.proc.alive:
                counts[f"faults resolved, {_kind(err)}"] += 1
            elif reason is not Exit.SYSCALL:
                counts["traps reflected" if left else "traps that ended the process"] += 1
            if left:
                counts["round trips"] += 1
            if lwp.vmspace is not space:
                counts["switches"] += 1

        return counted

    def lines(self, lwp: Lwp) -> Iterator[str]:
        """Yield the report, a line each."""
        rows = dict(sorted(self._counts.items()))
        if lwp.cpu.budget is not None:
            rows["blocks"] = lwp.cpu.blocks
        width = max(map(len, [*rows, "memory of the machine"]))
        for name, count in rows.items():
            yield f"{name:{width}}  {count:,}"
        yield f"{'wall time':{width}}  {time.monotonic() - self._began:.3f} s"
        yield f"{'memory of the machine':{width}}  {lwp.proc.kernel.phys.peak >> 10:,} KiB at most"


def _kind(err: int) -> str:
    if err & Pgex.I:
        return "fetch"
    return "write" if err & Pgex.W else "read"
