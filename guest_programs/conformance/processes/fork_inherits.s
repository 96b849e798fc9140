# What a child has from its parent.

.include "../processes.inc"

# PAGES: r12 is the address of three pages that begin with 1, 2 and 3.
.macro PAGES
    SYSCALL7 SYS_mmap, 0, 3*PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE, -1, 0, 0
    OK
    mov r12, rax
    lea r13, [r12 + PAGE_SIZE]
    mov qword ptr [r12], 1
    mov qword ptr [r13], 2
    mov qword ptr [r13 + PAGE_SIZE], 3
.endm

# GOOD: a child that has found everything as it should be.
.macro GOOD
    SYSCALL SYS_exit, 0
.endm

    SYSCALL SYS_getpid
    mov [pid], rax
    SYSCALL SYS_mkdir, directory, 0700
    OK
    SYSCALL SYS_chdir, directory
    OK
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [file], rax
    SYSCALL SYS_write, [file], path, 4
    EQUAL rax, 4

CASE copied, "6.15.1", "Memory is copied"
    PAGES
    FORK writes_10
    ENDED
    WORD r12, 1

CASE shared, "6.15.1 6.10.8", "Memory with INHERIT_SHARE is shared, both ways"
    PAGES
    SYSCALL SYS_minherit, r12, PAGE_SIZE, INHERIT_SHARE
    OK
    FORK writes_10
    ENDED
    WORD r12, 10

CASE left_out, "6.15.1 6.10.8", "Memory with INHERIT_NONE is not there, and stays the parent's"
    PAGES
    SYSCALL SYS_minherit, r13, PAGE_SIZE, INHERIT_NONE
    OK
    FORK misses_a_page
    ENDED
    WORD r13, 2

CASE file_position, "6.15.1", "Open files are shared, with their positions"
    SYSCALL SYS_lseek, [file], 0, 4, SEEK_SET
    OK
    FORK seeks_to_2
    ENDED
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_CUR
    EQUAL rax, 2

CASE descriptor_flags, "6.15.1", "Descriptors keep their flags, and are the child's own"
    SYSCALL SYS_fcntl, [file], F_SETFD, FD_CLOEXEC
    OK
    FORK closes
    ENDED
    SYSCALL SYS_fcntl, [file], F_GETFD
    OK
    EQUAL rax, FD_CLOEXEC

CASE directory, "6.15.1", "The working directory is the same, and the child's own"
    FORK moves_away
    ENDED
    SYSCALL SYS_access, path, 0
    OK

CASE umask, "6.15.1", "The umask is the same"
    SYSCALL SYS_umask, 027
    FORK has_umask_027
    ENDED
    SYSCALL SYS_umask, 022
    EQUAL rax, 027

CASE limits, "6.15.1", "The limits are the same"
    SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
    OK
    FORK has_the_limit
    ENDED

CASE priority, "6.15.1", "The priority is the same"
    SYSCALL SYS_setpriority, 0, 0, 7
    OK
    FORK has_priority_7
    ENDED

CASE tls, "6.15.1", "The bases of FS and GS are the same"
    SYSCALL SYS_set_tls_area, 0, fs_info, 16
    OK
    SYSCALL SYS_set_tls_area, 1, gs_info, 16
    OK
    FORK has_the_bases
    ENDED

CASE registers, "6.15.1", "The registers are the same, FP and SSE too"
    movq xmm7, [limit]
    fldpi
    mov r12, 0x1212121212121212
    mov rbp, 0x5555555555555555
    FORK has_the_registers
    ENDED
    fninit

CASE signal_mask, "6.15.1", "The signal mask is the same"
    SYSCALL SYS_sigprocmask, SIG_SETMASK, masked, 0
    OK
    FORK has_the_mask
    ENDED
    SYSCALL SYS_sigprocmask, SIG_SETMASK, none, 0
    OK

CASE pending_signals, "6.15.1 3.2.3", "Signals that wait are the parent's alone"
    SYSCALL SYS_sigprocmask, SIG_SETMASK, masked, 0
    OK
    SYSCALL SYS_sigaction, SIGUSR1, handled, 0
    OK
    SYSCALL SYS_kill, [pid], SIGUSR1
    OK
    FORK has_no_signal
    ENDED
    SYSCALL SYS_sigpending, set
    WORD set, 1 << (SIGUSR1 - 1)
    SYSCALL SYS_sigprocmask, SIG_SETMASK, none, 0
    OK

CASE handlers, "6.15.1", "The signal handlers are the same, and the child's own"
    SYSCALL SYS_sigaction, SIGUSR2, handled, 0
    OK
    FORK ignores_usr2
    ENDED
    SYSCALL SYS_sigaction, SIGUSR2, 0, old_action
    WORD old_action, handler

CASE alternate_stack, "6.15.1", "The alternate stack is the same"
    SYSCALL SYS_sigaltstack, alternate, 0
    OK
    FORK has_the_stack
    ENDED

CASE session, "6.15.1", "Process group and session are the same"
    FORK has_the_group
    ENDED

    FINISH

writes_10:
    WORD r12, 1
    mov qword ptr [r12], 10
    GOOD

misses_a_page:
    WORD r12, 1
    SYSCALL SYS_write, [file], r13, 1
    REFUSED ERRNO_EFAULT
    GOOD

seeks_to_2:
    SYSCALL SYS_lseek, [file], 0, 0, SEEK_CUR
    EQUAL rax, 4
    SYSCALL SYS_lseek, [file], 0, 2, SEEK_SET
    OK
    GOOD

closes:
    SYSCALL SYS_fcntl, [file], F_GETFD
    EQUAL rax, FD_CLOEXEC
    SYSCALL SYS_close, [file]
    OK
    GOOD

moves_away:
    SYSCALL SYS_access, path, 0
    OK
    SYSCALL SYS_chdir, above
    OK
    GOOD

has_umask_027:
    SYSCALL SYS_umask, 0
    EQUAL rax, 027
    GOOD

has_the_limit:
    SYSCALL SYS_getrlimit, RLIMIT_CPU, set
    OK
    WORD set, 1000
    WORD set + 8, 2000
    GOOD

has_priority_7:
    SYSCALL SYS_getpriority, 0, 0
    EQUAL rax, 7
    GOOD

has_the_bases:
    EQUAL fs:[0], 0xf5
    EQUAL gs:[0], 0x65
    GOOD

has_the_registers:
    fistp qword ptr [set]
    WORD set, 3
    movq rax, xmm7
    EQUAL rax, 1000
    EQUAL r12, 0x1212121212121212
    EQUAL rbp, 0x5555555555555555
    GOOD

has_the_mask:
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, set
    WORD set, 1 << (SIGUSR1 - 1)
    WORD set + 8, 1 << 63
    GOOD

has_no_signal:
    SYSCALL SYS_sigpending, set
    OK
    WORD set, 0
    GOOD

ignores_usr2:
    SYSCALL SYS_sigaction, SIGUSR2, ignored, old_action
    OK
    WORD old_action, handler
    GOOD

has_the_stack:
    SYSCALL SYS_sigaltstack, 0, set
    OK
    WORD set, 0x1234000
    WORD set + 8, 0x8000
    GOOD

has_the_group:
    SYSCALL SYS_getppid
    EQUAL rax, [pid]
    SYSCALL SYS_getpgid, [pid]
    mov r12, rax
    SYSCALL SYS_getpgrp
    EQUAL rax, r12
    SYSCALL SYS_getsid, [pid]
    mov r12, rax
    SYSCALL SYS_getsid
    EQUAL rax, r12
    GOOD

handler:
    ret

    .balign 8
pid:
    .quad 0
file:
    .quad 0
limit:
    .quad 1000, 2000
fs_info:
    .quad fs_word, -1
gs_info:
    .quad gs_word, -1
fs_word:
    .quad 0xf5
gs_word:
    .quad 0x65
masked:
    .quad 1 << (SIGUSR1 - 1), 1 << 63
none:
    .quad 0, 0
handled:
    .quad handler, 0, 0, 0
ignored:
    .quad SIG_IGN, 0, 0, 0
old_action:
    .quad 0, 0, 0, 0
alternate:
    .quad 0x1234000, 0x8000, 0
set:
    .quad 0, 0, 0
directory:
    .asciz "dir"
path:
    .asciz "file"
above:
    .asciz ".."
