# String instructions that fault on the way: the registers are at the element, rip at the instruction,
# and they go on from there.

.include "../conform.inc"

FIRST = 0x34000                         # a page that is there, and one that is not
NEXT = FIRST + PAGE_SIZE
OTHER = 0x38000                         # another that is there, with nothing around it
A_PAGE = IMG_DATA + 2*PAGE_SIZE
B_PAGE = IMG_DATA + 4*PAGE_SIZE
C_PAGE = IMG_DATA + 6*PAGE_SIZE

.macro PAGES
    TABLES
    MAP_PAGE FIRST, A_PAGE + PTE_RW
    MAP_PAGE OTHER, C_PAGE + PTE_RW
    INVALIDATE
.endm

.macro AT rcx, rsi, rdi
    GIVE RCX, \rcx
    GIVE RSI, \rsi
    GIVE RDI, \rdi
.endm

.macro GOT rcx, rsi, rdi
    WANT RCX, \rcx
    WANT RSI, \rsi
    WANT RDI, \rdi
.endm

    TABLED_SPACE

    .macro EACH letter, size, length, movs, stos, lods
CASE movs\letter\()_source, "12.6", "REP MOVS\letter: the source ends, 10 elements before it have been moved"
    PAGES
    GUEST "\movs; syscall"
    AT 25, NEXT - 10*\size, OTHER
    GOT 15, NEXT, OTHER + 10*\size
    EXPECT T_PAGEFLT, CODE, PGEX_U, NEXT
    RUN
    MAP_PAGE NEXT, B_PAGE + PTE_R
    AGAIN
    GOT 0, NEXT + 15*\size, OTHER + 25*\size
    EXPECT T_FAST_SYSCALL, CODE + \length + 2
    RUN
CASE movs\letter\()_target, "12.6 12.4", "REP MOVS\letter: the target ends, 10 elements before it have been moved"
    PAGES
    GUEST "\movs; syscall"
    AT 25, OTHER, NEXT - 10*\size
    GOT 15, OTHER + 10*\size, NEXT
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, NEXT
    RUN
    MAP_PAGE NEXT, B_PAGE + PTE_RW
    AGAIN
    GOT 0, OTHER + 25*\size, NEXT + 15*\size
    EXPECT T_FAST_SYSCALL, CODE + \length + 2
    RUN
CASE stos\letter, "12.6 12.4", "REP STOS\letter: the target ends"
    PAGES
    GUEST "\stos; syscall"
    AT 25, 0, NEXT - 10*\size
    GOT 15, 0, NEXT
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, NEXT
    RUN
    MAP_PAGE NEXT, B_PAGE + PTE_RW
    AGAIN
    GOT 0, 0, NEXT + 15*\size
    EXPECT T_FAST_SYSCALL, CODE + \length + 2
    RUN
CASE lods\letter, "12.6", "REP LODS\letter: the source ends"
    PAGES
    GUEST "\lods"
    AT 25, NEXT - 10*\size, 0
    GOT 15, NEXT, 0
    ANY RAX
    EXPECT T_PAGEFLT, CODE, PGEX_U, NEXT
    RUN
CASE backwards\letter, "12.6 12.4", "REP MOVS\letter downwards: the target ends below"
    PAGES
    GUEST "\movs"
    or qword ptr [frame + TF_RFLAGS], PSL_D
    or qword ptr [wanted + TF_RFLAGS], PSL_D
    AT 25, OTHER + 0x800, FIRST + 9*\size
    GOT 15, OTHER + 0x800 - 10*\size, FIRST - \size
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, FIRST - \size
    RUN
    .endm
    EACH b, 1, 2, rep movsb, rep stosb, rep lodsb
    EACH w, 2, 3, rep movsw, rep stosw, rep lodsw
    EACH d, 4, 2, .short 0xa5f3, .short 0xabf3, .short 0xadf3
    EACH q, 8, 3, rep movsq, rep stosq, rep lodsq

CASE element_across, "12.6 12.5", "An element that crosses the page end is the one that faults"
    PAGES
    GUEST "rep movsq"
    AT 25, OTHER, NEXT - 4*8 - 3
    GOT 21, OTHER + 4*8, NEXT - 3
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, NEXT
    RUN

CASE nothing_to_do, "12.6", "With RCX 0 nothing is looked at"
    PAGES
    GUEST "rep movsb; repe cmpsb; repne scasb; rep stosb; syscall"
    AT 0, NEXT, NEXT
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN

CASE compare, "12.6", "REPE CMPSB: the flags are of the last comparison before the fault"
    PAGES
    mov qword ptr [RAM + A_PAGE + PAGE_SIZE - 8], 0x55
    mov qword ptr [RAM + C_PAGE], 0x55
    GUEST "repe cmpsb"
    AT 25, NEXT - 8, OTHER
    GOT 17, NEXT, OTHER + 8
    ANY RFLAGS
    EXPECT T_PAGEFLT, CODE, PGEX_U, NEXT
    RUN
    BITS [frame + TF_RFLAGS], PSL_Z + PSL_C, PSL_Z

CASE scan, "12.6", "REPNE SCASB: what is found before the page end does not fault"
    PAGES
    mov qword ptr [RAM + A_PAGE + PAGE_SIZE - 8], 0
    mov byte ptr [RAM + A_PAGE + PAGE_SIZE - 2], 0x55
    GUEST "repne scasb; syscall"
    GIVE RAX, 0x55
    AT 25, 0, NEXT - 8
    GOT 18, 0, NEXT - 1
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

CASE long_move, "12.6 7.1.1", "REP MOVSQ of a page, one page of the target after the other"
    PAGES
    mov rdi, RAM + A_PAGE
    mov ecx, PAGE_SIZE/8
    mov rax, 0x1234567812345678
    rep stosq
    mov rdi, RAM + B_PAGE
    mov ecx, 2*PAGE_SIZE/8
    xor eax, eax
    rep stosq
    MAP_PAGE 0x3a000, B_PAGE + PTE_RW
    GUEST "rep movsq; syscall"
    AT PAGE_SIZE/8, FIRST, 0x3a800
    GOT PAGE_SIZE/16, FIRST + 0x800, 0x3b000
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, 0x3b000
    RUN
    mov rax, 0x1234567812345678
    WORD RAM + B_PAGE + PAGE_SIZE - 8, rax
    MAP_PAGE 0x3b000, B_PAGE + PAGE_SIZE + PTE_RW
    AGAIN
    GOT 0, NEXT, 0x3b800
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    mov rax, 0x1234567812345678
    WORD RAM + B_PAGE + PAGE_SIZE, rax
    WORD RAM + B_PAGE + PAGE_SIZE + 0x7f8, rax
    WORD RAM + B_PAGE + PAGE_SIZE + 0x800, 0

CASE read_only_target, "12.6 7.5.2", "REP STOSB into a page that is read-only: at its first byte"
    PAGES
    MAP_PAGE NEXT, B_PAGE + PTE_R
    GUEST "rep stosb"
    AT 25, 0, NEXT - 10
    GOT 15, 0, NEXT
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, NEXT
    RUN

    FINISH
