# abi 11: execve starts a program from the tree with its arguments, and a descriptor survives

.include "vkemu.inc"

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0755
    CHECK_OK 1
    mov r15, rax
    SYSCALL SYS_write, r15, program, program_end - program
    CHECK_OK 2
    SYSCALL SYS_execve, path, arguments, 0
    CHECK_ERRNO 3, ERRNO_ETXTBSY
    SYSCALL SYS_close, r15
    SYSCALL SYS_open, path, O_RDONLY
    CHECK_EQ 3, rax, r15
    SYSCALL SYS_fcntl, r15, F_SETFD, FD_CLOEXEC
    CHECK_OK 3
    SYSCALL SYS_open, other, O_RDWR + O_CREAT, 0600
    CHECK_OK 4

    # What cannot be executed leaves the caller as it was.
    SYSCALL SYS_execve, missing, arguments, 0
    CHECK_ERRNO 5, ERRNO_ENOENT
    SYSCALL SYS_execve, other, arguments, 0
    CHECK_ERRNO 6, ERRNO_EACCES
    SYSCALL SYS_execve, path, 0, 0
    CHECK_ERRNO 7, ERRNO_EFAULT

    SYSCALL SYS_fork
    CHECK_OK 8
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_MEM 9, status, 0x2a00
    DONE

child:
    SYSCALL SYS_execve, path, arguments, environment
    SYSCALL SYS_exit, 99

    .balign 8
status:
    .quad 0
arguments:
    .quad path, other, 0
environment:
    .quad 0
path:
    .asciz "program"
other:
    .asciz "other"
missing:
    .asciz "missing"

# A static ELF executable: one segment, which begins with the headers.
BASE = 0x10000000
    .balign 8
program:
    .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0
    .quad 0
    .short 2, 62
    .long 1
    .quad BASE + code - program, 64, 0
    .long 0
    .short 64, 56, 1, 64, 0, 0
    .long 1, 5
    .quad 0, BASE, BASE, program_end - program, program_end - program, PAGE_SIZE
code:
    # 42 if there are two arguments, and of the two files only the second is open.
    mov ebx, 1
    cmp qword ptr [rdi], 2
    jne leave
    mov eax, SYS_close
    mov edi, 0
    syscall
    inc ebx
    jnc leave
    mov eax, SYS_close
    mov edi, 1
    syscall
    inc ebx
    jc leave
    mov ebx, 42
leave:
    mov edi, ebx
    mov eax, SYS_exit
    syscall
program_end:
