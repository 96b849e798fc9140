"""Interval timers: when they go off."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from emu.abi.event import Note
from emu.abi.time import Itimer
from emu.abi.versions import ABI_2011
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import VirtualClock
from emu.kern.exit import release
from emu.kern.file import FileTable
from emu.kern.itimer import set_timer
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.sched import Scheduler
from emu.kern.sigacts import SigAction
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace

MS = 1_000_000
ALRM, VTALRM, PROF = 14, 26, 27


@dataclass
class Guest:
    """A process that ignores its signals, which are counted even so."""

    proc: Proc
    seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for signal in (ALRM, VTALRM, PROF):
            self.proc.sigacts.set(signal, SigAction(handler=1))
        self.proc.watchers.append(self._saw)

    def _saw(self, note: int, signal: int) -> None:
        assert note == Note.SIGNAL
        self.seen.append(signal)

    @property
    def sched(self) -> Scheduler:
        return self.proc.kernel.sched

    def at(self, ms: int) -> list[int]:
        """Return the signals so far at a time, which is looked at only then."""
        self.proc.kernel.clock.skip_to(ms * MS)
        self.sched.run_callouts()
        return self.seen

    def work(self, ms: int) -> list[int]:
        """Use the CPU."""
        self.proc.kernel.clock.charge_blocks(ms * MS // 10)
        self.sched.charge()
        self.proc.run_cpu_callouts()
        return self.seen


@pytest.fixture
def guest() -> Iterator[Guest]:
    phys = PhysicalMemory(1 << 20)
    with closing(Tree.scratch()) as tree:
        kernel = Kernel(ABI_2011, phys, VirtualClock(), tree, print)
        proc = Proc(kernel, Vmspace(phys, ABI_2011, grows=True), FileTable())
        Lwp(proc, UnicornEngine(phys))
        yield Guest(proc)


def test_a_single_time_is_never_early(guest: Guest) -> None:
    set_timer(guest.proc, Itimer.REAL, 20 * MS, 0)
    assert guest.sched.interruption() == 20 * MS
    assert guest.at(19) == []
    assert guest.at(20) == [ALRM]
    assert guest.at(1000) == [ALRM]
    assert guest.proc.timers == {}


def test_an_interval_does_not_drift_and_what_was_missed_is_one_signal(guest: Guest) -> None:
    set_timer(guest.proc, Itimer.REAL, 20 * MS, 30 * MS)
    assert guest.at(27) == [ALRM]
    assert guest.sched.next_callout() == 50 * MS
    assert guest.at(155) == [ALRM] * 2
    assert guest.sched.next_callout() == 170 * MS


def test_cpu_time_passes_only_while_the_process_has_the_cpu(guest: Guest) -> None:
    set_timer(guest.proc, Itimer.VIRTUAL, 20 * MS, 0)
    set_timer(guest.proc, Itimer.PROF, 30 * MS, 10 * MS)
    assert guest.work(19) == []
    assert guest.sched.interruption() == 20 * MS
    guest.sched.current = None
    guest.proc.kernel.clock.charge_blocks(100 * MS)
    guest.sched.charge()
    assert guest.sched.interruption() is None
    (guest.sched.current,) = guest.proc.lwps.values()
    assert guest.work(1) == [VTALRM]
    assert guest.work(9) == [VTALRM]
    assert guest.work(1) == [VTALRM, PROF]
    assert guest.work(25) == [VTALRM, PROF, PROF]
    assert guest.work(5) == [VTALRM, PROF, PROF, PROF]


def test_setting_one_timer_leaves_the_others(guest: Guest) -> None:
    set_timer(guest.proc, Itimer.VIRTUAL, 20 * MS, 0)
    set_timer(guest.proc, Itimer.PROF, 30 * MS, 0)
    set_timer(guest.proc, Itimer.VIRTUAL, 0, 0)
    assert guest.work(29) == []
    assert guest.work(1) == [PROF]


def test_the_timers_end_with_the_process(guest: Guest) -> None:
    for which in Itimer:
        set_timer(guest.proc, which, 20 * MS, 20 * MS)
    release(guest.proc)
    assert guest.sched.interruption() is None
    assert guest.at(100) == []
