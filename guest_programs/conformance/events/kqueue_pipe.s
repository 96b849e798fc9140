# EVFILT_READ and EVFILT_WRITE of a pipe.
#
# The pipe has descriptors 40 to read and 41 to write; 42 is another name of the end to read.

.include "../conform.inc"
.include "../events.inc"

IN = 40
OUT = 41
IN_TOO = 42
ALWAYS = EV_ADD
ONCE = EV_ADD | EV_CLEAR

# WATCHED: a new kqueue in r12 that watches a new, empty pipe: descriptor IN all the time, IN_TOO
# with EV_CLEAR.
.macro WATCHED
    call new_pipe
    KQUEUE
    SYSCALL SYS_kevent, r12, both, 2, 0, 0, 0
    OK
.endm

# BOTH data, flags: two events come at once: both descriptors have so much in them.
.macro BOTH data, flags=0
    EVENTS 2, now
    call sort
    EVENT events, IN, EVFILT_READ, ALWAYS | \flags, 0, \data, 0
    EVENT events+32, IN_TOO, EVFILT_READ, ONCE | \flags, 0, \data, 0
.endm

# ONE data, flags: the event of the descriptor without EV_CLEAR comes alone.
.macro ONE data, flags=0
    EVENTS 1, now
    EVENT events, IN, EVFILT_READ, ALWAYS | \flags, 0, \data, 0
.endm

# WRITE count, READ count: so many bytes.
.macro WRITE count
    SYSCALL SYS_write, OUT, much, \count
    EQUAL rax, \count
.endm
.macro READ count
    SYSCALL SYS_read, IN, much, \count
    OK
.endm

CASE empty, "2.1.9", "Of an empty pipe there is no event to read"
    WATCHED
    EVENTS 0, now

CASE arrival, "2.1.9", "What has arrived is told, with its number of bytes"
    WATCHED
    WRITE 3
    BOTH 3

CASE again_and_again, "2.1.9", "What is not read is told again, but not with EV_CLEAR"
    WATCHED
    WRITE 3
    BOTH 3
    ONE 3
    ONE 3

CASE more, "2.1.9", "More of it is news even with EV_CLEAR"
    WATCHED
    WRITE 3
    BOTH 3
    WRITE 2
    BOTH 5

CASE partly_read, "2.1.9", "That a part is read is no news"
    WATCHED
    WRITE 5
    BOTH 5
    READ 4
    ONE 1

CASE read_before, "2.1.9", "What is read before anybody looks is not told"
    WATCHED
    WRITE 5
    READ 5
    EVENTS 0, now

CASE end_with_data, "2.1.9", "That nobody writes any more is news: EV_EOF, with what is left"
    WATCHED
    WRITE 1
    BOTH 1
    SYSCALL SYS_close, OUT
    BOTH 1, EV_EOF

CASE end_without_data, "2.1.9", "The end without anything left is EV_EOF and EV_NODATA"
    WATCHED
    WRITE 1
    BOTH 1
    SYSCALL SYS_close, OUT
    READ 1
    EVENTS 2, now
    call sort
    EVENT events, IN, EVFILT_READ, ALWAYS | EV_EOF | EV_NODATA, 0, 0, 0
    EVENTS 1, now
    EVENT events, IN, EVFILT_READ, ALWAYS | EV_EOF | EV_NODATA, 0, 0, 0

CASE closed, "2.1.9", "A descriptor that is closed is watched no more"
    WATCHED
    WRITE 3
    SYSCALL SYS_close, IN
    EVENTS 1, now
    EVENT events, IN_TOO, EVFILT_READ, ONCE, 0, 3, 0

CASE room, "2.1.9", "An empty pipe can be written, and it is told how much"
    WATCHED
    CHANGE to_write
    EVENTS 1, now
    EVENT events, OUT, EVFILT_WRITE, ALWAYS, 0, 16384, 0

CASE no_room, "2.1.9", "With less than 512 bytes of room it is not told"
    WATCHED
    SYSCALL SYS_kevent, r12, not_both, 2, 0, 0, 0
    OK
    CHANGE to_write
    WRITE 15900
    EVENTS 0, now
    READ 15900
    EVENTS 1, now
    EVENT events, OUT, EVFILT_WRITE, ALWAYS, 0, 16384, 0

CASE nobody_reads, "2.1.9", "That nobody reads any more is EV_EOF"
    WATCHED
    CHANGE to_write
    SYSCALL SYS_close, IN
    SYSCALL SYS_close, IN_TOO
    EVENTS 1, now
    EVENT events, OUT, EVFILT_WRITE, ALWAYS | EV_EOF | EV_NODATA, 0, 0, 0

CASE woken, "2.1.9 2.1.7", "kevent waits for an event, and an arrival ends the wait"
    WATCHED
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz writes_later
    EVENTS 2
    SYSCALL SYS_wait4, -1, events, 0, 0

CASE no_owner, "2.1.6", "FIOSETOWN of a process that is not there is ESRCH"
    WATCHED
    mov dword ptr [owner], 55555
    SYSCALL SYS_ioctl, IN, FIOSETOWN, owner
    REFUSED ERRNO_ESRCH

CASE not_asked, "2.1.6", "The owner of a pipe is told nothing unless O_ASYNC is set"
    WATCHED
    call own
    WRITE 1
    EQUAL [caught], 0

CASE sigio, "2.1.6", "With FIOASYNC each arrival is a SIGIO for the owner"
    WATCHED
    call own
    mov dword ptr [owner], 1
    SYSCALL SYS_ioctl, IN, FIOASYNC, owner
    OK
    WRITE 1
    EQUAL [caught], 1
    WRITE 1
    EQUAL [caught], 2

CASE get_owner, "2.1.6", "FIOGETOWN tells who the owner is"
    WATCHED
    call own
    mov dword ptr [owner], 0
    SYSCALL SYS_ioctl, IN, FIOGETOWN, owner
    OK
    SYSCALL SYS_getpid
    WORD32 owner, rax

CASE no_more, "2.1.6", "Without O_ASYNC it is told nothing any more"
    WATCHED
    call own
    SYSCALL SYS_fcntl, IN, F_SETFL, O_ASYNC
    OK
    SYSCALL SYS_fcntl, IN, F_SETFL, 0
    OK
    WRITE 1
    EQUAL [caught], 0

    FINISH

writes_later:
    SYSCALL SYS_nanosleep, a_moment, 0
    SYSCALL SYS_write, OUT, much, 3
    SYSCALL SYS_exit, 0

new_pipe:
    SYSCALL SYS_pipe
    OK
    mov r14, rax
    mov r15, rdx
    SYSCALL SYS_dup2, r14, IN
    OK
    SYSCALL SYS_dup2, r15, OUT
    OK
    SYSCALL SYS_dup2, r14, IN_TOO
    OK
    SYSCALL SYS_close, r14
    SYSCALL SYS_close, r15
    ret

# Have the two events in the order of their descriptors.
sort:
    mov rax, [events]
    cmp rax, [events+32]
    jbe .Lsorted
    .irp offset, 0, 8, 16, 24
    mov rax, [events + \offset]
    mov rcx, [events + 32 + \offset]
    mov [events + \offset], rcx
    mov [events + 32 + \offset], rax
    .endr
.Lsorted:
    ret

# The end to read belongs to this process, and SIGIO is counted from 0.
own:
    mov qword ptr [caught], 0
    SYSCALL SYS_sigaction, SIGIO, catch, 0
    OK
    SYSCALL SYS_getpid
    mov [owner], eax
    SYSCALL SYS_ioctl, IN, FIOSETOWN, owner
    OK
    ret

handler:
    inc qword ptr [caught]
    ret

    .balign 8
both:
    KEVENT IN, EVFILT_READ, ALWAYS
    KEVENT IN_TOO, EVFILT_READ, ONCE
not_both:
    KEVENT IN, EVFILT_READ, EV_DELETE
    KEVENT IN_TOO, EVFILT_READ, EV_DELETE
to_write:
    KEVENT OUT, EVFILT_WRITE, ALWAYS
catch:
    .quad handler, 0, 0, 0
caught:
    .quad 0
owner:
    .quad 0
now:
    .quad 0, 0
a_moment:
    .quad 0, 1000000
events:
    .zero 8 * 32
much:
    .zero 15900
