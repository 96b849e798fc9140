# Signals that a virtual kernel catches while its guest runs.

.include "../recorder.inc"

COUNTED = RAM + IMG_DATA                # what the guest counts, at DATA
GO = RAM + IMG_DATA + 8                 # it runs until this is not 0, and says so in the next word
RUNNING = RAM + IMG_DATA + 16

    PLAIN_SPACE

# LOOP handler, flags: a guest that runs until it is interrupted.  A signal that comes is SIGALRM.
.macro LOOP handler, flags=0
    FORGET_SIGNALS
    HANDLE SIGALRM, \handler, \flags
    mov qword ptr [COUNTED], 0
    GUEST "inc qword ptr [rdi]; inc rbx; jmp .-6"
    GIVE RDI, DATA
    GIVE RBX, 0
    ANY RBX
    ANY RIP
    ANY RFLAGS
    EXPECT 0, CODE
    ANY RIP
    ANY RFLAGS
.endm

# ALARM: SIGALRM comes every millisecond, until one finds that the guest has counted on.
.macro ALARM
    mov rax, [COUNTED]
    mov [counted_before], rax
    SYSCALL SYS_setitimer, ITIMER_REAL, often, 0
    OK
.endm

# RECORD_ALARM: what the handler of SIGALRM begins with.
.macro RECORD_ALARM
    mov r8, [COUNTED]
    cmp r8, [counted_before]
    je too_early
    mov [counted_before], r8            # the next one is late
    RECORD
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
.endm

CASE returns, "7.7.1 7.2.11", "A signal that arrives while a guest runs: vmspace_ctl returns 0, with trapno 0"
    LOOP record_alarm
    ALARM
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    OK
    EQUAL rax, 0
    EQUAL [frame + TF_TRAPNO], 0
    EQUAL [taken], 1
    EQUAL [taken_rdi], SIGALRM

CASE registers, "7.7.1 7.2.16 7.7.4", "The frame has the guest's registers, r10 and r11 too; xflags, err, addr are 0"
    LOOP record_alarm
    ALARM
    RUN

CASE flags_word, "7.7.4", "After an interrupt the word flags of the frame is 0"
    LOOP record_alarm
    ALARM
    RUN
    EQUAL [frame + TF_FLAGS], 0

CASE interrupted, "7.7.1 7.2.11", "rip is at the instruction that comes next, RF is clear"
    LOOP record_alarm
    ALARM
    RUN
    mov rax, [frame + TF_RIP]
    cmp rax, CODE
    je in_loop
    cmp rax, CODE + 3
    je in_loop
    EQUAL rax, CODE + 6
in_loop:
    BITS [frame + TF_RFLAGS], PSL_RF + PSL_T + PSL_I, PSL_I

CASE handler, "7.7.3 7.4.1", "The handler sees the virtual kernel behind vmspace_ctl: RAX 0, CF clear, all else"
    LOOP record_alarm
    ALARM
    stc
    mov rbx, 0xb0b0
    mov r12, 0xc0c0
    mov r15, 0xf0f0
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
behind:
    EQUAL [TAKEN_MC + MC_RIP], behind
    EQUAL [TAKEN_MC + MC_RAX], 0
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C, 0
    EQUAL [TAKEN_MC + MC_RDI], SPACE
    EQUAL [TAKEN_MC + MC_RSI], VMSPACE_CTL_RUN
    EQUAL [TAKEN_MC + MC_RDX], frame
    EQUAL [TAKEN_MC + MC_RBX], 0xb0b0
    EQUAL [TAKEN_MC + MC_R12], 0xc0c0
    EQUAL [TAKEN_MC + MC_R15], 0xf0f0
    EQUAL [TAKEN_MC + MC_RSP], rsp
    EQUAL [taken_rsi], 0

CASE frame_first, "7.7.1", "The frame is written before the handler runs"
    LOOP reads_frame
    mov qword ptr [frame + TF_TRAPNO], 77
    ALARM
    RUN
    EQUAL [read_trapno], 0

CASE restart, "7.7.1", "SA_RESTART makes no difference: vmspace_ctl is not made again"
    LOOP record_alarm, SA_RESTART
    ALARM
    RUN
    EQUAL [taken], 1

# Its counters in memory and in a register agree, wherever it was.
CASE goes_on, "7.7.1 7.2.16", "Interrupted 20 times, the guest has lost and repeated nothing"
    LOOP record_alarm
    mov r13d, 20
    mov r14, 0
once_more:
    ALARM
    RUN
    mov rax, [frame + TF_RBX]           # what it was to come to
    cmp qword ptr [frame + TF_RIP], CODE + 3
    jne whole
    inc rax
whole:
    EQUAL [COUNTED], rax
    cmp rax, r14                        # it has got on
    ja further
    NEVER
further:
    mov r14, rax
    AGAIN
    .irp word, RBX, RIP, RFLAGS
    ANY \word
    .endr
    dec r13d
    jnz once_more
    EQUAL [taken], 20

CASE alternate, "7.7.3 7.9.1", "A signal that ends a RUN is handled on the alternate stack if it is to be"
    LOOP record_alarm, SA_ONSTACK
    SYSCALL SYS_sigaltstack, altstack, 0
    OK
    ALARM
    RUN
    EQUAL [taken_rsp], altstack_end - SF_SIZE - 8

CASE own_run, "7.7.3 6.5.4", "The handler may enter a guest itself; the interrupted frame is complete by then"
    LOOP runs
    ALARM
    RUN
    EQUAL [taken], 1
    EQUAL [inner_frame + TF_TRAPNO], T_FAST_SYSCALL
    EQUAL [inner_frame + TF_RAX], 0x77

CASE from_lwp, "7.7.1 2.1.5", "A signal that another LWP sends to this one ends the RUN"
    LOOP record_alarm
    HANDLE SIGUSR1, record
    mov qword ptr [COUNTED], 0
    START sends, 0
    RUN
    EQUAL [taken_rdi], SIGUSR1

CASE from_process, "7.7.1", "A signal that a child sends to the process ends the RUN"
    LOOP record_alarm
    HANDLE SIGUSR1, record
    SYSCALL SYS_getpid
    mov r13, rax
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz parent
await_guest:
    PAUSE
    cmp qword ptr [COUNTED], 0
    je await_guest
    SYSCALL SYS_kill, r13, SIGUSR1
    SYSCALL SYS_exit, 0
parent:
    mov r14, rax
    RUN
    EQUAL [taken_rdi], SIGUSR1
    SYSCALL SYS_wait4, r14, 0, 0, 0

# The guest runs on until we say so; the signal goes to the LWP that waits for it.
CASE other_lwp, "7.7.1 2.1.5", "A signal to another LWP does not end this one's RUN"
    FORGET_SIGNALS
    HANDLE SIGUSR1, lets_go
    mov qword ptr [GO], 0
    mov qword ptr [RUNNING], 0
    GUEST "mov [rdi + 16], edi; cmp qword ptr [rdi + 8], 0; je .-5; syscall"
    GIVE RDI, DATA
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 12
    ANY RFLAGS
    START kills_itself, 0
    RUN
    EQUAL [taken], 1

    FINISH

sends:
    PAUSE
    cmp qword ptr [COUNTED], 0
    je sends
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

kills_itself:
    PAUSE
    cmp qword ptr [RUNNING], 0
    je kills_itself
    SYSCALL SYS_lwp_gettid
    SYSCALL SYS_lwp_kill, -1, rax, SIGUSR1
    END_LWP

lets_go:
    RECORD
    mov qword ptr [GO], 1
    ret

record_alarm:
    RECORD_ALARM
too_early:
    ret

reads_frame:
    mov rax, [frame + TF_TRAPNO]
    mov [read_trapno], rax
    RECORD_ALARM
    ret

runs:
    RECORD_ALARM
    mov dword ptr [RAM + IMG_CODE + 0x100], 0x050f77b0  # mov al, 0x77; syscall
    mov qword ptr [inner_frame + TF_RIP], CODE + 0x100
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, inner_frame, tls
    ret

    .balign 8
often:
    .quad 0, 1000, 0, 1000
never:
    .quad 0, 0, 0, 0
counted_before:
    .quad 0
read_trapno:
    .quad 0
inner_frame:
    .space TF_SIZE
altstack:
    .quad altstack_start, 8192, 0
    .balign 64
altstack_start:
    .space 8192
altstack_end:
