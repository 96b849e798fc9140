# Code that crosses the end of a page, behind which there is nothing.

.include "../conform.inc"
.include "two_pages.inc"

    TABLED_SPACE

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
