# Two local sockets that are connected, for streams and for messages.

.include "../conform.inc"

CASE socketpair, "2.4", "Two local sockets that are connected, for streams and for messages"
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair
    OK
    mov r12d, [pair]
    mov r13d, [pair + 4]

    # A stream runs together, in both directions.
    SYSCALL SYS_write, r12, one, 3
    EQUAL rax, 3
    SYSCALL SYS_sendto, r12, two, 3
    EQUAL rax, 3
    SYSCALL SYS_recvfrom, r13, buffer, 100
    EQUAL rax, 6
    EQUAL [buffer], 0x6f7774656e6f        # "onetwo"
    SYSCALL SYS_write, r13, one, 3
    SYSCALL SYS_read, r12, buffer, 100
    EQUAL rax, 3

    # Waiting is refused for one call, and there are no positions.
    SYSCALL SYS_recvfrom, r12, buffer, 100, MSG_DONTWAIT
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    REFUSED ERRNO_ESPIPE

    # Neither end has a name; a peer without one is told all the same.
    SYSCALL SYS_getsockname, r12, buffer, length
    OK
    EQUAL [length], 0
    mov dword ptr [length], 100
    SYSCALL SYS_getpeername, r12, buffer, length
    OK
    EQUAL [length], 16

    # The end of one direction.
    SYSCALL SYS_shutdown, r12, SHUT_WR
    OK
    SYSCALL SYS_read, r13, buffer, 100
    OK
    EQUAL rax, 0
    SYSCALL SYS_sendto, r12, one, 3, MSG_NOSIGNAL
    REFUSED ERRNO_EPIPE

    # Messages stay apart, and what is not taken of one is lost.
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair
    OK
    mov r12d, [pair]
    mov r13d, [pair + 4]
    SYSCALL SYS_write, r12, one, 3
    SYSCALL SYS_write, r12, two, 3
    SYSCALL SYS_read, r13, buffer, 1
    EQUAL rax, 1
    SYSCALL SYS_read, r13, buffer, 100
    EQUAL rax, 3
    SYSCALL SYS_close, r13
    SYSCALL SYS_read, r12, buffer, 100
    REFUSED ERRNO_ECONNRESET

    # What is no socket, and what comes in no pairs.
    SYSCALL SYS_recvfrom, 99, buffer, 100
    REFUSED ERRNO_EBADF
    SYSCALL SYS_pipe
    SYSCALL SYS_recvfrom, rax, buffer, 100
    REFUSED ERRNO_ENOTSOCK
    SYSCALL SYS_socketpair, AF_INET, SOCK_STREAM, 0, pair
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_RAW, 0, pair
    REFUSED ERRNO_EPROTONOSUPPORT

    FINISH

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
