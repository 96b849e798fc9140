# The numbers of system calls: each is made by its number in the list, and does what its name says.

.include "../processes.inc"

    SYSCALL SYS_sigaction, SIGSYS, sigsys, 0
    OK

    .macro SAME name, first, second, title
CASE \name, "2.9", \title
    SYSCALL \first
    OK
    mov r12, rax
    SYSCALL \second
    OK
    EQUAL rax, r12
    .endm
    SAME users, 24, 25, "24 getuid, 25 geteuid"
    SAME groups, 47, 43, "47 getgid, 43 getegid"

CASE processes, "2.9", "1 exit, 2 fork, 7 wait4, 20 getpid, 39 getppid"
    SYSCALL 20
    OK
    mov r13, rax
    SYSCALL 2
    OK
    test rax, rax
    jz child
    mov r15, rax
    SYSCALL 7, r15, status, 0, 0
    OK
    EQUAL rax, r15
    WORD32 status, 3 << 8

CASE files, "2.9", "3 read, 4 write, 5 open, 6 close, 199 lseek, 10 unlink"
    SYSCALL 5, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov r12, rax
    SYSCALL 4, r12, path, 4
    EQUAL rax, 4
    SYSCALL 199, r12, 0, 1, SEEK_SET
    EQUAL rax, 1
    SYSCALL 3, r12, buffer, 8
    EQUAL rax, 3
    WORD32 buffer, 0x656c69             # "ile"
    SYSCALL 10, path
    OK
    SYSCALL 6, r12
    OK
    SYSCALL 6, r12
    REFUSED ERRNO_EBADF

CASE descriptors, "2.9", "42 pipe, 41 dup, 90 dup2, 92 fcntl, 474 closefrom"
    SYSCALL 42
    OK
    mov r12, rax
    SYSCALL 41, r12
    OK
    SYSCALL 90, r12, 55
    OK
    EQUAL rax, 55
    SYSCALL 92, 55, F_GETFD
    OK
    FORK closes_all
    ENDED

CASE memory, "2.9", "197 mmap, 73 munmap, 74 mprotect, 75 madvise, 485 mcontrol, 65 msync"
    SYSCALL7 197, 0x20000000, PAGE_SIZE, 3, 0x1012, -1, 0, 0
    OK
    EQUAL rax, 0x20000000
    SYSCALL 74, 0x20000000, PAGE_SIZE, 1
    OK
    SYSCALL 75, 0x20000000, PAGE_SIZE, 11
    REFUSED ERRNO_EINVAL
    SYSCALL 485, 0x20000000, PAGE_SIZE, 11
    REFUSED ERRNO_EINVAL                # for another reason
    SYSCALL 485, 0x20000000, PAGE_SIZE, 10
    OK
    SYSCALL 65, 0x20000000, PAGE_SIZE, 0
    OK
    SYSCALL 73, 0x20000000, PAGE_SIZE
    OK
    SYSCALL 65, 0x20000000, PAGE_SIZE, 0
    REFUSED ERRNO_EINVAL

CASE signals, "2.9", "37 kill, 340 sigprocmask, 342 sigaction, 343 sigpending"
    SYSCALL 340, 3, usr1, 0
    OK
    SYSCALL 20
    SYSCALL 37, rax, SIGUSR1
    OK
    SYSCALL 343, buffer
    OK
    WORD buffer, 1 << (SIGUSR1 - 1)
    SYSCALL 342, SIGUSR1, ignore, 0
    OK
    SYSCALL 343, buffer
    WORD buffer, 0

CASE lwps, "2.9", "494 extexit, 496 lwp_gettid, 497 lwp_kill, 472 set_tls_area, 473 get_tls_area"
    SYSCALL 496
    OK
    EQUAL rax, 0
    SYSCALL 497, -1, 0, 0
    OK
    SYSCALL 472, 2, buffer, 16
    REFUSED ERRNO_ERANGE
    SYSCALL 473, 0, buffer, 16
    OK
    FORK extexits
    ENDED 9 << 8

CASE umtx, "2.9", "469 umtx_sleep, 470 umtx_wakeup"
    mov dword ptr [buffer], 5
    SYSCALL 469, buffer, 4, 0
    REFUSED ERRNO_EBUSY
    SYSCALL 470, buffer, 0
    OK

CASE time, "2.9", "116 gettimeofday, 232 clock_gettime, 240 nanosleep"
    SYSCALL 116, buffer, 0
    OK
    mov r12, [buffer]
    SYSCALL 232, 0, buffer
    OK
    mov rax, [buffer]
    sub rax, r12
    AT_MOST rax, 60
    SYSCALL 240, a_moment, 0
    OK

CASE events, "2.9", "362 kqueue, 363 kevent, 209 poll, 93 select"
    SYSCALL 362
    OK
    SYSCALL 363, rax, 0, 0, buffer, 1, a_moment
    OK
    EQUAL rax, 0
    SYSCALL 209, 0, 0, 1
    OK
    EQUAL rax, 0
    SYSCALL 93, 0, 0, 0, 0, no_time
    OK
    EQUAL rax, 0

CASE vmspaces, "2.9 6.2.1", "487 to 493, the calls for vmspaces, are there: EINVAL before the first 486"
    .irp call, 487, 488, 489, 490, 491, 492, 493
    SYSCALL \call, 0x5000, 1
    REFUSED ERRNO_EINVAL
    .endr
    EQUAL [signals], 0                  # not for want of such a call

CASE vmspace_create, "2.9 6.2.2", "486 is vmspace_create; after it 487 to 493 look for their vmspace"
    SYSCALL 486, 0x5000
    OK
    .irp call, 487, 488, 489, 490, 491, 492, 493
    SYSCALL \call, 0x6000, 1
    REFUSED ERRNO_ENOENT
    .endr

CASE vmspace_calls, "2.9 6.5.1 6.8.1", "487 destroys, 489 maps, 490 unmaps, 491 controls; 492, 493 are EINVAL, 488 is for RUN"
    SYSCALL7 489, 0x5000, 0x20000, PAGE_SIZE, 3, 0x1012, -1, 0
    OK
    EQUAL rax, 0x20000
    SYSCALL 491, 0x5000, 0x20000, PAGE_SIZE, 11
    REFUSED ERRNO_EINVAL
    SYSCALL 491, 0x5000, 0x20000, PAGE_SIZE, 10
    OK
    SYSCALL 490, 0x5000, 0x20000, PAGE_SIZE
    OK
    SYSCALL 490, 0x5000, 0x20000, PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL 492, 0x5000, buffer, 8
    REFUSED ERRNO_EINVAL
    SYSCALL 493, 0x5000, buffer, 8
    REFUSED ERRNO_EINVAL
    SYSCALL 488, 0x5000, 2
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL 487, 0x5000
    OK
    SYSCALL 487, 0x5000
    REFUSED ERRNO_ENOENT

    FINISH

child:
    SYSCALL 39
    EQUAL rax, r13
    SYSCALL 1, 3

closes_all:
    SYSCALL 474, 55
    SYSCALL 92, 55, F_GETFD
    REFUSED ERRNO_EBADF
    SYSCALL 1, 0

extexits:
    SYSCALL 494, 0, 9, 0

handler:
    inc qword ptr [signals]
    ret

    .balign 8
signals:
    .quad 0
status:
    .quad 0
usr1:
    .quad 1 << (SIGUSR1 - 1), 0
ignore:
    .quad SIG_IGN, 0, 0, 0
sigsys:
    .quad handler, 0, 0, 0
a_moment:
    .quad 0, 1000
no_time:
    .quad 0, 0
buffer:
    .zero 64
path:
    .asciz "file"
