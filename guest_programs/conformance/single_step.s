# abi 7.2, 7.8: with T set the guest executes one instruction, and comes back with T clear.

.include "space.inc"

    PLAIN_SPACE guest, guest_end

    # T has to be set for each step.
    .irp label, second, third, target
    or qword ptr [frame + TF_RFLAGS], PSL_T
    .ifc \label, second
    RUN 1, PLAIN
    .else
    RUN 1
    .endif
    CHECK_TRAP 2, T_TRCTRAP
    CHECK_EQ 3, [frame + TF_RIP], PLAIN + \label - guest
    mov rax, [frame + TF_RFLAGS]
    and rax, PSL_T
    CHECK_EQ 4, rax, 0
    .endr
    CHECK_EQ 5, [frame + TF_RAX], 8

    # Without it the guest runs on.
    RUN 6
    CHECK_EQ 7, [frame + TF_TRAPNO], T_FAST_SYSCALL

    # A fault comes before the step is complete.
    or qword ptr [frame + TF_RFLAGS], PSL_T
    RUN 8, PLAIN + fault - guest
    CHECK_TRAP 9, T_PRIVINFLT
    mov rax, [frame + TF_RFLAGS]
    and rax, PSL_T
    CHECK_EQ 10, rax, PSL_T

    DONE

guest:
    mov eax, 7
second:
    inc eax
third:
    jmp target
    ud2
target:
    syscall
fault:
    ud2
guest_end:
