# abi 7.7: a signal ends vmspace_ctl with 0 and trap number 0; the guest can go on.

.include "space.inc"
.include "signals.inc"

    PLAIN_SPACE guest, guest_end
    CATCH 1, SIGUSR1, handler
    THREAD 2, sender, 1
    mov qword ptr [frame + TF_RAX], 0
    mov qword ptr [frame + TF_XFLAGS], 0x1000
    RUN 3, PLAIN
    CHECK_EQ 4, [calls], 1
    CHECK_TRAP 5, 0                     # and no error, no address
    CHECK_EQ 6, [frame + TF_XFLAGS], 0
    mov ebx, 7
    cmp qword ptr [frame + TF_RAX], 0   # it has run
    je failed
    mov rax, [frame + TF_RIP]
    sub rax, PLAIN
    mov ebx, 8
    cmp rax, guest_end - guest
    jae failed

    # On from there to its end.
    mov qword ptr [frame + TF_RBX], 1
    RUN 9
    CHECK_EQ 10, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 11, [calls], 1

    # A signal that is masked leaves the guest alone, and comes after vmspace_ctl.
    MASK 12, SIG_BLOCK, SIGUSR1
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    CHECK_OK 13
    RUN 14, PLAIN
    CHECK_EQ 15, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 16, [calls], 1
    MASK 17, SIG_UNBLOCK, SIGUSR1
    CHECK_EQ 18, [calls], 2
    DONE

sender:
    PAUSE
    cmp qword ptr [RAM + IMG_DATA], 0   # until the guest runs
    je sender
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    THREAD_EXIT

handler:                                # interrupts us, not the guest
    inc qword ptr [calls]
    cmp qword ptr [calls], 1
    jne 1f
    CHECK_EQ 30, [rdx + UC_MCONTEXT + MC_RAX], 0
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    movzx eax, word ptr [rax - 2]
    CHECK_EQ 31, rax, 0x050F            # behind the system call
    mov rax, [rdx + UC_MCONTEXT + MC_RFLAGS]
    and eax, PSL_C
    CHECK_EQ 32, rax, 0
    CHECK_EQ 33, [frame + TF_TRAPNO], 0
1:
    ret

    .balign 8
calls:
    .quad 0

guest:
    mov rcx, PLAIN + IMG_DATA
    mov qword ptr [rcx], 1
1:
    inc rax
    test rbx, rbx
    jz 1b
    syscall
guest_end:
