"""What a process wants done about signals, and sets of signals (struct sigacts, <sys/signalvar.h>).

A set is an integer: bit N-1 stands for signal N.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from emu.abi.signal import (
    SIG_DFL,
    SIG_IGN,
    SIG_MAX,
    Action,
    SaFlag,
    Signal,
    SsFlag,
    default_action,
)
from emu.abi.versions import AbiVersion

ALL = (1 << SIG_MAX) - 1


def bit(signal: int) -> int:
    """Return the set of this signal alone."""
    return 1 << signal - 1


def lowest(signals: int) -> int:
    """Return the first signal of a set that is not empty."""
    return (signals & -signals).bit_length()


def set_of(*signals: int) -> int:
    return sum(bit(signal) for signal in signals)


UNMASKABLE = set_of(Signal.KILL, Signal.STOP)
STOP_SIGNALS = set_of(Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU)
TTY_STOP_SIGNALS = set_of(Signal.TSTP, Signal.TTIN, Signal.TTOU)
IGNORED_BY_DEFAULT = sum(
    bit(number)
    for number in range(1, SIG_MAX + 1)
    if default_action(number) is Action.IGNORE and number != Signal.CONT
)


class SigAction(NamedTuple):
    """What to do about one signal (struct sigaction)."""

    handler: int = SIG_DFL
    flags: int = int(SaFlag.RESTART)
    mask: int = 0


_DEFAULT = SigAction()
_ONSTACK = int(SsFlag.ONSTACK)


@dataclass(slots=True, eq=False)
class SigActs:
    """The actions of a process; shared by rfork(RFSIGSHARE).

    `caught` and `ignored` follow from the actions.  SIGCONT is never in `ignored`: a stopped
    process goes on whatever it does about it.
    """

    actions: dict[int, SigAction] = field(default_factory=dict)
    caught: int = 0
    ignored: int = IGNORED_BY_DEFAULT
    child_flags: int = 0
    """SA_NOCLDSTOP and SA_NOCLDWAIT of SIGCHLD."""

    def copy(self) -> "SigActs":
        return SigActs(dict(self.actions), self.caught, self.ignored, self.child_flags)

    def get(self, signal: int) -> SigAction:
        return self.actions.get(signal, _DEFAULT)

    def set(self, signal: int, action: SigAction) -> None:
        self.actions[signal] = action._replace(mask=action.mask & ~UNMASKABLE)
        if signal == Signal.CHLD:
            self.child_flags = action.flags & (SaFlag.NOCLDSTOP | SaFlag.NOCLDWAIT)
        self._classify(signal)

    def reset(self, signal: int) -> None:
        """Go back to the default action; flags and mask stay as they are."""
        self.actions[signal] = self.get(signal)._replace(handler=SIG_DFL)
        self._classify(signal)

    def reset_for_exec(self, abi: AbiVersion) -> int:
        """Forget the handlers; return the signals that are now ignored (execsigs)."""
        was_caught = self.caught
        while self.caught:
            self.reset(lowest(self.caught))
        child = self.get(Signal.CHLD)
        if child.flags & SaFlag.NOCLDWAIT:
            self.set(Signal.CHLD, child._replace(flags=child.flags & ~SaFlag.NOCLDWAIT))
        if abi.ignored_children_vanish and child.handler == SIG_IGN:
            self.reset(Signal.CHLD)
        return was_caught & (self.ignored | bit(Signal.CONT))

    def _classify(self, signal: int) -> None:
        handler, member = self.get(signal).handler, bit(signal)
        ignored = handler == SIG_IGN or (
            handler == SIG_DFL and default_action(signal) is Action.IGNORE
        )
        self.caught &= ~member
        self.ignored &= ~member
        if ignored:
            if signal != Signal.CONT:
                self.ignored |= member
        elif handler != SIG_DFL:
            self.caught |= member


@dataclass(slots=True)
class AltStack:
    """The alternate signal stack of an LWP (stack_t)."""

    sp: int = 0
    size: int = 0
    flags: int = int(SsFlag.DISABLE)
    """As last set, DISABLE included: it does not say whether the stack is enabled now."""
    enabled: bool = False

    @property
    def in_use(self) -> bool:
        return bool(self.flags & _ONSTACK)

    def copy(self) -> "AltStack":
        return replace(self)
