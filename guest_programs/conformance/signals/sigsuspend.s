# Sigsuspend waits with another mask; after the handler the old one is back.

.include "../signal.inc"

CASE sigsuspend, "3.2.6", "Sigsuspend waits with another mask; after the handler the old one is back"
    HANDLE SIGUSR1, handler, SA_RESTART
    HANDLE SIGHUP, nothing
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    EQUAL [calls], 0
    SYSCALL SYS_sigsuspend, only_hup    # it waits already
    REFUSED ERRNO_EINTR
    EQUAL [calls], 1
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, old
    EQUAL [old], 1 << (SIGUSR1 - 1)

    START sender, 1                 # it comes meanwhile
    SYSCALL SYS_sigsuspend, only_hup
    REFUSED ERRNO_EINTR
    EQUAL [calls], 2
    FINISH

sender:
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGHUP # is masked now
    PAUSE
    EQUAL [calls], 1
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

nothing:
    ret

handler:
    EQUAL [rdx + UC_SIGMASK], 1 << (SIGUSR1 - 1)
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, old
    EQUAL [old], 1 << (SIGUSR1 - 1) | 1 << (SIGHUP - 1)
    inc qword ptr [calls]
    ret

    .balign 8
only_hup:
    .quad 1 << (SIGHUP - 1), 0
old:
    .quad 0, 0
calls:
    .quad 0
