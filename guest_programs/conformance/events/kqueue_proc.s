# EVFILT_PROC tells of fork, exec and exit; NOTE_TRACK follows the children.

.include "../executable.inc"
.include "../events.inc"

ALWAYS = EV_ADD | EV_CLEAR
ENDED_FLAGS = EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF | EV_NODATA
TRACKED = EV_ADD | EV_CLEAR | EV_ENABLE

# WATCH change, pid: a new kqueue watches a process.
.macro WATCH change, pid
    KQUEUE
    mov rax, \pid
    mov [\change], rax
    CHANGE \change
.endm

# ZOMBIE: the child r15 has ended, and nobody has waited for it.
.macro ZOMBIE
    WATCH ends, r15
    EVENTS 1
.endm

# REAPED: the child r15 ends, and has been waited for.
.macro REAPED
    SYSCALL SYS_wait4, r15, 0, 0, 0
    OK
.endm

    WRITE_EXECUTABLE path, program
    SYSCALL SYS_getpid
    mov [pid], rax
    SYSCALL SYS_pipe
    OK
    mov [reading], rax
    mov [writing], rdx

CASE fork, "2.1.10", "NOTE_FORK: the process has forked"
    WATCH forks, [pid]
    FORK child
    EVENTS 1, now
    EVENT events, [pid], EVFILT_PROC, ALWAYS, NOTE_FORK, 0, 5
    REAPED
    EVENTS 0, now

CASE exit, "2.1.10", "NOTE_EXIT: the process has ended, with its wait status, and is watched no more"
    FORK waits_for_a_byte
    WATCH ends, r15
    EVENTS 0, now
    call release
    EVENTS 1
    EVENT events, r15, EVFILT_PROC, ENDED_FLAGS, NOTE_EXIT, 0x700, 0
    EVENTS 0, now
    REAPED

CASE killed, "2.1.10", "NOTE_EXIT tells of a signal as wait4 does"
    FORK waits_for_a_byte
    WATCH ends, r15
    SYSCALL SYS_kill, r15, SIGKILL
    OK
    EVENTS 1
    EVENT events, r15, EVFILT_PROC, ENDED_FLAGS, NOTE_EXIT, SIGKILL, 0
    REAPED

CASE exec, "2.1.10", "NOTE_EXEC: the process has become another program"
    FORK executes_later
    WATCH executes, r15
    EVENTS 0, now
    call release
    EVENTS 1
    EVENT events, r15, EVFILT_PROC, ALWAYS, NOTE_EXEC, 0, 0
    SYSCALL SYS_kill, r15, SIGKILL
    REAPED

CASE tracked, "2.1.10", "NOTE_TRACK: the child is watched as well, and says who its parent is"
    WATCH tracks, [pid]
    FORK child
    EVENTS 2, now
    EVENT events, r15, EVFILT_PROC, TRACKED, NOTE_CHILD, [pid], 9
    EVENT events+32, [pid], EVFILT_PROC, ALWAYS, NOTE_FORK, 0, 9
    EVENTS 1
    EVENT events, r15, EVFILT_PROC, ENDED_FLAGS | EV_ENABLE, NOTE_EXIT, 0x700, 9
    EVENTS 0, now
    REAPED

CASE zombie, "2.1.10", "The end of a zombie can still be watched"
    FORK child
    ZOMBIE
    WATCH ends, r15
    EVENTS 1, now
    EVENT events, r15, EVFILT_PROC, ENDED_FLAGS, NOTE_EXIT, 0x700, 0
    REAPED

CASE zombie_forks, "2.1.10", "Nothing else of a zombie can be watched: ESRCH"
    FORK child
    ZOMBIE
    KQUEUE
    mov [forks], r15
    SYSCALL SYS_kevent, r12, forks, 1, 0, 0, 0
    REFUSED ERRNO_ESRCH
    REAPED

CASE nobody, "2.1.10", "A process that is not there is ESRCH"
    FORK child
    REAPED
    KQUEUE
    mov [ends], r15
    SYSCALL SYS_kevent, r12, ends, 1, 0, 0, 0
    REFUSED ERRNO_ESRCH

    FINISH

# Let the child go on that waits for a byte.
release:
    SYSCALL SYS_write, [writing], pid, 1
    OK
    ret

child:
    SYSCALL SYS_exit, 7

waits_for_a_byte:
    SYSCALL SYS_read, [reading], events, 1
    SYSCALL SYS_exit, 7

executes_later:
    SYSCALL SYS_read, [reading], events, 1
    SYSCALL SYS_execve, path, arguments, 0
    SYSCALL SYS_exit, 99

    .balign 8
forks:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_FORK, 0, 5
ends:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_EXIT
executes:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_EXEC
tracks:
    KEVENT 0, EVFILT_PROC, EV_ADD, NOTE_FORK | NOTE_TRACK | NOTE_EXIT, 0, 9
pid:
    .quad 0
reading:
    .quad 0
writing:
    .quad 0
now:
    .quad 0, 0
ms1:
    .quad 0, 1000000
arguments:
    .quad path, 0
path:
    .asciz "program"
    .balign 8
events:
    .zero 8 * 32

# It runs until it is killed.
EXECUTABLE program
for_ever:
    mov eax, SYS_yield
    syscall
    jmp for_ever
END_EXECUTABLE program
