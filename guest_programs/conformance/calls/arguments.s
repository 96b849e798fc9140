# The arguments of a system call: six registers, and how much of each counts.

.include "../conform.inc"

AREA = 0x20000000
FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
RW = PROT_READ + PROT_WRITE
HIGH = 0x5a5a5a5a00000000               # what the high half of an int's register may hold

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax
    SYSCALL SYS_kqueue
    OK
    mov [queue], rax
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    SYSCALL SYS_dup2, rdx, 51
    OK
    SYSCALL SYS_dup2, r12, 50
    OK

# kevent has six arguments; each shows in its own way that it has arrived.
CASE first, "1.2.2", "RDI is the first argument: kevent's descriptor"
    SYSCALL SYS_kevent, 59, 0, 0, events, 1, now
    REFUSED ERRNO_EBADF

CASE second, "1.2.2", "RSI is the second argument: kevent's changes"
    SYSCALL SYS_kevent, [queue], 8, 1, 0, 0, now
    REFUSED ERRNO_EFAULT

CASE third, "1.2.2", "RDX is the third argument: how many changes"
    SYSCALL SYS_kevent, [queue], changes, 1, 0, 0, now
    OK
    SYSCALL SYS_kevent, [queue], changes, 2, 0, 0, now
    REFUSED ERRNO_ENOENT                # the second one deletes what is not there

CASE fourth, "1.2.2", "R10 is the fourth argument: where events are put"
    mov qword ptr [events], -1
    mov qword ptr [others], -1
    SYSCALL SYS_kevent, [queue], missing, 1, others, 1, now
    OK
    EQUAL rax, 1
    WORD events, -1
    WORD others, 77

CASE fifth, "1.2.2", "R8 is the fifth argument: how many events there is room for"
    SYSCALL SYS_kevent, [queue], both_ends, 2, 0, 0, 0
    OK
    .irp room, 0, 1, 2
    SYSCALL SYS_kevent, [queue], 0, 0, events, \room, now
    OK
    EQUAL rax, \room
    .endr

CASE sixth, "1.2.2", "R9 is the sixth argument: how long to wait"
    SYSCALL SYS_kevent, [queue], 0, 0, events, 1, 8
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_kqueue
    OK
    mov r12, rax
    SYSCALL SYS_kevent, r12, 0, 0, events, 1, now
    OK
    EQUAL rax, 0

CASE fourth_is_not_rcx, "1.2.2", "RCX is no argument"
    mov rcx, 8
    SYSCALL SYS_kevent, [queue], missing, 1, events, 1, now
    OK
    EQUAL rax, 1

CASE int_descriptor, "1.2.4", "Of an int argument only the low half counts: a descriptor"
    mov rax, HIGH
    or rax, [file]
    SYSCALL SYS_fcntl, rax, F_GETFD
    OK

CASE int_command, "1.2.4", "Of an int argument only the low half counts: a command"
    SYSCALL SYS_fcntl, [file], HIGH + F_GETFL
    OK
    EQUAL rax, O_RDWR

CASE int_signed, "1.2.4", "The low half of an int argument has a sign: 0xffffffff is -1"
    SYSCALL SYS_lwp_kill, 0xffffffff, 0, 0
    OK

CASE int_positive, "1.2.4", "The low half of an int argument decides its sign: -1 << 32 is 0"
    SYSCALL SYS_setitimer, 0xffffffff00000000, 0, 0
    OK

CASE int_fifth, "1.2.4", "Of an int argument only the low half counts: in R8"
    SYSCALL SYS_kevent, [queue], both_ends, 2, 0, 0, 0
    OK
    SYSCALL SYS_kevent, [queue], 0, 0, events, HIGH + 1, now
    OK
    EQUAL rax, 1

CASE int_whence, "1.2.4 1.2.9", "Of an int argument only the low half counts: in R10"
    SYSCALL SYS_lseek, [file], 0, 5, HIGH + SEEK_SET
    OK
    EQUAL rax, 5

CASE long_size, "1.2.4", "A size_t argument is all of its register"
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, RW, FLAGS, -1, 0, 0
    OK
    SYSCALL SYS_munmap, AREA, 1 << 32 | PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE long_pointer, "1.2.4", "A pointer argument is all of its register"
    mov rsi, path
    bts rsi, 32
    SYSCALL SYS_write, [file], rsi, 1
    REFUSED ERRNO_EFAULT

CASE long_offset, "1.2.4 1.3.1", "An offset argument is all of its register, and so is its result"
    SYSCALL SYS_lseek, [file], 0, 0x123456789abc, SEEK_SET
    OK
    EQUAL rax, 0x123456789abc

CASE mmap_pad, "1.2.9", "The sixth argument of mmap means nothing"
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, RW, FLAGS, -1, -1, 0
    OK
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE lseek_pad, "1.2.9", "The second argument of lseek means nothing; offset and whence follow it"
    SYSCALL SYS_lseek, [file], -1, 7, SEEK_SET
    OK
    SYSCALL SYS_lseek, [file], 99, 3, SEEK_CUR
    OK
    EQUAL rax, 10

CASE ftruncate_pad, "1.2.9", "The second argument of ftruncate means nothing; the length follows it"
    SYSCALL SYS_ftruncate, [file], -1, 99
    OK
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_END
    EQUAL rax, 99

CASE truncate_pad, "1.2.9", "The second argument of truncate means nothing; the length follows it"
    SYSCALL SYS_truncate, path, -1, 33
    OK
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_END
    EQUAL rax, 33

    FINISH

    .balign 8
file:
    .quad 0
queue:
    .quad 0
now:
    .quad 0, 0
changes:                                # a timer that never comes, and an event that is not there
    .quad 5
    .short EVFILT_TIMER, EV_ADD
    .long 0
    .quad 1000000, 0
missing:
    .quad 77
    .short EVFILT_TIMER, EV_DELETE
    .long 0
    .quad 0, 0
both_ends:                              # of a pipe, which can both be written
    .irp end, 50, 51
    .quad \end
    .short EVFILT_WRITE, EV_ADD
    .long 0
    .quad 0, 0
    .endr
events:
    .zero 64
others:
    .zero 64
path:
    .asciz "file"
