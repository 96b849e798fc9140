# abi 7.9: what a handler is told, and that it may change what it has interrupted.

.include "signals.inc"

    HANDLE 1, SIGILL, handler, SA_SIGINFO
    mov rax, 5
    mov r12, 12
    lea r14, [rsp - 128]
    mov qword ptr [r14], 0x5A           # the red zone
fault:
    ud2
after:
    CHECK_EQ 2, rax, 6
    CHECK_EQ 3, r12, 12
    CHECK_EQ 4, [r14], 0x5A
    CHECK_EQ 5, [calls], 1

    # Without SA_SIGINFO the second argument is the code itself; the address is the fourth.
    HANDLE 6, SIGSEGV, plain
    mov r15, 0x123456
    mov al, [r15]
    CHECK_EQ 7, [calls], 2
    DONE

handler:                                # rdi signal, rsi siginfo, rdx ucontext, rcx address
    CHECK_EQ 20, rdi, SIGILL
    mov eax, [rsi + SI_SIGNO]
    CHECK_EQ 21, rax, SIGILL
    mov eax, [rsi + SI_CODE]
    CHECK_EQ 22, rax, ILL_PRVOPC
    CHECK_EQ 23, [rdx + UC_MCONTEXT + MC_RIP], fault
    CHECK_EQ 24, [rdx + UC_MCONTEXT + MC_RAX], 5
    CHECK_EQ 25, [rdx + UC_MCONTEXT + MC_TRAPNO], T_PRIVINFLT
    CHECK_EQ 26, [rdx + UC_MCONTEXT + MC_ADDR], 0
    CHECK_EQ 27, rcx, 0
    mov eax, [rdx + UC_MCONTEXT + MC_LEN]
    CHECK_EQ 28, rax, MC_SIZE
    mov eax, [rdx + UC_MCONTEXT + MC_FPFORMAT]
    CHECK_EQ 29, rax, MC_FPFMT_XMM
    # The frame lies below the red zone, on a multiple of 16; the trampoline has called us.
    lea rax, [rsp + 8]
    CHECK_EQ 30, [rax + SF_HANDLER], handler
    and rax, 15
    CHECK_EQ 31, rax, 0
    lea rax, [rsp + 8 + SF_UC]
    CHECK_EQ 32, rax, rdx
    lea rax, [rsp + 8 + SF_SI]
    CHECK_EQ 33, rax, rsi
    mov rax, after
    mov [rdx + UC_MCONTEXT + MC_RIP], rax
    inc qword ptr [rdx + UC_MCONTEXT + MC_RAX]
    inc qword ptr [calls]
    mov r12, 99                         # is put back
    ret

plain:
    CHECK_EQ 40, rdi, SIGSEGV
    CHECK_EQ 41, rsi, SEGV_MAPERR
    CHECK_EQ 42, rcx, 0x123456
    CHECK_EQ 43, [rdx + UC_MCONTEXT + MC_ADDR], 0x123456
    CHECK_EQ 44, [rdx + UC_MCONTEXT + MC_ERR], PGEX_U
    mov rax, lwp_stacks
    mov [rdx + UC_MCONTEXT + MC_R15], rax   # where it can be read
    inc qword ptr [calls]
    ret

    .balign 8
calls:
    .quad 0
