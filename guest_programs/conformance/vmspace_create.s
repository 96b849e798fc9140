# abi 6.3, 6.4: an id names one vmspace at a time; any 64 bits are an id.

.include "vkemu.inc"

    SYSCALL SYS_vmspace_create, 0x1000
    CHECK_OK 1
    CHECK_EQ 2, rax, 0

    SYSCALL SYS_vmspace_create, 0x1000
    CHECK_ERRNO 3, ERRNO_EEXIST

    # Type and data are not looked at.
    SYSCALL SYS_vmspace_create, 0, 7, -1
    CHECK_OK 4
    SYSCALL SYS_vmspace_create, -1
    CHECK_OK 5

    SYSCALL SYS_vmspace_destroy, 0x1000
    CHECK_OK 6
    SYSCALL SYS_vmspace_destroy, 0x1000
    CHECK_ERRNO 7, ERRNO_ENOENT
    SYSCALL SYS_vmspace_create, 0x1000
    CHECK_OK 8

    # The others are still there.
    SYSCALL SYS_vmspace_destroy, 0
    CHECK_OK 9
    SYSCALL SYS_vmspace_destroy, -1
    CHECK_OK 10

    DONE
