# abi 7.7: a signal that is caught ends the guest's turn with trap number 0, and then its handler
# runs, as if vmspace_ctl had returned; one that is masked or ignored, the guest never notices.

.include "lwp.inc"
.include "space.inc"

UC_FRAME = UC_MCONTEXT + MC_RDI         # the trap frame in a ucontext
LONG = 1500000                          # turns of a loop, longer than a timer needs, which is 10 ms
AFTER_CTL = 11                          # bytes of the check in RUN that follows the call

    PLAIN_SPACE guest, guest_end
    HANDLE 1, SIGALRM, handler
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    CHECK_OK 2
    mov qword ptr [frame + TF_FLAGS], -1
    mov eax, 55
    movq xmm1, rax
    RUN 3, PLAIN
after_run:
    CHECK_EQ 4, rax, 0
    CHECK_TRAP 5, 0
    CHECK_EQ 6, [frame + TF_XFLAGS], 0
    mov rax, [frame + TF_RIP]
    sub rax, PLAIN
    mov ebx, 7
    cmp rax, guest_short - guest
    jae failed
    mov r14, [frame + TF_RBX]
    mov ebx, 8
    cmp r14, 1000
    jb failed

    # The handler has run, on the way back: everything of the guest's had been put away.
    CHECK_MEM 9, handled, 1
    CHECK_MEM 10, handled_rip, after_run - AFTER_CTL
    CHECK_MEM 11, handled_rax, 0
    CHECK_MEM 12, handled_carry, 0
    movq rax, xmm1
    CHECK_EQ 13, rax, 55                # the handler used it, but sigreturn knows

    # The guest goes on where it was.
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    RUN 14
    CHECK_TRAP 15, 0
    mov rax, [frame + TF_RBX]
    sub rax, r14
    mov ebx, 16
    cmp rax, 1000
    jl failed
    CHECK_MEM 17, handled, 2

    # Masked: it has to wait until the guest comes back by itself, and longer.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, alarm, 0
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    RUN 18, PLAIN + guest_short - guest
    CHECK_EQ 19, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 20, [frame + TF_RBX], LONG
    SYSCALL SYS_sigpending, pending
    CHECK_MEM 21, pending, 1 << (SIGALRM - 1)
    CHECK_MEM 22, handled, 2
    SYSCALL SYS_sigprocmask, SIG_UNBLOCK, alarm, 0
    CHECK_OK 23
    CHECK_MEM 24, handled, 3

    # Ignored.
    HANDLE 25, SIGALRM, SIG_IGN
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    RUN 26, PLAIN + guest_short - guest
    CHECK_EQ 27, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 28, [frame + TF_RBX], LONG
    CHECK_MEM 29, handled, 3
    DONE



handler:
    mov rax, [rdx + UC_FRAME + TF_RIP]
    mov [handled_rip], rax
    mov rax, [rdx + UC_FRAME + TF_RAX]
    mov [handled_rax], rax
    mov eax, [rdx + UC_FRAME + TF_RFLAGS]
    and eax, PSL_C
    mov [handled_carry], rax
    inc qword ptr [handled]
    pxor xmm1, xmm1
    ret

guest:
    inc rbx
    jmp guest
guest_short:
    xor ebx, ebx
guest_next:
    inc rbx
    cmp rbx, LONG
    jne guest_next
    syscall
guest_end:

    .balign 8
soon:
    .quad 0, 0, 0, 1000
alarm:
    .quad 1 << (SIGALRM - 1), 0
pending:
    .quad 0, 0
handled:                                # how often
    .quad 0
handled_rip:
    .quad 0
handled_rax:
    .quad 0
handled_carry:
    .quad 0
