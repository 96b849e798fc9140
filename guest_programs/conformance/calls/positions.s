# extpread and extpwrite, and their vectors: reading and writing at a position.

.include "../conform.inc"

# CONTENT: the file is "abcdefgh", and its position is 3.
.macro CONTENT
    SYSCALL SYS_ftruncate, [file], 0, 0
    OK
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_SET
    SYSCALL SYS_write, [file], abcdefgh, 8
    EQUAL rax, 8
    SYSCALL SYS_lseek, [file], 0, 3, SEEK_SET
    EQUAL rax, 3
    mov qword ptr [buffer], 0
.endm

# POSITION value: the file's own position.
.macro POSITION value
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_CUR
    OK
    EQUAL rax, \value
.endm

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax
    SYSCALL SYS_pipe
    OK
    mov [reading], rax
    mov [writing], rdx

CASE read_at, "2.1.16", "extpread reads at an offset, and leaves the file's position alone"
    CONTENT
    SYSCALL SYS_extpread, [file], buffer, 2, 0, 5
    OK
    EQUAL rax, 2
    WORD buffer, 0x6766                 # "fg"
    POSITION 3

CASE read_position, "2.1.16", "With offset -1 it reads at the file's position, and moves that"
    CONTENT
    SYSCALL SYS_extpread, [file], buffer, 2, 0, -1
    OK
    WORD buffer, 0x6564                 # "de"
    POSITION 5

CASE write_at, "2.1.16", "extpwrite writes at an offset, and leaves the file's position alone"
    CONTENT
    SYSCALL SYS_extpwrite, [file], xyz, 3, 0, 1
    OK
    EQUAL rax, 3
    POSITION 3
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 0
    WORD buffer, 0x68676665 << 32 | 0x7a797861

CASE write_position, "2.1.16", "With offset -1 it writes at the file's position, and moves that"
    CONTENT
    SYSCALL SYS_extpwrite, [file], xyz, 3, 0, -1
    OK
    POSITION 6

CASE read_vector, "2.1.16 4.8.8", "extpreadv reads into several buffers at an offset"
    CONTENT
    mov qword ptr [buffer + 8], 0
    SYSCALL SYS_extpreadv, [file], buffers, 2, 0, 2
    OK
    EQUAL rax, 5
    WORD buffer, 0x6463                 # "cd"
    WORD buffer + 8, 0x676665           # "efg"
    POSITION 3

CASE write_vector, "2.1.16 4.8.8", "extpwritev writes several buffers at an offset"
    CONTENT
    SYSCALL SYS_extpwritev, [file], texts, 2, 0, 6
    OK
    EQUAL rax, 5
    POSITION 3
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 3
    EQUAL rax, 8
    WORD buffer, 0x62617a7978666564     # "defxyzab"

CASE at_the_end, "2.1.16", "At and beyond the end there is nothing to read"
    CONTENT
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 8
    OK
    EQUAL rax, 0
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 1 << 40
    OK
    EQUAL rax, 0

CASE stream, "2.1.16", "Offset -1 is allowed of a pipe"
    SYSCALL SYS_extpwrite, [writing], xyz, 3, 0, -1
    OK
    EQUAL rax, 3
    SYSCALL SYS_extpread, [reading], buffer, 8, 0, -1
    OK
    EQUAL rax, 3

    .irp offset, 0, 1
CASE stream_at_\offset, "2.1.16", "A pipe has no position \offset: ESPIPE"
    SYSCALL SYS_extpwrite, [writing], xyz, 3, 0, \offset
    REFUSED ERRNO_ESPIPE
    SYSCALL SYS_extpread, [reading], buffer, 8, 0, \offset
    REFUSED ERRNO_ESPIPE
    .endr

CASE once_without_wait, "2.1.16", "O_FNONBLOCKING: one read of an empty pipe is EAGAIN, and the pipe is as it was"
    SYSCALL SYS_extpread, [reading], buffer, 8, O_FNONBLOCKING, -1
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_fcntl, [reading], F_GETFL
    BITS rax, O_NONBLOCK, 0

CASE once_with_wait, "2.1.16", "O_FBLOCKING: one read waits, though O_NONBLOCK is set"
    SYSCALL SYS_fcntl, [reading], F_SETFL, O_NONBLOCK
    OK
    SYSCALL SYS_read, [reading], buffer, 8
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz writes
    SYSCALL SYS_extpread, [reading], buffer, 8, O_FBLOCKING, -1
    OK
    EQUAL rax, 3
    SYSCALL SYS_wait4, -1, 0, 0, 0

CASE append_once, "2.1.16", "O_FAPPEND: one write goes to the end"
    CONTENT
    SYSCALL SYS_extpwrite, [file], xyz, 3, O_FAPPEND, -1
    OK
    EQUAL rax, 3
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 8
    EQUAL rax, 3

    FINISH

writes:
    SYSCALL SYS_nanosleep, a_moment, 0
    SYSCALL SYS_write, [writing], xyz, 3
    SYSCALL SYS_exit, 0

    .balign 8
file:
    .quad 0
reading:
    .quad 0
writing:
    .quad 0
a_moment:
    .quad 0, 1000000
buffers:
    .quad buffer, 2, buffer + 8, 3
texts:
    .quad xyz, 3, abcdefgh, 2
buffer:
    .zero 32
abcdefgh:
    .ascii "abcdefgh"
xyz:
    .ascii "xyz"
path:
    .asciz "file"
