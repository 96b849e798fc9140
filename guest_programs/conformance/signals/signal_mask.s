# What is masked while a handler runs, and in which order signals come.

.include "../signal.inc"

    # Signals that wait come the lowest first; each handler is interrupted by the next.
CASE signal_mask, "7.9.4 3.2.3", "What is masked while a handler runs, and in which order signals come"
    HANDLE SIGHUP, note
    HANDLE SIGTERM, note
    HANDLE SIGUSR2, note
    MASK SIG_BLOCK, SIGHUP
    MASK SIG_BLOCK, SIGTERM
    MASK SIG_BLOCK, SIGUSR2
    RAISE SIGUSR2
    RAISE SIGHUP
    RAISE SIGTERM
    RAISE SIGTERM                   # a second one is not counted
    SYSCALL SYS_sigpending, pending
    OK
    EQUAL [pending], 1 << (SIGHUP - 1) | 1 << (SIGTERM - 1) | 1 << (SIGUSR2 - 1)
    EQUAL [pending + 8], 0
    EQUAL [notes], 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, 0
    OK
    # The innermost handler finished first, so its number is noted first.
    EQUAL [notes], SIGHUP | SIGTERM << 8 | SIGUSR2 << 16

    # The signal itself is masked meanwhile, and so is what sa_mask says.
    mov qword ptr [lwp_action + SA_MASK], 1 << (SIGUSR2 - 1)
    HANDLE SIGUSR1, nesting
    RAISE SIGUSR1
    EQUAL [notes], SIGUSR2
    EQUAL [depth], 2

    # With SA_NODEFER it is not.
    mov qword ptr [lwp_action + SA_MASK], 0
    HANDLE SIGUSR1, nesting_at_once, SA_NODEFER
    mov qword ptr [depth], 0
    RAISE SIGUSR1
    EQUAL [depth], 3

    # SIGKILL and SIGSTOP cannot be masked.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, everything, 0
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, pending
    EQUAL [pending], ~(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1))
    EQUAL [pending + 8], -1
    FINISH

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
    RAISE SIGUSR1
    RAISE SIGUSR2
    EQUAL [depth], 1
    EQUAL [notes], 0
    # On the way back: SIGUSR1 first, then, inside it, nothing; SIGUSR2 is still masked there.
1:
    ret

nesting_at_once:
    inc qword ptr [depth]
    mov r15, [depth]
    cmp r15, 3
    je 1f
    RAISE SIGUSR1
    EQUAL [depth], 3
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
