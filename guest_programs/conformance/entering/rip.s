# Where a guest may be told to go on: anywhere, and what comes of it.

.include "../conform.inc"

LAST = USER_MAX - PAGE_SIZE             # the last page of a vmspace
TOP = 0x800000000000                    # the first non-canonical address

# BAD_RIP rip: the CPU refuses to go there.  Whether it does so before or after RF is used up, and
# what xflags then holds, is open.
.macro BAD_RIP rip
    ENTER \rip
    EXPECT T_PROTFLT, \rip
    WANT_BITS RFLAGS, ~PSL_RF, PSL_USER
    ANY XFLAGS
    RUN
.endm

# NO_CODE rip: there is a page fault at this address.  Whether the host has a page there, it says
# with P.
.macro NO_CODE rip
    ENTER \rip
    EXPECT T_PAGEFLT, \rip, addr=\rip
    WANT_BITS ERR, ~PGEX_P, PGEX_U + PGEX_I
    RUN
.endm

    PLAIN_SPACE
    SYSCALL7 SYS_vmspace_mmap, SPACE, LAST, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    GUEST "int3"

    .irp bit, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63
CASE bit_\bit, "7.2.9 7.3.3 12.12", "A rip that is not canonical for bit \bit alone: T_PROTFLT with code 0"
    mov r15, (1 << \bit) + CODE
    BAD_RIP r15
CASE without_bit_\bit, "7.2.9 7.3.3 12.12", "A rip of the upper half without bit \bit: T_PROTFLT with code 0"
    mov r15, (0xffff800000000000 + CODE) & ~(1 << \bit)
    BAD_RIP r15
    .endr

CASE top, "7.2.9 12.12", "The first non-canonical address, and the last"
    mov r15, TOP
    BAD_RIP r15
    mov r15, 0xffff7fffffffffff
    BAD_RIP r15

CASE zero, "7.3.3 7.5.4", "rip 0 is an address like any other"
    NO_CODE 0

CASE zero_mapped, "7.3.3 7.5.4", "At rip 0 code can run, where something is mapped"
    SYSCALL7 SYS_vmspace_mmap, SPACE, 0, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    GUEST "int3"
    ENTER 0
    EXPECT T_BPTFLT, 1
    RUN
    SYSCALL SYS_vmspace_munmap, SPACE, 0, PAGE_SIZE
    OK

CASE upper_half, "7.2.2 7.5.4", "rip in the kernel's half is a page fault at rip"
    .irp address, 0xffff800000020000, 0xffffffe000000000, 0xffffffffffffffff, 0xfffffffffffff000
    mov r15, \address
    NO_CODE r15
    .endr

# CODE_AT_THE_END byte, byte: the last two bytes of the vmspace.
.macro CODE_AT_THE_END first, second
    mov byte ptr [RAM + IMG_DATA + PAGE_SIZE - 2], \first
    mov byte ptr [RAM + IMG_DATA + PAGE_SIZE - 1], \second
.endm

# EXPECT_THE_END: it comes back from behind the last byte, which in some versions is not canonical.
.macro EXPECT_THE_END
    .if USER_MAX == TOP
    EXPECT T_PROTFLT, TOP
    ANY XFLAGS
    .else
    EXPECT T_PAGEFLT, USER_MAX, PGEX_U + PGEX_I, USER_MAX
    .endif
.endm

CASE call_at_the_end, "7.2.4 7.2.9 7.2.1", "A system call in the last two bytes: rip is the end, and to go on there is a fault"
    CODE_AT_THE_END 0x0f, 0x05
    ENTER USER_MAX - 2
    EXPECT T_FAST_SYSCALL, USER_MAX
    RUN
    AGAIN
    EXPECT_THE_END
    .if USER_MAX == TOP
    WANT_BITS RFLAGS, ~PSL_RF, PSL_USER
    .endif
    RUN

CASE breakpoint_at_the_end, "7.2.5", "INT3 in the last byte: rip is the end"
    CODE_AT_THE_END 0x90, 0xcc
    ENTER USER_MAX - 2
    EXPECT T_BPTFLT, USER_MAX
    RUN

CASE runs_off_the_end, "7.2.9 12.12 7.2.1", "An instruction that ends where the user's addresses end: a fault there"
    CODE_AT_THE_END 0x90, 0x90
    ENTER USER_MAX - 2
    EXPECT_THE_END
    RUN

CASE step_off_the_end, "7.2.6", "A single step of the last instruction: rip is the end"
    CODE_AT_THE_END 0x90, 0x90
    ENTER USER_MAX - 1, PSL_USER + PSL_T
    and qword ptr [wanted + TF_RFLAGS], ~PSL_T
    EXPECT T_TRCTRAP, USER_MAX
    RUN

CASE any_byte, "7.3.3", "rip may be any byte, also inside an instruction"
    GUEST "mov al, 0x90; int3"
    ENTER CODE + 1
    EXPECT T_BPTFLT, CODE + 3
    RUN
    ENTER CODE
    WANT RAX, 0x0707070707070790
    EXPECT T_BPTFLT, CODE + 3
    RUN

    FINISH
