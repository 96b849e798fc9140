# What a page fault says: code, address and rip, for each kind of access and each state of a page.

.include "../conform.inc"

ABSENT = 0x33000                        # no entry
SHOWN = 0x34000                         # an entry as a case says
LATER = 0x35000                         # one more
A_PAGE = IMG_DATA + 2*PAGE_SIZE
READ_FAULT = PGEX_U
WRITE_FAULT = PGEX_U + PGEX_W
FETCH_FAULT = PGEX_U + PGEX_I

# FRESH entry: page tables where SHOWN has this entry, and nothing cached.
.macro FRESH entry=0
    TABLES
    MAP_PAGE SHOWN, \entry
    INVALIDATE
.endm

# READS, WRITES, address: the guest's one access; EXPECT follows.
.macro READS address
    GUEST "mov al, [rsi]; syscall"
    GIVE RSI, \address
.endm

.macro WRITES address
    GUEST "mov [rsi], dl; syscall"
    GIVE RSI, \address
.endm

.macro DONE_WELL al
    .ifnb \al
    WANT RAX, 0x0707070707070700 + \al
    .endif
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN
.endm

.macro FAULTS err, addr
    EXPECT T_PAGEFLT, CODE, \err, \addr
    RUN
.endm

    TABLED_SPACE
    mov byte ptr [RAM + A_PAGE + 8], 0x77

CASE read_absent, "7.5.1 7.2.1 7.2.15", "Read of what no entry shows: 4"
    FRESH
    READS ABSENT
    FAULTS READ_FAULT, ABSENT

CASE write_absent, "7.5.2 7.2.1 7.2.15", "Write of what no entry shows: 6"
    FRESH
    WRITES ABSENT
    FAULTS WRITE_FAULT, ABSENT

CASE fetch_absent, "7.5.4 7.2.1 7.2.15", "Fetch of what no entry shows: 0x14, and rip is the address"
    FRESH
    ENTER ABSENT + 0x123
    EXPECT T_PAGEFLT, ABSENT + 0x123, FETCH_FAULT, ABSENT + 0x123
    RUN

    .irp place, 0, 1, 7, 0x123, 0xffe, 0xfff
CASE exact_\place, "7.5.6", "The address is exact to the byte: \place bytes into a page"
    FRESH
    READS ABSENT + \place
    FAULTS READ_FAULT, ABSENT + \place
    WRITES ABSENT + \place
    FAULTS WRITE_FAULT, ABSENT + \place
    ENTER ABSENT + \place
    EXPECT T_PAGEFLT, ABSENT + \place, FETCH_FAULT, ABSENT + \place
    RUN
    .endr

CASE write_uncached, "7.5.2 6.13.6", "Write of a page that its entry makes read-only, not cached: 6"
    FRESH A_PAGE + PTE_R
    WRITES SHOWN + 8
    FAULTS WRITE_FAULT, SHOWN + 8
    ENTRY SHOWN, A_PAGE + PTE_R         # not even A

CASE write_cached, "7.5.3", "Write of a page that is cached read-only, and is: 7"
    FRESH A_PAGE + PTE_R
    READS SHOWN + 8
    DONE_WELL 0x77
    WRITES SHOWN + 8
    FAULTS WRITE_FAULT + PGEX_P, SHOWN + 8
    ENTRY SHOWN, A_PAGE + PTE_R + VPTE_A

CASE write_invalidated, "7.5.2 7.5.3 6.14.4", "After INVAL it is 6 again: P says what the host had, not what the table says"
    FRESH A_PAGE + PTE_R
    READS SHOWN + 8
    DONE_WELL 0x77
    WRITES SHOWN + 8
    FAULTS WRITE_FAULT + PGEX_P, SHOWN + 8
    INVALIDATE SHOWN, PAGE_SIZE
    WRITES SHOWN + 8
    FAULTS WRITE_FAULT, SHOWN + 8

CASE write_resolved, "7.5.7 7.1.1 6.14.1", "Write of what is cached read-only but may be written: resolved, M is set"
    FRESH A_PAGE + PTE_RW
    READS SHOWN + 8
    DONE_WELL 0x77
    ENTRY SHOWN, A_PAGE + PTE_RW + VPTE_A
    WRITES SHOWN + 16
    DONE_WELL
    ENTRY SHOWN, A_PAGE + PTE_RW + VPTE_A + VPTE_M

CASE write_upgraded, "7.5.7 6.14.3", "What the table now permits needs no INVAL: the write that was 7 is resolved"
    FRESH A_PAGE + PTE_R
    READS SHOWN + 8
    DONE_WELL 0x77
    WRITES SHOWN + 8
    FAULTS WRITE_FAULT + PGEX_P, SHOWN + 8
    MAP_PAGE SHOWN, A_PAGE + PTE_RW
    AGAIN
    DONE_WELL
    EQUAL [RAM + A_PAGE + 8], 0x03
    mov byte ptr [RAM + A_PAGE + 8], 0x77

CASE mended, "7.5.1 6.14.3 7.2.16", "A guest whose page has been mapped goes on as if nothing had been"
    FRESH
    READS SHOWN + 8
    FAULTS READ_FAULT, SHOWN + 8
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    AGAIN
    DONE_WELL 0x77

CASE not_mended, "7.5.1 7.2.1", "A guest whose page has not been mapped faults again, each time"
    FRESH
    READS ABSENT
    FAULTS READ_FAULT, ABSENT
    .irp time, 1, 2, 3, 4
    AGAIN
    FAULTS READ_FAULT, ABSENT
    .endr

CASE several, "7.5.1 7.5.2 7.5.6", "A program that touches one page after the other: a fault for each"
    FRESH
    GUEST "mov al, [rsi]; mov [rdi], dl; syscall"
    GIVE RSI, SHOWN + 8
    GIVE RDI, LATER + 9
    EXPECT T_PAGEFLT, CODE, READ_FAULT, SHOWN + 8
    RUN
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    AGAIN
    WANT RAX, 0x0707070707070777
    EXPECT T_PAGEFLT, CODE + 2, WRITE_FAULT, LATER + 9
    RUN
    MAP_PAGE LATER, A_PAGE + PTE_RW
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN

CASE read_that_is_not, "6.13.4 7.5.1", "An entry without V: 4, though everything else is in it"
    FRESH A_PAGE + PTE_RW & ~VPTE_V
    READS SHOWN
    FAULTS READ_FAULT, SHOWN

.ifdef VPTE_NX
CASE no_execute, "6.13.19 7.5.4", "Fetch of a page with NX: 0x14 if nothing is cached, 0x15 if a read is"
    FRESH A_PAGE + PTE_R + VPTE_NX
    ENTER SHOWN
    EXPECT T_PAGEFLT, SHOWN, FETCH_FAULT, SHOWN
    RUN
    READS SHOWN + 8
    DONE_WELL 0x77
    ENTER SHOWN
    EXPECT T_PAGEFLT, SHOWN, addr=SHOWN
    WANT_BITS ERR, ~PGEX_P, FETCH_FAULT
    RUN
.else
CASE all_execute, "6.13.20", "What can be read can be executed: a stack, too"
    FRESH A_PAGE + PTE_RW
    mov word ptr [RAM + A_PAGE + 0x100], 0x050f
    ENTER SHOWN + 0x100
    EXPECT T_FAST_SYSCALL, SHOWN + 0x102
    RUN
.endif

    # The kernel's half: no walk.  Whether the host has a page there, P says.
    .macro KERNEL name, address
CASE kernel_\name, "7.2.2 7.5.5 7.5.6", "Read, write and fetch of \address: a page fault there"
    FRESH
    mov r15, \address
    READS r15
    EXPECT T_PAGEFLT, CODE, addr=r15
    WANT_BITS ERR, ~PGEX_P, READ_FAULT
    RUN
    WRITES r15
    EXPECT T_PAGEFLT, CODE, addr=r15
    WANT_BITS ERR, ~PGEX_P, WRITE_FAULT
    RUN
    ENTER r15
    EXPECT T_PAGEFLT, r15, addr=r15
    WANT_BITS ERR, ~PGEX_P, FETCH_FAULT
    RUN
    .endm
    KERNEL lowest, 0xffff800000000000
    KERNEL first, 0xffffffe000000000
    KERNEL middle, 0xffffffff80000123
    KERNEL highest, 0xffffffffffffffff

CASE null, "7.5.1 7.5.2 7.5.6", "Address 0 is one like any other"
    FRESH
    READS 0
    FAULTS READ_FAULT, 0
    WRITES 0
    FAULTS WRITE_FAULT, 0
    MAP_PAGE 0, A_PAGE + PTE_RW
    READS 8
    DONE_WELL 0x77

CASE last_page, "7.5.1 7.5.2 7.5.6", "The last byte of the user's addresses is one like any other"
    FRESH
    mov r15, USER_MAX - 1
    READS r15
    FAULTS READ_FAULT, r15
    WRITES r15
    FAULTS WRITE_FAULT, r15

    FINISH
