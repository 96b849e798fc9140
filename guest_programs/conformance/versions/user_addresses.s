# Where the user's addresses end: at 0x800000000000, from 2017 on 2 MB below that.

.include "../conform.inc"

.if ABI == 2020
END = 0x7fffffe00000
.else
END = 0x800000000000
.endif
RW = PROT_READ + PROT_WRITE
FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED

# MAPS address, length: of anonymous memory, in the vmspace.
.macro MAPS address, length
    SYSCALL7 SYS_vmspace_mmap, SPACE, \address, \length, RW, FLAGS, -1, 0
.endm

    PLAIN_SPACE

CASE last_page, "9.12 6.9.7", "The last page can be mapped, and a guest can use it"
    MAPS END - PAGE_SIZE, PAGE_SIZE
    OK
    GUEST "mov rax, 5; mov [rbx], rax; mov rcx, [rbx]; int3"
    GIVE RBX, END - 8
    EXPECT T_BPTFLT, 0
    ANY RIP
    WANT RAX, 5
    WANT RCX, 5
    RUN
    SYSCALL SYS_vmspace_munmap, SPACE, END - PAGE_SIZE, PAGE_SIZE
    OK

CASE page_behind, "9.12 6.9.7", "The page behind it cannot: EINVAL"
    MAPS END, PAGE_SIZE
    REFUSED ERRNO_EINVAL

CASE across, "9.12 6.9.7", "A mapping that ends a page too high is EINVAL"
    MAPS END - PAGE_SIZE, 2*PAGE_SIZE
    REFUSED ERRNO_EINVAL

CASE unmap_across, "9.12 6.10.3", "munmap of a range that ends too high is EINVAL"
    SYSCALL SYS_vmspace_munmap, SPACE, END, PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_munmap, END, PAGE_SIZE
    REFUSED ERRNO_EINVAL

CASE control_to_the_end, "9.12 6.8b.2", "mcontrol may go to the end, and not a byte further"
    SYSCALL SYS_vmspace_mcontrol, SPACE, 0, END, MADV_INVAL
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, 0, END + 1, MADV_INVAL
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_madvise, 0, END, MADV_NORMAL
    OK
    SYSCALL SYS_madvise, 0, END + 1, MADV_NORMAL
    REFUSED ERRNO_EINVAL

CASE guest_behind, "9.12 7.2.1", "A guest that reads behind the end faults there"
    GUEST "mov rax, [rbx]; int3"
    GIVE RBX, END
    .if ABI == 2020
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=END
    .else
    EXPECT T_PROTFLT, CODE              # it is not canonical
    .endif
    RUN

CASE copied_behind, "9.12", "The kernel copies nothing to or from addresses behind the end: EFAULT"
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, END
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, END - 8
    REFUSED ERRNO_EFAULT

CASE top_of_the_stack, "9.12 11.5", "The stack begins there: ps_strings are its last 32 bytes"
    mov rax, END - 32
    mov rax, [rax]                      # the arguments' vector
    mov rcx, END
    sub rcx, rax
    AT_MOST rcx, 1 << 20

    FINISH
