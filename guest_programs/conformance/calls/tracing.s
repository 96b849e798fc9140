# System calls that are made with the trap flag set.

.include "../signal.inc"

# TRACED number: make a call with T set.
.macro TRACED number
    mov qword ptr [traps], 0
    mov eax, \number
    push PSL_USER + PSL_T
    popfq
    syscall
.endm

    HANDLE SIGTRAP, handler, SA_SIGINFO
    SYSCALL SYS_getpid
    mov [pid], rax

CASE one_trap, "1.5.1", "A call made with T set posts SIGTRAP, once"
    TRACED SYS_getpid
    EQUAL [traps], 1
    EQUAL rax, [pid]

CASE behind_the_call, "1.5.1", "The signal comes when the call is over, with rip behind it"
    TRACED SYS_getpid
behind:
    EQUAL [seen_RIP], behind
    EQUAL [seen_RAX], [pid]

CASE code, "1.5.1", "Its code is TRAP_TRACE"
    mov qword ptr [seen_code], 0
    TRACED SYS_getpid
    EQUAL [seen_code], TRAP_TRACE

CASE trap_number, "1.5.1", "The frame of the signal is that of a system call: trap number 0x81"
    TRACED SYS_getpid
    EQUAL [seen_TRAPNO], T_FAST_SYSCALL

CASE flag_cleared, "1.5.1", "T is clear in the frame, so what follows is not traced"
    TRACED SYS_getpid
    pushfq
    pop r12
    EQUAL [traps], 1
    BITS [seen_RFLAGS], PSL_T, 0
    BITS r12, PSL_T, 0

CASE refused, "1.5.1 1.3.2", "A call that is refused is traced as well"
    mov edi, 59
    TRACED SYS_close
    setc r12b
    EQUAL [traps], 1
    EQUAL rax, ERRNO_EBADF
    movzx r12d, r12b
    EQUAL r12, 1
    EQUAL [seen_RAX], ERRNO_EBADF
    BITS [seen_RFLAGS], PSL_C, PSL_C

CASE sleeping, "1.5.1", "A call that sleeps is traced when it is over"
    mov rdi, a_millisecond
    xor esi, esi
    TRACED SYS_nanosleep
behind_sleep:
    EQUAL [traps], 1
    EQUAL [seen_RIP], behind_sleep
    EQUAL [seen_RAX], 0

CASE masked, "1.5.1", "While SIGTRAP is masked it waits, and T is gone all the same"
    MASK SIG_BLOCK, SIGTRAP
    TRACED SYS_getpid
    pushfq
    pop r12
    EQUAL [traps], 0
    BITS r12, PSL_T, 0
    SYSCALL SYS_sigpending, pending
    EQUAL [pending], 1 << (SIGTRAP - 1)
    MASK SIG_UNBLOCK, SIGTRAP
    EQUAL [traps], 1

CASE not_traced, "1.5.1", "A call made without T posts nothing"
    mov qword ptr [traps], 0
    SYSCALL SYS_getpid
    EQUAL [traps], 0

CASE by_default, "1.5.1 3.2.7", "By default SIGTRAP ends the process"
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, rax, pending, 0, 0
    OK
    BITS [pending], 0x7f, SIGTRAP

    FINISH

child:
    HANDLE SIGTRAP, SIG_DFL
    TRACED SYS_getpid
    SYSCALL SYS_exit, 0

handler:                                # rsi siginfo, rdx ucontext
    inc qword ptr [traps]
    mov eax, [rsi + SI_CODE]
    mov [seen_code], rax
    .irp word, RIP, RAX, TRAPNO, RFLAGS
    mov rax, [rdx + UC_MCONTEXT + MC_\word]
    mov [seen_\word], rax
    .endr
    ret

    .balign 8
traps:
    .quad 0
pid:
    .quad 0
seen_code:
    .quad 0
    .irp word, RIP, RAX, TRAPNO, RFLAGS
seen_\word:
    .quad 0
    .endr
pending:
    .quad 0, 0
