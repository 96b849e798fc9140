# abi 7.9: what sigreturn does not take from a program.

.include "signals.inc"

    HANDLE 1, SIGUSR1, handler, SA_SIGINFO
    HANDLE 2, SIGBUS, bus
    RAISE 3, SIGUSR1
    CHECK_EQ 4, [calls], 1
    SYSCALL SYS_sigreturn, 0x123456
    CHECK_ERRNO 5, ERRNO_EFAULT
    DONE

handler:
    mov r12, rdx
    mov r13, [r12 + UC_MCONTEXT + MC_RFLAGS]
    bts qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 12   # I/O privilege
    SYSCALL SYS_sigreturn, r12
    CHECK_ERRNO 20, ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13
    btr qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 9    # no interrupts
    SYSCALL SYS_sigreturn, r12
    CHECK_ERRNO 21, ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13
    bts qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 40
    SYSCALL SYS_sigreturn, r12
    CHECK_ERRNO 22, ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13

    mov qword ptr [r12 + UC_MCONTEXT + MC_CS], 0x28     # the kernel's rights
    SYSCALL SYS_sigreturn, r12
    CHECK_ERRNO 23, ERRNO_EINVAL
    CHECK_EQ 24, [buses], 1
    mov qword ptr [r12 + UC_MCONTEXT + MC_CS], USER_CS

    inc qword ptr [calls]
    mov rdx, r12
    ret

bus:                                    # begins with the result of the call that caused it
    CHECK_EQ 30, rax, ERRNO_EINVAL
    CHECK_EQ 31, rsi, T_PROTFLT
    inc qword ptr [buses]
    # And the call itself is to return that.
    mov qword ptr [rdx + UC_MCONTEXT + MC_RAX], ERRNO_EINVAL
    or qword ptr [rdx + UC_MCONTEXT + MC_RFLAGS], PSL_C
    ret

    .balign 8
calls:
    .quad 0
buses:
    .quad 0
