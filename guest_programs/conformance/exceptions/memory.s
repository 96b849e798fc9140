# Page faults of the program's own code.

.include "own.inc"

NOWHERE = 0x123456                      # nothing is mapped there
FRESH = 0x30000000                      # where a case maps a page of its own
NO_FILE = -1

    OWN_SPACE

# MAP_FRESH prot: a page of anonymous memory that nobody has touched.
.macro MAP_FRESH prot
    SYSCALL7 SYS_mmap, FRESH, PAGE_SIZE, \prot, MAP_ANON + MAP_PRIVATE + MAP_FIXED, NO_FILE, 0, 0
    OK
.endm

# PROTECTED: the signal of an access that the mapping does not allow.
.macro PROTECTED
    .ifdef VPTE_RW
    CATCH SIGSEGV, SEGV_ACCERR
    .else
    CATCH SIGBUS, BUS_ADRERR
    .endif
.endm

.macro UNMAPPED name, code, err, address, title
CASE \name, "3.4.11", \title
    OWN \code
    GIVE RSI, \address
    EXPECT T_PAGEFLT, CODE, err=\err, addr=\address
    CATCH SIGSEGV, SEGV_MAPERR
.endm

    UNMAPPED read, "mov rax, [rsi]", PGEX_U, NOWHERE, "A read of what is not mapped: SEGV_MAPERR, with the exact address"
    UNMAPPED write, "mov [rsi], rax", PGEX_U + PGEX_W, NOWHERE, "A write of what is not mapped"
    UNMAPPED update, "lock inc byte ptr [rsi]", PGEX_U + PGEX_W, NOWHERE, "A read-modify-write of what is not mapped is a write"
    UNMAPPED null, "mov al, [rsi]", PGEX_U, 0, "Address 0 is as any other"
    UNMAPPED low, "mov al, [rsi]", PGEX_U, CODE - 1, "The last byte before a mapping is outside"
    UNMAPPED behind, "mov al, [rsi]", PGEX_U, CODE + IMG_SIZE, "The first byte behind a mapping is outside"

CASE across, "3.4.11 12.5", "A read across the end of a mapping reports the first byte outside"
    OWN "mov rax, [rsi]"
    GIVE RSI, CODE + IMG_SIZE - 3
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=CODE + IMG_SIZE
    CATCH SIGSEGV, SEGV_MAPERR

CASE fetch, "3.4.11", "A jump to what is not mapped faults at the target"
    OWN "jmp rsi"
    GIVE RSI, NOWHERE
    EXPECT T_PAGEFLT, NOWHERE, err=PGEX_U + PGEX_I, addr=NOWHERE
    WANT_BITS ERR, ~PGEX_I, PGEX_U      # I is there if the processor has NX
    CATCH SIGSEGV, SEGV_MAPERR

CASE fetch_across, "3.4.11 12.7", "An instruction that ends in an absent page: that page, rip at its start"
    ENTER CODE + IMG_SIZE - 2
    mov word ptr [CODE + IMG_SIZE - 2], 0xb848  # mov rax, what follows
    EXPECT T_PAGEFLT, CODE + IMG_SIZE - 2, addr=CODE + IMG_SIZE
    WANT_BITS ERR, ~PGEX_I, PGEX_U
    CATCH SIGSEGV, SEGV_MAPERR

CASE call, "3.4.11 12.4", "A CALL whose stack is not mapped faults as a write, with rsp as it was"
    OWN "call rsi"
    GIVE RSP, NOWHERE & ~7
    EXPECT T_PAGEFLT, CODE, err=PGEX_U + PGEX_W, addr=(NOWHERE & ~7) - 8
    CATCH SIGSEGV, SEGV_MAPERR

CASE rep, "3.4.11 12.6", "REP leaves its registers at the element that faulted"
    OWN "rep stosq"
    GIVE RDI, CODE + IMG_SIZE - 16
    GIVE RCX, 5
    WANT RDI, CODE + IMG_SIZE
    WANT RCX, 3
    EXPECT T_PAGEFLT, CODE, err=PGEX_U + PGEX_W, addr=CODE + IMG_SIZE
    CATCH SIGSEGV, SEGV_MAPERR

CASE completed, "12.1", "RF in the frame is used up by the first instruction that completes"
    OWN "nop; int3"
    ENTER CODE, PSL_USER + PSL_RF
    EXPECT T_BPTFLT, CODE + 2
    .ifdef VPTE_RW
    CATCH SIGTRAP, TRAP_BRKPT
    .else
    CATCH SIGTRAP, TRAP_TRACE
    .endif

    # What the P bit says of a page of the kernel's is the kernel's affair.
.macro KERNELS name, code, err, address, title
CASE \name, "3.4.16", \title
    OWN \code
    GIVE RSI, \address
    EXPECT T_PAGEFLT, CODE, addr=\address
    WANT_BITS ERR, ~PGEX_P, \err
    CATCH SIGSEGV, SEGV_MAPERR
.endm

    KERNELS kernel_read, "mov rax, [rsi]", PGEX_U, 0xffffffe000000123, "A read in the kernel's half is SEGV_MAPERR, with the address"
    KERNELS kernel_write, "mov [rsi], rax", PGEX_U + PGEX_W, 0xffffffff80000000, "A write in the kernel's half is SEGV_MAPERR"
    KERNELS kernel_last, "mov al, [rsi]", PGEX_U, -1, "A read of the last byte of all is SEGV_MAPERR"
    KERNELS upper_half, "mov al, [rsi]", PGEX_U, 0xffff800000000000, "A read of the first byte of the upper half is SEGV_MAPERR"

CASE kernel_fetch, "3.4.16", "A jump to the kernel's half is SEGV_MAPERR, with rip at its target"
    OWN "jmp rsi"
    GIVE RSI, 0xffffffff80000000
    EXPECT T_PAGEFLT, 0xffffffff80000000, addr=0xffffffff80000000
    WANT_BITS ERR, ~(PGEX_P + PGEX_I), PGEX_U
    CATCH SIGSEGV, SEGV_MAPERR

CASE none_read, "3.4.12 9.7", "A read of a PROT_NONE mapping is the version's protection failure"
    MAP_FRESH PROT_NONE
    OWN "mov rax, [rsi]"
    GIVE RSI, FRESH + 5
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=FRESH + 5
    PROTECTED

CASE none_write, "3.4.12 9.7", "A write to a PROT_NONE mapping is the version's protection failure"
    MAP_FRESH PROT_NONE
    OWN "mov [rsi], rax"
    GIVE RSI, FRESH + 5
    EXPECT T_PAGEFLT, CODE, err=PGEX_U + PGEX_W, addr=FRESH + 5
    PROTECTED

CASE none_fetch, "3.4.12 9.7", "A jump to a PROT_NONE mapping is the version's protection failure"
    MAP_FRESH PROT_NONE
    OWN "jmp rsi"
    GIVE RSI, FRESH + 5
    EXPECT T_PAGEFLT, FRESH + 5, addr=FRESH + 5
    WANT_BITS ERR, ~PGEX_I, PGEX_U
    PROTECTED

CASE read_only, "3.4.12 9.7", "A write to a PROT_READ mapping that was not read yet: no P in the code"
    MAP_FRESH PROT_READ
    OWN "mov [rsi], rax"
    GIVE RSI, FRESH + 5
    EXPECT T_PAGEFLT, CODE, err=PGEX_U + PGEX_W, addr=FRESH + 5
    PROTECTED

CASE read_before, "3.4.12 9.7", "A write to a PROT_READ mapping that was read just before"
    MAP_FRESH PROT_READ
    OWN "mov rdx, [rsi]; mov [rsi], rax"
    GIVE RSI, FRESH + 5
    WANT RDX, 0
    EXPECT T_PAGEFLT, CODE + 3, addr=FRESH + 5
    WANT_BITS ERR, ~PGEX_P, PGEX_U + PGEX_W # the translation may be gone again
    PROTECTED

CASE mprotect, "3.4.12 9.7", "A write to what mprotect has made read-only, after it could be written"
    MAP_FRESH PROT_READ + PROT_WRITE
    mov qword ptr [FRESH], 7
    SYSCALL SYS_mprotect, FRESH, PAGE_SIZE, PROT_READ
    OK
    OWN "mov [rsi], rax"
    GIVE RSI, FRESH
    EXPECT T_PAGEFLT, CODE, addr=FRESH
    WANT_BITS ERR, ~PGEX_P, PGEX_U + PGEX_W
    PROTECTED
    WORD FRESH, 7

    .ifdef VPTE_NX
CASE no_exec, "3.4.12 9.3", "2020: a jump to a mapping without PROT_EXEC"
    MAP_FRESH PROT_READ + PROT_WRITE
    mov byte ptr [FRESH], 0xcc
    OWN "jmp rsi"
    GIVE RSI, FRESH
    EXPECT T_PAGEFLT, FRESH, addr=FRESH
    WANT_BITS ERR, ~PGEX_P, PGEX_U + PGEX_I
    PROTECTED
    .else
CASE no_exec, "9.3 6.13.20", "2011 and 2014: what can be read can be executed"
    MAP_FRESH PROT_READ + PROT_WRITE
    mov word ptr [FRESH], 0x0b0f        # ud2
    OWN "jmp rsi"
    GIVE RSI, FRESH
    EXPECT T_PRIVINFLT, FRESH
    CATCH SIGILL, ILL_PRVOPC
    .endif

CASE past_end, "3.4.17 9.7", "A page beyond the end of its file is a protection failure"
    SYSCALL7 SYS_mmap, FRESH, 2*PAGE_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0, IMG_SIZE - PAGE_SIZE
    OK
    OWN "mov al, [rsi]; mov dl, [rsi + 4096]"
    GIVE RSI, FRESH
    ANY RAX
    EXPECT T_PAGEFLT, CODE + 2, err=PGEX_U, addr=FRESH + PAGE_SIZE
    PROTECTED

CASE past_end_write, "3.4.17 9.7", "A write beyond the end of a file is a protection failure"
    SYSCALL7 SYS_mmap, FRESH, 2*PAGE_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0, IMG_SIZE - PAGE_SIZE
    OK
    OWN "mov [rsi + 4096], al"
    GIVE RSI, FRESH
    EXPECT T_PAGEFLT, CODE, err=PGEX_U + PGEX_W, addr=FRESH + PAGE_SIZE
    PROTECTED

CASE file_grows, "3.4.17", "Once the file has grown the page is there"
    SYSCALL7 SYS_mmap, FRESH, 2*PAGE_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0, IMG_SIZE - PAGE_SIZE
    OK
    SYSCALL SYS_ftruncate, r12, 0, IMG_SIZE + PAGE_SIZE
    OK
    OWN "mov [rsi + 4096], al; ud2"
    GIVE RSI, FRESH
    EXPECT T_PRIVINFLT, CODE + 6
    CATCH SIGILL, ILL_PRVOPC
    SYSCALL SYS_ftruncate, r12, 0, IMG_SIZE
    OK

    FINISH
