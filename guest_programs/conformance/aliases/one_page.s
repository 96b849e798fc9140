# One page of a file, through every door there is: what is written through one is what all others show.

.include "../walk.inc"

AREA = 0x20000000                       # the same in a MAP_VPAGETABLE mapping of ours
SECOND = 0x21000000                     # and in another plain mapping
COPY = 2*WINDOW                         # a second window of the vmspace
PLAIN = 0x40000                         # a plain mapping of the vmspace
OTHER_SPACE = 0x5001
AT = 0x128                              # where in the page

    WALK_SPACE
    MMAP AREA, PAGE_SIZE, RW, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, E5
    OK
    MMAP SECOND, PAGE_SIZE, RW, PLAIN_MAP, r12, IMG_DATA
    OK
    SPACE_MMAP COPY, PAGE_SIZE, RWX, TABLED_MAP, r12
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, COPY, PAGE_SIZE, MADV_SETMAP, IMG_DATA + VPTE_PS + PTE_RW
    OK
    SPACE_MMAP PLAIN, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    SYSCALL SYS_vmspace_create, OTHER_SPACE
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, PLAIN, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    SYSCALL SYS_open, image_path, O_RDWR
    OK
    mov [again], rax

# SHOWN value: everywhere.
.macro SHOWN value
    WORD RAM + IMG_DATA + AT, \value
    WORD AREA + AT, \value
    WORD SECOND + AT, \value
    SYSCALL SYS_extpread, r12, buffer, 8, 0, IMG_DATA + AT
    OK
    WORD buffer, \value
    SYSCALL SYS_extpread, [again], buffer, 8, 0, IMG_DATA + AT
    OK
    WORD buffer, \value
    READS SEEN + AT, \value
    READS COPY + AT, \value
    READS PLAIN + AT, \value
    OTHER_READS \value
.endm

.macro OTHER_READS value
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, PLAIN + AT
    WANT RAX, \value
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN OTHER_SPACE
.endm

# First every door is opened, so that whatever is cached somewhere is cached.
.macro DOOR name, title
CASE \name, "6.14.9", \title
    PATH
    mov qword ptr [RAM + IMG_DATA + AT], 0x1111
    SHOWN 0x1111
.endm

    DOOR plain, "Written through a plain mapping"
    mov qword ptr [RAM + IMG_DATA + AT], 0x2222
    SHOWN 0x2222

    DOOR second_plain, "Written through another plain mapping"
    mov qword ptr [SECOND + AT], 0x2222
    SHOWN 0x2222

    DOOR tabled, "Written through a MAP_VPAGETABLE mapping"
    mov qword ptr [AREA + AT], 0x2222
    SHOWN 0x2222

    DOOR vmspace, "Written by a guest through its table"
    WRITES SEEN + AT, 0x2222
    SHOWN 0x2222

    DOOR vmspace_large, "Written by a guest through a large entry"
    WRITES COPY + AT, 0x2222
    SHOWN 0x2222

    DOOR vmspace_plain, "Written by a guest through a plain mapping"
    WRITES PLAIN + AT, 0x2222
    SHOWN 0x2222

    DOOR other_vmspace, "Written by a guest in another vmspace"
    GUEST "mov [rsi], rax; syscall"
    GIVE RSI, PLAIN + AT
    GIVE RAX, 0x2222
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN OTHER_SPACE
    SHOWN 0x2222

    DOOR write_call, "Written by write(2)"
    mov qword ptr [buffer], 0x2222
    SYSCALL SYS_extpwrite, r12, buffer, 8, 0, IMG_DATA + AT
    OK
    SHOWN 0x2222

    DOOR write_call_again, "Written by write(2) through another descriptor"
    mov qword ptr [buffer], 0x2222
    SYSCALL SYS_extpwrite, [again], buffer, 8, 0, IMG_DATA + AT
    OK
    SHOWN 0x2222

    DOOR read_call, "Written by read(2), which has its buffer there"
    mov qword ptr [RAM + IMG_SCRATCH], 0x2222
    SYSCALL SYS_extpread, r12, SECOND + AT, 8, 0, IMG_SCRATCH
    OK
    SHOWN 0x2222

    DOOR read_call_tabled, "Written by read(2) through a MAP_VPAGETABLE mapping"
    mov qword ptr [RAM + IMG_SCRATCH], 0x2222
    SYSCALL SYS_extpread, r12, AREA + AT, 8, 0, IMG_SCRATCH
    OK
    SHOWN 0x2222

CASE page_tables, "6.14.9 6.14.3", "A guest may write its own page table, and use what it says"
    PATH
    mov qword ptr [L1 + 8], IMG_PT + PTE_RW
    mov qword ptr [RAM + IMG_DATA + AT], 0x3333
    CANNOT_READ SEEN + 2*PAGE_SIZE + AT
    WRITES SEEN + PAGE_SIZE + (I1 + 2)*8, E1
    READS SEEN + 2*PAGE_SIZE + AT, 0x3333
    WORD L1 + 2*8, E1 + VPTE_A

CASE two_leafs, "6.14.9 6.13.1", "Two entries for one page: two addresses of one page, marked apart"
    PATH
    mov qword ptr [L1 + 8], E1
    WRITES SEEN + AT, 0x4444
    READS SEEN + PAGE_SIZE + AT, 0x4444
    WORD L1, E1 + AM
    WORD L1 + 8, E1 + VPTE_A

CASE child, "6.14.9 6.15.1", "A child's mappings, and the guest that it runs, show the same page"
    PATH
    WRITES SEEN + AT, 0x5555
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz in_child
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    WORD status, 0
    SHOWN 0x6666

    FINISH

in_child:
    WORD AREA + AT, 0x5555
    READS SEEN + AT, 0x5555
    WRITES SEEN + AT, 0x6666
    SYSCALL SYS_exit, 0

    .balign 8
buffer:
    .quad 0
status:
    .quad 0
again:
    .quad 0
