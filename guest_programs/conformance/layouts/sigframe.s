# What a signal handler is given, byte by byte: struct sigframe and what is in it.  The offsets here
# are the header's own.

.include "../threads.inc"

P = 0x0101010101010101

.if ABI == 2011
SIGFRAME = 976
ALIGNMENT = 16
UCONTEXT = 0x008                        # in sigframe
SIGINFO = 0x380
MCONTEXT = UCONTEXT + 0x010
LINK = UCONTEXT + 0x338
USTACK = UCONTEXT + 0x340
MCONTEXT_SIZE = 808
FPREGS = MCONTEXT + 0x0e8
.else
SIGFRAME = 1600
ALIGNMENT = 64
UCONTEXT = 0x040
SIGINFO = 0x5c0
MCONTEXT = UCONTEXT + 0x040
LINK = UCONTEXT + 0x540
USTACK = UCONTEXT + 0x548
MCONTEXT_SIZE = 1280
FPREGS = MCONTEXT + 0x100
.endif

# MC offset, value: a word of the mcontext.
.macro MC offset, value
    WORD copy + MCONTEXT + \offset, \value
.endm

    # A signal from a program with patterns in its registers, with a known stack pointer, a mask and
    # an FP state.  The handler copies what it finds.
    SYSCALL SYS_sigprocmask, SIG_SETMASK, mask, 0
    OK
    HANDLE SIGUSR1, handler, SA_SIGINFO
    SYSCALL SYS_getpid
    mov [pid], rax
    fninit
    mov word ptr [scratch], 0x0f7f
    fldcw [scratch]
    mov dword ptr [scratch], 0x5f80
    ldmxcsr [scratch]
    mov rax, P*0x33
    movq xmm3, rax
    fld1
    .irp n, 8, 9, 10, 12, 13, 14, 15
    mov r\n, P*\n
    .endr
    mov rbx, P*3
    mov rbp, P*5
    mov rdx, P*2
    mov [ours], rsp
    and rsp, -64
    mov [interrupted], rsp
    mov edi, [pid]
    mov esi, SIGUSR1
    mov eax, SYS_kill
    syscall
behind:
    mov rsp, [ours]

CASE arguments, "4.6.1", "The handler gets siginfo and ucontext by their addresses in the sigframe"
    EQUAL [seen_rdi], SIGUSR1
    mov rax, [seen_frame]
    lea rcx, [rax + SIGINFO]
    EQUAL [seen_rsi], rcx
    lea rcx, [rax + UCONTEXT]
    EQUAL [seen_rdx], rcx

CASE size, "4.6.1 9.9", "The sigframe has its version's size and alignment, and lies below the red zone"
    mov rax, [interrupted]
    sub rax, 128
    sub rax, [seen_frame]
    EQUAL rax, SIGFRAME
    mov rax, [seen_frame]
    and eax, ALIGNMENT - 1
    EQUAL rax, 0

CASE handler_word, "4.6.1", "The sigframe begins with the handler's address"
    WORD copy, handler

CASE signal_mask, "4.5.1", "The ucontext begins with the mask that was: 16 bytes"
    WORD copy + UCONTEXT, 0x1122334400000000
    WORD copy + UCONTEXT + 8, 0x5566778899aabbcc

CASE onstack, "4.4.1", "The mcontext begins with the stack flag: 0 on the program's own stack"
    MC 0x00, 0

    # The frame's words, all but the stale ones.
    .macro REGISTER register, offset, value
CASE word_of_\register, "4.4.1", "The word of the mcontext at \offset is that of \register"
    MC \offset, \value
    .endm
    REGISTER rdi, 0x08, [pid]
    REGISTER rsi, 0x10, SIGUSR1
    REGISTER rdx, 0x18, P*2
    REGISTER rcx, 0x20, P*10            # the fourth argument
    REGISTER r8, 0x28, P*8
    REGISTER r9, 0x30, P*9
    REGISTER rax, 0x38, 0               # the result
    REGISTER rbx, 0x40, P*3
    REGISTER rbp, 0x48, P*5
    REGISTER r12, 0x60, P*12
    REGISTER r13, 0x68, P*13
    REGISTER r14, 0x70, P*14
    REGISTER r15, 0x78, P*15
    REGISTER xflags, 0x80, 0
    REGISTER trapno, 0x88, 0x81
    REGISTER err, 0xa0, 2
    REGISTER rip, 0xa8, behind
    REGISTER cs, 0xb0, 0x2b
    REGISTER rsp, 0xc0, [interrupted]
    REGISTER ss, 0xc8, 0x23

CASE word_of_rflags, "4.4.1", "The word of the mcontext at 0xb8 is that of rflags"
    BITS [copy + MCONTEXT + 0xb8], ~(PSL_PF + PSL_AF + PSL_Z + PSL_N + PSL_V), 0x202

CASE length, "4.4.1 9.9", "mc_len, an int at 0xd0, is the version's size of the mcontext"
    WORD32 copy + MCONTEXT + 0xd0, MCONTEXT_SIZE

CASE fpformat, "4.4.2", "mc_fpformat, an int at 0xd4, says XMM, or YMM in later versions"
    mov eax, [copy + MCONTEXT + 0xd4]
    .if ABI != 2011
    cmp eax, 0x10003
    jne not_ymm
    dec eax
not_ymm:
    .endif
    EQUAL rax, 0x10002

CASE ownedfp, "4.4.2", "mc_ownedfp, an int at 0xd8, says that the state of the FP unit was saved"
    mov eax, [copy + MCONTEXT + 0xd8]
    cmp eax, 0x20002                    # it had been taken away already
    jne owned
    dec eax
owned:
    EQUAL rax, 0x20001

CASE fpregs_controls, "4.4.3", "mc_fpregs is an FXSAVE image: control word at 0, MXCSR at 24"
    WORD16 copy + FPREGS, 0x0f7f
    WORD32 copy + FPREGS + 24, 0x5f80

CASE fpregs_x87, "4.4.3", "mc_fpregs is an FXSAVE image: the x87 stack from 32 on"
    WORD copy + FPREGS + 32, 0x8000000000000000
    WORD16 copy + FPREGS + 40, 0x3fff

CASE fpregs_xmm, "4.4.3", "mc_fpregs is an FXSAVE image: XMM0 to XMM15 from 160 on"
    WORD copy + FPREGS + 160 + 3*16, P*0x33

CASE link, "4.5.1", "uc_link is behind the mcontext, and 0"
    WORD copy + LINK, 0

CASE stack, "4.5.1", "uc_stack follows: disabled, as there is no alternate stack"
    WORD32 copy + USTACK + 16, SS_DISABLE

CASE spare_words, "4.5.1", "The spare words of the ucontext are 0"
    .irp offset, 24, 32, 40, 48
    WORD copy + USTACK + \offset, 0
    .endr

CASE siginfo_signo, "4.7.1", "si_signo is the int at 0"
    WORD32 copy + SIGINFO, SIGUSR1

CASE siginfo_code, "4.7.1", "si_code is the int at 8, and 0 for a signal that was sent"
    WORD32 copy + SIGINFO + 8, 0

    .irp offset, 4, 12, 16, 20, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72
CASE siginfo_\offset, "4.7.1", "The int of siginfo at \offset is 0"
    WORD32 copy + SIGINFO + \offset, 0
    .endr

CASE fault, "4.7.1 4.4.1", "Of a page fault si_addr at 24, mc_addr at 0x90 and mc_err at 0xa0 tell"
    HANDLE SIGSEGV, handler, SA_SIGINFO
    mov rbx, 0x654321
    mov al, [rbx]
    WORD32 copy + SIGINFO, SIGSEGV
    WORD32 copy + SIGINFO + 8, SEGV_MAPERR
    WORD copy + SIGINFO + 24, 0x654321
    MC 0x90, 0x654321
    MC 0xa0, 4
    MC 0x88, 12

CASE alternate_stack, "4.5.1 4.8.2", "uc_stack tells of an alternate stack: base, size, flags"
    SYSCALL SYS_sigaltstack, alternate, 0
    OK
    SYSCALL SYS_kill, [pid], SIGUSR1
    OK
    WORD copy + USTACK, lwp_stacks
    WORD copy + USTACK + 8, LWP_STACK
    WORD32 copy + USTACK + 16, 0
    SYSCALL SYS_sigaltstack, none, 0
    OK

    FINISH

handler:
    lea rax, [rsp + 8]                  # above the address of the trampoline
    mov [seen_frame], rax
    mov [seen_rdi], rdi
    mov [seen_rsi], rsi
    mov [seen_rdx], rdx
    mov rsi, rax
    mov rdi, copy
    mov ecx, SIGFRAME/8
    rep movsq
    mov rcx, copy                       # rbx, where a fault was, can be read from now on
    mov [rdx - UCONTEXT + MCONTEXT + 0x40], rcx
    ret

    .balign 8
mask:
    .quad 0x1122334400000000, 0x5566778899aabbcc
alternate:
    .quad lwp_stacks, LWP_STACK, 0
none:
    .quad 0, 0, SS_DISABLE
pid:
    .quad 0
ours:
    .quad 0
interrupted:
    .quad 0
scratch:
    .quad 0
    .irp what, frame, rdi, rsi, rdx
seen_\what:
    .quad 0
    .endr
copy:
    .zero SIGFRAME
