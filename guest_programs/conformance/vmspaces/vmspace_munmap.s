# vmspace_munmap, vmspace_mcontrol, vmspace_pread and vmspace_pwrite.

.include "../conform.inc"

THERE = CODE + 0x100000                 # three pages: of IMG_DATA, and what follows
WORDS = 0x1111111111111111

# THREE: there they are, and nothing around them.
.macro THREE
    SYSCALL7 SYS_vmspace_mmap, SPACE, THERE, 3*PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
.endm

# SEEN pages: those of the three that are bits of `pages` are what the guest can read.
.macro SEEN pages
    .irp page, 0, 1, 2
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, THERE + \page*PAGE_SIZE
    .if (\pages >> \page) & 1
    WANT RAX, (\page + 1)*WORDS
    EXPECT T_FAST_SYSCALL, CODE + 5
    .else
    EXPECT T_PAGEFLT, CODE, PGEX_U, THERE + \page*PAGE_SIZE
    .endif
    RUN
    .endr
.endm

    PLAIN_SPACE
    .irp page, 0, 1, 2
    mov rax, (\page + 1)*WORDS
    mov [RAM + IMG_DATA + \page*PAGE_SIZE], rax
    .endr

CASE whole, "6.7.1 6.14.7", "vmspace_munmap unmaps, and what the guest has used is gone at once"
    THREE
    SEEN 7
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, 3*PAGE_SIZE
    OK
    EQUAL rax, 0
    SEEN 0

CASE part, "6.7.1", "It unmaps a page in the middle and leaves its neighbours"
    THREE
    SEEN 7
    SYSCALL SYS_vmspace_munmap, SPACE, THERE + PAGE_SIZE, PAGE_SIZE
    OK
    SEEN 5

CASE rounded, "6.7.1", "The address is rounded down and the length up"
    THREE
    SYSCALL SYS_vmspace_munmap, SPACE, THERE + PAGE_SIZE - 1, 2
    OK
    SEEN 4

CASE nothing, "6.7.1", "Length 0 is success, even where nothing is mapped"
    THREE
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, 0
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, THERE + 8*PAGE_SIZE, 0
    OK
    SEEN 7

CASE hole, "6.7.1", "A hole, in the middle or at an end, is EINVAL, and nothing is unmapped"
    THREE
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, 4*PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_munmap, SPACE, THERE - PAGE_SIZE, 2*PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SEEN 7
    SYSCALL SYS_vmspace_munmap, SPACE, THERE + PAGE_SIZE, PAGE_SIZE
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, 3*PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SEEN 5

CASE range, "6.7.1", "A range that wraps or ends too high is EINVAL"
    .irp address, -PAGE_SIZE, USER_MAX, USER_MAX - PAGE_SIZE, 0x8000000000000000
    SYSCALL SYS_vmspace_munmap, SPACE, \address, 2*PAGE_SIZE
    REFUSED ERRNO_EINVAL
    .endr
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, -1
    REFUSED ERRNO_EINVAL

    .irp behav, -1, 12, 13, 0x7fffffff
CASE advice_\behav, "6.8b.1", "vmspace_mcontrol does not know advice \behav: EINVAL"
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE, PAGE_SIZE, \behav, 0
    REFUSED ERRNO_EINVAL
    .endr

CASE control_range, "6.8b.2", "vmspace_mcontrol of a range that wraps or ends too high is EINVAL"
    .irp address, -PAGE_SIZE, USER_MAX, USER_MAX - PAGE_SIZE, 0x8000000000000000
    SYSCALL SYS_vmspace_mcontrol, SPACE, \address, 2*PAGE_SIZE, MADV_INVAL, 0
    REFUSED ERRNO_EINVAL
    .endr
    SYSCALL SYS_vmspace_mcontrol, SPACE, 1, USER_MAX, MADV_INVAL, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_mcontrol, SPACE, 0, USER_MAX, MADV_INVAL, 0
    OK

CASE control_nothing, "6.8b.3", "vmspace_mcontrol does not mind unmapped addresses"
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE + 0x100000, PAGE_SIZE, MADV_INVAL, 0
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE + 0x100000, PAGE_SIZE, MADV_SETMAP, ROOT
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE, 0, MADV_INVAL, 0
    OK

    .macro ADVICE name, advice
CASE \name, "6.8b.3", "\advice changes nothing that the guest sees"
    THREE
    SEEN 7
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE, 2*PAGE_SIZE, \advice, -1
    OK
    EQUAL rax, 0
    SEEN 7
    .endm
    ADVICE normal, MADV_NORMAL
    ADVICE random, MADV_RANDOM
    ADVICE sequential, MADV_SEQUENTIAL
    ADVICE will_need, MADV_WILLNEED
    ADVICE no_sync, MADV_NOSYNC
    ADVICE auto_sync, MADV_AUTOSYNC
    ADVICE no_core, MADV_NOCORE
    ADVICE core, MADV_CORE
    ADVICE inval, MADV_INVAL

CASE setmap_plain, "6.8b.3", "SETMAP where there are no tables is EINVAL, and changes nothing"
    THREE
    SYSCALL SYS_vmspace_mcontrol, SPACE, THERE, 3*PAGE_SIZE, MADV_SETMAP, ROOT
    REFUSED ERRNO_EINVAL
    SEEN 7

CASE own_control, "6.8b.3", "vmspace_mcontrol and vmspace_munmap leave the virtual kernel's own mappings"
    SYSCALL SYS_vmspace_munmap, SPACE, RAM, PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_mcontrol, SPACE, RAM, PAGE_SIZE, MADV_FREE, 0
    OK
    WORD RAM + IMG_DATA, WORDS

    # vkemu run --ext vmspace-io is another kernel than this one.
    .irp call, pread, pwrite
CASE \call, "6.8.1", "vmspace_\call is EINVAL, and moves nothing"
    THREE
    mov qword ptr [buffer], 5
    SYSCALL SYS_vmspace_\call, SPACE, buffer, 8, 0, THERE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_\call, SPACE, buffer, 0, 0, THERE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_\call, SPACE, -1, 8, 0, -1
    REFUSED ERRNO_EINVAL
    EQUAL [buffer], 5
    SEEN 7
    .endr

    FINISH

    .balign 8
buffer:
    .quad 0
