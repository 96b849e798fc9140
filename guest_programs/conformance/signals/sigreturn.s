# sigreturn: what it restores, and what it does not take from a program.

.include "../exceptions/own.inc"

NOWHERE = 0x123456
HUP = 1 << (SIGHUP - 1)
KERNEL_CS = 8

    OWN_SPACE

# CONTEXT: a context of sigreturn that goes on behind RETURN.
.macro CONTEXT
    FORGET_SIGNALS
    call make_context
.endm

# RETURN: go to the context.  It goes on here, or here with an error.
.macro RETURN
    mov qword ptr [own_context + UC_MCONTEXT + MC_RIP], .Lhere\@
    mov [own_context + UC_MCONTEXT + MC_RSP], rsp
    SYSCALL SYS_sigreturn, own_context
.Lhere\@:
.endm

CASE registers, "7.9.6", "Every register is loaded from the context"
    OWN "int3"
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT

.macro FLAG name, bit, title
CASE \name, "7.9.6 7.9.8", \title
    OWN "int3"
    ENTER CODE, PSL_USER + \bit
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT
.endm

    FLAG flag_c, PSL_C, "Carry is a program's to set"
    FLAG flag_pf, PSL_PF, "Parity is a program's to set"
    FLAG flag_af, PSL_AF, "Auxiliary carry is a program's to set"
    FLAG flag_z, PSL_Z, "Zero is a program's to set"
    FLAG flag_n, PSL_N, "Sign is a program's to set"
    FLAG flag_d, PSL_D, "Direction is a program's to set"
    FLAG flag_v, PSL_V, "Overflow is a program's to set"
    FLAG flag_nt, PSL_NT, "Nested task is a program's to set"
    FLAG flag_ac, PSL_AC, "Alignment check is a program's to set"
    FLAG flag_id, PSL_ID, "Identification is a program's to set"

CASE flag_t, "7.9.6 7.9.8", "T is a program's to set, and the first instruction is stepped"
    OWN "nop; nop"
    ENTER CODE, PSL_USER + PSL_T
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 1
    CATCH SIGTRAP, TRAP_TRACE

CASE flag_rf, "7.9.8", "RF is a program's to set"
    OWN "int3"
    ENTER CODE, PSL_USER + PSL_RF
    EXPECT T_BPTFLT, CODE + 1
    CATCH SIGTRAP, BREAKPOINT

    .irp bit, 1, 3, 5, 9, 12, 13, 15, 19, 20, 22, 31, 32, 40, 63
CASE bit_\bit, "7.9.8", "To change bit \bit of the flags is EINVAL"
    CONTEXT
    btc qword ptr [own_context + UC_MCONTEXT + MC_RFLAGS], \bit
    RETURN
    REFUSED ERRNO_EINVAL
    .endr

CASE nothing_changed, "7.9.8", "sigreturn that is refused restores nothing, neither a register nor the mask"
    CONTEXT
    mov qword ptr [own_context + UC_SIGMASK], HUP
    mov qword ptr [own_context + UC_MCONTEXT + MC_RBX], 0x1111
    bts qword ptr [own_context + UC_MCONTEXT + MC_RFLAGS], 12
    mov ebx, 0x2222
    RETURN
    REFUSED ERRNO_EINVAL
    EQUAL rbx, 0x2222
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    EQUAL [mask], 0

CASE results, "7.9.6 1.3.1", "After sigreturn RAX and the carry flag are the context's, not a result"
    CONTEXT
    mov rax, 0x123456789abcdef0
    mov [own_context + UC_MCONTEXT + MC_RAX], rax
    or qword ptr [own_context + UC_MCONTEXT + MC_RFLAGS], PSL_C
    RETURN
    setc cl
    movzx ecx, cl
    EQUAL rcx, 1
    mov rcx, 0x123456789abcdef0
    EQUAL rax, rcx

CASE all_registers, "7.9.6 1.4.1", "sigreturn loads RCX, R10 and R11, which other system calls spoil"
    CONTEXT
    mov qword ptr [own_context + UC_MCONTEXT + MC_RCX], 0xcccc
    mov qword ptr [own_context + UC_MCONTEXT + MC_R10], 0x1010
    mov qword ptr [own_context + UC_MCONTEXT + MC_R11], 0x1111
    RETURN
    mov r8, r10                         # the checks use r10 and r11
    mov r9, r11
    EQUAL rcx, 0xcccc
    EQUAL r8, 0x1010
    EQUAL r9, 0x1111

CASE mask, "7.9.6", "After sigreturn the mask is the context's"
    CONTEXT
    mov qword ptr [own_context + UC_SIGMASK], HUP
    mov qword ptr [own_context + UC_SIGMASK + 8], 3
    RETURN
    SYSCALL SYS_sigprocmask, SIG_SETMASK, no_signals, mask
    EQUAL [mask], HUP
    EQUAL [mask + 8], 3

CASE unmaskable, "7.9.6 3.2.2", "After sigreturn SIGKILL and SIGSTOP are not masked"
    CONTEXT
    mov qword ptr [own_context + UC_SIGMASK], -1
    RETURN
    SYSCALL SYS_sigprocmask, SIG_SETMASK, no_signals, mask
    EQUAL [mask], ~(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1))

CASE pending, "7.9.6", "A signal that sigreturn unmasks comes at once, with the new context"
    CONTEXT
    HANDLE SIGHUP, record
    MASK SIG_BLOCK, SIGHUP
    RAISE SIGHUP
    mov qword ptr [own_context + UC_MCONTEXT + MC_RBX], 0x3333
    RETURN
    EQUAL [taken], 1
    EQUAL [TAKEN_MC + MC_RBX], 0x3333

CASE handlers_change, "7.9.6", "What a handler changes in its context, the program goes on with"
    FORGET_SIGNALS
    HANDLE SIGUSR1, changes
    SYSCALL SYS_getpid
    mov ebx, 5
    SYSCALL SYS_kill, rax, SIGUSR1
    NEVER
elsewhere:
    EQUAL rbx, 6
    EQUAL rax, 0x77
    HANDLE SIGUSR1, record

# ---- contexts that cannot be read

CASE nowhere, "7.9.7", "sigreturn of a context that is not there is EFAULT"
    SYSCALL SYS_sigreturn, NOWHERE
    REFUSED ERRNO_EFAULT

CASE null, "7.9.7", "sigreturn of a context at address 0 is EFAULT"
    SYSCALL SYS_sigreturn, 0
    REFUSED ERRNO_EFAULT

CASE kernels, "7.9.7", "sigreturn of a context in the kernel's half is EFAULT"
    SYSCALL SYS_sigreturn, -PAGE_SIZE
    REFUSED ERRNO_EFAULT

CASE part, "7.9.7", "sigreturn of a context whose end is not there is EFAULT"
    SYSCALL SYS_sigreturn, CODE + IMG_SIZE - 512
    REFUSED ERRNO_EFAULT

# ---- selectors

CASE kernel_cs, "7.9.9", "sigreturn to a cs of another ring: SIGBUS with code T_PROTFLT"
    CONTEXT
    HANDLE SIGBUS, keeps_rax
    mov qword ptr [own_context + UC_MCONTEXT + MC_CS], KERNEL_CS
    RETURN
    HANDLE SIGBUS, own_handler, SA_SIGINFO + SA_ONSTACK
    EQUAL [taken], 1
    EQUAL [taken_rdi], SIGBUS
    EQUAL [taken_rsi], T_PROTFLT

CASE kernel_cs_result, "7.9.9", "sigreturn to a cs of another ring is EINVAL, which the handler of SIGBUS begins with"
    CONTEXT
    HANDLE SIGBUS, keeps_rax
    mov qword ptr [own_context + UC_MCONTEXT + MC_CS], KERNEL_CS
    RETURN
    HANDLE SIGBUS, own_handler, SA_SIGINFO + SA_ONSTACK
    EQUAL [kept_rax], ERRNO_EINVAL
    BITS [taken_flags], PSL_C, PSL_C

CASE kernel_cs_masked, "7.9.9", "sigreturn to a cs of another ring is EINVAL if SIGBUS is masked, which then waits"
    CONTEXT
    MASK SIG_BLOCK, SIGBUS
    mov qword ptr [own_context + UC_MCONTEXT + MC_CS], KERNEL_CS
    RETURN
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_sigpending, mask
    EQUAL [mask], 1 << (SIGBUS - 1)
    HANDLE SIGBUS, SIG_IGN
    HANDLE SIGBUS, own_handler, SA_SIGINFO + SA_ONSTACK
    FORGET_SIGNALS

    FINISH

make_context:
    mov rdi, own_context
    mov ecx, SF_SIZE/8
    xor eax, eax
    rep stosq
    mov qword ptr [own_context + UC_MCONTEXT + MC_CS], USER_CS
    mov qword ptr [own_context + UC_MCONTEXT + MC_SS], USER_SS
    mov qword ptr [own_context + UC_MCONTEXT + MC_RFLAGS], PSL_USER
    mov dword ptr [own_context + UC_MCONTEXT + MC_LEN], MC_SIZE
    mov dword ptr [own_context + UC_MCONTEXT + MC_FPFORMAT], MC_FPFMT_XMM
    mov dword ptr [own_context + UC_MCONTEXT + MC_OWNEDFP], MC_FPOWNED_NONE
    ret

changes:
    mov rax, elsewhere
    mov [rdx + UC_MCONTEXT + MC_RIP], rax
    inc qword ptr [rdx + UC_MCONTEXT + MC_RBX]
    mov qword ptr [rdx + UC_MCONTEXT + MC_RAX], 0x77
    ret

keeps_rax:
    mov [kept_rax], rax
    RECORD
    ret

    .balign 8
mask:
    .quad 0, 0
kept_rax:
    .quad 0
