# abi 2: two local sockets that are connected, for streams and for messages.

.include "vkemu.inc"

    SYSCALL SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair
    CHECK_OK 1
    mov r12d, [pair]
    mov r13d, [pair + 4]

    # A stream runs together, in both directions.
    SYSCALL SYS_write, r12, one, 3
    CHECK_EQ 2, rax, 3
    SYSCALL SYS_sendto, r12, two, 3
    CHECK_EQ 3, rax, 3
    SYSCALL SYS_recvfrom, r13, buffer, 100
    CHECK_EQ 4, rax, 6
    CHECK_EQ 5, [buffer], 0x6f7774656e6f        # "onetwo"
    SYSCALL SYS_write, r13, one, 3
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_EQ 6, rax, 3

    # Waiting is refused for one call, and there are no positions.
    SYSCALL SYS_recvfrom, r12, buffer, 100, MSG_DONTWAIT
    CHECK_ERRNO 7, ERRNO_EAGAIN
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    CHECK_ERRNO 8, ERRNO_ESPIPE

    # Neither end has a name; a peer without one is told all the same.
    SYSCALL SYS_getsockname, r12, buffer, length
    CHECK_OK 9
    CHECK_EQ 10, [length], 0
    mov dword ptr [length], 100
    SYSCALL SYS_getpeername, r12, buffer, length
    CHECK_OK 11
    CHECK_EQ 12, [length], 16

    # The end of one direction.
    SYSCALL SYS_shutdown, r12, SHUT_WR
    CHECK_OK 13
    SYSCALL SYS_read, r13, buffer, 100
    CHECK_OK 14
    CHECK_EQ 15, rax, 0
    SYSCALL SYS_sendto, r12, one, 3, MSG_NOSIGNAL
    CHECK_ERRNO 16, ERRNO_EPIPE

    # Messages stay apart, and what is not taken of one is lost.
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair
    CHECK_OK 17
    mov r12d, [pair]
    mov r13d, [pair + 4]
    SYSCALL SYS_write, r12, one, 3
    SYSCALL SYS_write, r12, two, 3
    SYSCALL SYS_read, r13, buffer, 1
    CHECK_EQ 18, rax, 1
    SYSCALL SYS_read, r13, buffer, 100
    CHECK_EQ 19, rax, 3
    SYSCALL SYS_close, r13
    SYSCALL SYS_read, r12, buffer, 100
    CHECK_ERRNO 20, ERRNO_ECONNRESET

    # What is no socket, and what comes in no pairs.
    SYSCALL SYS_recvfrom, 99, buffer, 100
    CHECK_ERRNO 21, ERRNO_EBADF
    SYSCALL SYS_pipe
    SYSCALL SYS_recvfrom, rax, buffer, 100
    CHECK_ERRNO 22, ERRNO_ENOTSOCK
    SYSCALL SYS_socketpair, AF_INET, SOCK_STREAM, 0, pair
    CHECK_ERRNO 23, ERRNO_EOPNOTSUPP
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_RAW, 0, pair
    CHECK_ERRNO 24, ERRNO_EPROTONOSUPPORT

    DONE

one:
    .ascii "one"
two:
    .ascii "two"
    .balign 8
pair:
    .fill 8
length:
    .quad 100
buffer:
    .fill 128
