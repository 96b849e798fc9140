# Bits of an entry that mean nothing to the host, and stay as they are.

.include "../walk.inc"

.ifdef VPTE_RW
MEANING = VPTE_FRAME + VPTE_V + VPTE_RW + VPTE_PS + VPTE_A + VPTE_M
.else
MEANING = VPTE_FRAME + VPTE_V + VPTE_R + VPTE_W + VPTE_PS + VPTE_A + VPTE_M
.endif
.ifdef VPTE_NX
IGNORED = ~(MEANING + VPTE_NX)
.else
IGNORED = ~MEANING
.endif
WITH_IGNORED = IGNORED + VPTE_A

    WALK_SPACE

# SET_BITS level, bits
.macro SET_BITS level, bits
    mov r10, \bits
    or [L\level], r10
.endm

# Entry by entry, what PATH made with these bits and marks.
.macro IS level, bits, marks
    mov r13, \bits
    or r13, E\level + \marks
    EQUAL [L\level], r13
.endm

    .irp level, 4, 3, 2, 1
CASE all_\level, "6.13.13 4.3.3", "Level \level with every bit that means nothing: used as without, and the bits stay"
    PATH
    SET_BITS \level, IGNORED
    READS SEEN, 0xcccccccccccccccc
    IS \level, IGNORED, VPTE_A
    WRITES SEEN, 5
    IS \level, IGNORED, AM
    WORD RAM + IMG_DATA, 5
    FORGET
    EXECUTES SEEN + 8
    .endr

CASE all_root, "6.13.13 4.3.3 6.13.3 6.11.4", "The root with every bit that means nothing, and with A and M"
    mov r15, IGNORED
    or r15, E5 + AM
    PATH r15
    READS SEEN, 0xcccccccccccccccc
    WRITES SEEN, 5
    MARKS 1, AM
    WORD RAM + IMG_DATA, 5

CASE instead_of_rights, "6.13.13 6.13.4", "They permit nothing: an entry of them alone is not valid"
    PATH
    mov r10, IGNORED
    or r10, IMG_DATA
    mov [L1], r10
    CANNOT_READ SEEN
    CANNOT_WRITE SEEN
    CANNOT_EXECUTE SEEN

    # One by one, in the leaf and in a directory.
    .irp bit, 1, 2, 3, 4, 7, 8, 9, 10, 11, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63
    .if (IGNORED >> \bit) & 1
CASE bit_\bit, "6.13.13 4.3.3", "Bit \bit means nothing in a leaf or a directory"
    PATH
    SET_BITS 1, 1 << \bit
    SET_BITS 3, 1 << \bit
    WRITES SEEN, 6
    WORD RAM + IMG_DATA, 6
    IS 1, (1 << \bit), AM
    IS 3, (1 << \bit), AM
    FORGET
    EXECUTES SEEN + 8
    .endif
    .endr

CASE marked_only, "6.13.10 6.13.4", "A and M permit nothing"
    PATH
    mov qword ptr [L1], IMG_DATA + AM
    CANNOT_READ SEEN
    CANNOT_WRITE SEEN
    WORD L1, IMG_DATA + AM

    FINISH
