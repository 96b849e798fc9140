# abi 3.2: signals are numbered from 1 to 128, and have masks of 128 bits.

.include "signals.inc"

    mov r12d, 1
again:
    cmp r12, SIGKILL
    je next
    cmp r12, SIGSTOP
    je next
    HANDLE 1, r12, handler
    mov [expected], r12
    mov qword ptr [seen], 0
    RAISE 2, r12
    CHECK_EQ 3, [seen], r12
next:
    inc r12
    cmp r12, 128
    jbe again

    SYSCALL SYS_sigaction, 129, lwp_action, 0
    CHECK_ERRNO 4, ERRNO_EINVAL
    SYSCALL SYS_sigaction, 0, lwp_action, 0
    CHECK_ERRNO 5, ERRNO_EINVAL
    SYSCALL SYS_sigaction, SIGKILL, lwp_action, 0
    CHECK_ERRNO 6, ERRNO_EINVAL
    SYSCALL SYS_kill, 0, 129
    CHECK_ERRNO 7, ERRNO_EINVAL

    # Bit 127 is the last signal.
    bts qword ptr [mask + 8], 63
    SYSCALL SYS_sigprocmask, SIG_SETMASK, mask, 0
    mov qword ptr [expected], 128
    mov qword ptr [seen], 0
    RAISE 8, 128
    CHECK_EQ 9, [seen], 0
    SYSCALL SYS_sigpending, mask
    CHECK_EQ 10, [mask], 0
    bt qword ptr [mask + 8], 63
    setc al
    movzx eax, al
    CHECK_EQ 11, rax, 1
    mov qword ptr [mask + 8], 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, mask, 0
    CHECK_EQ 12, [seen], 128
    DONE

handler:
    CHECK_EQ 20, rdi, [expected]
    mov [seen], rdi
    ret

    .balign 8
expected:
    .quad 0
seen:
    .quad 0
mask:
    .quad 0, 0
