# Translations that were made stay, whatever becomes of the page table, until they are dropped.

.include "../walk.inc"

NEXT = SEEN + PAGE_SIZE
A = 0xaaaa
B = 0xbbbb
AT_B = IMG_DATA + PAGE_SIZE

    WALK_SPACE

# PATH, with A at IMG_DATA and B at AT_B, INT3 behind them in both.
.macro PATH_AB
    PATH
    mov eax, 0xcccccccc
    mov [RAM + IMG_DATA + 8], eax
    mov [RAM + AT_B + 8], eax
    mov qword ptr [RAM + IMG_DATA], A
    mov qword ptr [RAM + AT_B], B
.endm

# Each way to take something away, seen after INVAL only.
.macro TAKEN_AWAY name, read_title, write_title, level, entry
CASE read_\name, "6.14.4 6.14.2", \read_title
    PATH_AB
    READS SEEN, A
    mov qword ptr [L\level], \entry
    READS SEEN, A
    EXECUTES_OR_NOT
    WORD L\level, \entry
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_READ SEEN
CASE write_\name, "6.14.4 6.14.2", \write_title
    PATH_AB
    WRITES SEEN, A + 1
    mov qword ptr [L\level], \entry
    WRITES SEEN, A + 2
    READS SEEN, A + 2
    WORD RAM + IMG_DATA, A + 2
    WORD L\level, \entry
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_WRITE SEEN
.endm

# Where everything that can be read can be executed.
.macro EXECUTES_OR_NOT
    .if ABI != 2020
    EXECUTES SEEN + 8
    .endif
.endm

    TAKEN_AWAY invalid_1, "Read, then made invalid: seen after INVAL", "Written, then made invalid: seen after INVAL", 1, 0
    TAKEN_AWAY invalid_2, "Read, then its directory made invalid: seen after INVAL", "Written, then its directory made invalid: seen after INVAL", 2, 0
    TAKEN_AWAY invalid_4, "Read, then its directory in the root page made invalid: seen after INVAL", "Written, then its directory in the root page made invalid: seen after INVAL", 4, 0
    TAKEN_AWAY beyond, "Read, then directed beyond the file: seen after INVAL", "Written, then directed beyond the file: seen after INVAL", 1, IMG_SIZE+PTE_RW

CASE redirected, "6.14.4", "Another page: seen after INVAL"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], AT_B + PTE_RW
    READS SEEN, A
    INVALIDATE SEEN, PAGE_SIZE
    READS SEEN, B

CASE redirected_write, "6.14.4", "Another page, for writes"
    PATH_AB
    WRITES SEEN, A + 1
    mov qword ptr [L1], AT_B + PTE_RW
    WRITES SEEN, A + 2
    WORD RAM + AT_B, B
    INVALIDATE SEEN, PAGE_SIZE
    WRITES SEEN, B + 1
    WORD RAM + AT_B, B + 1
    WORD RAM + IMG_DATA, A + 2

CASE write_taken, "6.14.4", "W taken away: writes go on until INVAL, reads afterwards too"
    PATH_AB
    WRITES SEEN, A + 1
    mov qword ptr [L1], IMG_DATA + PTE_R
    WRITES SEEN, A + 2
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_WRITE SEEN
    READS SEEN, A + 2
    CANNOT_WRITE SEEN, PGEX_P+PGEX_U+PGEX_W

CASE execute_taken, "6.14.4", "Executed, then made invalid: seen after INVAL"
    PATH_AB
    EXECUTES SEEN + 8
    mov qword ptr [L1], 0
    EXECUTES SEEN + 8
    READS SEEN, A
    INVALIDATE SEEN, PAGE_SIZE
    CANNOT_EXECUTE SEEN + 8

CASE marks_cleared, "6.14.2", "A and M that are cleared stay clear until INVAL"
    PATH_AB
    WRITES SEEN, A + 1
    MARKS 1, AM
    .irp level, 4, 3, 2, 1
    mov qword ptr [L\level], E\level
    .endr
    WRITES SEEN, A + 2
    READS SEEN, A + 2
    MARKS 5, 0
    INVALIDATE SEEN, PAGE_SIZE
    READS SEEN, A + 2
    MARKS 1, VPTE_A
    WRITES SEEN, A + 3
    MARKS 1, AM

CASE accessed_cleared, "6.14.2", "A that is cleared after a read stays clear for reads"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], E1
    READS SEEN + 16
    EXECUTES_OR_NOT
    WORD L1, E1
    INVALIDATE SEEN, PAGE_SIZE
    READS SEEN, A
    WORD L1, E1 + VPTE_A

CASE granular, "6.11.3 6.14.4", "INVAL of a page leaves its neighbours alone"
    PATH_AB
    mov qword ptr [L1 - 8], AT_B + PTE_RW
    mov qword ptr [L1 + 8], AT_B + PTE_RW
    READS SEEN, A
    READS SEEN - PAGE_SIZE, B
    READS NEXT, B
    .irp place, 0, 8, -8
    mov qword ptr [L1 + \place], 0
    .endr
    INVALIDATE SEEN - PAGE_SIZE, PAGE_SIZE
    READS SEEN, A
    INVALIDATE NEXT, PAGE_SIZE
    READS SEEN, A
    CANNOT_READ NEXT
    CANNOT_READ SEEN - PAGE_SIZE
    INVALIDATE SEEN + 0xfff, 1
    CANNOT_READ SEEN

CASE granular_bytes, "6.11.3", "INVAL of two bytes across a border forgets both pages"
    PATH_AB
    mov qword ptr [L1 + 8], AT_B + PTE_RW
    READS SEEN, A
    READS NEXT, B
    mov qword ptr [L1], 0
    mov qword ptr [L1 + 8], 0
    INVALIDATE NEXT - 1, 2
    CANNOT_READ SEEN
    CANNOT_READ NEXT

CASE granular_none, "6.11.3", "INVAL of no length at a page's beginning forgets nothing"
    PATH_AB
    READS SEEN, A
    mov qword ptr [L1], 0
    INVALIDATE SEEN, 0
    READS SEEN, A

CASE inval_wide, "6.11.3", "INVAL of 2 MB, and of all addresses, forgets every page in it"
    PATH_AB
    mov qword ptr [RAM + IMG_PT], AT_B + PTE_RW
    mov qword ptr [RAM + IMG_PT + 511*8], AT_B + PTE_RW
    READS SEEN, A
    READS SEEN - I1*SPAN1, B
    READS SEEN - I1*SPAN1 + 511*PAGE_SIZE, B
    mov qword ptr [L2], 0
    READS SEEN - I1*SPAN1 + 511*PAGE_SIZE, B
    INVALIDATE SEEN - I1*SPAN1, SPAN2
    CANNOT_READ SEEN
    CANNOT_READ SEEN - I1*SPAN1
    CANNOT_READ SEEN - I1*SPAN1 + 511*PAGE_SIZE
    mov qword ptr [L2], E2
    READS SEEN, A
    mov qword ptr [L2], 0
    INVALIDATE
    CANNOT_READ SEEN

    FINISH
