"""Instructions that the engine would not do as hardware, found in code it has just translated.

A block is looked at when it is translated, so what runs often costs nothing.  Where instructions
begin in it can only be told by decoding all of it, with the lengths the engine sees.
"""

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache

LONGEST_INSTRUCTION = 15


class Kind(Enum):
    """What an instruction needs that the engine does not give it."""

    INVALID = "invalid"  # #UD: the engine would do something else
    PROTECTED = "protected"  # #GP(0): the engine would raise something else
    SAVES_MXCSR = "saves MXCSR"
    LOADS_MXCSR = "loads MXCSR"
    SSE = "SSE"  # it may raise an exception: odd when one is unmasked
    INEXACT_SSE = "inexact SSE"  # the same, but no precision exception
    LENGTHS = "lengths"  # of strings in EAX and EDX: one of them crashes the engine
    WIDE_LENGTHS = "wide lengths"  # the same, in RAX and RDX
    SPOILS_FLAGS = "spoils flags"  # SETcc of memory: when it faults
    SPOILS_CARRY = "spoils carry"  # RCL and RCR of memory: when they fault


SSE_KINDS = (Kind.SSE, Kind.INEXACT_SSE)
LENGTHS_KINDS = (Kind.LENGTHS, Kind.WIDE_LENGTHS)
FLAGS_KINDS = (Kind.SPOILS_FLAGS, Kind.SPOILS_CARRY)

# ---- lengths

_PREFIX, _MODRM, _IMM8, _IMM16, _IMMZ, _CLOSER = 1, 2, 4, 8, 16, 32


def _opcodes(**ranges: str) -> bytes:
    """Return a byte of flags for each opcode, from lists of hexadecimal ranges."""
    flags = {
        "prefix": _PREFIX,
        "modrm": _MODRM,
        "imm8": _IMM8,
        "imm16": _IMM16,
        "immz": _IMMZ,  # of 2 bytes with an operand size prefix, else of 4
        "closer": _CLOSER,  # to be looked at closer
    }
    table = bytearray(256)
    for name, listed in ranges.items():
        for each in listed.split():
            first, _, last = each.partition("-")
            for opcode in range(int(first, 16), int(last or first, 16) + 1):
                table[opcode] |= flags[name]
    return bytes(table)


_ONE_BYTE = _opcodes(
    prefix="26 2e 36 3e 40-4f 64-67 f0 f2 f3",
    modrm="00-03 08-0b 10-13 18-1b 20-23 28-2b 30-33 38-3b 63 69 6b 80-81 83-8f c0-c1 c6-c7"
    " d0-d3 d8-df f6-f7 fe-ff",
    imm8="04 0c 14 1c 24 2c 34 3c 6a-6b 70-7f 80 83 a8 b0-b7 c0-c1 c6 c8 cd e0-e7 eb",
    imm16="c2 c8 ca",
    immz="05 0d 15 1d 25 2d 35 3d 68-69 81 a9 c7 e8-e9",
    closer="a0-a3 b8-bf f6-f7",
)
_TWO_BYTE = _opcodes(
    modrm="00-03 0d 0f 10-2f 40-76 78-7f 90-9f a3-a5 ab-af b0-c7 d0-ff",
    imm8="0f 70-73 a4 ac ba c2 c4-c6",
    immz="80-8f",
    closer="78",
)


def instructions(code: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield where each instruction starts, where its opcode or VEX prefix is, and where it ends.

    Opcodes that do not exist get some length: the engine ends a block there.
    """
    size = len(code)
    code += bytes(LONGEST_INSTRUCTION + 1)
    start = 0
    while start < size:
        at = start
        rex = 0
        data16 = address32 = repeat = False
        while _ONE_BYTE[code[at]] & _PREFIX and at < size:
            prefix = code[at]
            # REX counts only right before the opcode.
            rex = prefix if prefix & 0xF0 == 0x40 else 0
            data16 |= prefix == 0x66
            address32 |= prefix == 0x67
            repeat |= prefix in _REPEATS
            at += 1
        opcode_at = at
        opcode = code[at]
        wide = bool(rex & 8)
        space = 1 if opcode == 0x0F else 0  # which map of opcodes
        if opcode in (0xC4, 0xC5):
            at += 1
            space = 1
            if opcode == 0xC4:
                space = code[at] & 0x1F
                at += 1
                wide = bool(code[at] & 0x80)
            data16 |= code[at] & 3 == 1
            repeat |= code[at] & 3 > 1
        if space:
            at += 1
            opcode = code[at]
        if space == 1 and opcode in (0x38, 0x3A):
            space = 2 if opcode == 0x38 else 3
            at += 1
        at += 1
        if space > 1:
            at = _after_operand(code, at) + (space == 3)
        elif space:
            flags = _TWO_BYTE[opcode]
            if flags & _MODRM:
                register = _is_register_only(opcode, data16, repeat)
                at = at + 1 if register else _after_operand(code, at)
            if flags & _IMM8:
                at += 1
            if flags & _IMMZ:
                at += 2 if data16 and not wide else 4
            if flags & _CLOSER and (data16 or repeat):
                at += 2
        else:
            flags = _ONE_BYTE[opcode]
            modrm = code[at]
            if flags & _MODRM:
                at = _after_operand(code, at)
            if flags & _IMM8:
                at += 1
            if flags & _IMM16:
                at += 2
            if flags & _IMMZ:
                at += 2 if data16 and not wide else 4
            if flags & _CLOSER:
                if opcode < 0xB0:
                    at += 4 if address32 else 8
                elif opcode < 0xC0:
                    at += 8 if wide else 2 if data16 else 4
                elif not modrm & 0x38:
                    at += 1 if opcode == 0xF6 else 2 if data16 and not wide else 4
        yield start, opcode_at, at
        start = at


_REPEATS = b"\xf2\xf3"


def _is_register_only(opcode: int, data16: bool, repeat: bool) -> bool:
    """Tell what takes no memory operand on hardware, and any for a register in the engine.

    MOVMSKPS, the shifts by an immediate, EXTRQ and INSERTQ, MOVQ2DQ and MOVDQ2Q.
    """
    if opcode == 0x78:
        return data16 or repeat
    return opcode == 0x50 or 0x71 <= opcode <= 0x73 or (opcode == 0xD6 and repeat)


def _after_operand(code: bytes, at: int) -> int:
    """Return where the ModRM byte at `at` ends, with all that belongs to its operand."""
    modrm = code[at]
    at += 1
    mod = modrm >> 6
    if mod == 3:
        return at
    base = modrm & 7
    if base == 4:
        base = code[at] & 7
        at += 1
    if mod == 1:
        return at + 1
    if mod == 2 or base == 5:
        return at + 4
    return at


# ---- what is odd


_REG_NOT_0 = rb"[\x08-\x3f\x48-\x7f\x88-\xbf\xc8-\xff]"
_MEMORY = rb"[\x00-\xbf]"
_VEX_MAP = rb"[\x01-\x03\x21-\x23\x41-\x43\x61-\x63\x81-\x83\xa1-\xa3\xc1-\xc3\xe1-\xe3]"

_SSE = rb"\x0f(?:[\x2a\x2c-\x2f\x51\x58-\x5f\x7c\x7d\xc2\xd0\xe6]|\x3a[\x08-\x0b\x40\x41])"

_PCMPESTR = rb"\x0f\x3a[\x60\x61]"

# What every odd instruction has in it.
_ODD = rb"|".join(
    (
        rb"\xc5|\xc4" + _VEX_MAP,
        rb"\x8f" + _REG_NOT_0,
        rb"\xf0|[\xc6\xc7][\xf8-\xff]|\x0f[\x20\x22\x2b\x33\x78\x79]",
        rb"\x0f[\x50\x71-\x73\xd6]" + _MEMORY,
        rb"\x0f\xae[\x00-\x1f\x40-\x5f\x80-\x9f]",
        rb"\x0f[\x90-\x9f]" + _MEMORY,
        rb"[\xc0\xc1\xd0-\xd3][\x10-\x1f\x50-\x5f\x90-\x9f]",
        _PCMPESTR,
    )
)


@cache
def suspicious(unmasked: bool) -> re.Pattern[bytes]:
    """Return what no block that needs no closer look has in it, with or without SSE exceptions."""
    pattern = _ODD + rb"|" + _SSE if unmasked else _ODD
    return re.compile(rb"(?=" + pattern + rb")", re.DOTALL)  # a lookahead: matches may overlap


def suspects(code: bytes, count: int, unmasked: bool) -> list[int]:
    """Return where in a block, which the engine decodes into `count` instructions, one is odd.

    None that can be reached is missed.  If the block cannot be made sense of, places are returned
    where an instruction is odd if one begins there.
    """
    decoded = list(instructions(code))
    if len(decoded) != count or decoded[-1][2] < len(code):
        return _possible_starts(code, unmasked)
    found = []
    pattern = suspicious(unmasked)
    for start, opcode_at, end in decoded:
        if pattern.search(code, start, end) is None:
            continue
        kind = _kind(code, start, opcode_at, end)
        if kind in SSE_KINDS and not unmasked:
            continue
        if kind is not None:
            found.append(start)
        if kind is Kind.INVALID or kind is Kind.PROTECTED:
            break
    return found


def _possible_starts(code: bytes, unmasked: bool) -> list[int]:
    found = set()
    for match in suspicious(unmasked).finditer(code):
        at = match.start()
        found.add(at)
        while at and _ONE_BYTE[code[at - 1]] & _PREFIX:
            at -= 1
            found.add(at)
    return sorted(found)


def kind_of(code: bytes) -> Kind | None:
    """Tell what is odd about the instruction that `code` begins with."""
    for start, opcode_at, end in instructions(code):
        return _kind(code, start, opcode_at, end)
    return None


def _kind(code: bytes, start: int, opcode_at: int, end: int) -> Kind | None:
    opcode = code[opcode_at : opcode_at + 3].ljust(3, b"\0")
    prefixes = code[start:opcode_at]
    if _LOCK in prefixes and not _lockable(opcode):
        return Kind.INVALID
    if opcode[0] == 0x0F:
        if _PCMPESTR_OPCODE.match(opcode):
            return Kind.WIDE_LENGTHS if prefixes[-1:] in _REX_W else Kind.LENGTHS
        if _SSE_OPCODE.match(opcode):
            rounds = opcode[1] == 0x3A and opcode[2] < 0x10
            return Kind.INEXACT_SSE if rounds and code[end - 1] & 8 else Kind.SSE
        return _two_byte_kind(opcode, prefixes)
    if (
        opcode[0] in (0xC4, 0xC5)  # VEX
        or (opcode[0] == 0x8F and opcode[1] & 0x38)  # XOP
        or (opcode[0] in (0xC6, 0xC7) and opcode[1] >= 0xF8)  # XABORT, XBEGIN
    ):
        return Kind.INVALID
    if opcode[0] in _ROTATES and opcode[1] < 0xC0 and opcode[1] >> 3 & 7 in (2, 3):
        return Kind.SPOILS_CARRY
    return None


def _two_byte_kind(opcode: bytes, prefixes: bytes) -> Kind | None:
    second, third = opcode[1], opcode[2]
    repeat = 0xF2 in prefixes or 0xF3 in prefixes
    if second == 0xAE and third < 0xC0:
        return _MXCSR_KINDS[third >> 3 & 7]
    if second & 0xF0 == 0x90:
        return Kind.SPOILS_FLAGS if third < 0xC0 else None
    if second == 0x33:
        return Kind.PROTECTED  # RDPMC
    if second in (0x20, 0x22):
        high = prefixes != b"" and prefixes[-1] & 0xF4 == 0x44  # REX.R
        return None if (third >> 3 & 7) + 8 * high in _CONTROL_REGISTERS else Kind.INVALID
    if (
        second in (0x78, 0x79)  # SSE4A; VMREAD and VMWRITE
        or (second == 0x2B and repeat)  # SSE4A
        or (_is_register_only(second, False, repeat) and third < 0xC0)
    ):
        return Kind.INVALID
    return None


_ROTATES = b"\xc0\xc1\xd0\xd1\xd2\xd3"
_CONTROL_REGISTERS = (0, 2, 3, 4, 8)
_MXCSR_KINDS = (
    Kind.SAVES_MXCSR,  # FXSAVE
    Kind.LOADS_MXCSR,  # FXRSTOR
    Kind.LOADS_MXCSR,  # LDMXCSR
    Kind.SAVES_MXCSR,  # STMXCSR
    *[None] * 4,
)
_SSE_OPCODE = re.compile(_SSE)
_REX_W = tuple(bytes([rex]) for rex in range(0x48, 0x50))
_PCMPESTR_OPCODE = re.compile(_PCMPESTR)

_LOCK = 0xF0
_LOCKABLE = {
    **dict.fromkeys(b"\x00\x01\x08\x09\x10\x11\x18\x19\x20\x21\x28\x29\x30\x31\x86\x87", range(8)),
    **dict.fromkeys(b"\x80\x81\x83", range(7)),
    **dict.fromkeys(b"\xf6\xf7", range(2, 4)),
    **dict.fromkeys(b"\xfe\xff", range(2)),
}
_LOCKABLE_0F = {
    **dict.fromkeys(b"\xab\xb3\xbb\xb0\xb1\xc0\xc1", range(8)),
    0xBA: range(5, 8),
    0xC7: range(1, 2),
}


def _lockable(opcode: bytes) -> bool:
    """Tell whether LOCK is allowed: it is for what changes memory in one of a few ways."""
    if opcode[0] == 0x0F:
        fields, modrm = _LOCKABLE_0F.get(opcode[1]), opcode[2]
    else:
        fields, modrm = _LOCKABLE.get(opcode[0]), opcode[1]
    return fields is not None and modrm >> 6 != 3 and (modrm >> 3 & 7) in fields
