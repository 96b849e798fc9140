# abi 4.2, 7.4: the guest has the FS and GS bases of the extended frame, the virtual kernel keeps
# its own, and the extended frame is never written.

.include "space.inc"

TLS_FS = 0
TLS_GS = 1
INFO_SIZE = VEXT_GS_BASE - VEXT_FS_BASE

    PLAIN_SPACE guest, guest_end
    SYSCALL SYS_set_tls_area, TLS_FS, ours, INFO_SIZE
    CHECK_OK 1
    SYSCALL SYS_set_tls_area, TLS_GS, ours + INFO_SIZE, INFO_SIZE
    CHECK_OK 2

    mov qword ptr [RAM + IMG_DATA], 33
    mov qword ptr [RAM + IMG_DATA + PAGE_SIZE], 44
    mov qword ptr [tls + VEXT_FS_BASE], PLAIN + IMG_DATA
    mov qword ptr [tls + VEXT_GS_BASE], PLAIN + IMG_DATA + PAGE_SIZE
    RUN 3, PLAIN
    CHECK_EQ 4, [frame + TF_RAX], 33
    CHECK_EQ 5, [frame + TF_RDX], 44

    mov rax, fs:[0]
    CHECK_EQ 6, rax, 11
    mov rax, gs:[0]
    CHECK_EQ 7, rax, 22
    SYSCALL SYS_get_tls_area, TLS_GS, got, INFO_SIZE
    CHECK_OK 8
    CHECK_EQ 9, [got], our_gs
    CHECK_EQ 10, [tls + VEXT_FS_BASE], PLAIN + IMG_DATA
    CHECK_EQ 11, [tls + VEXT_GS_BASE], PLAIN + IMG_DATA + PAGE_SIZE

    # There is no third one.
    SYSCALL SYS_set_tls_area, TLS_GS + 1, ours, INFO_SIZE
    CHECK_ERRNO 12, ERRNO_ERANGE

    DONE

guest:
    mov rax, fs:[0]
    mov rdx, gs:[0]
    syscall
guest_end:

    .balign 8
ours:
    .quad our_fs, -1, our_gs, -1
our_fs:
    .quad 11
our_gs:
    .quad 22
got:
    .space INFO_SIZE
