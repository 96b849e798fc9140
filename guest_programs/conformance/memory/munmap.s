# munmap and vmspace_munmap take a range that is mapped from end to end, or nothing.

.include "../access.inc"

AREA = 0x20000000                       # four pages, in one's own space and in the vmspace
PS = PAGE_SIZE
ALL = 4*PAGE_SIZE

    PLAIN_SPACE

# Each case starts with all four mapped, and used.
.macro MUNMAP_CASE name, rules, title
CASE \name, \rules, \title
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    SPACE_MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    .irp page, 0, 1, 2, 3
    mov qword ptr [AREA + \page*PS], 0x10 + \page
    WRITES AREA + \page*PS, 0x20 + \page
    .endr
.endm

# UNMAP address, length: both succeed, with result 0.
.macro UNMAP address, length
    SYSCALL SYS_munmap, \address, \length
    OK
    EQUAL rax, 0
    SYSCALL SYS_vmspace_munmap, SPACE, \address, \length
    OK
    EQUAL rax, 0
.endm

# NOT_UNMAPPED address, length: both are EINVAL.
.macro NOT_UNMAPPED address, length
    SYSCALL SYS_munmap, \address, \length
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_munmap, SPACE, \address, \length
    REFUSED ERRNO_EINVAL
.endm

# THERE page ...: these are mapped, with what was in them.
.macro THERE pages:vararg
    .irp page, \pages
    WORD AREA + \page*PS, 0x10 + \page
    READS AREA + \page*PS, 0x20 + \page
    .endr
.endm

# GONE page ...: these are not.
.macro GONE pages:vararg
    .irp page, \pages
    UNREADABLE AREA + \page*PS
    CANNOT_READ AREA + \page*PS
    .endr
.endm

    MUNMAP_CASE all, "6.10.1 6.14.7 6.7.1", "A whole mapping goes, and what was used of it is gone"
    UNMAP AREA, ALL
    GONE 0, 1, 2, 3

    MUNMAP_CASE middle, "6.10.1", "From the middle of a mapping both ends stay"
    UNMAP AREA + PS, 2*PS
    THERE 0, 3
    GONE 1, 2

    MUNMAP_CASE first, "6.10.1", "From the beginning"
    UNMAP AREA, PS
    GONE 0
    THERE 1, 2, 3

    MUNMAP_CASE last, "6.10.1", "From the end"
    UNMAP AREA + 3*PS, PS
    THERE 0, 1, 2
    GONE 3

    MUNMAP_CASE rounds, "6.10.1 6.7.1", "The address is rounded down, the length up: two bytes across a border are two pages"
    UNMAP AREA + 2*PS - 1, 2
    THERE 0, 3
    GONE 1, 2

    MUNMAP_CASE one_byte, "6.10.1 6.7.1", "One byte is a page"
    UNMAP AREA + 2*PS + 0x777, 1
    THERE 0, 1, 3
    GONE 2

    MUNMAP_CASE no_length, "6.10.1 6.7.1", "Length 0 is success, and does nothing, mapped or not"
    UNMAP AREA + PS, 0
    UNMAP AREA + ALL, 0
    THERE 0, 1, 2, 3

    MUNMAP_CASE two_mappings, "6.10.1", "A range may cover several mappings"
    MMAP AREA + 2*PS, PS, PROT_READ, MAP_PRIVATE + MAP_FIXED, r12
    OK
    SPACE_MMAP AREA + 2*PS, PS, PROT_READ, MAP_PRIVATE + MAP_FIXED, r12
    OK
    UNMAP AREA + PS, 3*PS
    THERE 0
    GONE 1, 2, 3

    MUNMAP_CASE hole, "6.10.2 6.7.1", "A hole in the range is EINVAL, and nothing is unmapped"
    UNMAP AREA + 2*PS, PS
    NOT_UNMAPPED AREA, ALL
    NOT_UNMAPPED AREA + 2*PS, PS
    NOT_UNMAPPED AREA + PS, 2*PS
    NOT_UNMAPPED AREA + 2*PS, 2*PS
    THERE 0, 1, 3
    GONE 2

    MUNMAP_CASE hole_at_ends, "6.10.2 6.7.1", "A range that begins before a mapping, or ends behind it, is EINVAL"
    UNMAP AREA, PS
    UNMAP AREA + 3*PS, PS
    NOT_UNMAPPED AREA, 2*PS
    NOT_UNMAPPED AREA + 2*PS, 2*PS
    NOT_UNMAPPED AREA, ALL
    THERE 1, 2

    MUNMAP_CASE wrong, "6.10.3 6.7.1", "A range that wraps or ends too high is EINVAL"
    NOT_UNMAPPED AREA, -1
    NOT_UNMAPPED AREA, -AREA
    NOT_UNMAPPED -PS, PS
    NOT_UNMAPPED -PS, 2*PS
    NOT_UNMAPPED USER_MAX, PS
    NOT_UNMAPPED USER_MAX - PS, PS + 1
    NOT_UNMAPPED AREA, USER_MAX
    THERE 0, 1, 2, 3

    MUNMAP_CASE end, "6.10.3 6.7.1", "A range may end where the addresses do"
    SPACE_MMAP USER_MAX - PS, PS, RW, ANON + MAP_FIXED
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, USER_MAX - PS, PS
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, USER_MAX - PS, PS
    REFUSED ERRNO_EINVAL

    MUNMAP_CASE table, "6.10.1 6.14.7", "A MAP_VPAGETABLE mapping is unmapped as any other, in part too"
    SPACE_MMAP AREA, ALL, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, AREA, ALL, MADV_SETMAP, IMG_DATA + VPTE_PS + PTE_RW
    OK
    mov qword ptr [RAM + IMG_DATA + PS], 0x77
    mov qword ptr [RAM + IMG_DATA + 2*PS], 0x78
    READS AREA + PS, 0x77
    READS AREA + 2*PS, 0x78
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, 2*PS
    OK
    CANNOT_READ AREA + PS
    READS AREA + 2*PS, 0x78             # its address in the table is what it was
    INVALIDATE
    READS AREA + 2*PS, 0x78

    MUNMAP_CASE again, "6.10.1", "What is mapped there afterwards is new"
    UNMAP AREA, ALL
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    SPACE_MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    WORD AREA + PS, 0
    READS AREA + PS, 0

    FINISH
