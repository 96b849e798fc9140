# Before the first vmspace_create every call with an id is EINVAL, afterwards an unknown id is ENOENT; either comes before any look at the other arguments.

.include "../conform.inc"

BAD = -1

.macro EVERY check, errno
CASE vmspace_ids, "6.2.1 6.2.2", "Before the first vmspace_create every call with an id is EINVAL, afterwards an unknown ..."
    SYSCALL SYS_vmspace_destroy, BAD
    REFUSED \errno
    SYSCALL SYS_vmspace_ctl, BAD, BAD, BAD, BAD
    REFUSED \errno
    SYSCALL7 SYS_vmspace_mmap, BAD, BAD, 0, BAD, BAD, BAD, BAD
    REFUSED \errno
    SYSCALL SYS_vmspace_munmap, BAD, BAD, BAD
    REFUSED \errno
    SYSCALL SYS_vmspace_mcontrol, BAD, BAD, BAD, BAD, BAD
    REFUSED \errno
    SYSCALL SYS_vmspace_pread, BAD, BAD, BAD, BAD, BAD
    REFUSED \errno
    SYSCALL SYS_vmspace_pwrite, BAD, BAD, BAD, BAD, BAD
    REFUSED \errno
.endm

    EVERY 0, ERRNO_EINVAL
    SYSCALL SYS_vmspace_create, 0x1000
    OK
    EVERY 8, ERRNO_ENOENT

    # Once there was one, there being none is not the same as before.
    SYSCALL SYS_vmspace_destroy, 0x1000
    OK
    EVERY 16, ERRNO_ENOENT

    FINISH
