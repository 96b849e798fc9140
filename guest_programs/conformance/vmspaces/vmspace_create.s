# An id names one vmspace at a time; any 64 bits are an id.

.include "../conform.inc"

CASE vmspace_create, "6.3.2 6.3.3 6.1.1", "An id names one vmspace at a time; any 64 bits are an id"
    SYSCALL SYS_vmspace_create, 0x1000
    OK
    EQUAL rax, 0

    SYSCALL SYS_vmspace_create, 0x1000
    REFUSED ERRNO_EEXIST

    # Type and data are not looked at.
    SYSCALL SYS_vmspace_create, 0, 7, -1
    OK
    SYSCALL SYS_vmspace_create, -1
    OK

    SYSCALL SYS_vmspace_destroy, 0x1000
    OK
    SYSCALL SYS_vmspace_destroy, 0x1000
    REFUSED ERRNO_ENOENT
    SYSCALL SYS_vmspace_create, 0x1000
    OK

    # The others are still there.
    SYSCALL SYS_vmspace_destroy, 0
    OK
    SYSCALL SYS_vmspace_destroy, -1
    OK

    FINISH
