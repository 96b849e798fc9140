# SA_MAILBOX in 2011: what a signal in its mailbox does to sleeps, guests and handlers.

.include "mailbox.inc"

    PLAIN_SPACE

# INTERRUPT: SIGUSR1 will come while the guest runs.
.macro INTERRUPT
    COUNTS
    EXPECT 0, CODE
    ANY RIP
    ANY RFLAGS
    START sender
.endm

    .ifdef VPTE_RW
CASE none, "9.5", "SA_MAILBOX means nothing: a signal that was handled does not end the next sleep"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, SA_MAILBOX
    RAISE SIGUSR1
    EQUAL [taken], 1
    SYSCALL SYS_umtx_sleep, a_word, 0, 1000
    REFUSED ERRNO_EAGAIN

CASE no_refusal, "9.5 7.7.1", "A signal that comes during a guest is no EINTR of the next vmspace_ctl either"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, SA_MAILBOX
    INTERRUPT
    RUN
    EQUAL [taken], 1
    mov qword ptr [GO], 1
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 13
    ANY RFLAGS
    RUN
    .else

CASE nanosleep, "7.7.7", "After a mailbox signal the next sleep is EINTR at once"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_nanosleep, an_hour, 0
    REFUSED ERRNO_EINTR

CASE forgotten, "7.7.7", "After the sleep it has ended a mailbox signal is forgotten"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_nanosleep, an_hour, 0
    REFUSED ERRNO_EINTR
    SYSCALL SYS_umtx_sleep, a_word, 0, 1000
    REFUSED ERRNO_EAGAIN
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE umtx, "7.7.7", "After a mailbox signal umtx_sleep is EINTR"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_umtx_sleep, a_word, 0, 0
    REFUSED ERRNO_EINTR

CASE pipe, "7.7.7", "After one the read of an empty pipe is EINTR, even with SA_RESTART"
    BOX SA_RESTART
    SYSCALL SYS_pipe
    OK
    mov r13, rax
    mov r14, rdx
    RAISE SIGUSR1
    SYSCALL SYS_read, r13, old, 1
    REFUSED ERRNO_EINTR
    SYSCALL SYS_close, r13
    SYSCALL SYS_close, r14

CASE arrives, "7.7.7", "A mailbox signal that arrives during a sleep ends it, even with SA_RESTART"
    BOX SA_RESTART
    mov qword ptr [RUNNING], 1
    START sender
    SYSCALL SYS_nanosleep, an_hour, 0
    REFUSED ERRNO_EINTR
    EQUAL [box], SIGUSR1

CASE during, "7.7.8", "A mailbox signal during a guest: vmspace_ctl returns 0 with trapno 0"
    BOX
    INTERRUPT
    RUN
    EQUAL [box], SIGUSR1

CASE following, "7.7.8", "After it the following vmspace_ctl is EINTR, and the next goes on in the guest"
    BOX
    INTERRUPT
    RUN
    CTL
    REFUSED ERRNO_EINTR
    mov qword ptr [GO], 1
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 13
    ANY RFLAGS
    RUN

# ---- handlers

CASE in_context, "7.7.6 7.9.6", "A handler before a mailbox is reported finds 0x40 in mc_xflags"
    BOX
    HANDLE SIGUSR2, record
    RAISE SIGUSR1
    RAISE SIGUSR2
    EQUAL [taken], 1
    BITS [TAKEN_MC + MC_XFLAGS], PGEX_MAILBOX, PGEX_MAILBOX
    CTL
    REFUSED ERRNO_EINTR

CASE again, "7.7.6 7.9.6", "sigreturn reports a mailbox once more if the handler has slept"
    BOX
    HANDLE SIGUSR2, sleeps
    RAISE SIGUSR1
    RAISE SIGUSR2
    EQUAL [taken], 1
    EQUAL [slept], ERRNO_EINTR
    CTL
    REFUSED ERRNO_EINTR

CASE no_context, "7.7.6", "Without a signal in a mailbox mc_xflags has no such bit"
    BOX
    HANDLE SIGUSR2, record
    RAISE SIGUSR2
    BITS [TAKEN_MC + MC_XFLAGS], PGEX_MAILBOX, 0
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    .endif

    FINISH

sender:                                 # once the guest runs
    PAUSE
    cmp qword ptr [RUNNING], 0
    je sender
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

sleeps:
    RECORD
    SYSCALL SYS_nanosleep, an_hour, 0
    mov [slept], rax
    ret

    .balign 8
an_hour:
    .quad 3600, 0
a_word:
    .quad 0
slept:
    .quad 0
