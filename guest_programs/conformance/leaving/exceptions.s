# Exceptions of a guest: number, code, address, rip and flags of each.

.include "../conform.inc"

WORD_OF_CONTROL = 0x127b                # x87: a division by zero is not masked

    PLAIN_SPACE
    mov dword ptr [RAM + IMG_DATA + 0x100], 0x1f80

    # FAULT name, rules, code, trap, title: at its first instruction, nothing is changed.
    .macro FAULT name, rules, code, trap, title
CASE \name, "\rules", "\title: at the instruction, which has done nothing"
    GUEST \code
    EXPECT \trap, CODE
    RUN
    .endm

    # The divisor is RCX: DIVIDE also sets what is divided.
    .macro DIVIDE name, code, rcx, rax, rdx, title
CASE \name, "7.2.10 3.4.1 12.1", "\title is T_DIVIDE"
    GUEST \code
    GIVE RCX, \rcx
    GIVE RAX, \rax
    GIVE RDX, \rdx
    EXPECT T_DIVIDE, CODE
    RUN
    .endm
    DIVIDE div_8, "div cl", 0, 1, 2, DIV of a byte by 0
    DIVIDE div_16, "div cx", 0xffffffffffff0000, 1, 2, DIV of a word by 0
    DIVIDE div_32, "div ecx", 0xffffffff00000000, 1, 2, DIV of a double word by 0
    DIVIDE div_64, "div rcx", 0, 1, 2, DIV of a quad word by 0
    DIVIDE idiv_32, "idiv ecx", 0, 1, 2, IDIV by 0
    DIVIDE div_overflow, "div rcx", 5, 0, 5, a quotient of 65 bits
    DIVIDE idiv_overflow, "idiv ecx", 0xffffffffffffffff, 0x80000000, 0xffffffff, the smallest integer by -1

CASE div_behind, "7.2.10 12.1", "What precedes the exception has been executed"
    GUEST "xor ecx, ecx; div ecx"
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_DIVIDE, CODE + 2
    RUN

    FAULT undefined, 7.2.10 3.4.5 12.1, "ud2", T_PRIVINFLT, UD2 is T_PRIVINFLT
    FAULT undefined_1, 7.2.10 3.4.5, ".byte 0x0f, 0xb9, 0xc0", T_PRIVINFLT, UD1 is T_PRIVINFLT
    .irp opcode, 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xea
    FAULT gone_\opcode, 7.2.10 3.4.5 3.4.4, ".byte \opcode; .byte 1; .quad 0", T_PRIVINFLT, Opcode \opcode is none in 64-bit code
    .endr
    FAULT lock_register, 7.2.10 3.4.5, ".byte 0xf0, 0x01, 0xd8", T_PRIVINFLT, LOCK of an instruction on registers
    FAULT move_to_cs, 7.2.10 3.4.5, ".byte 0x8e, 0xc8", T_PRIVINFLT, MOV to CS
    FAULT prefixed, 7.2.10 3.4.5, ".byte 0x66, 0x2e, 0x48; ud2", T_PRIVINFLT, UD2 with prefixes

CASE undefined_behind, "7.2.10 12.1", "rip is at UD2, and no register but those of the code before it is changed"
    GUEST "mov ebx, 5; not rdi; ud2"
    WANT RBX, 5
    mov rax, ~CONFORM_PATTERN
    WANT RDI, rax
    EXPECT T_PRIVINFLT, CODE + 8
    RUN

CASE undefined_again, "7.2.10", "An exception that is gone on from at its instruction comes again"
    GUEST "ud2"
    EXPECT T_PRIVINFLT, CODE
    RUN
    .irp time, 1, 2, 3
    AGAIN
    EXPECT T_PRIVINFLT, CODE
    RUN
    .endr

CASE one_after_the_other, "7.2.10 7.2.1", "Exceptions of several kinds in a row, each with its own number"
    GUEST "ud2; div ecx; mov rax, [0x7777]; hlt; int3"
    GIVE RCX, 0
    EXPECT T_PRIVINFLT, CODE
    RUN
    AGAIN CODE + 2
    EXPECT T_DIVIDE, CODE + 2
    RUN
    AGAIN CODE + 4
    EXPECT T_PAGEFLT, CODE + 4, PGEX_U, 0x7777
    RUN
    AGAIN CODE + 14
    EXPECT T_PROTFLT, CODE + 14
    RUN
    AGAIN CODE + 15
    EXPECT T_BPTFLT, CODE + 16
    RUN

CASE x87, "7.2.10 3.4.13", "An x87 exception that is not masked is T_ARITHTRAP, at the next FP instruction"
    mov word ptr [RAM + IMG_DATA], WORD_OF_CONTROL
    GUEST "fninit; fldcw [rsi]; fld1; fldz; fdivp; nop; fwait"
    GIVE RSI, DATA
    EXPECT T_ARITHTRAP, CODE + 11
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    fninit                              # the state is the process's too
    COMPARE

CASE fp_unseen, "7.1.1", "The first FP instruction of a guest is nothing that the virtual kernel sees"
    GUEST "fninit; fld1; fistp qword ptr [rsi]; cvtsi2sd xmm0, rdx; cvtsd2si rbx, xmm0; syscall"
    GIVE RSI, DATA
    GIVE RDX, 5
    WANT RBX, 5
    EXPECT T_FAST_SYSCALL, CODE + 18
    RUN
    WORD RAM + IMG_DATA, 1

    # With 0x80 in xflags.  The process has the FP unit then, and the next RUN does not ask.
    .macro ASKED name, code, size, title
CASE asked_\name, "7.2.3 7.2.15 12.1", "\title with xflags 0x80 is T_DNA, at the instruction, which has done nothing"
    GUEST \code
    GIVE XFLAGS, 0x80
    GIVE RSI, DATA
    EXPECT T_DNA, CODE
    RUN
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + \size
    RUN
    .endm
    ASKED x87, "fninit; syscall", 4, an x87 instruction
    ASKED sse, "movups xmm0, [rsi]; syscall", 5, an SSE instruction
    ASKED mmx, "paddb mm0, mm1; emms; syscall", 7, an MMX instruction
    ASKED save, "fxsave [rsi]; syscall", 5, FXSAVE
    ASKED control, "ldmxcsr [rsi + 0x100]; syscall", 9, LDMXCSR

CASE asked_for_nothing, "7.2.3 7.1.1", "With xflags 0x80 a guest without FP instructions does not notice"
    GUEST "not rbx; syscall"
    GIVE XFLAGS, 0x80
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN

CASE memory_unseen, "7.1.1", "Pages that the host finds are nothing that the virtual kernel sees"
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + 0x100000, 64*PAGE_SIZE, RWX, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0
    OK
    GUEST "1: lock inc qword ptr [rdi]; add rdi, rsi; dec ecx; jnz 1b; syscall"
    GIVE RDI, CODE + 0x100000
    GIVE RSI, PAGE_SIZE
    GIVE RCX, 64
    WANT RCX, 0
    WANT RDI, CODE + 0x100000 + 64*PAGE_SIZE
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_FAST_SYSCALL, CODE + 13
    RUN

    FINISH
