"""Time as guests see it; pipes stand for input and for the request to stop."""

from emu.kern.clock import EPOCH_NS, HostClock, VirtualClock


def test_waiting_costs_no_virtual_time_but_the_time_until_a_deadline_passes_at_once() -> None:
    clock = VirtualClock()
    assert clock.patience(None) is None
    assert clock.patience(5_000_000_000) == 0
    clock.skip_to(5_000_000_000)
    assert clock.monotonic_ns() == 5_000_000_000
    clock.skip_to(1)
    assert clock.monotonic_ns() == 5_000_000_000


def test_the_host_clock_waits_no_less_than_to_the_deadline() -> None:
    clock = HostClock()
    assert clock.patience(None) is None
    assert clock.patience(clock.monotonic_ns() - 1) == 0
    waits = clock.patience(clock.monotonic_ns() + 3_600_000_000_000)
    assert waits is not None
    assert 3_500_000 < waits <= 3_600_000


def test_the_virtual_clock_starts_at_its_epoch_and_stands_still() -> None:
    clock = VirtualClock()
    assert (clock.now_ns(), clock.monotonic_ns()) == (EPOCH_NS, 0)
    assert (clock.now_ns(), clock.monotonic_ns()) == (EPOCH_NS, 0)


def test_the_virtual_clock_advances_by_calls_and_blocks() -> None:
    clock = VirtualClock(epoch_ns=5_000_000_000)
    clock.charge_call()
    clock.charge_blocks(3)
    assert clock.monotonic_ns() == 1_030
    assert clock.now_ns() == 5_000_001_030


def test_the_host_clock_ignores_what_is_charged_and_never_goes_back() -> None:
    clock = HostClock()
    before = clock.monotonic_ns()
    clock.charge_call()
    clock.charge_blocks(1 << 40)
    assert 0 <= clock.monotonic_ns() - before < 10_000_000_000
    assert clock.now_ns() > EPOCH_NS


def test_the_time_stamp_counter_of_a_virtual_clock_never_stands_still() -> None:
    clock = VirtualClock()
    assert [clock.read_tsc() for _ in range(3)] == [10, 20, 30]


def test_the_time_of_day_can_be_set_and_nothing_else_moves() -> None:
    clock = VirtualClock()
    clock.charge_call()
    clock.set_now(2_000_000_000)
    clock.charge_call()
    assert clock.now_ns() == 2_000_001_000
    assert clock.monotonic_ns() == 2_000


def test_the_hosts_time_of_day_is_set_for_this_clock_only() -> None:
    clock = HostClock()
    before = clock.monotonic_ns()
    clock.set_now(1_000_000_000)
    assert 1_000_000_000 <= clock.now_ns() < 60_000_000_000
    assert clock.monotonic_ns() - before < 60_000_000_000
    assert HostClock().now_ns() > EPOCH_NS
