# PS ends the walk: at each level, in the root, with frames whose low bits are not 0.

.include "../walk.inc"

LARGE = VPTE_PS + PTE_RW
MARK = 0x6d61726b
LAST_PAGE = IMG_SIZE - PAGE_SIZE
OFFSET5 = TABLE_ADDRESS                 # of SEEN in what an entry stands for
OFFSET4 = I3*SPAN3 + I2*SPAN2 + I1*SPAN1
OFFSET3 = I2*SPAN2 + I1*SPAN1
OFFSET2 = I1*SPAN1
OFFSET1 = 0
SPAN5 = WINDOW_SIZE

    WALK_SPACE

# LARGE_ENTRY level, frame: SEEN's entry of the level, or the root, is this with PS.
.macro LARGE_ENTRY level, frame, rights=PTE_RW
    .if \level == 5
    PATH \frame + VPTE_PS + \rights
    .else
    PATH
    mov qword ptr [L\level], \frame + VPTE_PS + \rights
    .endif
    mov qword ptr [RAM + LAST_PAGE + 8], MARK
    mov qword ptr [RAM + IMG_DATA + 8], MARK + 1
.endm

# UNMARKED_BELOW level: the entries of lower levels are as PATH made them.
.macro UNMARKED_BELOW level
    .irp each, 4, 3, 2, 1
    .if \each < \level
    WORD L\each, E\each
    .endif
    .endr
.endm

    .irp level, 5, 4, 3, 2
CASE first_page_\level, "6.13.7 4.3.1 9.1", "PS in level \level: what it stands for begins with its frame"
    LARGE_ENTRY \level, IMG_DATA
    READS SEEN - OFFSET\level + 8, MARK + 1
    .if \level < 5
    WORD L\level, IMG_DATA + LARGE + VPTE_A
    .endif
    UNMARKED_BELOW \level

CASE rest_is_added_\level, "6.13.7 6.13.8", "PS in level \level: the rest of the page number is added to the frame, and not masked"
    LARGE_ENTRY \level, IMG_DATA + PAGE_SIZE
    .irp page, 1, 2, 8
    mov qword ptr [RAM + IMG_DATA + (\page + 1)*PAGE_SIZE + 16], MARK + \page
    READS SEEN - OFFSET\level + \page*PAGE_SIZE + 16, MARK + \page
    .endr

CASE end_of_object_\level, "6.13.7 6.13.14", "PS in level \level: as far as the file goes, and no further"
    LARGE_ENTRY \level, IMG_DATA
    READS SEEN - OFFSET\level + LAST_PAGE - IMG_DATA + 8, MARK
    CANNOT_READ SEEN - OFFSET\level + IMG_SIZE - IMG_DATA
    CANNOT_READ SEEN - OFFSET\level + SPAN\level - 8
    CANNOT_WRITE SEEN - OFFSET\level + IMG_SIZE - IMG_DATA

CASE marks_\level, "6.13.7 6.13.11", "PS in level \level: a write marks it, and nothing behind it"
    LARGE_ENTRY \level, IMG_DATA
    WRITES SEEN - OFFSET\level + 8, MARK + 1
    .irp each, 4, 3, 2, 1
    .if \each > \level
    WORD L\each, E\each + AM
    .endif
    .if \each == \level
    WORD L\each, IMG_DATA + LARGE + AM
    .endif
    .endr
    UNMARKED_BELOW \level

CASE rights_\level, "6.13.7 6.13.6 6.13.4", "PS in level \level: rights are looked at first"
    LARGE_ENTRY \level, IMG_DATA, PTE_R
    CANNOT_WRITE SEEN - OFFSET\level + 8
    READS SEEN - OFFSET\level + 8, MARK + 1
    LARGE_ENTRY \level, IMG_DATA, 0
    CANNOT_READ SEEN - OFFSET\level + 8
    CANNOT_WRITE SEEN - OFFSET\level + 8
    .if \level < 5
    WORD L\level, IMG_DATA + VPTE_PS
    .endif
    .endr

CASE last_level, "6.13.9", "PS in the last level means nothing"
    PATH
    or qword ptr [L1], VPTE_PS
    READS SEEN + 8, 0xcccccccccccccccc
    WORD L1, E1 + VPTE_PS + VPTE_A
    CANNOT_READ SEEN + PAGE_SIZE

CASE small_pages_apart, "6.13.7 6.14.4", "Each page of a large entry is translated when it is touched, and marked once"
    PATH
    mov qword ptr [L2], IMG_DATA + LARGE
    READS SEEN - OFFSET2 + 8
    mov qword ptr [L2], IMG_DATA + LARGE
    READS SEEN - OFFSET2 + 16           # the same page: not walked again
    WORD L2, IMG_DATA + LARGE
    READS SEEN - OFFSET2 + PAGE_SIZE
    WORD L2, IMG_DATA + LARGE + VPTE_A

CASE linear_end, "6.13.7", "A linear mapping, fetched from: the file byte for byte, and a fault behind it"
    PATH IMG_DATA + LARGE
    mov byte ptr [RAM + IMG_SIZE - 1], 0xcc
    EXECUTES WINDOW + IMG_SIZE - IMG_DATA - 1
    CANNOT_EXECUTE WINDOW + IMG_SIZE - IMG_DATA
    CANNOT_EXECUTE WINDOW + WINDOW_SIZE - PAGE_SIZE

    FINISH
