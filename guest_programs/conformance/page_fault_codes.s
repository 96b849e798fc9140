# abi 7.5: tf_err and tf_addr of page faults the virtual page table does not resolve.

.include "space.inc"

ABSENT = 0x3123                         # no entry
READ_ONLY = 0x4008                      # an entry without W

    TABLED_SPACE guest, guest_end
    MAP_PAGE READ_ONLY, IMG_DATA + PTE_R

    RUN 1, TABLED + read - guest
    CHECK_TRAP 2, T_PAGEFLT, PGEX_U, ABSENT
    CHECK_EQ 3, [frame + TF_RIP], TABLED + read_here - guest

    RUN 4, TABLED + write - guest
    CHECK_TRAP 5, T_PAGEFLT, PGEX_U + PGEX_W, ABSENT

    # Fetches: the address is that of the instruction.
    RUN 6, ABSENT
    CHECK_TRAP 7, T_PAGEFLT, PGEX_U + PGEX_I, ABSENT
    CHECK_EQ 8, [frame + TF_RIP], ABSENT

    # P tells whether the host had a translation, not what the table says.
    RUN 9, TABLED + write_read_only - guest
    CHECK_TRAP 10, T_PAGEFLT, PGEX_U + PGEX_W, READ_ONLY
    RUN 11, TABLED + read_read_only - guest
    CHECK_EQ 12, [frame + TF_TRAPNO], T_FAST_SYSCALL
    RUN 13, TABLED + write_read_only - guest
    CHECK_TRAP 14, T_PAGEFLT, PGEX_U + PGEX_W + PGEX_P, READ_ONLY
    INVALIDATE READ_ONLY & -PAGE_SIZE
    RUN 15, TABLED + write_read_only - guest
    CHECK_TRAP 16, T_PAGEFLT, PGEX_U + PGEX_W, READ_ONLY

    DONE

guest:
read:
    mov esi, ABSENT
read_here:
    mov rax, [rsi]
write:
    mov esi, ABSENT
    mov [rsi], rax
write_read_only:
    mov esi, READ_ONLY
    mov [rsi], rax
read_read_only:
    mov esi, READ_ONLY
    mov rax, [rsi]
    syscall
guest_end:
