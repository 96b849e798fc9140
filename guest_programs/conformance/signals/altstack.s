# Handlers with SA_ONSTACK run on the alternate stack.

.include "../signal.inc"

SIZE = 8192

CASE altstack, "7.9.1 4.8.2", "Handlers with SA_ONSTACK run on the alternate stack"
    SYSCALL SYS_sigaltstack, 0, old
    OK
    mov eax, [old + SS_FLAGS]
    EQUAL rax, SS_DISABLE
    mov qword ptr [new + SS_SIZE], SIZE - 1
    SYSCALL SYS_sigaltstack, new, 0
    REFUSED ERRNO_ENOMEM
    mov qword ptr [new + SS_SIZE], SIZE
    SYSCALL SYS_sigaltstack, new, 0
    OK

    HANDLE SIGUSR1, above, SA_ONSTACK
    HANDLE SIGUSR2, below, SA_ONSTACK
    HANDLE SIGHUP, elsewhere
    mov r12, rsp
    RAISE SIGUSR1
    EQUAL [calls], 2
    EQUAL rsp, r12
    RAISE SIGHUP
    EQUAL [calls], 3
    SYSCALL SYS_sigaltstack, 0, old
    mov eax, [old + SS_FLAGS]
    EQUAL rax, 0

    mov dword ptr [new + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, new, 0
    OK
    HANDLE SIGUSR1, elsewhere, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [calls], 4
    FINISH

above:                                  # at its upper end, without a red zone
    lea rax, [rsp + 8]
    mov rcx, stack + SIZE - SF_SIZE     # a multiple of 16
    EQUAL rax, rcx
    EQUAL [rdx + UC_MCONTEXT + MC_ONSTACK], 0
    mov eax, [rdx + UC_STACK + SS_FLAGS]
    EQUAL rax, 0
    EQUAL [rdx + UC_STACK + SS_SP], stack
    SYSCALL SYS_sigaltstack, 0, old
    mov eax, [old + SS_FLAGS]
    EQUAL rax, SS_ONSTACK
    mov dword ptr [disabled + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, disabled, 0
    REFUSED ERRNO_EINVAL
    inc qword ptr [calls]
    mov [outer], rsp
    RAISE SIGUSR2
    ret

below:                                  # inside it, below the first frame
    EQUAL [rdx + UC_MCONTEXT + MC_ONSTACK], 1
    mov eax, 1
    cmp rsp, [outer]
    jb 1f
    xor eax, eax
1:
    EQUAL rax, 1
    inc qword ptr [calls]
    ret

elsewhere:                              # on the stack of the program
    mov rax, r12
    sub rax, rsp
    cmp rax, 4096
    mov ebx, 50
    jna 8f
    NEVER
8:
    inc qword ptr [calls]
    ret

    .balign 16
old:
    .space 24
new:
    .quad stack, SIZE
    .quad 0
disabled:
    .space 24
outer:
    .quad 0
calls:
    .quad 0
    .balign 16
stack:
    .space SIZE
