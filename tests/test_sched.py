"""Who has the CPU, what the others wait for, and what time does to them (kern_synch.c)."""

import os
import threading
from collections.abc import Callable, Generator, Iterator

import pytest
from conftest import Booted, call
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emu.cpu.fp_state import FP_INITIAL
from emu.kern.clock import HostClock, VirtualClock
from emu.kern.exit import lwp_exit
from emu.kern.proc import Lwp
from emu.kern.sched import READABLE, SLICE_NS, WRITABLE, LwpState, Scheduler, Sleep
from emu.kern.signal import proc_stop, proc_unstop
from syscalls import table

Boot = Callable[..., Booted]

READY, RUNNING, SLEEPING, STOPPED = (
    LwpState.READY,
    LwpState.RUNNING,
    LwpState.SLEEPING,
    LwpState.STOPPED,
)
SIGSTOP = 17


@pytest.fixture
def sched(lwp: Lwp) -> Scheduler:
    return lwp.proc.kernel.sched


@pytest.fixture
def clock(lwp: Lwp) -> VirtualClock:
    clock = lwp.proc.kernel.clock
    assert isinstance(clock, VirtualClock)
    return clock


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def another(lwp: Lwp) -> Lwp:
    """Return a new LWP of the same process, which is ready."""
    new = lwp.fork(lwp.proc)
    lwp.proc.kernel.sched.add(new)
    return new


def pass_time(clock: VirtualClock, ns: int) -> None:
    clock.skip_to(clock.monotonic_ns() + ns)


# The CPU


def test_one_that_is_alone_keeps_the_cpu_and_is_never_interrupted(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    for _ in range(3):
        assert sched.choose() is lwp
        assert sched.interruption() is None
        pass_time(clock, 10 * SLICE_NS)
    assert lwp.proc.usage.involuntary_switches == 0


def test_all_that_are_ready_take_turns(lwp: Lwp, sched: Scheduler, clock: VirtualClock) -> None:
    second, third = another(lwp), another(lwp)
    turns = []
    for _ in range(7):
        turns.append(sched.choose())
        pass_time(clock, SLICE_NS)
    assert turns == [lwp, second, third, lwp, second, third, lwp]


def test_a_slice_is_10_ms_to_the_nanosecond(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    second = another(lwp)
    assert sched.choose() is lwp
    assert sched.interruption() == clock.monotonic_ns() + 10_000_000
    pass_time(clock, 9_999_999)
    assert sched.choose() is lwp
    pass_time(clock, 1)
    assert sched.choose() is second
    assert lwp.state is READY
    assert lwp.proc.usage.involuntary_switches == 1


def test_a_slice_begins_when_there_is_somebody_to_wait(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    assert sched.choose() is lwp
    pass_time(clock, 5 * SLICE_NS)
    another(lwp)
    assert sched.choose() is lwp
    assert sched.interruption() == clock.monotonic_ns() + SLICE_NS


def test_a_slice_ends_early_for_one_that_gives_way(lwp: Lwp, sched: Scheduler) -> None:
    second = another(lwp)
    assert sched.choose() is lwp
    sched.give_way()
    assert sched.choose() is second
    assert sched.choose() is second


def test_giving_way_to_nobody_is_forgotten(lwp: Lwp, sched: Scheduler) -> None:
    sched.give_way()
    assert sched.choose() is lwp
    another(lwp)
    assert sched.choose() is lwp


def test_whoever_becomes_ready_first_runs_first(lwp: Lwp, sched: Scheduler) -> None:
    others = [another(lwp) for _ in range(3)]
    for sleeper in others:
        sched.give_way()
        sched.choose()
        sched.sleep(sleeper, Sleep((sleeper.tid,)))
    assert sched.choose() is lwp
    for sleeper in reversed(others):
        sched.wakeup(sleeper.tid)
    sched.sleep(lwp, Sleep(("nothing",)))
    assert [sched.choose(), sched._ready[0], sched._ready[1]] == list(reversed(others))


def test_nobody_has_the_cpu_when_all_sleep(lwp: Lwp, sched: Scheduler) -> None:
    sched.sleep(lwp, Sleep(("nothing",)))
    assert sched.choose() is None
    assert sched.current is lwp


def test_one_that_wakes_before_another_runs_has_kept_its_registers(
    lwp: Lwp, sched: Scheduler
) -> None:
    sched.sleep(lwp, Sleep(("channel",)))
    assert sched.choose() is None
    lwp.frame.rax = 5  # as if a call that it sleeps in had gone on
    sched.wakeup("channel")
    assert sched.choose() is lwp
    assert lwp.frame.rax == 5


def test_each_lwp_has_its_own_registers(lwp: Lwp, sched: Scheduler) -> None:
    second = another(lwp)
    cpu = lwp.cpu
    odd_fp = bytearray(FP_INITIAL)
    odd_fp[0:2] = b"\x7f\x03"  # CW
    odd_fp[160:168] = b"12345678"  # xmm0
    lwp.frame.r12, lwp.bases.fs_base, lwp.bases.gs_base = 1, 0x1000, 0x2000
    cpu.fp_restore(bytes(odd_fp))
    cpu.fp_trap = True
    first_fp = cpu.fp_save()
    sched.give_way()
    assert sched.choose() is second
    assert (second.frame.r12, second.bases.fs_base, second.bases.gs_base) == (0, 0, 0)
    assert not cpu.fp_trap
    assert cpu.fp_save() != first_fp
    second.frame.r12 = 2
    sched.give_way()
    assert sched.choose() is lwp
    assert (lwp.frame.r12, lwp.bases.fs_base, lwp.bases.gs_base) == (1, 0x1000, 0x2000)
    assert cpu.fp_trap
    assert cpu.fp_save() == first_fp
    sched.give_way()
    assert sched.choose() is second
    assert second.frame.r12 == 2


def test_the_time_is_charged_to_whoever_has_had_the_cpu(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    pass_time(clock, 300)
    sched.charge()
    pass_time(clock, 20)
    sched.charge()
    assert lwp.proc.usage.user_ns == 320


def test_time_that_nobody_wanted_is_nobodys(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    pass_time(clock, 300)
    sched.sleep(lwp, Sleep((), clock.monotonic_ns() + 5000))
    assert sched.choose() is None
    sched.idle()
    sched.run_callouts()
    assert sched.choose() is lwp
    sched.charge()
    assert lwp.proc.usage.user_ns == 300
    assert lwp.proc.usage.voluntary_switches == 1


# Sleeping


def test_a_sleep_on_several_channels_ends_with_the_first(lwp: Lwp, sched: Scheduler) -> None:
    sched.sleep(lwp, Sleep(("a", "b", "c")))
    assert sched.wakeup("b") == 1
    assert lwp.state is READY
    assert sched.wakeup("a") == sched.wakeup("b") == sched.wakeup("c") == 0


def test_waking_nobody_is_not_remembered(lwp: Lwp, sched: Scheduler) -> None:
    assert sched.wakeup("channel") == 0
    sched.sleep(lwp, Sleep(("channel",)))
    assert lwp.state is SLEEPING


def test_those_that_sleep_longest_wake_first(lwp: Lwp, sched: Scheduler) -> None:
    sleepers = [lwp, another(lwp), another(lwp)]
    for sleeper in (sleepers[1], sleepers[2], sleepers[0]):
        while sched.choose() is not sleeper:
            sched.give_way()
        sched.sleep(sleeper, Sleep(("channel",)))
    assert sched.wakeup("channel", 1) == 1
    assert [sleeper.state for sleeper in sleepers] == [SLEEPING, READY, SLEEPING]
    assert sched.wakeup("channel", 5) == 2
    assert [sched.choose(), *sched._ready] == [sleepers[1], sleepers[2], sleepers[0]]


def test_a_deadline_ends_a_sleep_no_sooner_and_no_later(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    sleep = Sleep(("channel",), clock.monotonic_ns() + 100)
    sched.sleep(lwp, sleep)
    pass_time(clock, 99)
    sched.run_callouts()
    assert lwp.state is SLEEPING
    pass_time(clock, 1)
    sched.run_callouts()
    assert (lwp.state, sleep.timed_out) == (READY, True)
    assert sched.wakeup("channel") == 0


def test_the_deadline_of_a_sleep_that_is_over_does_nothing(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    first = Sleep(("channel",), clock.monotonic_ns() + 100)
    sched.sleep(lwp, first)
    sched.wakeup("channel")
    assert sched.choose() is lwp
    second = Sleep(("channel",))
    sched.sleep(lwp, second)
    pass_time(clock, 200)
    sched.run_callouts()
    assert (lwp.state, first.timed_out, second.timed_out) == (SLEEPING, False, False)
    assert sched.next_callout() is None


def test_with_a_virtual_clock_waiting_takes_no_time(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    hour = 3_600_000_000_000
    start = clock.monotonic_ns()
    sched.sleep(lwp, Sleep((), start + hour))
    assert sched.choose() is None
    sched.idle()
    assert clock.monotonic_ns() == start + hour
    assert sched.idle_ns == hour
    sched.run_callouts()
    assert sched.choose() is lwp


def test_an_lwp_that_is_ended_in_its_sleep_leaves_it(lwp: Lwp, sched: Scheduler) -> None:
    """Whatever its system call has to put back is put back."""
    ended = []

    def pause() -> Generator[Sleep, bool, None]:
        try:
            yield Sleep(("channel",), 10**18)
        finally:
            ended.append("yes")

    sleeper = another(lwp)
    sched.give_way()
    assert sched.choose() is sleeper
    sleeper.call = pause()
    table.resume(sleeper)
    assert (sleeper.state, ended) == (SLEEPING, [])
    assert sched.choose() is lwp
    lwp_exit(sleeper)
    assert (sleeper.state, ended) == (LwpState.GONE, ["yes"])
    assert sched.wakeup("channel") == 0
    assert sched.next_callout() is None
    assert sched.choose() is lwp


def test_an_lwp_that_exits_while_it_has_the_cpu_leaves_it_to_the_next(
    lwp: Lwp, sched: Scheduler
) -> None:
    second = another(lwp)
    lwp_exit(lwp)
    assert sched.current is None
    assert sched.choose() is second
    lwp_exit(second)
    assert sched.choose() is None


def test_an_lwp_that_is_ended_while_it_waits_for_the_cpu_never_gets_it(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    second, third = another(lwp), another(lwp)
    assert sched.choose() is lwp
    lwp_exit(second)
    pass_time(clock, SLICE_NS)
    assert sched.choose() is third


# Stopped processes


def test_a_process_that_is_stopped_does_not_run(lwp: Lwp, sched: Scheduler) -> None:
    second = another(lwp)
    proc_stop(lwp.proc, SIGSTOP)
    assert [lwp.state, second.state] == [STOPPED, STOPPED]
    assert sched.choose() is None
    proc_unstop(lwp.proc)
    assert sched.choose() is lwp
    sched.give_way()
    assert sched.choose() is second


def test_a_stop_and_its_end_leave_sleepers_alone(lwp: Lwp, sched: Scheduler) -> None:
    sched.sleep(lwp, Sleep(("channel",)))
    proc_stop(lwp.proc, SIGSTOP)
    assert lwp.state is SLEEPING
    proc_unstop(lwp.proc)
    assert lwp.state is SLEEPING
    assert sched.wakeup("channel") == 1
    assert sched.choose() is lwp


def test_a_sleeper_that_is_woken_while_its_process_is_stopped_waits_for_that_too(
    lwp: Lwp, sched: Scheduler
) -> None:
    sched.sleep(lwp, Sleep(("channel",)))
    proc_stop(lwp.proc, SIGSTOP)
    assert sched.wakeup("channel") == 1
    assert lwp.state is STOPPED
    assert sched.choose() is None
    proc_unstop(lwp.proc)
    assert sched.choose() is lwp


def test_a_deadline_may_pass_while_the_process_is_stopped(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    sleep = Sleep((), clock.monotonic_ns() + 100)
    sched.sleep(lwp, sleep)
    proc_stop(lwp.proc, SIGSTOP)
    pass_time(clock, 100)
    sched.run_callouts()
    assert (lwp.state, sleep.timed_out) == (STOPPED, True)
    proc_unstop(lwp.proc)
    assert lwp.state is READY


def test_a_new_lwp_of_a_stopped_process_waits(lwp: Lwp) -> None:
    proc_stop(lwp.proc, SIGSTOP)
    assert another(lwp).state is STOPPED


# Callouts


def test_callouts_come_in_the_order_of_their_times_and_then_of_their_making(
    sched: Scheduler, clock: VirtualClock
) -> None:
    done: list[str] = []
    now = clock.monotonic_ns()
    for name, after in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20)):
        sched.callout(now + after, lambda name=name: done.append(name))
    assert sched.next_callout() == now + 10
    pass_time(clock, 20)
    sched.run_callouts()
    assert done == ["a", "b1", "b2"]
    pass_time(clock, 10)
    sched.run_callouts()
    sched.run_callouts()
    assert done == ["a", "b1", "b2", "c"]


def test_a_callout_that_is_cancelled_never_comes(sched: Scheduler, clock: VirtualClock) -> None:
    done: list[str] = []
    now = clock.monotonic_ns()
    cancelled = sched.callout(now + 10, lambda: done.append("cancelled"))
    sched.callout(now + 20, lambda: done.append("kept"))
    cancelled.cancel()
    assert sched.next_callout() == now + 20
    pass_time(clock, 50)
    sched.run_callouts()
    assert done == ["kept"]


def test_the_engine_comes_back_for_whichever_is_first(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    now = clock.monotonic_ns()
    another(lwp)
    sched.choose()
    assert sched.interruption() == now + SLICE_NS
    late = sched.callout(now + 2 * SLICE_NS, lambda: None)
    assert sched.interruption() == now + SLICE_NS
    sched.callout(now + 7, lambda: None)
    assert sched.interruption() == now + 7
    late.cancel()
    assert sched.interruption() == now + 7


# Descriptors


def test_a_sleep_ends_when_a_descriptor_is_ready(
    lwp: Lwp, sched: Scheduler, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    sched.sleep(lwp, Sleep((), fds=((reader, READABLE),)))
    assert not sched.poll()
    os.write(writer, b"x")
    assert sched.poll()
    assert lwp.state is READY
    assert sched.watched == {}


def test_the_end_of_input_ends_a_sleep_too(lwp: Lwp, sched: Scheduler) -> None:
    reader, writer = os.pipe()
    sched.sleep(lwp, Sleep((), fds=((reader, READABLE),)))
    os.close(writer)
    assert sched.poll()
    assert lwp.state is READY
    os.close(reader)


def test_several_may_wait_for_one_descriptor_each_for_its_own_event(
    sched: Scheduler, pipe: tuple[int, int]
) -> None:
    _, writer = pipe
    done: list[str] = []
    first = sched.watch(writer, WRITABLE, lambda: done.append("writable"))
    second = sched.watch(writer, READABLE, lambda: done.append("readable"))
    assert sched.watched == {writer: READABLE | WRITABLE}
    assert sched.poll()
    assert done == ["writable"]
    sched.unwatch(first)
    assert sched.watched == {writer: READABLE}
    assert not sched.poll()
    sched.unwatch(second)
    assert sched.watched == {}


def test_idling_ends_when_a_descriptor_is_ready(
    lwp: Lwp, sched: Scheduler, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    sched.sleep(lwp, Sleep((), fds=((reader, READABLE),)))
    assert sched.choose() is None
    threading.Timer(0.01, os.write, [writer, b"x"]).start()
    sched.idle()
    assert lwp.state is READY


def test_idling_ends_when_another_thread_says_so(lwp: Lwp) -> None:
    for clock in (VirtualClock(), HostClock()):
        sched = Scheduler(clock)
        sched.wake()
        sched.idle()
        threading.Timer(0.01, sched.wake).start()
        sched.idle()
        sched.close()


# The system calls' side


def test_a_sleep_that_ends_for_no_reason_is_slept_again(
    lwp: Lwp, sched: Scheduler, clock: VirtualClock
) -> None:
    """nanosleep sleeps as long as it should, whatever wakes it."""
    lwp.proc.vmspace.copyout(lwp.frame.rsp - 64, (10).to_bytes(8, "little") + bytes(8))
    start = clock.monotonic_ns()
    call(lwp, "nanosleep", lwp.frame.rsp - 64, 0)
    for _ in range(3):
        pass_time(clock, 1_000_000_000)
        sched.set_runnable(lwp)
        assert sched.choose() is lwp
        table.resume(lwp)
        assert lwp.state is SLEEPING
    sched.idle()
    sched.run_callouts()
    assert sched.choose() is lwp
    table.resume(lwp)
    assert (lwp.call, lwp.frame.rax) == (None, 0)
    assert clock.monotonic_ns() == start + 10_000_000_000


# Against a model: lists of names.


class SchedulerModel(RuleBasedStateMachine):
    """Whatever happens in whatever order, states and turns are as a much simpler scheduler says."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Booted("nop")
        first = self.machine.lwp
        self.proc = first.proc
        self.sched = first.proc.kernel.sched
        clock = first.proc.kernel.clock
        assert isinstance(clock, VirtualClock)
        self.clock = clock
        self.ready: list[Lwp] = []
        self.running: Lwp | None = first
        self.stopped: set[Lwp] = set()
        self.asleep: dict[Lwp, tuple[frozenset[int], int | None]] = {}  # longest first
        self.yielded = False
        self.slice_end: int | None = None

    def teardown(self) -> None:
        self.machine.close()

    @property
    def now(self) -> int:
        return self.clock.monotonic_ns()

    def wake(self, lwp: Lwp) -> None:
        del self.asleep[lwp]
        if self.proc.stopped:
            self.stopped.add(lwp)
        else:
            self.ready.append(lwp)

    @precondition(lambda self: self.running is not None and len(self.proc.lwps) < 6)
    @rule()
    def create(self) -> None:
        assert self.running is not None
        new = self.running.fork(self.proc)
        self.sched.add(new)
        self.ready.append(new)

    @precondition(lambda self: self.running is not None)
    @rule(
        channels=st.frozensets(st.integers(0, 2), max_size=3),
        after=st.none() | st.integers(0, 30_000_000),
    )
    def sleep(self, channels: frozenset[int], after: int | None) -> None:
        lwp, self.running = self.running, None
        assert lwp is not None
        deadline = None if after is None else self.now + after
        self.asleep[lwp] = (channels, deadline)
        self.sched.sleep(lwp, Sleep(tuple(channels), deadline))

    @rule(channel=st.integers(0, 2), limit=st.none() | st.integers(1, 2))
    def wakeup(self, channel: int, limit: int | None) -> None:
        waiting = [lwp for lwp, (channels, _) in self.asleep.items() if channel in channels]
        for lwp in waiting[:limit]:
            self.wake(lwp)
        assert self.sched.wakeup(channel, limit) == len(waiting[:limit])

    @rule(ns=st.integers(0, 25_000_000))
    def pass_time(self, ns: int) -> None:
        self.clock.skip_to(self.now + ns)
        due = [
            (deadline, at, lwp)
            for at, (lwp, (_, deadline)) in enumerate(self.asleep.items())
            if deadline is not None and deadline <= self.now
        ]
        for _, _, lwp in sorted(due, key=lambda entry: entry[:2]):
            self.wake(lwp)
        self.sched.run_callouts()

    @rule()
    def give_way(self) -> None:
        self.yielded = True
        self.sched.give_way()

    @precondition(lambda self: not self.proc.stopped)
    @rule()
    def stop(self) -> None:
        self.stopped.update(self.ready)
        self.ready.clear()
        if self.running is not None:
            self.stopped.add(self.running)
            self.running = None
        proc_stop(self.proc, SIGSTOP)

    @precondition(lambda self: self.proc.stopped)
    @rule()
    def cont(self) -> None:
        self.ready += [lwp for lwp in self.proc.lwps.values() if lwp in self.stopped]
        self.stopped.clear()
        proc_unstop(self.proc)

    @precondition(lambda self: len(self.proc.lwps) > 1)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        tid = data.draw(st.sampled_from(sorted(self.proc.lwps)))
        lwp = self.proc.lwps[tid]
        self.asleep.pop(lwp, None)
        self.stopped.discard(lwp)
        if lwp in self.ready:
            self.ready.remove(lwp)
        if lwp is self.running:
            self.running = None
        lwp_exit(lwp)

    @rule()
    def choose(self) -> None:
        if self.running is not None and self.ready:
            if self.slice_end is None:
                self.slice_end = self.now + SLICE_NS
            if self.yielded or self.now >= self.slice_end:
                self.ready.append(self.running)
                self.running = None
        elif self.running is not None:
            self.slice_end = None
        if self.running is None and self.ready:
            self.running = self.ready.pop(0)
            self.slice_end = self.now + SLICE_NS if self.ready else None
        self.yielded = False
        assert self.sched.choose() is self.running

    @invariant()
    def states_agree(self) -> None:
        expected = dict.fromkeys(self.ready, READY) | dict.fromkeys(self.asleep, SLEEPING)
        expected |= dict.fromkeys(self.stopped, STOPPED)
        if self.running is not None:
            expected[self.running] = RUNNING
        assert {lwp: lwp.state for lwp in self.proc.lwps.values()} == expected
        deadlines = [deadline for _, deadline in self.asleep.values() if deadline is not None]
        assert self.sched.next_callout() == min(deadlines, default=None)


TestSchedulerModel = SchedulerModel.TestCase
TestSchedulerModel.settings = settings(max_examples=40, stateful_step_count=40)
