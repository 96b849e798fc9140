from dataclasses import replace
from pathlib import Path

import pytest

from emu.abi.errno import Errno
from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011, ABI_2020
from emu.asm import AsmError, Assembly, _encode, assemble, assemble_text, listing
from emu.asm_source import Program
from emu.asm_text import Place
from emu.disasm import disassemble

ORIGIN = 0x400000
CALLS = {"SYS_exit": 1, "SYS_write": 4, "SYS_mmap": 197}
SYMBOLS = abi_symbols(ABI_2011) | CALLS


def assembled(text: str, origin: int = ORIGIN, **symbols: int) -> Assembly:
    return assemble_text(text, "test.s", origin=origin, symbols=SYMBOLS | symbols)


def code(text: str) -> str:
    return assembled(text).code.hex(" ")


def instructions(text: str) -> list[str]:
    return [line.text for line in disassemble(assembled(text).code, ORIGIN)]


def error(text: str) -> str:
    with pytest.raises(AsmError) as caught:
        assembled(text)
    return str(caught.value)


def quads(text: str) -> list[int]:
    data = assembled(text).code
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


# Symbols.


@pytest.mark.parametrize(
    "name, value",
    [
        ("ERRNO_EINVAL", Errno.EINVAL),
        ("ERRNO_EWOULDBLOCK", 35),
        ("PROT_READ", 1),
        ("MAP_VPAGETABLE", 0x2000),
        ("MADV_SETMAP", 11),
        ("INHERIT_NONE", 2),
        ("MS_INVALIDATE", 2),
        ("VPTE_W", 8),
        ("VPTE_FRAME", 0x000F_FFFF_FFFF_F000),
        ("T_FAST_SYSCALL", 0x81),
        ("TF_RDI", 0),
        ("TF_TRAPNO", 128),
        ("TF_RIP", 160),
        ("TF_SIZE", 200),
        ("VEXT_GS_BASE", 16),
        ("VMSPACE_CTL_RUN", 1),
        ("PGEX_FPFAULT", 0x80),
        ("SIGSEGV", 11),
        ("PSL_T", 0x100),
        ("RFLAGS_C", 1),
        ("PAGE_SIZE", 4096),
        ("O_CREAT", 0x200),
        ("O_FNONBLOCKING", 0x80000),
        ("F_SETFL", 4),
        ("SEEK_END", 2),
    ],
)
def test_the_headers_names_are_known(name, value):
    assert abi_symbols(ABI_2011)[name] == value


def test_a_version_has_its_own_vpte_bits():
    symbols = abi_symbols(ABI_2020)
    assert symbols["VPTE_RW"] == 2
    assert symbols["VPTE_NX"] == 0x800
    assert "VPTE_W" not in symbols


def test_predefined_symbols_are_numbers_in_any_expression():
    assert instructions("mov rdx, PROT_READ|PROT_WRITE\nmov rax, [rbx+TF_RIP+8]") == [
        "mov rdx, 3",
        "mov rax, qword ptr [rbx + 0xa8]",
    ]


def test_a_predefined_symbol_may_be_wider_than_32_bits():
    assert instructions("mov rax, VPTE_FRAME") == ["movabs rax, 0xffffffffff000"]


def test_a_program_may_define_constants_before_or_after_their_use():
    assert quads("A = 2\n.quad A, B\n.equ B, A*3\n.set A, A+1\n.quad A") == [2, 6, 3]


def test_a_constant_may_be_the_length_of_something():
    assert quads("message: .quad 1, 2\nlength = . - message\n.quad length, length/8")[2:] == [16, 2]


@pytest.mark.parametrize(
    "expression, value",
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("1<<3|1", 9),
        ("7/2", 3),
        ("-7/2", -3),
        ("7%4", 3),
        ("~0", -1),
        ("0x10+0b11+010", 27),
        ("1==1 && 2>3 || !0", 1),
        ("'A'", 65),
        (r"'\n'", 10),
        (r"'\''", 39),
        ("'#'", 35),
    ],
)
def test_expressions_are_computed_as_in_c(expression, value):
    assert quads(f".quad {expression}") == [value % (1 << 64)]


# What Keystone gets wrong.


@pytest.mark.parametrize(
    "source, instruction",
    [
        ("lea rax, [0x600000]", "lea rax, [0x600000]"),
        ("mov rbx, [0x600000]", "mov rbx, qword ptr [0x600000]"),
        ("inc dword ptr [0x600000]", "inc dword ptr [0x600000]"),
        ("mov rbx, fs:[0]", "mov rbx, qword ptr fs:[0]"),
        ("mov rbx, here", "mov rbx, 0x400000"),
        ("mov rbx, offset here", "mov rbx, 0x400000"),
        ("mov rbx, 8+here", "mov rbx, 0x400008"),
        ("mov rbx, -5", "mov rbx, -5"),
        ("mov rbx, [rcx+8+here]", "mov rbx, qword ptr [rcx + 0x400008]"),
        ("mov rbx, [rcx + end - here]", "mov rbx, qword ptr [rcx + 7]"),
        ("mov rbx, [rip+here]", "mov rbx, qword ptr [rip - 7]"),
        ("jmp here+2", "jmp 0x400002"),
    ],
)
def test_addresses_mean_what_is_written(source, instruction):
    first = instructions(f"here: {source}\nend: nop")[0]
    assert first.replace("0xfffffffffffffffb", "-5") == instruction


@pytest.mark.parametrize(
    "source",
    [
        "mov eax, 0x123456789",
        "mov al, 300",
        "cmp al, -200",
        "push 0x123456789",
        "ret 70000",
        ".byte 256",
        ".word 70000",
        ".quad 1 << 63, 0xffffffffffffffff + 1",
        "mov rbx, [0x123456789a]",
        "mov rbx, [rcx+0x80000000]",
        "jmp 0x123456789",
        "loop far\n.space 200\nfar:",
    ],
)
def test_a_number_that_does_not_fit_is_refused(source):
    assert error(f"nop\n{source}").startswith("test.s:2: ")


@pytest.mark.parametrize(
    "source",
    [
        "mov rax, [rbx",
        "mov rax,",
        "mov rax, (1",
        "mov rax, %5",
        "mov $5, %rax",
        "mov rax, L@PLT",
        "mov rax, qword ptr here",
        "mov rax, [rip+rbx]",
        ".byte 1,,2",
        ".space here",
        ".align 3",
        "[rax]",
    ],
)
def test_what_would_be_dropped_or_misread_is_refused(source):
    assert error(f"here: nop\n{source}").startswith("test.s:2: ")


def test_addresses_that_would_be_sign_extended_are_refused():
    with pytest.raises(AsmError, match="0x80000000"):
        assembled("nop", origin=0x8000_0000)


def test_a_program_may_live_high_up():
    assert assembled("here: jmp here\n.quad here", origin=0x7000_0000_0000).code == (
        b"\xeb\xfe" + (0x7000_0000_0000).to_bytes(8, "little")
    )


# Statements.


def test_comments_are_left_out_and_strings_kept():
    source = 'nop # one\nnop // two\n/* three\nfour */ nop; nop\n.ascii "#;//é\\x41\\0"'
    assert code(source) == "90 90 90 90 23 3b 2f 2f c3 a9 41 00"


def test_zero_terminated_strings_end_with_a_zero_each():
    assert assembled('.asciz "a", "b"\n.string "c"').code == b"a\0b\0c\0"


def test_numeric_labels_are_the_nearest_ones():
    assert code("1: jmp 1f\n1: jmp 1b\njmp 2f\n2:") == "eb 00 eb fe eb 00"


def test_labels_are_told():
    assembly = assembled("start: nop\nloop: jmp loop\n.Lhidden: 1: ret")
    assert assembly.labels == {"start": 0x400000, "loop": 0x400001}


def test_directives_that_change_nothing_in_a_flat_binary_are_accepted():
    assert code(".intel_syntax noprefix\n.text\n.globl _start\n.global x\n_start: nop") == "90"


@pytest.mark.parametrize("directive", [".data", ".bss", ".section .rodata"])
def test_other_sections_are_refused(directive):
    assert "one section" in error(f"nop\n{directive}\n.byte 1")


@pytest.mark.parametrize("text", ["", "# nothing\n", ".text\n", "A = 5\n", ".space 0\n", "x:\n"])
def test_an_empty_program_is_refused(text):
    assert "empty" in error(text)


# Macros, repetitions, conditions.


def test_a_macro_takes_operands_by_place_by_name_and_by_default():
    macro = ".macro M a, b=7, c=8\n.byte \\a, \\b, \\c\n.endm\n"
    assert code(f"{macro}M 1\nM 1, 2\nM 1, c=3\nM 1,,4") == "01 07 08 01 02 08 01 07 03 01 07 04"


def test_a_macro_operand_may_contain_anything_in_brackets_or_quotes():
    macro = ".macro M a, b\nmov rax, \\a\n.ascii \\b\n.endm\n"
    assert code(f'{macro}M [rbx+8], "x, y"') == "48 8b 43 08 78 2c 20 79"


def test_a_macro_operand_may_be_statements_in_quotes():
    macro = ".macro M body\nnop\n\\body\nret\n.endm\n"
    assert code(f'{macro}M "push 1; push 2"') == "90 6a 01 6a 02 c3"


def test_each_use_of_a_macro_has_a_number():
    macro = ".macro SPIN\n.Lspin\\@: jmp .Lspin\\@\n.endm\n"
    assert code(f"{macro}SPIN\nSPIN") == "eb fe eb fe"


def test_a_macro_may_take_all_that_is_left():
    assert code(".macro M first, rest:vararg\n.byte \\rest\n.endm\nM 1, 2, 3") == "02 03"


def test_blocks_are_repeated():
    assert code(".set i, 0\n.rept 3\n.byte i\n.set i, i+1\n.endr") == "00 01 02"
    assert code(".irp r, rax, rbx\npush \\r\n.endr") == "50 53"


@pytest.mark.parametrize("k, expected", [(1, "01"), (2, "02"), (3, "03")])
def test_one_branch_of_a_condition_counts(k, expected):
    source = ".if K == 1\n.byte 1\n.elseif K == 2\n.byte 2\n.else\n.byte 3\n.endif"
    assert assembled(source, K=k).code.hex() == expected


def test_conditions_nest():
    source = (
        ".if 0\n.if 1\nint3\n.else\nint3\n.endif\n.else\n.ifdef K\nint3\n.else\nnop\n.endif\n.endif"
    )
    assert code(source) == "90"


# Included files.


@pytest.fixture
def program(tmp_path):
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("_", "/").replace("0", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path / "main.s"

    return write


def test_a_file_is_found_beside_the_one_that_includes_it(program):
    path = program(main0s='.include "sub/a.inc"\n', sub_a0inc='.include "b.inc"\n', sub_b0inc="nop")
    assert assemble(path, origin=ORIGIN, symbols={}).code == b"\x90"


def test_a_file_is_then_looked_for_in_the_given_folders(program, tmp_path):
    path = program(main0s='.include "a.inc"\n', sub_a0inc="nop")
    folders = [tmp_path / "sub"]
    assert assemble(path, origin=ORIGIN, symbols={}, include_dirs=folders).code == b"\x90"
    with pytest.raises(AsmError, match=r"main\.s:1: cannot find a\.inc"):
        assemble(path, origin=ORIGIN, symbols={})


def test_a_file_may_be_included_again_but_not_by_itself(program):
    twice = program(main0s='.include "a.inc"\n.include "a.inc"', a0inc="nop")
    assert assemble(twice, origin=ORIGIN, symbols={}).code == b"\x90\x90"
    cycle = program(main0s='.include "a.inc"', a0inc='nop\n.include "main.s"')
    with pytest.raises(AsmError, match=r"a\.inc:2: main\.s includes itself"):
        assemble(cycle, origin=ORIGIN, symbols={})


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path):
    with pytest.raises(AsmError, match=r"none\.s: No such file or directory$"):
        assemble(tmp_path / "none.s", origin=ORIGIN, symbols={})
    (tmp_path / "binary.s").write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(AsmError, match="not UTF-8"):
        assemble(tmp_path / "binary.s", origin=ORIGIN, symbols={})


# Errors.


def test_an_error_names_the_line_of_the_included_file(program):
    path = program(main0s='nop\n.include "a.inc"\nnop', a0inc="nop\n\nfoo rax\nnop")
    with pytest.raises(AsmError) as caught:
        assemble(path, origin=ORIGIN, symbols={})
    assert (caught.value.file, caught.value.line) == (str(path.with_name("a.inc")), 3)
    assert caught.value.reason == "invalid mnemonic: foo rax"
    assert "\n" not in str(caught.value)


def test_an_error_in_a_macro_names_the_line_of_its_use():
    source = ".macro M a\nnop\nbar \\a\n.endm\nnop\nM 5"
    assert error(source) == "test.s:6: invalid mnemonic: bar 5 (in macro M)"


@pytest.mark.parametrize(
    "source, message",
    [
        ("nop\nmov rax, nowhere", "test.s:2: symbol nowhere is not defined: mov rax, nowhere"),
        ("nop\njmp 8+nowhere", "test.s:2: symbol nowhere is not defined: jmp 8+nowhere"),
        ("nop\nx = nowhere+5\nnop", "test.s:2: symbol nowhere is not defined: x = nowhere+5"),
        ("jmp on\nmov rax, cl\non: nop", "test.s:2: invalid operand: mov rax, cl"),
        ("x: nop\nx: nop", "test.s:2: label x is already defined at test.s:1"),
        ("T_DNA: nop", "test.s:1: T_DNA is already the name of a constant"),
        ("rax: nop", "test.s:1: rax is the name of a register"),
        ("nop\njmp 1f", "test.s:2: there is no label 1: after this"),
        ("1: jmp 2b", "test.s:1: there is no label 2: before this"),
        ("nop\n.if 1\nnop", "test.s:2: this condition has no .endif"),
        ("nop\n.macro M", "test.s:2: .macro without .endm"),
        (".macro M a:req\n.endm\nM", "test.s:3: macro M needs its operand a"),
        (".macro M a\n.endm\nM 1, 2", "test.s:3: macro M takes 1 operands at most"),
        (".macro M\nM\n.endm\nM", "test.s:4: macros are nested too deeply (in macro M)"),
        ('nop\n.ascii "x', "test.s:2: this string is never closed"),
        ("nop\nnop /* x\n", "test.s:2: this comment is never closed"),
        ("nop\n.foo 5", "test.s:2: unknown directive .foo"),
        ('.if 1\n.error "no way"\n.endif', "test.s:2: no way"),
    ],
)
def test_an_error_says_where_and_why(source, message):
    assert error(source) == message


def test_a_crash_of_the_encoder_is_an_error_like_any_other():
    program = Program({}, [])
    program.add_file("nop\nnop", "test.s")
    # The directive that crashes Keystone, which the program itself would never pass on.
    program.statements[-1] = replace(program.statements[-1], text=".text")
    with pytest.raises(AsmError, match=r"^test\.s:2: the assembler crashed on this statement"):
        _encode(program, ORIGIN, Place("test.s", 0, ""))


def test_nothing_of_the_encoders_own_is_printed(capfd):
    error("mov rax, cl")
    assert capfd.readouterr() == ("", "")


# The listing.


def test_the_listing_has_every_line_with_its_address_and_bytes(program):
    source = """# A comment.
.include "a.inc"
start:
    LOAD 5
    jmp start   # back

    .rept 2
    push rax
    .endr
    .space 80
"""
    path = program(main0s=source, a0inc=".macro LOAD n\n    mov eax, \\n\n.endm\n    nop\n")
    rows = list(listing(assemble(path, origin=ORIGIN, symbols={})))
    assert rows[:10] == [
        "                                           1  # A comment.",
        '                                           2  .include "a.inc"',
        "      400000  90                       a.inc:4      nop",
        "                                           3  start:",
        "      400001  b8 05 00 00 00               4      LOAD 5",
        "      400006  eb f9                        5      jmp start   # back",
        "                                           6",
        "                                           7      .rept 2",
        "      400008  50 50                        8      push rax",
        "                                           9      .endr",
    ]
    assert rows[-1].split() == ["...", "80", "bytes"]


def test_the_lines_together_are_the_program():
    assembly = assembled('.include "vkemu.inc"\nSYSCALL SYS_exit, 0\nx: .quad x\n')
    assert b"".join(line.code for line in assembly.lines) == assembly.code
    for line in assembly.lines:
        at = line.address - ORIGIN
        assert assembly.code[at : at + len(line.code)] == line.code


# The macros of guest programs.


def with_macros(text: str) -> list[str]:
    return instructions(f'.include "vkemu.inc"\n{text}')


def test_the_macro_file_alone_is_an_empty_program():
    assert "empty" in error('.include "vkemu.inc"\n')


def test_the_macro_file_may_be_included_twice():
    assert with_macros('.include "vkemu.inc"\nnop') == ["nop"]


def test_syscall_moves_its_operands_to_the_argument_registers():
    assert with_macros("SYSCALL SYS_mmap, 1, rbx, 3, [rsp+8], 5, 6") == [
        "mov rdi, 1",
        "mov rsi, rbx",
        "mov rdx, 3",
        "mov r10, qword ptr [rsp + 8]",
        "mov r8, 5",
        "mov r9, 6",
        "mov eax, 0xc5",
        "syscall",
    ]


def test_syscall7_passes_the_seventh_operand_above_the_return_address():
    lines = with_macros("SYSCALL7 SYS_mmap, 1, 2, 3, 4, 5, 6, 0x123456789")
    assert lines[0] == "lea rsp, [rsp - 0x18]"
    assert lines[3:6] == [
        "movabs r11, 0x123456789",
        "mov qword ptr [rsp + 8], r11",
        "mov qword ptr [rsp], 0",
    ]
    assert lines[-2:] == ["syscall", "lea rsp, [rsp + 0x18]"]


@pytest.mark.parametrize(
    "check",
    [
        "CHECK_OK 3",
        "CHECK_ERRNO 3, ERRNO_EINVAL",
        "CHECK_EQ 3, rax, 5",
        "CHECK_EQ 3, [rsp], 0xffffffffffff0000",
        "CHECK_MEM 3, text, rcx",
        "CHECK_MEM 3, rbp, 0x123456789",
    ],
)
def test_a_check_that_fails_leaves_its_number_for_failed(check):
    source = f'.include "vkemu.inc"\n{check}\nDONE\ntext: .asciz "x"'
    assembly = assembled(source)
    lines = [line.text for line in disassemble(assembly.code, ORIGIN)]
    assert "mov ebx, 3" in lines
    assert lines[lines.index("mov ebx, 3") + 1 :][0].split()[0] in {"jb", "jae", "cmp"}
    assert any(line.endswith(f"{assembly.labels['failed']:#x}") for line in lines)


def test_print_writes_the_string_up_to_its_zero():
    lines = with_macros('PRINT text\nDONE\ntext: .asciz "x"')
    assert "cmp byte ptr [rsi + rdx], 0" in lines
    assert "mov eax, 4" in lines


def test_done_exits_with_the_number_in_rbx():
    assert with_macros("DONE")[:2] == ["xor ebx, ebx", "mov rdi, rbx"]


def test_local_label_may_be_the_address_of_an_operand() -> None:
    assert code("lea rsi, [rip + .Lx]\nnop\n.Lx: nop") == "48 8d 35 01 00 00 00 90 90"


def test_numbers_before_a_mistake_are_not_blamed_for_it() -> None:
    assert error('.byte 200\n.ascii "ff"\nlea rax, [rip + nowhere]').startswith(
        "test.s:3: symbol nowhere is not defined"
    )
