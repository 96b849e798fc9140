# abi 2.1: EVFILT_READ and EVFILT_WRITE of a pipe; with EV_CLEAR each arrival and the end are told once

.include "vkemu.inc"
.include "event.inc"

ALWAYS = EV_ADD
ONCE = EV_ADD | EV_CLEAR

    SYSCALL SYS_pipe
    SYSCALL SYS_dup, 0
    CHECK_EQ 1, rax, 2
    KQUEUE 2
    SYSCALL SYS_kevent, r12, both, 2, 0, 0, 0
    CHECK_OK 3
    CHECK_EVENTS 4, 0, now

    # The same data: told again and again, or once.
    SYSCALL SYS_write, 1, letters, 3
    CHECK_EVENTS 6, 2, now
    CHECK_EVENT 8, events, 2, EVFILT_READ, ONCE, 0, 3, 0
    CHECK_EVENT 12, events+32, 0, EVFILT_READ, ALWAYS, 0, 3, 0
    CHECK_EVENTS 16, 1, now
    CHECK_EVENT 18, events, 0, EVFILT_READ, ALWAYS, 0, 3, 0

    # More of it is news, reading a part of it is not.
    SYSCALL SYS_write, 1, letters, 2
    CHECK_EVENTS 22, 2, now
    CHECK_EVENT 24, events, 0, EVFILT_READ, ALWAYS, 0, 5, 0
    CHECK_EVENT 28, events+32, 2, EVFILT_READ, ONCE, 0, 5, 0
    SYSCALL SYS_read, 0, letters, 4
    CHECK_EVENTS 32, 1, now
    CHECK_EVENT 34, events, 0, EVFILT_READ, ALWAYS, 0, 1, 0

    # The other end is gone, with a letter left, and without.
    SYSCALL SYS_close, 1
    CHECK_EVENTS 38, 2, now
    CHECK_EVENT 40, events, 0, EVFILT_READ, ALWAYS | EV_EOF, 0, 1, 0
    CHECK_EVENT 44, events+32, 2, EVFILT_READ, ONCE | EV_EOF, 0, 1, 0
    SYSCALL SYS_read, 0, letters, 4
    CHECK_EVENTS 48, 1, now
    CHECK_EVENT 50, events, 0, EVFILT_READ, ALWAYS | EV_EOF | EV_NODATA, 0, 0, 0
    SYSCALL SYS_close, 0
    CHECK_EVENTS 54, 0, now
    SYSCALL SYS_close, 2

    # Room: told while there are 512 bytes of it.
    SYSCALL SYS_pipe
    CHECK_EQ 56, rdx, 1
    SYSCALL SYS_kevent, r12, room, 1, events, 8, 0
    CHECK_EQ 57, rax, 1
    CHECK_EVENT 58, events, 1, EVFILT_WRITE, ALWAYS, 0, 16384, 0
    SYSCALL SYS_fcntl, 1, F_SETFL, O_NONBLOCK
    SYSCALL SYS_write, 1, much, 15900
    CHECK_EQ 62, rax, 15900
    CHECK_EVENTS 63, 0, now
    SYSCALL SYS_read, 0, much, 15900
    CHECK_EVENTS 65, 1, now
    SYSCALL SYS_close, 0
    CHECK_EVENTS 67, 1, now
    CHECK_EVENT 69, events, 1, EVFILT_WRITE, ALWAYS | EV_EOF | EV_NODATA, 0, 0, 0

    # SIGIO for what arrives, if O_ASYNC is set.
    SYSCALL SYS_sigaction, SIGIO, catch, 0
    SYSCALL SYS_pipe
    CHECK_EQ 73, rax, 0
    mov r14, rdx
    SYSCALL SYS_getpid
    mov r15, rax
    SYSCALL SYS_ioctl, 0, FIOSETOWN, owner
    CHECK_ERRNO 74, ERRNO_ESRCH
    mov [owner], r15d
    SYSCALL SYS_ioctl, 0, FIOSETOWN, owner
    CHECK_OK 75
    SYSCALL SYS_write, r14, letters, 1
    CHECK_MEM 76, caught, 0
    mov dword ptr [owner], 1
    SYSCALL SYS_ioctl, 0, FIOASYNC, owner
    CHECK_OK 77
    SYSCALL SYS_write, r14, letters, 1
    CHECK_MEM 78, caught, 1
    SYSCALL SYS_ioctl, 0, FIOGETOWN, owner
    mov eax, [owner]
    CHECK_EQ 79, rax, r15
    SYSCALL SYS_fcntl, 0, F_SETFL, 0
    SYSCALL SYS_write, r14, letters, 1
    CHECK_MEM 80, caught, 1
    DONE

handler:
    inc qword ptr [caught]
    ret

    .balign 8
both:
    KEVENT 2, EVFILT_READ, ONCE
    KEVENT 0, EVFILT_READ, ALWAYS
room:
    KEVENT 1, EVFILT_WRITE, ALWAYS
catch:
    .quad handler, 0, 0, 0
caught:
    .quad 0
owner:
    .quad 55555
now:
    .quad 0, 0
letters:
    .ascii "letters "
events:
    .zero 8 * 32
much:
    .zero 15900
