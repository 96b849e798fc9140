# abi 2.1: umtx_sleep sleeps while an int has a value, umtx_wakeup wakes one or all who do, whatever
# address they know the int by; a signal breaks the sleep and never starts it again.

.include "lwp.inc"

RW = PROT_READ + PROT_WRITE
ALIAS_A = 0x10000000
ALIAS_B = 0x20000000
READ_ONLY = 0x30000000

    SYSCALL SYS_umtx_sleep, number, 6, 0
    CHECK_ERRNO 1, ERRNO_EBUSY
    SYSCALL SYS_umtx_sleep, number, 5, -1
    CHECK_ERRNO 2, ERRNO_EINVAL
    SYSCALL SYS_umtx_sleep, number + 2, 5, 0
    CHECK_ERRNO 3, ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, 8, 0, 0
    CHECK_ERRNO 4, ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, number, 5, 1000
    CHECK_ERRNO 5, ERRNO_EAGAIN
    SYSCALL SYS_umtx_sleep, minus, -1, 1000
    CHECK_ERRNO 6, ERRNO_EAGAIN
    SYSCALL SYS_umtx_wakeup, number, 1
    CHECK_OK 7
    SYSCALL SYS_umtx_wakeup, number + 2, 1
    CHECK_ERRNO 8, ERRNO_EFAULT
    SYSCALL SYS_umtx_wakeup, 8, 1
    CHECK_ERRNO 9, ERRNO_EFAULT

    # One int in a page of a file that is mapped twice; to sleep on it is to write it.
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    CHECK_OK 10
    mov r12, rax
    SYSCALL SYS_ftruncate, r12, 0, PAGE_SIZE
    SYSCALL7 SYS_mmap, ALIAS_A, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    CHECK_OK 11
    SYSCALL7 SYS_mmap, ALIAS_B, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    CHECK_OK 12
    SYSCALL7 SYS_mmap, READ_ONLY, PAGE_SIZE, PROT_READ, MAP_SHARED + MAP_FIXED, r12, 0, 0
    CHECK_OK 13
    SYSCALL SYS_umtx_sleep, READ_ONLY, 0, 0
    CHECK_ERRNO 14, ERRNO_EFAULT
    SYSCALL SYS_umtx_wakeup, READ_ONLY, 1
    CHECK_OK 15

    # Three sleep; one is woken, then nobody of another int, then all.
    START 16, sleeper
    START 17, sleeper
    START 18, sleeper
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 19, woken, 0
    SYSCALL SYS_umtx_wakeup, ALIAS_B, 1
    CHECK_OK 20
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 21, woken, 1
    SYSCALL SYS_umtx_wakeup, ALIAS_B + 4, 0
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 22, woken, 1
    SYSCALL SYS_umtx_wakeup, ALIAS_B, 2
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 23, woken, 3

    HANDLE 24, SIGALRM, handler, SA_RESTART
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    CHECK_OK 25
    SYSCALL SYS_umtx_sleep, number, 5, 0
    CHECK_ERRNO 26, ERRNO_EINTR
    CHECK_MEM 27, handled, 1
    DONE

sleeper:
    SYSCALL SYS_umtx_sleep, ALIAS_A, 0, 0
    CHECK_OK 40
    CHECK_EQ 41, rax, 0
    inc qword ptr [woken]
    END_LWP

handler:
    inc qword ptr [handled]
    ret

path:
    .asciz "umtx"
    .balign 8
number:
    .int 5
minus:
    .int -1
woken:
    .quad 0
handled:
    .quad 0
ms:
    .quad 0, 1000000
soon:
    .quad 0, 0, 0, 1000
