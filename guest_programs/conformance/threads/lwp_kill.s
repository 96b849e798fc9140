# Signals for one LWP of a process, and for any of them.

.include "../signal.inc"

# WORKERS: two more LWPs, numbers in tid_1 and tid_2, that sleep until `over` is set.
.macro WORKERS
    mov rax, lwp_stacks
    mov [lwp_params + 16], rax
    mov dword ptr [over], 0
    mov dword ptr [ready], 0
    .irp n, 1, 2
    START worker
    mov eax, [lwp_tid]
    mov [tid_\n], rax
    .endr
    AWAIT_VALUE ready, 2
    mov qword ptr [seen_tid], -1
    mov dword ptr [caught], 0
.endm

# OVER: they end.
.macro OVER
    TELL over
    .irp n, 1, 2
    mov rdi, [tid_\n]
    call gone
    .endr
.endm

    HANDLE SIGUSR1, handler
    HANDLE SIGUSR2, handler
    SYSCALL SYS_getpid
    mov [pid], rax

CASE this_lwp, "2.1.5", "A signal for an LWP is that LWP's: the caller"
    WORKERS
    SYSCALL SYS_lwp_kill, [pid], 0, SIGUSR1
    OK
    EQUAL [seen_tid], 0
    OVER

    .irp n, 1, 2
CASE other_lwp_\n, "2.1.5", "A signal for an LWP is that LWP's, and breaks its sleep: number \n of three"
    WORKERS
    SYSCALL SYS_lwp_kill, [pid], [tid_\n], SIGUSR1
    OK
    AWAIT_VALUE caught, 1
    EQUAL [seen_tid], [tid_\n]
    OVER
    .endr

CASE masked_there, "2.1.5", "It waits if that LWP masks it, even if others would take it"
    WORKERS
    MASK SIG_BLOCK, SIGUSR1
    SYSCALL SYS_lwp_kill, [pid], 0, SIGUSR1
    OK
    PAUSE
    WORD32 caught, 0
    SYSCALL SYS_sigpending, pending
    WORD pending, 1 << (SIGUSR1 - 1)
    MASK SIG_UNBLOCK, SIGUSR1
    WORD32 caught, 1
    EQUAL [seen_tid], 0
    OVER

CASE of_the_process, "3.2.9", "A signal for the process goes to an LWP that does not mask it"
    WORKERS
    MASK SIG_BLOCK, SIGUSR1
    SYSCALL SYS_kill, [pid], SIGUSR1
    OK
    AWAIT_VALUE caught, 1
    mov eax, 1
    cmp qword ptr [seen_tid], 0
    jg not_this_one
    dec eax
not_this_one:
    EQUAL rax, 1
    MASK SIG_UNBLOCK, SIGUSR1
    OVER

CASE running_first, "3.2.9", "A signal for the process goes to the LWP that runs, if that does not mask it"
    WORKERS
    SYSCALL SYS_kill, [pid], SIGUSR1
    OK
    EQUAL [seen_tid], 0
    OVER

CASE waits_for_any, "3.2.9", "If all LWPs mask it, it waits, and the first that does not takes it"
    MASK SIG_BLOCK, SIGUSR1
    WORKERS                             # they have this mask
    SYSCALL SYS_kill, [pid], SIGUSR1
    OK
    PAUSE
    WORD32 caught, 0
    MASK SIG_UNBLOCK, SIGUSR1
    WORD32 caught, 1
    EQUAL [seen_tid], 0
    OVER

CASE own_process, "2.1.5", "Pid -1 is the caller's process"
    mov dword ptr [caught], 0
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    OK
    WORD32 caught, 1

CASE probe, "2.1.5", "Signal 0 only asks whether the LWP is there"
    WORKERS
    SYSCALL SYS_lwp_kill, [pid], [tid_1], 0
    OK
    WORD32 caught, 0
    OVER

CASE nobody, "2.1.5", "A number that no LWP has is ESRCH"
    SYSCALL SYS_lwp_kill, [pid], 9999, SIGUSR1
    REFUSED ERRNO_ESRCH
    SYSCALL SYS_lwp_kill, [pid], 9999, 0
    REFUSED ERRNO_ESRCH

CASE no_process, "2.1.5", "A process that is not there is ESRCH"
    SYSCALL SYS_lwp_kill, 54321, 0, SIGUSR1
    REFUSED ERRNO_ESRCH

CASE whole_process, "2.1.5", "LWP -1 is EINVAL"
    SYSCALL SYS_lwp_kill, [pid], -1, SIGUSR1
    REFUSED ERRNO_EINVAL

CASE no_signal, "2.1.5 3.2.1", "A signal above 128 is EINVAL"
    SYSCALL SYS_lwp_kill, [pid], 0, 129
    REFUSED ERRNO_EINVAL

    FINISH

# Wait until LWP rdi has ended.
gone:
    mov r12, rdi
.Lstill_there:
    SYSCALL SYS_lwp_kill, -1, r12, 0
    jc .Lit_is_gone
    PAUSE
    jmp .Lstill_there
.Lit_is_gone:
    ret

worker:
    ANNOUNCE ready
    AWAIT over
    END_LWP

handler:
    SYSCALL SYS_lwp_gettid
    mov [seen_tid], rax
    ANNOUNCE caught
    ret

    .balign 8
pid:
    .quad 0
tid_1:
    .quad 0
tid_2:
    .quad 0
seen_tid:
    .quad 0
ready:
    .quad 0
over:
    .quad 0
caught:
    .quad 0
pending:
    .quad 0, 0
