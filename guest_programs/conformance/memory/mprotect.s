# mprotect: rights are taken and given back, as far as the descriptor permitted.

.include "../access.inc"

AREA = 0x20000000
PS = PAGE_SIZE
ALL = 4*PAGE_SIZE

    IMAGE
    SYSCALL SYS_open, image_path, O_RDONLY
    OK
    mov [reader], rax
    SYSCALL SYS_open, image_path, O_WRONLY
    OK
    mov [writer], rax

.macro PROTECT address, length, prot
    SYSCALL SYS_mprotect, \address, \length, \prot
    OK
.endm

CASE takes, "6.10.5", "Rights are taken away, of what was used too, and given back"
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    mov qword ptr [AREA + PS], 1
    PROTECT AREA, ALL, PROT_READ
    EQUAL rax, 0
    READABLE AREA + PS
    UNWRITABLE AREA + PS
    UNWRITABLE AREA + 2*PS
    PROTECT AREA, ALL, PROT_NONE
    UNREADABLE AREA + PS
    PROTECT AREA, ALL, RW
    WRITABLE AREA + PS
    WORD AREA + PS, 1

CASE part, "6.10.5", "In part: the address is rounded down, the length up"
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    PROTECT AREA + 2*PS - 1, 2, PROT_READ
    WRITABLE AREA
    UNWRITABLE AREA + PS
    UNWRITABLE AREA + 3*PS - 1
    WRITABLE AREA + 3*PS

CASE no_length, "6.10.5", "Length 0 is success"
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    PROTECT AREA, 0, PROT_NONE
    WRITABLE AREA

CASE wraps, "6.10.9", "A range that wraps is EINVAL"
    SYSCALL SYS_mprotect, AREA, -1, PROT_READ
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_mprotect, -PS, 2*PS, PROT_READ
    REFUSED ERRNO_EINVAL

CASE holes, "6.10.5", "Holes are ignored"
    MMAP AREA, ALL, RW, ANON + MAP_FIXED
    OK
    SYSCALL SYS_munmap, AREA + PS, PS
    OK
    PROTECT AREA, ALL, PROT_READ
    UNWRITABLE AREA
    UNREADABLE AREA + PS
    UNWRITABLE AREA + 2*PS
    SYSCALL SYS_munmap, AREA, PS
    OK
    PROTECT AREA, PS, RW                # nothing is there at all
    UNREADABLE AREA

CASE refused, "6.10.4", "WRITE of a SHARED mapping of a descriptor for reading is EACCES"
    MMAP AREA, PS, PROT_READ, PLAIN_MAP, [reader]
    OK
    SYSCALL SYS_mprotect, AREA, PS, RW
    REFUSED ERRNO_EACCES
    UNWRITABLE AREA
    READABLE AREA
    PROTECT AREA, PS, PROT_READ + PROT_EXEC

CASE read_refused, "6.10.4", "READ of a mapping of a descriptor for writing is EACCES"
    MMAP AREA, PS, PROT_WRITE, PLAIN_MAP, [writer]
    OK
    SYSCALL SYS_mprotect, AREA, PS, PROT_READ
    REFUSED ERRNO_EACCES
    PROTECT AREA, PS, PROT_WRITE + PROT_EXEC

CASE nothing_changed, "6.10.4", "When one mapping of a range refuses, those before it are not changed"
    MMAP AREA, 2*PS, PROT_READ, ANON + MAP_FIXED
    OK
    MMAP AREA + 2*PS, PS, PROT_READ, PLAIN_MAP, [reader]
    OK
    SYSCALL SYS_mprotect, AREA, 3*PS, RW
    REFUSED ERRNO_EACCES
    UNWRITABLE AREA
    UNWRITABLE AREA + PS

CASE private, "6.10.4 6.9.12", "A PRIVATE mapping of a descriptor for reading may be given WRITE"
    MMAP AREA, PS, PROT_READ, MAP_PRIVATE + MAP_FIXED, [reader]
    OK
    READABLE AREA + 8
    PROTECT AREA, PS, RW
    mov qword ptr [AREA + 8], 0x99
    WORD RAM + 8, 0

CASE table, "6.10.5 6.13.18", "A MAP_VPAGETABLE mapping can be protected; its table is then not even looked at"
    MMAP AREA, PS, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_mcontrol, AREA, PS, MADV_SETMAP, ROOT
    OK
    TABLES
    mov qword ptr [RAM + IMG_PT], IMG_DATA + PTE_RW
    PROTECT AREA, PS, PROT_READ
    UNWRITABLE AREA
    WORD RAM + IMG_PML4, IMG_PDP + PTE_RW
    WORD RAM + IMG_PT, IMG_DATA + PTE_RW
    READABLE AREA
    WORD RAM + IMG_PML4, IMG_PDP + PTE_RW + VPTE_A
    WORD RAM + IMG_PT, IMG_DATA + PTE_RW + VPTE_A
    PROTECT AREA, PS, RW
    WRITABLE AREA
    WORD RAM + IMG_PT, IMG_DATA + PTE_RW + VPTE_A + VPTE_M

    FINISH

    .balign 8
reader:
    .quad 0
writer:
    .quad 0
