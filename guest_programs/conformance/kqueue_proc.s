# abi 2.1, 6.15: EVFILT_PROC tells of fork and exit; NOTE_TRACK follows the children

.include "vkemu.inc"
.include "event.inc"

ALWAYS = EV_ADD | EV_CLEAR
ENDED = EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF | EV_NODATA
TRACKED = EV_ADD | EV_CLEAR | EV_ENABLE

    KQUEUE 1
    SYSCALL SYS_getpid
    mov [watch_me], rax
    mov r13, rax
    CHANGE 2, watch_me
    SYSCALL SYS_fork
    CHECK_OK 3
    test rax, rax
    jz child
    mov r15, rax

    # The fork, and then the child, which says who its parent is.
    CHECK_EVENTS 4, 2, now
    CHECK_EVENT 6, events, r15, EVFILT_PROC, TRACKED, NOTE_CHILD, r13, 9
    CHECK_EVENT 10, events+32, r13, EVFILT_PROC, ALWAYS, NOTE_FORK, 0, 9
    CHECK_EVENTS 14, 1, 0
    CHECK_EVENT 16, events, r15, EVFILT_PROC, ENDED | EV_ENABLE, NOTE_EXIT, 0x700, 9
    CHECK_EVENTS 20, 0, now

    # Its zombie can still be watched for its end, but for nothing else.
    mov [watch_child], r15
    mov [watch_forks], r15
    SYSCALL SYS_kevent, r12, watch_forks, 1, 0, 0, 0
    CHECK_ERRNO 22, ERRNO_ESRCH
    CHANGE 23, watch_child
    CHECK_EVENTS 24, 1, now
    CHECK_EVENT 26, events, r15, EVFILT_PROC, ENDED, NOTE_EXIT, 0x700, 0
    SYSCALL SYS_wait4, r15, 0, 0, 0
    CHECK_OK 30
    SYSCALL SYS_kevent, r12, watch_child, 1, 0, 0, 0
    CHECK_ERRNO 31, ERRNO_ESRCH
    DONE

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
