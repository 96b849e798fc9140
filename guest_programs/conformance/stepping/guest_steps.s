# A guest with T set executes one instruction, and comes back with T clear.

.include "../conform.inc"

    PLAIN_SPACE

# STEPS "code": a guest that is entered with T set, and wanted back without.
.macro STEPS code
    GUEST \code
    ENTER CODE, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
.endm

CASE one, "7.8.1 7.2.6 12.1", "One instruction is executed: 10, rip behind it, T and RF clear"
    STEPS "mov eax, 7; inc eax"
    WANT RAX, 7
    EXPECT T_TRCTRAP, CODE + 5
    RUN

CASE four, "7.8.1 7.2.6", "Four instructions are four steps, if T is set for each"
    STEPS "inc rcx; inc rcx; inc rcx; inc rcx; ud2"
    GIVE RCX, 0
    .irp step, 1, 2, 3, 4
    .if \step > 1
    AGAIN
    GIVE RFLAGS, PSL_USER + PSL_T
    .endif
    WANT RCX, \step
    WANT_BITS RFLAGS, PSL_T + PSL_RF, 0
    EXPECT T_TRCTRAP, CODE + 3*\step
    RUN
    .endr

CASE and_on, "7.8.1", "Entered with the frame as it came back, the guest runs on"
    STEPS "nop; nop; nop; syscall"
    EXPECT T_TRCTRAP, CODE + 1
    RUN
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN

CASE other_flags, "7.8.1 7.3.2", "All other flags of a user are kept"
    STEPS "nop"
    GIVE RFLAGS, 0x244fd7
    WANT RFLAGS, 0x244ed7
    EXPECT T_TRCTRAP, CODE + 1
    RUN

CASE jump, "7.8.1", "A step over a jump ends at its target"
    STEPS "jmp .Lover; ud2; .Lover: nop"
    EXPECT T_TRCTRAP, CODE + 4
    RUN

CASE call, "7.8.1", "A step over a call ends in the function"
    STEPS "call .Lfunction; ud2; .Lfunction: ret"
    GIVE RSP, DATA + 0x100
    WANT RSP, DATA + 0xf8
    EXPECT T_TRCTRAP, CODE + 7
    RUN

CASE loop, "7.8.1", "Each turn of a loop of one instruction is a step"
    STEPS ".Lloop: loop .Lloop; nop"
    GIVE RCX, 2
    WANT RCX, 1
    EXPECT T_TRCTRAP, CODE
    RUN
    AGAIN
    GIVE RFLAGS, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
    WANT RCX, 0
    EXPECT T_TRCTRAP, CODE + 2
    RUN

CASE store, "7.8.1", "What the instruction stores is there"
    STEPS "mov [rdi], rax"
    GIVE RDI, DATA
    mov qword ptr [RAM + IMG_DATA], 0
    EXPECT T_TRCTRAP, CODE + 3
    RUN
    mov rax, 0x0707070707070707
    WORD RAM + IMG_DATA, rax

CASE pushf, "7.8.1", "PUSHF under T stores T"
    STEPS "pushfq"
    GIVE RSP, DATA + 0x100
    WANT RSP, DATA + 0xf8
    EXPECT T_TRCTRAP, CODE + 1
    RUN
    WORD RAM + IMG_DATA + 0xf8, PSL_USER + PSL_T

CASE popf, "7.8.1", "POPF that sets T: the trap comes behind the instruction that follows"
    mov qword ptr [RAM + IMG_DATA + 0xf8], PSL_USER + PSL_T
    GUEST "popfq; nop; nop"
    GIVE RSP, DATA + 0xf8
    WANT RSP, DATA + 0x100
    EXPECT T_TRCTRAP, CODE + 2
    RUN

CASE popf_clears, "7.8.1", "POPF that clears T is itself still stepped"
    mov qword ptr [RAM + IMG_DATA + 0xf8], PSL_USER
    STEPS "popfq; nop"
    GIVE RSP, DATA + 0xf8
    WANT RSP, DATA + 0x100
    EXPECT T_TRCTRAP, CODE + 1
    RUN

CASE iret, "7.8.1", "IRETQ that sets T: the instruction it returns to is stepped"
    GUEST "iretq; nop; nop"
    mov qword ptr [RAM + IMG_DATA + 0xf8 + 0], CODE + 2
    mov qword ptr [RAM + IMG_DATA + 0xf8 + 8], USER_CS
    mov qword ptr [RAM + IMG_DATA + 0xf8 + 16], PSL_USER + PSL_T
    mov qword ptr [RAM + IMG_DATA + 0xf8 + 24], DATA + 0x500
    mov qword ptr [RAM + IMG_DATA + 0xf8 + 32], USER_SS
    GIVE RSP, DATA + 0xf8
    WANT RSP, DATA + 0x500
    EXPECT T_TRCTRAP, CODE + 3
    RUN

CASE mov_ss, "12.9 7.8.1", "MOV SS under T: the trap comes one instruction later"
    STEPS "mov ss, ecx; nop; nop"
    GIVE RCX, USER_SS
    EXPECT T_TRCTRAP, CODE + 3
    RUN

CASE rep, "7.8.1 12.6", "REP STOSB is stepped element by element"
    STEPS "rep stosb; nop"
    GIVE RDI, DATA
    GIVE RCX, 2
    WANT RDI, DATA + 1
    WANT RCX, 1
    EXPECT T_TRCTRAP, CODE
    RUN
    AGAIN
    GIVE RFLAGS, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
    WANT RDI, DATA + 2
    WANT RCX, 0
    EXPECT T_TRCTRAP, CODE + 2
    RUN

CASE rep_movs, "7.8.1 12.6", "REP MOVSQ is stepped element by element, downwards too"
    STEPS "rep movsq; nop"
    GIVE RFLAGS, PSL_USER + PSL_T + PSL_D
    WANT RFLAGS, PSL_USER + PSL_D
    GIVE RSI, DATA + 0x108
    GIVE RDI, DATA + 0x208
    GIVE RCX, 2
    WANT RSI, DATA + 0x100
    WANT RDI, DATA + 0x200
    WANT RCX, 1
    EXPECT T_TRCTRAP, CODE
    RUN

CASE fault, "7.8.1 3.4.5", "A fault comes instead of the step, with T still set"
    GUEST "ud2"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_PRIVINFLT, CODE
    RUN

CASE page_fault, "7.8.1", "A page fault comes instead of the step, with T still set"
    GUEST "mov rax, [rsi]"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RSI, 0x123456
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=0x123456
    RUN

CASE resolved, "7.8.1 7.1.1", "A page fault that the host resolves is no step: one trap, behind the instruction"
    SYSCALL SYS_vmspace_mcontrol, SPACE, CODE, IMG_SIZE, MADV_INVAL
    OK
    STEPS "mov [rdi], rax; nop"
    GIVE RDI, DATA + 4096 - 4           # two pages, both absent, as is the code's
    EXPECT T_TRCTRAP, CODE + 3
    RUN

CASE interrupt, "7.8.1 7.2.7", "INT n comes as its #GP, with T still set"
    GUEST "int 0x80"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_PROTFLT, CODE, err=0x402
    RUN

CASE breakpoint, "7.2.5 7.8.1", "INT3 with T set comes once, as 3 with T clear"
    STEPS "int3"
    EXPECT T_BPTFLT, CODE + 1
    RUN

CASE icebp, "12.8 7.8.1", "ICEBP with T set comes once, as 10 with T clear"
    STEPS ".byte 0xf1; nop"
    EXPECT T_TRCTRAP, CODE + 1
    RUN

CASE rf, "7.8.1 12.1", "RF on entry does not stop the step"
    STEPS "nop; nop"
    GIVE RFLAGS, PSL_USER + PSL_T + PSL_RF
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 1
    RUN

    FINISH
