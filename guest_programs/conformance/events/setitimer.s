# SIGALRM after the real time, SIGVTALRM and SIGPROF after the CPU time of a timer.

.include "../conform.inc"

CASE setitimer, "2.5", "SIGALRM after the real time, SIGVTALRM and SIGPROF after the CPU time of a timer"
    SYSCALL SYS_setitimer, 3, once, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_setitimer, ITIMER_REAL, too_many_us, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_setitimer, ITIMER_REAL, 8, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 8
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_getitimer, ITIMER_REAL, now
    OK
    WORD now+24, 0
    SYSCALL SYS_sigaction, SIGALRM, catch, 0
    SYSCALL SYS_sigaction, SIGVTALRM, catch, 0
    SYSCALL SYS_sigaction, SIGPROF, catch, 0

    # 20 ms, once.
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 0
    OK
    SYSCALL SYS_setitimer, ITIMER_REAL, 0, now
    OK
    WORD now+16, 0
    mov rax, [now+24]
    mov ebx, 10
    cmp rax, 20000
    jna 8f
    NEVER
8:
    cmp rax, 19900
    jnb 8f
    NEVER
8:
    SYSCALL SYS_nanosleep, second, left
    REFUSED ERRNO_EINTR
    WORD caught, SIGALRM
    WORD left, 0
    mov rax, [left+8]
    mov ebx, 14
    cmp rax, 980100000
    jna 8f
    NEVER
8:
    cmp rax, 980000000
    jnb 8f
    NEVER
8:
    SYSCALL SYS_nanosleep, ms50, 0
    OK

    # Every 20 ms, until it is set to nothing.
    SYSCALL SYS_setitimer, ITIMER_REAL, again, 0
    SYSCALL SYS_nanosleep, ms50, 0
    REFUSED ERRNO_EINTR
    SYSCALL SYS_nanosleep, ms50, 0
    REFUSED ERRNO_EINTR
    SYSCALL SYS_setitimer, ITIMER_REAL, nothing, now
    OK
    WORD now+8, 20000
    SYSCALL SYS_nanosleep, ms50, 0
    OK

    # CPU time does not pass while the process sleeps.
    mov qword ptr [caught], 0
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, once, 0
    OK
    SYSCALL SYS_nanosleep, ms50, 0
    OK
    WORD caught, 0
busy:
    cmp qword ptr [caught], 0
    je busy
    WORD caught, SIGVTALRM
    SYSCALL SYS_getitimer, ITIMER_VIRTUAL, now
    WORD now+24, 0
    mov qword ptr [caught], 0
    SYSCALL SYS_setitimer, ITIMER_PROF, once, 0
    OK
busier:
    cmp qword ptr [caught], 0
    je busier
    WORD caught, SIGPROF

    # A child inherits no timer.
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, hour, 0
    OK
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, left, 0, 0
    OK
    WORD left, 0
    FINISH

child:
    SYSCALL SYS_getitimer, ITIMER_VIRTUAL, now
    SYSCALL SYS_exit, [now+16]

handler:
    mov [caught], rdi
    ret

    .balign 8
once:
    .quad 0, 0, 0, 20000
again:
    .quad 0, 20000, 0, 20000
hour:
    .quad 0, 0, 3600, 0
nothing:
    .quad 0, 20000, 0, 0
too_many_us:
    .quad 0, 0, 0, 1000000
now:
    .quad -1, -1, -1, -1
second:
    .quad 1, 0
left:
    .quad -1, -1
ms50:
    .quad 0, 50000000
catch:
    .quad handler, 0, 0, 0
caught:
    .quad 0
