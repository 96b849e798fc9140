# EVFILT_TIMER counts milliseconds.

.include "../threads.inc"
.include "../clock.inc"
.include "../events.inc"

FLAGS = EV_ADD | EV_CLEAR

CASE not_yet, "2.1.8", "Before its time there is no event"
    KQUEUE
    CHANGE hour
    EVENTS 0, now

CASE milliseconds, "2.1.8", "Data are milliseconds; EV_CLEAR is set, whatever is asked for"
    KQUEUE
    START_CLOCK
    CHANGE timer
    EVENTS 1
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, [events + 16], 77
    ELAPSED
    AT_LEAST rax, 10000000
    AT_LEAST [events + 16], 1

CASE repeats, "2.1.8", "It comes again and again"
    KQUEUE
    START_CLOCK
    CHANGE timer
    mov r13, 0
three:
    EVENTS 1
    add r13, [events + 16]
    cmp r13, 3
    jb three
    ELAPSED
    AT_LEAST rax, 30000000

CASE counted, "2.1.8", "While nobody looks it is counted"
    KQUEUE
    CHANGE timer
    SYSCALL SYS_nanosleep, ms45, 0
    OK
    EVENTS 1, now
    AT_LEAST [events + 16], 3
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, [events + 16], 77

CASE told_once, "2.1.8", "What has been told starts again"
    KQUEUE
    CHANGE slow
    EVENTS 1
    EVENTS 0, now

CASE changed, "2.1.8", "A second EV_ADD changes what is told, and does not start the timer again"
    KQUEUE
    START_CLOCK
    CHANGE timer
    CHANGE hour_instead
    EVENTS 1
    EVENT events, 5, EVFILT_TIMER, FLAGS, 0, 1, 88
    ELAPSED
    AT_LEAST rax, 10000000
    mov rcx, 1000000000000              # and not an hour
    AT_MOST rax, rcx

CASE changed_period, "2.1.8", "The period of a second EV_ADD holds from the next event on"
    KQUEUE
    CHANGE timer
    CHANGE hour_instead
    EVENTS 1
    EVENTS 0, ms45

CASE deleted, "2.1.8", "EV_DELETE ends it"
    KQUEUE
    CHANGE timer
    CHANGE delete
    EVENTS 0, ms45
    SYSCALL SYS_kevent, r12, delete, 1, 0, 0, 0
    REFUSED ERRNO_ENOENT

CASE one_shot, "2.1.8", "EV_ONESHOT: it comes once, and is forgotten"
    KQUEUE
    CHANGE once
    EVENTS 1
    EVENT events, 6, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0
    EVENTS 0, ms45
    CHANGE once
    EVENTS 1

CASE several, "2.1.8", "Timers are told apart by ident, which may be any number"
    KQUEUE
    CHANGE high
    CHANGE hour
    EVENTS 1
    EVENT events, 0xfedcba9876543210, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0

    FINISH

    .balign 8
timer:
    KEVENT 5, EVFILT_TIMER, EV_ADD, 0, 10, 77
hour_instead:
    KEVENT 5, EVFILT_TIMER, EV_ADD, 0, 3600000, 88
slow:
    KEVENT 5, EVFILT_TIMER, EV_ADD, 0, 100
delete:
    KEVENT 5, EVFILT_TIMER, EV_DELETE
once:
    KEVENT 6, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10
hour:
    KEVENT 7, EVFILT_TIMER, EV_ADD, 0, 3600000
high:
    KEVENT 0xfedcba9876543210, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5
now:
    .quad 0, 0
ms45:
    .quad 0, 45000000
events:
    .zero 8 * 32
