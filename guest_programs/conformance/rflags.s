# abi 7.3, 12: what becomes of rflags on the way in, and of cs and ss.

.include "space.inc"

KEPT = RFLAGS_SANITISE & ~PSL_VM        # VM cannot be set in 64-bit mode
ALL = -1 - PSL_T                        # T would stop the guest at once

    PLAIN_SPACE guest, guest_end

    # Every flag: the guest keeps what is a user's, and RF is used up by the first instruction.
    mov qword ptr [frame + TF_RFLAGS], ALL
    mov qword ptr [frame + TF_CS], 0
    mov qword ptr [frame + TF_SS], -1
    RUN 1, PLAIN
    CHECK_EQ 2, [frame + TF_RFLAGS], (KEPT & ALL & ~PSL_RF) | RFLAGS_USER
    CHECK_EQ 3, [frame + TF_CS], USER_CS
    CHECK_EQ 4, [frame + TF_SS], USER_SS

    # No flag at all.
    mov qword ptr [frame + TF_RFLAGS], 0
    RUN 5, PLAIN
    CHECK_EQ 6, [frame + TF_RFLAGS], RFLAGS_USER

    # A fault stores RF.
    mov qword ptr [frame + TF_RFLAGS], ALL
    RUN 7, PLAIN + guest_fault - guest
    CHECK_EQ 8, [frame + TF_TRAPNO], T_PRIVINFLT
    CHECK_EQ 9, [frame + TF_RFLAGS], (KEPT & ALL) | PSL_RF | RFLAGS_USER

    DONE

guest:
    syscall
guest_fault:
    ud2
guest_end:
