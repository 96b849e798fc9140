# Sigtimedwait takes a signal instead of a handler.

.include "../signal.inc"

CASE sigtimedwait, "3.2.4", "Sigtimedwait takes a signal instead of a handler"
    HANDLE SIGUSR1, never
    MASK SIG_BLOCK, SIGUSR1
    MASK SIG_BLOCK, SIGUSR2
    SYSCALL SYS_sigtimedwait, both, info, no_time
    REFUSED ERRNO_EAGAIN
    RAISE SIGUSR2
    RAISE SIGUSR1
    SYSCALL SYS_sigtimedwait, both, info, no_time
    OK
    EQUAL rax, SIGUSR1
    mov eax, [info + SI_SIGNO]
    EQUAL rax, SIGUSR1
    mov eax, [info + SI_CODE]
    EQUAL rax, 0
    SYSCALL SYS_sigtimedwait, both, 0, wrong_time   # looked at only if nothing waits
    OK
    EQUAL rax, SIGUSR2
    SYSCALL SYS_sigtimedwait, both, 0, wrong_time
    REFUSED ERRNO_EINVAL

    # A signal that is not masked is taken too, while the call waits.
    MASK SIG_UNBLOCK, SIGUSR1
    START sender, 1
    SYSCALL SYS_sigwaitinfo, both, info
    OK
    EQUAL rax, SIGUSR1

    # Its time over.
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, before
    SYSCALL SYS_sigtimedwait, both, 0, a_while
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, after
    mov rax, [after]
    sub rax, [before]
    mov ebx, 19
    cmp rax, 5
    jnb 8f
    NEVER
8:
    FINISH

sender:
    MASK SIG_BLOCK, SIGUSR1
    PAUSE
    RAISE SIGUSR1
    END_LWP

never:
    mov ebx, 40
    NEVER

    .balign 8
both:
    .quad 1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1), 0
info:
    .space SI_SIZE
no_time:
    .quad 0, 0
wrong_time:
    .quad 0, 1000000000
a_while:
    .quad 5, 5
before:
    .quad 0, 0
after:
    .quad 0, 0
