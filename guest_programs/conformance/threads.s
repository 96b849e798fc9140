# abi 2.1: lwp_create starts a thread with its creator's registers; extexit ends one.

.include "signals.inc"

    SYSCALL SYS_lwp_gettid
    CHECK_EQ 1, rax, 0
    SYSCALL SYS_set_tls_area, 0, tls, 16
    MASK 2, SIG_BLOCK, SIGUSR2
    mov rax, 0x7777
    movq xmm5, rax
    mov r12, 0x1212
    mov qword ptr [lwp_params + LWP_TID1], tid1
    mov qword ptr [lwp_params + LWP_TID2], tid2
    THREAD 3, thread, 1
    mov eax, [tid1]                     # stored before anybody runs
    CHECK_EQ 4, rax, 1
    mov eax, [tid2]
    CHECK_EQ 5, rax, 1
    AWAIT announced, 1

    # Their registers are their own.
    CHECK_EQ 6, r12, 0x1212
    movq rax, xmm5
    CHECK_EQ 7, rax, 0x7777
1:                                      # it exits and says so, but wakes nobody
    PAUSE
    cmp dword ptr [status], -3
    jne 1b

    # Nobody exits if the status cannot be stored, or if something is wrong.
    SYSCALL SYS_extexit, EXTEXIT_LWP + EXTEXIT_SETINT, 1, 0x123450
    CHECK_ERRNO 8, ERRNO_EFAULT
    SYSCALL SYS_extexit, 0x20000, 1, 0
    CHECK_ERRNO 9, ERRNO_EINVAL

    mov qword ptr [lwp_params + LWP_TID1], 0x123450
    mov qword ptr [lwp_params + LWP_FUNC], thread
    SYSCALL SYS_lwp_create, lwp_params
    CHECK_ERRNO 10, ERRNO_EFAULT
    SYSCALL SYS_lwp_create, 0x123450
    CHECK_ERRNO 11, ERRNO_EFAULT

    # The process goes on without its first thread, and ends with the last one's status.
    mov qword ptr [lwp_params + LWP_TID1], 0
    THREAD 12, last, 2
    THREAD_EXIT

last:
    PAUSE
    SYSCALL SYS_lwp_gettid
    CHECK_EQ 40, rax, 3                 # 2 was given to the one that failed
    SYSCALL SYS_lwp_kill, -1, 0, 0
    CHECK_ERRNO 41, ERRNO_ESRCH
    SYSCALL SYS_extexit, EXTEXIT_LWP, 0
    DONE

thread:
    CHECK_EQ 20, rdi, 1
    CHECK_EQ 21, r12, 0x1212
    movq rax, xmm5
    CHECK_EQ 22, rax, 0x7777
    lea rax, [rsp + 8]
    CHECK_EQ 23, rax, stacks + STACK_SIZE
    CHECK_EQ 24, [rsp], 0
    CHECK_EQ 25, fs:[0], 0x6C6F6361
    SYSCALL SYS_lwp_gettid
    CHECK_EQ 26, rax, 1
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    CHECK_EQ 27, [mask], 1 << (SIGUSR2 - 1)
    mov r12, 5
    xor eax, eax
    movq xmm5, rax
    SYSCALL SYS_set_tls_area, 0, other_tls, 16
    ANNOUNCE announced
    mov rax, -3
    SYSCALL SYS_extexit, EXTEXIT_LWP + EXTEXIT_SETINT, rax, status

    .balign 8
tls:
    .quad local, -1
other_tls:
    .quad 0, -1
local:
    .quad 0x6C6F6361
mask:
    .quad 0, 0
announced:
    .quad 0
status:
    .quad 0
tid1:
    .quad 0
tid2:
    .quad 0
