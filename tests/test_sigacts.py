"""What a process wants done about signals (abi 3.2; struct sigacts)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.abi.signal import SIG_DFL, SIG_IGN, SaFlag, Signal, SsFlag
from emu.abi.versions import ABI_2011, ABI_2014
from emu.kern.sigacts import ALL, AltStack, SigAction, SigActs, bit, lowest, set_of

HANDLER = 0x400000

# URG CHLD IO WINCH INFO THR, and 35 to 63, which have no meaning
IGNORED_AT_FIRST = {16, 20, 23, 28, 29, 32, *range(35, 64)}


def test_a_set_has_bit_n_minus_1_for_signal_n() -> None:
    assert bit(1) == 1
    assert bit(128) == 1 << 127
    assert set_of(1, 3, 64) == 0x8000000000000005
    assert ALL == (1 << 128) - 1


@given(st.sets(st.integers(1, 128), min_size=1))
def test_the_lowest_of_a_set(members: set[int]) -> None:
    assert lowest(set_of(*members)) == min(members)


def test_at_first_nothing_is_caught_and_what_means_nothing_is_ignored() -> None:
    acts = SigActs()
    assert acts.caught == 0
    assert acts.ignored == set_of(*IGNORED_AT_FIRST)


@pytest.mark.parametrize("signal", range(1, 129))
def test_each_signal_can_be_caught_ignored_and_left_alone_again(signal: int) -> None:
    """SIGCONT is never among the ignored: it has to wake the process whatever is done about it."""
    acts, member = SigActs(), bit(signal)
    acts.set(signal, SigAction(HANDLER))
    assert (acts.caught, acts.ignored & member) == (member, 0)
    acts.set(signal, SigAction(SIG_IGN))
    assert (acts.caught, acts.ignored & member) == (0, 0 if signal == Signal.CONT else member)
    acts.set(signal, SigAction(SIG_DFL))
    assert (acts.caught, acts.ignored) == (0, set_of(*IGNORED_AT_FIRST))


def test_kill_and_stop_are_left_out_of_a_handlers_mask() -> None:
    acts = SigActs()
    acts.set(Signal.USR1, SigAction(HANDLER, mask=ALL))
    assert acts.get(Signal.USR1).mask == ALL & ~set_of(9, 17)


def test_reset_takes_the_handler_and_nothing_else() -> None:
    acts = SigActs()
    acts.set(Signal.IO, SigAction(HANDLER, SaFlag.SIGINFO | SaFlag.RESETHAND, 5))
    acts.reset(Signal.IO)
    assert acts.get(Signal.IO) == SigAction(SIG_DFL, SaFlag.SIGINFO | SaFlag.RESETHAND, 5)
    assert (acts.caught, acts.ignored) == (0, set_of(*IGNORED_AT_FIRST))


def test_a_copy_goes_its_own_way() -> None:
    acts = SigActs()
    acts.set(Signal.CHLD, SigAction(HANDLER, SaFlag.NOCLDSTOP))
    copy = acts.copy()
    assert (copy.get(20), copy.caught, copy.ignored) == (acts.get(20), acts.caught, acts.ignored)
    assert copy.child_flags == SaFlag.NOCLDSTOP
    copy.set(Signal.CHLD, SigAction(SIG_IGN))
    assert acts.get(20).handler == HANDLER
    assert (acts.caught, acts.child_flags) == (bit(20), SaFlag.NOCLDSTOP)


@pytest.mark.parametrize("abi", [ABI_2011, ABI_2014])
def test_a_new_program_has_no_handlers(abi: object) -> None:
    acts = SigActs()
    acts.set(Signal.USR1, SigAction(HANDLER))
    acts.set(Signal.URG, SigAction(HANDLER))
    acts.set(Signal.CONT, SigAction(HANDLER))
    acts.set(Signal.TERM, SigAction(SIG_IGN))
    acts.set(Signal.CHLD, SigAction(HANDLER, SaFlag.NOCLDSTOP | SaFlag.NOCLDWAIT))
    assert acts.reset_for_exec(abi) == set_of(16, 19, 20)
    assert acts.caught == 0
    assert acts.ignored == set_of(*IGNORED_AT_FIRST, 15)
    # NOCLDWAIT is forgotten, NOCLDSTOP is not.
    assert acts.child_flags == acts.get(20).flags == SaFlag.NOCLDSTOP


@pytest.mark.parametrize(("abi", "handler"), [(ABI_2011, SIG_IGN), (ABI_2014, SIG_DFL)])
def test_later_versions_stop_ignoring_children_at_a_new_program(abi: object, handler: int) -> None:
    acts = SigActs()
    acts.set(Signal.CHLD, SigAction(SIG_IGN))
    acts.reset_for_exec(abi)
    assert acts.get(20).handler == handler


def test_a_program_starts_without_an_alternate_stack() -> None:
    stack = AltStack()
    assert (stack.sp, stack.size, stack.flags) == (0, 0, SsFlag.DISABLE)
    assert not stack.enabled
    assert not stack.in_use
