# Umtx_sleep sleeps while an int has a value, umtx_wakeup wakes one or all who do, whatever address they know the int by; a signal breaks the sleep and never starts it again.

.include "../threads.inc"

RW = PROT_READ + PROT_WRITE
ALIAS_A = 0x10000000
ALIAS_B = 0x20000000
READ_ONLY = 0x30000000

CASE umtx, "2.1.1 2.1.2", "Umtx_sleep sleeps while an int has a value, umtx_wakeup wakes one or all who do, ..."
    SYSCALL SYS_umtx_sleep, number, 6, 0
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_umtx_sleep, number, 5, -1
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_umtx_sleep, number + 2, 5, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, 8, 0, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, number, 5, 1000
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_umtx_sleep, minus, -1, 1000
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_umtx_wakeup, number, 1
    OK
    SYSCALL SYS_umtx_wakeup, number + 2, 1
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_umtx_wakeup, 8, 1
    REFUSED ERRNO_EFAULT

    # One int in a page of a file that is mapped twice; to sleep on it is to write it.
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov r12, rax
    SYSCALL SYS_ftruncate, r12, 0, PAGE_SIZE
    SYSCALL7 SYS_mmap, ALIAS_A, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK
    SYSCALL7 SYS_mmap, ALIAS_B, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK
    SYSCALL7 SYS_mmap, READ_ONLY, PAGE_SIZE, PROT_READ, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK
    SYSCALL SYS_umtx_sleep, READ_ONLY, 0, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_umtx_wakeup, READ_ONLY, 1
    OK

    # Three sleep; one is woken, then nobody of another int, then all.
    START sleeper
    START sleeper
    START sleeper
    SYSCALL SYS_nanosleep, ms, 0
    WORD woken, 0
    SYSCALL SYS_umtx_wakeup, ALIAS_B, 1
    OK
    SYSCALL SYS_nanosleep, ms, 0
    WORD woken, 1
    SYSCALL SYS_umtx_wakeup, ALIAS_B + 4, 0
    SYSCALL SYS_nanosleep, ms, 0
    WORD woken, 1
    SYSCALL SYS_umtx_wakeup, ALIAS_B, 2
    SYSCALL SYS_nanosleep, ms, 0
    WORD woken, 3

    HANDLE SIGALRM, handler, SA_RESTART
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    OK
    SYSCALL SYS_umtx_sleep, number, 5, 0
    REFUSED ERRNO_EINTR
    WORD handled, 1
    FINISH

sleeper:
    SYSCALL SYS_umtx_sleep, ALIAS_A, 0, 0
    OK
    EQUAL rax, 0
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
