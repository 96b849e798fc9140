# SIGIO goes to the owner of a kqueue when it goes from no event to one.

.include "../conform.inc"
.include "../events.inc"

CASE kqueue_sigio, "2.1.6", "SIGIO goes to the owner of a kqueue when it goes from no event to one"
    SYSCALL SYS_sigaction, SIGIO, catch, 0
    SYSCALL SYS_getpid
    mov r15, rax
    KQUEUE
    SYSCALL SYS_fcntl, r12, F_SETOWN, 54321
    REFUSED ERRNO_ESRCH
    SYSCALL SYS_fcntl, r12, F_SETOWN, r15
    OK
    CHANGE first
    SYSCALL SYS_nanosleep, ms15, 0
    OK
    WORD caught, 0
    EVENTS 1, now
    SYSCALL SYS_fcntl, r12, F_SETFL, O_ASYNC
    OK

    # Two events that nobody takes are one signal.
    CHANGE first
    CHANGE second
    SYSCALL SYS_nanosleep, ms15, 0
    REFUSED ERRNO_EINTR
    WORD caught, 1
    SYSCALL SYS_nanosleep, ms15, 0
    OK
    WORD caught, 1
    EVENTS 2, now

    # The next event is another one.
    CHANGE first
    SYSCALL SYS_nanosleep, ms15, 0
    REFUSED ERRNO_EINTR
    WORD caught, 2
    EVENTS 1, now

    # Nobody owns it.
    SYSCALL SYS_fcntl, r12, F_SETOWN, 0
    CHANGE first
    SYSCALL SYS_nanosleep, ms15, 0
    OK
    WORD caught, 2

    # The group does, which is a negative number.
    EVENTS 1, now
    neg r15
    SYSCALL SYS_fcntl, r12, F_SETOWN, r15
    OK
    CHANGE first
    SYSCALL SYS_nanosleep, ms15, 0
    REFUSED ERRNO_EINTR
    WORD caught, 3
    FINISH

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
