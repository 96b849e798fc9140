# abi 6.5: a vmspace_ctl that is refused leaves no trace.

.include "space.inc"

NOWHERE = 0x7000000000                  # nothing is mapped there
TLS_FS = 0
FS_BASE = 0x123456789000

    PLAIN_SPACE guest, guest_end
    SYSCALL SYS_set_tls_area, TLS_FS, fs_info, VEXT_GS_BASE
    CHECK_OK 1

    # An unknown command, which is seen before the frames.
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN + 1, NOWHERE, NOWHERE
    CHECK_ERRNO 2, ERRNO_EOPNOTSUPP

    # Frames that cannot be read: either, one beyond the end, one that wraps.
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, NOWHERE, tls
    CHECK_ERRNO 3, ERRNO_EFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, NOWHERE
    CHECK_ERRNO 4, ERRNO_EFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, USER_MAX - 8, tls
    CHECK_ERRNO 5, ERRNO_EFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, -8, tls
    CHECK_ERRNO 6, ERRNO_EFAULT

    # The FS base is still ours, the guest did not run, and nobody is in the vmspace.
    SYSCALL SYS_get_tls_area, TLS_FS, got, VEXT_GS_BASE
    CHECK_OK 7
    CHECK_EQ 8, [got], FS_BASE
    CHECK_EQ 9, [RAM + IMG_DATA], 0
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_OK 10

    DONE

guest:
    mov [PLAIN + IMG_DATA], rsp
    syscall
guest_end:

    .balign 8
fs_info:
    .quad FS_BASE, -1
got:
    .space VEXT_SIZE
