# pselect has another signal mask while it waits.

.include "../signal.inc"

READS = 1 << 40
WRITES = 1 << 41
MASKED = 1 << (SIGALRM - 1)

# ALARM: the next SIGALRM is some milliseconds away.
.macro ALARM
    SYSCALL SYS_setitimer, ITIMER_REAL, ms5, 0
    OK
.endm

# AWAIT_ALARM: the signal has come, and waits.
.macro AWAIT_ALARM
.Lwaits\@:
    PAUSE
    SYSCALL SYS_sigpending, pending
    BITS [pending], ~MASKED, 0
    cmp qword ptr [pending], 0
    je .Lwaits\@
.endm

# FRESH: nothing is ready or pending, no signal is masked, none has been caught.
.macro FRESH
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, none, 0
    mov qword ptr [caught], 0
    mov rax, READS
    mov [reads], rax
    mov rax, WRITES
    mov [writes], rax
.endm

# MASK_IS value: this is the signal mask now.
.macro MASK_IS value
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    WORD mask, \value
    WORD mask + 8, 0
.endm

    HANDLE SIGALRM, handler, SA_RESTART
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
    SYSCALL SYS_dup2, r12, 40
    OK
    SYSCALL SYS_dup2, r13, 41
    OK

CASE masked, "2.2", "Without a mask of its own pselect does not end for a signal that is masked"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    ALARM
    SYSCALL SYS_pselect, 41, reads, 0, 0, ms50, 0
    OK
    EQUAL rax, 0
    EQUAL [caught], 0
    AWAIT_ALARM

CASE let_through, "2.2", "A signal that waits and that its mask lets through is taken: EINTR"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    RAISE SIGALRM
    SYSCALL SYS_pselect, 41, reads, 0, 0, s10, none
    REFUSED ERRNO_EINTR
    EQUAL [caught], 1

CASE comes_meanwhile, "2.2", "A signal that comes while it waits is taken: EINTR"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    ALARM
    SYSCALL SYS_pselect, 41, reads, 0, 0, s10, none
    REFUSED ERRNO_EINTR
    EQUAL [caught], 1

CASE old_mask, "2.2", "After that the old mask is back, and the sets are as they were"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    RAISE SIGALRM
    SYSCALL SYS_pselect, 41, reads, 0, 0, s10, none
    REFUSED ERRNO_EINTR
    MASK_IS MASKED
    WORD reads, READS

CASE in_the_handler, "2.2 7.9.4", "In the handler the mask is that of pselect, and the signal"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGALRM
    SYSCALL SYS_pselect, 41, reads, 0, 0, s10, usr2
    REFUSED ERRNO_EINTR
    WORD seen_mask, 1 << (SIGUSR2 - 1) | MASKED

CASE ready_at_once, "2.2", "If something is ready no signal is taken, though its mask lets it through"
    FRESH
    MASK SIG_BLOCK, SIGALRM
    RAISE SIGALRM
    SYSCALL SYS_pselect, 42, 0, writes, 0, s10, none
    OK
    EQUAL rax, 1
    EQUAL [caught], 0
    MASK_IS MASKED
    MASK SIG_UNBLOCK, SIGALRM
    EQUAL [caught], 1

CASE own_mask, "2.2", "A signal that its own mask holds back does not end it"
    FRESH
    ALARM
    SYSCALL SYS_pselect, 41, reads, 0, 0, ms50, alarm
    OK
    EQUAL rax, 0
    MASK_IS 0
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
    AT_MOST [caught], 1                 # it has been let through afterwards, if it came at all

CASE refused, "2.2", "A refusal brings the old mask back too"
    FRESH
    mov rax, 1 << 59
    mov [reads], rax
    SYSCALL SYS_pselect, 60, reads, 0, 0, 0, alarm
    REFUSED ERRNO_EBADF
    MASK_IS 0

CASE bad_mask, "2.2", "A mask that cannot be read is EFAULT"
    FRESH
    SYSCALL SYS_pselect, 41, reads, 0, 0, ms50, 8
    REFUSED ERRNO_EFAULT

CASE times_out, "2.2 4.8.4", "Its timeout is in nanoseconds"
    FRESH
    SYSCALL SYS_pselect, 41, reads, 0, 0, ns, 0
    OK
    EQUAL rax, 0

    FINISH

handler:
    inc qword ptr [caught]
    push rdx
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, seen_mask
    pop rdx
    ret

    .balign 8
alarm:
    .quad MASKED, 0
none:
    .quad 0, 0
usr2:
    .quad 1 << (SIGUSR2 - 1), 0
mask:
    .quad -1, -1
seen_mask:
    .quad 0, 0
pending:
    .quad 0, 0
reads:
    .quad 0
writes:
    .quad 0
caught:
    .quad 0
ms5:
    .quad 0, 0, 0, 5000
never:
    .quad 0, 0, 0, 0
ms50:
    .quad 0, 50000000
s10:
    .quad 10, 0
ns:
    .quad 0, 1
