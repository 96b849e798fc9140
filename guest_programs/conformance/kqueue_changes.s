# abi 2.1: changes come first; one that is refused is an event, or else the failure of the call

.include "vkemu.inc"
.include "event.inc"

    SYSCALL SYS_kevent, 77, 0, 0, 0, 0, 0
    CHECK_ERRNO 1, ERRNO_EBADF
    SYSCALL SYS_kevent, 77, 0, 0, 0, 0, 8
    CHECK_ERRNO 2, ERRNO_EFAULT
    KQUEUE 3

    # Nobody has room for the refusal.
    SYSCALL SYS_kevent, r12, no_filter, 1, 0, 0, now
    CHECK_ERRNO 4, ERRNO_EINVAL
    SYSCALL SYS_kevent, r12, missing, 1, 0, 0, now
    CHECK_ERRNO 5, ERRNO_ENOENT
    SYSCALL SYS_kevent, r12, 8, 1, events, 8, now
    CHECK_ERRNO 6, ERRNO_EFAULT

    # All changes are tried, refusals are told in order, and nothing is waited for.
    SYSCALL SYS_kevent, r12, changes, 4, events, 8, 0
    CHECK_OK 7
    CHECK_EQ 8, rax, 3
    CHECK_EVENT 10, events, 1, -9, EV_ERROR, 2, ERRNO_EINVAL, 4
    CHECK_EVENT 14, events+32, 77, EVFILT_READ, EV_ERROR, 0, ERRNO_EBADF, 0
    CHECK_EVENT 18, events+64, 999, EVFILT_PROC, EV_ERROR, 0, ERRNO_ESRCH, 0
    CHECK_EVENTS 22, 1, 0
    CHECK_EVENT 24, events, 1, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0, 1, 0

    # The kernel's own flags are not the caller's to set.
    CHANGE 28, liar
    CHECK_EVENTS 29, 1, 0
    CHECK_EVENT 31, events, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0

    # No room for events: no wait.
    SYSCALL SYS_kevent, r12, 0, 0, 0, 0, 0
    CHECK_OK 35
    CHECK_EQ 36, rax, 0
    SYSCALL SYS_kevent, r12, 0, 0, 0, -1, 0
    CHECK_OK 37
    SYSCALL SYS_read, r12, events, 32
    CHECK_ERRNO 38, ERRNO_ENXIO
    SYSCALL SYS_write, r12, events, 32
    CHECK_ERRNO 39, ERRNO_ENXIO
    DONE

    .balign 8
no_filter:
    KEVENT 1, -9, EV_ADD, 2, 3, 4
missing:
    KEVENT 1, EVFILT_TIMER, EV_DELETE
changes:
    KEVENT 1, -9, EV_ADD, 2, 3, 4
    KEVENT 77, EVFILT_READ, EV_ADD
    KEVENT 1, EVFILT_TIMER, EV_ADD, 0, 10
    KEVENT 999, EVFILT_PROC, EV_ADD, NOTE_EXIT
liar:
    KEVENT 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_EOF | EV_ERROR, 0, 1
now:
    .quad 0, 0
events:
    .zero 8 * 32
