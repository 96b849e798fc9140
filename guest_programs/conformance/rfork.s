# abi 1.3: what rfork shares and what it does not

.include "vkemu.inc"

# RFORK n, flags, label: make a child that goes on at label, and wait until it has exited with 0.
.macro RFORK check, flags, label
    SYSCALL SYS_rfork, \flags
    CHECK_OK \check
    test rax, rax
    jz \label
    CHECK_EQ \check, rdx, 0
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_OK \check
    CHECK_MEM \check, status, 0
.endm

    SYSCALL SYS_rfork, RFPROC + RFPGLOCK
    CHECK_ERRNO 1, ERRNO_EINVAL
    SYSCALL SYS_rfork, RFPROC + RFPPWAIT
    CHECK_ERRNO 2, ERRNO_EINVAL
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFCFDG
    CHECK_ERRNO 3, ERRNO_EINVAL
    SYSCALL SYS_rfork, RFFDG + RFCFDG
    CHECK_ERRNO 4, ERRNO_EINVAL
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    CHECK_OK 5
    mov r12, rax

    # Descriptors: shared, copied, none.
    RFORK 6, RFPROC, closer
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_ERRNO 7, ERRNO_EBADF
    SYSCALL SYS_open, path, O_RDWR
    CHECK_EQ 8, rax, r12
    RFORK 9, RFPROC + RFFDG, closer
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_OK 10
    RFORK 11, RFPROC + RFCFDG, without_files
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_OK 12

    # Memory: copied, shared.
    RFORK 13, RFPROC + RFFDG, writer
    CHECK_MEM 14, variable, 0
    RFORK 15, RFPROC + RFFDG + RFMEM, writer
    CHECK_MEM 16, variable, 9

    # Signal handlers: copied, shared.
    RFORK 17, RFPROC + RFFDG, catcher
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    CHECK_MEM 18, old_action, SIG_DFL
    RFORK 19, RFPROC + RFFDG + RFSIGSHARE, catcher
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    CHECK_MEM 20, old_action, 0x1234

    # A child of init's.
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFNOWAIT
    CHECK_OK 21
    test rax, rax
    jz foreign
    SYSCALL SYS_wait4, -1, 0, 0, 0
    CHECK_ERRNO 22, ERRNO_ECHILD

    # Peers end with their leader.
    SYSCALL7 SYS_mmap, 0, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_SHARED, -1, 0, 0
    CHECK_OK 23
    mov r13, rax
    RFORK 24, RFPROC + RFFDG, leader
    SYSCALL SYS_kill, [r13], 0
    CHECK_ERRNO 25, ERRNO_ESRCH

    # No new process.
    mov rdx, 5
    SYSCALL SYS_rfork, RFFDG
    CHECK_EQ 26, rax, 0
    CHECK_EQ 27, rdx, 0
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_OK 28
    SYSCALL SYS_rfork, RFCFDG
    CHECK_EQ 29, rax, 0
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_ERRNO 30, ERRNO_EBADF
    DONE

closer:
    CHECK_EQ 100, rdx, 1
    SYSCALL SYS_close, r12
    CHECK_OK 101
    SYSCALL SYS_exit, 0

without_files:
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    CHECK_ERRNO 102, ERRNO_EBADF
    SYSCALL SYS_open, path, O_RDONLY
    CHECK_EQ 103, rax, 0
    SYSCALL SYS_exit, 0

writer:
    mov qword ptr [variable], 9
    SYSCALL SYS_exit, 0

catcher:
    SYSCALL SYS_sigaction, SIGUSR2, action, 0
    CHECK_OK 104
    SYSCALL SYS_exit, 0

foreign:
    SYSCALL SYS_getppid
    CHECK_EQ 105, rax, 1
    SYSCALL SYS_exit, 0

leader:
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFTHREAD
    CHECK_OK 106
    test rax, rax
    jz peer
    mov [r13], rax
    SYSCALL SYS_kill, rax, 0
    CHECK_OK 107
    SYSCALL SYS_exit, 0
peer:
    jmp peer

    .balign 8
status:
    .quad 0
variable:
    .quad 0
action:
    .quad 0x1234, 0, 0, 0
old_action:
    .quad 0, 0, 0, 0
path:
    .asciz "file"
