# Mailboxes: what became of SA_MAILBOX after 2011.

.include "../signal.inc"

MAILBOX = 0x1000

    PLAIN_SPACE

    .if ABI == 2011
CASE mailbox, "9.5 7.7.6", "2011: SA_MAILBOX stores the number, and runs nothing"
    HANDLE SIGUSR1, box, MAILBOX
    mov qword ptr [box], 0
    RAISE SIGUSR1
    WORD32 box, SIGUSR1

CASE read_back, "9.5", "2011: the flag can be read back"
    HANDLE SIGUSR1, box, MAILBOX
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    OK
    BITS [old + 8], MAILBOX, MAILBOX

CASE breaks_vmspace_ctl, "9.5 7.7.6", "2011: and the next vmspace_ctl is EINTR, once"
    HANDLE SIGUSR1, box, MAILBOX
    GUEST "int3"
    EXPECT T_BPTFLT, CODE + 1
    RAISE SIGUSR1
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    REFUSED ERRNO_EINTR
    RUN
    .else
CASE no_mailbox, "9.5", "The flag means nothing: a handler is called"
    HANDLE SIGUSR1, handler, MAILBOX
    mov qword ptr [caught], 0
    RAISE SIGUSR1
    EQUAL [caught], 1

CASE not_read_back, "9.5", "The flag cannot be read back"
    HANDLE SIGUSR1, handler, MAILBOX
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    OK
    BITS [old + 8], MAILBOX, 0

CASE vmspace_ctl_goes_on, "9.5", "vmspace_ctl is never EINTR: a guest runs after such a signal"
    HANDLE SIGUSR1, handler, MAILBOX
    GUEST "int3"
    EXPECT T_BPTFLT, CODE + 1
    RAISE SIGUSR1
    RUN

CASE sleep_goes_on, "9.5 1.3.6", "Nor does it break a sleep that is made again"
    HANDLE SIGALRM, handler, MAILBOX + SA_RESTART
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    mov r15, rax
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    OK
    SYSCALL SYS_wait4, r15, 0, 0, 0
    OK
    EQUAL rax, r15
    .endif

    FINISH

child:
    SYSCALL SYS_nanosleep, later, 0
    SYSCALL SYS_exit, 0

handler:
    inc qword ptr [caught]
    ret

    .balign 8
box:
    .quad 0
caught:
    .quad 0
old:
    .space 32
soon:
    .quad 0, 0, 0, 3000
later:
    .quad 0, 20000000
