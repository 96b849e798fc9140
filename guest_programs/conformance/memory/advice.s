# madvise, mcontrol and vmspace_mcontrol: what they accept, and what they leave alone.

.include "../access.inc"

AREA = 0x20000000
PS = PAGE_SIZE

    PLAIN_SPACE

# EACH behav, errno, address, length: mcontrol and vmspace_mcontrol refuse.
.macro EACH_REFUSES behav, address, length
    SYSCALL SYS_mcontrol, \address, \length, \behav, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_mcontrol, SPACE, \address, \length, \behav, 0
    REFUSED ERRNO_EINVAL
.endm

.macro EACH_ACCEPTS behav, address, length
    SYSCALL SYS_mcontrol, \address, \length, \behav, 0
    OK
    EQUAL rax, 0
    SYSCALL SYS_vmspace_mcontrol, SPACE, \address, \length, \behav, 0
    OK
    EQUAL rax, 0
.endm

CASE madvise_numbers, "6.11.1", "madvise takes 0 to 10"
    .irp behav, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    SYSCALL SYS_madvise, RAM, IMG_SIZE, \behav
    OK
    EQUAL rax, 0
    .endr
    .irp behav, -1, MADV_SETMAP, 12, 0x7fffffff, 0x80000000
    SYSCALL SYS_madvise, RAM, IMG_SIZE, \behav
    REFUSED ERRNO_EINVAL
    .endr

CASE mcontrol_numbers, "6.11.1 6.8b.1", "mcontrol and vmspace_mcontrol take 0 to 11"
    .irp behav, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    EACH_ACCEPTS \behav, AREA, PS
    .endr
    .irp behav, -1, 12, 0x7fffffff, 0x80000000
    EACH_REFUSES \behav, AREA, PS
    EACH_REFUSES \behav, AREA, 0
    .endr

CASE behav_is_an_int, "6.11.1 1.2.4", "Of the number the low 32 bits count"
    SYSCALL SYS_madvise, RAM, PS, 0x7700000000 + MADV_INVAL
    OK
    SYSCALL SYS_mcontrol, RAM, PS, 0x7700000000 + MADV_INVAL, 0
    OK

CASE ranges, "6.11.2 6.8b.2", "A range that wraps or ends too high is EINVAL"
    .irp behav, MADV_NORMAL, MADV_WILLNEED, MADV_INVAL, MADV_SETMAP
    EACH_REFUSES \behav, AREA, -1
    EACH_REFUSES \behav, -PS, 2*PS
    EACH_REFUSES \behav, USER_MAX - PS, PS + 1
    EACH_REFUSES \behav, USER_MAX, 1
    EACH_REFUSES \behav, -PS, PS - 1
    .endr
    SYSCALL SYS_madvise, AREA, -1, MADV_INVAL
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_madvise, USER_MAX - PS, PS + 1, MADV_INVAL
    REFUSED ERRNO_EINVAL

CASE all_addresses, "6.11.2 6.8b.2", "A range may be all addresses, or end where they do, or be empty"
    EACH_ACCEPTS MADV_INVAL, 0, USER_MAX
    EACH_ACCEPTS MADV_INVAL, USER_MAX - PS, PS
    EACH_ACCEPTS MADV_INVAL, AREA, 0
    EACH_ACCEPTS MADV_INVAL, RAM, 0

CASE unmapped, "6.11.2", "Memory that is not mapped is no error, whatever is advised"
    .irp behav, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    EACH_ACCEPTS \behav, AREA + 1, 3*PS
    .endr

CASE contents, "6.11.6", "Advice does not change what is in a file's memory, for us or for a guest"
    MMAP AREA, PS, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_mcontrol, AREA, PS, MADV_SETMAP, IMG_DATA + VPTE_PS + PTE_RW
    OK
    mov qword ptr [RAM + IMG_DATA], 0x5a5a
    WRITES DATA + 8, 0x3c3c
    .irp behav, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    SYSCALL SYS_madvise, RAM, IMG_SIZE, \behav
    OK
    SYSCALL SYS_madvise, AREA, PS, \behav
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, CODE, IMG_SIZE, \behav, 0
    OK
    WORD RAM + IMG_DATA, 0x5a5a
    WORD AREA + 8, 0x3c3c
    READS DATA, 0x5a5a
    READS DATA + 8, 0x3c3c
    .endr

CASE hints_keep, "6.11.6", "Hints do not unmap, nor change rights"
    MMAP AREA, 2*PS, PROT_READ, ANON + MAP_FIXED
    OK
    .irp behav, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    SYSCALL SYS_madvise, AREA + PS, PS, \behav
    OK
    READABLE AREA
    READABLE AREA + PS
    UNWRITABLE AREA + PS
    .endr

CASE inval_plain, "6.11.3 9.6", "INVAL of plain mappings is no more than forgetting: all that was written stays"
    MMAP AREA, 2*PS, RW, ANON + MAP_FIXED
    OK
    SPACE_MMAP AREA, 2*PS, RW, ANON + MAP_FIXED
    OK
    mov qword ptr [AREA], 0x11
    WRITES AREA, 0x22
    EACH_ACCEPTS MADV_INVAL, AREA, 2*PS
    WORD AREA, 0x11
    READS AREA, 0x22

CASE inval_plain_forgets, "6.11.3 9.6 7.5.2", "INVAL forgets the translations of plain mappings too"
    SPACE_MMAP AREA, PS, PROT_READ, ANON + MAP_FIXED
    OK
    READS AREA, 0
    CANNOT_WRITE AREA, PGEX_P+PGEX_U+PGEX_W
    INVALIDATE AREA, PS
    CANNOT_WRITE AREA, PGEX_U+PGEX_W

CASE madvise_low_bits, "6.11.3", "The first page is the one the address is in, the last the one the end is in"
    SPACE_MMAP AREA, 4*PS, PROT_READ, ANON + MAP_FIXED
    OK
    .irp page, 0, 1, 2, 3
    READS AREA + \page*PS, 0
    .endr
    INVALIDATE AREA + 2*PS - 1, 2
    CANNOT_WRITE AREA, PGEX_P+PGEX_U+PGEX_W
    CANNOT_WRITE AREA + PS, PGEX_U+PGEX_W
    CANNOT_WRITE AREA + 2*PS, PGEX_U+PGEX_W
    CANNOT_WRITE AREA + 3*PS, PGEX_P+PGEX_U+PGEX_W

    FINISH
