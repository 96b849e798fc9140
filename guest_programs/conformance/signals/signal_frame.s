# What a handler is told, and that it may change what it has interrupted.

.include "../signal.inc"

CASE signal_frame, "7.9.2", "What a handler is told, and that it may change what it has interrupted"
    HANDLE SIGILL, handler, SA_SIGINFO
    mov rax, 5
    mov r12, 12
    lea r14, [rsp - 128]
    mov qword ptr [r14], 0x5A           # the red zone
fault:
    ud2
after:
    EQUAL rax, 6
    EQUAL r12, 12
    EQUAL [r14], 0x5A
    EQUAL [calls], 1

    # Without SA_SIGINFO the second argument is the code itself; the address is the fourth.
    HANDLE SIGSEGV, plain
    mov r15, 0x123456
    mov al, [r15]
    EQUAL [calls], 2
    FINISH

handler:                                # rdi signal, rsi siginfo, rdx ucontext, rcx address
    EQUAL rdi, SIGILL
    mov eax, [rsi + SI_SIGNO]
    EQUAL rax, SIGILL
    mov eax, [rsi + SI_CODE]
    EQUAL rax, ILL_PRVOPC
    EQUAL [rdx + UC_MCONTEXT + MC_RIP], fault
    EQUAL [rdx + UC_MCONTEXT + MC_RAX], 5
    EQUAL [rdx + UC_MCONTEXT + MC_TRAPNO], T_PRIVINFLT
    EQUAL [rdx + UC_MCONTEXT + MC_ADDR], 0
    EQUAL rcx, 0
    mov eax, [rdx + UC_MCONTEXT + MC_LEN]
    EQUAL rax, MC_SIZE
    mov eax, [rdx + UC_MCONTEXT + MC_FPFORMAT]
    EQUAL rax, MC_FPFMT_XMM
    # The frame lies below the red zone, on a multiple of 16; the trampoline has called us.
    lea rax, [rsp + 8]
    EQUAL [rax + SF_HANDLER], handler
    and rax, 15
    EQUAL rax, 0
    lea rax, [rsp + 8 + SF_UC]
    EQUAL rax, rdx
    lea rax, [rsp + 8 + SF_SI]
    EQUAL rax, rsi
    mov rax, after
    mov [rdx + UC_MCONTEXT + MC_RIP], rax
    inc qword ptr [rdx + UC_MCONTEXT + MC_RAX]
    inc qword ptr [calls]
    mov r12, 99                         # is put back
    ret

plain:
    EQUAL rdi, SIGSEGV
    EQUAL rsi, SEGV_MAPERR
    EQUAL rcx, 0x123456
    EQUAL [rdx + UC_MCONTEXT + MC_ADDR], 0x123456
    EQUAL [rdx + UC_MCONTEXT + MC_ERR], PGEX_U
    mov rax, lwp_stacks
    mov [rdx + UC_MCONTEXT + MC_R15], rax   # where it can be read
    inc qword ptr [calls]
    ret

    .balign 8
calls:
    .quad 0
