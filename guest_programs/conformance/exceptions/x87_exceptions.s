# #MF: x87 exceptions that the control word does not mask, reported by the next x87 instruction.

.include "own.inc"

CONTROL = DATA                          # the control word
MASK_ZERO = 4
MASK_ALL = 0x127f
SUMMARY = 0x80                          # of the status word: an exception waits

    OWN_SPACE
    VMSPACE

.macro X87 exception, code
    mov word ptr [CONTROL], MASK_ALL & ~(\exception)
    OWN \code
    GIVE RSI, CONTROL
.endm

.macro X87_FAULT name, exception, size, title, guest_title, code
CASE \name, "3.4.13 12.1", \title
    X87 \exception, \code
    EXPECT T_ARITHTRAP, CODE + \size
    CATCH SIGFPE, 0
    movzx eax, word ptr [TAKEN_MC + MC_FPREGS + 2]
    BITS rax, \exception + SUMMARY, \exception + SUMMARY

CASE guests_\name, "7.2.10 3.4.13", \guest_title
    X87 \exception, \code
    EXPECT T_ARITHTRAP, CODE + \size
    RUN
    fnstsw ax
    fninit
    movzx eax, ax
    BITS rax, \exception + SUMMARY, \exception + SUMMARY
.endm

    X87_FAULT zero, MASK_ZERO, 10, "Division by zero is T_ARITHTRAP, SIGFPE with code 0, at the next x87 instruction", "A guest's division by zero comes back as T_ARITHTRAP", "fninit; fldcw [rsi]; fld1; fldz; fdivp st(1), st; fwait"

CASE not_waiting, "3.4.13", "An x87 instruction that does not wait does not report it, and FNCLEX forgets it"
    X87 MASK_ZERO, "fninit; fldcw [rsi]; fld1; fldz; fdivp st(1), st; fnstsw ax; fnclex; fwait; ud2"
    ANY RAX
    EXPECT T_PRIVINFLT, CODE + 15
    CATCH SIGILL, ILL_PRVOPC
    movzx eax, word ptr [frame + TF_RAX]
    BITS rax, MASK_ZERO + SUMMARY, MASK_ZERO + SUMMARY

CASE sse, "3.4.13", "An SSE instruction does not"
    X87 MASK_ZERO, "fninit; fldcw [rsi]; fld1; fldz; fdivp st(1), st; movq xmm0, [rsi]; ud2"
    EXPECT T_PRIVINFLT, CODE + 14
    CATCH SIGILL, ILL_PRVOPC

CASE masked, "3.4.13", "What is masked raises nothing"
    X87 0, "fninit; fldcw [rsi]; fld1; fldz; fdivp st(1), st; fwait; ud2"
    EXPECT T_PRIVINFLT, CODE + 11
    CATCH SIGILL, ILL_PRVOPC
    movzx eax, word ptr [TAKEN_MC + MC_FPREGS + 2]
    BITS rax, MASK_ZERO + SUMMARY, MASK_ZERO

CASE first_use, "3.4.6", "The first x87 instruction of a process is executed: no #NM is seen"
    OWN "fld1; ud2"
    EXPECT T_PRIVINFLT, CODE + 2
    CATCH SIGILL, ILL_PRVOPC

CASE first_sse, "3.4.6", "The first SSE instruction of a process is executed"
    OWN "xorps xmm0, xmm0; ud2"
    EXPECT T_PRIVINFLT, CODE + 3
    CATCH SIGILL, ILL_PRVOPC

    FINISH
