# abi 7.9: with SA_RESETHAND a handler is called once.

.include "signals.inc"

    HANDLE 1, SIGIO, handler, SA_RESETHAND
    RAISE 2, SIGIO
    CHECK_EQ 3, [calls], 1
    SYSCALL SYS_sigaction, SIGIO, 0, old
    CHECK_EQ 4, [old + SA_HANDLER], SIG_DFL
    mov eax, [old + SA_FLAGS]
    CHECK_EQ 5, rax, SA_RESETHAND
    RAISE 6, SIGIO                      # ignored by default
    CHECK_EQ 7, [calls], 1
    DONE

handler:
    SYSCALL SYS_sigaction, SIGIO, 0, old
    CHECK_EQ 20, [old + SA_HANDLER], SIG_DFL
    inc qword ptr [calls]
    ret

    .balign 8
old:
    .space 32
calls:
    .quad 0
