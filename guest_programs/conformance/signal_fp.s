# abi 7.6, 7.9: a handler has FP and SSE registers of its own.

.include "signals.inc"

    HANDLE 1, SIGUSR1, handler
    mov rax, 0x1122334455667788
    movq xmm7, rax
    mov dword ptr [control], 0x9F80     # flush to zero
    ldmxcsr [control]
    mov word ptr [control], 0x037F      # extended precision
    fldcw [control]
    fld1
    RAISE 2, SIGUSR1
    CHECK_EQ 3, [calls], 1

    movq rax, xmm7
    CHECK_EQ 4, rax, 0x1122334455667788
    stmxcsr [control]
    mov eax, [control]
    CHECK_EQ 5, rax, 0x9F80
    fnstcw [control]
    movzx eax, word ptr [control]
    CHECK_EQ 6, rax, 0x037F
    fistp qword ptr [control]
    CHECK_EQ 7, [control], 1
    DONE

handler:
    movq rax, xmm7
    CHECK_EQ 20, rax, 0
    stmxcsr [control]
    mov eax, [control]
    CHECK_EQ 21, rax, 0x1F80
    fnstcw [control]
    movzx eax, word ptr [control]
    CHECK_EQ 22, rax, 0x127F
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
