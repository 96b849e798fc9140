# SYSCALL is the way into the kernel, and disturbs nothing; INT 0x80 is none.

.include "../threads.inc"

    .irp segment, cs, ss, ds, es, fs, gs
CASE selector_\segment, "1.1.1", "A system call leaves the selector in \segment alone"
    mov r12d, \segment
    SYSCALL SYS_getpid
    mov r13d, \segment
    EQUAL r13, r12
    .endr

CASE code_and_stack_selectors, "1.1.1", "A program runs with CS 0x2b and SS 0x23"
    mov eax, cs
    EQUAL rax, 0x2b
    mov eax, ss
    EQUAL rax, 0x23

CASE tls_bases, "1.1.1", "A system call leaves the bases of FS and GS alone"
    SYSCALL SYS_set_tls_area, 0, fs_area, 16
    OK
    SYSCALL SYS_set_tls_area, 1, gs_area, 16
    OK
    SYSCALL SYS_getpid
    EQUAL fs:[0], 0x1f5
    EQUAL gs:[0], 0x165

CASE int_0x80, "1.1.2 3.4.10", "INT 0x80 of a program is SIGBUS: #GP with error code 0x402, at the instruction"
    HANDLE SIGBUS, handler, SA_SIGINFO
    mov r12, 0
    mov eax, SYS_getpid
interrupt:
    int 0x80
behind:
    EQUAL r12, 1
    EQUAL rax, SYS_getpid
    EQUAL [seen_trapno], T_PROTFLT
    EQUAL [seen_err], 0x402
    EQUAL [seen_rip], interrupt

    FINISH

handler:                                # rdx ucontext
    mov rax, [rdx + UC_MCONTEXT + MC_TRAPNO]
    mov [seen_trapno], rax
    mov rax, [rdx + UC_MCONTEXT + MC_ERR]
    mov [seen_err], rax
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    mov [seen_rip], rax
    mov rax, behind
    mov [rdx + UC_MCONTEXT + MC_RIP], rax
    mov qword ptr [rdx + UC_MCONTEXT + MC_R12], 1
    ret

    .balign 8
fs_area:
    .quad fs_word, -1
gs_area:
    .quad gs_word, -1
fs_word:
    .quad 0x1f5
gs_word:
    .quad 0x165
    .irp what, trapno, err, rip
seen_\what:
    .quad -1
    .endr
