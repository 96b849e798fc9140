# Executing through a page table: NX, and mappings without PROT_EXEC.

.include "../walk.inc"

    WALK_SPACE

    .if ABI == 2020
    .irp level, 5, 4, 3, 2, 1
CASE nx_\level, "6.13.19 9.3 4.3.1", "NX in level \level: no fetch; reads and writes are no matter of it"
    .if \level == 5
    PATH E5 + VPTE_NX
    .else
    PATH
    or qword ptr [L\level], VPTE_NX
    .endif
    CANNOT_EXECUTE SEEN
    READS SEEN + 8, 0xcccccccccccccccc
    WRITES SEEN + 8, 4
    .endr

    # Marks are set before NX is looked at.
    .irp level, 4, 3, 2, 1
CASE nx_marks_\level, "6.13.21", "NX in level \level: the entry that fails a fetch is marked all the same"
    PATH
    or qword ptr [L\level], VPTE_NX
    CANNOT_EXECUTE SEEN
    .irp each, 4, 3, 2, 1
    .if \each > \level
    WORD L\each, E\each + VPTE_A
    .endif
    .if \each == \level
    WORD L\each, E\each + VPTE_NX + VPTE_A
    .endif
    .if \each < \level
    WORD L\each, E\each
    .endif
    .endr
    .endr

CASE nx_not_valid, "6.13.12 6.13.4", "NX in an entry that is not valid: it is not marked"
    PATH
    mov qword ptr [L1], IMG_DATA + PTE_W + VPTE_NX
    CANNOT_EXECUTE SEEN
    WORD L1, IMG_DATA + PTE_W + VPTE_NX

CASE nx_taken_away, "6.13.19 6.14.3", "NX that is taken away needs no INVAL"
    PATH
    or qword ptr [L1], VPTE_NX
    READS SEEN, 0xcccccccccccccccc
    CANNOT_EXECUTE SEEN
    mov qword ptr [L1], E1
    EXECUTES SEEN

CASE nx_given, "6.13.19 6.14.4", "NX that is set is seen after INVAL"
    PATH
    EXECUTES SEEN
    or qword ptr [L1], VPTE_NX
    FORGET
    CANNOT_EXECUTE SEEN
    READS SEEN, 0xcccccccccccccccc

CASE nx_met_by_write, "6.13.19 6.14.4", "NX that is set is seen at the next walk, which a first write makes"
    PATH
    EXECUTES SEEN
    or qword ptr [L1], VPTE_NX
    EXECUTES SEEN
    WRITES SEEN + 8, 4
    CANNOT_EXECUTE SEEN

CASE nx_large, "6.13.19 6.13.7", "NX in an entry with PS"
    PATH
    mov qword ptr [L2], IMG_DATA + PTE_RW + VPTE_PS + VPTE_NX
    CANNOT_EXECUTE SEEN - I1*SPAN1
    READS SEEN - I1*SPAN1, 0xcccccccccccccccc
    mov qword ptr [L2], IMG_DATA + PTE_RW + VPTE_PS
    EXECUTES SEEN - I1*SPAN1

CASE no_exec_mapping, "6.13.19 6.13.18 9.3", "A MAP_VPAGETABLE mapping without PROT_EXEC: no fetch, and no walk"
    PATH
    SPACE_MMAP WINDOW, WINDOW_SIZE, RW, TABLED_MAP, r12
    OK
    SET_ROOT E5
    CANNOT_EXECUTE SEEN
    MARKS 5, 0
    READS SEEN, 0xcccccccccccccccc
    CANNOT_EXECUTE SEEN
    MARKS 1, VPTE_A
    SPACE_MMAP WINDOW, WINDOW_SIZE, RWX, TABLED_MAP, r12
    OK

CASE no_exec_plain, "6.13.19 9.3", "A plain mapping without PROT_EXEC: no fetch"
    PATH
    SPACE_MMAP 0x40000, PAGE_SIZE, RW, PLAIN_MAP, r12, IMG_DATA
    OK
    CANNOT_EXECUTE 0x40000
    READS 0x40000, 0xcccccccccccccccc
    CANNOT_EXECUTE 0x40000
    SPACE_MMAP 0x40000, PAGE_SIZE, PROT_READ + PROT_EXEC, PLAIN_MAP, r12, IMG_DATA
    OK
    EXECUTES 0x40000

CASE exec_alone, "6.13.19", "PROT_EXEC alone is enough for a fetch"
    PATH
    SPACE_MMAP 0x40000, PAGE_SIZE, PROT_EXEC, PLAIN_MAP, r12, IMG_DATA
    OK
    EXECUTES 0x40000

    .else

CASE no_exec_mapping, "6.13.20 9.3", "Without PROT_EXEC: whatever can be read can be executed"
    PATH
    SPACE_MMAP WINDOW, WINDOW_SIZE, RW, TABLED_MAP, r12
    OK
    SET_ROOT E5
    EXECUTES SEEN
    MARKS 1, VPTE_A

CASE no_exec_plain, "6.13.20 9.3", "In a plain mapping too"
    PATH
    SPACE_MMAP 0x40000, PAGE_SIZE, PROT_READ, PLAIN_MAP, r12, IMG_DATA
    OK
    EXECUTES 0x40000

CASE exec_after_read, "6.13.20", "What has been read can be executed without another walk"
    PATH
    READS SEEN, 0xcccccccccccccccc
    mov qword ptr [L1], 0
    EXECUTES SEEN
    WORD L1, 0

CASE write_alone, "6.13.20 9.3", "What is mapped with WRITE alone cannot be executed before it has been written"
    PATH
    SPACE_MMAP 0x40000, PAGE_SIZE, PROT_WRITE, PLAIN_MAP, r12, IMG_DATA
    OK
    CANNOT_EXECUTE 0x40000
    CANNOT_READ 0x40000
    WRITES 0x40000 + 8, 1
    EXECUTES 0x40000
    .endif

    FINISH
