# Where a system call returns to, if nothing can be executed there.

.include "../threads.inc"

AREA = 0x20000000                       # a page, with nothing behind it
FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
RWX = PROT_READ + PROT_WRITE + PROT_EXEC

# CALL_AT_THE_END: make the call in rax with the last two bytes of the page.  What happens behind
# them is put into seen_*, and the program goes on here.
.macro CALL_AT_THE_END
    mov r15, .Lcame_back\@
    mov rcx, AREA + PAGE_SIZE - 2
    jmp rcx
.Lcame_back\@:
.endm

    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, RWX, FLAGS, -1, 0, 0
    OK
    mov word ptr [AREA + PAGE_SIZE - 2], 0x050f
    HANDLE SIGSEGV, handler, SA_SIGINFO
    SYSCALL SYS_getpid
    mov [pid], rax

CASE end_of_a_mapping, "1.3.7 3.4.11", "A call in the last bytes of a mapping is made; then its end faults"
    mov eax, SYS_getpid
    CALL_AT_THE_END
    EQUAL rax, [pid]
    EQUAL [seen_RIP], AREA + PAGE_SIZE
    EQUAL [seen_ADDR], AREA + PAGE_SIZE
    EQUAL [seen_TRAPNO], T_PAGEFLT
    BITS [seen_RFLAGS], PSL_C, 0

CASE refused_at_the_end, "1.3.7 1.3.2", "A call that is refused there is refused; then its end faults"
    mov edi, 59
    mov eax, SYS_close
    CALL_AT_THE_END
    EQUAL rax, ERRNO_EBADF
    BITS [seen_RFLAGS], PSL_C, PSL_C
    EQUAL [seen_RIP], AREA + PAGE_SIZE

CASE made_executable, "1.3.7", "A call may map what is executed next"
    mov r12, rsp
    mov esi, PAGE_SIZE
    lea rsp, [rsp - 16]                 # the offset, 0, is above rsp
    mov qword ptr [rsp + 8], 0
    mov rdi, AREA + PAGE_SIZE
    mov edx, RWX
    mov r10, FLAGS
    mov r8, -1
    mov r9, 0
    mov eax, SYS_mmap
    CALL_AT_THE_END                     # and executes "add [rax], al", over and over
    mov rsp, r12
    EQUAL [seen_ADDR], AREA + 2*PAGE_SIZE
    WORD8 AREA + PAGE_SIZE, 0
    SYSCALL SYS_munmap, AREA + PAGE_SIZE, PAGE_SIZE
    OK

CASE unmapped, "1.3.7", "A call may unmap its own instruction; what comes next faults"
    mov word ptr [AREA], 0x050f
    mov edi, AREA
    mov esi, PAGE_SIZE
    mov eax, SYS_munmap
    mov r15, unmapped_it
    mov ecx, AREA
    jmp rcx
unmapped_it:
    EQUAL rax, 0
    EQUAL [seen_RIP], AREA + 2
    EQUAL [seen_ADDR], AREA + 2

    FINISH

handler:                                # rdx ucontext; on with r15
    .irp word, RIP, ADDR, TRAPNO, RFLAGS
    mov rax, [rdx + UC_MCONTEXT + MC_\word]
    mov [seen_\word], rax
    .endr
    mov rax, [rdx + UC_MCONTEXT + MC_R15]
    mov [rdx + UC_MCONTEXT + MC_RIP], rax
    ret

    .balign 8
pid:
    .quad 0
    .irp word, RIP, ADDR, TRAPNO, RFLAGS
seen_\word:
    .quad 0
    .endr
