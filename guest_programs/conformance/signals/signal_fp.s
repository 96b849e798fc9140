# A handler has FP and SSE registers of its own.

.include "../signal.inc"

CASE signal_fp, "7.6.6", "A handler has FP and SSE registers of its own"
    HANDLE SIGUSR1, handler
    mov rax, 0x1122334455667788
    movq xmm7, rax
    mov dword ptr [control], 0x9F80     # flush to zero
    ldmxcsr [control]
    mov word ptr [control], 0x037F      # extended precision
    fldcw [control]
    fld1
    RAISE SIGUSR1
    EQUAL [calls], 1

    movq rax, xmm7
    EQUAL rax, 0x1122334455667788
    stmxcsr [control]
    mov eax, [control]
    EQUAL rax, 0x9F80
    fnstcw [control]
    movzx eax, word ptr [control]
    EQUAL rax, 0x037F
    fistp qword ptr [control]
    EQUAL [control], 1
    FINISH

handler:
    movq rax, xmm7
    EQUAL rax, 0
    stmxcsr [control]
    mov eax, [control]
    EQUAL rax, 0x1F80
    fnstcw [control]
    movzx eax, word ptr [control]
    EQUAL rax, 0x127F
    # It may spoil them.
    mov rax, -1
    movq xmm7, rax
    fldz
    inc qword ptr [calls]
    ret

    .balign 8
control:
    .quad 0
calls:
    .quad 0
