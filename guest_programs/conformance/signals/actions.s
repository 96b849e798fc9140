# sigaction: numbers, flags and default actions.

.include "../recorder.inc"

NOWHERE = 0x123456

CASE all_numbers, "3.2.1", "Each signal from 1 to 128 but two is sent, caught, and known by its number"
    mov r12d, 1
    mov r13d, 0                         # how many have come
each:
    cmp r12, SIGKILL
    je next
    cmp r12, SIGSTOP
    je next
    HANDLE r12, record
    RAISE r12
    inc r13
    EQUAL [taken], r13
    EQUAL [taken_rdi], r12
next:
    inc r12
    cmp r12, 128
    jbe each

CASE last_bit, "3.2.1", "Bit 127 of a mask is signal 128"
    FORGET_SIGNALS
    HANDLE 128, record
    SYSCALL SYS_sigprocmask, SIG_SETMASK, bit_127, 0
    RAISE 128
    EQUAL [taken], 0
    SYSCALL SYS_sigpending, mask
    EQUAL [mask], 0
    EQUAL [mask + 8], [bit_127 + 8]
    SYSCALL SYS_sigprocmask, SIG_SETMASK, no_signals, 0
    EQUAL [taken], 1

.macro NO_SIGNAL name, number, title
CASE \name, "3.2.1", \title
    mov qword ptr [lwp_action], record
    SYSCALL SYS_sigaction, \number, lwp_action, 0
    REFUSED ERRNO_EINVAL
.endm

    NO_SIGNAL number_0, 0, "Signal 0 has no action: EINVAL"
    NO_SIGNAL number_129, 129, "Signal 129 has no action: EINVAL"
    NO_SIGNAL negative, -1, "Signal -1 has no action: EINVAL"

CASE no_signal, "3.2.1", "To send signal 129 is EINVAL"
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, 129
    REFUSED ERRNO_EINVAL

# Signals that only have their default action.
.macro FIXED name, signal, caught, ignored, default
CASE no_handler_\name, "3.2.2", \caught
    mov qword ptr [lwp_action], record
    SYSCALL SYS_sigaction, \signal, lwp_action, 0
    REFUSED ERRNO_EINVAL

CASE not_ignored_\name, "3.2.2", \ignored
    mov qword ptr [lwp_action], SIG_IGN
    SYSCALL SYS_sigaction, \signal, lwp_action, 0
    REFUSED ERRNO_EINVAL

CASE default_\name, "3.2.2", \default
    mov qword ptr [lwp_action], SIG_DFL
    SYSCALL SYS_sigaction, \signal, lwp_action, 0
    OK
.endm

    FIXED kill, SIGKILL, "SIGKILL cannot be caught: EINVAL", "SIGKILL cannot be ignored: EINVAL", "SIG_DFL for SIGKILL is no error"
    FIXED stop, SIGSTOP, "SIGSTOP cannot be caught: EINVAL", "SIGSTOP cannot be ignored: EINVAL", "SIG_DFL for SIGSTOP is no error"

CASE told, "4.8.1", "sigaction tells handler, flags and mask as they were set"
    FORGET_SIGNALS
    mov qword ptr [lwp_action + SA_MASK], 0x22
    mov qword ptr [lwp_action + SA_MASK + 8], 0x33
    HANDLE SIGUSR1, record, SA_RESTART + SA_NODEFER + SA_SIGINFO + SA_ONSTACK
    FORGET_SIGNALS
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    OK
    EQUAL [old + SA_HANDLER], record
    mov eax, [old + SA_FLAGS]
    EQUAL rax, SA_RESTART + SA_NODEFER + SA_SIGINFO + SA_ONSTACK
    mov rax, [old + SA_MASK]
    EQUAL rax, 0x22
    mov rax, [old + SA_MASK + 8]
    EQUAL rax, 0x33

CASE exchanged, "4.8.1", "Set and asked in one call, it tells the old action"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    mov qword ptr [lwp_action], SIG_IGN
    SYSCALL SYS_sigaction, SIGUSR1, lwp_action, old
    OK
    EQUAL [old + SA_HANDLER], record
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    EQUAL [old + SA_HANDLER], SIG_IGN

CASE unreadable, "4.8.1", "An action that cannot be read is EFAULT"
    SYSCALL SYS_sigaction, SIGUSR1, NOWHERE, 0
    REFUSED ERRNO_EFAULT

CASE reset, "7.9.5", "With SA_RESETHAND the action is SIG_DFL from the call of the handler on"
    FORGET_SIGNALS
    HANDLE SIGIO, asks, SA_RESETHAND
    RAISE SIGIO
    EQUAL [taken], 1
    EQUAL [old + SA_HANDLER], SIG_DFL

CASE reset_once, "7.9.5", "After SA_RESETHAND a second signal has its default action"
    FORGET_SIGNALS
    HANDLE SIGIO, record, SA_RESETHAND
    RAISE SIGIO
    RAISE SIGIO                         # ignored by default
    EQUAL [taken], 1

CASE reset_flag, "7.9.5", "After SA_RESETHAND has done its work the flag is still told"
    FORGET_SIGNALS
    HANDLE SIGIO, record, SA_RESETHAND
    RAISE SIGIO
    SYSCALL SYS_sigaction, SIGIO, 0, old
    OK
    mov eax, [old + SA_FLAGS]
    EQUAL rax, SA_RESETHAND

CASE reset_masks, "7.9.5 7.9.4", "With SA_RESETHAND the signal is masked in its handler as without"
    FORGET_SIGNALS
    HANDLE SIGIO, asks_mask, SA_RESETHAND
    RAISE SIGIO
    EQUAL [mask], 1 << (SIGIO - 1)

CASE kept, "7.9.5", "Without SA_RESETHAND the handler stays"
    FORGET_SIGNALS
    HANDLE SIGIO, record
    RAISE SIGIO
    RAISE SIGIO
    EQUAL [taken], 2

    FINISH

asks:
    RECORD
    SYSCALL SYS_sigaction, SIGIO, 0, old
    ret

asks_mask:
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, mask
    ret

    .balign 8
old:
    .space 32
mask:
    .quad 0, 0
bit_127:
    .quad 0, 1 << 63
