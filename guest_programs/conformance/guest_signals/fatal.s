# Signals that end a virtual kernel whose guest runs.  The virtual kernel is a child here, and its
# frame lies in the image, where its parent sees it.

.include "../recorder.inc"

RUNNING = RAM + IMG_DATA + 16           # the guest counts here
HER_FRAME = RAM + 6*PAGE_SIZE

    PLAIN_SPACE

# GUEST_OF_CHILD: a child whose guest runs until it is interrupted.  r14 is the child.
.macro GUEST_OF_CHILD
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
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, HER_FRAME, tls
    SYSCALL SYS_exit, 0
.Lparent\@:
    call await_guest
.endm

# ENDED status: the child has.
.macro ENDED value
    SYSCALL SYS_wait4, r14, status, 0, 0
    OK
    mov eax, [status]
    EQUAL rax, \value
.endm

.macro FATAL name, signal, title
CASE \name, "7.7.5", \title
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, \signal
    OK
    ENDED \signal
.endm

    FATAL term, SIGTERM, "SIGTERM with its default action ends the process whose guest runs"
    FATAL kill, SIGKILL, "SIGKILL ends the process whose guest runs"
    FATAL usr1, SIGUSR1, "SIGUSR1 with its default action ends the process whose guest runs"

CASE core, "7.7.5", "SIGQUIT, whose default action writes a core image, ends the process too"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGQUIT
    OK
    SYSCALL SYS_wait4, r14, status, 0, 0
    OK
    mov eax, [status]
    and eax, 0x7f                       # whether there is a core image is the system's affair
    EQUAL rax, SIGQUIT

CASE reflected, "7.7.5 7.7.1", "Before a fatal signal the guest is taken out: its frame is written, with trapno 0"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGTERM
    OK
    ENDED SIGTERM
    EQUAL [HER_FRAME + TF_TRAPNO], 0
    EQUAL [HER_FRAME + TF_RDI], DATA
    EQUAL [HER_FRAME + TF_CS], USER_CS

CASE busy, "6.4.1 6.15.1", "A vmspace that a child's guest runs in is in use"
    GUEST_OF_CHILD
    SYSCALL SYS_vmspace_destroy, SPACE
    mov r13, rax
    SYSCALL SYS_kill, r14, SIGTERM
    ENDED SIGTERM
    EQUAL r13, ERRNO_EBUSY

CASE released, "7.7.5 6.15.5 6.4.1", "After a fatal signal nobody is in the vmspace, and it can be destroyed"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    SYSCALL SYS_vmspace_create, SPACE
    OK
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE, IMG_SIZE, RWX, PLAIN_MAP, r12, 0
    OK

CASE stopped, "7.7.5 3.2.5", "SIGKILL ends a process whose guest runs even while it is stopped"
    GUEST_OF_CHILD
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_wait4, r14, status, WUNTRACED, 0
    OK
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL

CASE masked, "7.7.5 7.2.12", "A fatal signal that is masked ends nothing until it is unmasked"
    MASK SIG_BLOCK, SIGTERM
    mov qword ptr [RUNNING], 0
    GUEST "inc qword ptr [rdi + 16]; cmp qword ptr [rdi + 8], 0; je .-9; syscall"
    mov qword ptr [RAM + IMG_DATA + 8], 0
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz masks
    GIVE RDI, DATA
    EXPECT T_FAST_SYSCALL, CODE + 13
    ANY RFLAGS
    RUN
    MASK SIG_UNBLOCK, SIGTERM
    SYSCALL SYS_exit, 0
masks:
    call await_guest
    SYSCALL SYS_kill, r14, SIGTERM
    OK
    call await_guest
    mov qword ptr [RAM + IMG_DATA + 8], 1
    ENDED SIGTERM
    MASK SIG_UNBLOCK, SIGTERM

CASE no_room, "7.9.10 7.7.1", "A handler without a stack: the process ends with SIGILL, the guest out before"
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
    jz no_room_parent
    HANDLE SIGUSR1, record
    mov esp, 0x1000
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, HER_FRAME, tls
    SYSCALL SYS_exit, 0
no_room_parent:
    call await_guest
    SYSCALL SYS_kill, r14, SIGUSR1
    OK
    SYSCALL SYS_wait4, r14, status, 0, 0
    OK
    mov eax, [status]
    and eax, 0x7f
    EQUAL rax, SIGILL
    EQUAL [HER_FRAME + TF_TRAPNO], 0

    FINISH

await_guest:                            # until the guest has counted on
    mov r13, [RUNNING]
.Lawait_guest:
    PAUSE
    cmp [RUNNING], r13
    je .Lawait_guest
    ret

    .balign 8
status:
    .quad 0
