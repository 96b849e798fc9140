# poll tells what of the things asked is so.

.include "../threads.inc"
.include "../clock.inc"

# POLLFD events: a struct pollfd; PUT fills in its descriptor.
.macro POLLFD events
    .long -1
    .short \events
    .short -1
.endm
.macro PUT at, fd
    mov rax, \fd
    mov [\at], eax
    mov word ptr [\at + 6], -1
.endm

# REVENTS at, events: this is what poll has told of a pollfd.
.macro REVENTS at, events
    WORD16 \at + 6, \events
.endm

# PIPE: r12 is the end to read of a new pipe, r13 the one to write.
.macro PIPE
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
.endm

CASE writable, "2.1", "A pipe with room can be written: POLLOUT"
    PIPE
    PUT out, r13
    SYSCALL SYS_poll, out, 1, -1
    OK
    EQUAL rax, 1
    REVENTS out, POLLOUT

CASE empty_pipe, "2.1", "An empty pipe cannot be read: no event"
    PIPE
    PUT in, r12
    SYSCALL SYS_poll, in, 1, 0
    OK
    EQUAL rax, 0
    REVENTS in, 0

CASE readable, "2.1", "A pipe with something in it can be read: POLLIN and POLLRDNORM"
    PIPE
    SYSCALL SYS_write, r13, letter, 1
    PUT in, r12
    SYSCALL SYS_poll, in, 1, -1
    OK
    EQUAL rax, 1
    REVENTS in, POLLIN | POLLRDNORM

CASE only_asked, "2.1", "What was not asked is not told"
    PIPE
    SYSCALL SYS_write, r13, letter, 1
    PUT pri, r12
    SYSCALL SYS_poll, pri, 1, 0
    OK
    EQUAL rax, 0
    REVENTS pri, 0

CASE no_descriptor, "2.1", "A descriptor -1 is passed over"
    PUT in, -1
    SYSCALL SYS_poll, in, 1, 0
    OK
    EQUAL rax, 0
    REVENTS in, 0

CASE nothing_asked, "2.1", "A descriptor of which nothing is asked is not looked at, open or not"
    PUT nothing, 59
    SYSCALL SYS_poll, nothing, 1, 0
    OK
    EQUAL rax, 0
    REVENTS nothing, 0

CASE several, "2.1", "The result counts the descriptors with events; each has its own"
    PIPE
    PUT fds, r12
    PUT fds + 8, r13
    PUT fds + 16, r13
    SYSCALL SYS_poll, fds, 3, -1
    OK
    EQUAL rax, 2
    REVENTS fds, 0
    REVENTS fds + 8, POLLOUT
    REVENTS fds + 16, POLLOUT

CASE time_passes, "2.1", "After the timeout, in milliseconds, the result is 0"
    PIPE
    PUT in, r12
    START_CLOCK
    SYSCALL SYS_poll, in, 1, 20
    OK
    EQUAL rax, 0
    ELAPSED
    AT_LEAST rax, 20000000

CASE no_descriptors, "2.1", "Without descriptors poll is a sleep"
    START_CLOCK
    SYSCALL SYS_poll, 0, 0, 20
    OK
    EQUAL rax, 0
    ELAPSED
    AT_LEAST rax, 20000000

CASE woken, "2.1", "What comes meanwhile ends the wait"
    PIPE
    mov [pipe_to_write], r13
    PUT in, r12
    START writer
    SYSCALL SYS_poll, in, 1, -1
    OK
    EQUAL rax, 1
    REVENTS in, POLLIN | POLLRDNORM

CASE end_of_input, "2.1", "A pipe that nobody writes to can be read, as its end can; it is no POLLHUP"
    PIPE
    SYSCALL SYS_close, r13
    OK
    PUT in, r12
    SYSCALL SYS_poll, in, 1, -1
    OK
    EQUAL rax, 1
    REVENTS in, POLLIN | POLLRDNORM

CASE nobody_reads, "2.1", "A pipe that nobody reads is POLLHUP, and not POLLOUT"
    PIPE
    SYSCALL SYS_close, r12
    OK
    PUT out, r13
    SYSCALL SYS_poll, out, 1, -1
    OK
    EQUAL rax, 1
    REVENTS out, POLLHUP

CASE not_open, "2.1", "What is not open is POLLNVAL, at once"
    PIPE
    PUT fds, 59
    PUT fds + 8, r13
    SYSCALL SYS_poll, fds, 2, -1
    OK
    EQUAL rax, 1
    REVENTS fds, POLLNVAL
    REVENTS fds + 8, 0                  # the rest is not looked at

CASE too_many, "2.1", "More descriptors than there can be are EINVAL"
    SYSCALL SYS_poll, fds, -1, 0
    REFUSED ERRNO_EINVAL

CASE bad_address, "2.1", "An array that cannot be read is EFAULT"
    SYSCALL SYS_poll, 8, 1, 0
    REFUSED ERRNO_EFAULT

    FINISH

writer:
    SYSCALL SYS_write, [pipe_to_write], letter, 1
    END_LWP

    .balign 8
in:
    POLLFD POLLIN | POLLRDNORM | POLLPRI
out:
    POLLFD POLLOUT
pri:
    POLLFD POLLPRI
nothing:
    POLLFD 0
fds:
    POLLFD POLLIN
    POLLFD POLLOUT
    POLLFD POLLOUT
pipe_to_write:
    .quad 0
letter:
    .quad 0
