# MADV_SETMAP: whose root it sets, and what it makes the host forget.

.include "../walk.inc"

AREA = 0x20000000                       # in the virtual kernel
COPY = 2*WINDOW                         # in the vmspace
OTHER_SPACE = 0x5001
LARGE = VPTE_PS + PTE_RW
A = 0xaaaa                              # the word at IMG_DATA + PAGE_SIZE*1, 2, 3
B = 0xbbbb
C = 0xcccc
AT_A = IMG_DATA + PAGE_SIZE
AT_B = IMG_DATA + 2*PAGE_SIZE
AT_C = IMG_DATA + 3*PAGE_SIZE

    WALK_SPACE
    mov qword ptr [RAM + AT_A], A
    mov qword ptr [RAM + AT_B], B
    mov qword ptr [RAM + AT_C], C

.macro SETMAP address, length, value, errno
    SYSCALL SYS_vmspace_mcontrol, SPACE, \address, \length, MADV_SETMAP, \value
    .ifb \errno
    OK
    .else
    REFUSED \errno
    .endif
.endm

CASE forgets, "6.11.4 6.14.7", "A new root is seen at once: translations are dropped"
    PATH AT_A + LARGE
    READS WINDOW, A
    SET_ROOT AT_B + LARGE
    READS WINDOW, B
    SET_ROOT 0
    CANNOT_READ WINDOW

CASE same_root, "6.11.4 6.14.7", "The same root once more drops the translations too"
    PATH
    READS SEEN, 0xcccccccccccccccc
    mov qword ptr [L1], AT_A + PTE_RW
    SET_ROOT E5
    READS SEEN, A

CASE plain, "6.11.5", "SETMAP on a plain mapping is EINVAL, in a vmspace and in one's own"
    SETMAP CODE, PAGE_SIZE, LARGE, ERRNO_EINVAL
    SYSCALL SYS_mcontrol, RAM, PAGE_SIZE, MADV_SETMAP, LARGE
    REFUSED ERRNO_EINVAL
    MMAP AREA, PAGE_SIZE, RW, ANON + MAP_FIXED
    OK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, LARGE
    REFUSED ERRNO_EINVAL
    READABLE AREA

CASE unmapped, "6.11.2", "SETMAP where nothing is mapped is success"
    SETMAP COPY, 16*PAGE_SIZE, LARGE
    EQUAL rax, 0

CASE plain_before, "6.11.5", "A plain mapping before: EINVAL, and the root is set"
    SPACE_MMAP COPY, PAGE_SIZE, RW, PLAIN_MAP, r12
    OK
    SPACE_MMAP COPY + PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SETMAP COPY, 2*PAGE_SIZE, AT_A + LARGE, ERRNO_EINVAL
    READS COPY + PAGE_SIZE, A

CASE plain_behind, "6.11.5", "A plain mapping behind: EINVAL, and the root is set"
    SPACE_MMAP COPY, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SPACE_MMAP COPY + PAGE_SIZE, PAGE_SIZE, RW, PLAIN_MAP, r12
    OK
    SETMAP COPY, 2*PAGE_SIZE, AT_B + LARGE, ERRNO_EINVAL
    READS COPY, B

CASE plain_between, "6.11.5", "A plain mapping and a hole between: EINVAL, and both roots are set"
    SPACE_MMAP COPY, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SPACE_MMAP COPY + PAGE_SIZE, PAGE_SIZE, RW, PLAIN_MAP, r12
    OK
    SPACE_MMAP COPY + 3*PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, COPY + 2*PAGE_SIZE, PAGE_SIZE
    SETMAP COPY, 4*PAGE_SIZE, AT_C + LARGE, ERRNO_EINVAL
    READS COPY, C
    READS COPY + 3*PAGE_SIZE, C

CASE several, "6.11.4", "One call sets the roots of all mappings in its range, and of no other"
    SPACE_MMAP COPY, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SPACE_MMAP COPY + 2*PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SPACE_MMAP COPY + 4*PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, COPY + PAGE_SIZE, PAGE_SIZE
    SYSCALL SYS_vmspace_munmap, SPACE, COPY + 3*PAGE_SIZE, PAGE_SIZE
    SETMAP COPY, 3*PAGE_SIZE, AT_A + LARGE
    READS COPY, A
    READS COPY + 2*PAGE_SIZE, A
    CANNOT_READ COPY + 4*PAGE_SIZE

CASE part, "6.12.1", "SETMAP on part of a mapping: the part has the new root, wherever it lies"
    .irp page, 0, 1, 2
    SPACE_MMAP COPY, 3*PAGE_SIZE, RW, TABLED_MAP, r12, 0
    OK
    SETMAP COPY, 3*PAGE_SIZE, AT_A - \page*PAGE_SIZE + LARGE
    READS COPY + \page*PAGE_SIZE, A
    SETMAP COPY + \page*PAGE_SIZE, PAGE_SIZE, AT_B - \page*PAGE_SIZE + LARGE
    READS COPY + \page*PAGE_SIZE, B
    .endr

CASE part_then_all, "6.12.1", "SETMAP on the whole afterwards sets all of it"
    SPACE_MMAP COPY, 3*PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SETMAP COPY + PAGE_SIZE, PAGE_SIZE, LARGE
    SETMAP COPY, 3*PAGE_SIZE, AT_A + LARGE
    READS COPY, A
    READS COPY + PAGE_SIZE, B
    READS COPY + 2*PAGE_SIZE, C

CASE inval_splits, "6.12.1 6.11.3", "INVAL of part of a mapping leaves the root of all of it alone"
    SPACE_MMAP COPY, 3*PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SETMAP COPY, 3*PAGE_SIZE, AT_A + LARGE
    READS COPY, A
    INVALIDATE COPY + PAGE_SIZE, PAGE_SIZE
    READS COPY + PAGE_SIZE, B
    READS COPY + 2*PAGE_SIZE, C
    INVALIDATE COPY, 3*PAGE_SIZE
    READS COPY, A
    READS COPY + PAGE_SIZE, B
    READS COPY + 2*PAGE_SIZE, C

CASE neighbours, "6.12.2", "Neighbours whose offsets do not continue each other have roots of their own"
    SPACE_MMAP COPY, PAGE_SIZE, RW, TABLED_MAP, r12, 0
    OK
    SPACE_MMAP COPY + PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r12, 0
    OK
    SETMAP COPY, PAGE_SIZE, AT_A + LARGE
    SETMAP COPY + PAGE_SIZE, PAGE_SIZE, AT_B + LARGE
    READS COPY, A
    READS COPY + PAGE_SIZE, B
    INVALIDATE COPY, 2*PAGE_SIZE
    READS COPY, A
    READS COPY + PAGE_SIZE, B

CASE neighbours_of_files, "6.12.2", "So have neighbours of different files"
    SYSCALL SYS_open, file, O_RDWR + O_CREAT, 0600
    OK
    mov r15, rax
    SYSCALL SYS_ftruncate, r15, 0, IMG_SIZE
    OK
    SPACE_MMAP COPY, PAGE_SIZE, RW, TABLED_MAP, r12, 0
    OK
    SPACE_MMAP COPY + PAGE_SIZE, PAGE_SIZE, RW, TABLED_MAP, r15, PAGE_SIZE
    OK
    SETMAP COPY, PAGE_SIZE, AT_A + LARGE
    SETMAP COPY + PAGE_SIZE, PAGE_SIZE, LARGE
    READS COPY, A
    READS COPY + PAGE_SIZE, 0
    INVALIDATE COPY, 2*PAGE_SIZE
    READS COPY, A
    READS COPY + PAGE_SIZE, 0

CASE two_vmspaces, "6.11.4 6.14.6", "Each vmspace, and the virtual kernel, has roots of its own"
    PATH AT_A + LARGE
    SYSCALL SYS_vmspace_create, OTHER_SPACE
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, WINDOW, WINDOW_SIZE, RWX, TABLED_MAP, r12, 0
    OK
    SYSCALL SYS_vmspace_mcontrol, OTHER_SPACE, WINDOW, WINDOW_SIZE, MADV_SETMAP, AT_B + LARGE
    OK
    MMAP AREA, PAGE_SIZE, RW, TABLED_MAP, r12
    OK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, AT_C + LARGE
    OK
    READS WINDOW, A
    WORD AREA, C
    mov qword ptr [frame + TF_RIP], CODE
    mov qword ptr [wanted + TF_RAX], B
    mov r11, WINDOW
    mov [frame + TF_RSI], r11
    ANY RCX
    RUN OTHER_SPACE
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK

    FINISH

file:
    .asciz "other"
