# What a read leaves for the first write, and what is permitted later.

.include "../walk.inc"

A = 0xaaaa
AT_B = IMG_DATA + PAGE_SIZE

    WALK_SPACE

CASE sets_m, "6.14.1 7.5.7", "A read maps read-only even where W is set: the first write sets M, and nobody is told"
    PATH
    READS SEEN
    MARKS 1, VPTE_A
    WRITES SEEN, 1
    MARKS 1, AM

CASE seen_in_code, "6.14.1 7.5.3", "A write that is refused after a read has P in its code, and without a read it has not"
    PATH
    mov qword ptr [L1], IMG_DATA + PTE_R
    CANNOT_WRITE SEEN, PGEX_U+PGEX_W
    READS SEEN
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_WRITE SEEN, PGEX_U+PGEX_W

CASE refused_write_marks, "6.14.1 6.13.12", "A write that is refused after a read sets M in the directories, and nothing in the leaf"
    PATH
    mov qword ptr [L1], IMG_DATA + PTE_R
    READS SEEN
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    WORD L4, E4 + AM
    WORD L2, E2 + AM
    WORD L1, IMG_DATA + PTE_R + VPTE_A

CASE w_taken_after_read, "6.14.1 6.14.4", "W that is taken away after a read, of what has no M, is missed by the first write"
    PATH
    READS SEEN
    mov qword ptr [L1], IMG_DATA + PTE_R
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    READS SEEN

CASE redirected_after_read, "6.14.1 6.14.3", "After a read, the first write goes where the table leads now, and so do reads then"
    PATH
    mov qword ptr [RAM + IMG_DATA], A
    mov qword ptr [RAM + AT_B], A + 1
    READS SEEN, A
    mov qword ptr [L1], AT_B + PTE_RW
    WRITES SEEN, A + 2
    WORD RAM + IMG_DATA, A
    WORD RAM + AT_B, A + 2
    READS SEEN, A + 2

# Read with M set, then the same as above: the first write faults, unless it is 2020.
CASE modified_marks, "6.14.1 9.4", "Read where W and M are set, M cleared, written: 2020 does not set it again, the others do"
    PATH
    or qword ptr [L1], AM
    READS SEEN
    mov qword ptr [L1], E1
    WRITES SEEN, A
    WORD RAM + IMG_DATA, A
    .if ABI == 2020
    WORD L1, E1
    INVALIDATE SEEN, PAGE_SIZE
    WRITES SEEN, A
    .endif
    WORD L1, E1 + AM

CASE modified_w_taken, "6.14.1 9.4", "Read where W and M are set, W taken away: 2020 misses it after INVAL, the others at once"
    PATH
    or qword ptr [L1], AM
    READS SEEN
    mov qword ptr [L1], IMG_DATA + PTE_R
    .if ABI == 2020
    WRITES SEEN, A
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_WRITE SEEN, PGEX_U+PGEX_W
    .else
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    .endif

CASE modified_only, "6.14.1 9.4", "Read where M is set and W is not: read-only in every version"
    PATH
    mov qword ptr [L1], IMG_DATA + PTE_R + VPTE_M
    READS SEEN
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W

CASE modified_above, "6.14.1 9.4", "M in the directories does not count: the leaf's does"
    PATH
    .irp level, 4, 3, 2
    or qword ptr [L\level], AM
    .endr
    READS SEEN
    WRITES SEEN, A
    WORD L1, E1 + AM

CASE modified_large, "6.14.1 9.4 6.13.7", "Read where a large entry has W and M"
    PATH
    mov qword ptr [L2], IMG_DATA + PTE_RW + VPTE_PS + AM
    READS SEEN - I1*SPAN1
    mov qword ptr [L2], IMG_DATA + PTE_RW + VPTE_PS
    WRITES SEEN - I1*SPAN1, A
    .if ABI == 2020
    WORD L2, IMG_DATA + PTE_RW + VPTE_PS
    .else
    WORD L2, IMG_DATA + PTE_RW + VPTE_PS + AM
    .endif

CASE fetch_then_write, "6.14.1", "After a fetch the first write sets M as well"
    PATH
    EXECUTES SEEN + 8
    MARKS 1, VPTE_A
    WRITES SEEN, A
    MARKS 1, AM

CASE made_valid, "6.14.3", "What is made valid is seen at once, at every level"
    PATH
    .irp level, 1, 2, 3, 4
    mov qword ptr [L\level], 0
    CANNOT_READ SEEN
    CANNOT_WRITE SEEN
    .endr
    .irp level, 1, 2, 3, 4
    CANNOT_READ SEEN
    mov qword ptr [L\level], E\level
    .endr
    READS SEEN
    WRITES SEEN, A

CASE made_writable, "6.14.3 7.5.7", "W that is given is seen at once, by what has been read"
    PATH
    mov qword ptr [L1], IMG_DATA + PTE_R
    READS SEEN
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    mov qword ptr [L1], E1
    WRITES SEEN, A
    WORD L1, E1 + AM

CASE made_writable_above, "6.14.3", "W that is given in a directory too"
    PATH
    mov qword ptr [L3], IMG_PD + PTE_R
    READS SEEN
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W
    mov qword ptr [L3], E3
    WRITES SEEN, A

CASE write_maps_for_reads, "6.14.2", "After a write, reads do not walk the table"
    PATH
    WRITES SEEN, A
    mov qword ptr [L1], 0
    READS SEEN, A
    WORD L1, 0

CASE plain_first_write, "6.14.1", "In a plain mapping nothing of it is seen: a read, then a write"
    SPACE_MMAP 0x40000, PAGE_SIZE, RW, PLAIN_MAP, r12, AT_B
    OK
    mov qword ptr [RAM + AT_B], A
    READS 0x40000, A
    WRITES 0x40000, A + 1
    WORD RAM + AT_B, A + 1

    FINISH
