# Wait4 tells of ends, stops and continuations, each once and the youngest child first.

.include "../conform.inc"

# CHILD n, label: fork a child that goes on at label; r15 is its pid.
.macro CHILD check, label
CASE wait, "2.3", "Wait4 tells of ends, stops and continuations, each once and the youngest child first"
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz \label
    mov r15, rax
.endm

# CHECK_WAIT n, pid, options, result, status: check n fails unless wait4 tells just that.
.macro CHECK_WAIT check, pid, options, result, how
    SYSCALL SYS_wait4, \pid, status, \options, 0
    OK
    EQUAL rax, \result
    WORD status, \how
.endm

    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD
    SYSCALL SYS_wait4, -1, 0, 8, 0
    REFUSED ERRNO_EINVAL

    # A stop is told of if that is wanted, and once.
    CHILD 3, stopper
    CHECK_WAIT 4, r15, WUNTRACED, r15, SIGSTOP*0x100 + 0x7f
    CHECK_WAIT 5, r15, WUNTRACED + WNOHANG, 0, SIGSTOP*0x100 + 0x7f
    SYSCALL SYS_kill, r15, SIGCONT
    OK
    CHECK_WAIT 7, -1, WUNTRACED + WCONTINUED, r15, SIGCONT
    CHECK_WAIT 8, -1, WCONTINUED + WNOHANG, 0, SIGCONT
    CHECK_WAIT 9, -1, 0, r15, 0x500
    SYSCALL SYS_wait4, r15, 0, 0, 0
    REFUSED ERRNO_ECHILD

    # 0 means the caller's own group, -N group N.
    CHILD 11, one
    mov r14, r15
    SYSCALL SYS_setpgid, r14, 0
    OK
    CHILD 13, two
    CHECK_WAIT 14, 0, 0, r15, 0x200
    SYSCALL SYS_wait4, 0, 0, 0, 0
    REFUSED ERRNO_ECHILD
    mov r13, r14
    neg r13
    CHECK_WAIT 16, r13, 0, r14, 0x100
    SYSCALL SYS_wait4, r13, 0, 0, 0
    REFUSED ERRNO_ECHILD

    # Of several that have ended the youngest comes first.
    CHILD 18, one
    mov r14, r15
    CHILD 19, two
    SYSCALL SYS_nanosleep, a_moment, 0
    OK
    CHECK_WAIT 21, -1, WNOHANG, r15, 0x200
    CHECK_WAIT 22, -1, WNOHANG, r14, 0x100

    # A "Linux thread" is waited for on its own, and its end is told with SIGUSR1.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, user_signal, 0
    OK
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFLINUXTHPN
    OK
    test rax, rax
    jz one
    mov r15, rax
    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD
    CHECK_WAIT 26, -1, WLINUXCLONE, r15, 0x100
    SYSCALL SYS_sigpending, set
    WORD set, 1 << (SIGUSR1 - 1)

    # A bad address does not bring the child back.
    CHILD 28, one
    SYSCALL SYS_wait4, r15, 8, 0, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_wait4, r15, status, 0, 0
    REFUSED ERRNO_ECHILD
    FINISH

stopper:
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_exit, 5
one:
    SYSCALL SYS_exit, 1
two:
    SYSCALL SYS_exit, 2

    .balign 8
status:
    .quad 0
a_moment:
    .quad 0, 1000000
user_signal:
    .quad 1 << (SIGUSR1 - 1), 0
set:
    .quad 0, 0
