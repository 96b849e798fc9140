# System calls that are stepped: a guest's, vmspace_ctl itself, and others of the program's own.

.include "../recorder.inc"

NOBODY = 0x9999

    PLAIN_SPACE

# STEPPED number, a, b, c, d: as SYSCALL, with T set from the instruction before it on.
.macro STEPPED number, a=0, b=0, c=0, d=0
    mov rdi, \a
    mov rsi, \b
    mov rdx, \c
    mov r10, \d
    mov eax, \number
    pushfq
    or qword ptr [rsp], PSL_T
    popfq
    syscall
.endm

# HANDLE_TRAP handler: nothing is taken yet, and SIGTRAP is handled.
.macro HANDLE_TRAP handler, flags=0
    FORGET_SIGNALS
    HANDLE SIGTRAP, \handler, \flags
.endm

# ---- a guest's

CASE guests_call, "7.8.2 7.2.4 12.1", "A guest's SYSCALL with T: 0x81, with T still set in the frame"
    HANDLE_TRAP record
    GUEST "syscall"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE guests_trap, "7.8.2", "After a stepped SYSCALL of its guest the virtual kernel gets one SIGTRAP, TRAP_TRACE"
    HANDLE_TRAP record
    GUEST "syscall"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    EQUAL [taken], 1
    EQUAL [taken_rdi], SIGTRAP
    EQUAL [taken_rsi], TRAP_TRACE

CASE guests_context, "7.8.2 7.7.3 7.4.1", "The handler of that SIGTRAP sees vmspace_ctl return: rip, RAX 0, CF and T clear"
    HANDLE_TRAP record
    GUEST "syscall"
    GIVE RFLAGS, PSL_USER + PSL_T + PSL_C
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
after_ctl:
    OK
    EQUAL [TAKEN_MC + MC_RIP], after_ctl
    EQUAL [TAKEN_MC + MC_RAX], 0
    EQUAL [TAKEN_MC + MC_RDX], frame
    EQUAL [TAKEN_MC + MC_RCX], tls
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C + PSL_T, 0

CASE guests_trapno, "7.8.2", "The context of that SIGTRAP has mc_trapno 0x81"
    HANDLE_TRAP record
    GUEST "syscall"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    EQUAL [TAKEN_MC + MC_TRAPNO], T_FAST_SYSCALL

CASE guests_masked, "7.8.2", "A masked SIGTRAP waits; the guest comes back the same"
    HANDLE_TRAP record
    MASK SIG_BLOCK, SIGTRAP
    GUEST "syscall"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    EQUAL [taken], 0
    SYSCALL SYS_sigpending, pending
    EQUAL [pending], 1 << (SIGTRAP - 1)
    MASK SIG_UNBLOCK, SIGTRAP
    EQUAL [taken], 1

CASE guests_ignored, "7.8.2", "An ignored SIGTRAP is forgotten"
    FORGET_SIGNALS
    HANDLE SIGTRAP, SIG_IGN
    GUEST "syscall"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    SYSCALL SYS_sigpending, pending
    EQUAL [pending], 0

CASE guests_next, "7.8.2 7.8.1", "Entered as it came back, with T, the guest is stepped behind the SYSCALL"
    HANDLE_TRAP record
    GUEST "syscall; nop; nop"
    ENTER CODE, PSL_USER + PSL_T
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    AGAIN
    EXPECT T_TRCTRAP, CODE + 3
    WANT RFLAGS, PSL_USER
    RUN
    EQUAL [taken], 1

CASE guests_plain, "7.8.2", "A guest's SYSCALL without T brings no SIGTRAP"
    HANDLE_TRAP record
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    EQUAL [taken], 0

# ---- vmspace_ctl itself

CASE ctl, "7.8.3 7.7.2", "vmspace_ctl stepped: trapno 0 at once, not one instruction of the guest executed"
    HANDLE_TRAP stops
    GUEST "inc eax; mov [rdi], eax; syscall"
    GIVE RDI, DATA
    mov dword ptr [RAM + IMG_DATA], 0
    STEPPED SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    OK
    EQUAL rax, 0
    EQUAL [frame + TF_TRAPNO], 0
    EQUAL [frame + TF_RIP], CODE
    mov rax, [wanted + TF_RAX]
    EQUAL [frame + TF_RAX], rax
    EQUAL [RAM + IMG_DATA], 0

# What the frame held is what comes back, the words that are ignored on the way in among them.
CASE ctl_frame, "7.8.3 7.7.2 7.3.2", "vmspace_ctl stepped: the frame comes back as it was but for trapno, and sanitised"
    HANDLE_TRAP stops
    GUEST "syscall"
    ENTER CODE, -1
    WANT_BITS RFLAGS, ~(PSL_RF + PSL_VM), (RFLAGS_SANITISE | RFLAGS_USER) & ~(PSL_T + PSL_RF + PSL_VM)
    WANT TRAPNO, 0
    STEPPED SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    OK
    call conform_compare

CASE ctl_trap, "7.8.3", "vmspace_ctl stepped: SIGTRAP behind it, with T still in the virtual kernel's flags"
    HANDLE_TRAP stops
    GUEST "syscall"
    STEPPED SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
after_stepped:
    OK
    EQUAL [taken], 1
    EQUAL [taken_rsi], TRAP_TRACE
    EQUAL [TAKEN_MC + MC_RIP], after_stepped
    EQUAL [TAKEN_MC + MC_RAX], 0
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C + PSL_T, PSL_T

CASE ctl_goes_on, "7.8.3 3.4.2", "Behind a stepped vmspace_ctl the next instruction is stepped too: T stays set"
    HANDLE_TRAP record
    GUEST "syscall"
    STEPPED SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    nop
after_nop:
    OK
    EQUAL [taken], 2
    EQUAL [TAKEN_MC + MC_RIP], after_nop
    EQUAL [TAKEN_MC + MC_TRAPNO], T_TRCTRAP

CASE ctl_refused, "7.8.3 1.5.1", "A vmspace_ctl that is refused is stepped as any other call"
    HANDLE_TRAP record
    GUEST "syscall"
    STEPPED SYS_vmspace_ctl, NOBODY, VMSPACE_CTL_RUN, frame, tls
after_refused:
    REFUSED ERRNO_ENOENT
    EQUAL [taken], 1
    EQUAL [TAKEN_MC + MC_RIP], after_refused
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C + PSL_T, PSL_C

CASE ctl_released, "7.8.3 6.4.1", "After a stepped vmspace_ctl nobody is in the vmspace"
    HANDLE_TRAP stops
    SYSCALL SYS_vmspace_create, NOBODY
    OK
    STEPPED SYS_vmspace_ctl, NOBODY, VMSPACE_CTL_RUN, frame, tls
    OK
    SYSCALL SYS_vmspace_destroy, NOBODY
    OK

# ---- others

CASE own_call, "1.5.1 7.8.2", "A system call with T: its result, one SIGTRAP behind it, T clear"
    HANDLE_TRAP record
    SYSCALL SYS_getpid
    mov r13, rax
    STEPPED SYS_getpid
after_getpid:
    OK
    EQUAL rax, r13
    EQUAL [taken], 1
    EQUAL [taken_rsi], TRAP_TRACE
    EQUAL [TAKEN_MC + MC_RIP], after_getpid
    EQUAL [TAKEN_MC + MC_RAX], r13
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C + PSL_T, 0

CASE own_refused, "1.5.1", "A system call with T that fails: errno and CF are in the context"
    HANDLE_TRAP record
    STEPPED SYS_close, -1
    REFUSED ERRNO_EBADF
    EQUAL [taken], 1
    EQUAL [TAKEN_MC + MC_RAX], ERRNO_EBADF
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C + PSL_T, PSL_C

CASE own_sleep, "1.5.1", "A system call with T that sleeps is stepped when it is over"
    HANDLE_TRAP record
    STEPPED SYS_nanosleep, a_millisecond, 0
    OK
    EQUAL [taken], 1

CASE no_stray, "1.5.1", "No second trap comes behind a system call with T"
    HANDLE_TRAP record
    STEPPED SYS_getpid
    nop
    nop
    EQUAL [taken], 1

# The handler sets T again and again: every instruction is a step, and so is the system call.
CASE walk, "1.5.1 3.4.2", "NOP, SYSCALL, NOP, NOP with T set again each time are four traps"
    HANDLE_TRAP goes_on
    mov eax, SYS_getpid
    pushfq
    or qword ptr [rsp], PSL_T
    popfq
first:
    nop
second:
    syscall
third:
    nop
fourth:
    nop
last:
    nop
    EQUAL [taken], 4
    EQUAL [rips], second
    EQUAL [rips + 8], third
    EQUAL [rips + 16], fourth
    EQUAL [rips + 24], last

    FINISH

stops:                                  # SIGTRAP, and no more
    RECORD
    and qword ptr [rdx + UC_MCONTEXT + MC_RFLAGS], ~PSL_T
    ret

goes_on:
    RECORD
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    mov rcx, [taken]
    mov [rips - 8 + 8*rcx], rax
    cmp rcx, 4
    je .Lenough
    or qword ptr [rdx + UC_MCONTEXT + MC_RFLAGS], PSL_T
.Lenough:
    ret

    .balign 8
pending:
    .quad 0, 0
rips:
    .space 8*8
