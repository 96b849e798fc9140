# With SA_RESETHAND a handler is called once.

.include "../signal.inc"

CASE signal_resethand, "7.9.5", "With SA_RESETHAND a handler is called once"
    HANDLE SIGIO, handler, SA_RESETHAND
    RAISE SIGIO
    EQUAL [calls], 1
    SYSCALL SYS_sigaction, SIGIO, 0, old
    EQUAL [old + SA_HANDLER], SIG_DFL
    mov eax, [old + SA_FLAGS]
    EQUAL rax, SA_RESETHAND
    RAISE SIGIO                      # ignored by default
    EQUAL [calls], 1
    FINISH

handler:
    SYSCALL SYS_sigaction, SIGIO, 0, old
    EQUAL [old + SA_HANDLER], SIG_DFL
    inc qword ptr [calls]
    ret

    .balign 8
old:
    .space 32
calls:
    .quad 0
