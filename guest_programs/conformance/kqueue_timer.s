# abi 2.1: EVFILT_TIMER counts milliseconds; a second EV_ADD changes only what is told

.include "vkemu.inc"
.include "event.inc"

FLAGS = EV_ADD | EV_CLEAR

    KQUEUE 1
    CHANGE 2, timer
    CHECK_EVENTS 3, 0, now

    # EV_CLEAR is set by the kernel, and what is told starts again.
    CHECK_EVENTS 5, 1, 0
    CHECK_EVENT 7, events, 5, EVFILT_TIMER, FLAGS, 0, 1, 77
    CHECK_EVENTS 11, 0, now

    # While nobody looks it is counted.
    SYSCALL SYS_nanosleep, ms45, 0
    CHECK_EVENTS 13, 1, now
    CHECK_EVENT 15, events, 5, EVFILT_TIMER, FLAGS, 0, 4, 77

    # Other data and udata: the running period stays, the next one is the new one.
    CHANGE 19, slower
    CHECK_EVENTS 20, 1, ms10
    CHECK_EVENT 22, events, 5, EVFILT_TIMER, FLAGS, 0, 1, 88
    CHECK_EVENTS 26, 0, ms45
    CHECK_EVENTS 28, 1, ms60
    CHANGE 30, delete
    CHECK_EVENTS 31, 0, ms110
    SYSCALL SYS_kevent, r12, delete, 1, 0, 0, 0
    CHECK_ERRNO 33, ERRNO_ENOENT

    # EV_ONESHOT: told once, and forgotten.
    CHANGE 34, once
    CHECK_EVENTS 35, 1, 0
    CHECK_EVENT 37, events, 6, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0
    CHECK_EVENTS 41, 0, ms45
    DONE

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
