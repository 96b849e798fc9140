# A system call that a signal interrupts is made again, or it is EINTR.

.include "../recorder.inc"

USR2 = 1 << (SIGUSR2 - 1)
SYSCALL_OPCODE = 0x050f

# WAITING flags, then: SIGUSR1 comes while this LWP sleeps.  Then the sender does what label `then`
# says.  The one of the last case is over by now.
.macro WAITING flags=0, then=sender_ends
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, \flags
    MASK SIG_BLOCK, SIGUSR2
    AWAIT sender_over
    mov dword ptr [sender_over], 0
    mov qword ptr [lwp_params + 16], lwp_stacks
    START sender, \then
.endm

CASE again, "1.3.6", "With SA_RESTART sigwaitinfo is made again, and waits on"
    WAITING SA_RESTART, sends_usr2
    SYSCALL SYS_sigwaitinfo, usr2, 0
    OK
    EQUAL rax, SIGUSR2
    EQUAL [taken], 1

CASE not_again, "1.3.6", "Without SA_RESTART sigwaitinfo is EINTR"
    WAITING 0
    SYSCALL SYS_sigwaitinfo, usr2, 0
    REFUSED ERRNO_EINTR
    EQUAL [taken], 1

CASE context, "1.3.6 7.9.2", "The handler's context stands at the SYSCALL, with number and arguments"
    WAITING SA_RESTART, sends_usr2
    SYSCALL SYS_sigwaitinfo, usr2, 0, 0x3333, 0x4444, 0x8888, 0x9999
    OK
    mov rax, [TAKEN_MC + MC_RIP]
    movzx eax, word ptr [rax]
    EQUAL rax, SYSCALL_OPCODE
    EQUAL [TAKEN_MC + MC_RAX], SYS_sigwaitinfo
    EQUAL [TAKEN_MC + MC_RDI], usr2
    EQUAL [TAKEN_MC + MC_RDX], 0x3333
    EQUAL [TAKEN_MC + MC_R10], 0x4444
    EQUAL [TAKEN_MC + MC_R8], 0x8888
    EQUAL [TAKEN_MC + MC_R9], 0x9999

CASE context_of_eintr, "1.3.2 7.9.2", "The context of a call that is EINTR stands behind it, with errno and carry"
    WAITING 0
    SYSCALL SYS_sigwaitinfo, usr2, 0
behind:
    REFUSED ERRNO_EINTR
    EQUAL [TAKEN_MC + MC_RIP], behind
    EQUAL [TAKEN_MC + MC_RAX], ERRNO_EINTR
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C, PSL_C

CASE nanosleep, "1.3.6 2.1.13", "nanosleep is EINTR even with SA_RESTART, and tells what was left"
    WAITING SA_RESTART
    SYSCALL SYS_nanosleep, an_hour, rest
    REFUSED ERRNO_EINTR
    EQUAL [rest], 3599
    EQUAL [taken], 1

CASE umtx, "1.3.6 2.1.1", "umtx_sleep is EINTR even with SA_RESTART"
    WAITING SA_RESTART
    SYSCALL SYS_umtx_sleep, a_word, 0, 0
    REFUSED ERRNO_EINTR
    EQUAL [taken], 1

CASE pipe, "1.3.6", "The read of an empty pipe is made again with SA_RESTART"
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov [writes_to], rdx
    WAITING SA_RESTART, writes
    SYSCALL SYS_read, r12, byte_read, 1
    OK
    EQUAL rax, 1
    EQUAL [taken], 1

CASE pipe_not_again, "1.3.6", "Without SA_RESTART the read of an empty pipe is EINTR"
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    WAITING 0
    SYSCALL SYS_read, r12, byte_read, 1
    REFUSED ERRNO_EINTR
    EQUAL [taken], 1

CASE no_sleep, "1.3.6", "A call that did not have to sleep has its result, whatever comes"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR1
    OK
    EQUAL [taken], 1

CASE ignored, "1.3.6", "A signal that is ignored does not interrupt"
    WAITING 0, sends_usr2
    HANDLE SIGUSR1, SIG_IGN             # in time: the sender sleeps first
    SYSCALL SYS_sigwaitinfo, usr2, 0
    OK
    EQUAL rax, SIGUSR2

CASE masked, "1.3.6", "A signal that is masked does not interrupt"
    WAITING 0, sends_usr2
    MASK SIG_BLOCK, SIGUSR1
    SYSCALL SYS_sigwaitinfo, usr2, 0
    OK
    EQUAL rax, SIGUSR2
    FORGET_SIGNALS

    FINISH

sender:                                 # rdi: what to do then
    mov rbx, rdi
    MASK SIG_BLOCK, SIGUSR2
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    PAUSE
    jmp rbx

sends_usr2:
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR2
    jmp sender_ends

writes:
    SYSCALL SYS_write, [writes_to], byte_read, 1
sender_ends:
    TELL sender_over
    END_LWP

    .balign 8
sender_over:
    .quad 1
writes_to:
    .quad 0
byte_read:
    .quad 0
an_hour:
    .quad 3600, 0
rest:
    .quad 0, 0
usr2:
    .quad USR2, 0
a_word:
    .quad 0
