# abi 5, 7.9: handlers with SA_ONSTACK run on the alternate stack.

.include "signals.inc"

SIZE = 8192

    SYSCALL SYS_sigaltstack, 0, old
    CHECK_OK 1
    mov eax, [old + SS_FLAGS]
    CHECK_EQ 2, rax, SS_DISABLE
    mov qword ptr [new + SS_SIZE], SIZE - 1
    SYSCALL SYS_sigaltstack, new, 0
    CHECK_ERRNO 3, ERRNO_ENOMEM
    mov qword ptr [new + SS_SIZE], SIZE
    SYSCALL SYS_sigaltstack, new, 0
    CHECK_OK 4

    HANDLE 5, SIGUSR1, above, SA_ONSTACK
    HANDLE 6, SIGUSR2, below, SA_ONSTACK
    HANDLE 7, SIGHUP, elsewhere
    mov r12, rsp
    RAISE 8, SIGUSR1
    CHECK_EQ 9, [calls], 2
    CHECK_EQ 10, rsp, r12
    RAISE 11, SIGHUP
    CHECK_EQ 12, [calls], 3
    SYSCALL SYS_sigaltstack, 0, old
    mov eax, [old + SS_FLAGS]
    CHECK_EQ 13, rax, 0

    mov dword ptr [new + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, new, 0
    CHECK_OK 14
    HANDLE 15, SIGUSR1, elsewhere, SA_ONSTACK
    RAISE 16, SIGUSR1
    CHECK_EQ 17, [calls], 4
    DONE

above:                                  # at its upper end, without a red zone
    lea rax, [rsp + 8]
    mov rcx, stack + SIZE - SF_SIZE     # a multiple of 16
    CHECK_EQ 30, rax, rcx
    CHECK_EQ 31, [rdx + UC_MCONTEXT + MC_ONSTACK], 0
    mov eax, [rdx + UC_STACK + SS_FLAGS]
    CHECK_EQ 32, rax, 0
    CHECK_EQ 33, [rdx + UC_STACK + SS_SP], stack
    SYSCALL SYS_sigaltstack, 0, old
    mov eax, [old + SS_FLAGS]
    CHECK_EQ 34, rax, SS_ONSTACK
    mov dword ptr [disabled + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, disabled, 0
    CHECK_ERRNO 35, ERRNO_EINVAL
    inc qword ptr [calls]
    mov [outer], rsp
    RAISE 36, SIGUSR2
    ret

below:                                  # inside it, below the first frame
    CHECK_EQ 40, [rdx + UC_MCONTEXT + MC_ONSTACK], 1
    mov eax, 1
    cmp rsp, [outer]
    jb 1f
    xor eax, eax
1:
    CHECK_EQ 41, rax, 1
    inc qword ptr [calls]
    ret

elsewhere:                              # on the stack of the program
    mov rax, r12
    sub rax, rsp
    cmp rax, 4096
    mov ebx, 50
    ja failed
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
