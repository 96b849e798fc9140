# abi 6.14: a read maps its page read-only even where W is set, so that the first write is seen: it
# sets M, and nobody is told.

.include "space.inc"

DATA = 0x4000

    TABLED_SPACE guest, guest_end
    MAP_PAGE DATA, IMG_DATA + PTE_RW

    RUN 1, TABLED + read - guest
    CHECK_EQ 2, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_ENTRY 3, DATA, IMG_DATA + PTE_RW + VPTE_A

    RUN 4
    CHECK_EQ 5, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_ENTRY 6, DATA, IMG_DATA + PTE_RW + VPTE_A + VPTE_M

    # To allow a write after all needs no MADV_INVAL.
    MAP_PAGE DATA, IMG_DATA + PTE_R
    INVALIDATE DATA
    RUN 7, TABLED + read - guest
    RUN 8
    CHECK_TRAP 9, T_PAGEFLT, PGEX_U + PGEX_W + PGEX_P, DATA
    MAP_PAGE DATA, IMG_DATA + PTE_RW
    RUN 10
    CHECK_EQ 11, [frame + TF_TRAPNO], T_FAST_SYSCALL

    DONE

guest:
read:
    mov eax, [DATA]
    syscall
    mov dword ptr [DATA], 1
    syscall
guest_end:
