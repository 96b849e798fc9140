# abi 7.6: with PGEX_FPFAULT in xflags the guest's first FP or SSE instruction comes back as T_DNA;
# the registers are still the same ones.

.include "space.inc"

    PLAIN_SPACE guest, guest_end
    mov qword ptr [frame + TF_RAX], 7
    mov qword ptr [frame + TF_XFLAGS], PGEX_FPFAULT
    RUN 1, PLAIN
    CHECK_TRAP 2, T_DNA
    CHECK_EQ 3, [frame + TF_RIP], PLAIN + guest_fp - guest
    CHECK_EQ 4, [frame + TF_RAX], 8
    CHECK_EQ 5, [frame + TF_XFLAGS], 0

    # The virtual kernel may use them, and whatever it puts there is the guest's.
    mov rax, 50
    movq xmm1, rax
    RUN 6                               # xflags is 0 now
    CHECK_EQ 7, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 8, [frame + TF_RAX], 50

    # Asked for again, for x87.
    mov qword ptr [frame + TF_XFLAGS], PGEX_FPFAULT
    RUN 9, PLAIN + guest_x87 - guest
    CHECK_TRAP 10, T_DNA
    CHECK_EQ 11, [frame + TF_RIP], PLAIN + guest_x87 - guest

    # Without FP nothing happens.
    mov qword ptr [frame + TF_XFLAGS], PGEX_FPFAULT
    RUN 12, PLAIN + guest_no_fp - guest
    CHECK_EQ 13, [frame + TF_TRAPNO], T_FAST_SYSCALL

    DONE

guest:
    inc rax
guest_fp:
    movq rax, xmm1
guest_no_fp:
    syscall
guest_x87:
    fldz
    syscall
guest_end:
