# abi 6.2: before the first vmspace_create every call with an id is EINVAL, afterwards an unknown
# id is ENOENT; either comes before any look at the other arguments.

.include "vkemu.inc"

BAD = -1

.macro EVERY check, errno
    SYSCALL SYS_vmspace_destroy, BAD
    CHECK_ERRNO \check + 1, \errno
    SYSCALL SYS_vmspace_ctl, BAD, BAD, BAD, BAD
    CHECK_ERRNO \check + 2, \errno
    SYSCALL7 SYS_vmspace_mmap, BAD, BAD, 0, BAD, BAD, BAD, BAD
    CHECK_ERRNO \check + 3, \errno
    SYSCALL SYS_vmspace_munmap, BAD, BAD, BAD
    CHECK_ERRNO \check + 4, \errno
    SYSCALL SYS_vmspace_mcontrol, BAD, BAD, BAD, BAD, BAD
    CHECK_ERRNO \check + 5, \errno
    SYSCALL SYS_vmspace_pread, BAD, BAD, BAD, BAD, BAD
    CHECK_ERRNO \check + 6, \errno
    SYSCALL SYS_vmspace_pwrite, BAD, BAD, BAD, BAD, BAD
    CHECK_ERRNO \check + 7, \errno
.endm

    EVERY 0, ERRNO_EINVAL
    SYSCALL SYS_vmspace_create, 0x1000
    CHECK_OK 8
    EVERY 8, ERRNO_ENOENT

    # Once there was one, there being none is not the same as before.
    SYSCALL SYS_vmspace_destroy, 0x1000
    CHECK_OK 16
    EVERY 16, ERRNO_ENOENT

    DONE
