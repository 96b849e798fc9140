# abi 2, 5: SIGALRM after the real time, SIGVTALRM and SIGPROF after the CPU time of a timer

.include "vkemu.inc"

    SYSCALL SYS_setitimer, 3, once, 0
    CHECK_ERRNO 1, ERRNO_EINVAL
    SYSCALL SYS_setitimer, ITIMER_REAL, too_many_us, 0
    CHECK_ERRNO 2, ERRNO_EINVAL
    SYSCALL SYS_setitimer, ITIMER_REAL, 8, 0
    CHECK_ERRNO 3, ERRNO_EFAULT
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 8
    CHECK_ERRNO 4, ERRNO_EFAULT
    SYSCALL SYS_getitimer, ITIMER_REAL, now
    CHECK_OK 5
    CHECK_MEM 6, now+24, 0
    SYSCALL SYS_sigaction, SIGALRM, catch, 0
    SYSCALL SYS_sigaction, SIGVTALRM, catch, 0
    SYSCALL SYS_sigaction, SIGPROF, catch, 0

    # 20 ms, once.
    SYSCALL SYS_setitimer, ITIMER_REAL, once, 0
    CHECK_OK 7
    SYSCALL SYS_setitimer, ITIMER_REAL, 0, now
    CHECK_OK 8
    CHECK_MEM 9, now+16, 0
    mov rax, [now+24]
    mov ebx, 10
    cmp rax, 20000
    ja failed
    cmp rax, 19900
    jb failed
    SYSCALL SYS_nanosleep, second, left
    CHECK_ERRNO 11, ERRNO_EINTR
    CHECK_MEM 12, caught, SIGALRM
    CHECK_MEM 13, left, 0
    mov rax, [left+8]
    mov ebx, 14
    cmp rax, 980100000
    ja failed
    cmp rax, 980000000
    jb failed
    SYSCALL SYS_nanosleep, ms50, 0
    CHECK_OK 15

    # Every 20 ms, until it is set to nothing.
    SYSCALL SYS_setitimer, ITIMER_REAL, again, 0
    SYSCALL SYS_nanosleep, ms50, 0
    CHECK_ERRNO 16, ERRNO_EINTR
    SYSCALL SYS_nanosleep, ms50, 0
    CHECK_ERRNO 17, ERRNO_EINTR
    SYSCALL SYS_setitimer, ITIMER_REAL, nothing, now
    CHECK_OK 18
    CHECK_MEM 19, now+8, 20000
    SYSCALL SYS_nanosleep, ms50, 0
    CHECK_OK 20

    # CPU time does not pass while the process sleeps.
    mov qword ptr [caught], 0
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, once, 0
    CHECK_OK 21
    SYSCALL SYS_nanosleep, ms50, 0
    CHECK_OK 22
    CHECK_MEM 23, caught, 0
busy:
    cmp qword ptr [caught], 0
    je busy
    CHECK_MEM 24, caught, SIGVTALRM
    SYSCALL SYS_getitimer, ITIMER_VIRTUAL, now
    CHECK_MEM 25, now+24, 0
    mov qword ptr [caught], 0
    SYSCALL SYS_setitimer, ITIMER_PROF, once, 0
    CHECK_OK 26
busier:
    cmp qword ptr [caught], 0
    je busier
    CHECK_MEM 27, caught, SIGPROF

    # A child inherits no timer.
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, hour, 0
    CHECK_OK 28
    SYSCALL SYS_fork
    CHECK_OK 29
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, left, 0, 0
    CHECK_OK 30
    CHECK_MEM 31, left, 0
    DONE

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
