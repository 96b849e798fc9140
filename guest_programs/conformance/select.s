# abi 2: select leaves the ready descriptors in the sets, of which only the words needed count

.include "vkemu.inc"

    SYSCALL SYS_pipe
    CHECK_OK 1
    CHECK_EQ 2, rax, 0
    CHECK_EQ 3, rdx, 1
    SYSCALL SYS_dup2, 0, 64
    CHECK_OK 4

    # Nothing to read, room to write.
    SYSCALL SYS_select, 2, reads, writes, 0, now
    CHECK_OK 5
    CHECK_EQ 6, rax, 1
    CHECK_MEM 7, reads, 0xf0
    CHECK_MEM 8, writes, 2
    CHECK_MEM 9, reads+8, -1

    # Time passes.
    mov qword ptr [reads], 1
    SYSCALL SYS_select, 1, reads, 0, 0, ms20
    CHECK_OK 10
    CHECK_EQ 11, rax, 0
    CHECK_MEM 12, reads, 0

    # Something to read, for two descriptors of the same end.
    SYSCALL SYS_write, 1, letter, 1
    mov qword ptr [reads], 1
    mov qword ptr [reads+8], 1
    mov qword ptr [excepts], 3
    SYSCALL SYS_select, 65, reads, 0, excepts, 0
    CHECK_OK 13
    CHECK_EQ 14, rax, 2
    CHECK_MEM 15, reads, 1
    CHECK_MEM 16, reads+8, 1
    CHECK_MEM 17, excepts, 0

    # No descriptors: a sleep.
    SYSCALL SYS_select, 0, 8, 8, 8, ms20
    CHECK_OK 18
    CHECK_EQ 19, rax, 0

    # The end of input counts as readable.
    SYSCALL SYS_read, 0, letter, 1
    SYSCALL SYS_close, 1
    mov qword ptr [reads], 1
    SYSCALL SYS_select, 1, reads, 0, 0, 0
    CHECK_EQ 20, rax, 1

    # Refusals leave the sets alone.
    mov qword ptr [reads], 3
    SYSCALL SYS_select, 2, reads, 0, 0, now
    CHECK_ERRNO 21, ERRNO_EBADF
    CHECK_MEM 22, reads, 3
    SYSCALL SYS_select, -1, reads, 0, 0, now
    CHECK_ERRNO 23, ERRNO_EINVAL
    SYSCALL SYS_select, 1, 8, 0, 0, now
    CHECK_ERRNO 24, ERRNO_EFAULT
    SYSCALL SYS_select, 1, reads, 0, 0, 8
    CHECK_ERRNO 25, ERRNO_EFAULT
    DONE

    .balign 8
reads:
    .quad 0xf1, -1
writes:
    .quad 2
excepts:
    .quad 0
now:
    .quad 0, 0
ms20:
    .quad 0, 20000
letter:
    .quad 0
