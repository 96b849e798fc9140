# Calls 0 and 198 take the number as first argument; whatever no register is left for is on the stack, above the return address.

.include "../conform.inc"

FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
AREA = 0x20000000

    .irp indirect, SYS_syscall, SYS___syscall
CASE indirect_calls, "1.2.7", "Calls 0 and 198 take the number as first argument; whatever no register is left for is ..."
    SYSCALL8 \indirect, SYS_mmap, AREA, PAGE_SIZE, PROT_READ + PROT_WRITE, FLAGS, -1, 0, 0
    OK
    EQUAL rax, AREA
    mov qword ptr [AREA], 5
    SYSCALL \indirect, SYS_munmap, AREA, PAGE_SIZE
    OK
    .endr

    # The seventh argument of mmap is looked at: an anonymous mapping has no offset.
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, PROT_READ, FLAGS, -1, 0, PAGE_SIZE
    REFUSED ERRNO_EINVAL

    # Where the stack cannot be read, the call is refused.
    mov rbp, rsp
    mov rsp, 0x7000000000
    SYSCALL SYS_mmap, AREA, PAGE_SIZE, PROT_READ, FLAGS, -1, 0
    mov rsp, rbp
    REFUSED ERRNO_EFAULT

    # A call that takes no more than six arguments does not look there.
    mov rsp, 0x7000000000
    SYSCALL SYS_getpid
    mov rsp, rbp
    OK
    mov r12, rax
    SYSCALL SYS_syscall, SYS_getpid
    OK
    EQUAL rax, r12

    # Only the low half of rax is the number.
    mov rax, (1 << 32) + SYS_getpid
    syscall
    OK
    EQUAL rax, r12

    FINISH
