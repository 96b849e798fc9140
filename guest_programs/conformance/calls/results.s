# What a system call returns: RAX, RDX and carry.

.include "../processes.inc"

RDX_PATTERN = 0xd2d2d2d2d2d2d2d2

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax

    .irp carry, clc, stc
CASE success_\carry, "1.3.1", "Success clears carry, whatever it was: \carry"
    mov eax, SYS_getpid
    \carry
    syscall
    setc al
    movzx eax, al
    EQUAL rax, 0

CASE failure_\carry, "1.3.2", "Failure sets carry, whatever it was: \carry"
    mov edi, 59
    mov eax, SYS_close
    \carry
    syscall
    setc cl
    movzx ecx, cl
    EQUAL rcx, 1
    EQUAL rax, ERRNO_EBADF
    .endr

CASE failure_rax, "1.3.2", "An errno is positive and fills RAX"
    mov rax, -1 << 32 | SYS_close
    mov edi, 59
    syscall
    REFUSED ERRNO_EBADF
    EQUAL rax, 9

    .irp call, getpid, getppid, getuid, geteuid, getgid, getegid, getpgrp, yield, lwp_gettid
CASE rdx_of_\call, "1.3.1", "Success leaves RDX alone: \call"
    mov rdx, RDX_PATTERN
    mov eax, SYS_\call
    syscall
    OK
    EQUAL rdx, RDX_PATTERN
    .endr

CASE rdx_of_write, "1.3.1", "Success leaves RDX alone where it is an argument: write"
    SYSCALL SYS_write, [file], path, 4
    OK
    EQUAL rdx, 4

CASE rdx_of_failure, "1.3.2", "Failure leaves RDX alone: close"
    mov rdx, RDX_PATTERN
    mov edi, 59
    mov eax, SYS_close
    syscall
    REFUSED ERRNO_EBADF
    EQUAL rdx, RDX_PATTERN

CASE rdx_of_refused_pipe, "1.3.2 1.3.4", "Failure leaves RDX alone: pipe without room for descriptors"
    SYSCALL SYS_getrlimit, RLIMIT_NOFILE, limit
    OK
    mov r12, [limit]
    mov qword ptr [limit], 0
    SYSCALL SYS_setrlimit, RLIMIT_NOFILE, limit
    OK
    mov rdx, RDX_PATTERN
    mov eax, SYS_pipe
    syscall
    mov r13, rax
    mov r14, rdx
    mov [limit], r12
    SYSCALL SYS_setrlimit, RLIMIT_NOFILE, limit
    OK
    EQUAL r13, ERRNO_EMFILE
    EQUAL r14, RDX_PATTERN

CASE int_is_zero_extended, "1.3.3", "A negative int result is zero-extended: the owner of a kqueue"
    SYSCALL SYS_kqueue
    OK
    mov r12, rax
    SYSCALL SYS_getpgrp
    neg rax
    mov r13, rax
    SYSCALL SYS_fcntl, r12, F_SETOWN, r13
    OK
    mov rax, -1 << 32 | SYS_fcntl
    mov rdi, r12
    mov rsi, F_GETOWN
    syscall
    OK
    mov r13d, r13d
    EQUAL rax, r13

CASE int_fills_rax, "1.3.3", "The high half of RAX is 0 after a call that returns an int"
    mov rax, -1 << 32 | SYS_lwp_gettid
    syscall
    OK
    EQUAL rax, 0

CASE long_result, "1.3.1 1.3.3", "A 64-bit result is all of RAX: lseek"
    SYSCALL SYS_lseek, [file], 0, 0x7fffffffffff0000, SEEK_SET
    OK
    EQUAL rax, 0x7fffffffffff0000

CASE pointer_result, "1.3.1 1.3.3", "A pointer is all of RAX: mmap"
    SYSCALL7 SYS_mmap, 0x612345678000, PAGE_SIZE, PROT_READ, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    EQUAL rax, 0x612345678000
    SYSCALL SYS_munmap, 0x612345678000, PAGE_SIZE
    OK

CASE pipe, "1.3.4", "pipe returns the end to read in RAX, and the end to write in RDX"
    mov rdx, RDX_PATTERN
    mov eax, SYS_pipe
    syscall
    OK
    mov r12, rax
    mov r13, rdx
    SYSCALL SYS_fcntl, r12, F_GETFL
    OK
    SYSCALL SYS_write, r13, path, 1
    EQUAL rax, 1
    SYSCALL SYS_read, r12, limit, 8
    EQUAL rax, 1
    SYSCALL SYS_close, r12
    OK
    SYSCALL SYS_close, r13
    OK

    .irp call, fork, vfork
CASE \call\()_parent, "1.3.5", "\call returns the child's pid, and 0 in RDX, to the parent"
    mov rdx, RDX_PATTERN
    mov eax, SYS_\call
    syscall
    OK
    test rax, rax
    jz leave
    EQUAL rdx, 0
    mov r15, rax
    ENDED

CASE \call\()_child, "1.3.5", "\call returns 0, and 1 in RDX, to the child"
    mov rdx, RDX_PATTERN
    mov eax, SYS_\call
    syscall
    OK
    test rax, rax
    jz child
    mov r15, rax
    ENDED 42 << 8
    .endr

CASE rfork_parent, "1.3.5", "rfork returns the child's pid, and 0 in RDX, to the parent"
    mov rdx, RDX_PATTERN
    mov edi, RFPROC + RFFDG
    mov eax, SYS_rfork
    syscall
    OK
    test rax, rax
    jz child
    EQUAL rdx, 0
    mov r15, rax
    ENDED 42 << 8

CASE child_flags, "1.3.5 1.3.1", "Carry is clear in the child, even if it was set"
    mov eax, SYS_fork
    stc
    syscall
    setc cl
    test rax, rax
    jz child_with_carry
    mov r15, rax
    ENDED

CASE refused_fork, "1.3.2 1.3.5", "A fork that is refused leaves RDX alone: rfork"
    mov rdx, RDX_PATTERN
    mov edi, RFPROC + RFFDG + RFCFDG
    mov eax, SYS_rfork
    syscall
    REFUSED ERRNO_EINVAL
    EQUAL rdx, RDX_PATTERN

    FINISH

leave:
    SYSCALL SYS_exit, 0

child:
    EQUAL rax, 0
    EQUAL rdx, 1
    SYSCALL SYS_exit, 42

child_with_carry:
    movzx edi, cl
    SYSCALL SYS_exit, rdi

    .balign 8
file:
    .quad 0
limit:
    .quad 0, 0
path:
    .asciz "file"
