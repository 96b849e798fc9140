# abi 7.7: with SA_MAILBOX, which only 2011 has, a number is stored and the next call is EINTR.

.include "space.inc"
.include "signals.inc"

    PLAIN_SPACE guest, guest_end
    HANDLE 1, SIGUSR1, box, SA_MAILBOX + SA_RESTART
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    mov eax, [old + SA_FLAGS]
    test eax, SA_MAILBOX
    jz end                              # later versions would call the mailbox

    RAISE 2, SIGUSR1
    mov eax, [box]
    CHECK_EQ 3, rax, SIGUSR1
    SYSCALL SYS_vmspace_ctl, 0x9999, VMSPACE_CTL_RUN, frame, tls
    CHECK_ERRNO 4, ERRNO_ENOENT
    mov qword ptr [frame + TF_TRAPNO], 77
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    CHECK_ERRNO 5, ERRNO_EINTR
    CHECK_EQ 6, [frame + TF_TRAPNO], 77
    mov qword ptr [frame + TF_RBX], 1
    RUN 7, PLAIN
    CHECK_EQ 8, [frame + TF_TRAPNO], T_FAST_SYSCALL

    # Any sleep is EINTR too, and forgets it.
    RAISE 9, SIGUSR1
    SYSCALL SYS_nanosleep, an_hour, 0
    CHECK_ERRNO 10, ERRNO_EINTR
    SYSCALL SYS_umtx_sleep, box + 8, 0, 1000
    CHECK_ERRNO 11, ERRNO_EAGAIN

    # While a guest runs: this run ends with trap number 0, the next is refused.
    mov qword ptr [box], 0
    mov qword ptr [frame + TF_RBX], 0
    mov qword ptr [frame + TF_RDX], 1
    START 12, sender, 1
    RUN 13, PLAIN
    CHECK_TRAP 14, 0
    mov eax, [box]
    CHECK_EQ 15, rax, SIGUSR1
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    CHECK_ERRNO 16, ERRNO_EINTR
    mov qword ptr [frame + TF_RBX], 1
    RUN 17
    CHECK_EQ 18, [frame + TF_TRAPNO], T_FAST_SYSCALL
end:
    DONE

sender:
    PAUSE
    cmp qword ptr [RAM + IMG_DATA], 0   # until the guest runs
    je sender
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

guest:
    mov rcx, PLAIN + IMG_DATA
    mov [rcx], rdx
1:
    inc rax
    test rbx, rbx
    jz 1b
    syscall
guest_end:

    .balign 8
an_hour:
    .quad 3600, 0
box:
    .quad 0, 0
old:
    .space 32
