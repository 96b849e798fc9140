"""The rules of the specification, and which cases check them (conformance/rules.toml)."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from emu.conform.suite import Built


@dataclass(frozen=True, slots=True)
class Rule:
    """`uncovered` says why no case checks it; empty if some do."""

    id: str
    statement: str
    uncovered: str


def rules() -> Sequence[Rule]:
    """Return the rules in the order of the specification."""
    source = files("guest_programs").joinpath("conformance/rules.toml").read_bytes()
    sections = tomllib.loads(source.decode())
    uncovered = sections.pop("uncovered")
    return [
        Rule(rule, statement, uncovered.get(rule, ""))
        for section, statements in sections.items()
        for rule, statement in ((f"{section}.{n}", text) for n, text in statements.items())
    ]


def coverage(builts: Iterable[Built]) -> Mapping[str, Sequence[str]]:
    """Return rule → the cases that cite it, whether there is such a rule or not."""
    citing: dict[str, dict[str, None]] = {}
    for built in builts:
        for case in built.cases:
            for rule in case.rules:
                citing.setdefault(rule, {})[f"{built.program.id}:{case.name}"] = None
    return {rule: list(cases) for rule, cases in citing.items()}


def table(builts: Iterable[Built]) -> Iterator[str]:
    """Yield the lines of the coverage table, in Markdown."""
    citing = coverage(builts)
    yield "# What the conformance suite checks"
    yield ""
    yield "Made by `vkemu conform --rules`.  Each rule of the specification, and the cases that"
    yield "check it, or why none does."
    yield ""
    yield "| rule | says | checked by |"
    yield "| --- | --- | --- |"
    for rule in rules():
        why_none = rule.uncovered or "No case in these versions"
        cases = ", ".join(_shortened(citing.get(rule.id, ()))) or _cell(f"*{why_none}*")
        yield f"| {rule.id} | {_cell(rule.statement)} | {cases} |"


def _shortened(cases: Sequence[str]) -> Iterator[str]:
    """Yield `program:case` once, and further cases of the same program as `:case`."""
    previous = ""
    for case in cases:
        program, name = case.split(":")
        yield f"`:{name}`" if program == previous else f"`{case}`"
        previous = program


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
