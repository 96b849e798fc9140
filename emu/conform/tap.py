"""What a conformance program prints: TAP, as conform.inc writes it, read back."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from emu.conform.suite import Case

_PLAN = re.compile(r"1\.\.\d+")
_VERDICT = re.compile(r"(not )?ok \d+ - (.*)")
_KIND = re.compile(r"  kind: (\w+)")
_NUMBER = re.compile(r"  (at|expected|actual): 0x([0-9a-f]+)")
_CODE = re.compile(r"  code: 0x((?:[0-9a-f]{2})*)")
_WORD = re.compile(r"    (\w+): \[(0x[0-9a-f]+(?:, 0x[0-9a-f]+){3})\]")


class Word(NamedTuple):
    """A word of a frame that was compared in those of its bits that are 1 in `compared`."""

    entered: int
    expected: int
    compared: int
    actual: int

    @property
    def differs(self) -> bool:
        return bool((self.expected ^ self.actual) & self.compared)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a case failed: `kind` is success, refusal, errno, value, frame, thread or never.

    `at` is the address behind the check.  A frame has its words, by name and in order, and the
    code that the guest ran.
    """

    kind: str
    at: int
    expected: int = 0
    actual: int = 0
    code: bytes = b""
    words: Mapping[str, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    case: Case
    failure: Failure | None  # None if it has passed


@dataclass(frozen=True, slots=True)
class Report:
    verdicts: Sequence[Verdict]
    remarks: Sequence[str]  # of child processes, and why the program gave up

    def verdict_of(self, name: str) -> Verdict | None:
        return next((each for each in self.verdicts if each.case.name == name), None)


def parse(text: str) -> Report:
    """Read the output of one program.  What is not part of a report becomes a remark."""
    verdicts: list[Verdict] = []
    remarks = []
    lines = deque(text.splitlines())
    while lines:
        line = lines.popleft()
        if match := _VERDICT.fullmatch(line):
            try:
                case = Case.parse(match[2])
            except ValueError:
                remarks.append(line)
                continue
            verdicts.append(Verdict(case, _failure(lines) if match[1] else None))
        elif line.startswith(("#", "Bail out!")):
            remarks.append(line.lstrip("# "))
        elif line and line != "TAP version 14" and not _PLAN.fullmatch(line):
            remarks.append(line)
    return Report(verdicts, remarks)


def _failure(lines: deque[str]) -> Failure:
    """Take the diagnosis that follows a verdict, as far as it got."""
    kind, code = "unknown", b""
    numbers = {"at": 0, "expected": 0, "actual": 0}
    words: dict[str, Word] = {}
    while lines and lines[0].startswith("  "):
        line = lines.popleft()
        if match := _KIND.fullmatch(line):
            kind = match[1]
        elif match := _NUMBER.fullmatch(line):
            numbers[match[1]] = int(match[2], 16)
        elif match := _CODE.fullmatch(line):
            code = bytes.fromhex(match[1])
        elif match := _WORD.fullmatch(line):
            words[match[1]] = Word(*(int(value, 16) for value in match[2].split(", ")))
    return Failure(kind, **numbers, code=code, words=words)
