# abi 2: pselect has another signal mask while it waits; a signal ends every wait with EINTR

.include "vkemu.inc"

    SYSCALL SYS_sigaction, SIGALRM, catch, 0
    SYSCALL SYS_pipe

    # Blocked, the signal ends nothing, though it comes.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, alarm, 0
    SYSCALL SYS_setitimer, ITIMER_REAL, ms20, 0
    SYSCALL SYS_pselect, 1, reads, 0, 0, ms50, 0
    CHECK_OK 1
    CHECK_EQ 2, rax, 0
    CHECK_MEM 3, caught, 0

    # Let through, it is taken, and the mask is the old one again after its handler.
    mov qword ptr [reads], 1
    SYSCALL SYS_pselect, 1, reads, 0, 0, 0, none
    CHECK_ERRNO 4, ERRNO_EINTR
    CHECK_MEM 5, caught, 1
    CHECK_MEM 6, reads, 1
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    CHECK_MEM 7, mask, 1 << (SIGALRM - 1)

    # Nothing to wait for: no signal is taken.
    SYSCALL SYS_setitimer, ITIMER_REAL, ms20, 0
    SYSCALL SYS_nanosleep, ms50, 0
    SYSCALL SYS_pselect, 2, 0, writes, 0, 0, none
    CHECK_OK 8
    CHECK_EQ 9, rax, 1
    CHECK_MEM 10, caught, 1
    SYSCALL SYS_sigprocmask, SIG_SETMASK, none, mask
    CHECK_MEM 11, mask, 1 << (SIGALRM - 1)
    CHECK_MEM 12, caught, 2

    # A refusal brings the mask back too.
    mov qword ptr [reads], 4
    SYSCALL SYS_pselect, 3, reads, 0, 0, 0, alarm
    CHECK_ERRNO 13, ERRNO_EBADF
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    CHECK_MEM 14, mask, 0

    # SA_RESTART restarts none of these.
    mov qword ptr [reads], 1
    SYSCALL SYS_setitimer, ITIMER_REAL, ms20, 0
    SYSCALL SYS_select, 1, reads, 0, 0, 0
    CHECK_ERRNO 15, ERRNO_EINTR
    SYSCALL SYS_setitimer, ITIMER_REAL, ms20, 0
    SYSCALL SYS_poll, fds, 1, -1
    CHECK_ERRNO 16, ERRNO_EINTR
    SYSCALL SYS_kqueue
    mov r12, rax
    SYSCALL SYS_setitimer, ITIMER_REAL, ms20, 0
    SYSCALL SYS_kevent, r12, 0, 0, events, 1, 0
    CHECK_ERRNO 17, ERRNO_EINTR
    CHECK_MEM 18, caught, 5
    DONE

handler:
    inc qword ptr [caught]
    ret

    .balign 8
catch:
    .quad handler
    .long SA_RESTART
    .zero 20
alarm:
    .quad 1 << (SIGALRM - 1), 0
none:
    .quad 0, 0
mask:
    .quad -1, -1
reads:
    .quad 1
writes:
    .quad 2
ms20:
    .quad 0, 0, 0, 20000
ms50:
    .quad 0, 50000000
fds:
    .long 0
    .short POLLIN, 0
caught:
    .quad 0
events:
    .zero 32
