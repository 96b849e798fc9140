# EVFILT_TIMER counts milliseconds; a second EV_ADD changes only what is told.

.include "../conform.inc"
.include "../events.inc"

FLAGS = EV_ADD | EV_CLEAR

CASE kqueue_timer, "2.1.8", "EVFILT_TIMER counts milliseconds; a second EV_ADD changes only what is told"
    KQUEUE
    CHANGE timer
    EVENTS 0, now

    # EV_CLEAR is set by the kernel, and what is told starts again.
    EVENTS 1, 0
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, 1, 77
    EVENTS 0, now

    # While nobody looks it is counted.
    SYSCALL SYS_nanosleep, ms45, 0
    EVENTS 1, now
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, 4, 77

    # Other data and udata: the running period stays, the next one is the new one.
    CHANGE slower
    EVENTS 1, ms10
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, 1, 88
    EVENTS 0, ms45
    EVENTS 1, ms60
    CHANGE delete
    EVENTS 0, ms110
    SYSCALL SYS_kevent, r12, delete, 1, 0, 0, 0
    REFUSED ERRNO_ENOENT

    # EV_ONESHOT: told once, and forgotten.
    CHANGE once
    EVENTS 1, 0
    EVENT events, 6, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0
    EVENTS 0, ms45
    FINISH

    .balign 8
timer:
    KEVENT 5, EVFILT_TIMER, EV_ADD, 0, 10, 77
slower:
    KEVENT 5, EVFILT_TIMER, EV_ADD, 0, 100, 88
delete:
    KEVENT 5, EVFILT_TIMER, EV_DELETE
once:
    KEVENT 6, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10
now:
    .quad 0, 0
ms10:
    .quad 0, 10000000
ms45:
    .quad 0, 45000000
ms60:
    .quad 0, 60000000
ms110:
    .quad 0, 110000000
events:
    .zero 8 * 32
