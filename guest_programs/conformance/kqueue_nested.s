# abi 2.1: a kqueue can be read once events wait in it; only EVFILT_READ watches it

.include "vkemu.inc"
.include "event.inc"

    KQUEUE 1
    mov r13, r12
    mov [inner], r13
    mov [inner_writes], r13
    mov [inner_file], r13
    KQUEUE 2
    CHANGE 3, inner
    SYSCALL SYS_kevent, r12, inner_writes, 1, 0, 0, 0
    CHECK_ERRNO 4, ERRNO_EOPNOTSUPP
    SYSCALL SYS_kevent, r12, inner_file, 1, 0, 0, 0
    CHECK_ERRNO 5, ERRNO_EOPNOTSUPP
    CHECK_EVENTS 6, 0, now
    SYSCALL SYS_kevent, r13, timers, 2, 0, 0, 0
    CHECK_OK 8
    CHECK_EVENTS 9, 1, 0
    CHECK_EVENT 11, events, r13, EVFILT_READ, EV_ADD, 0, 1, 0
    SYSCALL SYS_nanosleep, ms15, 0
    CHECK_EVENTS 15, 1, now
    CHECK_EVENT 17, events, r13, EVFILT_READ, EV_ADD, 0, 2, 0
    SYSCALL SYS_fstat, r12, status
    CHECK_OK 21
    CHECK_MEM 22, status+80, 1

    # What is closed is watched no more.
    SYSCALL SYS_close, r13
    CHECK_EVENTS 23, 0, now
    SYSCALL SYS_kevent, r12, inner, 1, 0, 0, 0
    CHECK_ERRNO 25, ERRNO_EBADF

    # A child has no kqueue.
    SYSCALL SYS_fork
    CHECK_OK 26
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_MEM 27, status, 0
    DONE

child:
    SYSCALL SYS_fstat, r12, status
    jnc failed
    cmp eax, ERRNO_EBADF
    mov ebx, 1
    jne failed
    SYSCALL SYS_exit, 0

    .balign 8
inner:
    KEVENT 0, EVFILT_READ, EV_ADD
inner_writes:
    KEVENT 0, EVFILT_WRITE, EV_ADD
inner_file:
    KEVENT 0, EVFILT_VNODE, EV_ADD, NOTE_WRITE
timers:
    KEVENT 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5
    KEVENT 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 6
now:
    .quad 0, 0
ms15:
    .quad 0, 15000000
events:
    .zero 8 * 32
status:
    .zero 128
