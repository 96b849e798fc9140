# abi 6.15: parent and child have the same vmspaces, whoever of them runs in one keeps it from
# being destroyed, and one that dies inside leaves it

.include "space.inc"

OTHER = 0x6000

    IMAGE guest, guest_end
    SYSCALL SYS_vmspace_create, OTHER
    CHECK_OK 1
    SYSCALL SYS_fork
    CHECK_OK 2
    test rax, rax
    jz maker
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_MEM 3, status, 0

    # What the child has made is there when the child is gone.
    RUN 4, PLAIN
    CHECK_EQ 5, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_MEM 6, frame + TF_RAX, 77

    SYSCALL SYS_fork
    CHECK_OK 7
    test rax, rax
    jz inside
    mov r15, rax
wait_until_inside:
    SYSCALL SYS_sched_yield
    cmp qword ptr [RAM + IMG_DATA], 1
    jne wait_until_inside
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_ERRNO 8, ERRNO_EBUSY
    RUN 9, PLAIN                        # two may run inside
    SYSCALL SYS_kill, r15, SIGKILL
    CHECK_OK 10
    SYSCALL SYS_wait4, r15, status, 0, 0
    CHECK_MEM 11, status, SIGKILL
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_OK 12
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    CHECK_ERRNO 13, ERRNO_ENOENT
    SYSCALL SYS_vmspace_destroy, OTHER
    CHECK_OK 14
    DONE

maker:
    SYSCALL SYS_vmspace_create, OTHER
    CHECK_ERRNO 100, ERRNO_EEXIST
    SYSCALL SYS_vmspace_create, SPACE
    CHECK_OK 101
    SYSCALL7 SYS_vmspace_mmap, SPACE, PLAIN, IMG_SIZE, RWX, PLAIN_MAP, r12, 0
    CHECK_OK 102
    SYSCALL SYS_exit, 0

inside:
    RUN 110, PLAIN + stay - guest
    SYSCALL SYS_exit, 111

guest:
    mov eax, 77
    syscall
stay:
    mov rax, PLAIN + IMG_DATA
    mov qword ptr [rax], 1
here:
    jmp here
guest_end:

    .balign 8
status:
    .quad 0
