# Changes come first; one that is refused is an event, or else the failure of the call.

.include "../conform.inc"
.include "../events.inc"

CASE kqueue_changes, "2.1.7", "Changes come first; one that is refused is an event, or else the failure of the call"
    SYSCALL SYS_kevent, 77, 0, 0, 0, 0, 0
    REFUSED ERRNO_EBADF
    SYSCALL SYS_kevent, 77, 0, 0, 0, 0, 8
    REFUSED ERRNO_EFAULT
    KQUEUE

    # Nobody has room for the refusal.
    SYSCALL SYS_kevent, r12, no_filter, 1, 0, 0, now
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_kevent, r12, missing, 1, 0, 0, now
    REFUSED ERRNO_ENOENT
    SYSCALL SYS_kevent, r12, 8, 1, events, 8, now
    REFUSED ERRNO_EFAULT

    # All changes are tried, refusals are told in order, and nothing is waited for.
    SYSCALL SYS_kevent, r12, changes, 4, events, 8, 0
    OK
    EQUAL rax, 3
    EVENT events, 1, -9, EV_ERROR, 2, ERRNO_EINVAL, 4
    EVENT events+32, 77, EVFILT_READ, EV_ERROR, 0, ERRNO_EBADF, 0
    EVENT events+64, 999, EVFILT_PROC, EV_ERROR, 0, ERRNO_ESRCH, 0
    EVENTS 1, 0
    EVENT events, 1, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0, 1, 0

    # The kernel's own flags are not the caller's to set.
    CHANGE liar
    EVENTS 1, 0
    EVENT events, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0

    # No room for events: no wait.
    SYSCALL SYS_kevent, r12, 0, 0, 0, 0, 0
    OK
    EQUAL rax, 0
    SYSCALL SYS_kevent, r12, 0, 0, 0, -1, 0
    OK
    SYSCALL SYS_read, r12, events, 32
    REFUSED ERRNO_ENXIO
    SYSCALL SYS_write, r12, events, 32
    REFUSED ERRNO_ENXIO
    FINISH

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
