# abi 6.13: the walk sets A, and M for a write, in every entry that permits the access, directories
# included; the entry that refuses, and those below it, are left alone.

.include "space.inc"

DATA = 0x4000

    TABLED_SPACE guest, guest_end
    MAP_PAGE DATA, IMG_DATA + PTE_R

    # A write that the last entry refuses.  To fetch the code was a read.
    RUN 1, TABLED + write - guest
    CHECK_EQ 2, [frame + TF_TRAPNO], T_PAGEFLT
    CHECK_EQ 3, [RAM + IMG_PML4], IMG_PDP + PTE_RW + VPTE_A + VPTE_M
    CHECK_EQ 4, [RAM + IMG_PDP], IMG_PD + PTE_RW + VPTE_A + VPTE_M
    CHECK_EQ 5, [RAM + IMG_PD], IMG_PT + PTE_RW + VPTE_A + VPTE_M
    CHECK_ENTRY 6, DATA, IMG_DATA + PTE_R
    CHECK_ENTRY 7, TABLED, IMG_CODE + PTE_R + VPTE_A

    # A read: A only.
    RUN 8, TABLED + read - guest
    CHECK_EQ 9, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_ENTRY 10, DATA, IMG_DATA + PTE_R + VPTE_A

    # A write that is permitted.
    MAP_PAGE DATA, IMG_DATA + PTE_RW
    RUN 11, TABLED + write - guest
    CHECK_EQ 12, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_ENTRY 13, DATA, IMG_DATA + PTE_RW + VPTE_A + VPTE_M

    # What is cleared without MADV_INVAL stays clear: the table is not walked again.
    MAP_PAGE DATA, IMG_DATA + PTE_RW
    RUN 14, TABLED + write - guest
    CHECK_ENTRY 15, DATA, IMG_DATA + PTE_RW
    INVALIDATE DATA
    RUN 16, TABLED + write - guest
    CHECK_ENTRY 17, DATA, IMG_DATA + PTE_RW + VPTE_A + VPTE_M

    DONE

guest:
read:
    mov eax, [DATA]
    syscall
write:
    mov [DATA], eax
    syscall
guest_end:
