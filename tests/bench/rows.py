"""What is measured, against what, and how much it may be.

Each function makes some lines of the table.  A line is measured in turns with what it is compared
with, in this process; where whole processes or their memory are compared, in children of it.
"""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from bench.engine_time import EngineTime
from bench.floor import Floor
from bench.guest import COMPUTATIONS, PROJECT, Each, assembled, demo, elf, program, run, source
from bench.measure import Effort, Measured, seconds
from bench.peak import STATUS
from bench.peers import peers
from bench.peers import seconds as seconds_among
from emu.abi.mman import Madv, Prot
from emu.abi.versions import ABI_2011
from emu.abi.x86 import PAGE_SIZE
from emu.cpu.engine import CpuEngine
from emu.kern.clock import VirtualClock
from emu.kern.file import standard_files
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace

F1, F2, RESET = "F1", "F2", "reset"
_FLOOR_COUNT = 5000
_WRITE = int(Prot.WRITE)


def hot_paths(effort: Effort) -> Iterator[Measured]:
    """The three hot paths, against the floor."""
    count = effort.count
    pages = -(-count(10_000) // 512) * 512  # whole page tables
    fault = {F1: 1, RESET: 1}
    yield from _against_floor(
        effort,
        (
            Measured("vmspace_ctl round trip", "F2", "us", 4.5, 3.0),
            Each("round_trip", count(30_000), SPACES=1),
            {F2: 1},
        ),
        (
            Measured("system call (getpid)", "F1", "us", 6.0, 4.0),
            Each("getpid", count(50_000)),
            {F1: 1},
        ),
        (
            Measured("zero-fill fault", "F1 + reset", "us", 6.0, 4.0),
            Each("zero_fill", count(20_000)),
            fault,
        ),
        (
            Measured("virtual-page-table fault", "F1 + reset", "us", 9.0, 6.0),
            Each("vpage_fault", pages, PAGES=pages),
            fault,
        ),
        (
            Measured("reflected page fault", "F2 + F1 + 2 resets", "us", 4.5, 3.0),
            Each("reflected", pages - 8, PAGES=pages),
            {F2: 1, F1: 1, RESET: 2},
        ),
        (
            Measured("copy-on-write fault", "F1 + reset", "us", 7.0, 5.0),
            Each("copy_on_write", pages, PAGES=pages),
            fault,
        ),
    )


def _against_floor(
    effort: Effort, *lines: tuple[Measured, Each, Mapping[str, int]]
) -> Iterator[Measured]:
    """Measure each line; the last word of it says how often each part of the floor counts."""
    floor = Floor()
    parts = {F1: floor.f1, F2: floor.f2, RESET: floor.reset}
    for _ in range(effort.turns):
        for line, operation, weights in lines:
            operation.measure()
            line.reference.append(
                sum(
                    weight * 1e6 * seconds(partial(parts[name], _FLOOR_COUNT)) / _FLOOR_COUNT
                    for name, weight in weights.items()
                )
            )
    for line, operation, _ in lines:
        line.subject = operation.microseconds()
        yield line


def computing(effort: Effort) -> Iterator[Measured]:
    """Guests that compute: on the bare engine, on ours, and with the ways to stop them."""
    for name, rounds in COMPUTATIONS.items():
        text = source(name, COUNT=effort.count(rounds))
        bare, code, flat = Floor(), assembled(text), elf(text)
        free = Measured(name, "plain Unicorn", "s", 1.1, 1.0)
        safe = Measured(f"{name}, safe stop installed", "without", "s", 2.0, 1.5)
        exact = Measured(f"{name}, exact budgets", "without", "s", 2.2, 1.5)
        for _ in range(effort.turns):
            plain, unarmed = bare.compute(code.code, code.labels["done"]), run(flat)
            free.add(unarmed, plain)
            safe.add(run(flat, prepare=_arm), unarmed)
            exact.add(run(flat, clock=VirtualClock()), unarmed)
        yield from (free, safe, exact)


def _arm(engine: CpuEngine) -> None:
    engine.arm()


def many_vmspaces(effort: Effort) -> Iterator[Measured]:
    """Round trips into one vmspace after the other."""
    count = effort.count(30_000)
    for spaces in (10, 100, 1000, 10_000) if effort.full else (10, 100, 1000):
        must, goal = (None, 1.3) if spaces == 10_000 else (1.3, 1.3)
        line = Measured(f"round trip, {spaces} vmspaces in turn", "with 1", "us", must, goal)
        many, one = (Each("round_trip", count, SPACES=n) for n in (spaces, 1))
        for _ in range(effort.turns):
            many.measure()
            one.measure()
        line.subject, line.reference = many.microseconds(), one.microseconds()
        yield line


def removal(effort: Effort) -> Iterator[Measured]:
    """Taking a whole address space with 1000 touched pages away, at once or page by page."""
    end = (1 << 47) - PAGE_SIZE
    touched = range(0, end, end // 1000 & -PAGE_SIZE)[:1000]

    def filled() -> Vmspace:
        space = Vmspace(PhysicalMemory(64 << 20), ABI_2011, grows=False)
        space.map_anonymous(0, end)
        for va in touched:
            space.fault(va, _WRITE)
        gc.collect()
        return space

    def unmap(space: Vmspace, va: int, size: int) -> None:
        space.munmap(va, size)

    def forget(space: Vmspace, va: int, size: int) -> None:
        space.advise(va, size, Madv.INVAL, 0)

    def one_by_one(remove: Callable[[Vmspace, int, int], None], space: Vmspace) -> None:
        for va in touched:
            remove(space, va, PAGE_SIZE)

    for what, remove in (("munmap", unmap), ("MADV_INVAL", forget)):
        line = Measured(f"{what} of 2^47 bytes", "1000 single pages", "ms", 1.0, 0.5)
        for _ in range(effort.turns):
            line.add(
                1e3 * seconds(partial(remove, filled(), 0, end)),
                1e3 * seconds(partial(one_by_one, remove, filled())),
            )
        yield line


def forking(effort: Effort) -> Iterator[Measured]:
    """fork(2) of a process with 10 000 touched pages."""
    pages = 10_000
    line = Measured("fork of 10 000 touched pages", "memcpy of the same", "ms", 0.3, 0.1)
    code = program("fork", PAGES=pages)
    size = pages * PAGE_SIZE
    original, copy = ((ctypes.c_char * size)() for _ in range(2))
    for buffer in original, copy:
        ctypes.memset(buffer, 1, size)
    for _ in range(effort.turns):
        with _output() as output:
            run(code, files=standard_files())
            output.seek(0)
            nanoseconds = int.from_bytes(output.read(), "little")
        line.add(1e-6 * nanoseconds, 1e3 * seconds(lambda: ctypes.memmove(copy, original, size)))
    yield line


def memory(effort: Effort) -> Iterator[Measured]:
    """What the emulator's memory grows by, as the host's kernel counts it."""
    if not STATUS.exists():
        return
    for what, guest, count, must, goal in (
        ("an idle vmspace", "create", 10_000, 4.0, 2.0),
        ("a touched page", "zero_fill", 50_000, 1 + 160 / PAGE_SIZE, 1 + 32 / PAGE_SIZE),
    ):
        line = Measured(f"memory of {what}", "4096 bytes", "bytes", must, goal)
        for _ in range(effort.turns // 2):
            peaks = [_peak(guest, n) for n in (count, 0)]
            line.add((peaks[0] - peaks[1]) / count, PAGE_SIZE)
        yield line


def _peak(guest: str, count: int) -> int:
    """Return the most memory, in bytes, of a process that runs `guest`."""
    command = [sys.executable, "-m", "bench.peak", guest, str(count)]
    return int(subprocess.run(command, capture_output=True, check=True, env=_environment()).stdout)


def starting(effort: Effort) -> Iterator[Measured]:
    """The whole process of the smallest program, with Python's byte code written before."""
    line = Measured("vkemu run hello.bin", "import unicorn", "ms", 2.0, 1.5)
    with TemporaryDirectory() as name:
        folder = Path(name)
        hello = folder / "hello.bin"
        hello.write_bytes(demo("hello"))
        environment = _environment(
            PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(folder / "byte code")
        )
        run_hello = partial(_process, environment, "-m", "emu", "run", str(hello))
        import_unicorn = partial(_process, environment, "-c", "import unicorn")
        run_hello(), import_unicorn()
        for _ in range(2 * effort.turns):
            line.add(1e3 * run_hello(), 1e3 * import_unicorn())
    yield line


def _process(environment: Mapping[str, str], *arguments: str) -> float:
    """Run Python with these arguments, and no output; return the seconds of CPU time."""
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    command = [sys.executable, *arguments]
    child = os.posix_spawn(command[0], command, environment, file_actions=[silent])
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def _environment(**more: str) -> Mapping[str, str]:
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    return {**os.environ, "PYTHONPATH": path, **more}


def whole_kernel(effort: Effort) -> Iterator[Measured]:
    """The demo: a virtual kernel from its start to its end."""
    line = Measured("the demo", "its time in the engine", "ms", 2.5, 2.0)
    code = demo("minivk")
    for _ in range(effort.turns):
        with _output():
            whole = run(code, files=standard_files())
            inside = EngineTime()
            run(code, files=standard_files(), prepare=inside.attach)
        line.add(1e3 * whole, 1e3 * inside.seconds)
    yield line


@contextmanager
def _output() -> Iterator[IO[bytes]]:
    """Have descriptor 1 be a temporary file for a while."""
    sys.stdout.flush()
    before = os.dup(1)
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield file
        finally:
            os.dup2(before, 1)
            os.close(before)


def beside_peers(effort: Effort) -> Iterator[Measured]:
    """The same programs under QEMU's user mode and Qiling, where they are there."""
    ours, *others = peers()
    for name in sorted({name for _, name in _PEER_LIMITS}):
        count = effort.count(GETPID_COUNT if name == "getpid" else COMPUTATIONS[name])
        with TemporaryDirectory() as folder:
            times = seconds_among(
                source(name, COUNT=count), [ours, *others], turns=effort.turns, folder=Path(folder)
            )
        for peer in others:
            if (limits := _PEER_LIMITS.get((peer.name, name))) is not None:
                line = Measured(name, peer.name, "s", *limits)
                line.add(times[ours.name], times[peer.name])
                yield line


_PEER_LIMITS: Mapping[tuple[str, str], tuple[float | None, float | None]] = {
    **{("qemu-user", name): (None, 3.0) for name in COMPUTATIONS},
    ("Qiling", "getpid"): (1 / 5, 1 / 8),
    ("Qiling", "sieve"): (1 / 5, 1 / 8),
    ("Qiling", "stores"): (None, 1 / 8),
}
GETPID_COUNT = 100_000

GROUPS: Mapping[str, Callable[[Effort], Iterator[Measured]]] = {
    "hot": hot_paths,
    "compute": computing,
    "vmspaces": many_vmspaces,
    "removal": removal,
    "fork": forking,
    "memory": memory,
    "start": starting,
    "demo": whole_kernel,
    "peers": beside_peers,
}
