# Both descriptors of a pipe are results, and both are read and written.

.include "../conform.inc"

CASE pipe, "1.3.4", "Both descriptors of a pipe are results, and both are read and written"
    mov rdx, -1
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
    lea rax, [r12+1]
    EQUAL r13, rax

    SYSCALL SYS_write, r13, there, 6
    OK
    SYSCALL SYS_write, r12, back, 4
    OK
    SYSCALL SYS_read, r12, buffer, 100
    EQUAL rax, 6
    SYSCALL SYS_read, r13, buffer + 8, 100
    EQUAL rax, 4
    EQUAL [buffer], 0x216572656874        # "there!"
    EQUAL [buffer + 8], 0x6b636162        # "back"

    # Nothing is left, and waiting is not wanted.
    SYSCALL SYS_fcntl, r12, F_SETFL, O_NONBLOCK
    OK
    SYSCALL SYS_read, r12, buffer, 100
    REFUSED ERRNO_EAGAIN

    # A pipe has no positions.
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    REFUSED ERRNO_ESPIPE

    # What was written before the end is read before the end.
    SYSCALL SYS_write, r13, there, 6
    SYSCALL SYS_close, r13
    OK
    SYSCALL SYS_read, r12, buffer, 100
    EQUAL rax, 6
    SYSCALL SYS_read, r12, buffer, 100
    OK
    EQUAL rax, 0

    FINISH

there:
    .ascii "there!"
back:
    .ascii "back"
    .balign 8
buffer:
    .fill 128
