# Files that become shorter and longer while they are mapped.

.include "../walk.inc"

AREA = 0x20000000                       # a plain mapping of ours
TABLED = 0x21000000                     # a MAP_VPAGETABLE mapping of ours
PRIVATE = 0x22000000
PLAIN = 0x40000                         # a plain mapping of the vmspace
COPY = 2*WINDOW                         # a MAP_VPAGETABLE mapping of the vmspace
PS = PAGE_SIZE
SIZE = 8*PAGE_SIZE
LARGE = VPTE_PS + PTE_RW

    PLAIN_SPACE
    SYSCALL SYS_open, file, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [other], rax
    MMAP AREA, SIZE, RW, PLAIN_MAP, [other]
    OK
    MMAP TABLED, SIZE, RW, TABLED_MAP, [other]
    OK
    SYSCALL SYS_mcontrol, TABLED, SIZE, MADV_SETMAP, LARGE
    OK
    SPACE_MMAP PLAIN, SIZE, RWX, PLAIN_MAP, [other]
    OK
    SPACE_MMAP COPY, SIZE, RWX, TABLED_MAP, [other]
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, SIZE, MADV_SETMAP, LARGE
    OK

.macro TRUNCATE length
    SYSCALL SYS_ftruncate, [other], 0, \length
    OK
.endm

# FULL: a file of full length, with a value in each page, that everybody has touched.
.macro FULL
    TRUNCATE SIZE
    .irp page, 0, 1, 2, 3, 4, 5, 6, 7
    mov qword ptr [AREA + \page*PS], 0x10 + \page
    .endr
    SHOWN 0, 0x10
    SHOWN 3*PS, 0x13
    SHOWN 7*PS, 0x17
.endm

# SHOWN offset, value: the word there, everywhere.
.macro SHOWN offset, value
    WORD AREA + \offset, \value
    WORD TABLED + \offset, \value
    READS PLAIN + \offset, \value
    READS COPY + \offset, \value
.endm

# BEYOND offset: that is beyond the end, everywhere.
.macro BEYOND offset
    UNREADABLE AREA + \offset
    UNREADABLE TABLED + \offset
    UNWRITABLE AREA + \offset
    UNWRITABLE TABLED + \offset
    CANNOT_READ PLAIN + \offset
    CANNOT_READ COPY + \offset
    CANNOT_WRITE PLAIN + \offset
    CANNOT_EXECUTE COPY + \offset
.endm

CASE shorter, "6.14.13 6.13.14 3.4.17", "Pages that a truncation takes are beyond the end, though they were in use"
    FULL
    TRUNCATE 4*PS
    BEYOND 7*PS
    BEYOND 4*PS
    SHOWN 3*PS, 0x13
    SHOWN 0, 0x10

CASE longer_again, "6.14.13", "When the file grows again they are there at once, as zeros"
    FULL
    TRUNCATE PS
    BEYOND 3*PS
    TRUNCATE SIZE
    SHOWN 3*PS, 0
    SHOWN 7*PS, 0
    SHOWN 0, 0x10
    WRITES COPY + 3*PS, 5
    SHOWN 3*PS, 5

CASE within_a_page, "6.14.13", "A truncation within a page clears the rest of the page"
    FULL
    mov rax, 0x4142434445464748
    mov [AREA + 3*PS + 8], rax
    TRUNCATE 3*PS + 10
    SHOWN 3*PS + 8, 0x4748
    BEYOND 4*PS
    TRUNCATE SIZE
    SHOWN 3*PS + 8, 0x4748

CASE to_nothing, "6.14.13", "A truncation to nothing takes all"
    FULL
    TRUNCATE 0
    BEYOND 0
    BEYOND 7*PS
    TRUNCATE SIZE
    SHOWN 0, 0

CASE by_writing, "6.14.13 6.9.18", "A write(2) behind the end makes pages up to there"
    FULL
    TRUNCATE 2*PS
    BEYOND 4*PS
    mov qword ptr [buffer], 0x99
    SYSCALL SYS_extpwrite, [other], buffer, 8, 0, 4*PS
    OK
    SHOWN 4*PS, 0x99
    SHOWN 3*PS, 0
    BEYOND 5*PS

CASE by_opening, "6.14.13", "O_TRUNC is a truncation"
    FULL
    SYSCALL SYS_open, file, O_RDWR + O_TRUNC
    OK
    mov [buffer], rax
    SYSCALL SYS_close, [buffer]
    OK
    BEYOND 0
    TRUNCATE SIZE
    SHOWN 3*PS, 0

CASE private, "6.9.12 6.14.9", "A page that a private mapping has written is its own; one that it has not is the file's"
    FULL
    MMAP PRIVATE, SIZE, RW, MAP_PRIVATE + MAP_FIXED, [other]
    OK
    mov qword ptr [PRIVATE + 3*PS], 0x77
    WORD AREA + 3*PS, 0x13
    WORD PRIVATE + 3*PS, 0x77
    WORD PRIVATE + 7*PS, 0x17

CASE tables, "6.14.13 6.13.15", "A table that a truncation takes is beyond the end for the next walk"
    FULL
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, SIZE, MADV_SETMAP, PS + PTE_RW
    OK
    mov qword ptr [AREA + PS], 5*PS + PTE_RW
    mov qword ptr [AREA + 5*PS], 6*PS + PTE_RW
    mov qword ptr [AREA + 6*PS], 7*PS + PTE_RW
    mov qword ptr [AREA + 7*PS], PTE_RW
    READS COPY, 0x10
    TRUNCATE 5*PS
    INVALIDATE COPY, SIZE
    CANNOT_READ COPY
    WORD AREA + PS, 5*PS + PTE_RW + VPTE_A
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, SIZE, MADV_SETMAP, LARGE
    OK

CASE code, "6.14.13 6.14.12", "Code that a truncation takes does not run any more, nor when the file has grown again"
    FULL
    mov dword ptr [AREA + 3*PS], 0x050fcc90     # nop; int3
    ENTER PLAIN + 3*PS
    EXPECT T_BPTFLT, PLAIN + 3*PS + 2
    RUN
    TRUNCATE PS
    CANNOT_EXECUTE PLAIN + 3*PS
    TRUNCATE SIZE
    mov dword ptr [AREA + 3*PS + 0x100], 0xcc
    ENTER PLAIN + 3*PS                  # zeros: add [rax], al
    GIVE RAX, 0x30
    EXPECT T_PAGEFLT, PLAIN + 3*PS, PGEX_U+PGEX_W, 0x30
    RUN

CASE unlinked, "6.14.9", "A file without a name is there as long as it is mapped"
    SYSCALL SYS_open, gone, O_RDWR + O_CREAT, 0600
    OK
    mov [buffer], rax
    SYSCALL SYS_ftruncate, [buffer], 0, SIZE
    OK
    MMAP PRIVATE, SIZE, RW, PLAIN_MAP, [buffer]
    OK
    SYSCALL SYS_unlink, gone
    OK
    SYSCALL SYS_close, [buffer]
    OK
    mov qword ptr [PRIVATE + 3*PS], 0x88
    WORD PRIVATE + 3*PS, 0x88
    WORD PRIVATE + 7*PS, 0

    FINISH

    .balign 8
buffer:
    .quad 0
other:
    .quad 0
file:
    .asciz "other"
gone:
    .asciz "gone"
