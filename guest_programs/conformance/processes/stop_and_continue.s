# A process is stopped and continued; KILL ends it even so.

.include "../processes.inc"
.include "../signal.inc"

STOPPED = 0x7f                          # with the signal above it

# STOPS signal: the child r15 stops for this signal.
.macro STOPS signal
    SYSCALL SYS_wait4, r15, child_status, WUNTRACED, 0
    OK
    EQUAL rax, r15
    WORD32 child_status, \signal << 8 | STOPPED
.endm

# SEND signal: to the child.
.macro SEND signal
    SYSCALL SYS_kill, r15, \signal
    OK
.endm

CASE stopped, "3.2.5", "SIGSTOP stops a process until SIGCONT"
    CHILDLESS
    FORK stops_itself
    STOPS SIGSTOP
    SEND SIGCONT
    ENDED 7 << 8

CASE stopped_from_outside, "3.2.5", "A process in a loop, and one that sleeps, can be stopped and ended"
    CHILDLESS
    .irp kind, loops, sleeps
    FORK \kind
    SEND SIGSTOP
    STOPS SIGSTOP
    SEND SIGCONT
    SEND SIGKILL
    ENDED SIGKILL
    .endr

CASE terminal_stop, "3.2.5 3.2.7", "SIGTSTP, SIGTTIN and SIGTTOU stop a process that does not catch them"
    CHILDLESS
    .irp signal, SIGTSTP, SIGTTIN, SIGTTOU
    mov qword ptr [which], \signal
    FORK stops_with_which
    STOPS \signal
    SEND SIGCONT
    ENDED 7 << 8
    .endr

CASE waits, "3.2.5 3.2.3", "What is sent to a stopped process waits until it goes on"
    CHILDLESS
    SHARED
    FORK catches_two
    STOPS SIGSTOP
    SEND SIGUSR1
    lea rax, [r14]
    WORD rax, 0
    SEND SIGCONT
    ENDED 7 << 8
    WORD r14, 2

CASE kill, "3.2.5", "SIGKILL ends a stopped process"
    CHILDLESS
    FORK stops_itself
    STOPS SIGSTOP
    SEND SIGKILL
    ENDED SIGKILL

CASE continue_takes_stops, "3.2.5", "SIGCONT takes away a stop that waits"
    CHILDLESS
    FORK masks_stops
    ENDED 7 << 8

    FINISH

stops_itself:
    RAISE SIGSTOP
    SYSCALL SYS_exit, 7

stops_with_which:
    SYSCALL SYS_setpgid, 0, 0           # a group of its own, whose parent can continue it
    OK
    RAISE [which]
    SYSCALL SYS_exit, 7

loops:
    jmp loops
sleeps:
    SYSCALL SYS_nanosleep, long, 0
    jmp sleeps

catches_two:
    HANDLE SIGUSR1, handler
    HANDLE SIGCONT, handler
    RAISE SIGSTOP
    EQUAL [last], SIGCONT               # the lower number, so the outer handler
    SYSCALL SYS_exit, 7

masks_stops:
    SYSCALL SYS_setpgid, 0, 0
    OK
    MASK SIG_BLOCK, SIGTSTP
    RAISE SIGTSTP
    SYSCALL SYS_sigpending, pending
    WORD pending, 1 << (SIGTSTP - 1)
    RAISE SIGCONT
    SYSCALL SYS_sigpending, pending
    WORD pending, 0
    SYSCALL SYS_exit, 7

handler:
    inc qword ptr [r14]
    mov [last], rdi
    ret

    .balign 8
which:
    .quad 0
last:
    .quad 0
long:
    .quad 1000, 0
pending:
    .quad 0, 0
