# Signals that a virtual kernel does not see while its guest runs: masked and ignored ones.

.include "counting.inc"

    PLAIN_SPACE
    SYSCALL SYS_getpid
    mov [process], rax

# SENDS signal: a child sends it to this process once the guest runs, and then lets the guest go.
.macro SENDS signal
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz .Lparent\@
    mov ebx, \signal
    jmp sender
.Lparent\@:
.endm

CASE masked, "7.2.12", "A signal that is masked is not seen: the guest runs on to its system call"
    WAITS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    SENDS SIGUSR1
    RUN
    EQUAL [taken], 0
    REAPED 0

CASE masked_waits, "7.2.12 7.7.1", "A masked signal is pending after the RUN, and handled once it is unmasked"
    WAITS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGUSR1
    SENDS SIGUSR1
    RUN
    SYSCALL SYS_sigpending, pending
    EQUAL [pending], 1 << (SIGUSR1 - 1)
    MASK SIG_UNBLOCK, SIGUSR1
    EQUAL [taken], 1
    REAPED 0

CASE ignored, "7.2.12", "A signal that is ignored is not seen"
    WAITS
    HANDLE SIGUSR1, SIG_IGN
    SENDS SIGUSR1
    RUN
    REAPED 0

CASE ignored_by_default, "7.2.12", "A signal that is ignored by default is not seen"
    WAITS
    HANDLE SIGIO, SIG_DFL
    SENDS SIGIO
    RUN
    REAPED 0

CASE continued, "7.2.12", "SIGCONT to a process that is not stopped is not seen"
    WAITS
    SENDS SIGCONT
    RUN
    REAPED 0

CASE probe, "7.2.12", "Signal 0 is none"
    WAITS
    SENDS 0
    RUN
    REAPED 0

CASE child_ends, "7.2.12", "The end of a child is not seen"
    WAITS
    SENDS 0
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz has_child
    SYSCALL SYS_exit, 0
has_child:
    mov r15, rax
    RUN
    REAPED 0
    SYSCALL SYS_wait4, r15, 0, 0, 0
    OK

    FINISH

sender:                                 # a child, with the signal in ebx
    PAUSE
    cmp qword ptr [RUNNING], 0
    je sender
    SYSCALL SYS_kill, [process], rbx
    OK
    mov r13, [RUNNING]
    call await_progress
    mov qword ptr [GO], 1
    SYSCALL SYS_exit, 0

    .balign 8
process:
    .quad 0
pending:
    .quad 0, 0
