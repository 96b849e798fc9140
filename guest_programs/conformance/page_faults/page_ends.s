# Accesses that cross the end of a page, behind which there is nothing.

.include "../conform.inc"
.include "two_pages.inc"

    TABLED_SPACE

    # ACCESS name, code, size, err: an access of so many bytes, with 1 to all but one behind the end.
    .macro ACCESS name, code, size, err
CASE \name\()_next, "12.5 7.5.6", "\name across a page end: the first byte that cannot be reached is the next page's"
    PAGES A_PAGE + PTE_RW, 0
    mov r14, NEXT - \size + 1
1:
    GUEST \code
    GIVE RSI, r14
    FAULTS \err, NEXT
    inc r14
    cmp r14, NEXT
    jb 1b
CASE \name\()_first, "12.5 7.5.6", "\name across a page end: the first byte that cannot be reached is its own"
    PAGES 0, A_PAGE + PTE_RW
    mov r14, NEXT - \size + 1
1:
    GUEST \code
    GIVE RSI, r14
    FAULTS \err, r14
    inc r14
    cmp r14, NEXT
    jb 1b
    .endm
    ACCESS load_2, "mov ax, [rsi]", 2, PGEX_U
    ACCESS load_4, "mov eax, [rsi]", 4, PGEX_U
    ACCESS load_8, "mov rax, [rsi]", 8, PGEX_U
    ACCESS load_16, "movups xmm0, [rsi]", 16, PGEX_U
    ACCESS store_2, "mov [rsi], ax", 2, PGEX_U + PGEX_W
    ACCESS store_4, "mov [rsi], eax", 4, PGEX_U + PGEX_W
    ACCESS store_8, "mov [rsi], rax", 8, PGEX_U + PGEX_W
    ACCESS store_16, "movups [rsi], xmm0", 16, PGEX_U + PGEX_W
    ACCESS modify_8, "add [rsi], rax", 8, PGEX_U + PGEX_W
    ACCESS locked_4, "lock inc dword ptr [rsi]", 4, PGEX_U + PGEX_W
    ACCESS exchange_8, "xchg [rsi], rax", 8, PGEX_U + PGEX_W

CASE both_absent, "12.5 7.5.6", "Where both pages are absent, the first is reported, and then the second"
    PAGES 0, 0
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, NEXT - 3
    FAULTS PGEX_U, NEXT - 3
    MAP_PAGE FIRST, A_PAGE + PTE_R
    AGAIN
    FAULTS PGEX_U, NEXT
    mov dword ptr [RAM + A_PAGE + PAGE_SIZE - 4], 0x33221100
    mov rax, 0x8877665544
    mov [RAM + B_PAGE], rax
    MAP_PAGE NEXT, B_PAGE + PTE_R
    AGAIN
    mov rax, 0x8877665544332211
    WANT RAX, rax
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN

CASE stored_whole, "12.5", "A store that faults behind a page end has stored nothing before it"
    PAGES A_PAGE + PTE_RW, 0
    mov qword ptr [RAM + A_PAGE + PAGE_SIZE - 8], 0
    GUEST "mov [rsi], rdx"
    GIVE RSI, NEXT - 5
    FAULTS PGEX_U + PGEX_W, NEXT
    WORD RAM + A_PAGE + PAGE_SIZE - 8, 0

CASE next_read_only, "12.5 7.5.2 7.5.3", "A store into a page that can be read only, behind the end: 6, or 7 if it is cached"
    PAGES A_PAGE + PTE_RW, B_PAGE + PTE_R
    mov qword ptr [RAM + A_PAGE + PAGE_SIZE - 8], 0
    GUEST "mov [rsi], rdx; syscall"
    GIVE RSI, NEXT - 5
    FAULTS PGEX_U + PGEX_W, NEXT
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, NEXT - 5
    ANY RAX
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    GUEST "mov [rsi], rdx; syscall"
    GIVE RSI, NEXT - 5
    FAULTS PGEX_U + PGEX_W + PGEX_P, NEXT
    WORD RAM + A_PAGE + PAGE_SIZE - 8, 0

CASE push_across, "12.5 12.4", "PUSH across a page end: the stack pointer is as it was"
    PAGES 0, A_PAGE + PTE_RW
    GUEST "push rax"
    GIVE RSP, NEXT + 4
    FAULTS PGEX_U + PGEX_W, NEXT - 4

CASE fxsave_across, "12.5 12.4", "FXSAVE across a page end"
    PAGES A_PAGE + PTE_RW, 0
    GUEST "fxsave [rsi]"
    GIVE RSI, NEXT - 256
    FAULTS PGEX_U + PGEX_W, NEXT

    FINISH
