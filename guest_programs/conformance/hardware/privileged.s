# Instructions that ring 3 may not execute, and those of the same kind that it may.

.include "../conform.inc"

    PLAIN_SPACE

    # FORBIDDEN name, code, title: #GP(0), and nothing has changed.
    .macro FORBIDDEN name, code, title
CASE \name, "12.10 7.2.8 12.1", "\title is #GP(0), at the instruction, which has done nothing"
    GUEST \code
    GIVE RSI, DATA
    GIVE RDI, DATA + 0x100
    GIVE RCX, 1
    EXPECT T_PROTFLT, CODE
    RUN
    .endm
    FORBIDDEN hlt, "hlt", HLT
    FORBIDDEN cli, "cli", CLI
    FORBIDDEN sti, "sti", STI
    FORBIDDEN in_al_dx, "in al, dx", IN of a byte
    FORBIDDEN in_eax_dx, "in eax, dx", IN of a double word
    FORBIDDEN in_al_imm, "in al, 0x60", IN of a port with a number
    FORBIDDEN out_dx_al, "out dx, al", OUT of a byte
    FORBIDDEN out_dx_eax, "out dx, eax", OUT of a double word
    FORBIDDEN out_imm_al, "out 0x80, al", OUT to a port with a number
    FORBIDDEN invd, "invd", INVD
    FORBIDDEN wbinvd, "wbinvd", WBINVD
    FORBIDDEN invlpg, "invlpg [rsi]", INVLPG
    .irp register, cr0, cr2, cr3, cr4
    FORBIDDEN from_\register, "mov rax, \register", MOV from \register
    FORBIDDEN to_\register, "mov \register, rax", MOV to \register
    .endr
    FORBIDDEN from_cr8, ".byte 0x44, 0x0f, 0x20, 0xc0", MOV from cr8
    .irp register, dr0, dr6, dr7
    FORBIDDEN from_\register, "mov rax, \register", MOV from \register
    FORBIDDEN to_\register, "mov \register, rax", MOV to \register
    .endr
    FORBIDDEN rdmsr, "rdmsr", RDMSR
    FORBIDDEN wrmsr, "wrmsr", WRMSR
    FORBIDDEN lgdt, "lgdt [rsi]", LGDT
    FORBIDDEN lidt, "lidt [rsi]", LIDT
    FORBIDDEN ltr, "ltr ax", LTR
    FORBIDDEN lldt, "lldt ax", LLDT
    FORBIDDEN lmsw, "lmsw ax", LMSW
    FORBIDDEN clts, "clts", CLTS
    FORBIDDEN swapgs, "swapgs", SWAPGS
    FORBIDDEN sysret, ".byte 0x48, 0x0f, 0x07", SYSRET
    FORBIDDEN hlt_prefixed, ".byte 0x66, 0x2e, 0xf4", HLT with prefixes
    FORBIDDEN cli_longest, ".fill 14, 1, 0x2e; cli", CLI of 15 bytes

    FORBIDDEN insb, "insb", INS
    FORBIDDEN outsb, "outsb", OUTS
    FORBIDDEN rep_insb, "rep insb", REP INS
    FORBIDDEN rep_outsb, "rep outsb", REP OUTS

    # ALLOWED name, code, size, title: the code, with a system call behind it, is executed.
    .macro ALLOWED name, code, size, title
CASE \name, "12.11", "\title is allowed"
    GUEST \code
    GIVE RSI, DATA
    GIVE RAX, 0
    GIVE R10, 0                         # slot rcx
    .irp word, RAX, RBX, RCX, RDX
    ANY \word
    .endr
    EXPECT T_FAST_SYSCALL, CODE + \size
    RUN
    .endm
    ALLOWED sgdt, "sgdt [rsi]; syscall", 5, SGDT
    ALLOWED sidt, "sidt [rsi]; syscall", 5, SIDT
    ALLOWED str, "str eax; syscall", 5, STR
    ALLOWED sldt, "sldt eax; syscall", 5, SLDT
    ALLOWED smsw, "smsw eax; syscall", 5, SMSW
    ALLOWED rdtsc, "rdtsc; syscall", 4, RDTSC
    ALLOWED cpuid, "cpuid; syscall", 4, CPUID

CASE rdtsc_advances, "12.11", "RDTSC does not go backwards, also across a system call"
    GUEST "rdtsc; shl rdx, 32; or rax, rdx; syscall"
    xor r15d, r15d
    mov r14d, 10
1:
    ENTER CODE
    ANY RAX
    ANY RDX
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 11
    RUN
    mov rax, [frame + TF_RAX]
    cmp rax, r15
    setb cl
    movzx ecx, cl
    EQUAL rcx, 0
    mov r15, rax
    dec r14d
    jnz 1b

CASE smsw_bits, "12.11", "SMSW shows a CPU in protected mode"
    GUEST "smsw eax; syscall"
    WANT_BITS RAX, 1, 1
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN

CASE cpuid_clears, "12.11", "CPUID clears the upper halves of its registers"
    GUEST "cpuid; syscall"
    mov rax, 0xffffffff00000000
    GIVE RAX, rax
    GIVE RCX, rax
    .irp word, RAX, RBX, RDX
    WANT_BITS \word, 0xffffffff00000000, 0
    .endr
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

    FINISH
