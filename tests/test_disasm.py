import pytest

from emu.asm import assemble_text
from emu.disasm import (
    Access,
    Line,
    disassemble,
    faults_on_stack,
    instruction_text,
    memory_access,
    writes_its_memory_operand,
)


def encode_all(instructions: list[str]) -> list[bytes]:
    """One child process for the whole table: line n is instruction n."""
    assembly = assemble_text("\n".join(instructions), "test.s", origin=0x400000, symbols={})
    return [line.code for line in assembly.lines]


ARITHMETIC = ["add", "adc", "sub", "sbb", "and", "or", "xor"]
SHIFTS = ["shl", "shr", "sar", "rol", "ror", "rcl", "rcr"]

READ_MODIFY_WRITE = [
    *(f"{name} qword ptr [rax]" for name in ["inc", "dec", "not", "neg"]),
    *(f"lock {name} byte ptr [rax]" for name in ["inc", "dec", "not", "neg"]),
    *(f"{name} [rax+8], rbx" for name in ARITHMETIC),
    *(f"{name} byte ptr [rax], 5" for name in ARITHMETIC),
    *(f"{name} dword ptr [rax], 0x12345" for name in ARITHMETIC),
    *(f"lock {name} [rip+8], ebx" for name in ARITHMETIC),
    *(f"{name} byte ptr [rax], 1" for name in SHIFTS),
    *(f"{name} qword ptr [rax], 5" for name in SHIFTS),
    *(f"{name} word ptr fs:[rax], cl" for name in SHIFTS),
    "shld [rax], rbx, 5",
    "shrd [rax], ebx, cl",
    "xchg [rax], rbx",
    "xchg rbx, [rax]",
    "xadd [rax], rbx",
    "lock xadd [rax], bl",
    "cmpxchg [rax], rbx",
    "lock cmpxchg [rax], bl",
    "cmpxchg8b [rax]",
    "lock cmpxchg8b [rax]",
    "cmpxchg16b [rax]",
    "lock cmpxchg16b [rax]",
    "bts [rax], rbx",
    "btr dword ptr [rax], 5",
    "lock btc qword ptr [rax], 5",
]

READ_ONLY = [
    "mov rbx, [rax]",
    "cmp [rax], rbx",
    "cmp qword ptr [rax], 5",
    "test [rax], rbx",
    "bt [rax], rbx",
    "bt dword ptr [rax], 5",
    *(f"{name} rbx, [rax]" for name in ARITHMETIC),
    "imul rbx, [rax]",
    "mul qword ptr [rax]",
    "div dword ptr [rax]",
    "cmovz rbx, [rax]",
    "movzx ebx, byte ptr [rax]",
    "push qword ptr [rax]",
    "pop qword ptr [rax]",
    "call qword ptr [rax]",
    "jmp qword ptr [rax]",
    "movsb",
    "rep movsq",
    "cmpsb",
    "scasb",
    "lodsb",
    "fld qword ptr [rax]",
    "fadd qword ptr [rax]",
    "movaps xmm0, [rax]",
    "addps xmm0, [rax]",
    "fxrstor [rax]",
    "ret",
    "add rax, rbx",
    "xchg rax, rbx",
    "inc rax",
]


def test_an_operand_that_is_read_and_written_is_written():
    for instruction, code in zip(READ_MODIFY_WRITE, encode_all(READ_MODIFY_WRITE), strict=True):
        assert writes_its_memory_operand(code), instruction


def test_an_operand_that_is_only_read_is_not_written():
    for instruction, code in zip(READ_ONLY, encode_all(READ_ONLY), strict=True):
        assert not writes_its_memory_operand(code), instruction


def test_bytes_after_the_instruction_do_not_matter():
    assert writes_its_memory_operand(bytes.fromhex("ff00") + b"\xff" * 13)
    assert not writes_its_memory_operand(bytes.fromhex("8b00") + bytes.fromhex("ff00"))


@pytest.mark.parametrize("code", [b"", b"\x06", b"\xff", b"\xf0\x90"])
def test_what_is_no_instruction_writes_nothing(code):
    assert not writes_its_memory_operand(code)


RAX, RBP = 0x900000000000, 0x800000000000
RSP, RBX = 0x600000, 0x610000
EDGE = 0x7FFFFFFFFFFC
LOWEST = 0xFFFF800000000000

# What a processor was seen to do: #SS, with these registers and what is named.
ON_STACK = [
    ("mov rcx, [rbp]", {}),
    ("mov rcx, [rbp + rax]", {}),
    ("mov rcx, [rsp + rax]", {}),
    ("mov rcx, [rbp]", {"rbp": EDGE}),
    ("inc qword ptr [rbp]", {}),
    ("lock inc qword ptr [rbp]", {}),
    ("fld qword ptr [rbp]", {}),
    ("fxsave64 [rbp]", {}),
    ("ldmxcsr [rbp]", {}),
    ("clflush [rbp]", {}),
    ("cmpxchg16b [rbp]", {}),
    ("bt [rsp], rax", {"rax": 1 << 50}),
    ("bt [rsp], rax", {"rax": (1 << 64) - (1 << 51)}),
    ("bts word ptr [rbp], cx", {"rbp": LOWEST, "rcx": 0x8000}),
    ("bts dword ptr [rbp], ecx", {"rbp": LOWEST, "rcx": 0xFFFFFFFF}),
    ("lock btc dword ptr [rbp], r9d", {"rbp": LOWEST, "r9": 0xFFFFFFFF}),
    ("push rcx", {"rsp": RAX}),
    ("push rcx", {"rsp": RBP + 4}),
    ("push fs", {"rsp": RAX}),
    ("push 5", {"rsp": RAX}),
    ("pop rcx", {"rsp": RAX}),
    ("pop rcx", {"rsp": EDGE}),
    ("pushfq", {"rsp": RAX}),
    ("popfq", {"rsp": RAX}),
    ("call rbx", {"rsp": RAX}),
    ("ret", {"rsp": RAX}),
    ("ret 8", {"rsp": RAX}),
    ("retfq", {"rsp": RAX}),
    ("iretq", {"rsp": RAX}),
    ("leave", {}),
    ("enter 16, 0", {"rsp": RAX}),
    ("push qword ptr [rbp]", {}),
    ("push qword ptr [rbp]", {"rsp": RAX}),
    ("push qword ptr [rbx]", {"rsp": RAX}),
    ("pop qword ptr [rax]", {"rsp": RBP}),
    ("pop qword ptr [rbp]", {}),
    ("call qword ptr [rbp]", {}),
    ("call qword ptr [rbx]", {"rsp": RAX}),
    ("jmp qword ptr [rbp]", {}),
]
NOT_ON_STACK = [
    ("cmpxchg16b [rbp + 8]", {}),
    ("mov rcx, [rax]", {}),
    ("mov rcx, [rax + rbp]", {}),
    ("mov rcx, [rax + rbp * 2]", {}),
    ("mov rcx, [rbp * 1]", {}),
    ("mov rcx, fs:[rbp]", {}),
    ("mov rcx, gs:[rbp]", {}),
    ("mov rcx, [r13]", {"r13": RBP}),
    ("mov rcx, [r12]", {"r12": RBP}),
    ("mov rcx, [rax]", {"rax": EDGE}),
    ("bt [rbx], rax", {"rax": 1 << 50}),
    ("stosb", {"rdi": RBP}),
    ("lodsb", {"rsi": RBP}),
    ("push qword ptr [rax]", {}),
    ("push qword ptr [rax]", {"rsp": RBP}),
    ("pop qword ptr [rax]", {}),
    ("call qword ptr [rax]", {}),
    ("call rax", {}),
    ("jmp rax", {}),
    ("ret", {}),
    ("retfq", {}),
    ("iretq", {}),
    ("movaps xmm0, [rsp + 1]", {}),
    ("lgdt [rbp]", {}),
    ("invlpg [rbp]", {}),
    ("hlt", {}),
    ("mov ecx, [rip + 8]", {}),
]


def on_stack(code, registers):
    values = {"rax": RAX, "rbp": RBP, "rbx": RBX, "rsp": RSP} | registers
    return faults_on_stack(code, 0x400000, values.__getitem__)


def test_a_fault_through_rsp_or_rbp_is_one_of_the_stack():
    codes = encode_all([text for text, _ in ON_STACK])
    for (text, registers), code in zip(ON_STACK, codes, strict=True):
        assert on_stack(code, registers), (text, registers)


def test_a_fault_through_another_register_is_none_of_the_stack():
    codes = encode_all([text for text, _ in NOT_ON_STACK])
    for (text, registers), code in zip(NOT_ON_STACK, codes, strict=True):
        assert not on_stack(code, registers), (text, registers)


@pytest.mark.parametrize(
    "code, stack",
    [
        ("3e488b4d00", True),  # mov rcx, ds:[rbp]: this prefix means nothing
        ("26488b4d00", True),
        ("2e488b4d00", True),
        ("36488b08", False),  # mov rcx, ss:[rax]
        ("3664488b4d00", False),  # with FS as well
        ("6436488b4d00", False),
        ("36ac", False),  # lodsb, ss:[rsi]
        ("678b4d00", False),  # mov ecx, [ebp]
    ],
)
def test_the_segment_prefixes_that_count_are_fs_and_gs(code, stack):
    assert on_stack(bytes.fromhex(code), {"rsi": RBP}) is stack


@pytest.mark.parametrize("code", [b"", b"\x06", b"\xff"])
def test_what_is_no_instruction_uses_no_stack(code):
    assert not on_stack(code, {"rsp": RAX})


REGISTERS = {
    "rax": 0x100000100,
    "rbx": 0x2000,
    "rcx": -65 % (1 << 64),
    "rsp": 0x5000,
    "r9": 0x10,
    "r12": 3,
}


@pytest.mark.parametrize(
    "instruction, access",
    [
        ("add qword ptr [rbx], rax", Access(0x2000, 8, "", False)),
        ("inc byte ptr [rsp - 4]", Access(0x4FFC, 1, "", True)),
        ("xchg [r9 + r12*8 + 16], ecx", Access(0x38, 4, "", False)),
        ("not word ptr [r9*4 + 0x1000]", Access(0x1040, 2, "", False)),
        ("inc qword ptr fs:[rsp]", Access(0x5000, 8, "fs", False)),
        ("inc qword ptr [rip + 0x100]", Access(0x400107, 8, "", False)),
        ("inc qword ptr [eax]", Access(0x100, 8, "", False)),
        ("btr qword ptr [rbx], rcx", Access(0x1FF0, 8, "", False)),
        ("lock bts dword ptr [rbx], ecx", Access(0x1FF4, 4, "", False)),
        ("inc rax", None),
    ],
)
def test_an_access_is_where_the_registers_say(instruction, access):
    (code,) = encode_all([instruction])
    assert memory_access(code, 0x400000, REGISTERS.__getitem__) == access


def test_bytes_that_are_no_instruction_access_nothing():
    assert memory_access(b"\x06", 0, REGISTERS.__getitem__) is None


@pytest.mark.parametrize(
    "code, text",
    [
        ("0f05", "syscall"),
        ("48c7c005000000", "mov rax, 5"),
        ("ebfe", "jmp 0x400000"),
        ("f048ff00", "lock inc qword ptr [rax]"),
        ("06", "(bad)"),
        ("", "(bad)"),
    ],
)
def test_an_instruction_is_told_in_intel_syntax(code, text):
    assert instruction_text(bytes.fromhex(code), 0x400000) == text


def test_disassembly_goes_on_after_bytes_that_are_no_instruction():
    assert list(disassemble(bytes.fromhex("90060f05ff"), 0x1000)) == [
        Line(0x1000, b"\x90", "nop"),
        Line(0x1001, b"\x06", ".byte 0x06"),
        Line(0x1002, b"\x0f\x05", "syscall"),
        Line(0x1004, b"\xff", ".byte 0xff"),
    ]


def test_disassembly_loses_no_byte_of_a_long_program():
    code = bytes.fromhex("48c7c005000000060f05") * 2000
    lines = list(disassemble(code, 0))
    assert b"".join(line.code for line in lines) == code
    assert [line.text for line in lines[-3:]] == ["mov rax, 5", ".byte 0x06", "syscall"]
    assert len(lines) == 3 * 2000
