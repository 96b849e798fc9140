# abi 3.2, 7.9: what is masked while a handler runs, and in which order signals come.

.include "signals.inc"

    # Signals that wait come the lowest first; each handler is interrupted by the next.
    HANDLE 1, SIGHUP, note
    HANDLE 2, SIGTERM, note
    HANDLE 3, SIGUSR2, note
    MASK 4, SIG_BLOCK, SIGHUP
    MASK 5, SIG_BLOCK, SIGTERM
    MASK 6, SIG_BLOCK, SIGUSR2
    RAISE 7, SIGUSR2
    RAISE 8, SIGHUP
    RAISE 9, SIGTERM
    RAISE 10, SIGTERM                   # a second one is not counted
    SYSCALL SYS_sigpending, pending
    CHECK_OK 11
    CHECK_EQ 12, [pending], 1 << (SIGHUP - 1) | 1 << (SIGTERM - 1) | 1 << (SIGUSR2 - 1)
    CHECK_EQ 13, [pending + 8], 0
    CHECK_EQ 14, [notes], 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, 0
    CHECK_OK 15
    # The innermost handler finished first, so its number is noted first.
    CHECK_EQ 16, [notes], SIGHUP | SIGTERM << 8 | SIGUSR2 << 16

    # The signal itself is masked meanwhile, and so is what sa_mask says.
    mov qword ptr [lwp_action + SA_MASK], 1 << (SIGUSR2 - 1)
    HANDLE 20, SIGUSR1, nesting
    RAISE 21, SIGUSR1
    CHECK_EQ 22, [notes], SIGUSR2
    CHECK_EQ 23, [depth], 2

    # With SA_NODEFER it is not.
    mov qword ptr [lwp_action + SA_MASK], 0
    HANDLE 24, SIGUSR1, nesting_at_once, SA_NODEFER
    mov qword ptr [depth], 0
    RAISE 25, SIGUSR1
    CHECK_EQ 26, [depth], 3

    # SIGKILL and SIGSTOP cannot be masked.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, everything, 0
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, pending
    CHECK_EQ 27, [pending], ~(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1))
    CHECK_EQ 28, [pending + 8], -1
    DONE

note:
    mov rax, [notes]
    shl rax, 8
    or rax, rdi
    mov [notes], rax
    ret

nesting:                                # SIGUSR1, the first time, raises itself and SIGUSR2
    inc qword ptr [depth]
    mov qword ptr [notes], 0
    cmp qword ptr [depth], 1
    jne 1f
    RAISE 30, SIGUSR1
    RAISE 31, SIGUSR2
    CHECK_EQ 32, [depth], 1
    CHECK_EQ 33, [notes], 0
    # On the way back: SIGUSR1 first, then, inside it, nothing; SIGUSR2 is still masked there.
1:
    ret

nesting_at_once:
    inc qword ptr [depth]
    mov r15, [depth]
    cmp r15, 3
    je 1f
    RAISE 34, SIGUSR1
    CHECK_EQ 35, [depth], 3
1:
    ret

    .balign 8
pending:
    .quad 0, 0
nothing:
    .quad 0, 0
everything:
    .quad -1, -1
notes:
    .quad 0
depth:
    .quad 0
