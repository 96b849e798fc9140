# A process is stopped and continued; KILL ends it even so.

.include "../signal.inc"

CASE stop_and_continue, "3.2.5", "A process is stopped and continued; KILL ends it even so"
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    EQUAL rax, r15
    WORD status, SIGSTOP << 8 | 0x7F
    SYSCALL SYS_wait4, r15, status, WUNTRACED + WNOHANG, 0
    EQUAL rax, 0                  # told once
    SYSCALL SYS_kill, r15, SIGUSR1      # waits until it goes on
    PAUSE
    SYSCALL SYS_kill, r15, SIGCONT
    SYSCALL SYS_wait4, r15, status, 0, 0
    EQUAL rax, r15
    WORD status, 7 << 8

    SYSCALL SYS_fork
    test rax, rax
    jz stopped_for_good
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    SYSCALL SYS_kill, r15, SIGKILL
    SYSCALL SYS_wait4, r15, status, 0, 0
    WORD status, SIGKILL
    FINISH

child:
    HANDLE SIGUSR1, handler
    HANDLE SIGCONT, handler
    RAISE SIGSTOP
    EQUAL [calls], 2
    EQUAL [last], SIGCONT        # the lower number, so the outer handler
    SYSCALL SYS_exit, 7

stopped_for_good:
    RAISE SIGSTOP
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
