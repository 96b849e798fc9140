"""What ring 3 can execute, as a table, and an encoder that makes instructions of it by choices.

Left out is what the host kernel answers (see `native`), what differs from one CPU to the next by
design (CPUID, RDTSC, the approximations RCPPS and RSQRTPS, transcendental functions, the
instruction and operand pointers of the FP unit), what the emulated CPU does not offer (VEX), and
what it gets wrong most of the time (LOOPE and LOOPNE, FPREM, FSCALE, FXTRACT, FLDPI and its kin:
see the table).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from emu.abi.x86 import U32_MASK, U64_MASK, Rflags
from hardware.machine import ABSENT, ARITHMETIC, DATA, READ_ONLY, REGISTERS

C, P, A, Z, S, V = (
    int(flag) for flag in (Rflags.C, Rflags.PF, Rflags.AF, Rflags.Z, Rflags.N, Rflags.V)
)  # fmt: skip
ALL = ARITHMETIC
CONDITION_CODES = 0x4500 << 32
"""C0, C2 and C3 of the x87 status word, above the flags."""

CONDITION_READS = (V, C, Z, C | Z, S, P, S | V, S | V | Z)
"""The flags that each pair of conditions depends on."""


class Choices:
    """A supply of small choices; when it is used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bits(self) -> int:
        at = self._at
        self._at += 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, limit: int) -> int:
        value = self.bits()
        if limit > 256:
            value |= self.bits() << 8
        return value % limit

    def one_in(self, chance: int) -> bool:
        return self.bits() % chance == chance - 1

    def integer(self, size: int) -> int:
        """Return an integer of `size` bytes, most often one at an edge."""
        mask = (1 << 8 * size) - 1
        kind = self.below(4)
        if kind == 3:
            return self.below(0x10000) * SCATTER >> 7 & mask
        edge = EDGES[self.below(len(EDGES))]
        return edge & mask


SCATTER = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Times a small number, this looks like chance."""

EDGES = (
    0, 1, 2, -1, -2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF,
    0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF,
    0x8000000000000000, 0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 0x0123456789ABCDEF,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the opcode map."""

    name: str
    opcode: bytes
    modrm: bool = False
    digit: int | None = None
    """What is in ModRM.reg, if that is no register."""
    prefix: bytes = b""
    widths: tuple[int, ...] = (4,)
    """Operand sizes.  With `byte_form`, bit 0 of the opcode is clear for 1 and set for others."""
    byte_form: bool = False
    in_opcode: bool = False
    """The low bits of the opcode are a register."""
    immediate: int = 0
    """Its size; 4 is 2 with an operand of 2 bytes, and 8 is the operand's."""
    memory: bool = True
    register: bool = True
    lock: bool = False
    rep: tuple[bytes, ...] = (b"",)
    reads: int = 0
    defines: int = 0
    undefined: int = 0
    immediates: tuple[int, ...] = ()
    """If not empty, the only ones."""
    grain: int = 1
    """What addresses should be multiples of."""
    bare: bool = False
    """No useless REX."""


@dataclass(frozen=True, slots=True)
class Operand:
    """An address in memory."""

    displacement: int
    base: str | None = None
    index: str | None = None
    scale: int = 0
    short: bool = False
    """Only the low 32 bits count."""

    def address(self, registers: Mapping[str, int]) -> int:
        address = self.displacement
        if self.base:
            address += registers[self.base]
        if self.index:
            address += registers[self.index] << self.scale
        return address & (U32_MASK if self.short else U64_MASK)


@dataclass(frozen=True, slots=True)
class Instruction:
    kind: str
    code: bytes
    reads: int = 0
    """The flags its result depends on."""
    defines: int = 0
    undefined: int = 0
    """The flags it leaves in no certain state; some of them perhaps as they were."""
    operand: Operand | None = None


_BASES = (3, 6, 7, 13, 5, 12, 14, 4, 0, 1, 2, 8, 9, 10, 11, 15)
"""Registers by how often they should be addresses."""
_OTHERS = (0, 1, 2, 8, 9, 10, 11, 15, 3, 6, 7, 13, 5, 12, 14, 4)


def _number(choices: Choices, order: Sequence[int]) -> int:
    """Return the number of a register, most often one of the first half of `order`."""
    value = choices.below(32)
    return order[value % 8 if value < 26 else value % 16]


def _memory(choices: Choices, field: int, grain: int) -> tuple[int, bytes, Operand]:
    """Return the bits of REX, ModRM and what follows it, and the operand.

    Displacements are multiples of `grain`, and with more than 1 there is no index.
    """
    form = choices.below(16)
    if form == 15:  # an absolute address
        place = (DATA, DATA + 0xFF8, DATA + 0x1FF8, READ_ONLY, ABSENT)[choices.below(5)]
        place = (place + choices.below(16)) // grain * grain
        return 0, bytes([0x04 | field, 0x25]) + place.to_bytes(4, "little"), Operand(place)
    base = _number(choices, _BASES)
    scaled = form >= 12 and grain == 1
    size = choices.below(3)
    distance = 0
    if size == 0 and base & 7 != 5:
        mod, displacement = 0x00, b""
    elif size < 2:
        distance = (choices.bits() - 128) // grain * grain
        mod, displacement = 0x40, distance.to_bytes(1, "little", signed=True)
    else:
        distance = (choices.below(0x400) - 0x200) // grain * grain
        mod, displacement = 0x80, distance.to_bytes(4, "little", signed=True)
    if not scaled and base & 7 != 4:
        rest = bytes([mod | field | base & 7]) + displacement
        return base >> 3, rest, Operand(distance, REGISTERS[base])
    index = _number(choices, _OTHERS) if scaled else 4
    scale = choices.below(4) if scaled else 0
    rest = bytes([mod | field | 4, scale << 6 | (index & 7) << 3 | base & 7]) + displacement
    operand = Operand(distance, REGISTERS[base], REGISTERS[index] if index != 4 else None, scale)
    return base >> 3 | (index >> 3) << 1, rest, operand


def encode(kind: Kind, choices: Choices) -> Instruction:
    width = kind.widths[choices.below(len(kind.widths))]
    opcode = bytearray(kind.opcode)
    if kind.byte_form and width > 1:
        opcode[-1] |= 1
    rex = int(width == 8) << 3
    rest = b""
    operand = None
    if kind.modrm:
        reg = kind.digit if kind.digit is not None else _number(choices, _OTHERS)
        rex |= (reg >> 3) << 2
        field = (reg & 7) << 3
        if kind.memory and not (kind.register and choices.below(2) == 0):
            bits, rest, operand = _memory(choices, field, kind.grain)
        else:
            rm = _number(choices, _OTHERS)
            bits, rest = rm >> 3, bytes([0xC0 | field | rm & 7])
        rex |= bits
    elif kind.in_opcode:
        register = _number(choices, _OTHERS)
        opcode[-1] |= register & 7
        rex |= register >> 3
    if kind.immediate:
        size = min(kind.immediate, width) if kind.immediate in (4, 8) else kind.immediate
        value = (
            kind.immediates[choices.below(len(kind.immediates))]
            if kind.immediates
            else choices.integer(size)
        )
        rest += value.to_bytes(size, "little")
    prefixes = b"\x66" if width == 2 and not kind.prefix else b""
    prefixes += kind.rep[choices.below(len(kind.rep))]
    if kind.lock and operand and choices.one_in(4):
        prefixes += b"\xf0"
    if operand and choices.one_in(16):
        prefixes += b"\x67"
        operand = replace(operand, short=True)
    code = prefixes + kind.prefix
    if rex or (not kind.bare and choices.one_in(8)):
        code += bytes([0x40 | rex])
    return Instruction(
        kind.name, code + opcode + rest, kind.reads, kind.defines, kind.undefined, operand
    )


# ---- the table

ALL_WIDTHS = (4, 8, 2, 1)
WIDER = (4, 8, 2)
LOGIC = {"defines": ALL & ~A, "undefined": A}
SUMS = {"defines": ALL}


def _alu() -> Iterator[Kind]:
    for number, name in enumerate(("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")):
        effects = dict(LOGIC if name in ("or", "and", "xor") else SUMS)
        if name in ("adc", "sbb"):
            effects["reads"] = C
        lock = name != "cmp"
        base = 8 * number
        common = {"widths": ALL_WIDTHS, "byte_form": True, **effects}
        yield Kind(f"{name} rm,r", bytes([base]), modrm=True, lock=lock, **common)
        yield Kind(f"{name} r,rm", bytes([base + 2]), modrm=True, **common)
        yield Kind(f"{name} a,i", bytes([base + 4]), immediate=4, **common)
        yield Kind(
            f"{name} rm,i", b"\x80", modrm=True, digit=number, immediate=4, lock=lock, **common
        )
        yield Kind(
            f"{name} rm,i8", b"\x83", modrm=True, digit=number, immediate=1, lock=lock,
            widths=WIDER, **effects,
        )  # fmt: skip
    yield Kind("test rm,r", b"\x84", True, widths=ALL_WIDTHS, byte_form=True, **LOGIC)
    yield Kind("test a,i", b"\xa8", immediate=4, widths=ALL_WIDTHS, byte_form=True, **LOGIC)
    yield Kind(
        "test rm,i", b"\xf6", True, 0, immediate=4, widths=ALL_WIDTHS, byte_form=True, **LOGIC
    )
    yield Kind("not", b"\xf6", True, 2, widths=ALL_WIDTHS, byte_form=True, lock=True)
    yield Kind("neg", b"\xf6", True, 3, widths=ALL_WIDTHS, byte_form=True, lock=True, defines=ALL)
    multiply = {"defines": C | V, "undefined": S | Z | A | P}
    yield Kind("mul", b"\xf6", True, 4, widths=ALL_WIDTHS, byte_form=True, **multiply)
    yield Kind("imul rm", b"\xf6", True, 5, widths=ALL_WIDTHS, byte_form=True, **multiply)
    yield Kind("div", b"\xf6", True, 6, widths=ALL_WIDTHS, byte_form=True, undefined=ALL)
    yield Kind("idiv", b"\xf6", True, 7, widths=ALL_WIDTHS, byte_form=True, undefined=ALL)
    yield Kind("imul r,rm", b"\x0f\xaf", True, widths=WIDER, **multiply)
    yield Kind("imul r,rm,i", b"\x69", True, widths=WIDER, immediate=4, **multiply)
    yield Kind("imul r,rm,i8", b"\x6b", True, widths=WIDER, immediate=1, **multiply)
    for digit, name in enumerate(("inc", "dec")):
        yield Kind(
            name, b"\xfe", True, digit, widths=ALL_WIDTHS, byte_form=True, lock=True,
            defines=ALL & ~C,
        )  # fmt: skip


def _shifts() -> Iterator[Kind]:
    for digit, name in enumerate(("rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar")):
        rotate = digit < 4
        reads = C if name in ("rcl", "rcr") else 0
        defined = C if rotate else C | P | Z | S
        # By 1, OF is defined; by a count that may be 0, nothing certainly is.
        yield Kind(
            f"{name} 1", b"\xd0", True, digit, widths=ALL_WIDTHS, byte_form=True, reads=reads,
            defines=defined | V, undefined=0 if rotate else A,
        )  # fmt: skip
        # A count beyond the operand's width leaves CF undefined, but not of a rotate or SAR.
        beyond = C if name in ("shl", "shr", "sal") else 0
        for opcode, immediate in (b"\xc0", 1), (b"\xd2", 0):
            yield Kind(
                f"{name} {'i' if immediate else 'cl'}", opcode, True, digit, widths=(4, 8),
                byte_form=True, immediate=immediate, reads=reads,
                undefined=V if rotate else V | A,
            )  # fmt: skip
            yield Kind(
                f"{name} {'i' if immediate else 'cl'}", opcode, True, digit, widths=(1, 2),
                byte_form=True, immediate=immediate, reads=reads,
                undefined=V | beyond if rotate else V | A | beyond,
            )  # fmt: skip
    for opcode, name in (0xA4, "shld"), (0xAC, "shrd"):
        yield Kind(
            f"{name} i", bytes([0x0F, opcode]), True, widths=(4, 8), immediate=1, undefined=V | A
        )
        yield Kind(f"{name} cl", bytes([0x0F, opcode + 1]), True, widths=(4, 8), undefined=V | A)
        # More than 16 bits of a word: the result is undefined too.
        yield Kind(
            f"{name} i", bytes([0x0F, opcode]), True, widths=(2,), immediate=1, undefined=V | A,
            immediates=tuple(range(17)),
        )  # fmt: skip


def _bits() -> Iterator[Kind]:
    effects = {"defines": C, "undefined": V | S | A | P}
    for at, name in enumerate(("bt", "bts", "btr", "btc")):
        lock = name != "bt"
        yield Kind(
            f"{name} rm,r", bytes([0x0F, 0xA3 + 8 * at]), True, widths=WIDER, lock=lock, **effects
        )
        yield Kind(
            f"{name} rm,i", b"\x0f\xba", True, 4 + at, widths=WIDER, immediate=1, lock=lock,
            **effects,
        )  # fmt: skip
    # Of zero, a result of 32 bits leaves the upper half in no certain state.
    for opcode, name in (0xBC, "bsf"), (0xBD, "bsr"):
        yield Kind(
            name, bytes([0x0F, opcode]), True, widths=(8, 2), defines=Z,
            undefined=C | V | S | A | P,
        )  # fmt: skip
    for opcode, name in (0xBC, "tzcnt"), (0xBD, "lzcnt"):
        yield Kind(
            name, bytes([0x0F, opcode]), True, prefix=b"\xf3", widths=(4, 8), defines=Z | C,
            undefined=V | S | A | P,
        )  # fmt: skip
    yield Kind("popcnt", b"\x0f\xb8", True, prefix=b"\xf3", widths=(4, 8), defines=ALL)
    yield Kind("bswap", b"\x0f\xc8", in_opcode=True, widths=(4, 8))


def _moves() -> Iterator[Kind]:
    yield Kind("mov rm,r", b"\x88", True, widths=ALL_WIDTHS, byte_form=True)
    yield Kind("mov r,rm", b"\x8a", True, widths=ALL_WIDTHS, byte_form=True)
    yield Kind("mov rm,i", b"\xc6", True, 0, widths=ALL_WIDTHS, byte_form=True, immediate=4)
    yield Kind("mov r,i", b"\xb8", in_opcode=True, widths=WIDER, immediate=8)
    yield Kind("mov r8,i", b"\xb0", in_opcode=True, widths=(1,), immediate=1)
    yield Kind("xchg rm,r", b"\x86", True, widths=ALL_WIDTHS, byte_form=True, lock=True)
    yield Kind("xchg a,r", b"\x90", in_opcode=True, widths=WIDER)
    yield Kind("lea", b"\x8d", True, widths=WIDER, register=False)
    yield Kind("movzx r,rm8", b"\x0f\xb6", True, widths=WIDER)
    yield Kind("movzx r,rm16", b"\x0f\xb7", True, widths=WIDER)
    yield Kind("movsx r,rm8", b"\x0f\xbe", True, widths=WIDER)
    yield Kind("movsx r,rm16", b"\x0f\xbf", True, widths=WIDER)
    yield Kind("movsxd", b"\x63", True, widths=WIDER)
    yield Kind("movbe r,m", b"\x0f\x38\xf0", True, widths=WIDER, register=False)
    yield Kind("movbe m,r", b"\x0f\x38\xf1", True, widths=WIDER, register=False)
    yield Kind("movnti", b"\x0f\xc3", True, widths=(4, 8), register=False)
    yield Kind("cbw", b"\x98", widths=WIDER)
    yield Kind("cwd", b"\x99", widths=WIDER)
    yield Kind("lahf", b"\x9f", bare=True, reads=ALL & ~V)
    yield Kind("sahf", b"\x9e", bare=True, defines=ALL & ~V)
    yield Kind("clc", b"\xf8", defines=C)
    yield Kind("stc", b"\xf9", defines=C)
    yield Kind("cmc", b"\xf5", reads=C, defines=C)
    yield Kind("cld", b"\xfc")
    yield Kind("std", b"\xfd")
    yield Kind("xlat", b"\xd7")
    yield Kind("pushf", b"\x9c", widths=(8, 2), reads=ALL)
    for number, reads in enumerate(CONDITION_READS):
        for odd in 0, 1:
            condition = 2 * number + odd
            yield Kind(
                f"cmov{condition:x}", bytes([0x0F, 0x40 + condition]), True, widths=WIDER,
                reads=reads,
            )  # fmt: skip
            yield Kind(
                f"set{condition:x}", bytes([0x0F, 0x90 + condition]), True, widths=(1,),
                reads=reads,
            )  # fmt: skip
    yield Kind(
        "cmpxchg", b"\x0f\xb0", True, widths=ALL_WIDTHS, byte_form=True, lock=True, defines=ALL
    )
    yield Kind("xadd", b"\x0f\xc0", True, widths=ALL_WIDTHS, byte_form=True, lock=True, defines=ALL)
    yield Kind(
        "cmpxchg8b", b"\x0f\xc7", True, 1, widths=(4, 8), register=False, lock=True, defines=Z
    )
    yield Kind("crc32 r,rm8", b"\x0f\x38\xf0", True, prefix=b"\xf2", widths=(4, 8))
    yield Kind("crc32 r,rm", b"\x0f\x38\xf1", True, prefix=b"\xf2", widths=(4, 8))
    yield Kind("nop rm", b"\x0f\x1f", True, 0, widths=WIDER)
    yield Kind("prefetch", b"\x0f\x18", True, 1, register=False)
    yield Kind("lfence", b"\x0f\xae\xe8")
    yield Kind("mfence", b"\x0f\xae\xf0")
    yield Kind("sfence", b"\x0f\xae\xf8")


def _stack() -> Iterator[Kind]:
    yield Kind("push r", b"\x50", in_opcode=True, widths=(4, 2))
    yield Kind("pop r", b"\x58", in_opcode=True, widths=(4, 2))
    yield Kind("push i", b"\x68", immediate=4, widths=(4, 2))
    yield Kind("push i8", b"\x6a", immediate=1, widths=(4, 2))
    yield Kind("push rm", b"\xff", True, 6, widths=(4, 2))
    yield Kind("pop rm", b"\x8f", True, 0, widths=(4, 2))
    yield Kind("leave", b"\xc9")
    yield Kind("enter", b"\xc8", immediate=3, immediates=(0, 8, 0x10010, 0x20, 0x30008, 0x1F0004))


def _strings() -> Iterator[Kind]:
    plain = (b"", b"\xf3", b"\xf2")
    for opcode, name in (0xA4, "movs"), (0xAA, "stos"), (0xAC, "lods"):
        yield Kind(name, bytes([opcode]), widths=ALL_WIDTHS, byte_form=True, rep=plain)
    for opcode, name in (0xA6, "cmps"), (0xAE, "scas"):
        yield Kind(name, bytes([opcode]), widths=ALL_WIDTHS, byte_form=True, defines=ALL)
        # With RCX 0, the flags stay.
        yield Kind(f"rep {name}", bytes([opcode]), widths=ALL_WIDTHS, byte_form=True, rep=plain[1:])


def _traps() -> Iterator[Kind]:
    for name, code in {
        "ud2": "0f0b", "hlt": "f4", "cli": "fa", "sti": "fb", "in": "ec", "out": "ee",
        "in i": "e460", "out i": "e760", "int3": "cc", "int 3": "cd03", "int 0": "cd00",
        "int 1": "cd01", "int 13": "cd0d", "int 14": "cd0e", "int 255": "cdff", "clts": "0f06",
        "invd": "0f08",
        "rdmsr": "0f32", "wrmsr": "0f30", "mov cr3": "0f22d8", "mov r,cr0": "0f20c0",
        "swapgs": "0f01f8", "lgdt": "0f0113", "invlpg": "0f013b",
    }.items():  # fmt: skip
        yield Kind(name, bytes.fromhex(code), bare=True)


# Not EMMS, after which TOP is 0 on AMD and as before on Intel.  Not SSSE3 on MMX registers: with a
# useless REX.R, the engine takes them for registers 8 to 15 and writes over something else.
# Opcodes after 0F that take a second operand from ModRM, with the prefixes that they exist with:
# "-" none, 6 66, 2 F2, 3 F3; lower case is what cannot have a register, r what cannot have memory.
_SSE = """
    10:-623 11:-623 12:m-6 12:23 13:m-6 14:-6 15:-6 16:m-6 16:3 17:m-6 28:-6 29:-6 2b:m-6
    51:-623 54:-6 55:-6 56:-6 57:-6 58:-623 59:-623 5a:-623 5b:-63 5c:-623 5d:-623
    5e:-623 5f:-623 60:-6 61:-6 62:-6 63:-6 64:-6 65:-6 66:-6 67:-6 68:-6 69:-6 6a:-6 6b:-6 6c:6
    6d:6 6f:-63 74:-6 75:-6 76:-6 7c:62 7d:62 7e:3 7f:-63 d0:62 d1:-6 d2:-6 d3:-6 d4:-6 d5:-6 d6:6
    d7:r-6 d8:-6 d9:-6 da:-6 db:-6 dc:-6 dd:-6 de:-6 df:-6 e0:-6 e1:-6 e2:-6 e3:-6 e4:-6 e5:-6
    e6:623 e7:m-6 e8:-6 e9:-6 ea:-6 eb:-6 ec:-6 ed:-6 ee:-6 ef:-6 f0:m2 f1:-6 f2:-6 f3:-6 f4:-6
    f5:-6 f6:-6 f7:r-6 f8:-6 f9:-6 fa:-6 fb:-6 fc:-6 fd:-6 fe:-6 50:r-6 12:r- 16:r- d6:r23 2a:-6
    2c:-6 2d:-6
    3800:6 3801:6 3802:6 3803:6 3804:6 3805:6 3806:6 3807:6 3808:6 3809:6 380a:6
    380b:6 381c:6 381d:6 381e:6 3810:6 3814:6 3815:6 3820:6 3821:6 3822:6 3823:6 3824:6 3825:6
    3828:6 3829:6 382a:m6 382b:6 3830:6 3831:6 3832:6 3833:6 3834:6 3835:6 3837:6 3838:6 3839:6
    383a:6 383b:6 383c:6 383d:6 383e:6 383f:6 3840:6 3841:6 38db:6 38dc:6 38dd:6 38de:6 38df:6
"""
_SSE_WITH_IMMEDIATE = """
    70:-623 c2:-623 c4:-6 c5:r-6 c6:-6 3a08:6 3a09:6 3a0a:6 3a0b:6 3a0c:6 3a0d:6 3a0e:6 3a0f:6
    3a14:6 3a15:6 3a17:6 3a20:6 3a21:6 3a40:6 3a41:6 3a42:6 3a44:6 3adf:6
"""
_MANDATORY = {"-": b"", "6": b"\x66", "2": b"\xf2", "3": b"\xf3"}


def _sse() -> Iterator[Kind]:
    for table, immediate in (_SSE, 0), (_SSE_WITH_IMMEDIATE, 1):
        for word in table.split():
            opcode, _, forms = word.partition(":")
            for form in forms.strip("mr"):
                yield Kind(
                    f"sse {form}{opcode}", b"\x0f" + bytes.fromhex(opcode), True,
                    prefix=_MANDATORY[form], immediate=immediate,
                    memory=forms[0] != "r", register=forms[0] != "m", grain=16,
                )  # fmt: skip
    for opcode, prefix in (0x6E, b""), (0x6E, b"\x66"), (0x7E, b""), (0x7E, b"\x66"):
        yield Kind(
            f"sse movd {opcode:x}", bytes([0x0F, opcode]), True, prefix=prefix, widths=(4, 8)
        )
    for prefix in b"\xf2", b"\xf3":
        for opcode in 0x2A, 0x2C, 0x2D:
            yield Kind(
                f"sse {prefix.hex()}{opcode:x}", bytes([0x0F, opcode]), True, prefix=prefix,
                widths=(4, 8),
            )  # fmt: skip
    for opcode, widths in (b"\x0f\x3a\x16", (4, 8)), (b"\x0f\x3a\x22", (4, 8)):
        yield Kind(
            f"sse pextr {opcode[2]:x}", opcode, True, prefix=b"\x66", widths=widths, immediate=1
        )
    for prefix in b"", b"\x66":
        yield Kind("ucomis", b"\x0f\x2e", True, prefix=prefix, defines=ALL)
        yield Kind("comis", b"\x0f\x2f", True, prefix=prefix, defines=ALL)
        for opcode, digits in (0x71, (2, 4, 6)), (0x72, (2, 4, 6)), (0x73, (2, 6)):
            for digit in digits:
                yield Kind(
                    f"sse {opcode:x}/{digit}", bytes([0x0F, opcode]), True, digit, prefix=prefix,
                    immediate=1, memory=False,
                )  # fmt: skip
    for digit in 3, 7:
        yield Kind(
            f"sse 73/{digit}", b"\x0f\x73", True, digit, prefix=b"\x66", immediate=1, memory=False
        )
    yield Kind("ptest", b"\x0f\x38\x17", True, prefix=b"\x66", defines=ALL, grain=16)
    for opcode in 0x62, 0x63:
        yield Kind(
            f"pcmpstr {opcode:x}", bytes([0x0F, 0x3A, opcode]), True, prefix=b"\x66", immediate=1,
            defines=ALL, grain=16,
        )  # fmt: skip


def _x87() -> Iterator[Kind]:
    for opcode in 0xD8, 0xDA, 0xDC, 0xDE:
        for digit in range(8):
            compares = digit in (2, 3)
            yield Kind(
                f"x87 {opcode:x}/{digit} m", bytes([opcode]), True, digit, register=False,
                defines=CONDITION_CODES if compares else 0,
                undefined=0 if compares else CONDITION_CODES,
            )  # fmt: skip
    # Not FNSTSW: exceptions are not told from each other everywhere.
    for opcode, digits in (
        (0xD9, (0, 2, 3, 7)), (0xDB, (0, 1, 2, 3, 5, 7)), (0xDD, (0, 1, 2, 3)), (0xDF, range(8)),
    ):  # fmt: skip
        for digit in digits:
            yield Kind(
                f"x87 {opcode:x}/{digit} m", bytes([opcode]), True, digit, register=False,
                undefined=CONDITION_CODES,
            )  # fmt: skip
    for opcode, seconds in {
        0xD8: tuple(range(0xC0, 0x100, 8)),
        0xD9: (0xC0, 0xC8),
        0xDA: (0xC0, 0xC8, 0xD0, 0xD8),
        0xDB: (0xC0, 0xC8, 0xD0, 0xD8, 0xE8, 0xF0),
        0xDC: (0xC0, 0xC8, 0xE0, 0xE8, 0xF0, 0xF8),
        0xDD: (0xC0, 0xD0, 0xD8, 0xE0, 0xE8),
        0xDE: (0xC0, 0xC8, 0xE0, 0xE8, 0xF0, 0xF8),
        0xDF: (0xE8, 0xF0),
    }.items():
        for second in seconds:
            effects = {"undefined": CONDITION_CODES}
            if opcode in (0xDB, 0xDF) and second in (0xE8, 0xF0):  # FCOMI and its kin
                effects = {"defines": ALL}
            elif (opcode, second) in _COMPARES:
                effects = {"defines": CONDITION_CODES}
            elif opcode in (0xDA, 0xDB):  # FCMOVcc
                effects["reads"] = CONDITION_READS[(1, 2, 3, 5)[second >> 3 & 3]]
            yield Kind(
                f"x87 {opcode:x} {second:x}", bytes([opcode, second]), in_opcode=True, **effects
            )
    for name, code in {
        "ftst": "d9e4", "fxam": "d9e5", "fucompp": "dae9", "fcompp": "ded9",
    }.items():  # fmt: skip
        yield Kind(name, bytes.fromhex(code), defines=CONDITION_CODES)
    for name, code in {
        "fnop": "d9d0", "fchs": "d9e0", "fabs": "d9e1",
        "fld1": "d9e8", "fldz": "d9ee", "fdecstp": "d9f6", "fincstp": "d9f7", "fsqrt": "d9fa",
        "frndint": "d9fc",
        "fnclex": "dbe2", "fninit": "dbe3", "fwait": "9b",
    }.items():  # fmt: skip
        yield Kind(name, bytes.fromhex(code), undefined=CONDITION_CODES)


_COMPARES = {
    (0xD8, 0xD0), (0xD8, 0xD8), (0xDD, 0xE0), (0xDD, 0xE8)
}  # fmt: skip

FAR_AWAY = 0x1000000


def _jumps() -> Iterator[Kind]:
    """Jumps to the next instruction, and to where there is nothing.  There are no loops."""
    for number, reads in enumerate(CONDITION_READS):
        for odd in 0, 1:
            opcode = bytes([0x0F, 0x80 + 2 * number + odd])
            yield Kind(
                f"j{opcode[1] & 15:x}", opcode, immediate=4, reads=reads, immediates=(0, FAR_AWAY)
            )
    yield Kind("loop", b"\xe2", immediate=1, immediates=(0,))
    yield Kind("jrcxz", b"\xe3", immediate=1, immediates=(0,))
    yield Kind("jmp", b"\xe9", immediate=4, immediates=(0, FAR_AWAY))
    yield Kind("call", b"\xe8", immediate=4, immediates=(FAR_AWAY,))
    yield Kind("call rm", b"\xff", True, 2)
    yield Kind("jmp rm", b"\xff", True, 4)
    yield Kind("ret", b"\xc3")
    yield Kind("ret i", b"\xc2", immediate=2)


INTEGER = (*_alu(), *_shifts(), *_bits(), *_moves(), *_stack(), *_strings())
TRAPS = (*_traps(), *_jumps())
SSE = tuple(_sse())
X87 = tuple(_x87())

MAKE_FLAGS_KNOWN = Instruction("cmp ebp,ebx", bytes.fromhex("39dd"), 0, ALL, 0)
"""To put before an instruction that reads what is undefined."""
