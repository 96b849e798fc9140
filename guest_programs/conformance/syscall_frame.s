# abi 7.2: what the frame says after a guest's system call, and that the call can be made again.

.include "space.inc"

ARGUMENT = 0x4444444444444444

    PLAIN_SPACE guest, guest_end
    RUN 1, PLAIN
    CHECK_EQ 2, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 3, [frame + TF_ERR], after - call
    CHECK_EQ 4, [frame + TF_RIP], PLAIN + after - guest
    CHECK_EQ 5, [frame + TF_RCX], ARGUMENT      # the fourth argument: r10
    CHECK_EQ 6, [frame + TF_RAX], -1            # any number will do
    CHECK_EQ 7, [frame + TF_CS], USER_CS
    CHECK_EQ 8, [frame + TF_SS], USER_SS
    CHECK_EQ 9, [frame + TF_RFLAGS], PSL_USER + PSL_Z + PSL_PF
    CHECK_EQ 10, [frame + TF_XFLAGS], 0

    # To restart it: back by tf_err, r10 from tf_rcx.
    mov rax, [frame + TF_ERR]
    sub [frame + TF_RIP], rax
    mov rax, [frame + TF_RCX]
    mov [frame + TF_R10], rax
    mov qword ptr [frame + TF_RCX], 0
    RUN 11
    CHECK_EQ 12, [frame + TF_RIP], PLAIN + after - guest
    CHECK_EQ 13, [frame + TF_RCX], ARGUMENT

    # Onward with a result.
    mov qword ptr [frame + TF_RAX], 5
    RUN 14
    CHECK_EQ 15, [frame + TF_RAX], 6

    DONE

guest:
    mov r10, ARGUMENT
    mov rax, -1
    cmp rax, rax
call:
    syscall
after:
    inc rax
    syscall
guest_end:
