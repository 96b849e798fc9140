# Pipes: two descriptors, and both can be read and written.

.include "../threads.inc"

# PIPE: the descriptors of a new pipe are in r12 and r13.
.macro PIPE
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
.endm

# WRITES fd, text, length; READS fd, length: so many bytes go in, and come out into buffer.
.macro WRITES fd, text, length
    SYSCALL SYS_write, \fd, \text, \length
    OK
    EQUAL rax, \length
.endm
.macro READS fd, length
    mov qword ptr [buffer], 0
    SYSCALL SYS_read, \fd, buffer, 100
    OK
    EQUAL rax, \length
.endm

CASE through, "2.7", "What is written to the second descriptor is read from the first"
    PIPE
    WRITES r13, there, 6
    READS r12, 6
    WORD buffer, 0x216572656874         # "there!"

CASE back, "2.7", "What is written to the first descriptor is read from the second"
    PIPE
    WRITES r12, back, 4
    READS r13, 4
    WORD buffer, 0x6b636162             # "back"

CASE apart, "2.7", "The two directions do not meet"
    PIPE
    WRITES r13, there, 6
    WRITES r12, back, 4
    READS r12, 6
    READS r13, 4

CASE runs_together, "2.7", "What is written in several pieces can be read in one"
    PIPE
    WRITES r13, there, 2
    WRITES r13, there + 2, 4
    READS r12, 6
    WORD buffer, 0x216572656874

CASE would_block, "2.7", "With O_NONBLOCK a read of an empty pipe is EAGAIN"
    PIPE
    SYSCALL SYS_fcntl, r12, F_SETFL, O_NONBLOCK
    OK
    SYSCALL SYS_read, r12, buffer, 100
    REFUSED ERRNO_EAGAIN

CASE full, "2.7", "With O_NONBLOCK a write takes what there is room for, and then is EAGAIN"
    PIPE
    SYSCALL SYS_fcntl, r13, F_SETFL, O_NONBLOCK
    OK
    xor r14d, r14d
fill:
    SYSCALL SYS_write, r13, much, 4096
    jc filled
    add r14, rax
    cmp r14, 1 << 24
    jb fill
    NEVER
filled:
    REFUSED ERRNO_EAGAIN
    AT_LEAST r14, 4096

CASE waits, "2.7", "A read of an empty pipe waits for what is written"
    PIPE
    mov [to_write], r13
    START writer
    READS r12, 6

CASE no_positions, "2.7", "A pipe has no positions: ESPIPE"
    PIPE
    SYSCALL SYS_lseek, r12, 0, 0, SEEK_SET
    REFUSED ERRNO_ESPIPE

CASE before_the_end, "2.7", "What was written before the end is read before the end, which is 0"
    PIPE
    WRITES r13, there, 6
    SYSCALL SYS_close, r13
    OK
    READS r12, 6
    READS r12, 0
    READS r12, 0

CASE no_reader, "2.7", "A write that nobody can read is EPIPE, and SIGPIPE"
    HANDLE SIGPIPE, handler
    mov qword ptr [caught], 0
    PIPE
    SYSCALL SYS_close, r12
    OK
    SYSCALL SYS_write, r13, there, 6
    REFUSED ERRNO_EPIPE
    EQUAL [caught], 1

    FINISH

writer:
    SYSCALL SYS_write, [to_write], there, 6
    END_LWP

handler:
    inc qword ptr [caught]
    ret

there:
    .ascii "there!"
back:
    .ascii "back"
    .balign 8
to_write:
    .quad 0
caught:
    .quad 0
buffer:
    .zero 128
much:
    .zero 4096
