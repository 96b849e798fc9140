# SA_MAILBOX: in 2011 a signal's number is stored, and the next vmspace_ctl is EINTR; later it means
# nothing.

.include "mailbox.inc"

OTHER_COMMAND = 2
NOWHERE = 0x123456

    PLAIN_SPACE

.ifdef VPTE_RW

CASE no_mailbox, "9.5", "SA_MAILBOX means nothing: the handler is called, and vmspace_ctl not refused"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, SA_MAILBOX
    RAISE SIGUSR1
    EQUAL [taken], 1
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE no_flag, "9.5", "sigaction does not tell of SA_MAILBOX afterwards"
    HANDLE SIGUSR1, record, SA_MAILBOX + SA_RESTART
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    OK
    mov eax, [old + SA_FLAGS]
    EQUAL rax, SA_RESTART

CASE no_xflags, "9.5 4.4.1", "There is no bit of a mailbox in mc_xflags"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record, SA_MAILBOX
    RAISE SIGUSR1
    BITS [TAKEN_MC + MC_XFLAGS], PGEX_MAILBOX, 0

.else

CASE stores, "7.7.6", "The signal's number is stored as an int, and no handler is called"
    BOX
    mov rax, -1
    mov [box], rax
    RAISE SIGUSR1
    mov rax, 0xffffffff00000000 + SIGUSR1
    EQUAL [box], rax

CASE flag, "7.7.6", "sigaction tells of SA_MAILBOX and of where it is"
    BOX SA_RESTART
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    OK
    EQUAL [old + SA_HANDLER], box
    mov eax, [old + SA_FLAGS]
    EQUAL rax, SA_MAILBOX + SA_RESTART

CASE once, "7.7.6", "After a mailbox signal vmspace_ctl is EINTR once, and then runs the guest"
    BOX
    GUEST "syscall"
    RAISE SIGUSR1
    CTL
    REFUSED ERRNO_EINTR
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE untouched, "7.7.6 6.5.3", "vmspace_ctl that is EINTR neither runs the guest nor writes the frame"
    BOX
    GUEST "inc qword ptr [rdi + 16]; syscall"
    GIVE RDI, DATA
    mov qword ptr [RUNNING], 0
    RAISE SIGUSR1
    CTL
    REFUSED ERRNO_EINTR
    mov rax, 0x1111111111111111         # as ENTER left it
    EQUAL [frame + TF_TRAPNO], rax
    EQUAL [RUNNING], 0

CASE any_frame, "7.7.6", "vmspace_ctl that is EINTR does not look at the frame's address"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, 0, 0
    REFUSED ERRNO_EINTR

CASE after_id, "7.7.6 6.2.2", "An unknown id comes first, and the mailbox is reported by the next call"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_vmspace_ctl, 0x9999, VMSPACE_CTL_RUN, frame, tls
    REFUSED ERRNO_ENOENT
    CTL
    REFUSED ERRNO_EINTR

CASE before_command, "7.7.6 6.5.1", "EINTR for a mailbox comes before an unknown command"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_vmspace_ctl, SPACE, OTHER_COMMAND, frame, tls
    REFUSED ERRNO_EINTR
    SYSCALL SYS_vmspace_ctl, SPACE, OTHER_COMMAND, frame, tls
    REFUSED ERRNO_EOPNOTSUPP

CASE other_calls, "7.7.6", "Calls that do not sleep neither fail for a mailbox nor take it away"
    BOX
    RAISE SIGUSR1
    SYSCALL SYS_getpid
    OK
    SYSCALL SYS_vmspace_mcontrol, SPACE, CODE, PAGE_SIZE, MADV_INVAL
    OK
    CTL
    REFUSED ERRNO_EINTR

CASE two, "7.7.6", "Two mailbox signals are one EINTR; the later number stays"
    BOX
    HANDLE SIGUSR2, box, SA_MAILBOX
    RAISE SIGUSR1
    RAISE SIGUSR2
    EQUAL [box], SIGUSR2
    CTL
    REFUSED ERRNO_EINTR
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE masked, "7.7.6", "While a mailbox signal is masked nothing is stored"
    BOX
    MASK SIG_BLOCK, SIGUSR1
    RAISE SIGUSR1
    EQUAL [box], 0
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    MASK SIG_UNBLOCK, SIGUSR1
    EQUAL [box], SIGUSR1
    CTL
    REFUSED ERRNO_EINTR

CASE nowhere, "7.7.6", "A mailbox that cannot be written is no error, and EINTR comes all the same"
    BOX
    HANDLE SIGUSR1, NOWHERE, SA_MAILBOX
    RAISE SIGUSR1
    CTL
    REFUSED ERRNO_EINTR

CASE ignored, "7.7.6", "SIG_IGN with SA_MAILBOX is ignored"
    BOX
    HANDLE SIGUSR1, SIG_IGN, SA_MAILBOX
    RAISE SIGUSR1
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE default, "7.7.6", "SIG_DFL with SA_MAILBOX is the default action: of SIGIO, none"
    BOX
    HANDLE SIGIO, SIG_DFL, SA_MAILBOX
    RAISE SIGIO
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE reset, "7.7.6 7.9.5", "SA_RESETHAND takes the mailbox away"
    BOX SA_RESETHAND
    RAISE SIGUSR1
    EQUAL [box], SIGUSR1
    SYSCALL SYS_sigaction, SIGUSR1, 0, old
    EQUAL [old + SA_HANDLER], SIG_DFL
.endif

    FINISH
