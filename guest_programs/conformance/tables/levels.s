# The walk: four levels, each with its index, and what the root and the mapping's offset are to it.

.include "../walk.inc"

ALL_INT3 = 0xcccccccccccccccc
MARK = 0x6d61726b

    WALK_SPACE

CASE four_levels, "6.13.1 4.3.2 6.11.4", "Bits 39-47, 30-38, 21-29 and 12-20 of the address index the four levels"
    PATH
    mov qword ptr [RAM + IMG_DATA + 0x128], MARK
    READS SEEN + 0x128, MARK
    READS SEEN + 0xff8, ALL_INT3
    CANNOT_READ SEEN - 8
    CANNOT_READ SEEN + PAGE_SIZE

    .irp level, 4, 3, 2, 1
CASE index_\level, "6.13.1", "The next index of level \level is the next entry"
    PATH
    CANNOT_READ SEEN + SPAN\level
    mov qword ptr [L\level + 8], E\level
    READS SEEN + SPAN\level, ALL_INT3
    WORD L\level + 8, E\level + VPTE_A
    .endr

CASE index_first_and_last, "6.13.1", "Entries 0 and 511 are used as the others are"
    PATH
    mov qword ptr [RAM + IMG_PML4], E4
    mov qword ptr [RAM + IMG_PDP], E3
    mov qword ptr [RAM + IMG_PDP + 511*8], E3
    mov qword ptr [RAM + IMG_PD], E2
    mov qword ptr [RAM + IMG_PD + 511*8], E2
    mov qword ptr [RAM + IMG_PT], E1
    mov qword ptr [RAM + IMG_PT + 511*8], E1
    READS WINDOW, ALL_INT3
    WORD RAM + IMG_PT, E1 + VPTE_A
    WORD RAM + IMG_PT + 511*8, E1
    READS WINDOW + SPAN4 - 8, ALL_INT3
    WORD RAM + IMG_PML4, E4 + VPTE_A
    WORD RAM + IMG_PDP + 511*8, E3 + VPTE_A
    WORD RAM + IMG_PD + 511*8, E2 + VPTE_A
    WORD RAM + IMG_PT + 511*8, E1 + VPTE_A

CASE frame_top, "4.3.2", "Every bit of an entry's frame counts, up to bit 51"
    .irp bit, 16, 20, 31, 32, 40, 47, 48, 51
    .irp level, 4, 3, 2, 1
    PATH
    mov r10, 1 << \bit
    or [L\level], r10
    CANNOT_READ SEEN
    .endr
    .endr

CASE root_frame_top, "6.11.4 4.3.2", "So does every bit of the root's frame"
    .irp bit, 16, 20, 31, 32, 40, 47, 48, 51
    PATH E5 + (1 << \bit)
    CANNOT_READ SEEN
    .endr

CASE own_table, "6.13.3", "A table may be its own next level: the root page is a table at every level"
    PATH
    mov qword ptr [RAM + IMG_PML4 + 8*8], IMG_PML4 + PTE_RW
    READS WINDOW + 8*(SPAN4 + SPAN3 + SPAN2 + SPAN1) + I4*8, E4
    WORD RAM + IMG_PML4 + 8*8, IMG_PML4 + PTE_RW + VPTE_A

CASE two_mappings, "6.13.2", "A second mapping with another offset sees another part of the same table"
    PATH
    SPACE_MMAP 2*WINDOW, PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, 2*WINDOW, PAGE_SIZE, MADV_SETMAP, E5
    OK
    mov qword ptr [RAM + IMG_DATA], MARK
    READS 2*WINDOW, MARK
    MARKS 1, VPTE_A
    SYSCALL SYS_vmspace_munmap, SPACE, 2*WINDOW, PAGE_SIZE
    OK

CASE offset_not_in_object, "6.13.2", "The offset is added to the address, not to frames: they count from the file's start"
    PATH
    SPACE_MMAP 2*WINDOW, 16*PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS - PAGE_SIZE
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, 2*WINDOW, 16*PAGE_SIZE, MADV_SETMAP, E5
    OK
    CANNOT_READ 2*WINDOW
    mov qword ptr [RAM + IMG_DATA + 8], MARK
    READS 2*WINDOW + PAGE_SIZE + 8, MARK
    SYSCALL SYS_vmspace_munmap, SPACE, 2*WINDOW, 16*PAGE_SIZE
    OK

CASE offset_anything, "6.9.19 6.13.2", "An offset may be anything; its place in a page is the address's"
    PATH
    SPACE_MMAP 2*WINDOW + 0x123, 8, RWX, TABLED_MAP, r12, TABLE_ADDRESS + 0x123
    OK
    mov r10, 2*WINDOW + 0x123
    sub rax, r10
    EQUAL rax, 0
    SYSCALL SYS_vmspace_mcontrol, SPACE, 2*WINDOW, PAGE_SIZE, MADV_SETMAP, E5
    OK
    READS 2*WINDOW, ALL_INT3
    CANNOT_READ 2*WINDOW + PAGE_SIZE
    SYSCALL SYS_vmspace_munmap, SPACE, 2*WINDOW, PAGE_SIZE
    OK

CASE offset_wraps, "6.13.2 6.13.1", "Of the address with its offset bits 12 to 47 count"
    PATH
    SPACE_MMAP 2*WINDOW, PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS + (5 << 48)
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, 2*WINDOW, PAGE_SIZE, MADV_SETMAP, E5
    OK
    READS 2*WINDOW, ALL_INT3
    SYSCALL SYS_vmspace_munmap, SPACE, 2*WINDOW, PAGE_SIZE
    OK

CASE own_window, "6.13.1 6.14.8", "The virtual kernel's own mapping is walked in the same way, by the kernel's copies too"
    PATH
    MMAP 0x20000000, 2*PAGE_SIZE, RW, TABLED_MAP, r12, TABLE_ADDRESS - PAGE_SIZE
    OK
    SYSCALL SYS_mcontrol, 0x20000000, 2*PAGE_SIZE, MADV_SETMAP, E5
    OK
    mov qword ptr [RAM + IMG_DATA + 8], MARK
    WORD 0x20000000 + PAGE_SIZE + 8, MARK
    MARKS 1, VPTE_A
    READABLE 0x20000000 + PAGE_SIZE
    UNREADABLE 0x20000000
    UNWRITABLE 0x20000000
    mov qword ptr [L1 - 8], E1
    WRITABLE 0x20000000
    WORD L1 - 8, E1 + AM

CASE root_unset, "6.9.19 6.13.4", "Until MADV_SETMAP the root is 0, and every access fails"
    PATH
    SPACE_MMAP 2*WINDOW, PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    CANNOT_READ 2*WINDOW
    CANNOT_WRITE 2*WINDOW
    CANNOT_EXECUTE 2*WINDOW
    MARKS 5, 0
    # And again for one that replaces it.
    SYSCALL SYS_vmspace_mcontrol, SPACE, 2*WINDOW, PAGE_SIZE, MADV_SETMAP, E5
    OK
    READS 2*WINDOW, ALL_INT3
    SPACE_MMAP 2*WINDOW, PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    CANNOT_READ 2*WINDOW
    SYSCALL SYS_vmspace_munmap, SPACE, 2*WINDOW, PAGE_SIZE
    OK

    FINISH
