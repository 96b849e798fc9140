# abi 6.9: what mmap refuses, and why.

.include "vkemu.inc"

AREA = 0x20000000
RW = PROT_READ + PROT_WRITE
ANON = MAP_ANON + MAP_PRIVATE
NO_FILE = -1

# REFUSED n, errno, address, length, protection, flags, file, offset: what mmap says.
.macro REFUSED check, errno, addr, len, prot, flags, fd=NO_FILE, offset=0
    SYSCALL7 SYS_mmap, \addr, \len, \prot, \flags, \fd, 0, \offset
    CHECK_ERRNO \check, \errno
.endm

    SYSCALL SYS_open, path, O_RDONLY + O_CREAT, 0600
    CHECK_OK 1
    mov r12, rax
    SYSCALL SYS_open, path, O_WRONLY
    CHECK_OK 2
    mov r13, rax

    REFUSED 3, ERRNO_EINVAL, 0, 0, RW, ANON
    REFUSED 4, ERRNO_EINVAL, 0, PAGE_SIZE, RW, ANON, r12
    REFUSED 5, ERRNO_EINVAL, 0, PAGE_SIZE, RW, ANON, NO_FILE, PAGE_SIZE
    REFUSED 6, ERRNO_EINVAL, 0, -1, RW, ANON
    REFUSED 7, ERRNO_EBADF, 0, PAGE_SIZE, RW, MAP_PRIVATE, NO_FILE

    # Fixed addresses: whole pages, below the end.
    REFUSED 8, ERRNO_EINVAL, AREA + 1, PAGE_SIZE, RW, ANON + MAP_FIXED
    REFUSED 9, ERRNO_EINVAL, USER_MAX, PAGE_SIZE, RW, ANON + MAP_FIXED
    REFUSED 10, ERRNO_EINVAL, -PAGE_SIZE, 2*PAGE_SIZE, RW, ANON + MAP_FIXED

    # A page table is written by the host: both rights, and no stack.
    REFUSED 11, ERRNO_EINVAL, 0, PAGE_SIZE, PROT_READ, ANON + MAP_VPAGETABLE
    REFUSED 12, ERRNO_EINVAL, 0, PAGE_SIZE, PROT_WRITE, ANON + MAP_VPAGETABLE
    REFUSED 13, ERRNO_EINVAL, 0, PAGE_SIZE, RW, ANON + MAP_VPAGETABLE + MAP_STACK

    # A file must have been opened for what is to be done with it.
    REFUSED 14, ERRNO_EACCES, 0, PAGE_SIZE, RW, MAP_SHARED, r12
    REFUSED 15, ERRNO_EACCES, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, r13
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, RW, MAP_PRIVATE + MAP_FIXED, r12, 0, 0
    CHECK_OK 16
    CHECK_EQ 17, rax, AREA

    # To try is not to replace.
    REFUSED 18, ERRNO_ENOMEM, AREA, PAGE_SIZE, RW, ANON + MAP_TRYFIXED
    SYSCALL7 SYS_mmap, AREA, PAGE_SIZE, RW, ANON + MAP_FIXED, NO_FILE, 0, 0
    CHECK_OK 19

    DONE

path:
    .asciz "file"
