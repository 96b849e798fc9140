# abi 6.14: one page of the image, seen through every door there is: the file, a plain mapping, a
# mapping with a virtual page table, a vmspace.

.include "space.inc"

DATA = 0x4000
WINDOW = 0x20000000                     # where we see what the vmspace sees

    TABLED_SPACE guest, guest_end
    MAP_PAGE DATA, IMG_DATA + PTE_RW
    SYSCALL7 SYS_mmap, WINDOW, IMG_SIZE, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, 0
    CHECK_OK 1
    SYSCALL SYS_mcontrol, WINDOW, IMG_SIZE, MADV_SETMAP, ROOT
    CHECK_OK 2

.macro SEEN check, value
    CHECK_EQ \check, [RAM + IMG_DATA], \value
    CHECK_EQ \check + 1, [WINDOW + DATA], \value
    SYSCALL SYS_extpread, r12, buffer, 8, 0, IMG_DATA
    CHECK_OK \check + 2
    CHECK_EQ \check + 2, [buffer], \value
    mov qword ptr [frame + TF_RDI], 0
    RUN \check + 3, TABLED
    CHECK_EQ \check + 3, [frame + TF_RAX], \value
.endm

    mov qword ptr [RAM + IMG_DATA], 1
    SEEN 10, 1
    mov qword ptr [WINDOW + DATA], 2
    SEEN 20, 2
    mov qword ptr [buffer], 3
    SYSCALL SYS_extpwrite, r12, buffer, 8, 0, IMG_DATA
    CHECK_OK 30
    SEEN 31, 3
    mov qword ptr [frame + TF_RDI], 4
    RUN 40, TABLED
    SEEN 41, 4

    DONE

# Shows the word; if rdi is not 0, that is its new value.
guest:
    mov rax, [DATA]
    test rdi, rdi
    jz guest_show
    mov [DATA], rdi
guest_show:
    syscall
guest_end:

    .balign 8
buffer:
    .quad 0
