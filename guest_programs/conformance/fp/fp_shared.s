# There is one FP state for the virtual kernel and its guest.

.include "fp.inc"

OTHER_SPACE = 0x6000
FOUND = RAM + IMG_DATA                  # where the guest, at DATA, leaves what it has found
GIVEN = IMG_DATA + PAGE_SIZE            # where it takes what it loads

    PLAIN_SPACE

CASE first, "7.6.7", "A new program has control word 0x127F and MXCSR 0x1F80"
    fnstcw [fp_found]
    movzx eax, word ptr [fp_found]
    EQUAL rax, X87_DEFAULT
    stmxcsr [fp_found]
    mov eax, [fp_found]
    EQUAL rax, MXCSR_DEFAULT

CASE into_guest, "7.6.1", "Every x87 and XMM register, control words and status go into the guest as they are"
    fxrstor [fp_pattern]
    GUEST "fxsave [rdi]; syscall"
    GIVE RDI, DATA
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    FRESH_FP
    SAME_FP FOUND, fp_pattern

CASE out_of_guest, "7.6.1", "All of it comes back as the guest leaves it"
    mov rsi, fp_other
    mov rdi, RAM + GIVEN
    mov ecx, FX_SIZE/8
    rep movsq
    fxrstor [fp_pattern]
    GUEST "fxrstor [rdi]; syscall"
    GIVE RDI, CODE + GIVEN
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_other

CASE through_fault, "7.6.1", "A page fault of the guest's changes none of it"
    fxrstor [fp_pattern]
    GUEST "mov rax, [rax]"
    GIVE RAX, 0x123456
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=0x123456
    RUN
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_pattern

CASE arithmetic, "7.6.1", "The guest goes on calculating with what it is given"
    FRESH_FP
    mov eax, 40
    cvtsi2sd xmm3, rax
    fld1
    GUEST "mov eax, 2; cvtsi2sd xmm0, rax; addsd xmm3, xmm0; fadd st, st(0); syscall"
    WANT RAX, 2
    EXPECT T_FAST_SYSCALL, CODE + 18
    RUN
    cvttsd2si rax, xmm3
    EQUAL rax, 42
    fistp qword ptr [fp_found]
    EQUAL [fp_found], 2

CASE control_word, "7.6.1", "The guest's control word is the virtual kernel's afterwards"
    FRESH_FP
    mov word ptr [RAM + GIVEN], 0x0c7f
    GUEST "fldcw [rdi]; syscall"
    GIVE RDI, CODE + GIVEN
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN
    fnstcw [fp_found]
    FRESH_FP
    movzx eax, word ptr [fp_found]
    EQUAL rax, 0x0c7f

CASE mxcsr, "7.6.1", "The guest's MXCSR is the virtual kernel's afterwards"
    FRESH_FP
    mov dword ptr [RAM + GIVEN], MXCSR_DEFAULT + MXCSR_ROUND_DOWN
    GUEST "ldmxcsr [rdi]; syscall"
    GIVE RDI, CODE + GIVEN
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    stmxcsr [fp_found]
    FRESH_FP
    mov eax, [fp_found]
    EQUAL rax, MXCSR_DEFAULT + MXCSR_ROUND_DOWN

CASE rounding, "7.6.1", "The virtual kernel's MXCSR rounds in the guest"
    FRESH_FP
    mov dword ptr [fp_found], MXCSR_DEFAULT + MXCSR_ROUND_DOWN
    ldmxcsr [fp_found]
    mov rax, 0xbff8000000000000         # -1.5
    movq xmm2, rax
    GUEST "cvtsd2si rax, xmm2; syscall"
    WANT RAX, -2
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    FRESH_FP

CASE mmx, "7.6.1", "An MMX register is an x87 register there too"
    FRESH_FP
    mov rax, 0x123456789abcdef0
    movq mm5, rax
    GUEST "movq rax, mm5; emms; syscall"
    WANT RAX, 0x123456789abcdef0
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN
    fxsave [fp_found]
    movzx eax, byte ptr [fp_found + 4]
    EQUAL rax, 0                        # EMMS has emptied them all

CASE between_guests, "7.6.1", "What one guest leaves, the guest of another vmspace finds"
    FRESH_FP
    VMSPACE OTHER_SPACE
    GUEST "movq xmm9, rax; syscall; .byte 0x0f, 0x1f, 0x00; movq rax, xmm9; syscall"
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    AGAIN CODE + 10
    GIVE RAX, 0
    mov rax, 0x0707070707070707
    WANT RAX, rax
    EXPECT T_FAST_SYSCALL, CODE + 17
    RUN OTHER_SPACE

CASE refused, "7.6.1 6.5.3", "A RUN that is refused leaves the FP state alone"
    fxrstor [fp_pattern]
    GUEST "syscall"
    SYSCALL SYS_vmspace_ctl, 0x9999, VMSPACE_CTL_RUN, frame, tls
    REFUSED ERRNO_ENOENT
    GIVE XFLAGS, PGEX_FPFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, 0
    REFUSED ERRNO_EFAULT
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_pattern

CASE child, "7.6.1", "A child has its parent's FP state, and changes its own"
    fxrstor [fp_pattern]
    SYSCALL SYS_fork
    OK
    test rdx, rdx
    jz parent
    fxsave [fp_found]
    FRESH_FP
    SAME_FP fp_found, fp_pattern
    SYSCALL SYS_exit, 0
parent:
    SYSCALL SYS_wait4, rax, fp_found, 0, 0
    OK
    mov r15d, [fp_found]
    fxsave [fp_found]
    FRESH_FP
    EQUAL r15, 0
    SAME_FP fp_found, fp_pattern

    FINISH
