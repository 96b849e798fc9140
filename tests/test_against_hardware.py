"""The emulated CPU does what the host's own CPU does, wherever no kernel is needed for it.

`make stress` makes more and more programs for as long as it is told, always the same ones in the
same order.  A failure shows the program and, as a case of its own, its first instruction that does
something else.
"""

import os
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest
from conftest import LONG
from hardware import native, rows_of_faults, rows_of_integers, rows_of_sse, rows_of_x87
from hardware.compare import differences, report
from hardware.emulated import EmulatedCpu
from hardware.generator import GROUPS, Group, Program
from hardware.known import KNOWN, SPOILED, first_difference, reason
from hardware.machine import Died
from hardware.native import NativeCpu
from hardware.table import Row, assembled, case_of, expectations, unmet
from hypothesis import HealthCheck, given, seed, settings

ROUND = 500
"""Programs from one seed."""

ROWS: list[Row] = [
    row
    for module in (rows_of_faults, rows_of_integers, rows_of_sse, rows_of_x87)
    for row in module.ROWS
]
INSTEAD = {name: actual for known in KNOWN for name, actual in known.rows.items()}


@pytest.fixture(scope="module")
def native_cpu() -> Iterator[NativeCpu]:
    cpu = native.start_or_skip()
    yield cpu
    cpu.close()


@pytest.fixture(scope="module")
def emulated_cpu() -> Iterator[EmulatedCpu]:
    cpu = EmulatedCpu()
    yield cpu
    cpu.close()


@pytest.fixture(scope="module")
def codes() -> dict[str, bytes]:
    return {row.name: code for row, code in zip(ROWS, assembled(ROWS), strict=True)}


def named(row: Row) -> str:
    return row.name


@pytest.mark.parametrize("row", [row for row in ROWS if row.offered], ids=named)
def test_the_hosts_cpu_does_as_the_table_says(
    row: Row, codes: dict[str, bytes], native_cpu: NativeCpu
) -> None:
    code = codes[row.name]
    assert unmet(native_cpu.run(case_of(row, code)), expectations(row, code)) == []


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_emulated_cpu_does_as_the_table_says_unless_it_is_known_not_to(
    row: Row, codes: dict[str, bytes], emulated_cpu: EmulatedCpu
) -> None:
    code = codes[row.name]
    expected = {**expectations(row, code), **INSTEAD.get(row.name, {})}
    assert unmet(emulated_cpu.run(case_of(row, code)), expected) == []


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.offered and row.compared and row.name not in INSTEAD],
    ids=named,
)
def test_what_the_table_does_not_say_is_the_same_on_both(
    row: Row, codes: dict[str, bytes], native_cpu: NativeCpu, emulated_cpu: EmulatedCpu
) -> None:
    case = case_of(row, codes[row.name])
    found = differences(native_cpu.run(case), emulated_cpu.run(case), row.undefined)
    assert not found, report(case, found)


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_what_is_known_to_be_different_is_in_the_table_and_is_different() -> None:
    rows = {row.name: row for row in ROWS}
    for name, actual in INSTEAD.items():
        row = rows[name]
        for what, value in actual.items():
            assert value not in as_set(row.expect.get(what)), (name, what)


def as_set(value: object) -> set[object]:
    return value if isinstance(value, set) else {value}


@pytest.mark.parametrize("group", GROUPS)
def test_programs_of_random_instructions_end_the_same_way_on_both(
    group: str, native_cpu: NativeCpu, emulated_cpu: EmulatedCpu, stress_seconds: float
) -> None:
    explained: dict[str, int] = {}

    def check(program: Program) -> None:
        compare(program, native_cpu, emulated_cpu, explained)

    simplest_that_fails(GROUPS[group], check)
    end = time.monotonic() + stress_seconds
    chance = Random(group)
    count = ROUND
    while LONG in os.environ and time.monotonic() < end:
        check(GROUPS[group].by_chance(chance))
        count += 1
    print(f"{group}: {count} programs; known differences:")
    for what, times in sorted(explained.items(), key=lambda item: -item[1]):
        print(f"  {times:7} {what}")


def simplest_that_fails(group: Group, check: Callable[[Program], None]) -> None:
    """Give `check` the same programs each time; if one fails, fail with the simplest that does."""
    fixed = settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        derandomize=False,  # the seed is enough
        suppress_health_check=list(HealthCheck),
    )
    seed(1)(fixed(given(group.programs())(check)))()


def compare(
    program: Program, native_cpu: NativeCpu, emulated_cpu: EmulatedCpu, explained: dict[str, int]
) -> None:
    """Fail if the program does not end in the same way on both, and it is not known why."""
    case = program.case
    try:
        one = native_cpu.run(case)
    except Died as death:
        raise AssertionError(f"the native CPU: {death}, from {case.code.hex()}") from None
    other = emulated_cpu.run(case)
    found = differences(one, other, program.undefined_at(one.rip))
    if not found:
        return
    step = first_difference(program, native_cpu.run, emulated_cpu.run)
    if step is None:
        # What was spoiled happened to be right this time.
        if any(it.kind.startswith(SPOILED) for it in program.instructions):
            return
        raise AssertionError(report(case, found) + "\nbut not if it is run step by step")
    why = reason(step)
    if why is None:
        raise AssertionError(f"{report(case, found)}\nfirst at\n{step.report()}")
    explained[why] = explained.get(why, 0) + 1
