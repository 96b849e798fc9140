# SIGIO goes to the owner of a kqueue when it goes from no event to one.

.include "../threads.inc"
.include "../events.inc"

# OWNED: a new kqueue in r12, without events, that belongs to this process and has O_ASYNC set.
.macro OWNED
    KQUEUE
    SYSCALL SYS_fcntl, r12, F_SETOWN, [pid]
    OK
    SYSCALL SYS_fcntl, r12, F_SETFL, O_ASYNC
    OK
    mov qword ptr [caught], 0
.endm

# RAISED ident: a new event in the kqueue.
.macro RAISED ident
    SYSCALL SYS_dup, [readable]
    mov [watch_\ident], rax
    CHANGE watch_\ident
.endm

    HANDLE SIGIO, handler
    SYSCALL SYS_getpid
    mov [pid], rax
    # What is watched: ends of a pipe that can be read.
    SYSCALL SYS_pipe
    OK
    mov [readable], rax
    SYSCALL SYS_write, rdx, pid, 1
    EQUAL rax, 1

CASE first_event, "2.1.6", "The first event is a SIGIO for the owner"
    OWNED
    RAISED 1
    EQUAL [caught], 1

CASE second_event, "2.1.6", "A second event, while the first has not been told, is none"
    OWNED
    RAISED 1
    RAISED 2
    EQUAL [caught], 1

CASE next_event, "2.1.6", "When all have been told, the next one is a SIGIO again"
    OWNED
    RAISED 1
    EVENTS 1, now
    SYSCALL SYS_close, [watch_1]
    EVENTS 0, now
    RAISED 2
    EQUAL [caught], 2

CASE timer, "2.1.6 2.1.13", "A timer's event is a SIGIO, and ends a sleep"
    OWNED
    CHANGE a_timer
    SYSCALL SYS_nanosleep, long, 0
    REFUSED ERRNO_EINTR
    EQUAL [caught], 1

CASE not_asked, "2.1.6", "Without O_ASYNC the owner is told nothing"
    KQUEUE
    SYSCALL SYS_fcntl, r12, F_SETOWN, [pid]
    OK
    mov qword ptr [caught], 0
    RAISED 1
    EQUAL [caught], 0

CASE nobody, "2.1.6", "With O_ASYNC but no owner nobody is told"
    OWNED
    SYSCALL SYS_fcntl, r12, F_SETOWN, 0
    OK
    RAISED 1
    EQUAL [caught], 0

CASE group, "2.1.6", "The owner may be a group, which is a negative number"
    OWNED
    SYSCALL SYS_getpgrp
    neg rax
    SYSCALL SYS_fcntl, r12, F_SETOWN, rax
    OK
    RAISED 1
    EQUAL [caught], 1

CASE no_process, "2.1.6", "An owner that is not there is ESRCH"
    KQUEUE
    SYSCALL SYS_fcntl, r12, F_SETOWN, 54321
    REFUSED ERRNO_ESRCH

CASE get_owner, "2.1.6", "F_GETOWN tells the owner"
    OWNED
    SYSCALL SYS_fcntl, r12, F_GETOWN
    OK
    EQUAL rax, [pid]

    FINISH

handler:
    inc qword ptr [caught]
    ret

    .balign 8
watch_1:
    KEVENT 0, EVFILT_READ, EV_ADD | EV_CLEAR
watch_2:
    KEVENT 0, EVFILT_READ, EV_ADD
a_timer:
    KEVENT 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5
caught:
    .quad 0
pid:
    .quad 0
readable:
    .quad 0
now:
    .quad 0, 0
long:
    .quad 1000, 0
events:
    .zero 8 * 32
