# Breakpoints and single steps of the program's own code.

.include "own.inc"

    OWN_SPACE

CASE int3, "3.4.3 9.8 12.1", "INT3 is T_BPTFLT, with rip behind it and the version's code"
    OWN "int3"
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT

CASE long_int3, "3.4.3 9.8", "INT 3 of two bytes is T_BPTFLT too, with rip behind it"
    OWN ".byte 0xcd, 3"
    EXPECT T_BPTFLT, CODE + 2
    CATCH SIGTRAP, BREAKPOINT

CASE int3_prefixed, "3.4.3", "INT3 behind a prefix: rip is behind both"
    OWN ".byte 0x66, 0xcc"
    EXPECT T_BPTFLT, CODE + 2
    CATCH SIGTRAP, BREAKPOINT

CASE int3_with_t, "3.4.3", "INT3 with T set: one trap, T_BPTFLT, and T is clear in the context"
    OWN "int3; nop"
    ENTER CODE, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT

CASE int3_keeps_flags, "3.4.3", "INT3 keeps the other flags, D and AC and NT among them"
    OWN "int3"
    ENTER CODE, 0x244ed7
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT

CASE icebp, "3.4.2 12.8", "ICEBP is T_TRCTRAP and TRAP_TRACE, with rip behind it"
    OWN ".byte 0xf1"
    EXPECT T_TRCTRAP, CODE + 1
    CATCH SIGTRAP, TRAP_TRACE

CASE step, "3.4.2 12.1", "With T set one instruction is executed: T_TRCTRAP, T clear in the context"
    OWN "inc eax; inc eax"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RAX, 5
    WANT RAX, 6
    WANT RFLAGS, PSL_USER + PSL_PF
    EXPECT T_TRCTRAP, CODE + 2
    CATCH SIGTRAP, TRAP_TRACE

CASE step_jump, "3.4.2", "A step over a jump ends at its target"
    OWN "jmp .Ltarget; ud2; .Ltarget: nop"
    ENTER CODE, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 4
    CATCH SIGTRAP, TRAP_TRACE

CASE step_into_fault, "3.4.2 3.4.5", "A fault comes instead of the step, with T still set"
    OWN "ud2"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_PRIVINFLT, CODE
    CATCH SIGILL, ILL_PRVOPC

# PUSHF stores T as it is; POPF that sets it steps the instruction behind it.
CASE step_pushf, "3.4.2", "PUSHF under T stores T"
    OWN "pushfq; nop"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RSP, DATA + 0x100
    WANT RSP, DATA + 0xf8
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 1
    CATCH SIGTRAP, TRAP_TRACE
    WORD DATA + 0xf8, PSL_USER + PSL_T

CASE popf_sets_t, "3.4.2", "POPF that sets T: the trap comes behind the instruction that follows"
    OWN "popfq; inc eax; inc eax"
    GIVE RSP, DATA + 0xf8
    GIVE RAX, 5
    WANT RAX, 6
    WANT RSP, DATA + 0x100
    WANT RFLAGS, PSL_USER + PSL_PF
    mov qword ptr [DATA + 0xf8], PSL_USER + PSL_T
    EXPECT T_TRCTRAP, CODE + 3
    CATCH SIGTRAP, TRAP_TRACE

CASE popf_clears_t, "3.4.2", "POPF that clears T is itself still stepped"
    OWN "popfq; inc eax"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RSP, DATA + 0xf8
    WANT RSP, DATA + 0x100
    WANT RFLAGS, PSL_USER
    mov qword ptr [DATA + 0xf8], PSL_USER
    EXPECT T_TRCTRAP, CODE + 1
    CATCH SIGTRAP, TRAP_TRACE

CASE step_mov_ss, "12.9", "MOV SS under T: the trap comes one instruction later"
    OWN "mov ss, ecx; inc eax; inc eax"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RCX, USER_SS
    GIVE RAX, 5
    WANT RAX, 6
    WANT RFLAGS, PSL_USER + PSL_PF
    EXPECT T_TRCTRAP, CODE + 4
    CATCH SIGTRAP, TRAP_TRACE

CASE step_mov_ss_fault, "12.9 3.4.5", "A fault behind MOV SS comes alone: the pending step is forgotten"
    OWN "mov ss, ecx; ud2"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RCX, USER_SS
    EXPECT T_PRIVINFLT, CODE + 2
    CATCH SIGILL, ILL_PRVOPC

# A step over a string instruction is one element.
CASE step_rep, "3.4.2 12.6", "REP STOSQ is stepped element by element, with rip at the instruction"
    OWN "rep stosq; nop"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RDI, DATA
    GIVE RCX, 3
    WANT RDI, DATA + 8
    WANT RCX, 2
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE
    CATCH SIGTRAP, TRAP_TRACE
    mov rax, [wanted + TF_RAX]
    WORD DATA, rax

CASE step_rep_last, "3.4.2 12.6", "The step over the last element ends behind it"
    OWN "rep stosq; nop"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RDI, DATA
    GIVE RCX, 1
    WANT RDI, DATA + 8
    WANT RCX, 0
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 3
    CATCH SIGTRAP, TRAP_TRACE

CASE step_rep_none, "3.4.2 12.6", "REP with RCX 0 is one step"
    OWN "rep movsb; nop"
    ENTER CODE, PSL_USER + PSL_T
    GIVE RCX, 0
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 2
    CATCH SIGTRAP, TRAP_TRACE

CASE step_repne, "3.4.2 12.6", "REPNE SCASB that finds its byte ends behind it, with the flags of the find"
    OWN "repne scasb; nop"
    ENTER CODE, PSL_USER + PSL_T
    mov byte ptr [DATA], 7
    GIVE RDI, DATA
    GIVE RAX, 7
    GIVE RCX, 5
    WANT RDI, DATA + 1
    WANT RCX, 4
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_TRCTRAP, CODE + 2
    CATCH SIGTRAP, TRAP_TRACE

    FINISH
