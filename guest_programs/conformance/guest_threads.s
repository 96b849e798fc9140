# abi 6.4, 6.5: several threads may run in one vmspace; none may destroy it meanwhile.

.include "space.inc"
.include "signals.inc"

    PLAIN_SPACE guest, guest_end
    START 1, runner, 1
    START 2, runner, 2
1:
    PAUSE
    cmp qword ptr [RAM + IMG_DATA + 16], 2
    jne 1b
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_ERRNO 3, ERRNO_EBUSY
    CHECK_EQ 4, [finished], 0
    mov qword ptr [RAM + IMG_DATA], 1   # both are waiting for this
    AWAIT_VALUE finished, 2
    CHECK_EQ 5, [frames + 1*TF_SIZE + TF_RDI], 0x1001
    CHECK_EQ 6, [frames + 2*TF_SIZE + TF_RDI], 0x1002
    CHECK_EQ 7, [RAM + IMG_DATA + 8], 2
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_OK 8
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_ERRNO 9, ERRNO_ENOENT
    DONE

runner:
    mov [rdi*8 + tls_words], rdi        # fs:[0] is each one's own number
    imul r13, rdi, VEXT_SIZE
    lea r13, [r13 + bases]
    lea rax, [rdi*8 + PLAIN + IMG_DATA + 0x100]
    mov [r13 + VEXT_FS_BASE], rax
    mov [rdi*8 + RAM + IMG_DATA + 0x100], rdi
    imul r12, rdi, TF_SIZE
    lea r12, [r12 + frames]
    mov qword ptr [r12 + TF_RIP], PLAIN
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, r12, r13
    CHECK_OK 20
    CHECK_EQ 21, [r12 + TF_TRAPNO], T_FAST_SYSCALL
    ANNOUNCE finished
    END_LWP

guest:
    mov rax, PLAIN + IMG_DATA
    lock inc qword ptr [rax + 16]       # it is inside
1:
    cmp qword ptr [rax], 0
    je 1b
    lock inc qword ptr [rax + 8]
    mov rdi, fs:[0]
    add rdi, 0x1000
    syscall
guest_end:

    .balign 8
finished:
    .quad 0
tls_words:
    .space 64
frames:
    .space 3*TF_SIZE
bases:
    .space 3*VEXT_SIZE
