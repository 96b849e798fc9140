# EVFILT_SIGNAL counts signals, those that are ignored too.

.include "../signal.inc"
.include "../events.inc"

FLAGS = EV_ADD | EV_CLEAR

# WATCH change: a new kqueue that watches a signal.
.macro WATCH change
    KQUEUE
    CHANGE \change
.endm

CASE nothing_yet, "2.1.11", "Signals from before do not count"
    HANDLE SIGUSR1, SIG_IGN
    RAISE SIGUSR1
    WATCH usr1
    EVENTS 0, now

CASE counted, "2.1.11", "An ignored signal is counted, and told with its count"
    HANDLE SIGUSR1, SIG_IGN
    WATCH usr1
    RAISE SIGUSR1
    RAISE SIGUSR1
    EVENTS 1
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 2, 7

CASE counted_anew, "2.1.11", "What has been told starts again at 0"
    HANDLE SIGUSR1, SIG_IGN
    WATCH usr1
    RAISE SIGUSR1
    EVENTS 1, now
    EVENTS 0, now
    RAISE SIGUSR1
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 1, 7

CASE ignored_by_default, "2.1.11", "A signal that is ignored by default is counted"
    WATCH winch
    RAISE SIGWINCH
    EVENTS 1, now
    EVENT events, SIGWINCH, EVFILT_SIGNAL, FLAGS, 0, 1, 0

CASE several, "2.1.11", "Each signal has its own event"
    HANDLE SIGUSR1, SIG_IGN
    WATCH usr1
    CHANGE winch
    RAISE SIGUSR1
    RAISE SIGWINCH
    RAISE SIGUSR1
    EVENTS 2, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 2, 7
    EVENT events+32, SIGWINCH, EVFILT_SIGNAL, FLAGS, 0, 1, 0

CASE others, "2.1.11", "Another signal does not count"
    WATCH winch
    HANDLE SIGUSR1, SIG_IGN
    RAISE SIGUSR1
    EVENTS 0, now

CASE handled, "2.1.11", "A handler runs as well"
    HANDLE SIGUSR1, handler
    mov qword ptr [caught], 0
    WATCH usr1
    RAISE SIGUSR1
    EQUAL [caught], 1
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 1, 7

CASE masked, "2.1.11", "A signal that is masked counts when it is taken"
    HANDLE SIGUSR1, handler
    WATCH usr1
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    EVENTS 0, now
    MASK SIG_UNBLOCK, SIGUSR1
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 1, 7

CASE disabled, "2.1.11", "A disabled one counts on, and tells when it is enabled"
    HANDLE SIGUSR1, SIG_IGN
    WATCH usr1
    CHANGE disable
    RAISE SIGUSR1
    RAISE SIGUSR1
    EVENTS 0, now
    CHANGE enable
    EVENTS 1, now
    EVENT events, SIGUSR1, EVFILT_SIGNAL, FLAGS, 0, 2, 7

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
caught:
    .quad 0
now:
    .quad 0, 0
events:
    .zero 8 * 32
