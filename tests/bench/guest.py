"""The programs that are timed, assembled for the system that is to run them, and run on ours."""

import gc
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from time import thread_time

from conftest import Booted

from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011
from emu.asm import Assembly, assemble, assemble_text
from emu.conform.suite import LOAD_ADDRESS, executable
from emu.cpu.engine import CpuEngine
from emu.kern.clock import Clock, HostClock
from emu.kern.file import FileTable
from syscalls.table import SYMBOLS

PROJECT = Path(__file__).parent.parent.parent
GUESTS = Path(__file__).parent / "guests"
COMPUTATIONS = {"memcpy": 20, "quicksort": 15, "sieve": 25, "stores": 5, "xorshift": 150}
"""Those that start with compute.inc: they check their results, and run anywhere.

With the rounds that take vkemu about a quarter of a second.
"""
DATA_SIZE = 1 << 20
"""No program needs more memory behind its code."""
MEMORY = 1 << 30


def source(name: str, **constants: int) -> str:
    """Return the source of a program, with `constants` in place of those it would have itself."""
    text = (GUESTS / f"{name}.s").read_text()
    return "".join(f"{name} = {value}\n" for name, value in constants.items()) + text


def assembled(text: str, system_calls: Mapping[str, int] = SYMBOLS) -> Assembly:
    """Assemble `text`, which is for the system that has these numbers; DragonFly's by default."""
    return assemble_text(
        text,
        str(GUESTS / "program.s"),
        origin=LOAD_ADDRESS,
        symbols={**abi_symbols(ABI_2011), **system_calls},
    )


def elf(text: str, system_calls: Mapping[str, int] = SYMBOLS) -> bytes:
    """Return an executable of `text`, with its code and its data in segments of their own."""
    return executable(assembled(text, system_calls).code, bss_size=DATA_SIZE)


def demo(name: str) -> bytes:
    """Return the machine code of a demo program."""
    path = PROJECT / "guest_programs/demo" / f"{name}.s"
    return assemble(path, origin=LOAD_ADDRESS, symbols={**abi_symbols(ABI_2011), **SYMBOLS}).code


@cache
def program(name: str, **constants: int) -> bytes:
    """Return the machine code of a program."""
    return assembled(source(name, **constants)).code


def run(
    code: bytes,
    *,
    clock: Clock | None = None,
    files: FileTable | None = None,
    prepare: Callable[[CpuEngine], object] | None = None,
) -> float:
    """Run a program, which must end with status 0; return the seconds of CPU time.

    It has the host's clock if no other is given.  `prepare` is called with the engine first.
    """
    machine = Booted(code, memory=MEMORY, clock=clock or HostClock(), files=files)
    if prepare is not None:
        prepare(machine.lwp.cpu)
    gc.collect()
    start = thread_time()
    status = machine.run()
    took = thread_time() - start
    machine.close()
    assert status == 0, (status, machine.told)
    return took


class Each:
    """What one of `count` operations takes: a run with them, less one that does all but these."""

    def __init__(self, name: str, count: int, **constants: int) -> None:
        self._count = count
        self._work, self._rest = (program(name, COUNT=n, **constants) for n in (count, 0))
        self._works: list[float] = []
        self._rests: list[float] = []

    def measure(self) -> None:
        self._works.append(run(self._work))
        self._rests.append(run(self._rest))

    def microseconds(self) -> list[float]:
        """Return the figures of all turns.  The least rest is taken off each of them."""
        rest = min(self._rests)
        return [1e6 * (work - rest) / self._count for work in self._works]
