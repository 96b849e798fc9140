"""The programs that are timed, assembled for the system that is to run them."""

from collections.abc import Mapping
from pathlib import Path

from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011
from emu.asm import Assembly, assemble_text
from emu.conform.suite import LOAD_ADDRESS, executable
from syscalls.table import SYMBOLS

GUESTS = Path(__file__).parent / "guests"
COMPUTATIONS = ("memcpy", "quicksort", "sieve", "stores", "xorshift")
"""Those that start with compute.inc: they check their results, and run anywhere."""
DATA_SIZE = 1 << 20
"""No program needs more memory behind its code."""


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
