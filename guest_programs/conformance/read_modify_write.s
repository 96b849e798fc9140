# abi 12: an instruction that writes what it reads faults as a write, whether or not it then writes.

.include "space.inc"

ABSENT = 0x3010
READ_ONLY = 0x4010
WRITE_ONLY = 0x7000
LOWER = 0x5000                          # nothing behind it

    TABLED_SPACE guest, guest_end
    MAP_PAGE READ_ONLY, IMG_DATA + PTE_R

    .irp address, ABSENT, READ_ONLY
    mov qword ptr [frame + TF_RSI], \address
    mov qword ptr [frame + TF_RDI], \address
    mov qword ptr [frame + TF_RSP], \address + 8
    mov qword ptr [frame + TF_RAX], 1
    .irp label, add, lock_add, exchange, compare, push, call, store, bit
    RUN 1, TABLED + \label - guest
    CHECK_TRAP 2, T_PAGEFLT, PGEX_U + PGEX_W, \address
    CHECK_EQ 3, [frame + TF_RIP], TABLED + \label - guest
    .endr
    .endr

    # These read only.
    mov qword ptr [frame + TF_RSI], ABSENT
    .irp label, test, bit_test
    RUN 4, TABLED + \label - guest
    CHECK_TRAP 5, T_PAGEFLT, PGEX_U, ABSENT
    .endr

    # Of two pages the first comes first, even if it could be read.
    MAP_PAGE LOWER, IMG_DATA + PTE_R
    mov qword ptr [frame + TF_RDX], LOWER + PAGE_SIZE - 4
    mov qword ptr [frame + TF_RCX], 2
    .irp label, across, across_indexed
    INVALIDATE LOWER
    RUN 6, TABLED + \label - guest
    CHECK_TRAP 7, T_PAGEFLT, PGEX_U + PGEX_W + PGEX_P, LOWER + PAGE_SIZE - 4
    CHECK_ENTRY 8, LOWER, IMG_DATA + PTE_R + VPTE_A
    MAP_PAGE LOWER, IMG_DATA + PTE_RW
    RUN 9
    CHECK_TRAP 10, T_PAGEFLT, PGEX_U + PGEX_W, LOWER + PAGE_SIZE
    CHECK_ENTRY 11, LOWER, IMG_DATA + PTE_RW + VPTE_A + VPTE_M
    MAP_PAGE LOWER, IMG_DATA + PTE_R
    .endr

    # A mapping that can be written but not read will do.
    SYSCALL7 SYS_vmspace_mmap, SPACE, WRITE_ONLY, PAGE_SIZE, PROT_WRITE, PLAIN_MAP, r12, IMG_DATA
    CHECK_OK 12
    mov qword ptr [frame + TF_RDX], WRITE_ONLY
    RUN 13, TABLED + across - guest
    CHECK_TRAP 14, T_PAGEFLT, PGEX_U, WRITE_ONLY
    RUN 15, TABLED + modify - guest
    CHECK_EQ 16, [frame + TF_TRAPNO], T_FAST_SYSCALL
    RUN 17, TABLED + across - guest
    CHECK_EQ 18, [frame + TF_TRAPNO], T_FAST_SYSCALL

    DONE

guest:
add:
    add qword ptr [rsi], 0
lock_add:
    lock add qword ptr [rsi], 0
exchange:
    xchg [rsi], rax
compare:
    cmpxchg [rsi], rbx                  # [rsi] is 0, rax is not
push:
    push rax
call:
    call guest
store:
    stosq
bit:
    bts qword ptr [rsi], 0
test:
    test qword ptr [rsi], 1
bit_test:
    bt qword ptr [rsi], 0
across:
    mov eax, [rdx]
modify:
    add [rdx], rax
    syscall
across_indexed:
    mov eax, [rdx]
    lock inc qword ptr [rdx + rcx*8 - 16]
guest_end:
