# What signals do to a process that has said nothing about them.

.include "../processes.inc"
.include "../signal.inc"

    .macro ENDS name, number
CASE \name, "3.2.7", "Signal \number ends the process"
    mov qword ptr [which], \number
    FORK raises
    SYSCALL SYS_wait4, r15, child_status, 0, 0
    OK
    BITS [child_status], 0xff7f, \number
    .endm
    .macro IS_IGNORED name, number
CASE \name, "3.2.7", "Signal \number is ignored"
    mov qword ptr [which], \number
    FORK raises
    ENDED 77 << 8
    .endm

    ENDS hup, 1
    ENDS int, 2
    ENDS quit, 3
    ENDS ill, 4
    ENDS trap, 5
    ENDS abrt, 6
    ENDS emt, 7
    ENDS fpe, 8
    ENDS kill, 9
    ENDS bus, 10
    ENDS segv, 11
    ENDS sys, 12
    ENDS pipe, 13
    ENDS alrm, 14
    ENDS term, 15
    ENDS xcpu, 24
    ENDS xfsz, 25
    ENDS vtalrm, 26
    ENDS prof, 27
    ENDS usr1, 30
    ENDS usr2, 31
    IS_IGNORED urg, 16
    IS_IGNORED cont, 19
    IS_IGNORED chld, 20
    IS_IGNORED io, 23
    IS_IGNORED winch, 28
    IS_IGNORED info, 29
    IS_IGNORED thr, 32
    .irp number, 35, 47, 63
    IS_IGNORED no_name_\number, \number
    .endr

CASE ignored_kill, "3.2.2", "SIGKILL and SIGSTOP cannot be ignored or caught: EINVAL"
    .irp signal, SIGKILL, SIGSTOP
    SYSCALL SYS_sigaction, \signal, ignore, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_sigaction, \signal, catch, 0
    REFUSED ERRNO_EINVAL
    .endr

CASE default_kill, "3.2.2", "SIGKILL and SIGSTOP may be given their default actions"
    .irp signal, SIGKILL, SIGSTOP
    SYSCALL SYS_sigaction, \signal, default, 0
    OK
    .endr

CASE masked_kill, "3.2.2", "SIGKILL ends a process that masks everything"
    mov qword ptr [which], SIGKILL
    FORK raises_masked
    ENDED SIGKILL

CASE asynchronous_code, "3.2.8", "A signal that was sent has code 0"
    HANDLE SIGUSR1, handler
    mov qword ptr [code], -1
    RAISE SIGUSR1
    EQUAL [code], 0

CASE timer_code, "3.2.8", "So has one that an interval timer has sent"
    HANDLE SIGALRM, handler
    mov qword ptr [code], -1
    SYSCALL SYS_setitimer, ITIMER_REAL, soon, 0
    OK
    SYSCALL SYS_nanosleep, long, 0
    REFUSED ERRNO_EINTR
    EQUAL [code], 0

CASE masks_have_128_bits, "3.2.1", "Each of 128 signals but SIGKILL and SIGSTOP can be masked"
    SYSCALL SYS_sigprocmask, SIG_SETMASK, everything, 0
    OK
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, old
    OK
    mov rax, ~(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1))
    WORD old, rax
    WORD old + 8, -1

CASE ways_to_mask, "3.2.1", "Signals are masked (1), let through (2), or the mask is set (3); no other way"
    SYSCALL SYS_sigprocmask, 3, two_signals, 0
    OK
    SYSCALL SYS_sigprocmask, 1, usr1, 0
    OK
    SYSCALL SYS_sigprocmask, 2, hup, old
    OK
    WORD old, 1 << (SIGHUP - 1) | 1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1)
    SYSCALL SYS_sigprocmask, 3, nothing, old
    OK
    WORD old, 1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1)
    SYSCALL SYS_sigprocmask, 0, usr1, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_sigprocmask, 4, usr1, 0
    REFUSED ERRNO_EINVAL

    FINISH

raises_masked:
    SYSCALL SYS_sigprocmask, SIG_SETMASK, everything, 0
raises:
    RAISE [which]
    SYSCALL SYS_exit, 77

handler:
    mov [code], rsi
    ret

    .balign 8
which:
    .quad 0
code:
    .quad 0
ignore:
    .quad SIG_IGN, 0, 0, 0
catch:
    .quad handler, 0, 0, 0
default:
    .quad SIG_DFL, 0, 0, 0
everything:
    .quad -1, -1
nothing:
    .quad 0, 0
old:
    .quad 0, 0
two_signals:
    .quad 1 << (SIGHUP - 1) | 1 << (SIGUSR2 - 1), 0
usr1:
    .quad 1 << (SIGUSR1 - 1), 0
hup:
    .quad 1 << (SIGHUP - 1), 0
soon:
    .quad 0, 0, 0, 3000
long:
    .quad 1000, 0
