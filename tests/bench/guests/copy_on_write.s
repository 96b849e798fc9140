# COUNT first writes after a fork, to pages of the PAGES that were there before.  The child sleeps
# meanwhile.

.include "vkemu.inc"

MEMORY = 0x20000000

    SYSCALL7 SYS_mmap, MEMORY, PAGES * PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    CHECK_OK 1
    mov rdi, MEMORY
    mov r15, PAGES
fill:
    mov byte ptr [rdi], 1
    add rdi, PAGE_SIZE
    dec r15
    jnz fill
    SYSCALL SYS_fork
    CHECK_OK 2
    test eax, eax
    jz child
    mov rdi, MEMORY
    mov r15, COUNT
    test r15, r15
    jz done
again:
    inc byte ptr [rdi]
    add rdi, PAGE_SIZE
    dec r15
    jnz again
done:
    DONE

child:
    SYSCALL SYS_sigsuspend, no_signals
    jmp child

    .balign 16
no_signals:
    .quad 0, 0
