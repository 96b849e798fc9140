"""The same programs under vkemu and its peers: the host's CPU, QEMU's user mode and Qiling.

To the peers a program is one of Linux.  Its machine code differs in the numbers of the system
calls, and in nothing else.

The times are CPU times, which the machine's other work changes least.  They are those of a whole
process, except for Qiling's, which are those of its run() alone: its start takes longer than many
a run, and varies.  From each the time of a program that only exits is subtracted; both are the
least of several turns, in which all peers and both programs alternate.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.guest import COMPUTATIONS, PROJECT, elf, source
from syscalls.table import SYMBOLS

LINUX = {"SYS_getpid": 39, "SYS_exit": 60}
PROGRAMS = ("getpid", *COMPUTATIONS)
TURNS = 5

_NOTHING = """
    xor edi, edi
    mov eax, SYS_exit
    syscall
"""


class Failed(Exception):
    """The program did not end with status 0, so the time it took means nothing."""


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    system_calls: Mapping[str, int]
    run: Callable[[Path], float]
    """Run the executable; return the seconds that took.  Raises Failed."""


def peers() -> Sequence[Peer]:
    """Return vkemu and those that are there to compare it with."""
    found = [Peer("vkemu", SYMBOLS, _process(sys.executable, "-m", "emu", "run"))]
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        found.append(Peer("native", LINUX, _process()))
    if qemu := qemu_user():
        found.append(Peer("qemu-user", LINUX, _process(str(qemu))))
    if python := qiling_python():
        found.append(Peer("Qiling", LINUX, _qiling(python)))
    return found


def linux_elf(text: str) -> bytes:
    """Return a static executable of Linux that has the program `text`."""
    return elf(text, LINUX)


def qemu_user() -> Path | None:
    found = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    return Path(found) if found else None


def qiling_python() -> Path | None:
    """Return the Python that has Qiling, which `make bench-peers` makes."""
    place = PROJECT / "build/bench-qiling"
    installed = any(place.glob("lib/python*/site-packages/qiling"))
    return place / "bin/python" if installed else None


def seconds(
    text: str, among: Sequence[Peer], *, turns: int = TURNS, folder: Path
) -> Mapping[str, float]:
    """Return how long the program `text` takes each peer, by its name.

    `folder` is for the executables.  Raises Failed.
    """
    runs: dict[tuple[str, str], list[float]] = {}
    for _ in range(turns):
        for peer in among:
            for name, program in (("nothing", _NOTHING), ("program", text)):
                path = folder / f"{peer.name}-{name}"
                if (peer.name, name) not in runs:
                    path.write_bytes(elf(program, peer.system_calls))
                    path.chmod(0o700)
                runs.setdefault((peer.name, name), []).append(peer.run(path))
    return {
        peer.name: min(runs[peer.name, "program"]) - min(runs[peer.name, "nothing"])
        for peer in among
    }


def _process(*command: str) -> Callable[[Path], float]:
    """Return what runs a program with `command` before it, and counts the whole process."""

    def run(program: Path) -> float:
        arguments = [*command, str(program)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        child = os.posix_spawn(arguments[0], arguments, environment)
        _, status, usage = os.wait4(child, 0)
        if status:
            raise Failed(f"{' '.join(arguments)}: status {os.waitstatus_to_exitcode(status)}")
        return usage.ru_utime + usage.ru_stime

    return run


def _qiling(python: Path) -> Callable[[Path], float]:
    script = Path(__file__).with_name("qiling_run.py")

    def run(program: Path) -> float:
        done = subprocess.run(
            [python, script, program], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"Qiling: {done.stderr.strip()}")
        return float(done.stdout)

    return run


def main() -> None:
    among = peers()
    print(f"{'CPU seconds':12}", *(f"{peer.name:>10}" for peer in among))
    for name in PROGRAMS:
        with TemporaryDirectory() as folder:
            times = seconds(source(name), among, folder=Path(folder))
        print(f"{name:12}", *(f"{times[peer.name]:10.3f}" for peer in among), flush=True)


if __name__ == "__main__":
    main()
