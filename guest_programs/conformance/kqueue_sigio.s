# abi 2.1: SIGIO goes to the owner of a kqueue when it goes from no event to one

.include "vkemu.inc"
.include "event.inc"

    SYSCALL SYS_sigaction, SIGIO, catch, 0
    SYSCALL SYS_getpid
    mov r15, rax
    KQUEUE 1
    SYSCALL SYS_fcntl, r12, F_SETOWN, 54321
    CHECK_ERRNO 2, ERRNO_ESRCH
    SYSCALL SYS_fcntl, r12, F_SETOWN, r15
    CHECK_OK 3
    CHANGE 4, first
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_OK 5
    CHECK_MEM 6, caught, 0
    CHECK_EVENTS 7, 1, now
    SYSCALL SYS_fcntl, r12, F_SETFL, O_ASYNC
    CHECK_OK 9

    # Two events that nobody takes are one signal.
    CHANGE 10, first
    CHANGE 11, second
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_ERRNO 12, ERRNO_EINTR
    CHECK_MEM 13, caught, 1
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_OK 14
    CHECK_MEM 15, caught, 1
    CHECK_EVENTS 16, 2, now

    # The next event is another one.
    CHANGE 18, first
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_ERRNO 19, ERRNO_EINTR
    CHECK_MEM 20, caught, 2
    CHECK_EVENTS 21, 1, now

    # Nobody owns it.
    SYSCALL SYS_fcntl, r12, F_SETOWN, 0
    CHANGE 23, first
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_OK 24
    CHECK_MEM 25, caught, 2

    # The group does, which is a negative number.
    CHECK_EVENTS 26, 1, now
    neg r15
    SYSCALL SYS_fcntl, r12, F_SETOWN, r15
    CHECK_OK 28
    CHANGE 29, first
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_ERRNO 30, ERRNO_EINTR
    CHECK_MEM 31, caught, 3
    DONE

handler:
    inc qword ptr [caught]
    ret

    .balign 8
first:
    KEVENT 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5
second:
    KEVENT 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 6
catch:
    .quad handler, 0, 0, 0
caught:
    .quad 0
now:
    .quad 0, 0
ms15:
    .quad 0, 15000000
events:
    .zero 8 * 32
