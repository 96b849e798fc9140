# abi 6.11: who may set the root of a virtual page table, and what happens if there is none.

.include "space.inc"

AREA = 0x20000000
BOTH = MAP_ANON + MAP_PRIVATE + MAP_FIXED

    # Nothing mapped: no complaint.
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, PTE_R
    CHECK_OK 1

    # A plain mapping: EINVAL.
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, PROT_READ + PROT_WRITE, BOTH, -1, 0, 0
    CHECK_OK 2
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, PTE_R
    CHECK_ERRNO 3, ERRNO_EINVAL

    # madvise can forget translations, but not set a root.
    SYSCALL SYS_madvise, AREA, PAGE_SIZE, MADV_SETMAP
    CHECK_ERRNO 4, ERRNO_EINVAL
    SYSCALL SYS_madvise, AREA, PAGE_SIZE, MADV_INVAL
    CHECK_OK 5

    # Numbers that are none, and ranges that are none.
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP + 1, 0
    CHECK_ERRNO 6, ERRNO_EINVAL
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, -1, 0
    CHECK_ERRNO 7, ERRNO_EINVAL
    SYSCALL SYS_mcontrol, AREA, -1, MADV_INVAL, 0
    CHECK_ERRNO 8, ERRNO_EINVAL
    SYSCALL SYS_mcontrol, USER_MAX - PAGE_SIZE, 2*PAGE_SIZE, MADV_INVAL, 0
    CHECK_ERRNO 9, ERRNO_EINVAL

    # A private table, which needs no file: first seen byte for byte, to fill it in.
    SYSCALL7 SYS_mmap, AREA, 4*PAGE_SIZE, PROT_READ + PROT_WRITE, BOTH + MAP_VPAGETABLE, -1, 0, 0
    CHECK_OK 10
    SYSCALL SYS_mcontrol, AREA, 4*PAGE_SIZE, MADV_SETMAP, VPTE_PS + PTE_RW
    CHECK_OK 11
    mov qword ptr [AREA + 3*PAGE_SIZE], 0x77
    CHECK_EQ 12, [AREA + 3*PAGE_SIZE], 0x77
    SYSCALL SYS_mcontrol, AREA, 4*PAGE_SIZE, MADV_SETMAP, 3*PAGE_SIZE + VPTE_PS + PTE_R
    CHECK_OK 13
    CHECK_EQ 14, [AREA], 0x77

    DONE
