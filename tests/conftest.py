"""The machine in small: what most tests start from."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from emu import trap
from emu.abi.errno import Errno
from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011, AbiVersion
from emu.abi.x86 import Rflags
from emu.asm import assemble_text
from emu.cpu.unicorn_engine import UnicornEngine
from emu.kern.clock import Clock, VirtualClock
from emu.kern.file import FileTable
from emu.kern.proc import Kernel, Lwp, Proc
from emu.kern.sendsig import userret
from emu.kern.tree import Tree
from emu.loader import LoadOptions, exec_setregs, load
from emu.machine import Machine
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace
from syscalls.table import SYMBOLS, TABLE, dispatch

# A busy machine is no bug, and a fixed build must not find a new one.
settings.register_profile("vkemu", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vkemu")

PROJECT = Path(__file__).parent.parent
# A shell starts what it runs in the background with some of these ignored, and so would be the
# emulators and their guests.
for _number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

DEFAULT_STRESS = 1.0
LONG = "VKEMU_LONG_FUZZ"

MEMORY = 64 << 20
LOAD_ADDRESS = 0x400000

NUMBERS = {call.name: number for number, call in TABLE.items()}
ARGUMENT_SLOTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # slot rcx carries R10


class Booted:
    """A machine with an assembled program in it, and what it told the user."""

    def __init__(
        self,
        source: str | bytes,
        *,
        abi: AbiVersion = ABI_2011,
        memory: int = MEMORY,
        vkernel_enable: bool = True,
        vmspace_io: bool = False,
        net: bool = False,
        limit: int | None = None,
        clock: Clock | None = None,
        argv: Sequence[bytes] = (b"test",),
        files: FileTable | None = None,
    ) -> None:
        self.told: list[str] = []
        phys = PhysicalMemory(memory)
        kernel = Kernel(
            abi=abi,
            phys=phys,
            clock=clock or VirtualClock(),
            tree=Tree.scratch(limit=limit),
            tell=self.told.append,
            vkernel_enable=vkernel_enable,
            vmspace_io=vmspace_io,
            net=net,
        )
        engine = UnicornEngine(phys)
        proc = Proc(kernel, Vmspace(phys, abi, grows=True), files or FileTable())
        self.lwp = Lwp(proc, engine)
        code = source if isinstance(source, bytes) else assembled(source, abi)
        image = load(proc, code, argv, options=LoadOptions(load_addr=LOAD_ADDRESS))
        exec_setregs(self.lwp, image)
        self.machine = Machine(self.lwp)

    def run(self) -> int:
        """Run to the end; return the exit status."""
        return self.machine.run()

    def close(self) -> None:
        self.machine.close()
        self.lwp.proc.kernel.tree.close()


def assembled(source: str, abi: AbiVersion = ABI_2011) -> bytes:
    """Assemble `source` with the macros of vkemu.inc."""
    symbols = {**abi_symbols(abi), **SYMBOLS}
    text = f'.include "vkemu.inc"\n{source}\n'
    return assemble_text(text, "test.s", origin=LOAD_ADDRESS, symbols=symbols).code


def call(lwp: Lwp, name: str, *args: int) -> int | Errno:
    """Make a system call the way user code does; return its value, or the Errno.

    Arguments beyond the sixth go where the stack pointer says.
    """
    frame = lwp.frame
    frame.rax = NUMBERS[name]
    for slot, value in zip(ARGUMENT_SLOTS, args, strict=False):
        setattr(frame, slot, value & (1 << 64) - 1)
    for at, value in enumerate(args[6:]):
        lwp.proc.vmspace.copyout(
            frame.rsp + 8 + 8 * at, (value & (1 << 64) - 1).to_bytes(8, "little")
        )
    dispatch(lwp)
    return Errno(frame.rax) if frame.rflags & Rflags.C else frame.rax


def step(lwp: Lwp) -> None:
    """Let `lwp` run to its next way out of the engine, and deal with that, signals included."""
    trap.handle(lwp, lwp.cpu.run(lwp.vmspace.pmap.cr3))
    userret(lwp)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stress",
        type=float,
        default=DEFAULT_STRESS,
        metavar="SECONDS",
        help="how long each stress test runs",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--stress") > DEFAULT_STRESS:
        os.environ[LONG] = "yes"


def bounded(examples: int) -> settings:
    """Settings for a fuzz test: always the same examples, or many more if it is to be stress."""
    if LONG in os.environ:
        return settings(max_examples=20 * examples, deadline=None, database=None)
    return settings(max_examples=examples, deadline=None, database=None, derandomize=True)


@pytest.fixture
def stress_seconds(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--stress"))


@pytest.fixture
def boot() -> Iterator[Callable[..., Booted]]:
    """Make machines that are closed after the test."""
    made: list[Booted] = []

    def make(source: str | bytes = "nop", **options: object) -> Booted:
        machine = Booted(source, **options)  # type: ignore[arg-type]
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def lwp(boot: Callable[..., Booted]) -> Lwp:
    """An LWP that has not run yet, for calling system calls directly."""
    return boot().lwp


@pytest.fixture
def phys() -> PhysicalMemory:
    return PhysicalMemory(4 << 20)


@pytest.fixture(scope="module")
def engine() -> UnicornEngine:
    """One engine for all tests of a module, which leave in it what they leave."""
    return UnicornEngine(PhysicalMemory(64 << 20))


def finish(result: Any) -> Any:
    """Return what a system call returns; one that may wait must not have to."""
    if not isinstance(result, Generator):
        return result
    try:
        sleep = next(result)
    except StopIteration as end:
        return end.value
    raise AssertionError(f"the call sleeps: {sleep}")


class Finishing:
    """A module of system calls, each run to its end."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        handler = getattr(self._module, name)
        return lambda *args: finish(handler(*args))


def make_c_guests(folder: Path, *variables: str) -> str:
    """Build the guests in C in `folder`, which must succeed in silence; return what it says."""
    done = subprocess.run(
        [
            *("make", "-s", "-C", PROJECT / "guest_programs/c", f"BUILD={folder}"),
            *(f"VKEMU={sys.executable} -m emu", *variables),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="session")
def c_guests(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build the guests in C, once for each kind; return the folder they are in."""
    built: dict[tuple[str, str], Path] = {}
    missing = "" if shutil.which("make") else "there is no make: the guests in C are not built"

    def build(optimisation: str = "-O2", abi: str = "2011") -> Path:
        nonlocal missing
        kind = optimisation, abi
        if not missing and kind not in built:
            folder = tmp_path_factory.mktemp("c")
            missing = make_c_guests(folder, f"OPT={optimisation} -Werror", f"ABI={abi}")
            built[kind] = folder
        if missing:
            pytest.skip(missing.strip())
        return built[kind]

    return build


@pytest.fixture(scope="session")
def c_compiler(c_guests: Callable[..., Path]) -> None:
    """Skip the test where guests in C cannot be built."""
    c_guests()
