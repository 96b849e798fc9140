"""Measuring in turns: what is compared is measured alternately, and only ratios are judged.

Times are CPU time of the thread that runs, so that what else the machine does counts little.  The
least of several turns is the time; what is above it are disturbances.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import thread_time


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is spent on a measurement."""

    turns: int
    scale: float
    """Of the sizes that may be chosen freely; 1 in a full run."""

    @property
    def full(self) -> bool:
        return self.scale == 1

    def count(self, full: int) -> int:
        return max(int(full * self.scale), 1)


FULL = Effort(turns=9, scale=1)
SHORT = Effort(turns=4, scale=0.3)


@dataclass(slots=True)
class Measured:
    """One line of the table: a figure, and what it is compared with, in the same unit."""

    what: str
    against: str
    unit: str
    must: float | None
    goal: float | None
    subject: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)

    def add(self, subject: float, reference: float) -> None:
        """Add the figures of a turn."""
        self.subject.append(subject)
        self.reference.append(reference)

    @property
    def ratio(self) -> float:
        """Of the least figures."""
        return min(self.subject) / min(self.reference)

    @property
    def median_ratio(self) -> float:
        """The median of the turns' ratios."""
        return median(a / b for a, b in zip(self.subject, self.reference, strict=True))

    @property
    def verdict(self) -> str:
        if self.must is not None and self.ratio > self.must:
            return "MISSED"
        if self.goal is not None and self.ratio > self.goal:
            return "must" if self.must is not None else "no goal"
        return "goal" if self.goal is not None else ""


def seconds(action: Callable[[], object]) -> float:
    """Return the CPU time of this thread that `action` takes."""
    start = thread_time()
    action()
    return thread_time() - start
