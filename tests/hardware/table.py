"""Sequences picked by hand, and what they do on every x86-64 CPU.

A row is checked on both CPUs, word by word as it says, and then the two are compared in full.
What the emulated CPU does otherwise stands in `known`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any

from emu.abi.x86 import Vector
from emu.asm import assemble_text
from hardware.compare import FLAG_NAMES
from hardware.machine import (
    ABSENT,
    CODE,
    DATA,
    FP_PARTS,
    MORE_READ_ONLY,
    READ_ONLY,
    STACK,
    STACK_TOP,
    Case,
    Outcome,
    fp_image,
)

RSP = STACK_TOP - 0x100
NOT_CANONICAL = 0x0123_4567_89AB_CDEF  # with page tables of four levels and of five
KERNEL_HALF = 0xFFFF_8000_0000_0000
MINUS_1 = (1 << 64) - 1
MINIMUM = 1 << 63
_SYMBOLS = {
    "ABSENT": ABSENT,
    "CODE": CODE,
    "DATA": DATA,
    "MORE_READ_ONLY": MORE_READ_ONLY,
    "READ_ONLY": READ_ONLY,
    "STACK": STACK,
}


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    code: str | bytes
    """Assembly, with semicolons between the instructions, or bytes."""
    expect: Mapping[str | int, Any]
    """What is so at the end: registers, flags, parts of the FP state, words by their address.

    `vector`, `error`, `address` and `at` (RIP, counted from CODE) are of the exception; without
    them, the code is executed to its end.  A set is of alternatives.
    """
    given: Mapping[str, int] = field(default_factory=dict)
    rflags: int = 0x202
    fp: bytes = fp_image()
    memory: Sequence[tuple[int, bytes]] = ()
    start: int = 0
    undefined: int = 0
    """Flags that need not be the same on both."""
    compared: bool = True
    """Whether all the rest is to be the same, too."""
    offered: bool = True
    """Whether the host's CPU is as the emulated one in this; else only the latter is asked."""


def assembled(rows: Sequence[Row]) -> list[bytes]:
    """Assemble the code of all rows in one go."""
    text = ["ud2"]
    for number, row in enumerate(rows):
        text.append(f"row_{number}:")
        if isinstance(row.code, str):
            text += [statement.strip() for statement in row.code.split(";")]
    text.append("row_end:\nud2")
    assembly = assemble_text("\n".join(text), "table.s", origin=CODE, symbols=_SYMBOLS)
    places = [assembly.labels[f"row_{number}"] - CODE for number in range(len(rows))]
    places.append(assembly.labels["row_end"] - CODE)
    return [
        row.code if isinstance(row.code, bytes) else assembly.code[start:end]
        for row, start, end in zip(rows, places, places[1:], strict=False)
    ]


def case_of(row: Row, code: bytes) -> Case:
    return Case(
        code=code,
        registers={"rsp": RSP, **row.given},
        rip=CODE + row.start,
        rflags=row.rflags,
        fp=row.fp,
        memory=row.memory,
    )


def seen(outcome: Outcome, what: str | int) -> int:
    """Return the part of `outcome` that an expectation calls `what`."""
    if isinstance(what, int):
        start = max(start for start in outcome.memory if start <= what)
        content = outcome.memory[start]
        return int.from_bytes(content[what - start : what - start + 8], "little")
    if what in ("vector", "error", "address"):
        return int(getattr(outcome, what))
    if what == "at":
        return outcome.rip - CODE
    if what == "rflags":
        return outcome.rflags
    if what in FLAG_NAMES:
        return int(outcome.rflags & FLAG_NAMES[what] != 0)
    if what in FP_PARTS:
        start, end = FP_PARTS[what]
        return int.from_bytes(outcome.fp[start:end], "little")
    return outcome.registers[what]


def expectations(row: Row, code: bytes) -> dict[str | int, Any]:
    done = {"vector": Vector.BP, "error": 0, "at": row.start + len(code) + 1}
    if "vector" in row.expect:
        done = {"error": 0, "at": row.start}
    return {**done, **row.expect}


def unmet(outcome: Outcome, expected: Mapping[str | int, Any]) -> list[str]:
    """Return what is not as expected, a line each."""
    lines = []
    for what, value in expected.items():
        actual = seen(outcome, what)
        if actual not in (value if isinstance(value, set) else {value}):
            name = f"[{what:#x}]" if isinstance(what, int) else what
            lines.append(
                f"{name} is {actual:#x}, not {value if isinstance(value, set) else hex(value)}"
            )
    return lines


# ---- how rows are written


def fault(vector: Vector, at: int = 0, error: int = 0, **more: Any) -> dict[str | int, Any]:
    return {"vector": vector, "error": error, "at": at, "RF": 1, **more}


def page_fault(address: int, error: int, at: int = 0, **more: Any) -> dict[str | int, Any]:
    return fault(Vector.PF, at, error, address=address, **more)


def flags(names: str) -> dict[str, int]:
    """All six arithmetic flags: those in `names` are set."""
    return {name: int(name in names.split()) for name in ("CF", "PF", "AF", "ZF", "SF", "OF")}


def doubles(low: float, high: float = 0.0) -> bytes:
    return pack("<2d", low, high)


def singles(*words: int) -> bytes:
    return pack("<4I", *words)


def word(content: bytes) -> int:
    return int.from_bytes(content, "little")


def extended(significand: int, exponent: int) -> bytes:
    return pack("<QH", significand, exponent)


ONE = extended(1 << 63, 0x3FFF)
TWO = extended(1 << 63, 0x4000)
THREE = extended(3 << 62, 0x4000)
INFINITY = extended(1 << 63, 0x7FFF)
QUIET = extended(3 << 62, 0x7FFF)
SIGNALLING = extended(5 << 61, 0x7FFF)
DENORMAL = extended(1, 0)
INDEFINITE = 0xFFFF_C000_0000_0000_0000
STACK_FAULT = 0x41
IE, ZE = 1, 4


def x87(*values: bytes, control: int = 0x37F, status: int = 0) -> bytes:
    """ST0, ST1 …; TOP is as after they have been loaded."""
    top = -len(values) % 8
    tags = sum(1 << (top + number) % 8 for number in range(len(values)))
    return fp_image(
        control=control, status=status | top << 11, tags=tags, st=dict(enumerate(values))
    )


def sse(*values: bytes, mxcsr: int = 0x1F80) -> bytes:
    return fp_image(mxcsr=mxcsr, xmm=dict(enumerate(values)))
