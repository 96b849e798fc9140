"""Rows of the table: page faults, protection faults, exceptions, what does not decode."""

from emu.abi.x86 import Vector
from hardware.machine import (
    ABSENT,
    ARITHMETIC,
    CODE,
    CODE_SIZE,
    DATA,
    MORE_READ_ONLY,
    READ_ONLY,
    STACK,
    fp_image,
)
from hardware.table import (
    KERNEL_HALF,
    MINIMUM,
    MINUS_1,
    NOT_CANONICAL,
    RSP,
    Row,
    fault,
    flags,
    page_fault,
)

ROWS = [
    Row("a load from an absent page", "mov rax, [rbx]", page_fault(ABSENT, 4), {"rbx": ABSENT}),
    Row("a store to an absent page", "mov [rbx], rax", page_fault(ABSENT, 6), {"rbx": ABSENT}),
    Row(
        "a store to a read-only page",
        "mov [rbx], rax",
        page_fault(READ_ONLY, 7),
        {"rbx": READ_ONLY},
    ),
    Row("ADD to an absent page writes", "add [rbx], rax", page_fault(ABSENT, 6), {"rbx": ABSENT}),
    Row(
        "ADD to a read-only page writes",
        "nop; lock add [rbx], rax",
        page_fault(READ_ONLY, 7, at=1),
        {"rbx": READ_ONLY},
    ),
    Row(
        "ADD across a read-only page and an absent one",
        "add [rbx], rax",
        page_fault(MORE_READ_ONLY + 0xFFC, 7),
        {"rbx": MORE_READ_ONLY + 0xFFC},
    ),
    Row(
        "CMPXCHG writes even if it does not match",
        "cmpxchg [rbx], rcx",
        page_fault(READ_ONLY, 7, rax=5),
        {"rbx": READ_ONLY, "rax": 5},
    ),
    Row("BT reads", "bt [rbx], rax", page_fault(ABSENT, 4), {"rbx": ABSENT}),
    Row(
        "BTS of a far bit",
        "bts [rbx], rax",
        page_fault(ABSENT, 6),
        {"rbx": ABSENT + 0x1000, "rax": -0x8000 & MINUS_1},
    ),
    Row("XCHG writes", "xchg [rbx], rax", page_fault(ABSENT, 6), {"rbx": ABSENT}),
    Row("PUSH to an absent page", "push rax", page_fault(STACK - 8, 6, rsp=STACK), {"rsp": STACK}),
    Row(
        "POP to a read-only page leaves RSP",
        "pop qword ptr [rbx]",
        page_fault(READ_ONLY, 7, rsp=RSP),
        {"rbx": READ_ONLY},
    ),
    Row(
        "CALL that cannot push does not jump",
        "call qword ptr [rbx]",
        page_fault(STACK - 8, 6, rsp=STACK),
        {"rbx": DATA, "rsp": STACK},
    ),
    Row(
        "a load across pages reports the first byte that is absent",
        "mov rax, [rbx]",
        page_fault(ABSENT, 4),
        {"rbx": ABSENT - 3},
    ),
    Row(
        "a store across pages changes nothing",
        "mov [rbx], rax",
        page_fault(ABSENT, 6) | {ABSENT - 8: 0},
        {"rbx": ABSENT - 4, "rax": MINUS_1},
        memory=[(ABSENT - 16, bytes(16))],
    ),
    Row(
        "a store across pages into a read-only one",
        "mov [rbx], rax",
        page_fault(MORE_READ_ONLY, 7),
        {"rbx": MORE_READ_ONLY - 4},
    ),
    Row(
        "a jump to an absent page",
        "jmp rax",
        page_fault(ABSENT, 0x14, at=ABSENT - CODE),
        {"rax": ABSENT},
    ),
    Row("a jump to data", "jmp rax", page_fault(DATA, 0x15, at=DATA - CODE), {"rax": DATA}),
    Row(
        "an instruction across the last page",
        "mov rax, 0x1122334455667788",
        page_fault(CODE + CODE_SIZE, 0x14, at=CODE_SIZE - 4),
        start=CODE_SIZE - 4,
    ),
    Row(
        "two instructions, of which the second runs into an absent page",
        "inc rcx; mov rax, 0x1122334455667788",
        page_fault(CODE + CODE_SIZE, 0x14, at=CODE_SIZE - 4, rcx=1),
        start=CODE_SIZE - 7,
    ),
    Row(
        "MOV to CR3 with its end in an absent page",
        b"\x0f\x22",
        page_fault(CODE + CODE_SIZE, 0x14, at=CODE_SIZE - 2),
        start=CODE_SIZE - 2,
    ),
    Row(
        "a load from the kernel's half",
        "mov rax, [rbx]",
        {"vector": Vector.PF, "address": KERNEL_HALF, "error": {4, 5}},
        {"rbx": KERNEL_HALF},
    ),
    Row(
        "a non-canonical address is #GP",
        "mov rax, [rbx]",
        fault(Vector.GP),
        {"rbx": NOT_CANONICAL},
    ),
    Row(
        "a non-canonical address through RSP is #SS",
        "push rax",
        fault(Vector.SS),
        {"rsp": NOT_CANONICAL},
    ),
    Row(
        "a non-canonical address through RBP is #SS",
        "mov rax, [rbp]",
        fault(Vector.SS),
        {"rbp": NOT_CANONICAL},
    ),
    Row(
        "a non-canonical address through R13 is #GP",
        "mov rax, [r13]",
        fault(Vector.GP),
        {"r13": NOT_CANONICAL},
    ),
    Row(
        "a RET to a non-canonical address is #GP",
        "push rax; ret",
        fault(Vector.GP, at={1, NOT_CANONICAL - CODE}),
        {"rax": NOT_CANONICAL},
        compared=False,
    ),
    Row(
        "SETcc keeps the flags when it faults",
        "add eax, ebx; setg byte ptr [rcx]",
        page_fault(READ_ONLY, 7, at=2, **flags("")),
        {"rax": 5, "rbx": 3, "rcx": READ_ONLY},
    ),
    *(
        Row(
            f"{name} keeps the flags when it faults",
            f"add eax, eax; {name} {operands}",
            page_fault(ABSENT, error, at=2, **flags("PF ZF")),
            {"rbx": ABSENT},
        )
        for name, operands, error in (
            ("stmxcsr", "[rbx]", 6),
            ("ldmxcsr", "[rbx]", 4),
            ("pcmpestri", "xmm0, xmmword ptr [rbx], 0", 4),
        )
    ),
    Row(
        "PCMPESTRI that faults keeps its lengths",
        "pcmpestri xmm0, xmmword ptr [rbx], 0",
        page_fault(ABSENT, 4, rax=0x80000000, rdx=0x12345678_80000000),
        {"rbx": ABSENT, "rax": 0x80000000, "rdx": 0x12345678_80000000},
    ),
    Row(
        "an SSE instruction that faults keeps the flags with exceptions unmasked",
        "add eax, eax; addsd xmm0, qword ptr [rbx]",
        page_fault(ABSENT, 4, at=2, **flags("PF ZF")),
        {"rbx": ABSENT},
        fp=fp_image(mxcsr=0),
    ),
    Row(
        "RCL keeps the flags when it faults",
        "stc; rcl qword ptr [rbx], 1",
        page_fault(READ_ONLY, 7, at=1, CF=1),
        {"rbx": READ_ONLY},
    ),
    Row(
        "REP STOS stops at the element that faults",
        "rep stosd",
        page_fault(ABSENT, 6, rdi=ABSENT, rcx=96),
        {"rdi": ABSENT - 16, "rcx": 100},
    ),
    Row(
        "REP MOVS backwards stops at the element that faults",
        "std; rep movsb",
        page_fault(READ_ONLY - 1, 4, at=1, rsi=READ_ONLY - 1, rdi=DATA + 0xFC, rcx=96),
        {"rsi": READ_ONLY + 3, "rdi": DATA + 0x100, "rcx": 100},
    ),
    Row(
        "ENTER checks that the new stack is writable",
        "enter 0x1000, 0",
        {"vector": Vector.PF, "rsp": STACK + 0x100, "at": 0, "error": 6},
        {"rsp": STACK + 0x100},
        compared=False,
    ),
    Row("DIV by zero", "div ecx", fault(Vector.DE, rax=7, rdx=1), {"rax": 7, "rdx": 1}),
    Row("DIV with too large a quotient", "div ecx", fault(Vector.DE), {"rdx": 5, "rcx": 5}),
    Row(
        "IDIV of the least by -1",
        "cqo; idiv rcx",
        fault(Vector.DE, at=2),
        {"rax": MINIMUM, "rcx": MINUS_1},
    ),
    Row(
        "IDIV of the least of 32 bits by -1",
        "idiv ecx",
        fault(Vector.DE, rax=0, rdx=0x80000000),
        {"rdx": 0x80000000, "rcx": 0xFFFFFFFF},
    ),
    Row(
        "IDIV of the least of 16 bits by -1",
        "idiv cx",
        fault(Vector.DE, rax=0, rdx=0x8000),
        {"rdx": 0x8000, "rcx": 0xFFFF},
    ),
    Row(
        "IDIV of a byte rounds towards zero",
        "mov ax, 0xfff9; mov cl, 2; idiv cl",
        {"rax": 0xFFFD},
        undefined=ARITHMETIC,
    ),
    Row(
        "IDIV of a byte with a quotient of -129",
        "mov ax, -129; mov cl, 1; idiv cl",
        fault(Vector.DE, at=6),
        undefined=ARITHMETIC,
    ),
    Row("UD2", "nop; ud2", fault(Vector.UD, at=1)),
    Row("INT3", "nop; int3", {"vector": Vector.BP, "at": 2, "RF": 0}),
    Row("INT 3 in two bytes", b"\x90\xcd\x03", {"vector": Vector.BP, "at": 3, "RF": 0}),
    # RIP is after it on a CPU, but on it in a guest of KVM on AMD.
    Row("ICEBP", b"\x90\xf1", {"vector": Vector.DB, "at": {1, 2}}, compared=False),
    *(
        Row(f"INT {n}", bytes([0x90, 0xCD, n]), fault(Vector.GP, at=1, error=8 * n + 2))
        for n in (0, 1, 2, 5, 6, 8, 13, 14, 0x20, 0x81, 0xFF)
    ),
    *(
        Row(f"{name} in ring 3", code, fault(Vector.GP, at=1))
        for name, code in {
            "HLT": "nop; hlt",
            "CLI": "nop; cli",
            "STI": "nop; sti",
            "CLTS": "nop; clts",
            "IN": "nop; in al, dx",
            "OUT": "nop; out 0x80, al",
            "INVD": "nop; invd",
            "MOV from CR0": "nop; mov rax, cr0",
            "MOV to CR3": "nop; mov cr3, rax",
            "MOV from DR7": "nop; mov rax, dr7",
            "RDMSR": "nop; rdmsr",
            "WRMSR": "nop; wrmsr",
            "SWAPGS": "nop; swapgs",
            "LGDT": "nop; lgdt [rbx]",
            "LTR": "nop; ltr ax",
            "INVLPG": "nop; invlpg [rbx]",
            "WBINVD": "nop; wbinvd",
        }.items()
    ),
    Row(
        "the second of two INs is not reached",
        "in al, dx; inc rcx; in al, dx",
        fault(Vector.GP, rcx=0),
    ),
    Row(
        "single step",
        "inc rax; inc rax",
        {"vector": Vector.DB, "at": 3, "rax": 1, "RF": 0},
        rflags=0x302,
    ),
    Row(
        "single step of POPF that sets T",
        "push 0x302; popfq; inc rax; inc rax",
        {"vector": Vector.DB, "at": 9, "rax": 1},
    ),
    Row(
        "a fault has no single step",
        "mov rax, [rbx]",
        page_fault(ABSENT, 4, TF=1),
        {"rbx": ABSENT},
        rflags=0x302,
    ),
    Row(
        "single step of one element of a REP",
        "rep stosb",
        {"vector": Vector.DB, "at": 0, "rcx": 4, "rdi": DATA + 1},
        {"rdi": DATA, "rcx": 5},
        rflags=0x302,
    ),
    *(
        Row(f"opcode {opcode:02x}", bytes([0x90, opcode, *bytes(8)]), fault(Vector.UD, at=1))
        for opcode in bytes.fromhex("060e16171e1f272f373f606162829aced4d5d6ea")
    ),
    Row("LOCK NOP", b"\xf0\x90", fault(Vector.UD)),
    Row("LOCK MOV", "lock mov [rbx], rax", fault(Vector.UD), {"rbx": DATA}),
    Row("LOCK ADD of a register", b"\xf0\x01\xd8", fault(Vector.UD)),
    Row("LOCK BTS of a register", b"\xf0\x0f\xab\xc1", fault(Vector.UD)),
    Row("LOCK CMP", b"\xf0\x39\x03", fault(Vector.UD), {"rbx": DATA}),
    Row("LEA of a register", b"\x8d\xc0", fault(Vector.UD)),
    Row("MOV to CS", b"\x8e\xc8", fault(Vector.UD)),
    Row("CMPXCHG8B of a register", b"\x0f\xc7\xc8", fault(Vector.UD)),
    Row("15 bytes", b"\x66" * 14 + b"\x90", {}),
    Row("16 bytes", b"\x66" * 15 + b"\x90", fault(Vector.GP)),
    Row(
        "14 prefixes and a load that faults",
        b"\x2e" * 13 + b"\x8b\x03",
        page_fault(ABSENT, 4),
        {"rbx": ABSENT},
    ),
    Row(
        "a selector past the table", "mov ds, eax", fault(Vector.GP, error=0x5678), {"rax": 0x567B}
    ),
    Row(
        "a selector of the local table", "mov es, eax", fault(Vector.GP, error=0x5C), {"rax": 0x5F}
    ),
    Row("a null selector for SS", "mov ss, eax", fault(Vector.GP)),
    Row("a null selector for DS", "mov ds, eax; mov eax, ds", {"rax": 3}, {"rax": 3}),
    Row("RDPMC", "rdpmc", fault(Vector.GP), {"rcx": 0x12345678}),
]
