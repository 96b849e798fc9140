# abi 2.1: umtx_sleep and umtx_wakeup meet on the memory, whatever its address.

.include "space.inc"
.include "signals.inc"

A_PAGE = 0x20000000

    SYSCALL SYS_umtx_sleep, word_a, 1, 0
    CHECK_ERRNO 1, ERRNO_EBUSY
    SYSCALL SYS_umtx_sleep, word_a + 1, 0, 0
    CHECK_ERRNO 2, ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, 0x123450, 0, 0
    CHECK_ERRNO 3, ERRNO_EFAULT
    SYSCALL SYS_umtx_sleep, word_a, 0, -1
    CHECK_ERRNO 4, ERRNO_EINVAL
    SYSCALL SYS_umtx_sleep, word_a, 0, 2000
    CHECK_ERRNO 5, ERRNO_EAGAIN
    SYSCALL SYS_umtx_wakeup, word_a, 1      # nobody is there
    CHECK_OK 6
    SYSCALL SYS_umtx_wakeup, word_a + 2, 1
    CHECK_ERRNO 7, ERRNO_EFAULT

    # Three sleep; one is woken, then the others.
    THREAD 8, sleeper, 1
    THREAD 9, sleeper, 2
    THREAD 10, sleeper, 3
    PAUSE
    SYSCALL SYS_umtx_wakeup, word_a, 1
    PAUSE
    CHECK_EQ 11, [woken], 1
    CHECK_EQ 12, [last_woken], 1            # the one that has slept longest
    SYSCALL SYS_umtx_wakeup, word_a + 4, 0  # another word
    PAUSE
    CHECK_EQ 13, [woken], 1
    SYSCALL SYS_umtx_wakeup, word_a, 0
    PAUSE
    CHECK_EQ 14, [woken], 3

    # The same page of a file, mapped twice.
    PLAIN_SPACE sleeper, sleeper
    SYSCALL7 SYS_mmap, A_PAGE, PAGE_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0, IMG_DATA
    CHECK_OK 15
    THREAD 16, file_sleeper, 4
    PAUSE
    SYSCALL SYS_umtx_wakeup, A_PAGE + 8, 1
    PAUSE
    CHECK_EQ 17, [woken], 4
    DONE

sleeper:
    mov r15, rdi
    SYSCALL SYS_umtx_sleep, word_a, 0, 0
    CHECK_OK 20
    CHECK_EQ 21, rax, 0
    mov [last_woken], r15
    lock inc qword ptr [woken]
    THREAD_EXIT

file_sleeper:
    SYSCALL SYS_umtx_sleep, RAM + IMG_DATA + 8, 0, 0
    CHECK_OK 22
    lock inc qword ptr [woken]
    THREAD_EXIT

    .balign 8
word_a:
    .quad 0
woken:
    .quad 0
last_woken:
    .quad 0
