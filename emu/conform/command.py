"""The command `vkemu conform`."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from emu.abi.versions import VERSIONS
from emu.messages import fail, output_width

if TYPE_CHECKING:
    from emu.conform.runner import Check
    from emu.conform.suite import Built

T = TypeVar("T")


@click.command(short_help="Check the facility against its specification.")
@click.argument("pattern", required=False)
@click.option(
    "--abi",
    "versions",
    type=click.Choice(list(VERSIONS)),
    multiple=True,
    help="Version of the facility.  [default: all of them]",
)
@click.option("--list", "only_list", is_flag=True, help="Print the cases and run nothing.")
@click.option("--rules", "only_rules", is_flag=True, help="Print which cases check which rule.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the results as JUnit XML.")
@click.option(
    "--build",
    "build_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the executables to DIRECTORY and run nothing.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Judge what executables printed elsewhere: DIRECTORY/….tap.",
)
@click.option(
    "--clock",
    type=click.Choice(["host", "virtual"]),
    default="virtual",
    show_default=True,
    help="As for vkemu run.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Programs at a time.  [default: one a CPU]"
)
def conform(
    pattern: str | None,
    versions: tuple[str, ...],
    only_list: bool,
    only_rules: bool,
    junit: Path | None,
    build_dir: Path | None,
    results: Path | None,
    clock: str,
    jobs: int | None,
) -> NoReturn:
    """Run the conformance programs and show what holds, by subject and version.

    PATTERN picks cases: SUBJECT, SUBJECT/PROGRAM or SUBJECT/PROGRAM:CASE, in which * stands for
    anything; or a rule (6.13.4) or section (6.13) of the specification, which --rules shows.

    The exit status is 0 if every case has passed, else 1.

    To judge another implementation, make the executables with --build DIRECTORY, run each of them
    there with its standard output in a file of the same name with .tap added, and judge these
    files with --results DIRECTORY.
    """
    instead = {
        "--list": only_list,
        "--rules": only_rules,
        "--build": build_dir is not None,
        "--results": results is not None,
    }
    given = [option for option, is_given in instead.items() if is_given]
    if len(given) > 1:
        fail(f"{' and '.join(given)}: choose one")
    if junit is not None and given and results is None:
        fail(f"--junit: with {given[0]} there are no results to write")
    if only_rules and pattern is not None:
        fail("--rules shows all rules; leave the pattern out")
    jobs = jobs or os.cpu_count() or 1
    versions = tuple(version for version in VERSIONS if version in versions) or tuple(VERSIONS)
    builts = _build(pattern, versions, jobs)
    if only_rules:
        from emu.conform.rules import table

        for line in table(builts):
            click.echo(line)
        sys.exit(0)
    if only_list:
        _list(builts, pattern)
        sys.exit(0)
    if build_dir is not None:
        _write_executables(builts, build_dir)
        sys.exit(0)

    from emu.conform.runner import check_results, run_all

    if results is None:
        runs = run_all(builts, clock, jobs)
    else:
        runs = check_results(builts, _reader(results, builts))
    sys.exit(_show(runs, builts, pattern, versions, junit))


def _build(pattern: str | None, versions: Collection[str], jobs: int) -> "Sequence[Built]":
    """Return the programs that have cases `pattern` means."""
    from emu.asm import AsmError
    from emu.conform.runner import build_all, may_be_selected, selected
    from emu.conform.suite import programs

    wanted = [program for program in programs() if may_be_selected(pattern, program)]
    try:
        total = len(wanted) * len(versions)
        builts = [
            built
            for built in _counted("assembling", build_all(wanted, versions, jobs), total)
            if any(selected(pattern, built.program, case) for case in built.cases)
        ]
    except AsmError as error:
        fail(str(error))
    if not builts:
        of = "" if len(versions) == len(VERSIONS) else f" of {', '.join(versions)}"
        fail(f"no case{of} is meant by {pattern!r}; vkemu conform --list shows them")
    return builts


def _counted(what: str, things: "Iterable[T]", total: int) -> "Iterator[T]":
    """Yield `things`, and show on a terminal how many of all there have been."""
    from rich.console import Console
    from rich.progress import Progress

    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        yield from progress.track(things, total, description=what)


def _list(builts: "Sequence[Built]", pattern: str | None) -> None:
    from emu.conform.runner import selected

    shown: dict[str, list[str]] = {}
    lines: dict[str, str] = {}
    for built in builts:
        for case in built.cases:
            if selected(pattern, built.program, case):
                name = f"{built.program.id}:{case.name}"
                shown.setdefault(name, []).append(built.abi)
                lines[name] = f"{case.title} [{' '.join(case.rules)}]"
    everywhere = {built.abi for built in builts}
    for name, where in shown.items():
        only = "" if len(where) == len(everywhere) else f" ({', '.join(where)})"
        click.echo(f"{name}{only}  {lines[name]}")


def _write_executables(builts: "Sequence[Built]", folder: Path) -> None:
    from emu.conform.suite import executable

    try:
        for built in builts:
            path = folder / _file_name(built)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(executable(built.assembly.code))
            path.chmod(0o755)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    click.echo(f"{len(builts)} executables in {folder}")


def _reader(folder: Path, builts: "Sequence[Built]") -> "Callable[[Built], str | None]":
    """Return what reads the output of a program.  One that has not run is a program's failure."""

    def path_of(built: "Built") -> Path:
        return folder / f"{_file_name(built)}.tap"

    def read(built: "Built") -> str | None:
        path = path_of(built)
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            fail(f"{path}: {error.strerror}")

    if not any(path_of(built).exists() for built in builts):
        fail(f"{folder}: no program has run there: not even {path_of(builts[0])} is there")
    return read


def _file_name(built: "Built") -> str:
    return f"{built.abi}/{built.program.subject}-{built.program.name}"


def _show(
    runs: "Iterator[Sequence[Check]]",
    builts: "Sequence[Built]",
    pattern: str | None,
    versions: Sequence[str],
    junit: Path | None,
) -> int:
    """Show the results as they come, and all in all.  Return the exit status."""
    from rich.console import Console

    from emu.conform.runner import selected
    from emu.conform.show import failure, matrix, write_junit

    console = Console(highlight=False, width=output_width())
    checks: list[Check] = []
    for run in _counted("running", runs, len(builts)):
        checks += [check for check in run if selected(pattern, check.built.program, check.case)]
    checks.sort(key=lambda check: (check.built.program, check.built.abi))
    failed = [check for check in checks if not check.passed]
    for check in failed:
        console.print(failure(check))
    console.print(matrix(checks, versions))
    console.print(
        f"\n{len(checks)} checks, {len(failed)} failed"
        if failed
        else f"\n{len(checks)} checks, all passed"
    )
    if junit is not None:
        try:
            write_junit(junit, checks)
        except OSError as error:
            fail(f"{junit}: {error.strerror}")
    return 1 if failed else 0
