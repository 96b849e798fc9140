# Fork returns twice, memory is copied, wait4 reports how a child ended.

.include "../conform.inc"

CASE fork_and_wait, "1.3.5 6.15.1", "Fork returns twice, memory is copied, wait4 reports how a child ended"
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    mov r15, rax
    EQUAL rdx, 0
    SYSCALL SYS_wait4, -1, status, 0, 0
    OK
    EQUAL rax, r15
    WORD status, 0x700
    WORD variable, 0

    # vfork: the child borrows the memory, and the parent waits.
    SYSCALL SYS_vfork
    OK
    test rax, rax
    jz borrower
    WORD variable, 9
    SYSCALL SYS_wait4, -1, status, 0, 0
    WORD status, 0

    # A child in an endless loop, and the signal that ends it.
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz for_ever
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WNOHANG, 0
    EQUAL rax, 0
    SYSCALL SYS_kill, r15, SIGKILL
    OK
    SYSCALL SYS_wait4, r15, status, 0, 0
    EQUAL rax, r15
    WORD status, SIGKILL
    SYSCALL SYS_wait4, -1, status, 0, 0
    REFUSED ERRNO_ECHILD
    FINISH

child:
    EQUAL rdx, 1
    mov qword ptr [variable], 5
    SYSCALL SYS_exit, 7

borrower:
    mov qword ptr [variable], 9
    SYSCALL SYS_exit, 0

for_ever:
    jmp for_ever

    .balign 8
status:
    .quad 0
variable:
    .quad 0
