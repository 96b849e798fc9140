# An instruction that faults leaves the flags as they were, and does the same when it is made again.

.include "../conform.inc"

ABSENT = 0x36010
A_PAGE = IMG_DATA + 3*PAGE_SIZE
WRITTEN = RAM + A_PAGE + 0x10
LESS = PSL_USER + PSL_C + PSL_AF + PSL_N        # of 5 - 7

# FAULTING name, code, at, size, value: an instruction `at` bytes behind CODE, `size` bytes long, first
# writes to a page that is absent; then the page is there and it stores this byte.
.macro FAULTING name, code, at, size, value
CASE \name, "12.14", "Flags and result of \name survive a fault"
    TABLES
    INVALIDATE
    mov byte ptr [WRITTEN], 0x80
    GUEST \code
    GIVE RAX, 5
    GIVE RDI, ABSENT
    WANT RFLAGS, LESS
    EXPECT T_PAGEFLT, CODE + \at, PGEX_U + PGEX_W, ABSENT
    RUN
    MAP_PAGE ABSENT, A_PAGE + PTE_RW
    AGAIN
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + \at + \size + 2
    RUN
    movzx eax, byte ptr [WRITTEN]
    EQUAL rax, \value
.endm

    TABLED_SPACE

    # In a block with what has set the flags, and at the start of its own.
    .macro SETCC cc, value
    FAULTING set\cc, "cmp eax, 7; set\cc byte ptr [rdi]; syscall", 3, 3, \value
    FAULTING set\cc\()_alone, "cmp eax, 7; .byte 0xeb, 0; set\cc byte ptr [rdi]; syscall", 5, 3, \value
    .endm
    SETCC o, 0
    SETCC no, 1
    SETCC b, 1
    SETCC ae, 0
    SETCC e, 0
    SETCC ne, 1
    SETCC be, 1
    SETCC a, 0
    SETCC s, 1
    SETCC ns, 0
    SETCC p, 0
    SETCC np, 1
    SETCC l, 1
    SETCC ge, 0
    SETCC le, 1
    SETCC g, 0

    # The carry goes in, and another one comes out.
    FAULTING rcl, "cmp eax, 7; rcl byte ptr [rdi], 1; syscall", 3, 2, 1
    FAULTING rcr, "cmp eax, 7; rcr byte ptr [rdi], 1; syscall", 3, 2, 0xc0
    FAULTING rcl_by_3, "cmp eax, 7; rcl byte ptr [rdi], 3; syscall", 3, 3, 6
    FAULTING adc, "cmp eax, 7; adc byte ptr [rdi], 1; syscall", 3, 3, 0x82
    FAULTING sbb, "cmp eax, 7; sbb byte ptr [rdi], 1; syscall", 3, 3, 0x7e

    FINISH
