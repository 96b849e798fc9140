# wait4 tells of ends, stops and continuations, each once.

.include "../processes.inc"

STOPPED = 0x7f                          # with the signal above it

# WAITS pid, options, result, how: this is what wait4 tells.
.macro WAITS pid, options, result, how
    SYSCALL SYS_wait4, \pid, status, \options, 0
    OK
    EQUAL rax, \result
    WORD32 status, \how
.endm

# TELLS_NOTHING pid, options: there are children, but nothing to tell.
.macro TELLS_NOTHING pid, options
    SYSCALL SYS_wait4, \pid, status, \options + WNOHANG, 0
    OK
    EQUAL rax, 0
.endm

CASE no_children, "2.3", "Without children wait4 is ECHILD"
    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD

CASE unknown_option, "2.3", "An option that does not exist is EINVAL"
    SYSCALL SYS_wait4, -1, 0, 8, 0
    REFUSED ERRNO_EINVAL

CASE end, "2.3", "The end of a child is told once"
    CHILDLESS
    FORK one
    WAITS r15, 0, r15, 0x100
    SYSCALL SYS_wait4, r15, 0, 0, 0
    REFUSED ERRNO_ECHILD

CASE no_status, "2.3", "The status may be NULL"
    CHILDLESS
    FORK one
    SYSCALL SYS_wait4, r15, 0, 0, 0
    OK
    EQUAL rax, r15

CASE usage, "2.3", "The last argument is where the child's usage is told"
    CHILDLESS
    FORK one
    mov qword ptr [rusage], -1
    SYSCALL SYS_wait4, r15, 0, 0, rusage
    OK
    AT_MOST [rusage], 3600

CASE stop, "2.3 3.2.5", "A stop is told with WUNTRACED, once"
    CHILDLESS
    FORK stopper
    WAITS r15, WUNTRACED, r15, SIGSTOP*0x100 + STOPPED
    TELLS_NOTHING r15, WUNTRACED
    call continue_it
    WAITS r15, 0, r15, 0x500

CASE stop_not_wanted, "2.3", "Without WUNTRACED a stop is not told"
    CHILDLESS
    FORK stopper
    WAITS r15, WUNTRACED, r15, SIGSTOP*0x100 + STOPPED
    call continue_it
    WAITS r15, 0, r15, 0x500
    FORK stopper
    TELLS_NOTHING r15, 0
    call continue_when_stopped
    WAITS r15, 0, r15, 0x500

CASE continuation, "2.3", "A continuation is told with WCONTINUED, once"
    CHILDLESS
    SHARED
    FORK stopper_that_waits
    WAITS r15, WUNTRACED, r15, SIGSTOP*0x100 + STOPPED
    call continue_it
    WAITS -1, WUNTRACED + WCONTINUED, r15, SIGCONT
    TELLS_NOTHING -1, WUNTRACED + WCONTINUED
    mov dword ptr [r14], 1
    SYSCALL SYS_umtx_wakeup, r14, 0
    WAITS r15, 0, r15, 0x500

CASE continuation_not_wanted, "2.3", "Without WCONTINUED a continuation is not told"
    CHILDLESS
    SHARED
    FORK stopper_that_waits
    WAITS r15, WUNTRACED, r15, SIGSTOP*0x100 + STOPPED
    call continue_it
    TELLS_NOTHING -1, WUNTRACED
    mov dword ptr [r14], 1
    SYSCALL SYS_umtx_wakeup, r14, 0
    WAITS r15, 0, r15, 0x500

CASE own_group, "2.3", "Pid 0 means the children of the caller's group"
    CHILDLESS
    FORK one
    mov r14, r15
    SYSCALL SYS_setpgid, r14, 0
    FORK two
    WAITS 0, 0, r15, 0x200
    SYSCALL SYS_wait4, 0, 0, 0, 0
    REFUSED ERRNO_ECHILD
    WAITS r14, 0, r14, 0x100

CASE other_group, "2.3", "Pid -N means the children of group N"
    CHILDLESS
    FORK one
    mov r14, r15
    SYSCALL SYS_setpgid, r14, 0
    FORK two
    mov r13, r14
    neg r13
    WAITS r13, 0, r14, 0x100
    SYSCALL SYS_wait4, r13, 0, 0, 0
    REFUSED ERRNO_ECHILD
    WAITS r15, 0, r15, 0x200

CASE youngest_first, "2.3", "Of several that have ended the youngest is told first"
    CHILDLESS
    FORK one
    mov r14, r15
    FORK two
    call ended_r14
    call ended_r15
    WAITS -1, WNOHANG, r15, 0x200
    WAITS -1, WNOHANG, r14, 0x100

CASE linux_thread, "2.3", "A child of rfork(RFLINUXTHPN) is waited for with WLINUXCLONE only, and ends with SIGUSR1"
    CHILDLESS
    SYSCALL SYS_sigprocmask, SIG_BLOCK, user_signal, 0
    OK
    SYSCALL SYS_rfork, RFPROC + RFFDG + RFLINUXTHPN
    OK
    test rax, rax
    jz one
    mov r15, rax
    SYSCALL SYS_wait4, -1, 0, 0, 0
    REFUSED ERRNO_ECHILD
    WAITS -1, WLINUXCLONE, r15, 0x100
    SYSCALL SYS_sigpending, set
    WORD set, 1 << (SIGUSR1 - 1)

CASE bad_address, "2.3", "A status that cannot be stored is EFAULT, and the child is gone"
    CHILDLESS
    FORK one
    SYSCALL SYS_wait4, r15, 8, 0, 0
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_wait4, r15, status, 0, 0
    REFUSED ERRNO_ECHILD

    FINISH

continue_it:
    SYSCALL SYS_kill, r15, SIGCONT
    OK
    ret

continue_when_stopped:
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    OK
    jmp continue_it

# Wait until the child has ended, without being told: it does not get its signals any more.
ended_r14:
    mov rdi, r14
    jmp .Lended
ended_r15:
    mov rdi, r15
.Lended:
    mov [watch], rdi
    SYSCALL SYS_kqueue
    OK
    mov r12, rax
    SYSCALL SYS_kevent, r12, watch, 1, watched, 1, 0
    OK
    SYSCALL SYS_close, r12
    ret

stopper_that_waits:                     # until the int at r14 is not 0
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGSTOP
not_yet:
    SYSCALL SYS_umtx_sleep, r14, 0, 0
    cmp dword ptr [r14], 0
    je not_yet
    SYSCALL SYS_exit, 5
stopper:
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGSTOP
    SYSCALL SYS_exit, 5
one:
    SYSCALL SYS_exit, 1
two:
    SYSCALL SYS_exit, 2

    .balign 8
status:
    .quad 0
user_signal:
    .quad 1 << (SIGUSR1 - 1), 0
set:
    .quad 0, 0
watch:                                  # a kevent
    .quad 0
    .short EVFILT_PROC, EV_ADD
    .long NOTE_EXIT
    .quad 0, 0
watched:
    .zero 32
rusage:
    .zero 144
