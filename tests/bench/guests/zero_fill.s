# COUNT first accesses to pages of anonymous memory.

.include "vkemu.inc"

MEMORY = 0x20000000
MOST = 0x40000000

    SYSCALL7 SYS_mmap, MEMORY, MOST, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    CHECK_OK 1
    mov rdi, MEMORY
    mov r15, COUNT
    test r15, r15
    jz done
again:
    mov byte ptr [rdi], 1
    add rdi, PAGE_SIZE
    dec r15
    jnz again
done:
    DONE
