# Arguments that no register is left for: on the stack, above the word of a return address.

.include "../conform.inc"

AREA = 0x20000000                       # what is mapped
STACK = 0x30000000                      # two pages, of which the second can be taken away
FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
RW = PROT_READ + PROT_WRITE
NOWHERE = 0x7000000000

# MMAP_AT stack: map a page of the file at AREA with the stack pointer at `stack`.
.macro MMAP_AT stack
    mov rbp, rsp
    mov rsp, \stack
    SYSCALL SYS_mmap, AREA, PAGE_SIZE, PROT_READ, MAP_PRIVATE + MAP_FIXED, [file]
    mov rsp, rbp
.endm

# NOTHING_MAPPED: there is no mapping at AREA.
.macro NOTHING_MAPPED
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    REFUSED ERRNO_EINVAL
.endm

# A_STACK: two pages at STACK, zeroed.
.macro A_STACK
    SYSCALL7 SYS_mmap, STACK, 2*PAGE_SIZE, RW, FLAGS, -1, 0, 0
    OK
.endm

    # A file of two pages that begin with 1 and 2.
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax
    SYSCALL SYS_extpwrite, [file], one, 8, 0, 0
    OK
    SYSCALL SYS_extpwrite, [file], two, 8, 0, PAGE_SIZE
    OK

CASE seventh, "1.2.3", "The seventh argument is the word above the one at RSP: mmap's offset"
    A_STACK
    mov qword ptr [STACK + 64], 7*PAGE_SIZE
    mov qword ptr [STACK + 72], PAGE_SIZE
    mov qword ptr [STACK + 80], 5*PAGE_SIZE
    MMAP_AT STACK + 64
    OK
    EQUAL rax, AREA
    WORD AREA, 2
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE seventh_is_checked, "1.2.3", "The seventh argument counts: an anonymous mapping has no offset"
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, PROT_READ, FLAGS, -1, 0, PAGE_SIZE
    REFUSED ERRNO_EINVAL

CASE seventh_is_64_bits, "1.2.3", "The seventh argument is all 64 bits of its word"
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, PROT_READ, FLAGS, -1, 0, 1 << 40
    REFUSED ERRNO_EINVAL

CASE unaligned_stack, "1.2.3", "The stack need not be aligned, and its words may cross pages"
    A_STACK
    mov qword ptr [STACK + PAGE_SIZE - 3], PAGE_SIZE
    MMAP_AT STACK + PAGE_SIZE - 11
    OK
    WORD AREA, 2
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE return_address_unread, "1.2.5", "The word at RSP itself is not looked at"
    A_STACK
    SYSCALL SYS_munmap, STACK, PAGE_SIZE
    OK
    mov qword ptr [STACK + PAGE_SIZE], PAGE_SIZE
    MMAP_AT STACK + PAGE_SIZE - 8
    OK
    WORD AREA, 2
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE argument_unreadable, "1.2.5", "An argument in an absent page is EFAULT, and nothing has been done"
    A_STACK
    SYSCALL SYS_munmap, STACK + PAGE_SIZE, PAGE_SIZE
    OK
    MMAP_AT STACK + PAGE_SIZE - 8
    REFUSED ERRNO_EFAULT
    NOTHING_MAPPED

CASE last_byte_unreadable, "1.2.5", "An argument whose last byte is in an absent page is EFAULT"
    A_STACK
    SYSCALL SYS_munmap, STACK + PAGE_SIZE, PAGE_SIZE
    OK
    MMAP_AT STACK + PAGE_SIZE - 15
    REFUSED ERRNO_EFAULT
    NOTHING_MAPPED

CASE last_word, "1.2.5", "An argument may be the last word before an absent page"
    A_STACK
    SYSCALL SYS_munmap, STACK + PAGE_SIZE, PAGE_SIZE
    OK
    mov qword ptr [STACK + PAGE_SIZE - 8], PAGE_SIZE
    MMAP_AT STACK + PAGE_SIZE - 16
    OK
    WORD AREA, 2
    SYSCALL SYS_munmap, AREA, PAGE_SIZE
    OK

CASE protected_stack, "1.2.5", "An argument in a page without PROT_READ is EFAULT"
    A_STACK
    SYSCALL SYS_mprotect, STACK, 2*PAGE_SIZE, PROT_NONE
    OK
    MMAP_AT STACK
    REFUSED ERRNO_EFAULT
    NOTHING_MAPPED

    .irp stack, 0x800000000000, 0x8000000000000000, 0xffffffffffffff00, 0xfffffffffffffff0
CASE stack_\stack, "1.2.5", "A stack pointer \stack is EFAULT to a call of seven arguments"
    MMAP_AT \stack
    REFUSED ERRNO_EFAULT
    NOTHING_MAPPED
    .endr

CASE registers_after_efault, "1.2.5 1.3.2", "A call that is refused for its stack leaves the registers as any refusal does"
    mov rbx, 0x1b1b
    mov rdx, 0x2d2d
    mov rbp, rsp
    mov rsp, NOWHERE
    mov eax, SYS_mmap
    clc
    syscall
    mov r12, rsp
    mov rsp, rbp
    REFUSED ERRNO_EFAULT
    EQUAL rbx, 0x1b1b
    EQUAL rdx, 0x2d2d
    EQUAL r12, NOWHERE

CASE no_arguments, "1.2.5", "A call that needs no words of the stack does not look there: getpid"
    SYSCALL SYS_getpid
    mov r12, rax
    mov rbp, rsp
    mov rsp, NOWHERE
    SYSCALL SYS_getpid
    mov rsp, rbp
    OK
    EQUAL rax, r12

CASE six_arguments, "1.2.5", "A call of six arguments does not look at the stack: kevent"
    SYSCALL SYS_kqueue
    mov r12, rax
    mov rbp, rsp
    mov rsp, NOWHERE
    SYSCALL SYS_kevent, r12, 0, 0, 0, 0, now
    mov rsp, rbp
    OK

CASE no_such_call, "1.2.5 1.2.6", "A number that no call has does not look at the stack"
    SYSCALL SYS_sigaction, SIGSYS, ignore, 0
    OK
    mov rbp, rsp
    mov rsp, NOWHERE
    SYSCALL 67
    mov rsp, rbp
    REFUSED ERRNO_EINVAL

    FINISH

    .balign 8
file:
    .quad 0
one:
    .quad 1
two:
    .quad 2
now:
    .quad 0, 0
ignore:
    .quad SIG_IGN, 0, 0, 0
path:
    .asciz "file"
