# abi 1.3, 6.15: fork returns twice, memory is copied, wait4 reports how a child ended

.include "vkemu.inc"

    SYSCALL SYS_fork
    CHECK_OK 1
    test rax, rax
    jz child
    mov r15, rax
    CHECK_EQ 2, rdx, 0
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_OK 3
    CHECK_EQ 4, rax, r15
    CHECK_MEM 5, status, 0x700
    CHECK_MEM 6, variable, 0

    # vfork: the child borrows the memory, and the parent waits.
    SYSCALL SYS_vfork
    CHECK_OK 7
    test rax, rax
    jz borrower
    CHECK_MEM 8, variable, 9
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_MEM 9, status, 0

    # A child in an endless loop, and the signal that ends it.
    SYSCALL SYS_fork
    CHECK_OK 10
    test rax, rax
    jz for_ever
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WNOHANG, 0
    CHECK_EQ 11, rax, 0
    SYSCALL SYS_kill, r15, SIGKILL
    CHECK_OK 12
    SYSCALL SYS_wait4, r15, status, 0, 0
    CHECK_EQ 13, rax, r15
    CHECK_MEM 14, status, SIGKILL
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_ERRNO 15, ERRNO_ECHILD
    DONE

child:
    CHECK_EQ 100, rdx, 1
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
