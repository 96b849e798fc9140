# abi 6.15: what a child has from its parent: memory by its inheritance, open files with their
# positions, registers with TLS and FP state, mask, umask, limits and directory; not the pending signals

.include "vkemu.inc"

    SYSCALL7 SYS_mmap, 0, 3*PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
    CHECK_OK 1
    mov r12, rax
    lea r13, [r12 + PAGE_SIZE]
    lea r14, [r13 + PAGE_SIZE]
    mov qword ptr [r12], 1
    mov qword ptr [r13], 2
    mov qword ptr [r14], 3
    SYSCALL SYS_minherit, r13, PAGE_SIZE, INHERIT_SHARE
    CHECK_OK 2
    SYSCALL SYS_minherit, r14, PAGE_SIZE, INHERIT_NONE
    CHECK_OK 3
    SYSCALL SYS_mkdir, directory, 0700
    CHECK_OK 4
    SYSCALL SYS_chdir, directory
    CHECK_OK 5
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    CHECK_OK 6
    mov rbp, rax
    SYSCALL SYS_write, rbp, path, 4
    CHECK_EQ 7, rax, 4
    SYSCALL SYS_fcntl, rbp, F_SETFD, FD_CLOEXEC
    CHECK_OK 8
    SYSCALL SYS_umask, 027
    CHECK_OK 9
    SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
    CHECK_OK 10
    SYSCALL SYS_setpriority, 0, 0, 7
    CHECK_OK 11
    SYSCALL SYS_set_tls_area, 0, tls_info, 16
    CHECK_OK 12
    movq xmm7, [limit]
    SYSCALL SYS_sigprocmask, SIG_BLOCK, user_signal, 0
    CHECK_OK 13
    SYSCALL SYS_getpid
    mov r15, rax
    SYSCALL SYS_kill, r15, SIGUSR1
    CHECK_OK 14

    SYSCALL SYS_fork
    CHECK_OK 15
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_MEM 16, status, 0
    CHECK_MEM 17, r12, 1
    CHECK_MEM 18, r13, 20
    CHECK_MEM 19, r14, 3
    SYSCALL SYS_lseek, rbp, 0, 0, SEEK_CUR
    CHECK_EQ 20, rax, 2
    SYSCALL SYS_sigpending, set
    CHECK_MEM 21, set, 1 << (SIGUSR1 - 1)
    DONE

child:
    CHECK_MEM 100, r12, 1
    mov qword ptr [r12], 10
    CHECK_MEM 101, r13, 2
    mov qword ptr [r13], 20
    SYSCALL SYS_write, rbp, r14, 1      # not there
    CHECK_ERRNO 102, ERRNO_EFAULT
    SYSCALL SYS_lseek, rbp, 0, 0, SEEK_CUR
    CHECK_EQ 103, rax, 4
    SYSCALL SYS_lseek, rbp, 0, 2, SEEK_SET
    CHECK_EQ 104, rax, 2
    SYSCALL SYS_fcntl, rbp, F_GETFD, 0
    CHECK_EQ 105, rax, FD_CLOEXEC
    SYSCALL SYS_open, path, O_RDONLY
    CHECK_OK 106
    SYSCALL SYS_umask, 0
    CHECK_EQ 107, rax, 027
    SYSCALL SYS_getrlimit, RLIMIT_CPU, result
    CHECK_MEM 108, result, 1000
    SYSCALL SYS_getpriority, 0, 0
    CHECK_EQ 109, rax, 7
    CHECK_EQ 110, fs:[0], 0x77
    movq r11, xmm7
    CHECK_EQ 111, r11, 1000
    SYSCALL SYS_sigpending, set
    CHECK_MEM 112, set, 0
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, set
    CHECK_MEM 113, set, 1 << (SIGUSR1 - 1)
    SYSCALL SYS_getppid
    CHECK_EQ 114, rax, r15
    SYSCALL SYS_getpgrp
    CHECK_EQ 115, rax, r15
    SYSCALL SYS_getsid
    CHECK_EQ 116, rax, r15
    SYSCALL SYS_exit, 0

    .balign 8
status:
    .quad 0
limit:
    .quad 1000, 2000
result:
    .quad 0, 0
tls_info:
    .quad tls, -1
tls:
    .quad 0x77
user_signal:
    .quad 1 << (SIGUSR1 - 1), 0
set:
    .quad 0, 0
directory:
    .asciz "dir"
path:
    .asciz "file"
