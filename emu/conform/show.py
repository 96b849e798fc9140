"""The results of a conformance run: a matrix, every failure in full, JUnit for machines."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from emu.abi.errno import Errno
from emu.abi.vkernel import Trap
from emu.conform.runner import Check
from emu.conform.tap import Failure, Word
from emu.disasm import disassemble

_GUEST_CODE = 0x20000  # CODE of conform.inc
_ALL_BITS = (1 << 64) - 1
_PLAIN_WIDTH = 200
_NOT_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def matrix(checks: Sequence[Check], versions: Sequence[str]) -> Table:
    """Return how many cases have passed, by subject and version."""
    passed: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for check in checks:
        for subject in (check.built.program.subject, "all"):
            total[subject, check.built.abi] += 1
            passed[subject, check.built.abi] += check.passed
    shown = Table("subject", box=None, header_style="bold")
    for version in versions:
        shown.add_column(version, justify="right")
    subjects = sorted({check.built.program.subject for check in checks})
    for subject in (*subjects, "all"):
        cells = (_score(passed[subject, version], total[subject, version]) for version in versions)
        shown.add_row(subject, *cells, style="bold" if subject == "all" else "")
    return shown


def _score(passed: int, total: int) -> Text:
    if not total:
        return Text("-", style="dim")
    if passed == total:
        return Text(str(total), style="green")
    return Text(f"{passed} of {total}", style="red")


def failure(check: Check) -> RenderableType:
    """Return everything that is known of a case that failed."""
    head = Text.assemble(
        (check.id, "bold red"), f" ({check.built.abi})  {check.case.title}",
        (f"  [{' '.join(check.case.rules)}]", "dim"),
    )  # fmt: skip
    lines: list[RenderableType] = [head]
    if check.failure is None:
        lines.append(Text(f"  no verdict: {check.silent}"))
    else:
        lines.append(Text(f"  {check.built.source_of(check.failure.at)}"))
        if check.failure.words:
            lines.append(_frame(check.failure))
            lines.extend(_code(check.failure))
        else:
            lines.append(Text(f"  {_in_words(check.failure)}"))
    lines.extend(Text(f"  {remark}", style="dim") for remark in check.remarks)
    return Group(*lines, Text())


def _in_words(failure: Failure) -> str:
    expected, actual = failure.expected, failure.actual
    match failure.kind:
        case "success":
            return f"the call was refused with {_errno(actual)}"
        case "refusal":
            return f"the call succeeded with {actual:#x}; {_errno(expected)} was expected"
        case "errno":
            return f"the call was refused with {_errno(actual)}, not {_errno(expected)}"
        case "value":
            return f"{actual:#x} is there, {expected:#x} was expected"
        case "never":
            return "this should not be reached"
        case "thread":
            return "this check failed, in another thread"
    return f"{failure.kind}: expected {expected:#x}, actual {actual:#x}"


def _errno(number: int) -> str:
    return Errno(number).name if number in Errno.__members__.values() else f"errno {number}"


def _frame(failure: Failure) -> Table:
    """Return the frame as it went in, as it was expected back and as it came, side by side."""
    shown = Table("  word", "entered", "expected", "actual", box=None, header_style="bold")
    for name, word in failure.words.items():
        style = "red" if word.differs else "dim"
        shown.add_row(
            f"{'> ' if word.differs else '  '}{name}",
            f"{word.entered:#x}",
            _expected(name, word),
            _value(name, word.actual),
            style=style,
        )
    return shown


def _expected(name: str, word: Word) -> str:
    if not word.compared:
        return "any"
    if word.compared == _ALL_BITS:
        return _value(name, word.expected)
    return f"{word.expected & word.compared:#x} in {word.compared:#x}"


def _value(name: str, value: int) -> str:
    if name == "tf_trapno" and value in Trap.__members__.values():
        return f"{value:#x} T_{Trap(value).name}"
    return f"{value:#x}"


def _code(failure: Failure) -> Iterator[Text]:
    """Yield the guest's code, with marks where it was expected to stop and where it did."""
    rip = failure.words.get("tf_rip")
    marks = (("expected rip", rip.expected), ("actual rip", rip.actual)) if rip else ()
    for line in disassemble(failure.code, _GUEST_CODE):
        here = [name for name, address in marks if address == line.address]
        yield Text(
            f"  {line.address:x}  {line.code.hex(' '):<24}  {line.text:<32}"
            f"{'  <- ' if here else ''}{', '.join(here)}".rstrip(),
            style="bold" if here else "dim",
        )


def write_junit(path: Path, checks: Iterable[Check]) -> None:
    """Write the results as JUnit XML.  Raises OSError."""
    suites = ElementTree.Element("testsuites")
    by_suite: dict[str, list[Check]] = {}
    for check in checks:
        by_suite.setdefault(f"{check.built.program.id} {check.built.abi}", []).append(check)
    for name, members in sorted(by_suite.items()):
        failures = sum(not check.passed for check in members)
        suite = ElementTree.SubElement(
            suites, "testsuite", name=name, tests=str(len(members)), failures=str(failures)
        )
        for check in members:
            case = ElementTree.SubElement(suite, "testcase", name=check.case.name, classname=name)
            if not check.passed:
                text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", plain(failure(check)))
                ElementTree.SubElement(case, "failure", message=check.case.title).text = text
    ElementTree.indent(suites)
    path.write_bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))


def plain(shown: RenderableType) -> str:
    """Return it as text without colours."""
    into = StringIO()
    Console(file=into, width=_PLAIN_WIDTH, color_system=None).print(shown)
    return "\n".join(line.rstrip() for line in into.getvalue().splitlines())
