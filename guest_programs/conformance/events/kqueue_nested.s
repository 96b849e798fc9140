# A kqueue can be read once events wait in it; only EVFILT_READ watches it.

.include "../conform.inc"
.include "../events.inc"

CASE kqueue_nested, "2.1.12", "A kqueue can be read once events wait in it; only EVFILT_READ watches it"
    KQUEUE
    mov r13, r12
    mov [inner], r13
    mov [inner_writes], r13
    mov [inner_file], r13
    KQUEUE
    CHANGE inner
    SYSCALL SYS_kevent, r12, inner_writes, 1, 0, 0, 0
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL SYS_kevent, r12, inner_file, 1, 0, 0, 0
    REFUSED ERRNO_EOPNOTSUPP
    EVENTS 0, now
    SYSCALL SYS_kevent, r13, timers, 2, 0, 0, 0
    OK
    EVENTS 1, 0
    EVENT events, r13, EVFILT_READ, EV_ADD, 0, 1, 0
    SYSCALL SYS_nanosleep, ms15, 0
    EVENTS 1, now
    EVENT events, r13, EVFILT_READ, EV_ADD, 0, 2, 0
    SYSCALL SYS_fstat, r12, status
    OK
    WORD status+80, 1

    # What is closed is watched no more.
    SYSCALL SYS_close, r13
    EVENTS 0, now
    SYSCALL SYS_kevent, r12, inner, 1, 0, 0, 0
    REFUSED ERRNO_EBADF

    # A child has no kqueue.
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, -1, status, 0, 0
    WORD status, 0
    FINISH

child:
    SYSCALL SYS_fstat, r12, status
    jc 8f
    NEVER
8:
    cmp eax, ERRNO_EBADF
    mov ebx, 1
    je 8f
    NEVER
8:
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
