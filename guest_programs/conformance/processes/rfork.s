# What rfork shares and what it does not.

.include "../processes.inc"

# RFORK flags, label: a child goes on at label, and ends with status 0.
.macro RFORK flags, label
    SYSCALL SYS_rfork, \flags
    OK
    test rax, rax
    jz \label
    mov r15, rax
    ENDED
.endm

# OPENED: r12 is a descriptor.
.macro OPENED
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    OK
    mov r12, rax
.endm

# OPEN, CLOSED: it is open, or not.
.macro OPEN
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    OK
.endm
.macro CLOSED
    SYSCALL SYS_fcntl, r12, F_GETFD, 0
    REFUSED ERRNO_EBADF
.endm

CASE lock, "2.8", "RFPGLOCK is not a program's to set: EINVAL"
    SYSCALL SYS_rfork, RFPROC + RFPGLOCK
    REFUSED ERRNO_EINVAL

CASE wait_flag, "2.8", "RFPPWAIT is not a program's to set: EINVAL"
    SYSCALL SYS_rfork, RFPROC + RFPPWAIT
    REFUSED ERRNO_EINVAL

CASE copied_and_empty, "2.8", "RFFDG and RFCFDG together are EINVAL, with and without a child"
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFCFDG
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_rfork, RFFDG + RFCFDG
    REFUSED ERRNO_EINVAL

CASE files_shared, "2.8", "RFPROC alone shares the table of descriptors"
    OPENED
    RFORK RFPROC, closes
    CLOSED

CASE files_copied, "2.8", "RFFDG copies the table of descriptors"
    OPENED
    RFORK RFPROC + RFFDG, closes
    OPEN

CASE no_files, "2.8", "RFCFDG gives the child an empty table of descriptors"
    OPENED
    RFORK RFPROC + RFCFDG, without_files
    OPEN

CASE memory_copied, "2.8", "Without RFMEM memory is copied"
    mov qword ptr [variable], 0
    RFORK RFPROC + RFFDG, writes
    WORD variable, 0

CASE memory_shared, "2.8", "RFMEM shares memory"
    mov qword ptr [variable], 0
    RFORK RFPROC + RFFDG + RFMEM, writes
    WORD variable, 9

CASE handlers_copied, "2.8", "Without RFSIGSHARE signal handlers are copied"
    SYSCALL SYS_sigaction, SIGUSR2, default, 0
    RFORK RFPROC + RFFDG, handles
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    WORD old_action, SIG_DFL

CASE handlers_shared, "2.8", "RFSIGSHARE shares signal handlers"
    SYSCALL SYS_sigaction, SIGUSR2, default, 0
    RFORK RFPROC + RFFDG + RFSIGSHARE, handles
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    WORD old_action, 0x1234

CASE of_init, "2.8", "A child of RFNOWAIT is the child of process 1"
    CHILDLESS
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFNOWAIT
    OK
    test rax, rax
    jz foreign
    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD

CASE peers, "2.8", "Processes of RFTHREAD end with their leader"
    SHARED
    RFORK RFPROC + RFFDG, leader
peer_there:
    SYSCALL SYS_kill, [r14], 0
    jnc peer_there
    REFUSED ERRNO_ESRCH

CASE no_process, "2.8 1.3.5", "Without RFPROC there is no child, and both results are 0"
    mov rdx, 5
    mov edi, RFFDG
    mov eax, SYS_rfork
    syscall
    OK
    EQUAL rax, 0
    EQUAL rdx, 0

CASE own_files, "2.8", "RFFDG without RFPROC leaves the descriptors open"
    OPENED
    SYSCALL SYS_rfork, RFFDG
    OK
    OPEN

CASE no_files_any_more, "2.8", "RFCFDG without RFPROC closes all descriptors"
    FORK empties
    ENDED

    FINISH

empties:
    OPENED
    SYSCALL SYS_rfork, RFCFDG
    OK
    EQUAL rax, 0
    CLOSED
    SYSCALL SYS_exit, 0

closes:
    SYSCALL SYS_close, r12
    OK
    SYSCALL SYS_exit, 0

without_files:
    CLOSED
    SYSCALL SYS_open, path, O_RDONLY
    OK
    EQUAL rax, 0
    SYSCALL SYS_exit, 0

writes:
    mov qword ptr [variable], 9
    SYSCALL SYS_exit, 0

handles:
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
    mov [r14], rax
    SYSCALL SYS_kill, rax, 0
    OK
    SYSCALL SYS_exit, 0
peer:
    jmp peer

    .balign 8
variable:
    .quad 0
action:
    .quad 0x1234, 0, 0, 0
default:
    .quad SIG_DFL, 0, 0, 0
old_action:
    .quad 0, 0, 0, 0
path:
    .asciz "file"
