# COUNT page faults of a guest, reflected: each time one more entry of the virtual page table is
# made valid, of PAGES.

.include "vkemu.inc"
.include "page_table.inc"

SPACE = 1
FRAME = 0x30000000
TLS = 0x30001000

    MAKE_IMAGE 0
    SYSCALL7 SYS_mmap, FRAME, 2 * PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    CHECK_OK 1
    SYSCALL SYS_vmspace_create, SPACE
    CHECK_OK 2
    SYSCALL7 SYS_vmspace_mmap, SPACE, WINDOW, PAGES * PAGE_SIZE, PROT_READ + PROT_WRITE + PROT_EXEC, MAP_SHARED + MAP_FIXED + MAP_VPAGETABLE, r12, 0
    CHECK_OK 3
    SYSCALL SYS_vmspace_mcontrol, SPACE, WINDOW, PAGES * PAGE_SIZE, MADV_SETMAP, ROOT + RIGHTS
    CHECK_OK 4
    mov rsi, guest                      # the guest's code is its first page
    mov rdi, IMAGE
    mov rcx, guest_end - guest
    rep movsb
    or qword ptr [IMAGE + LAST], RIGHTS
    mov qword ptr [FRAME + TF_RIP], WINDOW
    mov qword ptr [FRAME + TF_RDI], WINDOW + PAGE_SIZE
    mov r13, IMAGE + LAST + 8
    mov r15, COUNT
    inc r15                             # the last one is not resolved
again:
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, FRAME, TLS
    or qword ptr [r13], RIGHTS
    add r13, 8
    dec r15
    jnz again
    CHECK_MEM 5, FRAME + TF_TRAPNO, T_PAGEFLT
    CHECK_MEM 6, FRAME + TF_ADDR, WINDOW + (COUNT + 1) * PAGE_SIZE
    DONE

guest:
    mov [rdi], al
    add rdi, PAGE_SIZE
    jmp guest
guest_end:

image_path:
    .asciz "image"
