# COUNT first writes to pages behind a virtual page table that permits them, of PAGES.

.include "vkemu.inc"
.include "page_table.inc"

    MAKE_IMAGE RIGHTS
    SYSCALL7 SYS_mmap, WINDOW, PAGES * PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_SHARED + MAP_FIXED + MAP_VPAGETABLE, r12, 0, 0
    CHECK_OK 1
    SYSCALL SYS_mcontrol, WINDOW, PAGES * PAGE_SIZE, MADV_SETMAP, ROOT + RIGHTS
    CHECK_OK 2
    mov rdi, WINDOW
    mov r15, COUNT
    test r15, r15
    jz done
again:
    mov byte ptr [rdi], 1
    add rdi, PAGE_SIZE
    dec r15
    jnz again
    CHECK_MEM 3, IMAGE + LAST, RIGHTS + VPTE_A + VPTE_M
    CHECK_MEM 4, IMAGE + LAST + 8 * (COUNT - 1), (COUNT - 1) * PAGE_SIZE + RIGHTS + VPTE_A + VPTE_M
done:
    DONE

image_path:
    .asciz "image"
