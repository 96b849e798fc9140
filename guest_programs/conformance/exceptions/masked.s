# Exceptions whose signal is masked or ignored.

.include "own.inc"

NOWHERE = 0x123456

    OWN_SPACE

# The instruction faults again and again; only the alarm finds it there.  Its handler sees the
# signal wait, and at the second time lets the instruction succeed.
.macro FAULT_TWICE
    HANDLE SIGALRM, alarm
    mov qword ptr [alarms], 0
    mov qword ptr [fault_at], .Lfault\@
    SYSCALL SYS_setitimer, ITIMER_REAL, often, 0
    OK
    mov r14d, NOWHERE
.Lfault\@:
    mov rax, [r14]
    EQUAL [alarms], 2
.endm

CASE masked, "3.4.18", "A masked SIGSEGV stays pending, and the instruction faults until it can succeed"
    FORGET_SIGNALS
    HANDLE SIGSEGV, record, SA_SIGINFO
    MASK SIG_BLOCK, SIGSEGV
    FAULT_TWICE
    EQUAL [waiting], 1 << (SIGSEGV - 1)
    EQUAL [taken], 0

    # It is delivered once, with what it was sent for.
    MASK SIG_UNBLOCK, SIGSEGV
    EQUAL [taken], 1
    EQUAL [taken_rdi], SIGSEGV
    mov eax, [TAKEN_SI + SI_CODE]
    EQUAL rax, SEGV_MAPERR

CASE ignored, "3.4.18", "An ignored SIGSEGV is forgotten, and the instruction faults until it can succeed"
    FORGET_SIGNALS
    HANDLE SIGSEGV, SIG_IGN
    FAULT_TWICE
    EQUAL [waiting], 0
    HANDLE SIGSEGV, record
    EQUAL [taken], 0

# DIES signal, "code": a child in which code runs is ended by this signal.
.macro DIES signal, code
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz .Lparent\@
    \code
    SYSCALL SYS_exit, 0
.Lparent\@:
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    mov eax, [status]
    and eax, 0x7f
    EQUAL rax, \signal
.endm

CASE default_action, "3.4.1", "DIV by zero ends a process that does not catch SIGFPE"
    HANDLE SIGFPE, SIG_DFL
    DIES SIGFPE, "xor ecx, ecx; div ecx"

CASE default_ill, "3.4.5", "UD2 ends a process that does not catch SIGILL"
    HANDLE SIGILL, SIG_DFL
    DIES SIGILL, "ud2"

CASE default_trap, "3.4.3", "INT3 ends a process that does not catch SIGTRAP"
    HANDLE SIGTRAP, SIG_DFL
    DIES SIGTRAP, "int3"

CASE default_bus, "3.4.10", "HLT ends a process that does not catch SIGBUS"
    HANDLE SIGBUS, SIG_DFL
    DIES SIGBUS, "hlt"

CASE default_segv, "3.4.11", "A page fault ends a process that does not catch SIGSEGV"
    HANDLE SIGSEGV, SIG_DFL
    DIES SIGSEGV, "mov rax, [NOWHERE]"

    FINISH

alarm:
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    cmp rax, [fault_at]
    jne .Lagain
    inc qword ptr [alarms]
    cmp qword ptr [alarms], 2
    jb .Lagain
    mov rax, often                      # what can be read
    mov [rdx + UC_MCONTEXT + MC_R14], rax
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
    SYSCALL SYS_sigpending, waiting
.Lagain:
    ret

    .balign 8
often:
    .quad 0, 1000, 0, 1000
never:
    .quad 0, 0, 0, 0
alarms:
    .quad 0
fault_at:
    .quad 0
waiting:
    .quad 0, 0
status:
    .quad 0
