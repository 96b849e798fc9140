# Each thread has its own FP and SSE registers, whatever the others compute.

.include "../signal.inc"

.ifndef COUNT
COUNT = 500
.endif

CASE fp_threads, "7.6.1", "Each thread has its own FP and SSE registers, whatever the others compute"
    START x87, 1
    START sse, 2
    START controls, 3
    # This one adds up 1 + 2 + ... in xmm0 too.
    mov r13, COUNT
    pxor xmm0, xmm0
    pcmpeqd xmm1, xmm1
1:
    psubd xmm0, xmm1                    # four counters at once
    dec r13
    jnz 1b
    movq rax, xmm0
    EQUAL rax, COUNT | COUNT << 32
    AWAIT_VALUE finished, 3
    FINISH

x87:
    fldz
    fld1
    mov r13, COUNT
1:
    fadd st(1), st(0)                   # st(1) counts, st(0) stays 1
    dec r13
    jnz 1b
    fistp qword ptr [result]
    EQUAL [result], 1
    fistp qword ptr [result]
    EQUAL [result], COUNT
    ANNOUNCE finished
    END_LWP

sse:
    mov eax, 1
    cvtsi2sd xmm1, rax
    pxor xmm0, xmm0
    mov r13, COUNT
1:
    addsd xmm0, xmm1
    dec r13
    jnz 1b
    cvtsd2si rax, xmm0
    EQUAL rax, COUNT
    ANNOUNCE finished
    END_LWP

controls:                               # rounding up here means nothing elsewhere
    mov dword ptr [control], 0x5F80
    ldmxcsr [control]
    mov word ptr [control], 0x0B7F
    fldcw [control]
    mov r13, COUNT
1:
    mov dword ptr [scratch], 0
    stmxcsr [scratch]
    mov eax, [scratch]
    and eax, 0xFFC0                     # without the exceptions that have been
    mov ebx, 40
    cmp eax, 0x5F80
    je 8f
    NEVER
8:
    fnstcw [scratch]
    movzx eax, word ptr [scratch]
    mov ebx, 41
    cmp eax, 0x0B7F
    je 8f
    NEVER
8:
    dec r13
    jnz 1b
    ANNOUNCE finished
    END_LWP

    .balign 8
result:
    .quad 0
control:
    .quad 0
scratch:
    .quad 0
finished:
    .quad 0
