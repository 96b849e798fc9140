# struct vextframe: the bases of FS and GS that a guest runs with, and sizes that mean nothing.
# The offsets here are the header's own.

.include "../conform.inc"

EDGE = 0x30000000                       # a page with nothing behind it

# VEXT at, fs_size, gs_size: an extended frame at `at` whose bases are two words of the image; r14
# is where it is.
.macro VEXT at, fs_size=-1, gs_size=-1
    mov r14, \at
    mov qword ptr [r14 + 0x00], DATA + 0x100
    mov rax, \fs_size
    mov [r14 + 0x08], rax
    mov qword ptr [r14 + 0x10], DATA + 0x200
    mov rax, \gs_size
    mov [r14 + 0x18], rax
.endm

# BASES: a guest that runs with the extended frame at r14 finds the two words.
.macro BASES
    GUEST "mov rax, fs:[rcx]; mov rbx, gs:[rdx]; int3"
    GIVE RCX, 0
    GIVE RDX, 0
    call find_both
.endm

    PLAIN_SPACE
    mov qword ptr [RAM + IMG_DATA + 0x100], 0xf5
    mov qword ptr [RAM + IMG_DATA + 0x200], 0x65

CASE bases, "4.2.1 6.5.4", "The word at 0 is the base of FS, the one at 0x10 that of GS"
    VEXT vext
    BASES

    .irp size, 0, 1, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffff0
CASE fs_size_\size, "4.2.2", "The word at 8, the size of FS, is ignored: \size"
    VEXT vext, \size, -1
    BASES

CASE gs_size_\size, "4.2.2", "The word at 0x18, the size of GS, is ignored: \size"
    VEXT vext, -1, \size
    BASES
    .endr

CASE high_bases, "4.2.1", "Bases are 64 bits, and addresses wrap: from one in the upper half"
    VEXT vext
    mov rax, -0x1000
    mov [r14 + 0x00], rax
    mov [r14 + 0x10], rax
    GUEST "mov rax, fs:[rcx]; mov rbx, gs:[rdx]; int3"
    GIVE RCX, DATA + 0x100 + 0x1000
    GIVE RDX, DATA + 0x200 + 0x1000
    call find_both

CASE not_written, "4.2.1 6.5.5", "The extended frame is read and not written"
    .irp offset, 0x00, 0x08, 0x10, 0x18
    mov qword ptr [vext + \offset], 0x7654 + \offset
    .endr
    GUEST "int3"
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, vext
    OK
    .irp offset, 0x00, 0x08, 0x10, 0x18
    WORD vext + \offset, 0x7654 + \offset
    .endr

CASE is_32_bytes, "4.2.1 6.5.7", "An extended frame is 32 bytes: it may end where its page ends"
    call edge
    VEXT EDGE + PAGE_SIZE - 32
    BASES

CASE is_not_less, "4.2.1 6.5.2", "An extended frame of which one byte is missing is EFAULT"
    call edge
    GUEST "int3"
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, EDGE + PAGE_SIZE - 31
    REFUSED ERRNO_EFAULT

    FINISH

# Let the guest run, with the extended frame at r14: it finds the two words.
find_both:
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, r14, 0, 0
    OK
    EQUAL [frame + TF_TRAPNO], T_BPTFLT
    EQUAL [frame + TF_RAX], 0xf5
    EQUAL [frame + TF_RBX], 0x65
    ret

# A page of zeros at EDGE.
edge:
    SYSCALL7 SYS_mmap, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    ret

    .balign 8
vext:
    .quad 0, 0, 0, 0
