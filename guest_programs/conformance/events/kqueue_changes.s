# kevent's changes come first; one that is refused is an event, or else the failure of the call.

.include "../conform.inc"
.include "../events.inc"

CASE no_kqueue, "2.1.7", "A descriptor that is no kqueue is EBADF"
    SYSCALL SYS_kevent, 59, 0, 0, 0, 0, 0
    REFUSED ERRNO_EBADF

CASE timeout_first, "2.1.7", "A timeout that cannot be read is EFAULT, even of no kqueue"
    SYSCALL SYS_kevent, 59, 0, 0, 0, 0, 8
    REFUSED ERRNO_EFAULT

CASE no_filter, "2.1.7", "A filter that does not exist is EINVAL, if nobody has room for an event"
    KQUEUE
    SYSCALL SYS_kevent, r12, no_filter, 1, 0, 0, now
    REFUSED ERRNO_EINVAL

CASE nothing_to_delete, "2.1.7", "EV_DELETE of what is not there is ENOENT"
    KQUEUE
    SYSCALL SYS_kevent, r12, missing, 1, 0, 0, now
    REFUSED ERRNO_ENOENT

CASE bad_changes, "2.1.7", "Changes that cannot be read are EFAULT"
    KQUEUE
    SYSCALL SYS_kevent, r12, 8, 1, events, 8, now
    REFUSED ERRNO_EFAULT

CASE refusals, "2.1.7", "All changes are tried, refusals are told in order, and nothing is waited for"
    KQUEUE
    SYSCALL SYS_kevent, r12, changes, 4, events, 8, 0
    OK
    EQUAL rax, 3
    EVENT events, 1, -9, EV_ERROR, 2, ERRNO_EINVAL, 4
    EVENT events+32, 59, EVFILT_READ, EV_ERROR, 0, ERRNO_EBADF, 0
    EVENT events+64, 99999, EVFILT_PROC, EV_ERROR, 0, ERRNO_ESRCH, 0

CASE others_done, "2.1.7", "A change behind one that was refused has been made"
    KQUEUE
    SYSCALL SYS_kevent, r12, changes, 4, events, 8, 0
    OK
    EVENTS 1
    EVENT events, 1, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0, 1, 0

CASE many_changes, "2.1.7", "There may be more changes than the kernel takes at a time"
    KQUEUE
    SYSCALL SYS_kevent, r12, many, 20, 0, 0, now
    OK
    EQUAL rax, 0
    SYSCALL SYS_kevent, r12, last_of_many, 1, 0, 0, now
    OK

CASE kernel_flags, "2.1.7", "EV_ERROR and EV_EOF are not the caller's to set"
    KQUEUE
    CHANGE liar
    EVENTS 1
    EVENT events, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1, 0

CASE no_room, "2.1.7", "Without room for events there is no wait"
    KQUEUE
    SYSCALL SYS_kevent, r12, 0, 0, 0, 0, 0
    OK
    EQUAL rax, 0

CASE negative_room, "2.1.7", "A negative number of events is none"
    KQUEUE
    SYSCALL SYS_kevent, r12, 0, 0, 0, -1, 0
    OK
    EQUAL rax, 0

CASE time_over, "2.1.7", "When the time is over the result is 0"
    KQUEUE
    EVENTS 0, ms5

CASE not_a_file, "2.1.7", "A kqueue is neither read nor written: ENXIO"
    KQUEUE
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
    KEVENT 59, EVFILT_READ, EV_ADD
    KEVENT 1, EVFILT_TIMER, EV_ADD, 0, 10
    KEVENT 99999, EVFILT_PROC, EV_ADD, NOTE_EXIT
many:
    .irp ident, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
    KEVENT \ident, EVFILT_TIMER, EV_ADD, 0, 100000
    .endr
last_of_many:
    KEVENT 19, EVFILT_TIMER, EV_DELETE
liar:
    KEVENT 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_EOF | EV_ERROR, 0, 1
now:
    .quad 0, 0
ms5:
    .quad 0, 5000000
events:
    .zero 8 * 32
