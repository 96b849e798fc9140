"""What both CPUs are given and what they answer: pages, registers, and the way a case ends.

A case ends with an exception: the one that its instructions raise, or the INT3 behind them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.abi.mman import Prot
from emu.abi.x86 import FPU_CONTROL_WORD, MXCSR_DEFAULT, PAGE_SIZE, Rflags

REGISTERS = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
"""The general registers in the order of their numbers."""

CODE = 0x40000  # two pages that can be read and executed, an absent one behind them
CODE_SIZE = 2 * PAGE_SIZE
READ_ONLY = 0x4F000
DATA = 0x50000  # two pages that can be read and written; READ_ONLY before, nothing behind
DATA_SIZE = 2 * PAGE_SIZE
ABSENT = 0x52000
MORE = 0x53000  # a page that can be read and written between ABSENT and a read-only one
MORE_READ_ONLY = 0x54000
STACK = 0x5F000  # one page, nothing around it
STACK_TOP = STACK + PAGE_SIZE

_R = int(Prot.READ)
_RW = int(Prot.READ | Prot.WRITE)
_RX = int(Prot.READ | Prot.EXEC)


@dataclass(frozen=True, slots=True)
class Area:
    start: int
    size: int
    prot: int


AREAS = (
    Area(CODE, CODE_SIZE, _RX),
    Area(READ_ONLY, PAGE_SIZE, _R),
    Area(DATA, DATA_SIZE, _RW),
    Area(MORE, PAGE_SIZE, _RW),
    Area(MORE_READ_ONLY, PAGE_SIZE, _R),
    Area(STACK, PAGE_SIZE, _RW),
)
"""Everything that is mapped.  What is present is so from the start: no fault is the host's own."""

DATA_AREAS = tuple(area for area in AREAS if area.start != CODE)

ARITHMETIC = int(Rflags.C | Rflags.PF | Rflags.AF | Rflags.Z | Rflags.N | Rflags.V)
"""The flags that say what a result is like."""

FP_SIZE = 512
FP_PARTS = {
    "fcw": (0, 2),
    "fsw": (2, 4),
    "ftw": (4, 5),
    "mxcsr": (24, 28),
    **{f"st{number}": (32 + 16 * number, 42 + 16 * number) for number in range(8)},
    **{f"xmm{number}": (160 + 16 * number, 176 + 16 * number) for number in range(16)},
}
"""Where they are in an FXSAVE image.

Not the last instruction and operand, which AMD saves only with an exception pending.
"""


def fp_image(
    *,
    control: int = FPU_CONTROL_WORD,
    status: int = 0,
    tags: int = 0,
    mxcsr: int = MXCSR_DEFAULT,
    st: Mapping[int, bytes] | None = None,
    xmm: Mapping[int, bytes] | None = None,
) -> bytes:
    """Return an FXSAVE image; ST registers are numbered from the top."""
    image = bytearray(FP_SIZE)
    image[0:2] = control.to_bytes(2, "little")
    image[2:4] = status.to_bytes(2, "little")
    image[4] = tags
    image[24:28] = mxcsr.to_bytes(4, "little")
    for number, value in (st or {}).items():
        image[32 + 16 * number : 42 + 16 * number] = value
    for number, value in (xmm or {}).items():
        image[160 + 16 * number : 176 + 16 * number] = value
    return bytes(image)


FP_FRESH = fp_image()


def memory_pattern() -> Mapping[int, bytes]:
    """What is in memory where a case does not say otherwise: no two words the same."""
    return {
        area.start: b"".join(
            ((area.start + at) * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(8, "little")
            for at in range(0, area.size, 8)
        )
        for area in DATA_AREAS
    }


@dataclass(frozen=True, slots=True)
class Case:
    """Where to start, and with what.  `code` is put at `rip`; around it is INT3."""

    code: bytes
    registers: Mapping[str, int] = field(default_factory=dict)
    rip: int = CODE
    rflags: int = 0x202
    fp: bytes = FP_FRESH
    memory: Sequence[tuple[int, bytes]] = ()

    def code_pages(self) -> bytes:
        pages = bytearray(b"\xcc" * CODE_SIZE)
        start = self.rip - CODE
        pages[start : start + len(self.code)] = self.code[: CODE_SIZE - start]
        return bytes(pages)


@dataclass(slots=True)
class Outcome:
    """The exception that ended a case, and everything as it was then."""

    vector: int
    error: int
    address: int
    """CR2 of a page fault, else 0."""
    rip: int
    rflags: int
    registers: dict[str, int]
    fp: bytes
    memory: dict[int, bytes]


class Died(Exception):
    """The CPU did not come back from a case."""
