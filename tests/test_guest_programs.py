"""The demonstrations do as they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import guest_programs
from emu.abi.versions import VERSIONS

PROGRAMS = Path(guest_programs.__path__[0])


def vkemu(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "emu", *map(str, args)], capture_output=True, text=True, timeout=60
    )


def demo(name: str, *options: str) -> str:
    """Run a demonstration, which must succeed without complaint, and return its output."""
    result = vkemu("run", *options, PROGRAMS / "demo" / name)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout


def test_hello() -> None:
    assert demo("hello.s") == "hello from a guest of vkemu\n"


def test_roundtrip_shows_the_frame_of_a_system_call() -> None:
    lines = [line.split()[:2] for line in demo("roundtrip.s").splitlines()]
    assert ["TF_RAX", "0x3e8"] in lines
    assert ["TF_RDI", "0x1111111111111111"] in lines
    assert ["TF_RCX", "0x4444444444444444"] in lines  # r10
    assert ["TF_RSP", "0x5e5e5e5e5e5e5e5e"] in lines
    assert ["TF_ERR", "0x2"] in lines


def words(output: str) -> list[str]:
    """Return the lines without what aligns them."""
    return [" ".join(line.split()) for line in output.splitlines()]


def table(lines: list[str], first_word: str) -> dict[int, dict[str, int | str]]:
    """Return a table of the report: number in the first column → column → value.

    "exit" and a status are one column, and so are "fp" and "loads".
    """
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [first_word])
    heads = lines[start].replace("fp loads", "fp_loads").split()
    rows = {}
    for line in lines[start + 1 : lines.index("", start)]:
        values = line.replace("exit ", "exit_").split()
        row = {h: int(v) if v.isdigit() else v for h, v in zip(heads, values, strict=True)}
        rows[int(row[first_word])] = row
    return rows


def total(rows: dict[int, dict[str, int | str]], column: str) -> int:
    return sum(int(row[column]) for row in rows.values())


@pytest.mark.parametrize("abi", VERSIONS)
@pytest.mark.parametrize("clock", ["host", "virtual"])
def test_minivk_runs_its_processes_on_two_cpus(clock: str, abi: str) -> None:
    """What must be so in whatever order the CPUs get on."""
    output = demo("minivk.s", "--abi", abi, "--clock", clock)
    lines = words(output)
    processes, cpus = table(lines, "pid"), table(lines, "cpu")
    ends = [(row["program"], row["end"]) for row in processes.values()]
    assert ends[:7] == [
        ("spinner", "T_ASTFLT"),
        ("spinner", "T_ASTFLT"),
        ("counter", "exit_0"),
        ("forker", "exit_3"),  # what the parent sees in its variable
        ("vandal", "T_PAGEFLT"),
        ("pi", "exit_314159265"),
        ("ln2", "exit_69314718"),
    ]
    children = {end: pid for pid, end in enumerate(ends[7:], 8)}
    forked, crashed = children["forker", "exit_2"], children["vandal", "T_DIVIDE"]
    shown = [re.sub(r"^\[cpu [01]\]", "[cpu]", line) for line in lines]
    for line in (
        "[pid 3] hello, I count from the number of my process on",
        "[pid 3] count 3",
        "[pid 3] count 4",
        "[pid 3] count 5",
        f"[cpu] pid 4 fork: pid {forked} has the same pages, read-only",
        "[pid 4] my value is 3",
        f"[pid {forked}] my value is 2",
        f"[pid {crashed}] I divide by zero",
        "[cpu] pid 5 write 0xdead0000 nothing is there",
        "[cpu] pid 6 uses the FP unit: its registers are loaded",
        "[pid 6] 3.14159265 is pi",
        "[pid 7] 0.69314718 is the logarithm of 2",
        "[cpu] pid 1 killed: it has used up its slices",
        "[cpu] pid 2 killed: it has used up its slices",
        "[cpu] halts",
        "everything is as it should be",
    ):
        assert shown.count(line) == 1, output
    for pid in (1, 2):
        # It never gives the CPU back, yet others had it in between.
        interrupted = [line for line in lines if f"pid {pid} interrupted at " in line]
        counts = [int(line.split()[-1]) for line in interrupted]
        assert len(counts) == 2 and counts[0] <= counts[1]
        if clock == "virtual":
            assert 0 < counts[0] < counts[1]
    assert sum("a copy of the shared one" in line for line in lines) == 1
    assert {pid for pid, row in processes.items() if row["fp_loads"]} == {6, 7}
    if clock == "virtual":
        assert total(processes, "moves") > 0
    assert all(row["switches"] and row["ticks"] for row in cpus.values())
    assert total(cpus, "fp_loads") == total(processes, "fp_loads")
    assert " in use, now 0;" in output
    assert len(lines) < 75


def test_minivk_says_the_same_every_time() -> None:
    options = "--clock", "virtual", "--trace"
    first, second = (vkemu("run", *options, PROGRAMS / "demo/minivk.s") for _ in range(2))
    assert first.returncode == 0
    assert (first.stdout, first.stderr) == (second.stdout, second.stderr)
