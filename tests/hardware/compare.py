"""What differs between two outcomes of a case, and how it is shown to a person."""

from collections.abc import Iterator

from emu.abi.x86 import PAGE_SIZE, Rflags, Vector
from emu.disasm import disassemble
from hardware.machine import FP_PARTS, REGISTERS, Case, Outcome

FLAG_NAMES = {
    "CF": Rflags.C,
    "PF": Rflags.PF,
    "AF": Rflags.AF,
    "ZF": Rflags.Z,
    "SF": Rflags.N,
    "TF": Rflags.T,
    "IF": Rflags.I,
    "DF": Rflags.D,
    "OF": Rflags.V,
    "NT": Rflags.NT,
    "RF": Rflags.RF,
    "AC": Rflags.AC,
    "ID": Rflags.ID,
}

# DragonFly takes T away when it has caused the trap (abi 3.4); Linux leaves it.
_T_IS_THE_KERNELS = (Vector.DB, Vector.BP)
_END_OF_SPACE = (1 << 47) - PAGE_SIZE  # of Linux, which never maps the last page

# What the engine does not keep: that SSE instructions have met denormals, and most exceptions of
# the x87, with the summaries of them and C1.  Each has a row in the table.
_MXCSR_UNTRACKED = 0x02
_FSW_UNTRACKED = 0x82FF

Difference = tuple[str, str, str]
"""What, natively, emulated."""


def differences(native: Outcome, emulated: Outcome, undefined: int = 0) -> list[Difference]:
    """`undefined` are the flags that the last instruction need not have set in any certain way."""
    return list(_differences(native, emulated, undefined))


def _differences(native: Outcome, emulated: Outcome, undefined: int) -> Iterator[Difference]:
    if native.vector != emulated.vector:
        yield "vector", _vector(native), _vector(emulated)
    errors = native.error, emulated.error
    if native.address >= _END_OF_SPACE:
        errors = native.error | 1, emulated.error | 1  # Linux always says "present" there
    if errors[0] != errors[1]:
        yield "error code", hex(native.error), hex(emulated.error)
    for what, one, other in [
        ("cr2", native.address, emulated.address),
        ("rip", native.rip, emulated.rip),
        *((name, native.registers[name], emulated.registers[name]) for name in REGISTERS),
    ]:
        if one != other:
            yield what, f"{one:016x}", f"{other:016x}"
    ignored = undefined
    if native.vector in _T_IS_THE_KERNELS:
        ignored |= Rflags.T
    if (native.rflags ^ emulated.rflags) & ~ignored:
        yield "rflags", flags_text(native.rflags), flags_text(emulated.rflags)
    for what, (start, end) in FP_PARTS.items():
        one_part, other_part = native.fp[start:end], emulated.fp[start:end]
        ignored = 0
        if what == "mxcsr":
            ignored = _MXCSR_UNTRACKED
        elif what == "fsw":
            ignored = _FSW_UNTRACKED | undefined >> 32
        elif what.startswith("st") and one_part[8:] == b"\xff\xff" and _after_mmx(native):
            # All of a register is written, of which the engine does half.
            one_part, other_part = one_part[:8], other_part[:8]
        bits = int.from_bytes(one_part, "little") ^ int.from_bytes(other_part, "little")
        if bits & ~ignored:
            yield what, one_part[::-1].hex(), other_part[::-1].hex()
    for start, content in native.memory.items():
        if content != emulated.memory[start]:
            yield from _memory(start, content, emulated.memory[start])


def _after_mmx(outcome: Outcome) -> bool:
    return outcome.fp[4] == 0xFF and not outcome.fp[3] & 0x38


def _memory(start: int, one: bytes, other: bytes) -> Iterator[Difference]:
    at = 0
    while at < len(one):
        if one[at : at + 8] != other[at : at + 8]:
            yield f"[{start + at:#x}]", one[at : at + 8].hex(" "), other[at : at + 8].hex(" ")
        at += 8


def _vector(outcome: Outcome) -> str:
    names = {vector.value: f"#{vector.name}" for vector in Vector}
    return names.get(outcome.vector, str(outcome.vector))


def flags_text(rflags: int) -> str:
    names = [name for name, bit in FLAG_NAMES.items() if rflags & bit]
    return f"{rflags:x} {' '.join(names)}"


def report(case: Case, found: list[Difference]) -> str:
    """Return the case and what differs, side by side."""
    lines = [
        f"  {line.address:x}  {line.code.hex():30}  {line.text}"
        for line in disassemble(case.code, case.rip)
    ]
    state = [f"  rflags {flags_text(case.rflags)}"]
    state += [f"  {name:6} {value:016x}" for name, value in case.registers.items() if value]
    state += [
        f"  {what:6} {case.fp[start:end][::-1].hex()}"
        for what, (start, end) in FP_PARTS.items()
        if any(case.fp[start:end])
    ]
    state += [f"  [{address:#x}] {content.hex(' ')}" for address, content in case.memory]
    width = max(len(row[1]) for row in found)
    table = [f"  {what:10} {one:{width}}  {other}" for what, one, other in found]
    head = f"  {'':10} {'native':{width}}  emulated"
    return "\n".join(["", *lines, "with", *state, "ends with", head, *table])
