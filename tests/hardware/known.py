"""What the emulated CPU is known to do otherwise, instruction by instruction.

Each has rows in `table` that fail when it does so no longer; then it can be deleted here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emu.abi.x86 import Vector
from hardware.compare import Difference, differences, report
from hardware.generator import Program
from hardware.instructions import Instruction
from hardware.machine import (
    ABSENT,
    DATA,
    REGISTERS,
    STACK,
    Case,
    Outcome,
)
from hardware.table import RSP


@dataclass(frozen=True, slots=True)
class Step:
    """The first instruction of a program that does not have the same effect on both CPUs."""

    earlier: Sequence[Instruction]
    instruction: Instruction
    before: Outcome
    native: Outcome
    emulated: Outcome
    found: Sequence[Difference]

    @property
    def kind(self) -> str:
        return self.instruction.kind

    @property
    def address(self) -> int:
        assert self.instruction.operand is not None
        return self.instruction.operand.address(self.before.registers)

    @property
    def only(self) -> set[str]:
        """What differs; memory as "memory", and of a register with a number the letters."""
        return {
            "memory" if what.startswith("[") else what.rstrip("0123456789")
            if what.startswith(("st", "xmm")) else what
            for what, _, _ in self.found
        }  # fmt: skip

    @property
    def values(self) -> list[tuple[bytes, bytes]]:
        """What differs in SSE registers, natively and emulated."""
        pairs = []
        for what, one, other in self.found:
            if what.startswith("xmm"):
                pairs.append((bytes.fromhex(one)[::-1], bytes.fromhex(other)[::-1]))
        return pairs

    def report(self) -> str:
        """Return the instruction alone, with what it finds, as a case of its own."""
        before = self.before
        case = Case(
            self.instruction.code, before.registers, before.rip - 1, before.rflags, before.fp
        )
        return report(case, list(self.found))


Run = Callable[[Case], Outcome]


def first_difference(program: Program, native: Run, emulated: Run) -> Step | None:
    """Run longer and longer parts of `program`; None if even the whole is the same after all."""
    before = native(program.prefix(0).case)
    for count, instruction in enumerate(program.instructions, 1):
        part = program.prefix(count)
        one, other = native(part.case), emulated(part.case)
        found = differences(one, other, part.undefined_at(one.rip))
        if found:
            return Step(program.instructions[: count - 1], instruction, before, one, other, found)
        before = one
    return None


_FAULTS = (Vector.PF, Vector.GP, Vector.SS)
_STACK_FAULT = 0x40


_HORIZONTAL = {f"sse 6380{digit}" for digit in "123567"}
# PUNPCKL on MMX registers, ROUNDSS, ROUNDSD, CVTDQ2PD, CVTPS2PD, CVTPS2PI, CVTTPS2PI
_READ_TOO_MUCH = {
    "sse -2c",
    "sse -2d",
    "sse -60",
    "sse -61",
    "sse -62",
    "sse 63a0a",
    "sse 63a0b",
    "sse 3e6",
    "sse -5a",
}


def _fsw(outcome: Outcome) -> int:
    return int.from_bytes(outcome.fp[2:4], "little")


def _is_nan(value: bytes, size: int) -> bool:
    exponent, significand = (0x7FF, 52) if size == 8 else (0xFF, 23)
    number = int.from_bytes(value, "little")
    return number >> significand & exponent == exponent and number & (1 << significand) - 1 != 0


def _other_nan(step: Step) -> bool:
    """All that differs are elements which are a NaN on both sides."""
    if step.only != {"xmm"}:
        return False
    for one, other in step.values:
        for size in 4, 8:
            lanes = [(one[at : at + size], other[at : at + size]) for at in range(0, 16, size)]
            if all(a == b or (_is_nan(a, size) and _is_nan(b, size)) for a, b in lanes):
                break
        else:
            return False
    return True


def _is_x87(step: Step) -> bool:
    return step.kind.startswith(("x87", "f"))


@dataclass(frozen=True, slots=True)
class Known:
    """A difference, the rows of the table that show it, and how it is told in a random case.

    A row maps what `table` expects to what the emulated CPU has instead.
    """

    what: str
    rows: Mapping[str, Mapping[str | int, int]]
    explains: Callable[[Step], bool] = lambda step: False


def _of(*kinds: str, only: str | None = None) -> Callable[[Step], bool]:
    """Tell a step of one of `kinds` in which nothing but the words in `only` differs."""

    def explains(step: Step) -> bool:
        return step.kind in kinds and (only is None or step.only <= set(only.split()))

    return explains


def _done(size: int) -> dict[str | int, int]:
    """What is otherwise when an instruction of `size` bytes at the start does not fault."""
    return {"vector": Vector.BP, "at": size + 1, "RF": 0}


def _fault(vector: Vector, error: int = 0) -> dict[str | int, int]:
    return {"vector": vector, "error": error, "at": 0}


KNOWN = (
    Known(
        "a privileged MOV is #GP even if the rest of it cannot be fetched",
        {
            "MOV to CR3 with its end in an absent page": {
                "vector": Vector.GP,
                "error": 0,
                "address": 0,
            }
        },
        lambda step: step.kind in ("mov cr3", "mov r,cr0") and step.native.error == 0x14,
    ),
    Known(
        "an access across the end of the canonical addresses is a page fault",
        {},
        lambda step: (
            (step.native.vector, step.emulated.vector) == (Vector.GP, Vector.PF)
            and (1 << 47) - 16 < step.emulated.address < 1 << 47
        ),
    ),
    Known(
        "a jump to a non-canonical address is #GP at the target, not at the jump",
        {},
        lambda step: (
            step.kind in ("ret", "ret i", "jmp rm", "call rm") and step.native.vector == Vector.GP
        ),
    ),
    Known(
        "ENTER does not check that the new stack is writable",
        {
            "ENTER checks that the new stack is writable": {
                **_done(4),
                "error": 0,
                "rsp": STACK + 0x100 - 0x1008,
            }
        },
        lambda step: step.kind == "enter" and step.native.vector in (Vector.PF, Vector.SS),
    ),
    Known(
        "CMPXCHG8B and CMPXCHG16B spoil the flags other than ZF",
        {"CMPXCHG8B keeps the other flags": {"CF": 1}},
        lambda step: (
            step.only == {"rflags"}
            and any(it.kind == "cmpxchg8b" for it in (*step.earlier, step.instruction))
        ),
    ),
    Known(
        "LOOPE and LOOPNE spoil the flags when RCX reaches 0",
        {"LOOPNE keeps the flags": {"CF": 1}},
    ),
    Known(
        "the flags of LOCK NEG are those of the old value",
        {"LOCK NEG": {"PF": 0, "SF": 0}},
        lambda step: (
            step.kind == "neg" and b"\xf0" in step.instruction.code[:3] and step.only == {"rflags"}
        ),
    ),
    Known(
        "CMPXCHG of 32 bits clears the upper half of the register that it does not write",
        {"CMPXCHG that matches keeps RAX": {"rax": 5}},
        lambda step: step.kind == "cmpxchg" and step.only <= set(REGISTERS),
    ),
    Known(
        "RET takes the bytes to release as signed",
        {"RET releases up to 65535 bytes": {"rsp": RSP - 0x8000}},
        lambda step: (
            step.kind == "ret i" and step.instruction.code[-1] >= 0x80 and step.only <= {"rsp"}
        ),
    ),
    Known(
        "LAHF and SAHF with a useless REX take SPL for AH",
        {"LAHF with a useless REX": {"rax": 0, "rsp": RSP & ~0xFF | 0xD7}},
    ),
    Known(
        "CMPS reads its operands in the other order",
        {},
        lambda step: (
            step.kind in ("cmps", "rep cmps")
            and {step.native.vector, step.emulated.vector} <= set(_FAULTS)
            and step.only <= {"vector", "error code", "cr2"}
        ),
    ),
    Known(
        "unaligned 16-byte operands are not #GP",
        {"MOVAPS of what is not aligned": _done(3)},
        lambda step: (
            step.kind.split()[0] in ("sse", "ptest", "pcmpstr")
            and step.instruction.operand is not None
            and step.address % 16 != 0
            and (step.native.vector, step.native.error) == (Vector.GP, 0)
        ),
    ),
    Known(
        "10 and 16 bytes across pages are half moved before the fault",
        {
            "16 bytes across pages are stored whole or not at all": {
                ABSENT - 8: 0x3FF0000000000000
            },
            "16 bytes across pages are loaded whole or not at all": {"xmm0": 0x5E1ADE91C197BF58},
            "FSTP across pages changes nothing": {ABSENT - 8: 1 << 63},
        },
        lambda step: (
            step.kind.startswith(("sse", "x87"))
            and step.native.vector == step.emulated.vector == Vector.PF
            and step.only <= {"memory", "xmm"}
        ),
    ),
    Known(
        "some operands of 4 and 8 bytes are read as 8 and 16",
        {
            "ROUNDSS reads four bytes": _fault(Vector.PF, 4),
            "CVTDQ2PD reads eight bytes": _fault(Vector.PF, 4),
            "CVTPS2PD reads eight bytes": _fault(Vector.PF, 4),
            "PUNPCKLBW reads four bytes": _fault(Vector.PF, 4),
        },
        lambda step: (
            step.kind in _READ_TOO_MUCH
            and step.emulated.vector in _FAULTS
            and (step.native.vector, step.native.rip) != (step.emulated.vector, step.emulated.rip)
        ),
    ),
    Known(
        "MASKMOVDQU looks only at the bytes that it writes",  # which hardware need not do
        {},
        lambda step: step.kind.endswith("f7") and step.native.vector in _FAULTS,
    ),
    Known(
        "SSE instructions do not report denormal operands",
        {"a denormal operand sets DE": {"mxcsr": 0x1F80}},
    ),
    Known(
        "DAZ does nothing for MIN and MAX",
        {"MINSD of denormals with DAZ": {"xmm0": 1}},
    ),
    Known(
        "of two NaNs, SSE instructions choose as x87 ones do",
        {"the first of two NaNs": {"xmm0": 0x7FF8000000000123}},
        _other_nan,
    ),
    Known(
        "CMPPS and its kin with an immediate above 7 are #UD",
        {"CMPPS looks at three bits of its immediate": _fault(Vector.UD) | {"xmm0": 0}},
        lambda step: (
            step.kind.endswith("c2")
            and step.instruction.code[-1] > 7
            and step.emulated.vector == Vector.UD
        ),
    ),
    Known(
        "PHADD and PHSUB of a register and itself use what they have just written",
        {"PHADDD of a register and itself": {"xmm0": 14 << 96 | 10 << 64 | 7 << 32 | 3}},
        lambda step: (
            step.kind in _HORIZONTAL and step.instruction.operand is None and step.only == {"xmm"}
        ),
    ),
    Known(
        "ROUNDPS and its kin report inexact results where they are told not to",
        {"ROUNDSD that reports nothing": {"mxcsr": 0x1FA0}},
        _of("sse 63a08", "sse 63a09", "sse 63a0a", "sse 63a0b", only="mxcsr"),
    ),
    Known(
        "PCMPESTRI and its kin do not find the beginning of a match at the end",
        {"PCMPESTRI finds the beginning of a match at the end": {"rcx": 16, "CF": 0}},
        lambda step: step.kind.startswith("pcmpstr") and step.instruction.code[-1] >> 2 & 3 == 3,
    ),
    Known(
        "DPPS and DPPD add their products to 0, from the first to the last",
        {
            "DPPS adds in pairs": {"xmm0": 0xBF800000},
            "DPPD of negative zeros": {"xmm0": 0},
        },
        _of("sse 63a40", "sse 63a41", only="xmm mxcsr"),
    ),
    Known(
        "MMX instructions write half of a register, and change the x87 state before they fault",
        {
            "an MMX write sets the exponent": {"st0": (1 << 64) - 1},
            "MMX instructions that fault leave the x87 state alone": {"fsw": 0, "ftw": 0xFF},
        },
        lambda step: (
            step.kind.startswith("sse")
            and step.native.vector in _FAULTS
            and step.only <= {"fsw", "ftw", "st"}
        ),
    ),
    Known(
        "CVTPI2PS and CVTPI2PD of memory change the x87 state",
        {"CVTPI2PS of memory leaves the x87 state alone": {"fsw": 0, "ftw": 0xFF}},
        _of("sse -2a", "sse 62a", only="fsw ftw st"),
    ),
    Known(
        "SSSE3 instructions on MMX registers do not change the x87 state",
        {"SSSE3 on MMX registers changes the x87 state": {"fsw": 0x3000, "ftw": 0xC0}},
    ),
    Known(
        "the x87 stack does not overflow or underflow, and few exceptions are collected",
        {
            "an inexact quotient sets PE": {"fsw": 0x3000},
            "FLD on a full stack": {"st0": 0x3FFF8000000000000000, "fsw": 7 << 11},
            "FADD of an empty register": {"st0": 0x3FFF8000000000000000},
            "FSTP of an empty register": {DATA: 0},
        },
        lambda step: _is_x87(step) and _fsw(step.native) & _STACK_FAULT != 0,
    ),
    Known(
        "an x87 exception that is not masked comes after the result, and not at FLDCW's successor",
        {
            "an exception that is not masked comes with the next instruction": {
                "st0": 0x7FFF8000000000000000
            },
            "FLDCW that unmasks is followed by the exception": {**_done(3)},
        },
    ),
    Known(
        "FCOMI and its kin leave OF, SF and AF as they were",
        {"FCOMI clears OF, SF and AF": {"OF": 1, "SF": 1, "AF": 1}},
        _of("x87 db e8", "x87 db f0", "x87 df e8", "x87 df f0", only="rflags"),
    ),
    Known(
        "FST to an empty register leaves it empty",
        {
            "FST to an empty register": {"ftw": 0xC0},
            "FSTP to an empty register": {"ftw": 1},
        },
        _of("x87 dd d0", "x87 dd d8", only="ftw"),
    ),
    Known(
        "FISTTP of what is too large stores the largest integer",
        {"FISTTP of what is too large": {DATA: 0x7FFFFFFF}},
        _of("x87 db/1 m", "x87 dd/1 m", only="memory"),
    ),
    Known(
        "FBSTP of what is no number of 18 digits is wrong; it and FBLD go by pieces",
        {"FBSTP of an infinity": {DATA: 0x3372036854775807, DATA + 8: 0x22}},
        lambda step: (
            step.kind in ("x87 df/4 m", "x87 df/6 m")
            and step.only <= {"cr2", "memory", "error code", "vector"}
        ),
    ),
    Known(
        "FLD and FST of a signalling NaN do not make it quiet",
        {
            "FST of a signalling NaN": {DATA: 0x7FF4000000000000},
            "FLD of a signalling NaN": {"st0": 0x7FFF8000010000000000},
        },
        lambda step: (
            step.kind.startswith(("x87 d8/", "x87 d9/", "x87 dc/", "x87 dd/"))
            and step.instruction.operand is not None
            and step.only <= {"memory", "st"}
            and step.native.fp[2] & 1 == 1
        ),
    ),
    Known(
        "FXAM takes an unnormal for a number",
        {"FXAM of an unnormal": {"fsw": 0x3C00}},
        _of("fxam", only="fsw"),
    ),
    Known(
        "FPREM, FSCALE and FXTRACT are calculated with 53 bits, and wrong beside the numbers",
        {
            "FPREM of an infinity": {"st0": 0x7FFFC000000000000000},
            "FXTRACT of a signalling NaN": {"st0": 0x3FFFA000000000000000},
        },
    ),
    Known(
        "FLDPI and its kin are always rounded to nearest",
        {"FLDPI is rounded": {"st0": 0x4000C90FDAA22168C235}},
    ),
)

SPOILED = ("cmpxchg8b",)
"""After these the flags may be different from one run to the next."""


def reason(step: Step) -> str | None:
    """Return which known difference explains `step`, or None."""
    for known in KNOWN:
        if known.explains(step):
            return known.what
    return None
