# Signals that end a virtual kernel whose guest runs.  The virtual kernel is a child here, and its
# frame lies in the image, where its parent sees it.

.include "counting.inc"

HER_FRAME = RAM + 6*PAGE_SIZE

    PLAIN_SPACE

# GUEST_OF_CHILD "prepare": a child whose guest runs until it is interrupted; before, the child itself
# does what is given.  r14 is the child.
.macro GUEST_OF_CHILD prepare
    FORGET_SIGNALS
    mov qword ptr [RUNNING], 0
    GUEST "inc qword ptr [rdi + 16]; jmp .-4"
    GIVE RDI, DATA
    mov rsi, frame
    mov rdi, HER_FRAME
    mov ecx, TF_SIZE/8
    rep movsq
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz .Lparent\@
    \prepare
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, HER_FRAME, tls
    SYSCALL SYS_exit, 0
.Lparent\@:
    call await_guest
.endm

# REAPED_BY signal: that has ended the child.  Whether there is a core image is the system's affair.
.macro REAPED_BY signal
    SYSCALL SYS_wait4, r14, status, 0, 0
    OK
    BITS [status], 0x7f, \signal
.endm

.macro FATAL name, signal, title
CASE \name, "7.7.5", \title
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, \signal
    OK
    REAPED \signal
.endm

    FATAL term, SIGTERM, "SIGTERM with its default action ends the process whose guest runs"
    FATAL kill, SIGKILL, "SIGKILL ends the process whose guest runs"
    FATAL usr1, SIGUSR1, "SIGUSR1 with its default action ends the process whose guest runs"

CASE core, "7.7.5", "SIGQUIT, whose default action writes a core image, ends the process too"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGQUIT
    OK
    REAPED_BY SIGQUIT

CASE reflected, "7.7.5 7.7.1", "Before a fatal signal the guest is taken out: its frame is written, with trapno 0"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGTERM
    OK
    REAPED SIGTERM
    EQUAL [HER_FRAME + TF_TRAPNO], 0
    EQUAL [HER_FRAME + TF_RDI], DATA
    EQUAL [HER_FRAME + TF_CS], USER_CS

CASE busy, "6.4.1 6.15.1", "A vmspace that a child's guest runs in is in use"
    GUEST_OF_CHILD
    SYSCALL SYS_vmspace_destroy, SPACE
    mov r13, rax
    SYSCALL SYS_kill, r14, SIGTERM
    REAPED SIGTERM
    EQUAL r13, ERRNO_EBUSY

CASE released, "7.7.5 6.15.5 6.4.1", "After a fatal signal nobody is in the vmspace, and it can be destroyed"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    REAPED SIGKILL
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    VMSPACE

CASE stopped, "7.7.5 3.2.5", "SIGKILL ends a process whose guest runs even while it is stopped"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_wait4, r14, status, WUNTRACED, 0
    OK
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    REAPED SIGKILL

CASE masked, "7.7.5 7.2.12", "A fatal signal that is masked ends nothing until it is unmasked"
    WAITS
    MASK SIG_BLOCK, SIGTERM
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz masks
    RUN
    MASK SIG_UNBLOCK, SIGTERM
    SYSCALL SYS_exit, 0
masks:
    call await_guest
    SYSCALL SYS_kill, r14, SIGTERM
    OK
    call await_guest
    mov qword ptr [GO], 1
    REAPED SIGTERM
    MASK SIG_UNBLOCK, SIGTERM

CASE no_room, "7.9.10 7.7.1", "A handler without a stack: the process ends with SIGILL, the guest out before"
    GUEST_OF_CHILD "HANDLE SIGUSR1, record; mov esp, 0x1000"
    SYSCALL SYS_kill, r14, SIGUSR1
    OK
    REAPED_BY SIGILL
    EQUAL [HER_FRAME + TF_TRAPNO], 0

    FINISH
