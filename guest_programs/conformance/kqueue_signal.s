# abi 2.1: EVFILT_SIGNAL counts signals, those that are ignored too

.include "vkemu.inc"
.include "event.inc"

    SYSCALL SYS_getpid
    mov r15, rax
    KQUEUE 1
    CHANGE 2, usr1
    CHANGE 3, winch
    SYSCALL SYS_sigaction, SIGUSR1, ignore, 0
    CHECK_OK 4
    CHECK_EVENTS 5, 0, now
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGWINCH
    CHECK_EVENTS 7, 2, 0
    CHECK_EVENT 9, events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 2, 7
    CHECK_EVENT 13, events+32, SIGWINCH, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1, 0
    CHECK_EVENTS 17, 0, now

    # A handler runs as well.
    SYSCALL SYS_sigaction, SIGUSR1, catch, 0
    CHECK_OK 19
    SYSCALL SYS_kill, r15, SIGUSR1
    CHECK_MEM 20, caught, 1
    CHECK_EVENTS 21, 1, now
    CHECK_EVENT 23, events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1, 7

    # A disabled one counts on and tells when it is enabled.
    CHANGE 27, disable
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGUSR1
    CHECK_EVENTS 28, 0, now
    CHANGE 30, enable
    CHECK_EVENTS 31, 1, now
    CHECK_EVENT 33, events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 2, 7
    DONE

handler:
    inc qword ptr [caught]
    ret

    .balign 8
usr1:
    KEVENT SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, 7
winch:
    KEVENT SIGWINCH, EVFILT_SIGNAL, EV_ADD
disable:
    KEVENT SIGUSR1, EVFILT_SIGNAL, EV_DISABLE
enable:
    KEVENT SIGUSR1, EVFILT_SIGNAL, EV_ENABLE
ignore:
    .quad 1, 0, 0, 0
catch:
    .quad handler, 0, 0, 0
caught:
    .quad 0
now:
    .quad 0, 0
events:
    .zero 8 * 32
