# Two local sockets that are connected, for streams and for messages.

.include "../conform.inc"

# PAIR type: two sockets, in r12 and r13.
.macro PAIR type
    SYSCALL SYS_socketpair, AF_UNIX, \type, 0, pair
    OK
    mov r12d, [pair]
    mov r13d, [pair + 4]
.endm

# TAKES fd, size, length: a read of at most `size` bytes into buffer brings `length`.
.macro TAKES fd, size, length
    mov qword ptr [buffer], 0
    SYSCALL SYS_read, \fd, buffer, \size
    OK
    EQUAL rax, \length
.endm

CASE stream, "2.4", "A stream runs together"
    PAIR SOCK_STREAM
    SYSCALL SYS_write, r12, one, 3
    EQUAL rax, 3
    SYSCALL SYS_sendto, r12, two, 3
    EQUAL rax, 3
    SYSCALL SYS_recvfrom, r13, buffer, 100
    EQUAL rax, 6
    WORD buffer, 0x6f7774656e6f         # "onetwo"

CASE other_direction, "2.4", "A stream has two directions"
    PAIR SOCK_STREAM
    SYSCALL SYS_write, r13, one, 3
    TAKES r12, 100, 3

CASE stream_rest, "2.4", "What is not taken of a stream is there the next time"
    PAIR SOCK_STREAM
    SYSCALL SYS_write, r12, one, 3
    TAKES r13, 1, 1
    TAKES r13, 100, 2

CASE dont_wait, "2.4", "MSG_DONTWAIT: one call does not wait, EAGAIN"
    PAIR SOCK_STREAM
    SYSCALL SYS_recvfrom, r12, buffer, 100, MSG_DONTWAIT
    REFUSED ERRNO_EAGAIN

CASE no_positions, "2.4", "A socket has no positions: ESPIPE"
    PAIR SOCK_STREAM
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    REFUSED ERRNO_ESPIPE

CASE no_name, "2.4", "Neither socket has a name"
    PAIR SOCK_STREAM
    mov dword ptr [length], 100
    SYSCALL SYS_getsockname, r12, buffer, length
    OK
    WORD32 length, 0

CASE peer_without_name, "2.4", "A peer without a name is told as an address of 16 bytes"
    PAIR SOCK_STREAM
    mov dword ptr [length], 100
    SYSCALL SYS_getpeername, r12, buffer, length
    OK
    WORD32 length, 16

CASE shut_down, "2.4", "SHUT_WR: the peer reads the end"
    PAIR SOCK_STREAM
    SYSCALL SYS_shutdown, r12, SHUT_WR
    OK
    TAKES r13, 100, 0

CASE shut_down_writer, "2.4", "SHUT_WR: writing is EPIPE, and MSG_NOSIGNAL spares the signal"
    PAIR SOCK_STREAM
    SYSCALL SYS_shutdown, r12, SHUT_WR
    OK
    SYSCALL SYS_sendto, r12, one, 3, MSG_NOSIGNAL
    REFUSED ERRNO_EPIPE

CASE shut_down_other_way, "2.4", "SHUT_WR: the other direction goes on"
    PAIR SOCK_STREAM
    SYSCALL SYS_shutdown, r12, SHUT_WR
    OK
    SYSCALL SYS_write, r13, one, 3
    TAKES r12, 100, 3

CASE messages, "2.4", "Messages stay apart"
    PAIR SOCK_DGRAM
    SYSCALL SYS_write, r12, one, 3
    SYSCALL SYS_write, r12, two, 2
    TAKES r13, 100, 3
    TAKES r13, 100, 2

CASE message_cut, "2.4", "What is not taken of a message is lost"
    PAIR SOCK_DGRAM
    SYSCALL SYS_write, r12, one, 3
    SYSCALL SYS_write, r12, two, 3
    TAKES r13, 1, 1
    TAKES r13, 100, 3
    WORD buffer, 0x6f7774               # "two"

CASE peer_closed, "2.4", "Messages: after the peer is closed a read is ECONNRESET"
    PAIR SOCK_DGRAM
    SYSCALL SYS_close, r13
    SYSCALL SYS_read, r12, buffer, 100
    REFUSED ERRNO_ECONNRESET

CASE not_open, "2.4", "What is not open is EBADF"
    SYSCALL SYS_recvfrom, 59, buffer, 100
    REFUSED ERRNO_EBADF

CASE no_socket, "2.4", "What is no socket is ENOTSOCK"
    SYSCALL SYS_pipe
    SYSCALL SYS_recvfrom, rax, buffer, 100
    REFUSED ERRNO_ENOTSOCK

CASE no_pairs, "2.4", "Sockets of the Internet come in no pairs: EOPNOTSUPP"
    SYSCALL SYS_socketpair, AF_INET, SOCK_STREAM, 0, pair
    REFUSED ERRNO_EOPNOTSUPP

CASE no_type, "2.4", "A type that local sockets do not have is EPROTONOSUPPORT"
    SYSCALL SYS_socketpair, AF_UNIX, SOCK_RAW, 0, pair
    REFUSED ERRNO_EPROTONOSUPPORT

    FINISH

one:
    .ascii "one"
two:
    .ascii "two"
    .balign 8
pair:
    .quad 0
length:
    .quad 100
buffer:
    .zero 128
