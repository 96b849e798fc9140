# A system call that a signal interrupts is made again, or it is EINTR.

.include "../signal.inc"

    # sigwaitinfo, whose third argument is in r10's neighbourhood: all must still be there.
CASE signal_restart, "1.3.6", "A system call that a signal interrupts is made again, or it is EINTR"
    HANDLE SIGUSR1, handler, SA_RESTART
    SYSCALL SYS_getpid
    mov r12, rax
    mov qword ptr [waited], 1 << (SIGUSR2 - 1)
    MASK SIG_BLOCK, SIGUSR2
    START first_then_waited, 1
    mov r9, 0x9999
    SYSCALL SYS_sigwaitinfo, waited, 0, 0, 0x4444, 0x8888, 0x9999
    OK
    EQUAL rax, SIGUSR2
    EQUAL [calls], 1

    # The same without SA_RESTART.
    HANDLE SIGUSR1, handler
    START first_only, 2
    SYSCALL SYS_sigwaitinfo, waited, 0
    REFUSED ERRNO_EINTR
    EQUAL [calls], 2

    # nanosleep and umtx_sleep are never made again.
    HANDLE SIGUSR1, handler, SA_RESTART
    START first_only, 3
    SYSCALL SYS_nanosleep, an_hour, rest
    REFUSED ERRNO_EINTR
    EQUAL [rest], 3599
    EQUAL [calls], 3
    START first_only, 4
    SYSCALL SYS_umtx_sleep, a_word, 0, 0
    REFUSED ERRNO_EINTR
    EQUAL [calls], 4
    FINISH

first_then_waited:
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    PAUSE
    SYSCALL SYS_kill, r12, SIGUSR2
    END_LWP

first_only:
    PAUSE
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

handler:
    cmp qword ptr [calls], 0
    jne 1f
    # It will be made again: the frame stands at the instruction, with the fourth argument.
    EQUAL [rdx + UC_MCONTEXT + MC_R10], 0x4444
    EQUAL [rdx + UC_MCONTEXT + MC_R8], 0x8888
    EQUAL [rdx + UC_MCONTEXT + MC_R9], 0x9999
    EQUAL [rdx + UC_MCONTEXT + MC_RAX], SYS_sigwaitinfo
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    movzx eax, word ptr [rax]
    EQUAL rax, 0x050F            # syscall
1:
    inc qword ptr [calls]
    ret

    .balign 8
an_hour:
    .quad 3600, 0
rest:
    .quad 0, 0
waited:
    .quad 0, 0
a_word:
    .quad 0
calls:
    .quad 0
