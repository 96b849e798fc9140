# abi 3.2: sigtimedwait takes a signal instead of a handler.

.include "signals.inc"

    HANDLE 1, SIGUSR1, never
    MASK 2, SIG_BLOCK, SIGUSR1
    MASK 3, SIG_BLOCK, SIGUSR2
    SYSCALL SYS_sigtimedwait, both, info, no_time
    CHECK_ERRNO 4, ERRNO_EAGAIN
    RAISE 5, SIGUSR2
    RAISE 6, SIGUSR1
    SYSCALL SYS_sigtimedwait, both, info, no_time
    CHECK_OK 7
    CHECK_EQ 8, rax, SIGUSR1
    mov eax, [info + SI_SIGNO]
    CHECK_EQ 9, rax, SIGUSR1
    mov eax, [info + SI_CODE]
    CHECK_EQ 10, rax, 0
    SYSCALL SYS_sigtimedwait, both, 0, wrong_time   # looked at only if nothing waits
    CHECK_OK 11
    CHECK_EQ 12, rax, SIGUSR2
    SYSCALL SYS_sigtimedwait, both, 0, wrong_time
    CHECK_ERRNO 13, ERRNO_EINVAL

    # A signal that is not masked is taken too, while the call waits.
    MASK 14, SIG_UNBLOCK, SIGUSR1
    START 15, sender, 1
    SYSCALL SYS_sigwaitinfo, both, info
    CHECK_OK 16
    CHECK_EQ 17, rax, SIGUSR1

    # Its time over.
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, before
    SYSCALL SYS_sigtimedwait, both, 0, a_while
    CHECK_ERRNO 18, ERRNO_EAGAIN
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, after
    mov rax, [after]
    sub rax, [before]
    mov ebx, 19
    cmp rax, 5
    jb failed
    DONE

sender:
    MASK 30, SIG_BLOCK, SIGUSR1
    PAUSE
    RAISE 31, SIGUSR1
    END_LWP

never:
    mov ebx, 40
    jmp failed

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
