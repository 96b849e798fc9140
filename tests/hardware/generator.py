"""Hypothesis strategies for cases: a few instructions, and what they find.

A case is made of bytes by `Choices`, of which every one is the simplest when it is 0: so a case
that fails shrinks to few instructions, simple operands and plain values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from struct import pack

from hypothesis import strategies as st

from emu.abi.x86 import PAGE_SIZE, Rflags
from hardware.instructions import (
    INTEGER,
    MAKE_FLAGS_KNOWN,
    SCATTER,
    SSE,
    TRAPS,
    X87,
    Choices,
    Instruction,
    Kind,
    encode,
)
from hardware.machine import (
    ABSENT,
    ARITHMETIC,
    CODE,
    CODE_SIZE,
    DATA,
    DATA_SIZE,
    FP_FRESH,
    MORE,
    MORE_READ_ONLY,
    READ_ONLY,
    REGISTERS,
    STACK,
    STACK_TOP,
    Case,
    fp_image,
)


@dataclass(frozen=True, slots=True)
class Program:
    """A case, and which instructions it is made of."""

    case: Case
    instructions: Sequence[Instruction]

    def undefined_at(self, rip: int) -> int:
        """Return what is in no certain state when the instruction at `rip` has not completed."""
        undefined = everything = 0
        at = self.case.rip
        for instruction in self.instructions:
            everything |= instruction.undefined
            if at < rip:
                undefined = undefined & ~instruction.defines | instruction.undefined
            at += len(instruction.code)
        left = not self.case.rip <= rip <= at + 1
        return everything if left else undefined

    def prefix(self, count: int) -> "Program":
        """Return the program without what follows the first `count` instructions."""
        instructions = self.instructions[:count]
        code = b"".join(instruction.code for instruction in instructions)
        return Program(replace(self.case, code=code), instructions)


POINTERS = ("rbx", "rsi", "rdi", "rbp", "r12", "r13", "r14")
PLACES = (
    DATA + 0x800,
    DATA + 0x400,
    DATA + 0xFF8,
    DATA + 0xFFC,
    DATA + 0xFF0,
    DATA + DATA_SIZE - 16,
    DATA + DATA_SIZE - 4,
    READ_ONLY + 0x80,
    READ_ONLY + PAGE_SIZE - 4,
    ABSENT + 8,
    MORE + 0x10,
    MORE + PAGE_SIZE - 3,
    MORE_READ_ONLY + 0x100,
    STACK + 0x400,
    0,
    0xFFFF_8000_0000_0000,
    0x8000_0000_0000_0000,
    0x0123_4567_89AB_CDEF,
)
"""Addresses; the last two are not canonical, with page tables of four or of five levels."""
ALIGNED = tuple(place for place in PLACES[:14] if place % 16 == 0)
STACKS = (STACK + 0x800, STACK + 0x804, STACK + 4, STACK_TOP - 4, DATA + 0xFFC, READ_ONLY + 0x100)
STARTS = (0, 1, PAGE_SIZE - 1, PAGE_SIZE - 4, PAGE_SIZE - 9, PAGE_SIZE - 16)

DOUBLES = (
    0.0, 1.0, -1.0, 1.5, 2.5, -0.0, 3.0, 0.1, 1e10, -1e10, 2147483648.0, -2147483648.5,
    2147483647.5, 9.3e18, -9.3e18, 1e300, 1e-300, 1e-310, 5e-324, float("inf"), float("-inf"),
    1.7976931348623157e308, 2.2250738585072014e-308, 3.5e38, 1e-40,
)  # fmt: skip
SINGLES = (
    0x00000000, 0x3F800000, 0xBF800000, 0x3FC00000, 0x40200000, 0x80000000, 0x4F000000, 0xCF000000,
    0x5F000000, 0x7F7FFFFF, 0x00800000, 0x807FFFFF, 0x00000001, 0x7F800000, 0xFF800000, 0x4EFFFFFF,
    0x7FC00000, 0x7F800001, 0xFFC12345, 0x3DCCCCCD,
)  # fmt: skip
EXTENDED = (
    (0x0000000000000000, 0x0000),
    (0x8000000000000000, 0x3FFF),
    (0xC000000000000000, 0x4000),
    (0xC90FDAA22168C235, 0x4000),
    (0x8000000000000000, 0x401E),
    (0xFFFFFFFFFFFFFFFF, 0x403D),
    (0x8000000000000000, 0x403E),
    (0x8AC7230489E80000, 0x403A),
    (0x8000000000000001, 0x3FFE),
    (0xFFFFFFFFFFFFFFFF, 0x7FFE),
    (0x8000000000000000, 0x0001),
    (0x8000000000000000, 0x7FFF),
    (0xC000000000000000, 0x7FFF),
    (0xA000000000000001, 0x7FFF),
    (0x0000000000000001, 0x0000),
    (0x7FFFFFFFFFFFFFFF, 0x0000),
)
"""Significand and exponent."""


def _chance(choices: Choices, size: int) -> bytes:
    number = choices.below(0x10000)
    return (number * SCATTER * (SCATTER | 1) >> 16).to_bytes(64, "little")[:size]


def _xmm(choices: Choices) -> bytes:
    kind = choices.below(8)
    if kind < 3:
        return pack("<2d", *(DOUBLES[choices.below(len(DOUBLES))] for _ in range(2)))
    if kind < 6:
        return pack("<4I", *(SINGLES[choices.below(len(SINGLES))] for _ in range(4)))
    return _chance(choices, 16)


def _x87(choices: Choices) -> bytes:
    kind = choices.below(64)
    sign = (kind & 1) << 15
    if kind < 48:
        significand, exponent = EXTENDED[choices.below(len(EXTENDED))]
    else:
        significand = int.from_bytes(_chance(choices, 8), "little") | 1 << 63
        exponent = (0x3FFF, 0x3FFE, 0x4005, 0x403C, 0x3C00, 0x43FE, 0x3FC0, 0x4001)[kind & 7]
    return pack("<QH", significand, sign | exponent)


def _fp(choices: Choices) -> bytes:
    # All exceptions masked.  FTZ and DAZ are for the table.
    rounding = choices.below(4)
    precision = (0x300, 0x200, 0x000)[choices.below(3)]
    used = (4, 6, 7, 3)[choices.below(4)]
    top = choices.below(8)
    return fp_image(
        control=0x7F | precision | rounding << 10,
        status=top << 11,
        tags=sum(1 << (top + number) % 8 for number in range(used)),
        mxcsr=0x1F80 | choices.below(4) << 13,
        st={number: _x87(choices) for number in range(8)},
        xmm={number: _xmm(choices) for number in range(16)},
    )


def _program(kinds: Sequence[Kind], chunks: Sequence[bytes], state: bytes, fp: bool) -> Program:
    instructions: list[Instruction] = []
    undefined = 0
    for chunk in chunks:
        choices = Choices(chunk)
        instruction = encode(kinds[choices.below(len(kinds))], choices)
        if instruction.reads & undefined:
            instructions.append(MAKE_FLAGS_KNOWN)
            undefined &= ~MAKE_FLAGS_KNOWN.defines
        instructions.append(instruction)
        undefined = undefined & ~instruction.defines | instruction.undefined
    code = b"".join(instruction.code for instruction in instructions)
    choices = Choices(state)
    places = ALIGNED if fp and not choices.one_in(4) else PLACES
    registers = {}
    for name in REGISTERS:
        if name in POINTERS and not choices.one_in(8):
            registers[name] = places[choices.below(len(places))]
        else:
            registers[name] = choices.integer(8)
    registers["rsp"] = STACKS[choices.below(64) % 12 % len(STACKS)]
    rflags = 0x202 | choices.bits() & ARITHMETIC
    if choices.one_in(2):
        rflags |= Rflags.V
    if choices.one_in(4):
        rflags |= Rflags.D
    if choices.one_in(16):
        rflags |= Rflags.T
    start = STARTS[choices.below(64) % len(STARTS)] if choices.one_in(4) else 0
    if choices.one_in(32):  # the INT3 behind it, or even more, is missing
        start = CODE_SIZE - len(code) + choices.below(min(4, len(code)))
    memory = []
    for place in PLACES[:6]:
        if choices.one_in(3):
            content = _xmm(choices) if choices.one_in(2) else _x87(choices)
            memory.append((place, content[: min(len(content), DATA + DATA_SIZE - place)]))
    case = Case(
        code=code,
        registers=registers,
        rip=CODE + start,
        rflags=rflags,
        fp=_fp(choices) if fp else FP_FRESH,
        memory=memory,
    )
    return Program(case, instructions)


_CHUNK = 24
_STATE = 320


LONGEST = 6


@dataclass(frozen=True, slots=True)
class Group:
    """Kinds of instructions that are mixed."""

    kinds: Sequence[Kind]
    fp: bool

    def programs(self) -> st.SearchStrategy[Program]:
        return st.builds(
            lambda chunks, state: _program(self.kinds, chunks, state, self.fp),
            st.lists(st.binary(min_size=_CHUNK, max_size=_CHUNK), min_size=1, max_size=LONGEST),
            st.binary(min_size=_STATE, max_size=_STATE),
        )

    def by_chance(self, chance: Random) -> Program:
        """Return what the strategy might, several times faster."""
        chunks = [chance.randbytes(_CHUNK) for _ in range(chance.randint(1, LONGEST))]
        return _program(self.kinds, chunks, chance.randbytes(_STATE), self.fp)


GROUPS = {
    "integer": Group(INTEGER, fp=False),
    "traps": Group((*INTEGER[::8], *TRAPS), fp=False),
    "sse": Group((*SSE, *INTEGER[::16]), fp=True),
    "x87": Group((*X87, *INTEGER[::16]), fp=True),
}
