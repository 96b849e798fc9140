# sigsuspend, which waits with another mask, and sigtimedwait, which takes a signal.

.include "../recorder.inc"
.include "../clock.inc"

HUP = 1 << (SIGHUP - 1)
USR1 = 1 << (SIGUSR1 - 1)
USR2 = 1 << (SIGUSR2 - 1)
NOWHERE = 0x123456

# ---- sigsuspend

CASE waiting_already, "3.2.6", "sigsuspend with a signal that waits already calls its handler, and is EINTR"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    EQUAL [taken], 0
    SYSCALL SYS_sigsuspend, only_hup
    REFUSED ERRNO_EINTR
    EQUAL [taken], 1

CASE restart, "3.2.6 1.3.6", "sigsuspend is EINTR even if the handler has SA_RESTART"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, SA_RESTART
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    SYSCALL SYS_sigsuspend, only_hup
    REFUSED ERRNO_EINTR
    EQUAL [taken], 1

CASE old_mask, "3.2.6", "After sigsuspend the old mask is back, and is what the context had"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    SYSCALL SYS_sigsuspend, only_hup
    EQUAL [TAKEN_UC + UC_SIGMASK], USR1
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    EQUAL [mask], USR1

CASE handlers_mask, "3.2.6 7.9.4", "A handler during sigsuspend has the temporary mask, and its signal, masked"
    FORGET_SIGNALS
    HANDLE SIGUSR1, asks_mask
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    SYSCALL SYS_sigsuspend, only_hup
    EQUAL [mask], USR1 + HUP

CASE meanwhile, "3.2.6", "sigsuspend ends with a signal that comes, not with one that its mask holds back"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    HANDLE SIGHUP, record
    MASK SIG_BLOCK, SIGUSR1
    START hup_then_usr1
    SYSCALL SYS_sigsuspend, only_hup
    REFUSED ERRNO_EINTR
    # Now the other one comes, which waited: the mask is the old one.
    EQUAL [taken], 2
    EQUAL [hups_before], 0

CASE unreadable_mask, "3.2.6", "sigsuspend with a mask that cannot be read is EFAULT"
    SYSCALL SYS_sigsuspend, NOWHERE
    REFUSED ERRNO_EFAULT

# ---- sigtimedwait

# BOTH_BLOCKED: SIGUSR1 and SIGUSR2 are masked, and have no handler that is ever called.
.macro BOTH_BLOCKED
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    HANDLE SIGUSR2, record
    MASK SIG_BLOCK, SIGUSR1
    MASK SIG_BLOCK, SIGUSR2
.endm

CASE nothing, "3.2.4", "sigtimedwait without time, when nothing waits, is EAGAIN"
    BOTH_BLOCKED
    SYSCALL SYS_sigtimedwait, both, info, no_time
    REFUSED ERRNO_EAGAIN

CASE lowest, "3.2.4 3.2.3", "sigtimedwait takes the lowest of the signals that wait, and returns its number"
    BOTH_BLOCKED
    RAISE SIGUSR2
    RAISE SIGUSR1
    SYSCALL SYS_sigtimedwait, both, info, no_time
    OK
    EQUAL rax, SIGUSR1
    SYSCALL SYS_sigpending, mask
    EQUAL [mask], USR2
    EQUAL [taken], 0
    SYSCALL SYS_sigtimedwait, both, info, no_time
    EQUAL rax, SIGUSR2

CASE information, "3.2.4 4.7.1", "The siginfo of sigtimedwait has the number, and code 0"
    BOTH_BLOCKED
    RAISE SIGUSR1
    mov qword ptr [info + SI_CODE], -1
    SYSCALL SYS_sigtimedwait, both, info, no_time
    OK
    mov eax, [info + SI_SIGNO]
    EQUAL rax, SIGUSR1
    mov eax, [info + SI_CODE]
    EQUAL rax, 0

CASE only_these, "3.2.4", "sigtimedwait does not take a signal it was not asked for"
    BOTH_BLOCKED
    RAISE SIGUSR1
    SYSCALL SYS_sigtimedwait, only_usr2, 0, no_time
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_sigtimedwait, both, 0, no_time
    OK

CASE wrong_time, "3.2.4", "sigtimedwait with a wrong time is EINVAL, if nothing waits"
    BOTH_BLOCKED
    SYSCALL SYS_sigtimedwait, both, 0, a_wrong_time
    REFUSED ERRNO_EINVAL

CASE time_unread, "3.2.4", "sigtimedwait does not look at the time if a signal waits"
    BOTH_BLOCKED
    RAISE SIGUSR1
    SYSCALL SYS_sigtimedwait, both, 0, a_wrong_time
    OK
    EQUAL rax, SIGUSR1

CASE arrives, "3.2.4", "sigwaitinfo takes a signal that comes while it waits, even one that is not masked"
    BOTH_BLOCKED
    MASK SIG_UNBLOCK, SIGUSR1
    START usr1
    SYSCALL SYS_sigwaitinfo, both, info
    OK
    EQUAL rax, SIGUSR1
    EQUAL [taken], 0

CASE over, "3.2.4", "sigtimedwait is EAGAIN when its time is over"
    BOTH_BLOCKED
    START_CLOCK
    SYSCALL SYS_sigtimedwait, both, 0, a_while
    REFUSED ERRNO_EAGAIN
    ELAPSED
    AT_LEAST rax, 30000000
    FORGET_SIGNALS

    FINISH

asks_mask:
    RECORD
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    ret

hup_then_usr1:
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGHUP # is masked now
    PAUSE
    mov rax, [taken]
    mov [hups_before], rax
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

usr1:
    MASK SIG_BLOCK, SIGUSR1
    PAUSE
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR1
    END_LWP

    .balign 8
only_hup:
    .quad HUP, 0
only_usr2:
    .quad USR2, 0
both:
    .quad USR1 + USR2, 0
mask:
    .quad 0, 0
hups_before:
    .quad 0
info:
    .space SI_SIZE
no_time:
    .quad 0, 0
a_wrong_time:
    .quad 0, 1000000000
a_while:
    .quad 0, 30000000
