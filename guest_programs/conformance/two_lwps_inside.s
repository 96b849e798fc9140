# abi 6.4, 6.5, 2.1: several LWPs may be in one vmspace, each with its own registers; it cannot be
# destroyed before the last one is back.  lwp_kill brings back the one it names.

.include "lwp.inc"
.include "space.inc"

    PLAIN_SPACE guest, guest_end
    HANDLE 1, SIGUSR1, handler

    # The other LWP goes in and stays there.
    START 2, other
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 3, done, 0
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_ERRNO 4, ERRNO_EBUSY

    # We go in too, several times.
    mov r15d, 3
again:
    mov qword ptr [frame + TF_RBX], 40
    RUN 5, PLAIN + guest_call - guest
    CHECK_EQ 6, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 7, [frame + TF_RBX], 41
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_ERRNO 8, ERRNO_EBUSY
    SYSCALL SYS_nanosleep, ms, 0
    dec r15d
    jnz again

    # Whom a signal is for, lwp_kill checks first.
    SYSCALL SYS_lwp_kill, -1, -1, SIGUSR1
    CHECK_ERRNO 10, ERRNO_EINVAL
    SYSCALL SYS_lwp_kill, -1, 7, SIGUSR1
    CHECK_ERRNO 11, ERRNO_ESRCH
    SYSCALL SYS_lwp_kill, -1, 1, 129
    CHECK_ERRNO 12, ERRNO_EINVAL
    SYSCALL SYS_lwp_kill, -1, 1, 0
    CHECK_OK 13
    SYSCALL SYS_nanosleep, ms, 0
    CHECK_MEM 14, done, 0

    SYSCALL SYS_lwp_kill, -1, 1, SIGUSR1
    CHECK_OK 15
    AWAIT done
    CHECK_MEM 16, handled_by, 1
    CHECK_MEM 17, other_frame + TF_TRAPNO, 0
    mov rax, [other_frame + TF_RBX]
    mov ebx, 18
    cmp rax, 1000
    jb failed
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_OK 19
    DONE

other:
    mov qword ptr [other_frame + TF_RIP], PLAIN
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, other_frame, tls
    CHECK_OK 30
    TELL done
    END_LWP

handler:
    SYSCALL SYS_lwp_gettid
    mov [handled_by], rax
    ret

guest:
    inc rbx
    jmp guest
guest_call:
    inc rbx
    syscall
guest_end:

    .balign 8
other_frame:
    .space TF_SIZE
ms:
    .quad 0, 1000000
done:
    .quad 0
handled_by:
    .quad -1
