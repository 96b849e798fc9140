"""Everything at once: the stress guest finds no fault, leaks nothing, and does the same again.

`make stress` runs these for longer: pytest --stress SECONDS.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest
from conftest import LOAD_ADDRESS, Booted

import guest_programs
from emu.abi.fcntl import Open
from emu.abi.signal import Signal
from emu.abi.symbols import abi_symbols
from emu.abi.versions import VERSIONS
from emu.asm import assemble
from emu.cpu.engine import Exit
from emu.kern.clock import Clock, HostClock, VirtualClock
from emu.kern.file import File, FileTable, Node
from emu.kern.proc import Lwp
from syscalls.table import SYMBOLS

STRESS = Path(guest_programs.__path__[0]) / "stress/stress.s"
FOR_EVER = b"1000000000"
WARM_UP = 3  # rounds until everything that is made only once has been made
RSS_TOLERANCE = 1.05
OBJECTS_TOLERANCE = 20  # they were the same, to the last one, whenever this was looked at


class Dots(Node):
    """The guest's standard output, which tells of the end of each round."""

    def __init__(self) -> None:
        self.on_round: Callable[[], None] = lambda: None
        self.rounds = 0

    def write(self, offset: int, data: bytes) -> int:
        if data == b".":
            self.rounds += 1
            self.on_round()
        return len(data)


@contextmanager
def stress_guest(
    clock: Clock, rounds: bytes = FOR_EVER, abi: str = "2011"
) -> Iterator[tuple[Booted, Dots]]:
    symbols = {**abi_symbols(VERSIONS[abi]), **SYMBOLS}
    code = assemble(STRESS, origin=LOAD_ADDRESS, symbols=symbols).code
    dots, files = Dots(), FileTable()
    for _ in range(3):
        files.add(File(dots, Open.WRONLY))
    booted = Booted(code, abi=VERSIONS[abi], clock=clock, argv=[b"stress", rounds], files=files)
    try:
        yield booted, dots
    finally:
        booted.close()


def census(booted: Booted) -> dict[str, int]:
    """Count what there is, at a moment when only the first process is left."""
    lwp = booted.lwp
    kernel, phys = lwp.proc.kernel, lwp.proc.kernel.phys
    sched = kernel.sched
    vkernel = lwp.proc.vkernel
    return {
        "processes": len(kernel.procs),
        "groups": len(kernel.pgrps),
        "LWPs": kernel.lwps,
        "LWPs that sleep": sum(len(waiting) for waiting in sched._sleeping.values()),
        "channels": len(sched._sleeping),
        "listeners": sum(len(actions) for actions in sched._listeners.values()),
        "socket names": len(kernel.socket_names),
        "messages": kernel.messages,
        "callouts": sum(entry[2].action is not None for entry in sched._heap),
        "watches": len(sched._watches),
        "timers": len(lwp.proc.timers),
        "vmspaces": len(vkernel.entries) if vkernel is not None else 0,
        "mappings": len(lwp.proc.vmspace.map),
        "memory": phys.used,
        "files in memory": len(phys._regions),
        "page tables": len(phys.caches),
        "pages with code": len(phys.code),
        "open files": len(kernel.tree._vnodes),
        "working directories": len(kernel.tree._namecache._held),
        "descriptors": len(lwp.proc.files._slots),
        "descriptors of the host": len(os.listdir("/proc/self/fd")),
        "threads of the host": len(os.listdir("/proc/self/task")),
    }


@dataclass
class Samples:
    """What was counted at the end of each round."""

    counts: list[dict[str, int]] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)

    def take(self, booted: Booted) -> None:
        self.counts.append(census(booted))
        gc.collect()
        self.rss.append(int(Path("/proc/self/statm").read_text().split()[1]))
        self.objects.append(len(gc.get_objects()))

    def check(self) -> None:
        settled = self.counts[WARM_UP:]
        for counts in settled:
            assert counts == settled[0]
        middle, end = _middle_and_end(self.rss)
        assert end <= RSS_TOLERANCE * middle
        middle, end = _middle_and_end(self.objects[WARM_UP:])
        assert end <= middle + OBJECTS_TOLERANCE


def _middle_and_end(values: list[int]) -> tuple[float, float]:
    size = max(len(values) // 10, 1)
    middle = len(values) // 2
    return median(values[middle : middle + size]), median(values[-size:])


@pytest.mark.parametrize("clock", [HostClock, VirtualClock], ids=["host", "virtual"])
def test_nothing_is_lost_and_nothing_goes_wrong(
    clock: Callable[[], Clock], stress_seconds: float
) -> None:
    samples = Samples()
    with stress_guest(clock()) as (booted, dots):
        begin = time.monotonic()
        step = stress_seconds / 100

        def on_round() -> None:
            elapsed = time.monotonic() - begin
            if dots.rounds <= WARM_UP or elapsed >= step * len(samples.counts):
                samples.take(booted)
            if elapsed > stress_seconds and dots.rounds >= 2 * WARM_UP:
                booted.machine.signal(Signal.TERM)

        dots.on_round = on_round
        assert (booted.run(), booted.told) == (0, [])
    samples.check()


@pytest.mark.parametrize("abi", VERSIONS)
def test_with_the_virtual_clock_two_runs_are_the_same(abi: str) -> None:
    def trace() -> list[object]:
        seen: list[object] = []
        clock = VirtualClock()
        with stress_guest(clock, b"1", abi) as (booted, _):
            machine, lwp = booted.machine, booted.lwp
            handle = machine.handle

            def note(lwp: Lwp, reason: Exit) -> None:
                seen.append((lwp.proc.pid, lwp.tid, reason, clock.monotonic_ns(), lwp.frame.rip))
                handle(lwp, reason)

            machine.handle = note
            assert (booted.run(), booted.told) == (0, [])
            seen += clock.monotonic_ns(), lwp.cpu.blocks, bytes(lwp.frame_bytes)
        return seen

    first, second = trace(), trace()
    assert len(first) > 10_000
    assert first == second
