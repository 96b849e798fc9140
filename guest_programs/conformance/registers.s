# abi 7.2, 7.4: every register gets into the guest and back, and the virtual kernel's own survive.

.include "space.inc"

PATTERN = 0x0101010101010101            # times a different number for each register
OURS = 0x7070707070707070

    PLAIN_SPACE guest, guest_end

    .irp slot, RDI, RSI, RDX, RCX, R8, R9, RAX, RBX, RBP, R10, R11, R12, R13, R14, R15, RSP
    mov rax, PATTERN*(TF_\slot/8 + 1)
    mov [frame + TF_\slot], rax
    .endr
    mov qword ptr [frame + TF_RIP], PLAIN

    .irp register, rdi, rsi, rbx, rbp, r8, r9, r12, r13, r14, r15
    mov \register, OURS
    .endr
    mov [stack], rsp
    mov rdi, SPACE
    mov esi, VMSPACE_CTL_RUN
    mov rdx, frame
    mov r10, tls
    mov eax, SYS_vmspace_ctl
    syscall

    # Ours.  A check uses rbx, r10 and r11.
    mov r11, rbx
    CHECK_OK 1
    CHECK_EQ 2, r11, OURS
    CHECK_EQ 3, rax, 0
    CHECK_EQ 4, rcx, tls
    CHECK_EQ 5, rdx, frame
    CHECK_EQ 6, rdi, SPACE
    CHECK_EQ 7, rsi, VMSPACE_CTL_RUN
    .irp register, rbp, r8, r9, r12, r13, r14, r15
    CHECK_EQ 8, \register, OURS
    .endr
    CHECK_EQ 9, rsp, [stack]

    # The guest's: check 10 and on, by place in the frame.
    .irp slot, RDI, RSI, RDX, RCX, R8, R9, RAX, RBX, RBP, R10, R11, R12, R13, R14, R15, RSP
    CHECK_EQ 10 + TF_\slot/8, [frame + TF_\slot], ~(PATTERN*(TF_\slot/8 + 1))
    .endr
    CHECK_EQ 40, [frame + TF_TRAPNO], T_BPTFLT

    DONE

guest:
    .irp register, rdi, rsi, rdx, rcx, r8, r9, rax, rbx, rbp, r10, r11, r12, r13, r14, r15, rsp
    not \register
    .endr
    int3
guest_end:

    .balign 8
stack:
    .quad 0
