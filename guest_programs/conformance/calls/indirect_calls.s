# Calls 0 and 198 take the number of the real call as their first argument.

.include "../threads.inc"

FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
RW = PROT_READ + PROT_WRITE
AREA = 0x20000000
NOWHERE = 0x7000000000

    HANDLE SIGSYS, handler
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax

    .irp indirect, 0, 198
CASE without_arguments_\indirect, "1.2.7", "Call \indirect makes the call whose number is in RDI"
    SYSCALL SYS_getpid
    mov r12, rax
    SYSCALL \indirect, SYS_getpid
    OK
    EQUAL rax, r12

CASE high_half_\indirect, "1.2.7 1.2.1", "Of RDI call \indirect takes the low half"
    SYSCALL SYS_getpid
    mov r12, rax
    SYSCALL \indirect, 0x5a5a5a5a00000000 + SYS_getpid
    OK
    EQUAL rax, r12

CASE shifted_\indirect, "1.2.7", "The arguments of call \indirect start in RSI: write"
    SYSCALL \indirect, SYS_write, [file], text, 4
    OK
    EQUAL rax, 4
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 0
    OK
    EQUAL rax, 4
    WORD32 buffer, 0x74786574
    SYSCALL SYS_ftruncate, [file], 0, 0
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_SET

CASE five_registers_\indirect, "1.2.7", "Five arguments of call \indirect are in registers: extpwrite"
    mov rbp, rsp
    mov rsp, NOWHERE
    SYSCALL \indirect, SYS_extpwrite, [file], text, 4, 0, 3
    mov rsp, rbp
    OK
    EQUAL rax, 4
    SYSCALL SYS_extpread, [file], buffer, 8, 0, 0
    EQUAL rax, 7
    WORD32 buffer + 3, 0x74786574
    SYSCALL SYS_ftruncate, [file], 0, 0

CASE sixth_\indirect, "1.2.7 1.2.3", "The sixth argument of call \indirect is on the stack: kevent's timeout"
    SYSCALL SYS_kqueue
    mov r12, rax
    SYSCALL7 \indirect, SYS_kevent, r12, 0, 0, buffer, 1, 8
    REFUSED ERRNO_EFAULT
    SYSCALL7 \indirect, SYS_kevent, r12, 0, 0, buffer, 1, now
    OK
    EQUAL rax, 0

CASE sixth_unreadable_\indirect, "1.2.7 1.2.5", "A sixth argument of call \indirect that cannot be read is EFAULT"
    SYSCALL SYS_kqueue
    mov r12, rax
    mov rbp, rsp
    mov rsp, NOWHERE
    SYSCALL \indirect, SYS_kevent, r12, 0, 0, buffer, 1
    mov rsp, rbp
    REFUSED ERRNO_EFAULT

CASE seventh_\indirect, "1.2.7 1.2.9", "Pad and offset of mmap are on the stack for call \indirect, in this order"
    SYSCALL8 \indirect, SYS_mmap, AREA, PAGE_SIZE, RW, FLAGS, -1, 0x1111, 0
    OK
    EQUAL rax, AREA
    mov qword ptr [AREA], 5
    SYSCALL8 \indirect, SYS_mmap, AREA, PAGE_SIZE, RW, FLAGS, -1, 0, PAGE_SIZE
    REFUSED ERRNO_EINVAL
    WORD AREA, 5
    SYSCALL \indirect, SYS_munmap, AREA, PAGE_SIZE
    OK

CASE lseek_\indirect, "1.2.7 1.2.9", "lseek by call \indirect, as libc makes it"
    SYSCALL \indirect, SYS_lseek, [file], 0, 0x123456789, SEEK_SET
    OK
    EQUAL rax, 0x123456789
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_SET

CASE ftruncate_\indirect, "1.2.7 1.2.9", "ftruncate by call \indirect, as libc makes it"
    SYSCALL \indirect, SYS_ftruncate, [file], 0, 12
    OK
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_END
    EQUAL rax, 12
    SYSCALL SYS_ftruncate, [file], 0, 0
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_SET

CASE refusal_\indirect, "1.2.7 1.3.2", "A refusal comes back through call \indirect"
    SYSCALL \indirect, SYS_close, 59
    REFUSED ERRNO_EBADF

CASE no_call_\indirect, "1.2.7 1.2.6", "Call \indirect of a number that no call has is SIGSYS and EINVAL"
    mov qword ptr [signals], 0
    SYSCALL \indirect, 67
    REFUSED ERRNO_EINVAL
    EQUAL [signals], 1

    .irp second, 0, 198
CASE again_\indirect\()_\second, "1.2.8", "Call \second through call \indirect is SIGSYS and EINVAL"
    mov qword ptr [signals], 0
    SYSCALL \indirect, \second, SYS_getpid
    REFUSED ERRNO_EINVAL
    EQUAL [signals], 1
    .endr
    .endr

    FINISH

handler:
    inc qword ptr [signals]
    ret

    .balign 8
file:
    .quad 0
signals:
    .quad 0
now:
    .quad 0, 0
buffer:
    .zero 64
text:
    .ascii "text"
path:
    .asciz "file"
