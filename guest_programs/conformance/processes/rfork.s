# What rfork shares and what it does not.

.include "../conform.inc"

# RFORK n, flags, label: make a child that goes on at label, and wait until it has exited with 0.
.macro RFORK check, flags, label
CASE rfork, "1.3.5", "What rfork shares and what it does not"
    SYSCALL SYS_rfork, \flags
    OK
    test rax, rax
    jz \label
    EQUAL rdx, 0
    SYSCALL SYS_wait4, -1, status, 0, 0
    OK
    WORD status, 0
.endm

    SYSCALL SYS_rfork, RFPROC + RFPGLOCK
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_rfork, RFPROC + RFPPWAIT
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFCFDG
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_rfork, RFFDG + RFCFDG
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    OK
    mov r12, rax

    # Descriptors: shared, copied, none.
    RFORK 6, RFPROC, closer
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    REFUSED ERRNO_EBADF
    SYSCALL SYS_open, path, O_RDWR
    EQUAL rax, r12
    RFORK 9, RFPROC + RFFDG, closer
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    OK
    RFORK 11, RFPROC + RFCFDG, without_files
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    OK

    # Memory: copied, shared.
    RFORK 13, RFPROC + RFFDG, writer
    WORD variable, 0
    RFORK 15, RFPROC + RFFDG + RFMEM, writer
    WORD variable, 9

    # Signal handlers: copied, shared.
    RFORK 17, RFPROC + RFFDG, catcher
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    WORD old_action, SIG_DFL
    RFORK 19, RFPROC + RFFDG + RFSIGSHARE, catcher
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    WORD old_action, 0x1234

    # A child of init's.
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFNOWAIT
    OK
    test rax, rax
    jz foreign
    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD

    # Peers end with their leader.
    SYSCALL7 SYS_mmap, 0, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_SHARED, -1, 0, 0
    OK
    mov r13, rax
    RFORK 24, RFPROC + RFFDG, leader
    SYSCALL SYS_kill, [r13], 0
    REFUSED ERRNO_ESRCH

    # No new process.
    mov rdx, 5
    SYSCALL SYS_rfork, RFFDG
    EQUAL rax, 0
    EQUAL rdx, 0
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    OK
    SYSCALL SYS_rfork, RFCFDG
    EQUAL rax, 0
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    REFUSED ERRNO_EBADF
    FINISH

closer:
    EQUAL rdx, 1
    SYSCALL SYS_close, r12
    OK
    SYSCALL SYS_exit, 0

without_files:
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    REFUSED ERRNO_EBADF
    SYSCALL SYS_open, path, O_RDONLY
    EQUAL rax, 0
    SYSCALL SYS_exit, 0

writer:
    mov qword ptr [variable], 9
    SYSCALL SYS_exit, 0

catcher:
    SYSCALL SYS_sigaction, SIGUSR2, action, 0
    OK
    SYSCALL SYS_exit, 0

foreign:
    SYSCALL SYS_getppid
    EQUAL rax, 1
    SYSCALL SYS_exit, 0

leader:
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFTHREAD
    OK
    test rax, rax
    jz peer
    mov [r13], rax
    SYSCALL SYS_kill, rax, 0
    OK
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
