# What a handler is told, and where.

.include "../recorder.inc"

TRAMPOLINE = USER_MAX - 32 - 32         # below ps_strings
AFTER_CALL = TRAMPOLINE + 3             # behind its call [rsp]

# INTERRUPTED signal, flags: the signal is sent to this process, and recorded.
.macro INTERRUPTED signal, flags=0
    FORGET_SIGNALS
    HANDLE \signal, record, \flags
    RAISE \signal
    EQUAL [taken], 1
.endm

# FAULTS flags, address: SIGSEGV comes of a read there, and is recorded.
.macro FAULTS flags, address
    FORGET_SIGNALS
    HANDLE SIGSEGV, recovers, \flags
    mov r15, \address
.Lfault\@:
    mov al, [r15]
    EQUAL [taken], 1
    EQUAL [TAKEN_MC + MC_RIP], .Lfault\@
.endm

    .irp below, 0, 8, 16, 40
CASE place_\below, "7.9.1 4.6.1", "The frame lies on a multiple of 16, below the red zone of 128 bytes: rsp - \below"
    sub rsp, \below
    INTERRUPTED SIGUSR1
    mov rcx, rsp
    add rsp, \below
    lea rax, [rcx - 128 - SF_SIZE]
    and rax, ~15
    mov rdx, [taken_rsp]
    add rdx, 8
    EQUAL rdx, rax
    EQUAL [TAKEN_MC + MC_RSP], rcx
    .endr

CASE red_zone, "7.9.1", "The red zone is as it was"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    SYSCALL SYS_getpid
    mov rdx, rax
    mov rcx, -1
    mov eax, 0
.Lfill:
    mov [rsp + 8*rcx], rcx
    dec rcx
    cmp rcx, -16
    jge .Lfill
    mov rdi, rdx
    mov esi, SIGUSR1
    mov eax, SYS_kill
    syscall
    mov rcx, -1
.Lcompare_zone:
    EQUAL [rsp + 8*rcx], rcx
    dec rcx
    cmp rcx, -15
    jge .Lcompare_zone
    EQUAL [taken], 1

CASE parts, "4.6.1 7.9.2", "The frame is handler, ucontext, siginfo; rdx is the ucontext"
    INTERRUPTED SIGUSR1, SA_SIGINFO
    EQUAL [taken_frame + SF_HANDLER], record
    mov rax, [taken_rsp]
    add rax, 8 + SF_UC
    EQUAL [taken_rdx], rax
    mov rax, [taken_rsp]
    add rax, 8 + SF_SI
    EQUAL [taken_rsi], rax

CASE sizes, "9.9 4.6.1", "The version's sizes of mcontext and frame"
    INTERRUPTED SIGUSR1
    mov eax, [TAKEN_MC + MC_LEN]
    .ifdef VPTE_RW
    EQUAL rax, 1280
    EQUAL SF_SIZE, 1600
    .else
    EQUAL rax, 808
    EQUAL SF_SIZE, 976
    .endif

CASE trampoline, "7.9.2", "The handler is called from below ps_strings"
    FORGET_SIGNALS
    HANDLE SIGUSR1, keeps_return
    RAISE SIGUSR1
    mov rax, AFTER_CALL
    EQUAL [return_address], rax

CASE number, "7.9.2", "rdi is the signal's number"
    INTERRUPTED SIGUSR2
    EQUAL [taken_rdi], SIGUSR2

CASE code, "7.9.2", "Without SA_SIGINFO rsi is the code: 0 if it was sent"
    INTERRUPTED SIGUSR1
    EQUAL [taken_rsi], 0

CASE code_of_fault, "7.9.2", "Without SA_SIGINFO rsi is the code of a fault"
    FAULTS 0, 0x123456
    EQUAL [taken_rsi], SEGV_MAPERR

CASE address, "7.9.2", "rcx is the address of a fault"
    FAULTS 0, 0x123456
    EQUAL [taken_rcx], 0x123456

CASE siginfo, "4.7.1 7.9.2", "With SA_SIGINFO the siginfo has number, code and address"
    FAULTS SA_SIGINFO, 0x123457
    mov eax, [TAKEN_SI + SI_SIGNO]
    EQUAL rax, SIGSEGV
    mov eax, [TAKEN_SI + SI_CODE]
    EQUAL rax, SEGV_MAPERR
    EQUAL [TAKEN_SI + SI_ADDR], 0x123457
    EQUAL [taken_rcx], 0x123457

CASE siginfo_rest, "4.7.1", "All else in the siginfo of a fault is 0"
    FAULTS SA_SIGINFO, 0x123457
    mov eax, [TAKEN_SI + SI_ERRNO]
    EQUAL rax, 0
    EQUAL [TAKEN_SI + SI_PID], 0        # and status is beside uid
    mov eax, [TAKEN_SI + SI_STATUS]
    EQUAL rax, 0
    EQUAL [TAKEN_SI + SI_VALUE], 0
    EQUAL [TAKEN_SI + SI_BAND], 0
    mov rsi, TAKEN_SI + SI_BAND
    mov ecx, (SI_SIZE - SI_BAND)/8
    xor eax, eax
.Lsum:
    or rax, [rsi]
    add rsi, 8
    dec ecx
    jnz .Lsum
    EQUAL rax, 0

CASE siginfo_sent, "4.7.1", "The siginfo of a signal that was sent has code 0, and does not tell the sender"
    INTERRUPTED SIGUSR1, SA_SIGINFO
    mov eax, [TAKEN_SI + SI_SIGNO]
    EQUAL rax, SIGUSR1
    mov eax, [TAKEN_SI + SI_CODE]
    EQUAL rax, 0
    EQUAL [TAKEN_SI + SI_PID], 0

CASE no_siginfo, "4.7.1", "Without SA_SIGINFO the siginfo in the frame is 0"
    INTERRUPTED SIGUSR1
    EQUAL [TAKEN_SI + SI_SIGNO], 0
    EQUAL [TAKEN_SI + SI_CODE], 0
    EQUAL [TAKEN_SI + SI_ADDR], 0

CASE flags, "7.9.3", "T and D are clear in the handler, and set in its context"
    FORGET_SIGNALS
    HANDLE SIGSEGV, recovers
    HANDLE SIGTRAP, keeps_return        # of the step, once the read was possible
    mov r15d, 0x123456
    pushfq
    or qword ptr [rsp], PSL_T + PSL_D
    popfq
    mov al, [r15]
    cld
    EQUAL [taken], 1
    BITS [taken_flags], PSL_T + PSL_D, 0
    BITS [TAKEN_MC + MC_RFLAGS], PSL_T + PSL_D, PSL_T + PSL_D

CASE other_flags, "7.9.3", "The other flags are in the handler as they were"
    FORGET_SIGNALS
    HANDLE SIGSEGV, recovers
    mov r15d, 0x123456
    pushfq
    or qword ptr [rsp], PSL_C + PSL_V + PSL_ID
    popfq
    mov al, [r15]
    BITS [taken_flags], PSL_C + PSL_V + PSL_ID, PSL_C + PSL_V + PSL_ID

CASE registers, "7.9.2 7.9.6", "All registers but rdi, rsi, rdx, rcx and rsp are in the handler as they were"
    FORGET_SIGNALS
    HANDLE SIGSEGV, keeps_registers
    .irp register, rax, rbx, rbp, r8, r9, r10, r11, r12, r13, r14
    mov \register, kept_\register       # something of its own
    .endr
    mov r15d, 0x123456
    mov dl, [r15]
    .irp register, rax, rbx, rbp, r8, r9, r10, r11, r12, r13, r14
    EQUAL [kept_\register], kept_\register
    .endr

CASE context, "4.4.1 4.5.1 7.9.2", "The context has the words of the trap: trapno, addr, err, rip, cs, ss"
    FAULTS SA_SIGINFO, 0x123458
    EQUAL [TAKEN_MC + MC_TRAPNO], T_PAGEFLT
    EQUAL [TAKEN_MC + MC_ADDR], 0x123458
    EQUAL [TAKEN_MC + MC_ERR], PGEX_U
    EQUAL [TAKEN_MC + MC_XFLAGS], 0
    EQUAL [TAKEN_MC + MC_CS], USER_CS
    EQUAL [TAKEN_MC + MC_SS], USER_SS
    EQUAL [TAKEN_MC + MC_R15], 0x123458

CASE context_call, "4.4.1 7.9.2 1.3.1", "The context of a system call: rip behind it, RAX, CF, trapno 0x81, err 2"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    SYSCALL SYS_getpid
    mov ebx, 0xb0b0
    mov edx, 0xd0d0
    SYSCALL SYS_kill, rax, SIGUSR1, 0xd0d0
after_kill:
    OK
    EQUAL [TAKEN_MC + MC_RIP], after_kill
    EQUAL [TAKEN_MC + MC_RAX], 0
    EQUAL [TAKEN_MC + MC_RDX], 0xd0d0
    EQUAL [TAKEN_MC + MC_RBX], 0xb0b0
    EQUAL [TAKEN_MC + MC_RSP], rsp
    EQUAL [TAKEN_MC + MC_TRAPNO], T_FAST_SYSCALL
    EQUAL [TAKEN_MC + MC_ERR], 2
    BITS [TAKEN_MC + MC_RFLAGS], PSL_C, 0

CASE context_rest, "4.5.1 4.4.1", "mc_onstack and uc_link are 0, uc_stack says there is no alternate stack"
    INTERRUPTED SIGUSR1
    EQUAL [TAKEN_MC + MC_ONSTACK], 0
    EQUAL [TAKEN_UC + UC_LINK], 0
    mov eax, [TAKEN_UC + UC_STACK + SS_FLAGS]
    EQUAL rax, SS_DISABLE

CASE context_mask, "4.5.1 7.9.4", "uc_sigmask is the mask from before the signal"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    MASK SIG_BLOCK, SIGHUP
    RAISE SIGUSR1
    MASK SIG_UNBLOCK, SIGHUP
    EQUAL [TAKEN_UC + UC_SIGMASK], 1 << (SIGHUP - 1)
    EQUAL [TAKEN_UC + UC_SIGMASK + 8], 0

CASE no_room, "7.9.10", "A frame that cannot be written ends the process with SIGILL"
    FORGET_SIGNALS
    HANDLE SIGUSR1, record
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz no_room_parent
    SYSCALL SYS_getpid
    mov esp, 0x1000
    SYSCALL SYS_kill, rax, SIGUSR1
    SYSCALL SYS_exit, 0
no_room_parent:
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    mov eax, [status]
    and eax, 0x7f
    EQUAL rax, SIGILL

CASE no_room_caught, "7.9.10", "A frame that cannot be written ends the process even if SIGILL is caught"
    HANDLE SIGILL, record
    HANDLE SIGUSR1, record
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz caught_parent
    SYSCALL SYS_getpid
    mov esp, 0x1000
    SYSCALL SYS_kill, rax, SIGUSR1
    SYSCALL SYS_exit, 0
caught_parent:
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    mov eax, [status]
    and eax, 0x7f
    EQUAL rax, SIGILL

    FINISH

recovers:                               # what r15 points to can be read from now on
    RECORD
    mov rax, taken
    mov [rdx + UC_MCONTEXT + MC_R15], rax
    ret

keeps_return:
    mov rax, [rsp]
    mov [return_address], rax
    ret

keeps_registers:
    .irp register, rax, rbx, rbp, r8, r9, r10, r11, r12, r13, r14
    mov [kept_\register], \register
    .endr
    mov rax, taken
    mov [rdx + UC_MCONTEXT + MC_R15], rax
    ret

    .balign 8
return_address:
    .quad 0
status:
    .quad 0
    .irp register, rax, rbx, rbp, r8, r9, r10, r11, r12, r13, r14
kept_\register:
    .quad 0
    .endr
