# Signals are numbered from 1 to 128, and have masks of 128 bits.

.include "../signal.inc"

CASE signal_numbers, "3.2.1", "Signals are numbered from 1 to 128, and have masks of 128 bits"
    mov r12d, 1
again:
    cmp r12, SIGKILL
    je next
    cmp r12, SIGSTOP
    je next
    HANDLE r12, handler
    mov [expected], r12
    mov qword ptr [seen], 0
    RAISE r12
    EQUAL [seen], r12
next:
    inc r12
    cmp r12, 128
    jbe again

    SYSCALL SYS_sigaction, 129, lwp_action, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_sigaction, 0, lwp_action, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_sigaction, SIGKILL, lwp_action, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_kill, 0, 129
    REFUSED ERRNO_EINVAL

    # Bit 127 is the last signal.
    bts qword ptr [mask + 8], 63
    SYSCALL SYS_sigprocmask, SIG_SETMASK, mask, 0
    mov qword ptr [expected], 128
    mov qword ptr [seen], 0
    RAISE 128
    EQUAL [seen], 0
    SYSCALL SYS_sigpending, mask
    EQUAL [mask], 0
    bt qword ptr [mask + 8], 63
    setc al
    movzx eax, al
    EQUAL rax, 1
    mov qword ptr [mask + 8], 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, mask, 0
    EQUAL [seen], 128
    FINISH

handler:
    EQUAL rdi, [expected]
    mov [seen], rdi
    ret

    .balign 8
expected:
    .quad 0
seen:
    .quad 0
mask:
    .quad 0, 0
