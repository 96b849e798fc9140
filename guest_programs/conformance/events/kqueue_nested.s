# A kqueue that watches a kqueue.

.include "../processes.inc"
.include "../events.inc"

# NESTED: r12 watches the new kqueue r13.
.macro NESTED
    KQUEUE
    mov r13, r12
    mov [inner], r13
    mov [inner_writes], r13
    mov [inner_file], r13
    KQUEUE
    CHANGE inner
.endm

# TWO_TIMERS: r13 gets two events within milliseconds, and has got them when this is over.
.macro TWO_TIMERS
    SYSCALL SYS_kevent, r13, timers, 2, 0, 0, 0
    OK
.Lboth\@:
    SYSCALL SYS_nanosleep, ms1, 0
    SYSCALL SYS_fstat, r13, status
    OK
    cmp qword ptr [status + 80], 2      # how many events wait in it
    jne .Lboth\@
.endm

CASE empty, "2.1.12", "A kqueue without events cannot be read"
    NESTED
    EVENTS 0, now

CASE readable, "2.1.12", "A kqueue with events can be read, and it is told how many wait"
    NESTED
    TWO_TIMERS
    EVENTS 1, now
    EVENT events, r13, EVFILT_READ, EV_ADD, 0, 2, 0

CASE woken, "2.1.12", "The first event in the inner kqueue ends a wait for the outer one"
    NESTED
    SYSCALL SYS_kevent, r13, timers, 1, 0, 0, 0
    OK
    EVENTS 1
    EVENT events, r13, EVFILT_READ, EV_ADD, 0, 1, 0

CASE outer_counts, "2.1.12", "The outer kqueue then has one event itself"
    NESTED
    TWO_TIMERS
    EVENTS 1, now
    SYSCALL SYS_fstat, r12, status
    OK
    WORD status+80, 1

CASE read_only, "2.1.12", "No other filter watches a kqueue: EOPNOTSUPP"
    NESTED
    SYSCALL SYS_kevent, r12, inner_writes, 1, 0, 0, 0
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL SYS_kevent, r12, inner_file, 1, 0, 0, 0
    REFUSED ERRNO_EOPNOTSUPP

CASE closed, "2.1.12", "A kqueue that is closed is watched no more"
    NESTED
    TWO_TIMERS
    SYSCALL SYS_close, r13
    OK
    EVENTS 0, now
    SYSCALL SYS_kevent, r12, inner, 1, 0, 0, 0
    REFUSED ERRNO_EBADF

CASE not_inherited, "2.1.12", "A child has no kqueue"
    KQUEUE
    FORK child
    ENDED

    FINISH

child:
    SYSCALL SYS_fstat, r12, status
    REFUSED ERRNO_EBADF
    SYSCALL SYS_exit, 0

    .balign 8
inner:
    KEVENT 0, EVFILT_READ, EV_ADD
inner_writes:
    KEVENT 0, EVFILT_WRITE, EV_ADD
inner_file:
    KEVENT 0, EVFILT_VNODE, EV_ADD, NOTE_WRITE
timers:
    KEVENT 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5
    KEVENT 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 6
now:
    .quad 0, 0
ms1:
    .quad 0, 1000000
events:
    .zero 8 * 32
status:
    .zero 128
