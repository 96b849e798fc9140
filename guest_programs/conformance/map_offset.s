# abi 6.13: in a mapping with a virtual page table, the offset says which address of the table the
# mapping begins with; pages of the image are counted from its beginning all the same.

.include "space.inc"

WINDOW = 0x20000000
BIAS = 0x3000
MARK = 0x66

    TABLED_SPACE guest, guest_end
    mov qword ptr [RAM + IMG_DATA + 8], MARK
    MAP_PAGE BIAS + PAGE_SIZE, IMG_DATA + PTE_R

    SYSCALL7 SYS_mmap, WINDOW, IMG_SIZE, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, BIAS
    CHECK_OK 1
    SYSCALL SYS_mcontrol, WINDOW, IMG_SIZE, MADV_SETMAP, ROOT
    CHECK_OK 2
    CHECK_EQ 3, [WINDOW + PAGE_SIZE + 8], MARK
    CHECK_ENTRY 4, BIAS + PAGE_SIZE, IMG_DATA + PTE_R + VPTE_A

    # The kernel does not find more there than we do, and marks what it finds.
    SYSCALL SYS_extpread, r12, WINDOW, 8, 0, 0
    CHECK_ERRNO 5, ERRNO_EFAULT
    SYSCALL SYS_extpread, r12, WINDOW + PAGE_SIZE, 8, 0, 0
    CHECK_ERRNO 6, ERRNO_EFAULT
    MAP_PAGE BIAS, IMG_DATA + PTE_RW
    SYSCALL SYS_extpread, r12, WINDOW, 8, 0, 0
    CHECK_OK 7
    CHECK_ENTRY 8, BIAS, IMG_DATA + PTE_RW + VPTE_A + VPTE_M

    DONE

guest:
    syscall
guest_end:
