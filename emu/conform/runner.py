"""Running conformance programs, each in an emulator of its own, and what came of every case."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from emu.abi.versions import VERSIONS
from emu.conform import tap
from emu.conform.suite import Built, Case, Program, build, executable
from emu.conform.tap import Failure

_TIMEOUT = 60  # seconds of the host: a program that hangs is a failure


@dataclass(frozen=True, slots=True)
class Check:
    """A case, and how it went in one version.  `silent` says why there is no verdict."""

    built: Built
    case: Case
    failure: Failure | None = None
    silent: str = ""
    remarks: Sequence[str] = ()

    @property
    def id(self) -> str:
        return f"{self.built.program.id}:{self.case.name}"

    @property
    def passed(self) -> bool:
        return self.failure is None and not self.silent


def selected(pattern: str | None, program: Program, case: Case) -> bool:
    """Tell whether `pattern` means the case.

    It is a rule, or a section of them; or SUBJECT, SUBJECT/PROGRAM or SUBJECT/PROGRAM:CASE, in
    which `*` stands for anything.
    """
    if pattern is None:
        return True
    if pattern[:1].isdigit():
        return any(f"{rule}.".startswith(f"{pattern}.") for rule in case.rules)
    names = (program.subject, program.id, f"{program.id}:{case.name}")
    return any(fnmatchcase(name, pattern) for name in names)


def may_be_selected(pattern: str | None, program: Program) -> bool:
    """Tell whether `pattern` can mean a case of the program, whatever cases it has."""
    if pattern is None or pattern[:1].isdigit():
        return True
    return any(
        fnmatchcase(name, pattern.partition(":")[0]) for name in (program.subject, program.id)
    )


def build_all(programs: Iterable[Program], versions: Collection[str], jobs: int) -> Iterator[Built]:
    """Assemble every program for every version, `jobs` at a time.  Raises AsmError."""
    with ThreadPoolExecutor(jobs) as pool:
        for version in versions:
            yield from pool.map(lambda program, v=version: build(program, VERSIONS[v]), programs)


def run_all(builts: Sequence[Built], clock: str, jobs: int) -> Iterator[Sequence[Check]]:
    """Run the programs, `jobs` at a time; yield the checks of each as it ends."""
    with tempfile.TemporaryDirectory(prefix="vkemu-") as folder, ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Sequence[Check]]] = []
        for number, built in enumerate(builts):
            path = Path(folder, str(number))
            path.write_bytes(executable(built.assembly.code))
            futures.append(pool.submit(_run, built, path, clock))
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _run(built: Built, path: Path, clock: str) -> Sequence[Check]:
    options = ["--abi", built.abi, "--clock", clock, "--timeout", str(_TIMEOUT)]
    done = subprocess.run(
        [sys.executable, "-m", "emu", "run", *options, path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    said = done.stderr.strip().splitlines()
    how = f"it ended with status {done.returncode}" + (f": {said[-1]}" if said else "")
    return checks(built, done.stdout, how)


def checks(built: Built, output: str, how_it_ended: str) -> Sequence[Check]:
    """Return what `output` says of each case of the program."""
    report = tap.parse(output)
    found = []
    for case in built.cases:
        verdict = report.verdict_of(case.name)
        if verdict is None:
            found.append(Check(built, case, silent=how_it_ended, remarks=report.remarks))
        else:
            remarks = report.remarks if verdict.failure else ()
            found.append(Check(built, case, verdict.failure, remarks=remarks))
    return found


def check_results(
    builts: Sequence[Built], read: Callable[[Built], str | None]
) -> Iterator[Sequence[Check]]:
    """As run_all(), for programs that have run elsewhere: `read` returns what each one printed."""
    for built in builts:
        output = read(built)
        yield checks(built, output or "", "no results" if output is None else "it ended early")
