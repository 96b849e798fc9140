# PGEX_FPFAULT in xflags: the guest's first FP instruction comes back as T_DNA.

.include "fp.inc"

    PLAIN_SPACE

# Each kind of FP instruction, at the first time.  rdi is where the guest may read and write.
.macro TRAPS name, title, code
CASE \name, "7.6.2 7.2.3 12.1", \title
    FRESH_FP
    GUEST \code
    GIVE RDI, DATA
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
.endm

    TRAPS x87, "FLDZ: T_DNA at the instruction, err, addr and xflags 0, no register changed", "fldz"
    TRAPS x87_load, "An x87 load from memory is T_DNA", "fld qword ptr [rdi]"
    TRAPS control, "FLDCW is T_DNA", "fldcw [rdi]"
    TRAPS status, "FNSTSW, which does not wait, is T_DNA", "fnstsw ax"
    TRAPS wait, "FWAIT is T_DNA", "fwait"
    TRAPS mmx, "An MMX instruction is T_DNA", "movq mm0, rax"
    TRAPS emms, "EMMS is T_DNA", "emms"
    TRAPS sse, "An SSE instruction is T_DNA", "xorps xmm0, xmm0"
    TRAPS sse_load, "An SSE load is T_DNA", "movdqu xmm0, [rdi]"
    TRAPS sse_store, "An SSE store is T_DNA", "movdqu [rdi], xmm0"
    TRAPS high, "An instruction of XMM8 to XMM15 is T_DNA", "movq rax, xmm15"
    TRAPS convert, "A conversion is T_DNA", "cvtsi2sd xmm0, rax"
    TRAPS mxcsr, "LDMXCSR is T_DNA", "ldmxcsr [rdi]"
    TRAPS fxsave, "FXSAVE is T_DNA", "fxsave [rdi]"
    TRAPS fxrstor, "FXRSTOR is T_DNA", "fxrstor [rdi]"

# And what is none.
.macro PASSES name, title, code, size
CASE \name, "7.6.2", \title
    GUEST \code
    GIVE RDI, DATA
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_FAST_SYSCALL, CODE + \size
    RUN
.endm

    PASSES fence, "A fence or PREFETCH is no FP instruction", "sfence; lfence; mfence; prefetchnta [rdi]; syscall", 14
    PASSES nontemporal, "MOVNTI is no FP instruction", "movnti [rdi], rax; syscall", 6

CASE only_the_first, "7.6.2", "What comes before the first FP instruction is executed"
    FRESH_FP
    GUEST "inc rcx; movq rax, xmm1; inc rdx"
    GIVE RCX, 7
    WANT RCX, 8
    EXPECT T_DNA, CODE + 3
    GIVE XFLAGS, PGEX_FPFAULT
    WANT XFLAGS, 0
    RUN

CASE and_then_on, "7.6.4 7.6.3", "RUN without it goes on with that instruction, which does not trap again"
    FRESH_FP
    mov eax, 50
    movq xmm1, rax
    GUEST "inc rcx; movq rax, xmm1; movq xmm2, rax; syscall"
    GIVE RCX, 7
    WANT RCX, 8
    EXPECT T_DNA, CODE + 3
    GIVE XFLAGS, PGEX_FPFAULT
    WANT XFLAGS, 0
    RUN
    AGAIN
    WANT RAX, 50
    EXPECT T_FAST_SYSCALL, CODE + 15
    RUN
    movq rax, xmm2
    EQUAL rax, 50

CASE asked_again, "7.6.2", "RUN with it once more: the same instruction traps once more"
    GUEST "movq rax, xmm1; syscall"
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
    AGAIN
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN

CASE live, "7.6.3", "After T_DNA the virtual kernel finds the registers as they were before RUN"
    fxrstor [fp_pattern]
    GUEST "xorps xmm0, xmm0"
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_pattern

CASE changed, "7.6.3", "What the virtual kernel then loads is what the guest has"
    FRESH_FP
    GUEST "fxsave [rdi]; syscall"
    GIVE RDI, DATA
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
    fxrstor [fp_other]
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    FRESH_FP
    SAME_FP RAM + IMG_DATA, fp_other

CASE unused, "7.6.4", "A request that the guest did not use is over with the next RUN"
    FRESH_FP
    GUEST "syscall; movq rax, xmm1; syscall"
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    mov eax, 51
    movq xmm1, rax
    AGAIN
    WANT RAX, 51
    EXPECT T_FAST_SYSCALL, CODE + 9
    RUN

CASE own_use, "7.6.5", "The virtual kernel itself uses the FP unit although it has asked, without a trap"
    fxrstor [fp_pattern]
    GUEST "syscall"
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_pattern

CASE never_asked, "7.6.4 7.3.4", "All other bits of xflags ask for nothing"
    FRESH_FP
    GUEST "xorps xmm0, xmm0; fldz; syscall"
    GIVE XFLAGS, ~PGEX_FPFAULT
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    FRESH_FP

CASE all_bits, "7.6.2 7.3.4", "With all bits set it is asked for"
    GUEST "xorps xmm0, xmm0"
    GIVE XFLAGS, -1
    EXPECT T_DNA, CODE
    RUN

CASE refused_request, "7.6.5 6.5.3", "A request of a RUN that is refused is none"
    FRESH_FP
    GUEST "xorps xmm0, xmm0; syscall"
    GIVE XFLAGS, PGEX_FPFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, 0
    REFUSED ERRNO_EFAULT
    xorps xmm0, xmm0
    GIVE XFLAGS, 0
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN

CASE stepped, "7.6.2 7.8.1", "With T set T_DNA comes instead of the step, and T stays"
    GUEST "xorps xmm0, xmm0"
    ENTER CODE, PSL_USER + PSL_T
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN

CASE before_page_fault, "7.6.2", "T_DNA comes before the page fault of the same instruction"
    GUEST "movdqu xmm0, [rdi]"
    GIVE RDI, 0x123456
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
    AGAIN
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=0x123456
    RUN

# A stepped vmspace_ctl: SIGTRAP waits when the guest is to begin.
CASE in_a_handler, "7.6.5 7.6.6", "The handler of a signal that ends the RUN uses the FP unit without a trap"
    FORGET_SIGNALS
    HANDLE SIGTRAP, uses_fp
    GUEST "xorps xmm0, xmm0"
    GIVE XFLAGS, PGEX_FPFAULT
    fxrstor [fp_pattern]
    mov rdi, SPACE
    mov rsi, VMSPACE_CTL_RUN
    mov rdx, frame
    mov r10, tls
    mov eax, SYS_vmspace_ctl
    pushfq
    or qword ptr [rsp], PSL_T
    popfq
    syscall
    fxsave [fp_found]
    FRESH_FP
    EQUAL [frame + TF_TRAPNO], 0
    SAME_FP fp_found, fp_pattern

    FINISH

uses_fp:
    RECORD
    fninit
    fldpi
    xorps xmm1, xmm1
    and qword ptr [rdx + UC_MCONTEXT + MC_RFLAGS], ~PSL_T
    ret
