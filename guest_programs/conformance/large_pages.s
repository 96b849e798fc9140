# abi 6.13: PS ends the walk in a directory; the rest of the address is added to FRAME, whose low
# bits are not masked.  In the last level it means nothing.

.include "space.inc"

LARGE = VPTE_PS + PTE_RW
PD_SPAN = 1 << 21                       # what an entry of the directory stands for
PDP_SPAN = 1 << 30
MARK = 0x55

    TABLED_SPACE guest, guest_end
    mov qword ptr [RAM + IMG_DATA + 2*PAGE_SIZE + 8], MARK

    # 2 MB that begin in the middle of the image.
    mov qword ptr [RAM + IMG_PD + 8], IMG_DATA + LARGE
    mov qword ptr [frame + TF_RSI], PD_SPAN + 2*PAGE_SIZE + 8
    RUN 1, TABLED
    CHECK_EQ 2, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 3, [frame + TF_RAX], MARK
    CHECK_EQ 4, [RAM + IMG_PD + 8], IMG_DATA + LARGE + VPTE_A

    # 1 GB.
    mov qword ptr [RAM + IMG_PDP + 8], IMG_DATA + PAGE_SIZE + LARGE
    mov qword ptr [frame + TF_RSI], PDP_SPAN + PAGE_SIZE + 8
    RUN 5, TABLED
    CHECK_EQ 6, [frame + TF_RAX], MARK

    # The last byte of 2 MB is far past the end of the image.
    mov qword ptr [frame + TF_RSI], 2*PD_SPAN - 8
    RUN 7, TABLED
    CHECK_TRAP 8, T_PAGEFLT, PGEX_U, 2*PD_SPAN - 8

    # An ordinary page with PS.
    MAP_PAGE 0x3000, IMG_DATA + 2*PAGE_SIZE + LARGE
    mov qword ptr [frame + TF_RSI], 0x3008
    RUN 9, TABLED
    CHECK_EQ 10, [frame + TF_RAX], MARK

    DONE

guest:
    mov rax, [rsi]
    syscall
guest_end:
