# Each thread has its own FP and SSE registers, whatever the others compute.
#
# Four threads compute at once; the cases look at what has become of it.

.include "../signal.inc"

.ifndef COUNT
COUNT = 500
.endif

    START x87
    START sse
    START controls
    # This one counts in four places of xmm0 at once.
    mov r13, COUNT
    pxor xmm0, xmm0
    pcmpeqd xmm1, xmm1
count_four:
    psubd xmm0, xmm1
    dec r13
    jnz count_four
    movq [four], xmm0
    AWAIT_VALUE finished, 3

CASE integers, "2.1.3 7.6.1", "Packed integers in XMM0 and XMM1 are the thread's own"
    EQUAL [four], COUNT | COUNT << 32

CASE x87_stack, "2.1.3 7.6.1", "The x87 stack is the thread's own"
    EQUAL [one], 1
    EQUAL [sum], COUNT

CASE doubles, "2.1.3 7.6.1", "Doubles in XMM0 and XMM1 are the thread's own"
    EQUAL [sse_sum], COUNT

CASE mxcsr, "2.1.3 7.6.1", "MXCSR is the thread's own"
    EQUAL [mxcsr_wrong], 0

CASE control_word, "2.1.3 7.6.1", "The x87 control word is the thread's own"
    EQUAL [control_wrong], 0

    FINISH

x87:
    fldz
    fld1
    mov r13, COUNT
count_x87:
    fadd st(1), st(0)                   # st(1) counts, st(0) stays 1
    dec r13
    jnz count_x87
    fistp qword ptr [one]
    fistp qword ptr [sum]
    ANNOUNCE finished
    END_LWP

sse:
    mov eax, 1
    cvtsi2sd xmm1, rax
    pxor xmm0, xmm0
    mov r13, COUNT
count_sse:
    addsd xmm0, xmm1
    dec r13
    jnz count_sse
    cvtsd2si rax, xmm0
    mov [sse_sum], rax
    ANNOUNCE finished
    END_LWP

controls:                               # rounding up here means nothing elsewhere
    mov dword ptr [control], 0x5f80
    ldmxcsr [control]
    mov word ptr [control], 0x0b7f
    fldcw [control]
    mov r13, COUNT
look:
    mov dword ptr [scratch], 0
    stmxcsr [scratch]
    mov eax, [scratch]
    and eax, 0xffc0                     # without the exceptions that have been
    cmp eax, 0x5f80
    je mxcsr_right
    inc qword ptr [mxcsr_wrong]
mxcsr_right:
    fnstcw [scratch]
    movzx eax, word ptr [scratch]
    cmp eax, 0x0b7f
    je control_right
    inc qword ptr [control_wrong]
control_right:
    dec r13
    jnz look
    ANNOUNCE finished
    END_LWP

    .balign 8
four:
    .quad 0
one:
    .quad 0
sum:
    .quad 0
sse_sum:
    .quad 0
mxcsr_wrong:
    .quad 0
control_wrong:
    .quad 0
control:
    .quad 0
scratch:
    .quad 0
finished:
    .quad 0
