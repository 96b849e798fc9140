"""Rows of the table: SSE to SSE4.2, and MMX."""

from struct import pack

from emu.abi.x86 import Vector
from hardware.machine import ABSENT, DATA, fp_image
from hardware.table import (
    MINIMUM,
    ONE,
    THREE,
    TWO,
    Row,
    doubles,
    fault,
    flags,
    page_fault,
    singles,
    sse,
    word,
    x87,
)

ROWS = [
    Row("MOVAPS of what is not aligned", "movaps xmm0, [rbx]", fault(Vector.GP), {"rbx": DATA + 8}),
    Row(
        "MOVUPS of what is not aligned",
        "movups xmm0, [rbx]",
        {"xmm0": 1 << 64 | 2},
        {"rbx": DATA + 8},
        memory=[(DATA + 8, pack("<2Q", 2, 1))],
    ),
    Row(
        "16 bytes across pages are stored whole or not at all",
        "movups [rbx], xmm0",
        page_fault(ABSENT, 6) | {ABSENT - 8: 0},
        {"rbx": ABSENT - 8},
        fp=sse(doubles(1.0, 2.0)),
        memory=[(ABSENT - 8, bytes(8))],
    ),
    Row(
        "16 bytes across pages are loaded whole or not at all",
        "movups xmm0, [rbx]",
        page_fault(ABSENT, 4, xmm0=0),
        {"rbx": ABSENT - 8},
    ),
    Row(
        "a division by zero that is not masked",
        "divsd xmm0, xmm1",
        fault(Vector.XM, xmm0=word(doubles(1.0)), mxcsr=0x1D84),
        fp=sse(doubles(1.0), doubles(0.0), mxcsr=0x1D80),
    ),
    Row(
        "a division by zero that is masked",
        "divsd xmm0, xmm1",
        {"xmm0": 0x7FF0000000000000, "mxcsr": 0x1F84},
        fp=sse(doubles(1.0), doubles(0.0)),
    ),
    Row(
        "a denormal operand sets DE",
        "addsd xmm0, xmm0",
        {"mxcsr": 0x1F82},
        fp=sse(doubles(5e-324)),
    ),
    Row(
        "ROUNDSD that reports nothing",
        "roundsd xmm0, xmm1, 8",
        {"xmm0": word(doubles(2.0)), "mxcsr": 0x1F80},
        fp=sse(doubles(0.0), doubles(1.5)),
    ),
    Row(
        "MXCSR collects exceptions",
        "addsd xmm0, xmm1; divsd xmm1, xmm2",
        {"mxcsr": 0x1FA4},
        fp=sse(doubles(1.0), doubles(1e-300)),
    ),
    Row(
        "an inexact sum",
        "addsd xmm0, xmm1",
        {"xmm0": word(doubles(1.0)), "mxcsr": 0x1FA0},
        fp=sse(doubles(1.0), doubles(1e-300)),
    ),
    Row(
        "rounding up",
        "addsd xmm0, xmm1",
        {"xmm0": 0x3FF0000000000001},
        fp=sse(doubles(1.0), doubles(1e-300), mxcsr=0x5F80),
    ),
    Row(
        "rounding towards zero",
        "cvtsd2si eax, xmm0",
        {"rax": 0xFFFFFFFF},
        fp=sse(doubles(-1.9), mxcsr=0x7F80),
    ),
    Row("rounding to even", "cvtsd2si rax, xmm0", {"rax": 2}, fp=sse(doubles(2.5))),
    Row(
        "a conversion that is out of range",
        "cvttsd2si eax, xmm0; cvttsd2si rbx, xmm0",
        {"rax": 0x80000000, "rbx": MINIMUM},
        fp=sse(doubles(1e300)),
    ),
    Row(
        "a conversion of a NaN",
        "cvttss2si rax, xmm0",
        {"rax": MINIMUM},
        fp=sse(singles(0x7FC00000, 0, 0, 0)),
    ),
    Row(
        "a packed conversion that is out of range",
        "cvtps2dq xmm0, xmm0",
        {"xmm0": 0x80000000_80000000_80000000_7FFFFF80},
        fp=sse(singles(0x4EFFFFFF, 0x4F000000, 0xCF000001, 0x7F800001)),
    ),
    Row(
        "a denormal result", "mulsd xmm0, xmm1", {"xmm0": 1}, fp=sse(doubles(5e-324), doubles(1.0))
    ),
    Row(
        "a denormal result with FTZ",
        "divsd xmm0, xmm1",
        {"xmm0": 0},
        fp=sse(doubles(2.2250738585072014e-308), doubles(3.0), mxcsr=0x9F80),
    ),
    Row(
        "a denormal operand with DAZ",
        "addsd xmm0, xmm1",
        {"xmm0": 0},
        fp=sse(doubles(5e-324), doubles(0.0), mxcsr=0x1FC0),
    ),
    Row(
        "MINSD of denormals with DAZ",
        "minsd xmm0, xmm1",
        {"xmm0": 0},
        fp=sse(doubles(0.0), doubles(5e-324), mxcsr=0x1FC0),
    ),
    Row(
        "MINSD of zeros is the second",
        "minsd xmm0, xmm1",
        {"xmm0": MINIMUM},
        fp=sse(doubles(0.0), doubles(-0.0)),
    ),
    Row(
        "MAXSD of a NaN is the second",
        "maxsd xmm0, xmm1",
        {"xmm0": word(doubles(1.0))},
        fp=sse(pack("<2Q", 0x7FF8000000000000, 0), doubles(1.0)),
    ),
    Row(
        "the first of two NaNs",
        "addsd xmm0, xmm1",
        {"xmm0": 0xFFF8000000000000},
        fp=sse(pack("<2Q", 0xFFF8000000000000, 0), pack("<2Q", 0x7FF8000000000123, 0)),
    ),
    Row(
        "a signalling NaN becomes quiet",
        "addsd xmm0, xmm1",
        {"xmm0": 0x7FF8000000000001},
        fp=sse(pack("<2Q", 0x7FF0000000000001, 0), doubles(1.0)),
    ),
    Row(
        "zero times infinity",
        "mulsd xmm0, xmm1",
        {"xmm0": 0xFFF8000000000000},
        fp=sse(doubles(0.0), doubles(float("inf"))),
    ),
    Row(
        "UCOMISD of a NaN",
        "ucomisd xmm0, xmm1",
        flags("CF PF ZF"),
        fp=sse(pack("<2Q", 0x7FF8000000000000, 0)),
        rflags=0xAD7,
    ),
    Row(
        "CMPPS looks at three bits of its immediate", b"\x0f\xc2\xc1\x08", {"xmm0": (1 << 128) - 1}
    ),
    Row(
        "ROUNDSS reads four bytes",
        "roundss xmm0, dword ptr [rbx], 0",
        {"xmm0": 0},
        {"rbx": ABSENT - 4},
        memory=[(ABSENT - 4, bytes(4))],
    ),
    Row(
        "CVTDQ2PD reads eight bytes",
        "cvtdq2pd xmm0, qword ptr [rbx]",
        {"xmm0": 0},
        {"rbx": ABSENT - 8},
        memory=[(ABSENT - 8, bytes(8))],
    ),
    Row(
        "PHADDD of a register and itself",
        "phaddd xmm0, xmm0",
        {"xmm0": 7 << 96 | 3 << 64 | 7 << 32 | 3},
        fp=sse(singles(1, 2, 3, 4)),
    ),
    Row(
        "DPPS adds in pairs",
        "dpps xmm0, xmm1, 0xf1",
        {"xmm0": 0},
        fp=sse(
            singles(0x4B800000, 0x3F800000, 0xCB800000, 0xBF800000),
            singles(0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000),
        ),
    ),
    Row(
        "PSHUFB",
        "pshufb xmm0, xmm1",
        {"xmm0": 0x0F},
        fp=sse(bytes(range(16)), b"\x0f" + b"\x80" * 15),
    ),
    Row(
        "PALIGNR by more than 32",
        "palignr xmm0, xmm1, 40",
        {"xmm0": 0},
        fp=sse(b"a" * 16, b"b" * 16),
    ),
    Row(
        "MASKMOVDQU writes what is selected",
        "maskmovdqu xmm0, xmm1",
        {DATA: 0xAA00AA},
        {"rdi": DATA},
        fp=sse(b"\xaa" * 16, b"\x80\x7f\xff" + bytes(13)),
        memory=[(DATA, bytes(16))],
    ),
    Row(
        "PCMPISTRI",
        "pcmpistri xmm0, xmm1, 0x0c",
        {"rcx": 2, "CF": 1, "ZF": 1},
        fp=sse(b"cd".ljust(16, b"\0"), b"abcdefghi".ljust(16, b"\0")),
    ),
    Row(
        "PCMPESTRI",
        "pcmpestri xmm0, xmm1, 0x0c",
        {"rcx": 3, "CF": 1},
        {"rax": 2, "rdx": 16},
        fp=sse(b"cd".ljust(16, b"\0"), b"abdcdefghi".ljust(16, b"\0")),
    ),
    Row(
        "PCMPESTRI finds the beginning of a match at the end",
        "pcmpestri xmm0, xmm1, 0x0c",
        {"rcx": 15, "CF": 1},
        {"rax": 2, "rdx": 16},
        fp=sse(b"ab" + bytes(14), b"m" * 15 + b"a"),
    ),
    *(
        Row(
            f"{name} of {length:#x} bytes",
            f"{name} xmm0, xmm1, 0x08",
            {"rax": length, "rdx": length, **flags("CF OF")},
            {"rax": length, "rdx": length},
        )
        for name in ("pcmpestri", "pcmpestrm")
        for length in (0x80000000, 0x7FFFFFFF, 0xFFFFFFFF80000000)
    ),
    Row(
        "PCMPESTRI with lengths of 64 bits",
        b"\x66\x48\x0f\x3a\x61\xc1\x08",
        {"rcx": 0, "CF": 1, "rax": 1 << 63, "rdx": 1 << 32},
        {"rax": 1 << 63, "rdx": 1 << 32},
    ),
    Row("AESENC", "aesenc xmm0, xmm1", {"xmm0": 0x63636363636363636363636363636363}),
    Row(
        "PCLMULQDQ",
        "pclmulqdq xmm0, xmm1, 0x11",
        {"xmm0": 5},
        fp=sse(pack("<2Q", 0, 3), pack("<2Q", 0, 3)),
    ),
    Row(
        "an MMX write sets the exponent",
        "pcmpeqd mm0, mm0",
        {"st0": (1 << 80) - 1, "ftw": 0xFF},
        compared=False,
    ),
    Row(
        "MMX instructions set TOP to 0",
        "movq mm1, mm2",
        {"fsw": 0, "ftw": 0xFF},
        fp=x87(ONE, TWO, THREE),
    ),
    Row(
        "MMX instructions that fault leave the x87 state alone",
        "movq mm1, [rbx]",
        page_fault(ABSENT, 4, fsw=0x3000, ftw=0xC0),
        {"rbx": ABSENT},
        fp=x87(ONE, TWO),
    ),
    Row(
        "CVTPI2PS of memory leaves the x87 state alone",
        "cvtpi2ps xmm0, [rbx]",
        {"fsw": 0x3000, "ftw": 0xC0},
        {"rbx": DATA},
        fp=x87(ONE, TWO),
    ),
    Row(
        "SSSE3 on MMX registers changes the x87 state",
        "pshufb mm1, mm2",
        {"fsw": 0, "ftw": 0xFF},
        fp=x87(ONE, TWO),
        compared=False,
    ),
    Row(
        "PUNPCKLBW reads four bytes",
        "punpcklbw mm0, [rbx]",
        {},
        {"rbx": ABSENT - 4},
        fp=fp_image(tags=0xFF),
    ),
    Row(
        "LDMXCSR of reserved bits",
        "ldmxcsr [rbx]",
        fault(Vector.GP),
        {"rbx": DATA},
        memory=[(DATA, b"\0\0\1\0")],
    ),
    Row(
        "STMXCSR",
        "stmxcsr [rbx]",
        {DATA: 0x7F80},
        {"rbx": DATA},
        memory=[(DATA, bytes(8))],
        fp=sse(mxcsr=0x7F80),
    ),
    Row(
        "AVX with registers of 16 bytes is not offered",
        bytes.fromhex("c5f9fec1"),
        fault(Vector.UD),
        offered=False,
    ),
    Row("AVX is not offered", bytes.fromhex("c5fdfec1"), fault(Vector.UD), offered=False),
]
