# abi 1.3: a system call that a signal interrupts is made again, or it is EINTR.

.include "signals.inc"

    # sigwaitinfo, whose third argument is in r10's neighbourhood: all must still be there.
    HANDLE 1, SIGUSR1, handler, SA_RESTART
    SYSCALL SYS_getpid
    mov r12, rax
    mov qword ptr [waited], 1 << (SIGUSR2 - 1)
    MASK 2, SIG_BLOCK, SIGUSR2
    START 3, first_then_waited, 1
    mov r9, 0x9999
    SYSCALL SYS_sigwaitinfo, waited, 0, 0, 0x4444, 0x8888, 0x9999
    CHECK_OK 4
    CHECK_EQ 5, rax, SIGUSR2
    CHECK_EQ 6, [calls], 1

    # The same without SA_RESTART.
    HANDLE 7, SIGUSR1, handler
    START 8, first_only, 2
    SYSCALL SYS_sigwaitinfo, waited, 0
    CHECK_ERRNO 9, ERRNO_EINTR
    CHECK_EQ 10, [calls], 2

    # nanosleep and umtx_sleep are never made again.
    HANDLE 11, SIGUSR1, handler, SA_RESTART
    START 12, first_only, 3
    SYSCALL SYS_nanosleep, an_hour, rest
    CHECK_ERRNO 13, ERRNO_EINTR
    CHECK_EQ 14, [rest], 3599
    CHECK_EQ 15, [calls], 3
    START 16, first_only, 4
    SYSCALL SYS_umtx_sleep, a_word, 0, 0
    CHECK_ERRNO 17, ERRNO_EINTR
    CHECK_EQ 18, [calls], 4
    DONE

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
    CHECK_EQ 30, [rdx + UC_MCONTEXT + MC_R10], 0x4444
    CHECK_EQ 31, [rdx + UC_MCONTEXT + MC_R8], 0x8888
    CHECK_EQ 32, [rdx + UC_MCONTEXT + MC_R9], 0x9999
    CHECK_EQ 33, [rdx + UC_MCONTEXT + MC_RAX], SYS_sigwaitinfo
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    movzx eax, word ptr [rax]
    CHECK_EQ 34, rax, 0x050F            # syscall
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
