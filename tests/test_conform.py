"""The conformance suite: every case holds, every rule has a case, and what fails is shown."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Booted

import guest_programs
from emu.abi.versions import ABI_2011, VERSIONS
from emu.conform.rules import coverage, rules, table
from emu.conform.runner import Check, checks, may_be_selected, selected
from emu.conform.show import failure, plain, write_junit
from emu.conform.suite import Built, Case, Program, build, executable, programs
from emu.conform.tap import Report, parse
from emu.kern.file import standard_files

PROGRAMS = programs()


@cache
def built_for(program: Program, abi: str) -> Built:
    return build(program, VERSIONS[abi])


COVERAGE = Path(guest_programs.__path__[0]) / "conformance/COVERAGE.md"
FEWEST_CASES = 2400


@pytest.fixture(scope="module")
def builts() -> list[Built]:
    return [built_for(program, abi) for abi in VERSIONS for program in PROGRAMS]


@pytest.mark.parametrize("abi", VERSIONS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_every_case_holds(
    program: Program, abi: str, boot: Callable[..., Booted], capfd: pytest.CaptureFixture[str]
) -> None:
    built = built_for(program, abi)
    machine = boot(executable(built.assembly.code), abi=VERSIONS[abi], files=standard_files())
    status = machine.run()
    ended = f"it ended with status {status}: {machine.told}"
    found = checks(built, capfd.readouterr().out, ended)
    assert not [plain(failure(check)) for check in found if not check.passed]
    assert status == 0
    assert not [line for line in machine.told if " ended by SIG" not in line]  # of children


# What the suite consists of.


def test_each_version_has_its_cases(builts: list[Built]) -> None:
    for abi in VERSIONS:
        ids = [f"{b.program.id}:{case.name}" for b in builts if b.abi == abi for case in b.cases]
        assert len(ids) == len(set(ids))
        assert len(ids) >= FEWEST_CASES


def test_cases_are_about_rules_that_there_are(builts: list[Built]) -> None:
    assert not coverage(builts).keys() - {rule.id for rule in rules()}


def test_each_rule_has_a_case_or_a_reason(builts: list[Built]) -> None:
    covered = coverage(builts)
    for rule in rules():
        assert (rule.id in covered) != bool(rule.uncovered), rule


def test_the_table_of_what_is_covered_is_the_present_one(builts: list[Built]) -> None:
    lines = COVERAGE.read_text().splitlines()
    assert lines == list(table(builts)), "make it anew: vkemu conform --rules > COVERAGE.md"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_a_program_begins_with_what_it_is_about(program: Program) -> None:
    assert program.path.read_text().startswith("# ")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_titles_fit_on_a_line(program: Program) -> None:
    for case in (case for abi in VERSIONS for case in built_for(program, abi).cases):
        assert 0 < len(case.title) <= 90 and not case.title.endswith("."), case


# How a check can fail.


@pytest.fixture
def report_of(
    tmp_path: Path, boot: Callable[..., Booted], capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Built, Report, int]]:
    """Run cases that are given as text; return the program, its report, and its exit status."""

    def run(*sources: str, setup: str = "") -> tuple[Built, Report, int]:
        path = tmp_path / "made_up.s"
        text = "".join(
            f'CASE case{n}, "1.1.1", "what is so"\n{source}\n' for n, source in enumerate(sources)
        )
        path.write_text(f'.include "conformance/conform.inc"\n{setup}\n{text}\nFINISH\n')
        built = build(Program("tests", "made_up", path), ABI_2011)
        status = boot(executable(built.assembly.code), files=standard_files()).run()
        return built, parse(capfd.readouterr().out), status

    return run


def shown(built: Built, report: Report) -> str:
    [verdict] = report.verdicts
    check = Check(built, verdict.case, verdict.failure, remarks=report.remarks)
    return plain(failure(check))


def test_cases_that_hold_are_ok(report_of: Callable[..., tuple[Built, Report, int]]) -> None:
    built, report, status = report_of("EQUAL 5, 5", "SYSCALL SYS_getpid\nOK")
    assert [(v.case.name, v.failure) for v in report.verdicts] == [("case0", None), ("case1", None)]
    assert built.cases[1] == Case("case1", ("1.1.1",), "what is so")
    assert status == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("SYSCALL SYS_close, 99\nOK", "made_up.s:5: OK\n  the call was refused with EBADF"),
        (
            "SYSCALL SYS_umask, 0\nREFUSED ERRNO_EINVAL",
            "made_up.s:5: REFUSED ERRNO_EINVAL\n"
            "  the call succeeded with 0x12; EINVAL was expected",
        ),
        (
            "SYSCALL SYS_close, 99\nREFUSED ERRNO_EINVAL",
            "made_up.s:5: REFUSED ERRNO_EINVAL\n  the call was refused with EBADF, not EINVAL",
        ),
        (
            "EQUAL 5, 6",
            "made_up.s:4: EQUAL 5, 6\n  0x5 is there, 0x6 was expected",
        ),
        ("WORD frame, 6", "made_up.s:4: WORD frame, 6\n  0x0 is there, 0x6 was expected"),
        ("BITS 0xff, 15, 1", "made_up.s:4: BITS 0xff, 15, 1\n  0xf is there, 0x1 was expected"),
        ("NEVER", "made_up.s:4: NEVER\n  this should not be reached"),
    ],
)
def test_a_failed_check_is_shown_with_its_source(
    report_of: Callable[..., tuple[Built, Report, int]], source: str, said: str
) -> None:
    built, report, status = report_of(source)
    assert shown(built, report) == (f"tests/made_up:case0 (2011)  what is so  [1.1.1]\n  {said}\n")
    assert status == 1


def test_the_cases_behind_a_failed_one_are_judged(
    report_of: Callable[..., tuple[Built, Report, int]],
) -> None:
    _, report, status = report_of(
        "EQUAL 1, 1", "push 5\nNEVER", "EQUAL 2, 2", "NEVER", "EQUAL 1, 1"
    )
    assert [verdict.failure is None for verdict in report.verdicts] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert status == 1


def test_a_frame_is_shown_side_by_side_with_the_code(
    report_of: Callable[..., tuple[Built, Report, int]],
) -> None:
    built, report, status = report_of(
        'GUEST "xor ecx, ecx; div ecx"\nWANT RCX, 1\nWANT_BITS RFLAGS, PSL_C, 0\n'
        "EXPECT T_BPTFLT, CODE\nRUN",
        setup="PLAIN_SPACE",
    )
    lines = [re.sub(r" +", " ", line).strip() for line in shown(built, report).splitlines()]
    assert lines[1:3] == ["made_up.s:8: RUN", "word entered expected actual"]
    for line in (
        "tf_rdi 0x101010101010101 0x101010101010101 0x101010101010101",
        "> tf_rcx 0x404040404040404 0x1 0x0",
        "> tf_trapno 0x1111111111111111 0x3 T_BPTFLT 0x12 T_DIVIDE",
        "tf_flags 0x1313131313131313 any 0x1313131313131313",
        "tf_rflags 0x202 0x0 in 0x1 0x10246",
        "> tf_rip 0x20000 0x20000 0x20002",
        "20000 31 c9 xor ecx, ecx <- expected rip",
        "20002 f7 f1 div ecx <- actual rip",
    ):
        assert line in lines
    assert status == 1


FRAME_REPORT = """\
TAP version 14
1..1
not ok 1 - one [1.1.1] what is so
  ---
  at: 0x0000000000400010
  kind: frame
  code: 0x90cc
  words:
    tf_rdi: [0x0000000000000001, 0x0000000000000002, 0xffffffffffffffff, 0x0000000000000003]
    tf_rip: [0x0000000000020000, 0x0000000000020000, 0xffffffffffffffff, 0x0000000000020001]
  ...
"""


def test_a_report_that_breaks_off_is_shown_as_far_as_it_goes() -> None:
    built = built_for(PROGRAMS[0], "2011")
    for length in range(FRAME_REPORT.index("  ---"), len(FRAME_REPORT) + 1):
        report = parse(FRAME_REPORT[:length])
        assert shown(built, report).startswith(f"{PROGRAMS[0].id}:one (2011)  what is so  [1.1.1]")
    assert "> tf_rdi" in shown(built, parse(FRAME_REPORT[: FRAME_REPORT.index("    tf_rip")]))
    assert "20001  cc" in shown(built, report)


def test_what_xml_cannot_say_is_replaced(tmp_path: Path) -> None:
    built = built_for(PROGRAMS[0], "2011")
    write_junit(tmp_path / "junit.xml", checks(built, "\x1b[31m\0\x01 \ud800 said", "it ended"))
    [suite] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failure_text = suite[0][0].text
    assert failure_text is not None and "\ufffd[31m\ufffd\ufffd \ufffd said" in failure_text


def test_a_check_in_a_child_process_ends_the_child(
    report_of: Callable[..., tuple[Built, Report, int]],
) -> None:
    built, report, _ = report_of(
        "SYSCALL SYS_fork\ntest edx, edx\njz 1f\nEQUAL 7, 8\n"
        "1: SYSCALL SYS_wait4, rax, frame, 0, 0\nWORD frame, 0"
    )
    said = shown(built, report)
    assert "0x100 is there, 0x0 was expected" in said
    assert "in a child process, a check failed at" in said
    assert "expected 0x0000000000000008, actual 0x0000000000000007" in said


def test_a_check_in_another_thread_fails_the_case(
    report_of: Callable[..., tuple[Built, Report, int]],
) -> None:
    built, report, _ = report_of(
        "mov qword ptr [frame], thread\nlea rax, [rsp-4096]\nmov [frame+16], rax\n"
        "SYSCALL SYS_lwp_create, frame\nOK\njmp 2f\nthread: NEVER\n"
        "2: SYSCALL SYS_sched_yield\ncmp qword ptr [conform_elsewhere], 0\nje 2b"
    )
    assert "made_up.s:10: thread: NEVER" in shown(built, report)
    assert "in another thread" in shown(built, report)


def test_a_set_up_that_fails_ends_the_program(
    report_of: Callable[..., tuple[Built, Report, int]],
) -> None:
    built, report, status = report_of("EQUAL 1, 1", setup="SYSCALL SYS_close, 99\nOK")
    assert (report.verdicts, status) == ([], 255)
    [check] = checks(built, "Bail out! set-up failed at 0x1", "it ended with status 255")
    assert plain(failure(check)).splitlines()[1:] == [
        "  no verdict: it ended with status 255",
        "  Bail out! set-up failed at 0x1",
    ]


# The command.


def conform(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "emu", "conform", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"COLUMNS": "100"},
    )


def test_the_command_shows_a_matrix() -> None:
    result = conform("leaving/exceptions", "--abi", "2011", "--abi", "2020", "--jobs", "2")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["subject", "2011", "2020"]
    assert lines[1][0] == "leaving" and lines[1][1] == lines[1][2]
    assert lines[-1][1:] == ["checks,", "all", "passed"]


def test_the_command_lists_cases() -> None:
    result = conform("*/exceptions:div_[13]*", "--list")
    assert result.stdout.splitlines() == [
        "leaving/exceptions:div_16  DIV of a word by 0 is T_DIVIDE [7.2.10 3.4.1 12.1]",
        "leaving/exceptions:div_32  DIV of a double word by 0 is T_DIVIDE [7.2.10 3.4.1 12.1]",
    ]


def test_a_pattern_that_means_nothing_is_refused() -> None:
    result = conform("no/such")
    assert result.returncode == 2
    assert (
        result.stderr == "vkemu: no case is meant by 'no/such'; vkemu conform --list shows them\n"
    )


def test_a_case_that_a_version_does_not_have_is_refused() -> None:
    result = conform("tables/no_execute:nx_given", "--abi", "2011", "--abi", "2014")
    assert result.returncode == 2
    assert "no case of 2011, 2014 is meant by 'tables/no_execute:nx_given'" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--list", "--rules"], "--list and --rules: choose one"),
        (["--build", "x", "--results", "."], "--build and --results: choose one"),
        (["--junit", "x", "--list"], "--junit: with --list there are no results to write"),
        (["--rules", "6.13"], "--rules shows all rules; leave the pattern out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], said: str) -> None:
    result = conform(*options)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"vkemu: {said}\n"


def test_a_rule_without_a_case_in_the_versions_chosen_says_so(builts: list[Built]) -> None:
    lines = list(table(built for built in builts if built.abi == "2011"))
    assert any(
        line.startswith("| 1.4.5 |") and line.endswith("| *No case in these versions* |")
        for line in lines
    )


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("leaving", True),
        ("leaving/exceptions", True),
        ("leaving/exceptions:divide", True),
        ("*:div*", True),
        ("6.13", True),
        ("6.13.4", True),
        ("6.1", False),
        ("6", True),
        ("leav", False),
        ("entering", False),
    ],
)
def test_a_pattern_means_cases_by_name_or_by_rule(pattern: str, meant: bool) -> None:
    program = Program("leaving", "exceptions", Path())
    assert selected(pattern, program, Case("divide", ("6.13.4",), "")) is meant
    assert may_be_selected(pattern, program) or not meant


def test_executables_can_be_judged_elsewhere(tmp_path: Path) -> None:
    assert conform("leaving/exceptions", "--abi", "2011", "--build", tmp_path).returncode == 0
    program = tmp_path / "2011/leaving-exceptions"
    ran = subprocess.run([sys.executable, "-m", "emu", "run", program], capture_output=True)
    results = program.with_name("leaving-exceptions.tap")
    results.write_bytes(ran.stdout.replace(b"ok 1 - ", b"not ok 1 - "))
    junit = tmp_path / "junit.xml"
    judged = conform("leaving/exceptions", "--abi", "2011", "--results", tmp_path, "--junit", junit)
    assert judged.returncode == 1
    assert judged.stdout.startswith("leaving/exceptions:div_8 (2011)")
    [suite] = ElementTree.parse(junit).getroot()
    assert (suite.get("name"), suite.get("failures")) == ("leaving/exceptions 2011", "1")
    assert [case.get("name") for case in suite if len(case)] == ["div_8"]
    results.rename(tmp_path / "2011/leaving-interrupts.tap")
    judged = conform("leaving/[ei]*s", "--abi", "2011", "--results", tmp_path)
    assert "no verdict: no results" in judged.stdout
    assert "no verdict: it ended early" in judged.stdout
    judged = conform("leaving/exceptions", "--abi", "2011", "--results", tmp_path)
    assert (judged.returncode, judged.stdout) == (2, "")
    assert judged.stderr == (
        f"vkemu: {tmp_path}: no program has run there: not even {results} is there\n"
    )
