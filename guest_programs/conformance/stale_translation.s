# abi 6.14: a translation that was made stays, whatever becomes of the page table, until MADV_INVAL
# for that page.

.include "space.inc"

DATA = 0x4000
OTHER = 0x5000
FIRST = 1
SECOND = 2

    TABLED_SPACE guest, guest_end
    mov qword ptr [RAM + IMG_DATA], FIRST
    mov qword ptr [RAM + IMG_DATA + PAGE_SIZE], SECOND
    MAP_PAGE DATA, IMG_DATA + PTE_R
    RUN 1, TABLED
    CHECK_EQ 2, [frame + TF_RAX], FIRST

    # Another page: not seen.  Another page of the vmspace: makes no difference.
    MAP_PAGE DATA, IMG_DATA + PAGE_SIZE + PTE_R
    INVALIDATE OTHER
    RUN 3, TABLED
    CHECK_EQ 4, [frame + TF_RAX], FIRST
    INVALIDATE DATA
    RUN 5, TABLED
    CHECK_EQ 6, [frame + TF_RAX], SECOND

    # No page at all.
    MAP_PAGE DATA, 0
    RUN 7, TABLED
    CHECK_EQ 8, [frame + TF_RAX], SECOND
    INVALIDATE DATA
    RUN 9, TABLED
    CHECK_TRAP 10, T_PAGEFLT, PGEX_U, DATA

    # A page after all: seen at once.
    MAP_PAGE DATA, IMG_DATA + PTE_R
    RUN 11
    CHECK_EQ 12, [frame + TF_RAX], FIRST

    DONE

guest:
    mov rax, [DATA]
    syscall
guest_end:
