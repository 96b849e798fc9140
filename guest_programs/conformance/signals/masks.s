# What is masked while a handler runs, and in which order signals come.

.include "../recorder.inc"

HUP = 1 << (SIGHUP - 1)
TERM = 1 << (SIGTERM - 1)
USR1 = 1 << (SIGUSR1 - 1)
USR2 = 1 << (SIGUSR2 - 1)
ALL = ~(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1))
OTHER_HOW = 4
NOWHERE = 0x123456

# MASKED value: that is masked of the signals below 65.
.macro MASKED value
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, found
    OK
    EQUAL [found], \value
.endm

# IN_HANDLER flags, mask: SIGUSR1 comes, and what its handler has masked is in `inside`.
.macro IN_HANDLER flags=0, mask=0
    FORGET_SIGNALS
    mov qword ptr [lwp_action + SA_MASK], \mask
    HANDLE SIGUSR1, looks, \flags
    mov qword ptr [lwp_action + SA_MASK], 0
.endm

CASE itself, "7.9.4", "In a handler its own signal is masked"
    IN_HANDLER
    RAISE SIGUSR1
    EQUAL [inside], USR1
    EQUAL [inside + 8], 0

CASE and_sa_mask, "7.9.4 4.8.1", "In a handler what sa_mask says is masked"
    IN_HANDLER 0, HUP + USR2
    RAISE SIGUSR1
    EQUAL [inside], USR1 + HUP + USR2

CASE and_old, "7.9.4", "In a handler what was masked before stays masked"
    IN_HANDLER 0, HUP
    MASK SIG_BLOCK, SIGTERM
    RAISE SIGUSR1
    MASK SIG_UNBLOCK, SIGTERM
    EQUAL [inside], USR1 + HUP + TERM

CASE no_defer, "7.9.4", "With SA_NODEFER its own signal is not masked"
    IN_HANDLER SA_NODEFER
    RAISE SIGUSR1
    EQUAL [inside], 0

CASE no_defer_mask, "7.9.4", "With SA_NODEFER its own signal is masked if sa_mask says so"
    IN_HANDLER SA_NODEFER, USR1 + HUP
    RAISE SIGUSR1
    EQUAL [inside], USR1 + HUP

CASE unmaskable, "7.9.4 3.2.2", "SIGKILL and SIGSTOP in sa_mask are not masked"
    IN_HANDLER 0, -1
    RAISE SIGUSR1
    EQUAL [inside], ALL

CASE back, "7.9.6 7.9.4", "After the handler the mask is as it was"
    IN_HANDLER 0, -1
    MASK SIG_BLOCK, SIGTERM
    RAISE SIGUSR1
    MASKED TERM
    MASK SIG_UNBLOCK, SIGTERM

CASE changed, "7.9.6 4.5.1", "After the handler the mask is what it has left in its context"
    FORGET_SIGNALS
    HANDLE SIGUSR1, masks_hup
    RAISE SIGUSR1
    MASKED HUP

CASE deferred, "7.9.4 3.2.3", "A signal that comes in its own handler is handled after it, once"
    FORGET_SIGNALS
    HANDLE SIGUSR1, raises_itself
    RAISE SIGUSR1
    EQUAL [taken], 2
    EQUAL [taken_before], 1             # at the end of the first

CASE deferred_other, "7.9.4", "A signal that sa_mask holds back comes after the handler"
    FORGET_SIGNALS
    mov qword ptr [notes], 0
    mov qword ptr [lwp_action + SA_MASK], USR2
    HANDLE SIGUSR1, raises_other
    mov qword ptr [lwp_action + SA_MASK], 0
    HANDLE SIGUSR2, note
    RAISE SIGUSR1
    EQUAL [notes], SIGUSR1 << 8 | SIGUSR2

CASE at_once, "7.9.4", "With SA_NODEFER the handler interrupts itself"
    FORGET_SIGNALS
    HANDLE SIGUSR1, raises_itself, SA_NODEFER
    RAISE SIGUSR1
    EQUAL [taken], 2
    EQUAL [taken_before], 2

# ---- pending

CASE pending, "3.2.3", "sigpending tells what waits"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    HANDLE SIGHUP, record
    SYSCALL SYS_sigprocmask, SIG_SETMASK, all, 0
    OK
    RAISE SIGUSR1
    RAISE SIGHUP
    SYSCALL SYS_sigpending, found
    OK
    EQUAL [found], USR1 + HUP
    EQUAL [found + 8], 0
    EQUAL [taken], 0
    FORGET_SIGNALS

CASE once, "3.2.3", "A signal that is sent twice while it is masked comes once"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    RAISE SIGUSR1
    MASK SIG_UNBLOCK, SIGUSR1
    EQUAL [taken], 1

# Each handler is interrupted by the next signal, so the lowest is done first.
CASE lowest_first, "3.2.3", "The lowest of several signals comes first, and its handler is interrupted by the next"
    FORGET_SIGNALS
    mov qword ptr [notes], 0
    HANDLE SIGHUP, note
    HANDLE SIGTERM, note
    HANDLE SIGUSR2, note
    SYSCALL SYS_sigprocmask, SIG_SETMASK, all, 0
    RAISE SIGUSR2
    RAISE SIGHUP
    RAISE SIGTERM
    SYSCALL SYS_sigprocmask, SIG_SETMASK, no_signals, 0
    EQUAL [notes], SIGUSR2 << 16 | SIGTERM << 8 | SIGHUP

CASE ignored_pending, "3.2.3", "A signal that waits is forgotten when it becomes ignored"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    HANDLE SIGUSR1, SIG_IGN
    HANDLE SIGUSR1, record
    MASK SIG_UNBLOCK, SIGUSR1
    EQUAL [taken], 0

# ---- sigprocmask

CASE set, "3.2.1", "SIG_SETMASK replaces the mask, all 128 bits, and tells the old one"
    FORGET_SIGNALS
    MASK SIG_BLOCK, SIGUSR1
    SYSCALL SYS_sigprocmask, SIG_SETMASK, some, found
    OK
    EQUAL [found], USR1
    SYSCALL SYS_sigprocmask, SIG_SETMASK, no_signals, found
    OK
    EQUAL [found], [some]
    EQUAL [found + 8], [some + 8]

CASE add_and_remove, "3.2.1", "SIG_BLOCK adds, SIG_UNBLOCK removes"
    FORGET_SIGNALS
    MASK SIG_BLOCK, SIGUSR1
    MASK SIG_BLOCK, SIGHUP
    MASK SIG_UNBLOCK, SIGUSR1
    MASKED HUP

CASE never_masked, "3.2.2", "SIGKILL and SIGSTOP are left out of a mask without a word"
    SYSCALL SYS_sigprocmask, SIG_SETMASK, all, 0
    OK
    MASKED ALL
    EQUAL [found + 8], -1
    FORGET_SIGNALS

CASE wrong_how, "3.2.1", "sigprocmask: another way to change the mask is EINVAL"
    SYSCALL SYS_sigprocmask, OTHER_HOW, no_signals, 0
    REFUSED ERRNO_EINVAL

CASE unreadable, "3.2.1", "A mask that cannot be read is EFAULT, and changes nothing"
    FORGET_SIGNALS
    MASK SIG_BLOCK, SIGUSR1
    SYSCALL SYS_sigprocmask, SIG_SETMASK, NOWHERE, 0
    REFUSED ERRNO_EFAULT
    MASKED USR1
    FORGET_SIGNALS

    FINISH

looks:
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, inside
    ret

masks_hup:
    RECORD
    mov qword ptr [rdx + UC_SIGMASK], HUP
    ret

raises_itself:                          # but not when it is called by that
    RECORD
    cmp qword ptr [taken], 1
    jne .Lreturn
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR1
    mov rax, [taken]
    mov [taken_before], rax
.Lreturn:
    ret

raises_other:
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR2
    mov edi, SIGUSR1
note:
    mov rax, [notes]
    shl rax, 8
    or rax, rdi
    mov [notes], rax
    ret

    .balign 8
found:
    .quad 0, 0
inside:
    .quad 0, 0
all:
    .quad -1, -1
some:
    .quad 0x823, 0x8000000000000001
notes:
    .quad 0
taken_before:
    .quad 0
