# Accesses and instructions that cross the end of a page, behind which there is nothing.

.include "../conform.inc"

FIRST = 0x34000                         # two pages that follow each other, as a case makes them
NEXT = FIRST + PAGE_SIZE
A_PAGE = IMG_DATA + 2*PAGE_SIZE
B_PAGE = IMG_DATA + 4*PAGE_SIZE         # not behind it in the image

# PAGES first, next: the entries of the two, and nothing cached.
.macro PAGES first, next
    TABLES
    MAP_PAGE FIRST, \first
    MAP_PAGE NEXT, \next
    INVALIDATE
.endm

# FAULTS err, addr, at: at the instruction that lies there.
.macro FAULTS err, addr, at=CODE
    EXPECT T_PAGEFLT, \at, \err, \addr
    RUN
.endm

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

    # Fetches.

# AT_END code: this code before the end of the first page, and nothing behind it but what a case
# maps.  It begins at r14, and r15 bytes of it are behind the end, where B_PAGE has them.
.macro AT_END code, behind
    jmp .Lskip\@
.Lbegin\@:
    \code
.Lskip\@:
    mov r14, NEXT + \behind - (.Lskip\@ - .Lbegin\@)
    mov rsi, .Lbegin\@
    lea rdi, [r14 + RAM + A_PAGE - FIRST]
    mov ecx, .Lskip\@ - .Lbegin\@ - \behind
    rep movsb
    mov rdi, RAM + B_PAGE
    mov ecx, \behind
    rep movsb
.endm

    .irp behind, 1, 2, 5, 8, 9
CASE instruction_across_\behind, "12.7 7.5.4", "An instruction with \behind of its 10 bytes behind the page end"
    PAGES A_PAGE + PTE_R, 0
    AT_END "not rbx; movabs rax, 0x1122334455667788", \behind
    mov word ptr [RAM + B_PAGE + \behind], 0x050f
    ENTER r14
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    add r14, 3
    FAULTS PGEX_U + PGEX_I, NEXT, r14
    MAP_PAGE NEXT, B_PAGE + PTE_R
    AGAIN
    mov rax, 0x1122334455667788
    WANT RAX, rax
    EXPECT T_FAST_SYSCALL, NEXT + \behind + 2
    RUN
    .endr

CASE runs_into, "12.7 7.5.4", "Code that runs into an absent page: what precedes it has been done"
    PAGES A_PAGE + PTE_R, 0
    AT_END "not rbx; not rcx; not rbx; lea rdx, [rbx + 5]", 0
    ENTER r14
    mov rax, ~(4*CONFORM_PATTERN)
    WANT RCX, rax
    mov rax, 8*CONFORM_PATTERN + 5
    WANT RDX, rax
    FAULTS PGEX_U + PGEX_I, NEXT, NEXT

CASE earlier_fault, "12.7 7.5.1", "A fault of data comes first, if its instruction does"
    PAGES A_PAGE + PTE_R, 0
    AT_END "not rbx; mov rax, [rsi]; nop; nop", 0
    ENTER r14
    GIVE RSI, 0x33000
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    add r14, 3
    FAULTS PGEX_U, 0x33000, r14

CASE earlier_exception, "12.7 7.2.10", "So does another exception"
    PAGES A_PAGE + PTE_R, 0
    AT_END "not rbx; div ecx; nop; nop", 0
    ENTER r14
    GIVE RCX, 0
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    add r14, 3
    EXPECT T_DIVIDE, r14
    RUN

CASE earlier_store, "12.7 12.4", "A store right before the page end has been made, PUSHFQ with the guest's own flags"
    PAGES A_PAGE + PTE_R, 0
    MAP_PAGE 0x36000, IMG_DATA + PTE_RW
    AT_END "pushfq; mov [rsi], rdx; nop", 0
    mov qword ptr [RAM + IMG_DATA + 0x100], 0
    ENTER r14
    GIVE RSP, 0x36108
    WANT RSP, 0x36100
    GIVE RSI, 0x36200
    FAULTS PGEX_U + PGEX_I, NEXT, NEXT
    WORD RAM + IMG_DATA + 0x100, PSL_USER
    mov rax, 3*CONFORM_PATTERN
    WORD RAM + IMG_DATA + 0x200, rax

CASE jump_before, "12.7", "A jump right before the page end does not look at the next page"
    PAGES A_PAGE + PTE_R, 0
    AT_END "1: not rbx; dec ecx; jnz 1b; syscall", 0
    ENTER r14
    GIVE RCX, 2
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_FAST_SYSCALL, NEXT
    RUN

CASE chain, "12.7 7.1.1", "Code that goes back and forth between two pages, as often as it likes"
    PAGES A_PAGE + PTE_R, B_PAGE + PTE_R
    AT_END "1: inc rax; jmp 2f; 2: inc rdx; dec ecx; jnz 1b; syscall", 10
    ENTER r14
    GIVE RCX, 5000
    GIVE RAX, 0
    GIVE RDX, 0
    WANT RAX, 5000
    WANT RDX, 5000
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_FAST_SYSCALL, NEXT + 10
    RUN

CASE page_taken, "12.7 6.14.4", "The second of two pages of code is taken away between two runs"
    PAGES A_PAGE + PTE_R, B_PAGE + PTE_R
    AT_END "not rbx; not rcx; syscall", 2
    .irp time, 1, 2, 3
    MAP_PAGE NEXT, B_PAGE + PTE_R
    ENTER r14
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    mov rax, ~(4*CONFORM_PATTERN)
    WANT RCX, rax
    EXPECT T_FAST_SYSCALL, NEXT + 2
    RUN
    MAP_PAGE NEXT, 0
    INVALIDATE NEXT, PAGE_SIZE
    ENTER r14
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    mov rax, ~(4*CONFORM_PATTERN)
    WANT RCX, rax
    FAULTS PGEX_U + PGEX_I, NEXT, NEXT
    .endr

CASE write_to_code, "7.5.3", "A store to the page that the code itself is in, which is read-only: 7"
    PAGES 0, 0
    GUEST "mov [rsi], rdx"
    GIVE RSI, CODE + 0x800
    FAULTS PGEX_U + PGEX_W + PGEX_P, CODE + 0x800

    FINISH
