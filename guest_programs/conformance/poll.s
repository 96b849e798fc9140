# abi 2: poll tells what of the things asked is so, POLLHUP for a pipe nobody reads, and POLLNVAL

.include "vkemu.inc"

# POLLFD fd, events: a struct pollfd.
.macro POLLFD fd, events
    .long \fd
    .short \events
    .short -1
.endm

# CHECK_REVENTS n, at, events: check n fails unless poll told `events` of the pollfd at `at`.
.macro CHECK_REVENTS check, at, events
    movzx r11, word ptr [\at+6]
    CHECK_EQ \check, r11, \events
.endm

    SYSCALL SYS_pipe
    SYSCALL SYS_poll, fds, 5, 0
    CHECK_OK 1
    CHECK_EQ 2, rax, 1
    CHECK_REVENTS 3, fds, 0
    CHECK_REVENTS 4, fds+8, POLLOUT
    CHECK_REVENTS 5, fds+16, 0
    CHECK_REVENTS 6, fds+24, 0
    CHECK_REVENTS 7, fds+32, 0

    SYSCALL SYS_write, 1, letter, 1
    SYSCALL SYS_poll, fds, 1, -1
    CHECK_EQ 8, rax, 1
    CHECK_REVENTS 9, fds, POLLIN | POLLRDNORM
    SYSCALL SYS_read, 0, letter, 1

    # Time passes, with descriptors and without.
    SYSCALL SYS_poll, fds, 1, 20
    CHECK_OK 10
    CHECK_EQ 11, rax, 0
    SYSCALL SYS_poll, 0, 0, 20
    CHECK_OK 12
    CHECK_EQ 13, rax, 0

    # Nobody reads what would be written.
    SYSCALL SYS_close, 0
    SYSCALL SYS_poll, fds+8, 1, -1
    CHECK_EQ 14, rax, 1
    CHECK_REVENTS 15, fds+8, POLLHUP

    # What is not open is told at once, and the rest not looked at.
    SYSCALL SYS_poll, fds, 2, -1
    CHECK_EQ 16, rax, 1
    CHECK_REVENTS 17, fds, POLLNVAL
    CHECK_REVENTS 18, fds+8, 0

    SYSCALL SYS_poll, fds, -1, 0
    CHECK_ERRNO 19, ERRNO_EINVAL
    SYSCALL SYS_poll, 8, 1, 0
    CHECK_ERRNO 20, ERRNO_EFAULT
    DONE

    .balign 8
fds:
    POLLFD 0, POLLIN | POLLRDNORM | POLLPRI
    POLLFD 1, POLLOUT
    POLLFD -1, POLLIN
    POLLFD 77, 0
    POLLFD 0, POLLPRI
letter:
    .quad 0
