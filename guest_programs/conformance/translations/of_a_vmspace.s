# Translations belong to a vmspace: they survive its guest's leaving, and go with what they translate.

.include "../walk.inc"

OTHER_SPACE = 0x5001
A = 0xaaaa
B = 0xbbbb
AT_B = IMG_DATA + PAGE_SIZE

    WALK_SPACE

# PATH, with A at IMG_DATA and B at AT_B.
.macro PATH_AB
    PATH
    mov qword ptr [RAM + IMG_DATA], A
    mov qword ptr [RAM + AT_B], B
.endm

CASE survives, "6.14.5", "Translations survive leaving, entering, and guests in other vmspaces"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], 0
    call other_space
    .rept 3
    call other_runs
    READS SEEN, A
    .endr
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK
    READS SEEN, A
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_READ SEEN

CASE same_address, "6.14.6", "Another vmspace has its own translation of the same address"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], AT_B + PTE_RW
    call other_tabled
    call other_reads
    EQUAL [frame + TF_RAX], B
    READS SEEN, A
    # Its INVAL is not ours.
    SYSCALL SYS_vmspace_mcontrol, OTHER_SPACE, SEEN, PAGE_SIZE, MADV_INVAL
    OK
    READS SEEN, A
    SYSCALL SYS_madvise, SEEN, PAGE_SIZE, MADV_INVAL
    OK
    READS SEEN, A
    # Nor is ours its.
    mov qword ptr [L1], IMG_DATA + PTE_RW
    call other_reads
    EQUAL [frame + TF_RAX], A
    mov qword ptr [L1], AT_B + PTE_RW
    INVALIDATE SEEN, PAGE_SIZE
    READS SEEN, B
    call other_reads
    EQUAL [frame + TF_RAX], A
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK

CASE each_marks, "6.14.6", "What another vmspace has marked is marked again for this one"
    PATH_AB
    READS SEEN, A
    call other_tabled
    mov qword ptr [L1], E1
    call other_reads
    WORD L1, E1 + VPTE_A
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK

CASE munmap_drops, "6.14.7", "munmap drops translations: what is mapped there afterwards is walked to"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], AT_B + PTE_RW
    SYSCALL SYS_vmspace_munmap, SPACE, WINDOW, WINDOW_SIZE
    OK
    CANNOT_READ SEEN
    SPACE_MMAP WINDOW, WINDOW_SIZE, RWX, TABLED_MAP, r12
    OK
    SET_ROOT E5
    READS SEEN, B

CASE fixed_drops, "6.14.7 6.9.14", "So does a mapping that replaces another"
    PATH_AB
    READS SEEN, A
    SPACE_MMAP WINDOW, WINDOW_SIZE, RWX, TABLED_MAP, r12
    OK
    CANNOT_READ SEEN
    SET_ROOT E5
    READS SEEN, A

CASE destroy_drops, "6.14.7 6.4.2", "Destroying a vmspace drops its translations"
    PATH_AB
    call other_tabled
    call other_reads
    EQUAL [frame + TF_RAX], A
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK
    mov qword ptr [L1], AT_B + PTE_RW
    call other_tabled
    call other_reads
    EQUAL [frame + TF_RAX], B
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK

    FINISH

# A vmspace with the guest's code, and a window on the table that it cannot look through.
other_space:
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE        # in case that a case before has failed
    SYSCALL SYS_vmspace_create, OTHER_SPACE
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, WINDOW, WINDOW_SIZE, RWX, TABLED_MAP, r12, 0
    OK
    ret

# It can look through this one.
other_tabled:
    call other_space
    SYSCALL SYS_vmspace_mcontrol, OTHER_SPACE, WINDOW, WINDOW_SIZE, MADV_SETMAP, E5
    OK
    ret

other_runs:
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN OTHER_SPACE
    ret

other_reads:
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, SEEN
    ANY RAX
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN OTHER_SPACE
    ret
