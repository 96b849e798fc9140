# Faults of the program's own code: arithmetic, instructions that do not exist, and #GP.

.include "own.inc"

NONCANONICAL = 0x800000000000
SELECTORS = DATA + 8                    # where a far return finds its new rip and cs

    OWN_SPACE

CASE divide, "3.4.1 12.1", "DIV by zero is T_DIVIDE and FPE_INTDIV, at the instruction"
    OWN "xor ecx, ecx; div ecx"
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_DIVIDE, CODE + 2
    CATCH SIGFPE, FPE_INTDIV

CASE divide_overflow, "3.4.1", "IDIV of the lowest number by -1 is T_DIVIDE, with nothing changed"
    OWN "idiv rcx"
    GIVE RDX, -1 << 63
    GIVE RAX, 0
    GIVE RCX, -1
    EXPECT T_DIVIDE, CODE
    CATCH SIGFPE, FPE_INTDIV

CASE divide_byte, "3.4.1", "DIV whose quotient does not fit in a byte is T_DIVIDE"
    OWN "div cl"
    GIVE RAX, 0x1000
    GIVE RCX, 0x10
    EXPECT T_DIVIDE, CODE
    CATCH SIGFPE, FPE_INTDIV

.macro UNDEFINED name, title, code, rules
CASE \name, \rules, \title
    OWN \code
    EXPECT T_PRIVINFLT, CODE
    CATCH SIGILL, ILL_PRVOPC
.endm

    UNDEFINED ud2, "UD2 is T_PRIVINFLT and ILL_PRVOPC", "ud2", "3.4.5 12.1"
    UNDEFINED ud1, "UD1 is T_PRIVINFLT and ILL_PRVOPC", ".byte 0x0f, 0xb9, 0xc0", "3.4.5 12.1"
    UNDEFINED into, "INTO, which 64-bit mode does not have, is T_PRIVINFLT and ILL_PRVOPC", ".byte 0xce", "3.4.4 3.4.5"
    UNDEFINED bound, "BOUND, which it does not have either, is T_PRIVINFLT", ".byte 0x62, 0x07", "3.4.4 3.4.5"
    UNDEFINED aad, "AAD, which 64-bit mode does not have, is T_PRIVINFLT and ILL_PRVOPC", ".byte 0xd5, 0x0a", "3.4.5 12.1"
    UNDEFINED push_es, "PUSH ES, which 64-bit mode does not have, is T_PRIVINFLT and ILL_PRVOPC", ".byte 0x06", "3.4.5 12.1"
    UNDEFINED locked_register, "LOCK ADD of a register is T_PRIVINFLT and ILL_PRVOPC", ".byte 0xf0, 0x01, 0xc0", "3.4.5 12.1"

# What ring 3 may not do.
.macro FORBIDDEN name, title, code, rules, err=0
CASE \name, \rules, \title
    OWN \code
    GIVE RAX, DATA
    GIVE RDX, 0x60
    EXPECT T_PROTFLT, CODE, err=\err
    CATCH SIGBUS, BUS_OBJERR
.endm

    FORBIDDEN hlt, "HLT is T_PROTFLT and BUS_OBJERR", "hlt", "3.4.10 12.10"
    FORBIDDEN cli, "CLI is T_PROTFLT and BUS_OBJERR", "cli", "3.4.10 12.10"
    FORBIDDEN sti, "STI is T_PROTFLT and BUS_OBJERR", "sti", "3.4.10 12.10"
    FORBIDDEN in_immediate, "IN of an immediate port is T_PROTFLT and BUS_OBJERR", "in al, 0x60", "3.4.10 12.10"
    FORBIDDEN in_dx, "IN of the port in DX is T_PROTFLT and BUS_OBJERR", "in eax, dx", "3.4.10 12.10"
    FORBIDDEN out_immediate, "OUT to an immediate port is T_PROTFLT and BUS_OBJERR", "out 0x60, al", "3.4.10 12.10"
    FORBIDDEN out_dx, "OUT to the port in DX is T_PROTFLT and BUS_OBJERR", "out dx, al", "3.4.10 12.10"
    FORBIDDEN read_cr0, "MOV from CR0 is T_PROTFLT and BUS_OBJERR", "mov rax, cr0", "3.4.10 12.10"
    FORBIDDEN write_cr3, "MOV to CR3 is T_PROTFLT and BUS_OBJERR", "mov cr3, rax", "3.4.10 12.10"
    FORBIDDEN read_dr7, "MOV from DR7 is T_PROTFLT and BUS_OBJERR", "mov rax, dr7", "3.4.10 12.10"
    FORBIDDEN clts, "CLTS is T_PROTFLT and BUS_OBJERR", "clts", "3.4.10 12.10"
    FORBIDDEN lmsw, "LMSW is T_PROTFLT and BUS_OBJERR", "lmsw ax", "3.4.10 12.10"
    FORBIDDEN lgdt, "LGDT is T_PROTFLT and BUS_OBJERR", "lgdt [rax]", "3.4.10 12.10"
    FORBIDDEN lidt, "LIDT is T_PROTFLT and BUS_OBJERR", "lidt [rax]", "3.4.10 12.10"
    FORBIDDEN lldt, "LLDT is T_PROTFLT and BUS_OBJERR", "lldt ax", "3.4.10 12.10"
    FORBIDDEN ltr, "LTR is T_PROTFLT and BUS_OBJERR", "ltr ax", "3.4.10 12.10"
    FORBIDDEN rdmsr, "RDMSR is T_PROTFLT and BUS_OBJERR", "rdmsr", "3.4.10 12.10"
    FORBIDDEN wrmsr, "WRMSR is T_PROTFLT and BUS_OBJERR", "wrmsr", "3.4.10 12.10"
    FORBIDDEN invd, "INVD is T_PROTFLT and BUS_OBJERR", "invd", "3.4.10 12.10"
    FORBIDDEN wbinvd, "WBINVD is T_PROTFLT and BUS_OBJERR", "wbinvd", "3.4.10 12.10"
    FORBIDDEN invlpg, "INVLPG is T_PROTFLT and BUS_OBJERR", "invlpg [rax]", "3.4.10 12.10"
    FORBIDDEN swapgs, "SWAPGS is T_PROTFLT and BUS_OBJERR", "swapgs", "3.4.10 12.10"
    FORBIDDEN sysret, "SYSRET is T_PROTFLT and BUS_OBJERR", ".byte 0x48, 0x0f, 0x07", "3.4.10 12.10"
    FORBIDDEN too_long, "An instruction of 16 bytes is T_PROTFLT and BUS_OBJERR", ".rept 15; .byte 0x66; .endr; nop", "3.4.10"

    .irp vector, 0, 1, 2, 4, 5, 0xd, 0xe, 0x29, 0x2c, 0x2d, 0x80, 0x81, 0xff
    FORBIDDEN int_\vector, "INT \vector is T_PROTFLT with the error code of its gate", "int \vector", "3.4.10", \vector*8+2
    .endr

CASE int_with_t, "3.4.10 12.1", "INT 0x80 with T is #GP as without, and T stays set in the frame"
    OWN "int 0x80"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_PROTFLT, CODE, err=0x402
    CATCH SIGBUS, BUS_OBJERR

# Selectors that cannot be loaded.
.macro SELECTOR name, register, selector, title
CASE \name, "3.4.10", \title
    OWN "mov \register, eax"
    GIVE RAX, \selector
    EXPECT T_PROTFLT, CODE, err=\selector & 0xfffc
    CATCH SIGBUS, BUS_OBJERR
.endm

    SELECTOR kernel_data, ds, 0x10, "DS with the kernel's data segment is T_PROTFLT, with the selector as error code"
    SELECTOR kernel_code, fs, 0x0b, "FS with the kernel's code segment is T_PROTFLT, with the selector as error code"
    SELECTOR no_segment, es, 0xfff8, "ES with a segment beyond the table is T_PROTFLT, with the selector as error code"
    SELECTOR code_as_stack, ss, USER_CS, "SS with a code segment is T_PROTFLT, with the selector as error code"

CASE null_stack, "3.4.10", "SS with the null selector is T_PROTFLT with error code 0"
    OWN "mov ss, eax"
    GIVE RAX, 0
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR

CASE far_return, "3.4.10", "A far RET to the kernel's code is T_PROTFLT with its selector"
    OWN ".byte 0x48, 0xcb"
    GIVE RSP, SELECTORS
    mov qword ptr [SELECTORS], CODE
    mov qword ptr [SELECTORS + 8], 8
    EXPECT T_PROTFLT, CODE, err=8
    CATCH SIGBUS, BUS_OBJERR

CASE nested_task, "3.4.10", "IRETQ with NT set is T_PROTFLT with error code 0"
    OWN "iretq"
    ENTER CODE, PSL_USER + PSL_NT
    GIVE RSP, SELECTORS
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR

.macro NONCANONICAL_DATA name, code, title
CASE \name, "3.4.10 7.2.8", \title
    OWN \code
    GIVE RSI, NONCANONICAL
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR
.endm

    NONCANONICAL_DATA noncanonical_read, "mov rax, [rsi]", "A read from a non-canonical address is T_PROTFLT without an address"
    NONCANONICAL_DATA noncanonical_write, "mov [rsi], rax", "A write to a non-canonical address is T_PROTFLT"
    NONCANONICAL_DATA noncanonical_update, "inc qword ptr [rsi]", "A read-modify-write of a non-canonical address is T_PROTFLT"
    NONCANONICAL_DATA noncanonical_pointer, "jmp [rsi]", "A jump through a pointer at a non-canonical address is T_PROTFLT"

    .if USER_MAX == NONCANONICAL        # only then is there a page below it
CASE noncanonical_end, "3.4.10", "A word that reaches into the first non-canonical address is T_PROTFLT"
    OWN "mov rax, [rsi]"
    GIVE RSI, NONCANONICAL - 1
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR
    .endif

# Where rip is then depends on the processor: at the jump or at its target.
CASE noncanonical_jump, "3.4.10 12.12", "A jump to a non-canonical address is T_PROTFLT"
    OWN "jmp rsi"
    GIVE RSI, NONCANONICAL
    EXPECT T_PROTFLT, CODE
    ANY RIP
    CATCH SIGBUS, BUS_OBJERR

CASE noncanonical_return, "3.4.10 12.12", "A RET to a non-canonical address is T_PROTFLT"
    OWN "ret"
    GIVE RSP, SELECTORS
    mov rax, NONCANONICAL
    mov [SELECTORS], rax
    EXPECT T_PROTFLT, CODE
    ANY RIP
    ANY RSP
    CATCH SIGBUS, BUS_OBJERR

    FINISH
