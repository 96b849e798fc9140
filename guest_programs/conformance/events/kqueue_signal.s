# EVFILT_SIGNAL counts signals, those that are ignored too.

.include "../conform.inc"
.include "../events.inc"

CASE kqueue_signal, "2.1.11", "EVFILT_SIGNAL counts signals, those that are ignored too"
    SYSCALL SYS_getpid
    mov r15, rax
    KQUEUE
    CHANGE usr1
    CHANGE winch
    SYSCALL SYS_sigaction, SIGUSR1, ignore, 0
    OK
    EVENTS 0, now
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGWINCH
    EVENTS 2, 0
    EVENT events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 2, 7
    EVENT events+32, SIGWINCH, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1, 0
    EVENTS 0, now

    # A handler runs as well.
    SYSCALL SYS_sigaction, SIGUSR1, catch, 0
    OK
    SYSCALL SYS_kill, r15, SIGUSR1
    WORD caught, 1
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1, 7

    # A disabled one counts on and tells when it is enabled.
    CHANGE disable
    SYSCALL SYS_kill, r15, SIGUSR1
    SYSCALL SYS_kill, r15, SIGUSR1
    EVENTS 0, now
    CHANGE enable
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 2, 7
    FINISH

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
