# SIGALRM after the real time, SIGVTALRM and SIGPROF after the CPU time of a timer.

.include "../signal.inc"
.include "../clock.inc"

# NO_TIMERS: none is running, and no signal has been caught.
.macro NO_TIMERS
    .irp which, ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
    SYSCALL SYS_setitimer, \which, nothing, 0
    OK
    .endr
    mov qword ptr [caught], 0
    mov qword ptr [count], 0
.endm

    HANDLE SIGALRM, handler
    HANDLE SIGVTALRM, handler
    HANDLE SIGPROF, handler

CASE no_such_timer, "2.5", "A timer above 2 is EINVAL"
    SYSCALL SYS_setitimer, 3, once, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_getitimer, 3, now
    REFUSED ERRNO_EINVAL

CASE too_many_microseconds, "2.5 4.8.5", "A million microseconds are EINVAL"
    SYSCALL SYS_setitimer, ITIMER_REAL, too_many, 0
    REFUSED ERRNO_EINVAL

CASE bad_address, "2.5", "A value that cannot be read, or an old one that cannot be stored, is EFAULT"
    SYSCALL SYS_setitimer, ITIMER_REAL, 8, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_setitimer, ITIMER_REAL, hour, 8
    REFUSED ERRNO_EFAULT

CASE not_running, "2.5", "A timer that does not run has the value 0"
    NO_TIMERS
    SYSCALL SYS_getitimer, ITIMER_REAL, now
    OK
    WORD now + 16, 0
    WORD now + 24, 0

CASE running, "2.5", "The value of one that runs is what is left"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_REAL, hour, 0
    OK
    SYSCALL SYS_getitimer, ITIMER_REAL, now
    OK
    AT_MOST [now + 16], 3600
    AT_LEAST [now + 16], 3500

CASE old_value, "2.5", "setitimer tells the old value; a NULL value changes nothing"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_REAL, hour, 0
    OK
    SYSCALL SYS_setitimer, ITIMER_REAL, 0, now
    OK
    AT_LEAST [now + 16], 3500
    SYSCALL SYS_setitimer, ITIMER_REAL, nothing, now
    OK
    AT_LEAST [now + 16], 3500

CASE once, "2.5 2.1.13", "SIGALRM comes when the time is over, and ends a sleep"
    NO_TIMERS
    START_CLOCK
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 0
    OK
    SYSCALL SYS_nanosleep, long, left
    REFUSED ERRNO_EINTR
    ELAPSED
    AT_LEAST rax, 20000000
    EQUAL [caught], SIGALRM

CASE rest_of_the_sleep, "2.1.13", "nanosleep stores what was left of it, which is the sleep less what has passed"
    NO_TIMERS
    START_CLOCK
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 0
    OK
    SYSCALL SYS_nanosleep, long, left
    REFUSED ERRNO_EINTR
    ELAPSED
    mov r12, rax
    mov rax, [left]
    imul rax, rax, 1000000000
    add rax, [left + 8]
    add rax, r12                        # at least all of it, as the clock was read outside
    mov rcx, 1000000000000
    AT_LEAST rax, rcx
    AT_MOST [left], 999

CASE only_once, "2.5", "Without an interval it comes once"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 0
    OK
    SYSCALL SYS_nanosleep, long, 0
    REFUSED ERRNO_EINTR
    SYSCALL SYS_nanosleep, ms50, 0
    OK
    EQUAL [count], 1

CASE again_and_again, "2.5", "With an interval it comes again and again, until it is set to 0"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_REAL, again, 0
    OK
    .rept 3
    SYSCALL SYS_nanosleep, long, 0
    REFUSED ERRNO_EINTR
    .endr
    SYSCALL SYS_setitimer, ITIMER_REAL, interval_only, now
    OK
    WORD now + 8, 20000
    mov qword ptr [count], 0
    SYSCALL SYS_nanosleep, ms50, 0
    OK
    EQUAL [count], 0

    .macro CPU_TIME name, which, signal
CASE \name\()_sleep, "2.5", "CPU time does not pass while the process sleeps: ITIMER_\which"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_\which, once, 0
    OK
    SYSCALL SYS_nanosleep, ms50, 0
    OK
    EQUAL [caught], 0

CASE \name\()_busy, "2.5", "After CPU time ITIMER_\which is \signal, once"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_\which, once, 0
    OK
.Lbusy\@:
    cmp qword ptr [caught], 0
    je .Lbusy\@
    EQUAL [caught], \signal
    SYSCALL SYS_getitimer, ITIMER_\which, now
    OK
    WORD now + 16, 0
    WORD now + 24, 0
    .endm
    CPU_TIME virtual, VIRTUAL, SIGVTALRM
    CPU_TIME profiling, PROF, SIGPROF

    .macro NOT_INHERITED name, which
CASE child_of_\name, "2.5 6.15.1", "A child inherits no timer: ITIMER_\which"
    NO_TIMERS
    SYSCALL SYS_setitimer, ITIMER_\which, hour, 0
    OK
    mov r14, ITIMER_\which
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, rax, left, 0, 0
    OK
    WORD32 left, 0
    .endm
    NOT_INHERITED real, REAL
    NOT_INHERITED virtual, VIRTUAL
    NOT_INHERITED profiling, PROF

    FINISH

child:
    SYSCALL SYS_getitimer, r14, now
    OK
    WORD now + 16, 0
    SYSCALL SYS_exit, 0

handler:
    mov [caught], rdi
    inc qword ptr [count]
    ret

    .balign 8
once:
    .quad 0, 0, 0, 20000
again:
    .quad 0, 20000, 0, 20000
hour:
    .quad 0, 0, 3600, 0
nothing:
    .quad 0, 0, 0, 0
interval_only:
    .quad 0, 20000, 0, 0
too_many:
    .quad 0, 0, 0, 1000000
now:
    .quad -1, -1, -1, -1
long:
    .quad 1000, 0
left:
    .quad -1, -1
ms50:
    .quad 0, 50000000
caught:
    .quad 0
count:
    .quad 0
