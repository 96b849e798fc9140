"""A run of the model, as an assembly program that does and checks the same."""

from conftest import LOAD_ADDRESS

from model.layout import NO_FILE, RO_FILE, RW_FILE
from model.specification import (
    ANON,
    EXEC,
    FIXED,
    INSTRUCTIONS,
    JUMP,
    NOTHING,
    PAGE,
    PRIVATE,
    RBX,
    READ,
    SHARED,
    TRYFIXED,
    VPAGETABLE,
    WRITE,
    Instruction,
    Outcome,
    Version,
)

PROLOGUE = r"""# (What is wrong.)

.include "conformance/conform.inc"

NEW = 0x111100001111                    # what lock cmpxchg stores

    IMAGE
    SYSCALL SYS_open, image_path, O_RDONLY
    OK
    mov r13, rax
    mov ebp, 16
    .rept IMG_SIZE/PAGE_SIZE
    dec ebp
    mov rsi, island
    mov rdi, rbp
    shl rdi, 12
    add rdi, RAM + 0x800
    mov ecx, island_end - island
    rep movsb
    .endr

# TOUCH id, rip, rsi, rax: run the vmspace.
.macro TOUCH id, rip, rsi, rax
    mov r11, \rip
    mov [frame + TF_RIP], r11
    mov r11, \rsi
    mov [frame + TF_RSI], r11
    lea r11, [r11 + 8]
    mov [frame + TF_RSP], r11
    mov r11, \rax
    mov [frame + TF_RAX], r11
    mov r11, NEW
    mov [frame + TF_RBX], r11
    SYSCALL SYS_vmspace_ctl, \id, VMSPACE_CTL_RUN, frame, tls
.endm

# FAULTED err, addr: the vmspace has come back with this page fault.
.macro FAULTED err, addr
    EQUAL [frame + TF_TRAPNO], T_PAGEFLT
    EQUAL [frame + TF_ERR], \err
    EQUAL [frame + TF_ADDR], \addr
.endm

CASE found, "6.13.1", "(what should be)"
"""


def number(value: int) -> str:
    return hex(value) if value > 9 else str(value)


def bits(value: int, names: dict[str, int]) -> str:
    """Return `value` as a sum of what has a name, and the rest."""
    parts = []
    for name, bit in names.items():
        if bit and value & bit == bit:
            parts.append(name)
            value &= ~bit
    return " + ".join(([number(value)] if value or not parts else []) + parts)


def entry_text(version: Version, value: int) -> str:
    return bits(value, {
        "VPTE_V": version.V, "VPTE_R": version.R,
        "VPTE_W" if version.R else "VPTE_RW": version.W,
        "VPTE_PS": version.PS, "VPTE_A": version.A, "VPTE_M": version.M, "VPTE_NX": version.NX,
    })  # fmt: skip


PROTS = {"PROT_READ": READ, "PROT_WRITE": WRITE, "PROT_EXEC": EXEC}
FLAGS = {
    "MAP_SHARED": SHARED, "MAP_PRIVATE": PRIVATE, "MAP_FIXED": FIXED, "MAP_ANON": ANON,
    "MAP_VPAGETABLE": VPAGETABLE, "MAP_TRYFIXED": TRYFIXED,
}  # fmt: skip
FILES = {RW_FILE: "r12", RO_FILE: "r13", -1: "-1", NO_FILE: str(NO_FILE)}


class Program:
    """The steps so far, as the assembly that does and checks the same."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        self.lines += lines

    def entry(self, value: int) -> str:
        return entry_text(self.version, value)

    def syscall(self, name: str, *args: str, result: int | str) -> None:
        macro = f"SYSCALL{len(args)}" if len(args) > 6 else "SYSCALL"
        self.add(f"{macro} SYS_{name}, {', '.join(args)}")
        if isinstance(result, int):
            self.add("OK")
        else:
            self.add(f"REFUSED ERRNO_{result}")

    def run(self, id: int, rip: int, rsi: int, rax: int, ends: Outcome | str) -> None:
        self.add(f"TOUCH {', '.join(map(number, (id, rip, rsi, rax)))}")
        if isinstance(ends, str):
            self.add(f"REFUSED ERRNO_{ends}")
            return
        self.add("OK")
        if ends.why:
            err = bits(ends.err, {"PGEX_U": 4, "PGEX_W": 2, "PGEX_P": 1, "PGEX_I": 0x10})
            self.add(f"FAULTED {err}, {number(ends.addr)}  # {ends.why}")
        else:
            self.add("EQUAL [frame + TF_TRAPNO], T_FAST_SYSCALL")
        self.add(f"EQUAL [frame + TF_RAX], {number(ends.rax)}")
        self.add(f"EQUAL [frame + TF_RIP], {number(ends.rip)}")

    def run_natively(self, what: Instruction, rip: int, rsi: int, rax: int, ends: Outcome) -> None:
        """Say what the virtual kernel does itself, as far as a program without handlers can."""
        if ends.why:
            self.add(f"# {what.text or 'nothing'} at {rip:#x}, rsi {rsi:#x}: a signal, {ends.why}")
            self.add(f"# tf_err {ends.err:#x}, tf_addr {ends.addr:#x}")
            if ends.err & 0x10 == 0:
                name = "extpread" if ends.err & 2 else "extpwrite"
                self.syscall(name, "r12", number(ends.addr), "1", "0", "0", result="EFAULT")
        elif rip // PAGE != LOAD_ADDRESS // PAGE or what is JUMP:
            self.add(f"# {what.text or 'nothing'} at {rip:#x}, rsi {rsi:#x}")
        elif what is not NOTHING:
            self.add(f"mov rsi, {number(rsi)}", f"mov rax, {number(rax)}", f"mov rbx, {RBX:#x}")
            self.add(what.text, f"EQUAL rax, {number(ends.rax)}")

    def check_word(self, page: int, slot: int, value: int) -> None:
        at = f"RAM + {page}*PAGE_SIZE + {slot}*8"
        self.add(f"WORD {at}, {self.entry(value)}")

    def text(self) -> str:
        code = [f"    .quad {what.word:#x}  # {what.text or 'nothing'}" for what in INSTRUCTIONS]
        steps = "\n".join("    " + line for line in self.lines)
        return f"{PROLOGUE}\n{steps}\n\n    FINISH\n\n    .balign 8\nisland:\n" + "\n".join(
            [*code, "island_end:", ""]
        )
