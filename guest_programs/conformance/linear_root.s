# abi 6.13: PS in the root maps the image byte for byte from FRAME on, as far as it reaches.

.include "space.inc"

LINEAR = VPTE_PS + PTE_RW
DATA = 0x1230                           # somewhere in a page
LAST = USER_MAX - PAGE_SIZE

    TABLED_SPACE guest, guest_end
    mov qword ptr [RAM + DATA], 11
    mov qword ptr [RAM + IMG_DATA + DATA], 22

    SYSCALL SYS_vmspace_mcontrol, SPACE, 0, USER_MAX, MADV_SETMAP, LINEAR
    CHECK_OK 1
    RUN 2, IMG_CODE
    CHECK_EQ 3, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 4, [frame + TF_RAX], 11

    # From IMG_DATA on, with a copy of the code there.  SETMAP forgets the old translations.
    mov rsi, guest
    mov rdi, RAM + IMG_DATA
    mov ecx, guest_end - guest
    rep movsb
    SYSCALL SYS_vmspace_mcontrol, SPACE, 0, USER_MAX, MADV_SETMAP, IMG_DATA + LINEAR
    CHECK_OK 5
    RUN 6, IMG_CODE
    CHECK_EQ 7, [frame + TF_RAX], 22

    # Past the end of the image.
    RUN 8, IMG_SIZE - IMG_DATA - 1
    CHECK_EQ 9, [frame + TF_TRAPNO], T_PAGEFLT
    CHECK_EQ 10, [frame + TF_ADDR], IMG_SIZE - IMG_DATA
    RUN 11, LAST
    CHECK_TRAP 12, T_PAGEFLT, PGEX_U + PGEX_I, LAST

    DONE

guest:
    mov rax, [DATA]
    syscall
guest_end:
