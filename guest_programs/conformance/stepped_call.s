# abi 7.8: a stepped system call belongs to the guest, its SIGTRAP to the virtual kernel.

.include "space.inc"
.include "signals.inc"

    PLAIN_SPACE guest, guest_end
    HANDLE 1, SIGTRAP, handler
    mov qword ptr [frame + TF_RFLAGS], PSL_USER + PSL_T
    RUN 2, PLAIN
    CHECK_EQ 3, [frame + TF_TRAPNO], T_FAST_SYSCALL
    mov rax, [frame + TF_RFLAGS]
    and eax, PSL_T
    CHECK_EQ 4, rax, PSL_T
    CHECK_EQ 5, [traps], 1

    # vmspace_ctl itself stepped: the guest comes back at once, with T taken from its flags.
    mov qword ptr [frame + TF_RAX], 5
    mov qword ptr [frame + TF_RIP], PLAIN
    mov rdi, SPACE
    mov rsi, VMSPACE_CTL_RUN
    mov rdx, frame
    mov r10, tls
    mov eax, SYS_vmspace_ctl
    pushfq
    or qword ptr [rsp], PSL_T
    popfq
    syscall
stepped:
    pushfq
    pop rcx                             # T is still set: one more trap came, at the next instruction
    CHECK_EQ 6, [frame + TF_TRAPNO], 0
    CHECK_EQ 7, [frame + TF_RAX], 5
    CHECK_EQ 8, [frame + TF_RIP], PLAIN
    mov rax, [frame + TF_RFLAGS]
    and eax, PSL_T
    CHECK_EQ 9, rax, 0

    # A system call of our own.
    mov qword ptr [traps], 0
    mov eax, SYS_getpid
    pushfq
    or qword ptr [rsp], PSL_T
    popfq
    syscall
behind:
    CHECK_EQ 10, [traps], 1
    CHECK_EQ 11, [last], behind
    DONE

handler:
    CHECK_EQ 20, rsi, TRAP_TRACE
    inc qword ptr [traps]
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    mov [last], rax
    and qword ptr [rdx + UC_MCONTEXT + MC_RFLAGS], ~PSL_T
    ret

    .balign 8
traps:
    .quad 0
last:
    .quad 0

guest:
    syscall
guest_end:
