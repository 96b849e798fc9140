# EVFILT_PROC tells of fork and exit; NOTE_TRACK follows the children.

.include "../conform.inc"
.include "../events.inc"

ALWAYS = EV_ADD | EV_CLEAR
ENDED = EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF | EV_NODATA
TRACKED = EV_ADD | EV_CLEAR | EV_ENABLE

CASE kqueue_proc, "2.1.10", "EVFILT_PROC tells of fork and exit; NOTE_TRACK follows the children"
    KQUEUE
    SYSCALL SYS_getpid
    mov [watch_me], rax
    mov r13, rax
    CHANGE watch_me
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    mov r15, rax

    # The fork, and then the child, which says who its parent is.
    EVENTS 2, now
    EVENT events, r15, EVFILT_PROC, TRACKED, NOTE_CHILD, r13, 9
    EVENT events+32, r13, EVFILT_PROC, ALWAYS, NOTE_FORK, 0, 9
    EVENTS 1, 0
    EVENT events, r15, EVFILT_PROC, ENDED | EV_ENABLE, NOTE_EXIT, 0x700, 9
    EVENTS 0, now

    # Its zombie can still be watched for its end, but for nothing else.
    mov [watch_child], r15
    mov [watch_forks], r15
    SYSCALL SYS_kevent, r12, watch_forks, 1, 0, 0, 0
    REFUSED ERRNO_ESRCH
    CHANGE watch_child
    EVENTS 1, now
    EVENT events, r15, EVFILT_PROC, ENDED, NOTE_EXIT, 0x700, 0
    SYSCALL SYS_wait4, r15, 0, 0, 0
    OK
    SYSCALL SYS_kevent, r12, watch_child, 1, 0, 0, 0
    REFUSED ERRNO_ESRCH
    FINISH

child:
    SYSCALL SYS_exit, 7

    .balign 8
watch_me:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_FORK | NOTE_TRACK | NOTE_EXIT, 0, 9
watch_child:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_EXIT
watch_forks:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_FORK
now:
    .quad 0, 0
events:
    .zero 8 * 32
