# What sigreturn does not take from a program.

.include "../signal.inc"

CASE sigreturn_refused, "7.9.7 7.9.8 7.9.9", "What sigreturn does not take from a program"
    HANDLE SIGUSR1, handler, SA_SIGINFO
    HANDLE SIGBUS, bus
    RAISE SIGUSR1
    EQUAL [calls], 1
    SYSCALL SYS_sigreturn, 0x123456
    REFUSED ERRNO_EFAULT
    FINISH

handler:
    mov r12, rdx
    mov r13, [r12 + UC_MCONTEXT + MC_RFLAGS]
    bts qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 12   # I/O privilege
    SYSCALL SYS_sigreturn, r12
    REFUSED ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13
    btr qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 9    # no interrupts
    SYSCALL SYS_sigreturn, r12
    REFUSED ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13
    bts qword ptr [r12 + UC_MCONTEXT + MC_RFLAGS], 40
    SYSCALL SYS_sigreturn, r12
    REFUSED ERRNO_EINVAL
    mov [r12 + UC_MCONTEXT + MC_RFLAGS], r13

    mov qword ptr [r12 + UC_MCONTEXT + MC_CS], 0x28     # the kernel's rights
    SYSCALL SYS_sigreturn, r12
    REFUSED ERRNO_EINVAL
    EQUAL [buses], 1
    mov qword ptr [r12 + UC_MCONTEXT + MC_CS], USER_CS

    inc qword ptr [calls]
    mov rdx, r12
    ret

bus:                                    # begins with the result of the call that caused it
    EQUAL rax, ERRNO_EINVAL
    EQUAL rsi, T_PROTFLT
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
