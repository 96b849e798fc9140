# abi 7.6: there is one set of FP and SSE registers; values go into the guest and come back.

.include "space.inc"

MXCSR_DEFAULT = 0x1f80
MXCSR_ROUND_DOWN = 0x2000

    PLAIN_SPACE guest, guest_end

    mov qword ptr [frame + TF_RSP], PLAIN + IMG_DATA
    mov rax, 40
    cvtsi2sd xmm3, rax
    movq xmm15, rax
    fld1
    RUN 1, PLAIN
    CHECK_EQ 2, [frame + TF_TRAPNO], T_FAST_SYSCALL

    cvttsd2si rax, xmm3
    CHECK_EQ 3, rax, 42
    movq rax, xmm15
    CHECK_EQ 4, rax, 41
    fistp qword ptr [number]
    CHECK_EQ 5, [number], 2

    # The control words are part of it.
    CHECK_EQ 6, [frame + TF_RDX], MXCSR_DEFAULT
    stmxcsr [number]
    mov eax, [number]
    CHECK_EQ 7, rax, MXCSR_DEFAULT + MXCSR_ROUND_DOWN

    DONE

guest:
    stmxcsr [rsp]
    mov edx, [rsp]
    or dword ptr [rsp], MXCSR_ROUND_DOWN
    ldmxcsr [rsp]
    mov eax, 2
    cvtsi2sd xmm0, rax
    addsd xmm3, xmm0
    movq rax, xmm15
    inc rax
    movq xmm15, rax
    fadd st(0), st(0)
    syscall
guest_end:

    .balign 8
number:
    .quad 0
