# #XF: SSE exceptions that MXCSR does not mask.

.include "own.inc"

MXCSR_IE = 1
MXCSR_ZE = 4
MXCSR_OE = 8
MXCSR_UE = 0x10
MXCSR_PE = 0x20
MXCSR_DEFAULT = 0x1f80                  # all masked
CONTROL = DATA                          # the guest's words: MXCSR, and operands
LEFT = DATA + 8
RIGHT = DATA + 16
ONE = 0x3ff0000000000000
LEAST = 0x0010000000000000              # the least normal number
HUGE = 0x7fefffffffffffff
THREE = 0x4008000000000000
MINUS_ONE = 0xbff0000000000000
SIGNALLING = 0x7ff0000000000001         # a NaN

    OWN_SPACE
    VMSPACE

# OPERANDS flag, left, right: the exception with this flag is not masked; xmm0 and xmm1 begin so.
.macro OPERANDS flag, left, right
    mov dword ptr [CONTROL], MXCSR_DEFAULT & ~(\flag << 7)
    mov rax, \left
    mov [LEFT], rax
    mov rax, \right
    mov [RIGHT], rax
.endm

PREAMBLE = 13                           # bytes of what loads them
.macro OPERATION code
    OWN "ldmxcsr [rsi]; movq xmm0, [rsi + 8]; movq xmm1, [rsi + 16]", \code
    GIVE RSI, CONTROL
    EXPECT T_XMMFLT, CODE + PREAMBLE
.endm

.macro SSE_FAULT name, flag, left, right, title, guest_title, code
CASE \name, "3.4.15 12.1", \title
    OPERANDS \flag, \left, \right
    OPERATION \code
    CATCH SIGFPE, 0
    mov eax, [TAKEN_MC + MC_FPREGS + 24]    # MXCSR says which, xmm0 is as it was
    BITS rax, \flag, \flag
    mov rax, \left
    EQUAL [TAKEN_MC + MC_FPREGS + 160], rax

CASE guests_\name, "7.2.10 3.4.15", \guest_title
    OPERANDS \flag, \left, \right
    OPERATION \code
    RUN
    stmxcsr [CONTROL]
    ldmxcsr [own_mxcsr]
    mov eax, [CONTROL]
    BITS rax, \flag, \flag
    mov rax, \left
    movq rcx, xmm0
    EQUAL rcx, rax
.endm

    SSE_FAULT divide, MXCSR_ZE, ONE, 0, "DIVSD by zero is T_XMMFLT, SIGFPE with code 0, at the instruction", "A guest's DIVSD by zero comes back as T_XMMFLT", "divsd xmm0, xmm1"
    SSE_FAULT invalid, MXCSR_IE, ONE, MINUS_ONE, "SQRTSD of a negative number is T_XMMFLT", "A guest's SQRTSD of a negative number comes back as T_XMMFLT", "sqrtsd xmm0, xmm1"
    SSE_FAULT overflow, MXCSR_OE, HUGE, HUGE, "ADDSD that overflows is T_XMMFLT", "A guest's ADDSD that overflows comes back as T_XMMFLT", "addsd xmm0, xmm1"
    SSE_FAULT underflow, MXCSR_UE, LEAST, LEAST, "MULSD that underflows is T_XMMFLT", "A guest's MULSD that underflows comes back as T_XMMFLT", "mulsd xmm0, xmm1"
    SSE_FAULT inexact, MXCSR_PE, ONE, THREE, "DIVSD that is inexact is T_XMMFLT", "A guest's DIVSD that is inexact comes back as T_XMMFLT", "divsd xmm0, xmm1"
    SSE_FAULT compare, MXCSR_IE, ONE, SIGNALLING, "UCOMISD with a signalling NaN is T_XMMFLT, with the flags as they were", "A guest's UCOMISD with a signalling NaN comes back as T_XMMFLT", "ucomisd xmm0, xmm1"
    SSE_FAULT convert, MXCSR_IE, ONE, HUGE, "CVTTSD2SI of what does not fit is T_XMMFLT, with its register as it was", "A guest's CVTTSD2SI of what does not fit comes back as T_XMMFLT", "cvttsd2si rax, xmm1"
    SSE_FAULT packed, MXCSR_ZE, ONE, 0, "DIVPD of which one half divides by zero is T_XMMFLT", "A guest's DIVPD by zero comes back as T_XMMFLT", "divpd xmm0, xmm1"

CASE masked, "3.4.15", "What is masked raises nothing, and only sets its flag"
    OPERANDS 0, ONE, 0
    OPERATION "divsd xmm0, xmm1; ud2"
    EXPECT T_PRIVINFLT, CODE + PREAMBLE + 4
    CATCH SIGILL, ILL_PRVOPC
    mov eax, [TAKEN_MC + MC_FPREGS + 24]
    EQUAL rax, MXCSR_DEFAULT + MXCSR_ZE
    mov rax, 0x7ff0000000000000
    EQUAL [TAKEN_MC + MC_FPREGS + 160], rax

CASE flag_before, "3.4.15", "A flag that is set already raises nothing when it is unmasked"
    OPERANDS MXCSR_ZE, ONE, ONE
    or dword ptr [CONTROL], MXCSR_ZE
    OPERATION "addsd xmm0, xmm1; ud2"
    EXPECT T_PRIVINFLT, CODE + PREAMBLE + 4
    CATCH SIGILL, ILL_PRVOPC

    FINISH
