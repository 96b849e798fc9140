"""What a benchmark says follows from what it measured; every line of the table can be measured."""

import pytest
from bench import table
from bench.floor import Floor
from bench.guest import assembled, source
from bench.measure import Effort, Measured, seconds
from bench.rows import GROUPS

LEAST = Effort(turns=1, scale=0.001)


def measured(*, must: float | None = 4.0, goal: float | None = 2.0) -> Measured:
    line = Measured("a call", "the floor", "us", must, goal)
    for subject, reference in ((7.0, 2.0), (6.0, 2.5), (9.0, 3.0)):
        line.add(subject, reference)
    return line


def test_the_ratio_is_that_of_the_least_figures() -> None:
    assert measured().ratio == 3.0  # 6 / 2


def test_the_median_is_of_the_ratios_of_the_turns() -> None:
    assert measured().median_ratio == 3.0  # of 3.5, 2.4, 3


@pytest.mark.parametrize(
    ("must", "goal", "verdict"),
    [
        (2.9, 1.0, "MISSED"),
        (3.0, 2.9, "must"),
        (4.0, 3.0, "goal"),
        (None, 2.9, "no goal"),
        (None, 3.0, "goal"),
        (3.0, None, ""),
        (None, None, ""),
    ],
)
def test_the_verdict_is_what_the_ratio_reaches(
    must: float | None, goal: float | None, verdict: str
) -> None:
    assert measured(must=must, goal=goal).verdict == verdict


def test_the_readme_gets_a_row_a_line() -> None:
    assert table.markdown([measured(must=None)]) == (
        "| what | | against | | ratio | must | goal |\n"
        "|---|---:|---|---:|---:|---:|---:|\n"
        "| a call | 6 us | the floor | 2 us | **3.00** |  | 2.00 |\n"
    )


@pytest.mark.parametrize("name", ["hot", "compute", "removal", "vmspaces"])
def test_each_line_is_measured_in_its_turns(name: str) -> None:
    lines = list(GROUPS[name](LEAST))
    assert lines
    for line in lines:
        assert (len(line.subject), len(line.reference)) == (1, 1), line.what
        assert line.reference[0] > 0, line.what


def test_the_floor_computes_what_our_guests_do() -> None:
    code = assembled(source("xorshift", COUNT=1))
    assert seconds(lambda: Floor().compute(code.code, code.labels["done"])) > 0


def test_a_wrong_result_on_the_floor_is_no_time() -> None:
    code = assembled(source("xorshift", COUNT=1, EXPECT=1))
    with pytest.raises(AssertionError):
        Floor().compute(code.code, code.labels["done"])
