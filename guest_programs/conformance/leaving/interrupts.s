# INT n, INT3, ICEBP and single steps of a guest.

.include "../conform.inc"

    PLAIN_SPACE

    .irp vector, 0, 1, 2, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0x10, 0x11, 0x12, 0x13, 0x1f, 0x20, 0x29, 0x2c, 0x2d, 0x7f, 0x80, 0x81, 0xfe, 0xff
CASE int_\vector, "1.1.2 7.2.7 12.1", "INT \vector is #GP with the vector's error code, at the instruction"
    GUEST "int \vector"
    EXPECT T_PROTFLT, CODE, err=\vector*8 + 2
    RUN
    .endr

CASE int_behind, "7.2.7", "An immediate that looks like INT 14 before a fault is none"
    GUEST "mov eax, 0x0ecd0ecd; mov rbx, [rax]"
    WANT RAX, 0x0ecd0ecd
    EXPECT T_PAGEFLT, CODE + 5, PGEX_U, 0x0ecd0ecd
    RUN

CASE int_registers, "7.2.7 7.2.16", "INT n leaves the stack, and every register, alone"
    GUEST "not rsp; int 0x80"
    mov rax, ~(24*CONFORM_PATTERN)
    WANT RSP, rax
    EXPECT T_PROTFLT, CODE + 3, err=0x402
    RUN

CASE int_code_prefixed, "7.2.7", "INT n with prefixes has the code of its vector, too"
    GUEST ".byte 0x66, 0x2e, 0x3e, 0x48; int 0x2d"
    EXPECT T_PROTFLT, 0, err=0x16a
    ANY RIP
    RUN

    # BREAK name, code, length, title
    .macro BREAK name, code, length, title
CASE \name, "7.2.5 12.1", "\title: T_BPTFLT, rip behind it, RF and T clear"
    GUEST \code
    EXPECT T_BPTFLT, CODE + \length
    RUN
    ENTER CODE, 0x254fd7                # every flag, T and RF too
    WANT RFLAGS, 0x244ed7
    EXPECT T_BPTFLT, CODE + \length
    RUN
    .endm
    BREAK int3, "int3", 1, INT3
    BREAK int_3, ".byte 0xcd, 3", 2, INT 3 in two bytes
    BREAK int3_prefixed, ".byte 0x66, 0x2e, 0x48; int3", 4, INT3 with prefixes
    BREAK int3_longest, ".fill 14, 1, 0x66; int3", 15, INT3 of 15 bytes
    BREAK int_3_longest, ".fill 13, 1, 0x2e; .byte 0xcd, 3", 15, INT 3 of 15 bytes

CASE too_long, "7.2.8", "An instruction of 16 bytes is #GP(0), at its start"
    GUEST ".fill 15, 1, 0x66; nop"
    EXPECT T_PROTFLT, CODE
    RUN

CASE breakpoint_goes_on, "7.2.5", "Behind a breakpoint the guest goes on"
    GUEST "int3; not rbx; int3"
    EXPECT T_BPTFLT, CODE + 1
    RUN
    AGAIN
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    EXPECT T_BPTFLT, CODE + 5
    RUN

    .macro ICEBP name, code, length, title
CASE \name, "12.8 12.1 7.2.6", "\title: T_TRCTRAP, rip behind it, RF clear"
    GUEST \code
    EXPECT T_TRCTRAP, CODE + \length
    RUN
    .endm
    ICEBP icebp, ".byte 0xf1", 1, ICEBP
    ICEBP icebp_prefixed, ".byte 0x66, 0x48, 0xf1", 3, ICEBP with prefixes
    ICEBP icebp_longest, ".fill 14, 1, 0x66; .byte 0xf1", 15, ICEBP of 15 bytes

# STEP rip: the guest executes one instruction, and comes back in front of the next one.  Other
# registers that it changes are to be WANTed behind this.
.macro STEP rip
    or qword ptr [frame + TF_RFLAGS], PSL_T
    EXPECT T_TRCTRAP, \rip
.endm

CASE steps, "7.2.6", "With T four instructions are four traps, no more"
    GUEST "not rbx; not rcx; not rbx; not rcx; syscall"
    .irp place, 3, 6, 9, 12
    STEP CODE + \place
    ANY RBX
    ANY RCX
    RUN
    AGAIN
    .endr
    EXPECT T_FAST_SYSCALL, CODE + 14
    RUN
    WORD frame + TF_RBX, 8*CONFORM_PATTERN

CASE step_jump, "7.2.6", "A step of a jump ends at its target"
    GUEST "jmp 1f; ud2; 1: syscall"
    STEP CODE + 4
    RUN

CASE step_call, "7.2.6", "A step of a CALL has pushed the address, and a step of RET popped it"
    GUEST "call 1f; ud2; 1: ret"
    GIVE RSP, DATA + 64
    WANT RSP, DATA + 56
    STEP CODE + 7
    RUN
    WORD RAM + IMG_DATA + 56, CODE + 5
    AGAIN
    WANT RSP, DATA + 64
    STEP CODE + 5
    RUN

CASE step_nop, "7.2.6", "A step of NOP changes rip alone"
    GUEST "nop; nop; ud2"
    STEP CODE + 1
    RUN

CASE step_rep, "7.2.6 12.6", "A step of a REP instruction is one element, and rip stays until the last"
    GUEST "rep movsb; syscall"
    GIVE RSI, DATA
    GIVE RDI, DATA + 0x100
    GIVE RCX, 3
    .irp left, 2, 1
    WANT RSI, DATA + 3 - \left
    WANT RDI, DATA + 0x103 - \left
    WANT RCX, \left
    STEP CODE
    RUN
    AGAIN
    .endr
    WANT RSI, DATA + 3
    WANT RDI, DATA + 0x103
    WANT RCX, 0
    or qword ptr [frame + TF_RFLAGS], PSL_T
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    WORD frame + TF_TRAPNO, T_TRCTRAP
    WORD frame + TF_RCX, 0
    WORD frame + TF_RDI, DATA + 0x103

CASE step_popfq, "7.2.6", "POPFQ that sets T: the next instruction is the one that traps"
    GUEST "popfq; not rbx; not rcx; ud2"
    mov qword ptr [RAM + IMG_DATA], PSL_USER + PSL_T
    GIVE RSP, DATA
    WANT RSP, DATA + 8
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    EXPECT T_TRCTRAP, CODE + 4
    RUN

    # A fault comes before its instruction is complete: T is still there.
    .macro STEPPED_FAULT name, code, trap, err, title
CASE step_\name, "7.2.6 7.2.10", "\title with T set: its own trap, with T set"
    GUEST \code
    or qword ptr [frame + TF_RFLAGS], PSL_T
    or qword ptr [wanted + TF_RFLAGS], PSL_T
    EXPECT \trap, CODE, err=\err
    RUN
    .endm
    STEPPED_FAULT undefined, "ud2", T_PRIVINFLT, 0, UD2
    STEPPED_FAULT int_80, "int 0x80", T_PROTFLT, 0x402, INT 0x80
    STEPPED_FAULT int_ff, "int 0xff", T_PROTFLT, 0x7fa, INT 0xff
    STEPPED_FAULT halt, "hlt", T_PROTFLT, 0, HLT

CASE step_page_fault, "7.2.6 7.2.1", "A page fault with T set: T_PAGEFLT, with T set"
    GUEST "mov rax, [0x7777]"
    or qword ptr [frame + TF_RFLAGS], PSL_T
    or qword ptr [wanted + TF_RFLAGS], PSL_T
    EXPECT T_PAGEFLT, CODE, PGEX_U, 0x7777
    RUN

CASE step_resolved, "7.2.6 7.1.1", "A step of an access that the host resolves is a step like any other"
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + 0x100000, PAGE_SIZE, RWX, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0
    OK
    GUEST "mov rax, [rsi]; ud2"
    GIVE RSI, CODE + 0x100000
    WANT RAX, 0
    STEP CODE + 3
    RUN

    FINISH
