# What page tables and pages are made of: files and their ends, holes, private copies, memory.

.include "../walk.inc"

AREA = 0x20000000                       # in the virtual kernel
COPY = 2*WINDOW                         # in the vmspace
MARK = 0x6d61726b
LARGE = VPTE_PS + PTE_RW
BIG = 1 << 24
ALL_INT3 = 0xcccccccccccccccc
LAST_ANONYMOUS = 0x7ffffffe             # number of the last page of anonymous memory

    WALK_SPACE
    SYSCALL SYS_open, file, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [other], rax

CASE leaf_beyond, "6.13.14 6.13.10 6.13.11", "A leaf beyond the end of the file fails, and every entry is marked"
    PATH
    mov qword ptr [L1], IMG_SIZE + PTE_RW
    CANNOT_READ SEEN
    WORD L1, IMG_SIZE + PTE_RW + VPTE_A
    CANNOT_WRITE SEEN
    WORD L1, IMG_SIZE + PTE_RW + AM
    WORD L4, E4 + AM
    CANNOT_EXECUTE SEEN
    mov qword ptr [L1], IMG_SIZE - PAGE_SIZE + PTE_RW
    WRITES SEEN, 1

CASE table_beyond, "6.13.15 6.13.12", "A table beyond the end of the file fails; the entries down to it are marked"
    PATH
    mov qword ptr [L2], IMG_SIZE + PTE_RW
    CANNOT_READ SEEN
    WORD L4, E4 + VPTE_A
    WORD L3, E3 + VPTE_A
    WORD L2, IMG_SIZE + PTE_RW + VPTE_A
    WORD L1, E1
    CANNOT_WRITE SEEN
    WORD L2, IMG_SIZE + PTE_RW + AM
    WORD L1, E1

CASE root_beyond, "6.13.15", "So does a root table beyond the end"
    PATH IMG_SIZE + PTE_RW
    CANNOT_READ SEEN
    CANNOT_WRITE SEEN
    MARKS 5, 0

CASE part_of_a_page, "6.13.14", "The page in which a file ends is there to its end, as zeros"
    SYSCALL SYS_ftruncate, [other], 0, 0
    OK
    SYSCALL SYS_ftruncate, [other], 0, 2*PAGE_SIZE + 1
    OK
    SPACE_MMAP COPY, 8*PAGE_SIZE, RWX, TABLED_MAP, [other]
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, 8*PAGE_SIZE, MADV_SETMAP, LARGE
    OK
    READS COPY + 3*PAGE_SIZE - 8, 0
    CANNOT_READ COPY + 3*PAGE_SIZE
    WRITES COPY + 2*PAGE_SIZE, 0x41
    SYSCALL SYS_extpread, [other], buffer, 8, 0, 2*PAGE_SIZE
    OK
    EQUAL rax, 1
    WORD buffer, 0x41

CASE grown, "6.13.14 6.14.3 6.14.13", "When a file grows, leafs and tables that were beyond its end work at once"
    SYSCALL SYS_ftruncate, [other], 0, 0
    OK
    SYSCALL SYS_ftruncate, [other], 0, 4*PAGE_SIZE
    OK
    SPACE_MMAP COPY, 8*PAGE_SIZE, RWX, TABLED_MAP, [other]
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, 8*PAGE_SIZE, MADV_SETMAP, LARGE
    OK
    CANNOT_WRITE COPY + 6*PAGE_SIZE
    SYSCALL SYS_ftruncate, [other], 0, 8*PAGE_SIZE
    OK
    READS COPY + 6*PAGE_SIZE, 0
    WRITES COPY + 6*PAGE_SIZE, 3
    SYSCALL SYS_extpread, [other], buffer, 8, 0, 6*PAGE_SIZE
    OK
    WORD buffer, 3

CASE holes, "6.13.16", "A table in a hole of the file is zeros, and gets entries as any other"
    SYSCALL SYS_ftruncate, [other], 0, 0
    OK
    SYSCALL SYS_ftruncate, [other], 0, BIG
    OK
    SPACE_MMAP COPY, PAGE_SIZE, RWX, TABLED_MAP, [other], TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, BIG - PAGE_SIZE + PTE_RW
    OK
    CANNOT_READ COPY
    MMAP AREA, 8*PAGE_SIZE, RW, PLAIN_MAP, [other], BIG - 8*PAGE_SIZE
    OK
    # From the last page backwards: the four tables, and the page.
    WORD AREA + 7*PAGE_SIZE + I4*8, 0
    mov qword ptr [AREA + 7*PAGE_SIZE + I4*8], BIG - 2*PAGE_SIZE + PTE_RW
    CANNOT_WRITE COPY
    WORD AREA + 7*PAGE_SIZE + I4*8, BIG - 2*PAGE_SIZE + PTE_RW + AM
    mov qword ptr [AREA + 6*PAGE_SIZE + I3*8], BIG - 3*PAGE_SIZE + PTE_RW
    mov qword ptr [AREA + 5*PAGE_SIZE + I2*8], BIG - 4*PAGE_SIZE + PTE_RW
    CANNOT_READ COPY
    WORD AREA + 4*PAGE_SIZE + I1*8, 0
    mov qword ptr [AREA + 4*PAGE_SIZE + I1*8], BIG - 5*PAGE_SIZE + PTE_RW
    READS COPY, 0
    WRITES COPY, MARK
    WORD AREA + 3*PAGE_SIZE, MARK
    SYSCALL SYS_munmap, AREA, 8*PAGE_SIZE
    OK

CASE private_space, "6.13.17", "A private mapping's marks and writes are its own"
    PATH
    SPACE_MMAP COPY, PAGE_SIZE, RWX, MAP_PRIVATE + MAP_FIXED + MAP_VPAGETABLE, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, E5
    OK
    READS COPY, ALL_INT3
    WRITES COPY, MARK
    READS COPY, MARK
    MARKS 5, 0                          # nothing happened to the file's
    WORD RAM + IMG_DATA, ALL_INT3
    READS SEEN, ALL_INT3

CASE private_tables, "6.13.17", "Tables that a private mapping has used are its own from then on"
    PATH
    SPACE_MMAP COPY, PAGE_SIZE, RWX, MAP_PRIVATE + MAP_FIXED + MAP_VPAGETABLE, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, E5
    OK
    mov qword ptr [L1], 0
    CANNOT_READ COPY                    # used up to here
    mov qword ptr [L1], E1
    CANNOT_READ COPY
    READS SEEN, ALL_INT3
    SPACE_MMAP COPY, PAGE_SIZE, RWX, MAP_PRIVATE + MAP_FIXED + MAP_VPAGETABLE, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, E5
    OK
    READS COPY, ALL_INT3

CASE private_own, "6.13.17", "A private mapping of the virtual kernel's, and what the kernel writes there"
    PATH
    MMAP AREA, PAGE_SIZE, RW, MAP_PRIVATE + MAP_FIXED + MAP_VPAGETABLE, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, E5
    OK
    mov qword ptr [buffer], MARK
    SYSCALL SYS_extpwrite, [other], buffer, 8, 0, 0
    OK
    SYSCALL SYS_extpread, [other], AREA, 8, 0, 0
    OK
    WORD AREA, MARK
    MARKS 5, 0
    WORD RAM + IMG_DATA, ALL_INT3

CASE private_reader, "6.13.17 6.9.12", "A private mapping of a descriptor for reading has tables that can be marked"
    PATH
    SYSCALL SYS_open, image_path, O_RDONLY
    OK
    SPACE_MMAP COPY, PAGE_SIZE, RWX, MAP_FIXED + MAP_VPAGETABLE, rax, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, E5
    OK
    WRITES COPY, MARK
    WORD RAM + IMG_DATA, ALL_INT3

CASE anonymous, "6.13.17 6.14.10", "In anonymous memory: fill tables in through a linear root, and use them"
    MMAP AREA, 8*PAGE_SIZE, RW, ANON + MAP_FIXED + MAP_VPAGETABLE
    OK
    SYSCALL SYS_mcontrol, AREA, 8*PAGE_SIZE, MADV_SETMAP, LARGE
    OK
    WORD AREA, 0
    mov qword ptr [AREA + IMG_PML4], IMG_PDP + PTE_RW
    mov qword ptr [AREA + IMG_PDP], IMG_PD + PTE_RW
    mov qword ptr [AREA + IMG_PD], IMG_PT + PTE_RW
    mov qword ptr [AREA + IMG_PT + 2*8], IMG_DATA + PTE_RW
    mov qword ptr [AREA + IMG_DATA + 8], MARK
    SYSCALL SYS_mcontrol, AREA, 8*PAGE_SIZE, MADV_SETMAP, IMG_PML4 + PTE_RW
    OK
    WORD AREA + 2*PAGE_SIZE + 8, MARK
    UNREADABLE AREA
    mov qword ptr [AREA + 2*PAGE_SIZE + 8], MARK + 1
    SYSCALL SYS_mcontrol, AREA, 8*PAGE_SIZE, MADV_SETMAP, LARGE
    OK
    WORD AREA + IMG_DATA + 8, MARK + 1
    WORD AREA + IMG_PT + 2*8, IMG_DATA + PTE_RW + AM
    WORD AREA + IMG_PML4, IMG_PDP + PTE_RW + AM

CASE anonymous_size, "6.13.17 6.13.14", "Anonymous memory has 0x7fffffff pages, wherever and however small its mapping"
    MMAP AREA, PAGE_SIZE, RW, ANON + MAP_FIXED + MAP_VPAGETABLE
    OK
    mov r15, LAST_ANONYMOUS << 12
    or r15, LARGE
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, r15
    OK
    mov qword ptr [AREA], MARK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, LARGE
    OK
    WORD AREA, 0
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, r15
    OK
    WORD AREA, MARK
    add r15, PAGE_SIZE
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, r15
    OK
    UNREADABLE AREA
    UNWRITABLE AREA

CASE anonymous_space, "6.13.17 6.14.10", "Anonymous memory in a vmspace is another one, for each mapping"
    SPACE_MMAP COPY, 4*PAGE_SIZE, RWX, ANON + MAP_FIXED + MAP_VPAGETABLE
    OK
    SPACE_MMAP COPY + 16*PAGE_SIZE, 4*PAGE_SIZE, RWX, ANON + MAP_FIXED + MAP_VPAGETABLE
    OK
    CANNOT_READ COPY
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, 20*PAGE_SIZE, MADV_SETMAP, 3*PAGE_SIZE + LARGE
    OK
    READS COPY, 0
    WRITES COPY, MARK
    READS COPY + 16*PAGE_SIZE, 0
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, 4*PAGE_SIZE, MADV_SETMAP, 2*PAGE_SIZE + LARGE
    OK
    READS COPY, 0
    READS COPY + PAGE_SIZE, MARK

    FINISH

    .balign 8
buffer:
    .quad 0
other:
    .quad 0
file:
    .asciz "other"
