"""What the emulated CPU is known to do otherwise, instruction by instruction.

Each has rows in `table` that fail when it does so no longer; then it can be deleted here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu.abi.x86 import PAGE_MASK, Vector
from hardware.compare import Difference, differences
from hardware.generator import Program
from hardware.instructions import Instruction
from hardware.machine import Case, Outcome


@dataclass(frozen=True, slots=True)
class Step:
    """The first instruction of a program that does not have the same effect on both CPUs."""

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


Run = Callable[[Case], Outcome]


def first_difference(program: Program, native: Run, emulated: Run) -> Step | None:
    """Run longer and longer parts of `program`; None if even the whole is the same after all."""
    before = native(program.prefix(0).case)
    for count, instruction in enumerate(program.instructions, 1):
        part = program.prefix(count)
        one, other = native(part.case), emulated(part.case)
        found = differences(one, other, part.undefined_at(one.rip))
        if found:
            return Step(instruction, before, one, other, found)
        before = one
    return None


def _stack_fault(step: Step) -> bool:
    return step.native.vector == Vector.SS and step.emulated.vector == Vector.GP


def _early_fetch_fault(step: Step) -> bool:
    """The whole block is translated before any of it runs."""
    emulated = step.emulated
    return (
        emulated.vector == Vector.PF
        and emulated.error == 0x14
        and emulated.address & PAGE_MASK == 0
        and emulated.rip < emulated.address
        and emulated.rip <= step.native.rip
    )


_FAULTS = (Vector.PF, Vector.GP, Vector.SS)
_STACK_FAULT = 0x40


_HORIZONTAL = {f"sse 6380{digit}" for digit in "123567"}
# PUNPCKL on MMX registers, ROUNDSS, ROUNDSD, CVTDQ2PD
_READ_TOO_MUCH = {"sse -60", "sse -61", "sse -62", "sse 63a0a", "sse 63a0b", "sse 3e6"}


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


KNOWN: dict[str, Callable[[Step], bool]] = {
    "a non-canonical address through RSP or RBP is #GP, not #SS": _stack_fault,
    "running into an absent page faults at the start of the block": _early_fetch_fault,
    "ENTER does not check that the new stack is writable": lambda step: (
        step.kind == "enter" and step.native.vector in (Vector.PF, Vector.SS)
    ),
    "the flags of LOCK NEG are those of the old value": lambda step: (
        step.kind == "neg" and b"\xf0" in step.instruction.code[:3] and step.only == {"rflags"}
    ),
    "SETcc, RCL and RCR of memory spoil the flags when they fault": lambda step: (
        step.kind.startswith(("set", "rcl", "rcr"))
        and step.native.vector in (Vector.PF, Vector.GP, Vector.SS)
        and step.only == {"rflags"}
    ),
    "LOOPE and LOOPNE spoil the flags": lambda step: (
        step.kind in ("loope", "loopne") and step.only == {"rflags"}
    ),
    "CMPXCHG8B and CMPXCHG16B spoil the flags other than ZF": lambda step: (
        step.kind == "cmpxchg8b" and step.only == {"rflags"}
    ),
    "CMPXCHG clears the upper half of a 32-bit destination that it does not write": lambda step: (
        step.kind == "cmpxchg" and step.instruction.operand is None
    ),
    "CMPS reads its operands in the other order": lambda step: (
        step.kind in ("cmps", "rep cmps")
        and {step.native.vector, step.emulated.vector} <= {Vector.PF, Vector.GP, Vector.SS}
        and step.only <= {"vector", "error code", "cr2"}
    ),
    "RET takes the bytes to release as signed": lambda step: (
        step.kind == "ret i" and step.instruction.code[-1] >= 0x80 and step.only <= {"rsp"}
    ),
    "a jump to a non-canonical address is #GP at the target": lambda step: (
        step.kind in ("ret", "ret i", "jmp rm", "call rm") and step.native.vector == Vector.GP
    ),
    "the x87 stack does not overflow or underflow": lambda step: (
        _is_x87(step) and _fsw(step.native) & _STACK_FAULT != 0
    ),
    "MMX instructions change the x87 state before they fault": lambda step: (
        step.kind.startswith("sse")
        and step.native.vector in _FAULTS
        and step.only <= {"fsw", "ftw", "st"}
    ),
    "CVTPI2PS and CVTPI2PD of memory change the x87 state": lambda step: (
        step.kind in ("sse -2a", "sse 62a") and step.only <= {"fsw", "ftw", "st"}
    ),
    "PHADD and PHSUB of a register and itself use what they have just written": lambda step: (
        step.kind in _HORIZONTAL and step.instruction.operand is None and step.only == {"xmm"}
    ),
    "DPPS adds its products from the first to the last": lambda step: (
        step.kind == "sse 63a40" and step.only == {"xmm"}
    ),
    "some operands of 4 and 8 bytes are read as 8 and 16": lambda step: (
        step.kind in _READ_TOO_MUCH
        and step.emulated.vector in _FAULTS
        and step.native.vector != step.emulated.vector
    ),
    "FCOMI and its kin leave OF, SF and AF as they were": lambda step: (
        step.kind in ("x87 db e8", "x87 db f0", "x87 df e8", "x87 df f0")
        and step.only == {"rflags"}
    ),
    "FST to an empty register leaves it empty": lambda step: (
        step.kind in ("x87 dd d0", "x87 dd d8") and step.only == {"ftw"}
    ),
    "FISTTP of what is too large stores the largest integer": lambda step: (
        step.kind in ("x87 db/1 m", "x87 dd/1 m") and step.only == {"memory"}
    ),
    "FST of a signalling NaN stores one": lambda step: (
        step.kind in ("x87 d9/2 m", "x87 d9/3 m", "x87 dd/2 m", "x87 dd/3 m")
        and step.only == {"memory"}
        and step.native.fp[2] & 1 == 1
    ),
    "10 and 16 bytes across pages are half moved before the fault": lambda step: (
        step.kind.startswith(("sse", "x87"))
        and step.native.vector == step.emulated.vector == Vector.PF
        and step.only <= {"memory", "xmm"}
    ),
    "CMPPS with an immediate above 7 is #UD": lambda step: (
        step.kind.endswith("c2")
        and step.instruction.code[-1] > 7
        and step.emulated.vector == Vector.UD
    ),
    "MASKMOVDQU looks only at the bytes that it writes": lambda step: (
        step.kind.endswith("f7") and step.native.vector in _FAULTS
    ),
    "FBLD and FBSTP read and write in another order": lambda step: (
        step.kind in ("x87 df/4 m", "x87 df/6 m") and step.only <= {"cr2", "memory", "error code"}
    ),
    "of two NaNs, SSE instructions choose as x87 ones do": _other_nan,
    "unaligned 16-byte operands are not #GP": lambda step: (
        step.kind.split()[0] in ("sse", "ptest", "pcmpstr")
        and step.instruction.operand is not None
        and step.address % 16 != 0
        and (step.native.vector, step.native.error) == (Vector.GP, 0)
    ),
}


def reason(step: Step) -> str | None:
    """Return which known difference explains `step`, or None."""
    for name, explains in KNOWN.items():
        if explains(step):
            return name
    return None


__all__ = ["KNOWN", "PAGE_MASK", "Step", "first_difference", "reason"]
