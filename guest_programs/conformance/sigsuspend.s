# abi 1.3, 7.9: sigsuspend waits with another mask; after the handler the old one is back.

.include "signals.inc"

    HANDLE 1, SIGUSR1, handler, SA_RESTART
    HANDLE 1, SIGHUP, nothing
    MASK 2, SIG_BLOCK, SIGUSR1
    RAISE 3, SIGUSR1
    CHECK_EQ 4, [calls], 0
    SYSCALL SYS_sigsuspend, only_hup    # it waits already
    CHECK_ERRNO 5, ERRNO_EINTR
    CHECK_EQ 6, [calls], 1
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, old
    CHECK_EQ 7, [old], 1 << (SIGUSR1 - 1)

    START 8, sender, 1                 # it comes meanwhile
    SYSCALL SYS_sigsuspend, only_hup
    CHECK_ERRNO 9, ERRNO_EINTR
    CHECK_EQ 10, [calls], 2
    DONE

sender:
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGHUP # is masked now
    PAUSE
    CHECK_EQ 20, [calls], 1
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

nothing:
    ret

handler:
    CHECK_EQ 30, [rdx + UC_SIGMASK], 1 << (SIGUSR1 - 1)
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, old
    CHECK_EQ 31, [old], 1 << (SIGUSR1 - 1) | 1 << (SIGHUP - 1)
    inc qword ptr [calls]
    ret

    .balign 8
only_hup:
    .quad 1 << (SIGHUP - 1), 0
old:
    .quad 0, 0
calls:
    .quad 0
