# Which call is made: the number in RAX, and what happens where no call has it.

.include "../threads.inc"

# NUMBER number: make a call without arguments.
.macro NUMBER number
    mov rax, \number
    syscall
.endm

# NO_CALL: the call just made does not exist: the handler has seen one SIGSYS, and it is EINVAL.
.macro NO_CALL
    REFUSED ERRNO_EINVAL
    EQUAL [signals], 1
.endm

    HANDLE SIGSYS, handler, SA_SIGINFO
    SYSCALL SYS_getpid
    mov [pid], rax

    .irp high, 1, 0x80000000, 0xffffffff, 0x5a5a5a5a
CASE high_half_\high, "1.2.1", "A number is the low half of RAX: \high above it means nothing"
    NUMBER \high << 32 | SYS_getpid
    OK
    EQUAL rax, [pid]
    .endr

    # Bit 30 and bit 31 belong to the number.
    .irp number, 0x40000014, 0x80000014, 0x10014, 0x414
CASE whole_number_\number, "1.2.1 1.2.6", "All 32 bits are the number: \number is not call 20"
    mov qword ptr [signals], 0
    NUMBER \number
    NO_CALL
    .endr

    .irp number, 67, 154, 172, 241, 265, 285
CASE no_call_\number, "1.2.6", "Number \number belongs to no call: SIGSYS and EINVAL"
    mov qword ptr [signals], 0
    NUMBER \number
    NO_CALL
    .endr

    # There were 530 calls in 2011, and a few more since.
    .if ABI == 2011
CASE number_530, "1.2.6", "Number 530 is behind the last call: SIGSYS and EINVAL"
    mov qword ptr [signals], 0
    NUMBER 530
    NO_CALL
    .endif

    .irp number, 600, 1023, 4096, 0x7fffffff, 0xffffffff
CASE beyond_\number, "1.2.6", "Number \number is far behind the last call: SIGSYS and EINVAL"
    mov qword ptr [signals], 0
    NUMBER \number
    NO_CALL
    .endr

CASE sigsys_frame, "1.2.6 1.3.2", "The handler of SIGSYS finds the call over: EINVAL in RAX, carry, rip behind it"
    mov qword ptr [signals], 0
    mov rax, 67
    clc
    syscall
behind:
    NO_CALL
    EQUAL [seen_rip], behind
    EQUAL [seen_rax], ERRNO_EINVAL
    BITS [seen_rflags], PSL_C, PSL_C

CASE sigsys_code, "1.2.6 3.2.8", "SIGSYS has code 0"
    mov qword ptr [signals], 0
    NUMBER 67
    NO_CALL
    WORD seen_code, 0

CASE sigsys_of_an_lwp, "1.2.6", "SIGSYS goes to the LWP that made the call"
    mov qword ptr [signals], 0
    mov dword ptr [done], 0
    mov qword ptr [seen_tid], 0
    START elsewhere
    AWAIT done
    EQUAL [signals], 1
    mov ecx, [lwp_tid]
    EQUAL rcx, [seen_tid]

CASE sigsys_ignored, "1.2.6", "If SIGSYS is ignored, the call is just EINVAL"
    HANDLE SIGSYS, SIG_IGN
    mov qword ptr [signals], 0
    NUMBER 67
    REFUSED ERRNO_EINVAL
    EQUAL [signals], 0

CASE sigsys_by_default, "1.2.6 3.2.7", "By default SIGSYS ends the process"
    HANDLE SIGSYS, SIG_DFL
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz caller
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    BITS [status], 0x7f, SIGSYS

    FINISH

caller:
    NUMBER 67
    SYSCALL SYS_exit, 0

elsewhere:
    NUMBER 67
    REFUSED ERRNO_EINVAL
    TELL done
    END_LWP

handler:                                # rdi signal, rsi siginfo, rdx ucontext
    inc qword ptr [signals]
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    mov [seen_rip], rax
    mov rax, [rdx + UC_MCONTEXT + MC_RAX]
    mov [seen_rax], rax
    mov rax, [rdx + UC_MCONTEXT + MC_RFLAGS]
    mov [seen_rflags], rax
    mov eax, [rsi + SI_CODE]
    mov [seen_code], rax
    SYSCALL SYS_lwp_gettid
    mov [seen_tid], rax
    ret

    .balign 8
pid:
    .quad 0
signals:
    .quad 0
done:
    .quad 0
status:
    .quad 0
    .irp what, rip, rax, rflags, code, tid
seen_\what:
    .quad -1
    .endr
