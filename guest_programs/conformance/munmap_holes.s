# abi 6.10: munmap and vmspace_munmap take a range that is mapped from end to end, or nothing.

.include "space.inc"

AREA = PLAIN + 4*PAGE_SIZE              # inside what the vmspace shows

    PLAIN_SPACE guest, guest_end
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, PAGE_SIZE
    CHECK_OK 1

    # Again, and with a neighbour: there is a hole now, and the neighbour stays.
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, PAGE_SIZE
    CHECK_ERRNO 2, ERRNO_EINVAL
    SYSCALL SYS_vmspace_munmap, SPACE, AREA - PAGE_SIZE, 2*PAGE_SIZE
    CHECK_ERRNO 3, ERRNO_EINVAL
    mov qword ptr [frame + TF_RSI], AREA - 8
    RUN 4, PLAIN
    CHECK_EQ 5, [frame + TF_TRAPNO], T_FAST_SYSCALL
    mov qword ptr [frame + TF_RSI], AREA
    RUN 6, PLAIN
    CHECK_TRAP 7, T_PAGEFLT, PGEX_U, AREA

    # The address is rounded down, the length up; no length is no error.
    SYSCALL SYS_vmspace_munmap, SPACE, AREA + 2*PAGE_SIZE - 1, 2
    CHECK_OK 8
    mov qword ptr [frame + TF_RSI], AREA + 2*PAGE_SIZE
    RUN 9, PLAIN
    CHECK_TRAP 10, T_PAGEFLT, PGEX_U, AREA + 2*PAGE_SIZE
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, 0
    CHECK_OK 11
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, -1
    CHECK_ERRNO 12, ERRNO_EINVAL

    # The virtual kernel's own memory: the same rules.
    SYSCALL SYS_munmap, RAM + IMG_SIZE, PAGE_SIZE
    CHECK_ERRNO 13, ERRNO_EINVAL
    SYSCALL SYS_munmap, RAM, IMG_SIZE
    CHECK_OK 14
    SYSCALL SYS_munmap, RAM, IMG_SIZE
    CHECK_ERRNO 15, ERRNO_EINVAL

    DONE

guest:
    mov rax, [rsi]
    syscall
guest_end:
