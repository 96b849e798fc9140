# abi 1.3: both descriptors of a pipe are results, and both are read and written.

.include "vkemu.inc"

    mov rdx, -1
    SYSCALL SYS_pipe
    CHECK_OK 1
    mov r12, rax
    mov r13, rdx
    lea rax, [r12+1]
    CHECK_EQ 2, r13, rax

    SYSCALL SYS_write, r13, there, 6
    CHECK_OK 3
    SYSCALL SYS_write, r12, back, 4
    CHECK_OK 4
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_EQ 5, rax, 6
    SYSCALL SYS_read, r13, buffer + 8, 100
    CHECK_EQ 6, rax, 4
    CHECK_EQ 7, [buffer], 0x216572656874        # "there!"
    CHECK_EQ 8, [buffer + 8], 0x6b636162        # "back"

    # Nothing is left, and waiting is not wanted.
    SYSCALL SYS_fcntl, r12, F_SETFL, O_NONBLOCK
    CHECK_OK 9
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_ERRNO 10, ERRNO_EAGAIN

    # A pipe has no positions.
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    CHECK_ERRNO 11, ERRNO_ESPIPE

    # What was written before the end is read before the end.
    SYSCALL SYS_write, r13, there, 6
    SYSCALL SYS_close, r13
    CHECK_OK 12
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_EQ 13, rax, 6
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_OK 14
    CHECK_EQ 15, rax, 0

    DONE

there:
    .ascii "there!"
back:
    .ascii "back"
    .balign 8
buffer:
    .fill 128
