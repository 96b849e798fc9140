# abi 3.2, 7.2: a process is stopped and continued; KILL ends it even so.

.include "signals.inc"

    SYSCALL SYS_fork
    CHECK_OK 1
    test rax, rax
    jz child
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    CHECK_EQ 2, rax, r15
    CHECK_MEM 3, status, SIGSTOP << 8 | 0x7F
    SYSCALL SYS_wait4, r15, status, WUNTRACED + WNOHANG, 0
    CHECK_EQ 4, rax, 0                  # told once
    SYSCALL SYS_kill, r15, SIGUSR1      # waits until it goes on
    PAUSE
    SYSCALL SYS_kill, r15, SIGCONT
    SYSCALL SYS_wait4, r15, status, 0, 0
    CHECK_EQ 5, rax, r15
    CHECK_MEM 6, status, 7 << 8

    SYSCALL SYS_fork
    test rax, rax
    jz stopped_for_good
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    SYSCALL SYS_kill, r15, SIGKILL
    SYSCALL SYS_wait4, r15, status, 0, 0
    CHECK_MEM 7, status, SIGKILL
    DONE

child:
    HANDLE 20, SIGUSR1, handler
    HANDLE 21, SIGCONT, handler
    RAISE 22, SIGSTOP
    CHECK_EQ 23, [calls], 2
    CHECK_EQ 24, [last], SIGCONT        # the lower number, so the outer handler
    SYSCALL SYS_exit, 7

stopped_for_good:
    RAISE 30, SIGSTOP
    SYSCALL SYS_exit, 31

handler:
    inc qword ptr [calls]
    mov [last], rdi
    ret

    .balign 8
status:
    .quad 0
calls:
    .quad 0
last:
    .quad 0
