# What the walk asks of an entry, at each level and in the root, and the A and M that it sets: a
# matrix of kind of access, bit that is missing, level where it is missing.

.include "../walk.inc"

.ifdef VPTE_RW
READ_BIT = 0                            # there is none
WRITE_BIT = VPTE_RW
.else
READ_BIT = VPTE_R
WRITE_BIT = VPTE_W
.endif

    WALK_SPACE

# LACK level, missing: SEEN's entry of this level, or the root, permits everything but this.
.macro LACK level, missing
    .if \level == 5
    PATH E5 - (\missing)
    .else
    PATH
    mov qword ptr [L\level], E\level - (\missing)
    .endif
.endm

# LACKED level, missing, lowest, marks: the entries still lack it, and from level 4 down to `lowest`
# they have these marks.
.macro LACKED level, missing, lowest, marks
    .irp each, 4, 3, 2, 1
    mov r13, E\each
    .if \each == \level
    mov r13, E\each - (\missing)
    .endif
    .if \each >= \lowest
    or r13, \marks
    .endif
    EQUAL [L\each], r13
    .endr
.endm

# DENIED access, marks, bit, mask, rules: at each level, without this bit, this access fails.  The
# entries before have the marks, the one that fails and those behind it have none.
.macro DENIED access, marks, bit, mask, rules
    .irp level, 5, 4, 3, 2, 1
CASE \access\()_needs_\bit\()_\level, \rules, "\access needs \bit in level \level; the failing entry is untouched, those before are marked"
    LACK \level, \mask
    .ifc \access, read
    CANNOT_READ SEEN + 8
    .endif
    .ifc \access, write
    CANNOT_WRITE SEEN + 8
    .endif
    .ifc \access, fetch
    CANNOT_EXECUTE SEEN + 8
    .endif
    LACKED \level, \mask, \level + 1, \marks
    .endr
.endm

# ALLOWED access, marks, bit, mask, rules: at each level, it does not need this bit.
.macro ALLOWED access, marks, bit, mask, rules
    .irp level, 5, 4, 3, 2, 1
CASE \access\()_without_\bit\()_\level, \rules, "\access does not need \bit in level \level; every entry is marked"
    LACK \level, \mask
    .ifc \access, read
    READS SEEN + 8, 0xcccccccccccccccc
    .endif
    .ifc \access, write
    WRITES SEEN + 8, 0x77
    WORD RAM + IMG_DATA + 8, 0x77
    .endif
    .ifc \access, fetch
    EXECUTES SEEN + 8
    .endif
    LACKED \level, \mask, 1, \marks
    .endr
.endm

    DENIED read, VPTE_A, valid, VPTE_V, "6.13.4 6.13.12 6.13.10 4.3.1 9.1"
    DENIED write, AM, valid, VPTE_V, "6.13.4 6.13.12 6.13.11"
    DENIED fetch, VPTE_A, valid, VPTE_V, "6.13.4 6.13.12"
    DENIED write, AM, w, WRITE_BIT, "6.13.6 6.13.12 6.13.11 4.3.1 9.1"
    ALLOWED read, VPTE_A, w, WRITE_BIT, "6.13.10 6.13.13"
    ALLOWED fetch, VPTE_A, w, WRITE_BIT, "6.13.20 6.13.10"
    .if ABI == 2011
    DENIED read, VPTE_A, r, READ_BIT, "6.13.5 6.13.12 4.3.1 9.2"
    DENIED fetch, VPTE_A, r, READ_BIT, "6.13.5 6.13.20 9.2 9.3"
    ALLOWED write, AM, r, READ_BIT, "6.13.11 6.13.5"
    ALLOWED fetch, VPTE_A, x, 0, "6.13.20 9.3"
    .else
    ALLOWED read, VPTE_A, u, 0, "6.13.13 9.2"
    .endif

CASE all_of_it, "6.13.10 6.13.11", "What permits all is marked A by a read, and A and M by the write that follows"
    PATH
    READS SEEN, 0xcccccccccccccccc
    MARKS 1, VPTE_A
    WRITES SEEN, 1
    MARKS 1, AM

CASE fetch_marks, "6.13.10", "A fetch marks as a read does"
    PATH
    EXECUTES SEEN
    MARKS 1, VPTE_A

CASE marked_already, "6.13.10 6.13.11", "Marks that are there stay: a read of what is modified"
    PATH
    .irp level, 4, 3, 2, 1
    mov qword ptr [L\level], E\level + AM
    .endr
    READS SEEN, 0xcccccccccccccccc
    MARKS 1, AM
    FORGET
    .irp level, 4, 3, 2, 1
    mov qword ptr [L\level], E\level + VPTE_M
    .endr
    READS SEEN, 0xcccccccccccccccc
    MARKS 1, AM

CASE write_only_modified, "6.13.11", "A write sets A where M is there, and M where A is"
    PATH
    mov qword ptr [L4], E4 + VPTE_M
    mov qword ptr [L3], E3 + VPTE_A
    mov qword ptr [L2], E2 + VPTE_M
    mov qword ptr [L1], E1 + VPTE_A
    WRITES SEEN, 1
    MARKS 1, AM

CASE other_entries, "6.13.10 6.13.11", "No other entry of a table is touched"
    PATH
    .irp level, 4, 3, 2, 1
    mov qword ptr [L\level - 8], E\level
    mov qword ptr [L\level + 8], E\level
    .endr
    WRITES SEEN, 1
    READS SEEN, 1
    MARKS 1, AM
    .irp level, 4, 3, 2, 1
    WORD L\level - 8, E\level
    WORD L\level + 8, E\level
    .endr

CASE read_modify_write, "6.13.11 12.3", "What reads and writes in one instruction marks as a write does, and fails as one"
    PATH
    GUEST "lock add [rsi], rax; syscall"
    GIVE RSI, SEEN
    GIVE RAX, 1
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN
    MARKS 1, AM
    PATH
    mov qword ptr [L1], E1 - WRITE_BIT
    GUEST "lock add [rsi], rax; syscall"
    GIVE RSI, SEEN
    EXPECT T_PAGEFLT, CODE, PGEX_U+PGEX_W, SEEN
    RUN
    LACKED 1, WRITE_BIT, 2, AM

    .if ABI == 2011
CASE write_only, "6.13.5 6.13.6 6.14.2", "2011: without R a page can be written, then read while that is cached, and not after INVAL"
    PATH
    mov qword ptr [L1], E1 - VPTE_R
    CANNOT_READ SEEN
    WRITES SEEN, 0x55
    READS SEEN, 0x55
    FORGET
    CANNOT_READ SEEN
    WRITES SEEN, 0x56
    WORD L1, E1 - VPTE_R + AM
    .endif

    FINISH
