# The FP state and signals: a handler has a fresh one, and sigreturn brings the old one back.

.include "fp.inc"

TAKEN_FP = TAKEN_MC + MC_FPREGS

    PLAIN_SPACE

# INTERRUPTED: the pattern is loaded while SIGUSR1 comes; what is there afterwards is in fp_found.
.macro INTERRUPTED handler
    FORGET_SIGNALS
    HANDLE SIGUSR1, \handler
    fxrstor [fp_pattern]
    RAISE SIGUSR1
    fxsave [fp_found]
    FRESH_FP
    EQUAL [taken], 1
.endm

CASE fresh, "7.6.6", "A handler begins with control word 0x127F, MXCSR 0x1F80 and nothing in the registers"
    INTERRUPTED looks
    SAME_FP fp_handlers, fp_fresh

CASE back, "7.6.6 7.9.6", "After the handler, which has used them all, everything is as it was"
    INTERRUPTED spoils
    SAME_FP fp_found, fp_pattern

CASE untouched, "7.6.6 7.9.6", "After a handler that does not use the FP unit everything is as it was"
    INTERRUPTED record
    SAME_FP fp_found, fp_pattern

CASE image, "7.6.6 4.4.3", "mc_fpregs is the FXSAVE image of the interrupted state"
    INTERRUPTED record
    SAME_FP TAKEN_FP, fp_pattern

CASE format, "4.4.2", "mc_fpformat says XMM, and mc_ownedfp that the FP unit was in use"
    INTERRUPTED record
    mov eax, [TAKEN_MC + MC_FPFORMAT]
    EQUAL rax, MC_FPFMT_XMM
    mov eax, [TAKEN_MC + MC_OWNEDFP]
    cmp eax, MC_FPOWNED_PCB             # whether it is in the unit or saved is the kernel's affair
    je owned
    EQUAL rax, MC_FPOWNED_FPU
owned:

CASE aligned, "4.4.3", "mc_fpregs lies on a multiple of 16, so that FXRSTOR can load it"
    INTERRUPTED record
    mov rax, [taken_rdx]
    lea rax, [rax + UC_MCONTEXT + MC_FPREGS]
    BITS rax, 15, 0

CASE other_image, "7.6.6 7.9.6", "An image that the handler has changed is loaded by sigreturn"
    INTERRUPTED changes
    SAME_FP fp_found, fp_other

CASE none_owned, "7.9.6 4.4.2", "mc_ownedfp NONE: the program goes on with a fresh state"
    INTERRUPTED disowns
    SAME_FP fp_found, fp_fresh

CASE nested, "7.6.6", "The handler's own state is back after a handler that interrupts it"
    FORGET_SIGNALS
    HANDLE SIGUSR1, interrupted_itself
    HANDLE SIGUSR2, spoils
    fxrstor [fp_pattern]
    RAISE SIGUSR1
    fxsave [fp_found]
    FRESH_FP
    EQUAL [taken], 2
    SAME_FP fp_found, fp_pattern
    SAME_FP fp_handlers, fp_other

CASE wrong_mxcsr, "7.6.8", "MXCSR bits that do not exist are left out by sigreturn, and bring SIGFPE"
    HANDLE SIGFPE, counts
    mov qword ptr [fpes], 0
    INTERRUPTED wrong
    EQUAL [fpes], 1
    EQUAL [fpe_signal], SIGFPE
    EQUAL [fpe_code], 0
    mov eax, [fp_found + FX_MXCSR]
    EQUAL rax, MXCSR_DEFAULT

CASE right_mxcsr, "7.6.8", "All bits of 0xFFBF exist"
    HANDLE SIGFPE, counts
    mov qword ptr [fpes], 0
    INTERRUPTED right
    EQUAL [fpes], 0
    mov eax, [fp_found + FX_MXCSR]
    EQUAL rax, 0xffbf

CASE guests, "7.6.6 7.7.1", "The state that a guest was interrupted with survives the virtual kernel's handler"
    FORGET_SIGNALS
    HANDLE SIGUSR1, spoils
    mov qword ptr [RAM + IMG_DATA], 0
    GUEST "inc qword ptr [rdi]; jmp .-3"
    GIVE RDI, DATA
    EXPECT 0, CODE
    ANY RIP
    ANY RFLAGS
    START sender
    fxrstor [fp_pattern]
    RUN
    fxsave [fp_found]
    FRESH_FP
    EQUAL [taken], 1
    SAME_FP TAKEN_FP, fp_pattern
    SAME_FP fp_found, fp_pattern

    FINISH

sender:                                 # once the guest runs
    PAUSE
    cmp qword ptr [RAM + IMG_DATA], 0
    je sender
    SYSCALL SYS_lwp_kill, -1, 0, SIGUSR1
    END_LWP

looks:
    fxsave [fp_handlers]
    RECORD
    ret

spoils:
    fxrstor [fp_other]
    RECORD
    ret

changes:
    RECORD
    lea rdi, [rdx + UC_MCONTEXT + MC_FPREGS]
    mov rsi, fp_other
    mov ecx, FX_SIZE/8
    rep movsq
    ret

disowns:
    RECORD
    fxrstor [fp_other]
    mov dword ptr [rdx + UC_MCONTEXT + MC_OWNEDFP], MC_FPOWNED_NONE
    ret

interrupted_itself:
    RECORD
    fxrstor [fp_other]
    RAISE SIGUSR2
    fxsave [fp_handlers]
    ret

wrong:
    RECORD
    mov dword ptr [rdx + UC_MCONTEXT + MC_FPREGS + FX_MXCSR], MXCSR_DEFAULT | 0x00ff0040
    ret

right:
    RECORD
    mov dword ptr [rdx + UC_MCONTEXT + MC_FPREGS + FX_MXCSR], 0xffbf
    ret

counts:
    inc qword ptr [fpes]
    mov [fpe_signal], rdi
    mov [fpe_code], rsi
    ret

    .balign 16
fp_handlers:
    .space FX_SIZE
fpes:
    .quad 0
fpe_signal:
    .quad 0
fpe_code:
    .quad 0
