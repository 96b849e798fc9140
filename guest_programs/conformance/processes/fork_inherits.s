# What a child has from its parent: memory by its inheritance, open files with their positions, registers with TLS and FP state, mask, umask, limits and directory; not the pending signals.

.include "../conform.inc"

CASE fork_inherits, "6.15.1", "What a child has from its parent: memory by its inheritance, open files with their ..."
    SYSCALL7 SYS_mmap, 0, 3*PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
    OK
    mov r12, rax
    lea r13, [r12 + PAGE_SIZE]
    lea r14, [r13 + PAGE_SIZE]
    mov qword ptr [r12], 1
    mov qword ptr [r13], 2
    mov qword ptr [r14], 3
    SYSCALL SYS_minherit, r13, PAGE_SIZE, INHERIT_SHARE
    OK
    SYSCALL SYS_minherit, r14, PAGE_SIZE, INHERIT_NONE
    OK
    SYSCALL SYS_mkdir, directory, 0700
    OK
    SYSCALL SYS_chdir, directory
    OK
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    OK
    mov rbp, rax
    SYSCALL SYS_write, rbp, path, 4
    EQUAL rax, 4
    SYSCALL SYS_fcntl, rbp, F_SETFD, FD_CLOEXEC
    OK
    SYSCALL SYS_umask, 027
    OK
    SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
    OK
    SYSCALL SYS_setpriority, 0, 0, 7
    OK
    SYSCALL SYS_set_tls_area, 0, tls_info, 16
    OK
    movq xmm7, [limit]
    SYSCALL SYS_sigprocmask, SIG_BLOCK, user_signal, 0
    OK
    SYSCALL SYS_getpid
    mov r15, rax
    SYSCALL SYS_kill, r15, SIGUSR1
    OK

    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, status, 0, 0
    WORD status, 0
    WORD r12, 1
    WORD r13, 20
    WORD r14, 3
    SYSCALL SYS_lseek, rbp, 0, 0, SEEK_CUR
    EQUAL rax, 2
    SYSCALL SYS_sigpending, set
    WORD set, 1 << (SIGUSR1 - 1)
    FINISH

child:
    WORD r12, 1
    mov qword ptr [r12], 10
    WORD r13, 2
    mov qword ptr [r13], 20
    SYSCALL SYS_write, rbp, r14, 1      # not there
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_lseek, rbp, 0, 0, SEEK_CUR
    EQUAL rax, 4
    SYSCALL SYS_lseek, rbp, 0, 2, SEEK_SET
    EQUAL rax, 2
    SYSCALL SYS_fcntl, rbp, F_GETFD, 0
    EQUAL rax, FD_CLOEXEC
    SYSCALL SYS_open, path, O_RDONLY
    OK
    SYSCALL SYS_umask, 0
    EQUAL rax, 027
    SYSCALL SYS_getrlimit, RLIMIT_CPU, result
    WORD result, 1000
    SYSCALL SYS_getpriority, 0, 0
    EQUAL rax, 7
    EQUAL fs:[0], 0x77
    movq r11, xmm7
    EQUAL r11, 1000
    SYSCALL SYS_sigpending, set
    WORD set, 0
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, set
    WORD set, 1 << (SIGUSR1 - 1)
    SYSCALL SYS_getppid
    EQUAL rax, r15
    SYSCALL SYS_getpgrp
    EQUAL rax, r15
    SYSCALL SYS_getsid
    EQUAL rax, r15
    SYSCALL SYS_exit, 0

    .balign 8
status:
    .quad 0
limit:
    .quad 1000, 2000
result:
    .quad 0, 0
tls_info:
    .quad bases, -1
bases:
    .quad 0x77
user_signal:
    .quad 1 << (SIGUSR1 - 1), 0
set:
    .quad 0, 0
directory:
    .asciz "dir"
path:
    .asciz "file"
