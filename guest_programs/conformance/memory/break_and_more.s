# obreak, msync, minherit.

.include "../access.inc"

AREA = 0x20000000
PS = PAGE_SIZE
MB = 1 << 20

    IMAGE

# WORD_BELOW_BREAK value: this is the word below rbp.
.macro WORD_BELOW_BREAK value
    EQUAL [rbp - 8], \value
.endm

# UNREADABLE_AT, WRITABLE_AT offset: for an address that is relative to rbp.
.macro UNREADABLE_AT offset
    lea rbx, [rbp + \offset]
    UNREADABLE rbx
.endm
.macro WRITABLE_AT offset
    lea rbx, [rbp + \offset]
    WRITABLE rbx
.endm

# The program counts as data from its beginning on; HIGHER is a break well above its end.
CASE break_grows, "6.10.6", "obreak returns 0; what is below a higher break is zeros, and can be written"
    call higher
    SYSCALL SYS_break, rbp
    OK
    EQUAL rax, 0
    WORD_BELOW_BREAK 0
    mov qword ptr [rbp - 8], 5
    UNREADABLE_AT 0
    lea rsi, [rbp + PS]
    SYSCALL SYS_break, rsi
    OK
    WORD_BELOW_BREAK 5
    WRITABLE_AT 0

CASE break_shrinks, "6.10.6", "A lower break unmaps, and what comes back is zeros"
    call higher
    SYSCALL SYS_break, rbp
    OK
    mov qword ptr [rbp - 8], 5
    lea rdi, [rbp - PS]
    SYSCALL SYS_break, rdi
    OK
    UNREADABLE_AT -1
    SYSCALL SYS_break, rbp
    OK
    WORD_BELOW_BREAK 0

CASE break_rounds, "6.10.6", "A break is rounded up to a page"
    call higher
    lea rdi, [rbp + 1]
    SYSCALL SYS_break, rdi
    OK
    WRITABLE_AT PS - 1
    UNREADABLE_AT PS

CASE break_below, "6.10.6", "A break below the start is EINVAL"
    SYSCALL SYS_break, PS
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_break, 0
    REFUSED ERRNO_EINVAL

CASE break_too_high, "6.10.6", "A break at the end of the addresses is ENOMEM"
    SYSCALL SYS_break, USER_MAX
    REFUSED ERRNO_ENOMEM
    SYSCALL SYS_break, -2*PS
    REFUSED ERRNO_ENOMEM

CASE break_limit, "6.10.6", "RLIMIT_DATA is ENOMEM when the break grows, and no obstacle when it does not"
    call higher
    SYSCALL SYS_break, rbp
    OK
    SYSCALL SYS_getrlimit, RLIMIT_DATA, old_limit
    OK
    mov rax, [old_limit + 8]
    mov [new_limit + 8], rax
    SYSCALL SYS_setrlimit, RLIMIT_DATA, new_limit
    OK
    lea rdi, [rbp + PS]
    SYSCALL SYS_break, rdi
    setc bl
    mov r15, rax
    lea rdi, [rbp - PS]
    SYSCALL SYS_break, rdi
    setc bh
    SYSCALL SYS_setrlimit, RLIMIT_DATA, old_limit
    OK
    movzx ebx, bx
    EQUAL rbx, 1                        # refused, and not refused
    EQUAL r15, ERRNO_ENOMEM

CASE break_occupied, "6.10.6", "A break does not grow over a mapping: ENOMEM"
    call higher
    SYSCALL SYS_break, rbp
    OK
    MMAP rbp, PS, PROT_READ, ANON + MAP_FIXED
    OK
    lea rdi, [rbp + PS]
    SYSCALL SYS_break, rdi
    setc bl
    mov r15, rax
    SYSCALL SYS_munmap, rbp, PS
    OK
    EQUAL r15, ERRNO_ENOMEM
    movzx ebx, bl
    EQUAL rbx, 1

CASE msync, "6.10.7", "msync: ASYNC with INVALIDATE is EINVAL, each alone is not"
    SYSCALL SYS_msync, RAM, IMG_SIZE, MS_ASYNC + MS_INVALIDATE
    REFUSED ERRNO_EINVAL
    mov qword ptr [RAM + IMG_DATA], 0x41
    SYSCALL SYS_msync, RAM, IMG_SIZE, 0
    OK
    EQUAL rax, 0
    SYSCALL SYS_msync, RAM, IMG_SIZE, MS_ASYNC
    OK
    SYSCALL SYS_msync, RAM, IMG_SIZE, MS_INVALIDATE
    OK
    WORD RAM + IMG_DATA, 0x41

CASE msync_unmapped, "6.10.7", "msync of memory that is not mapped is EINVAL, as is a range that wraps"
    SYSCALL SYS_msync, AREA, PS, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_msync, AREA, -1, 0
    REFUSED ERRNO_EINVAL

CASE minherit_wrong, "6.10.8", "minherit with an unknown code is EINVAL"
    SYSCALL SYS_minherit, RAM, PS, INHERIT_NONE + 1
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_minherit, RAM, PS, -1
    REFUSED ERRNO_EINVAL

CASE minherit, "6.10.8", "minherit says whether a child shares memory, has a copy, or has none"
    MMAP AREA, 3*PS, RW, ANON + MAP_FIXED
    OK
    .irp page, 0, 1, 2
    mov qword ptr [AREA + \page*PS], 1
    .endr
    SYSCALL SYS_minherit, AREA, PS, INHERIT_SHARE
    OK
    SYSCALL SYS_minherit, AREA + PS, PS, INHERIT_COPY
    OK
    SYSCALL SYS_minherit, AREA + 2*PS, PS, INHERIT_NONE
    OK
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    WORD status, 0
    WORD AREA, 2
    WORD AREA + PS, 1
    WORD AREA + 2*PS, 1

    FINISH

child:
    WORD AREA + PS, 1
    UNREADABLE AREA + 2*PS
    mov qword ptr [AREA], 2
    mov qword ptr [AREA + PS], 2
    SYSCALL SYS_exit, 0

# rbp: a break a megabyte above the program, in whole pages.
higher:
    mov rbp, end_of_program + MB + PS - 1
    and rbp, -PS
    ret

    .balign 8
status:
    .quad 0
old_limit:
    .quad 0, 0
new_limit:
    .quad PAGE_SIZE, 0
end_of_program:
