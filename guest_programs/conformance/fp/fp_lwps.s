# Each LWP has an FP state of its own, which it shares with the guest it runs, and its own wish for
# T_DNA.

.include "fp.inc"

    PLAIN_SPACE

# The other LWP's guest counts in xmm1 from 1000000 on until our signal; meanwhile ours runs again
# and again.
CASE apart, "7.6.1 6.5.6", "The FP states of two LWPs and their guests do not meet"
    FRESH_FP
    FORGET_SIGNALS
    HANDLE SIGUSR1, uses_fp
    mov dword ptr [RAM + IMG_DATA], 0
    GUEST "movq rax, xmm1; syscall; .byte 0x0f, 0x1f, 0x00; mov [rdi], edi; lea rax, [rip]; paddq xmm1, xmm2; jmp rax"
    START other
started:                                # until its guest runs
    PAUSE
    cmp dword ptr [RAM + IMG_DATA], 0
    je started
    mov eax, 7
    movq xmm1, rax
    mov r15d, 3
again:
    PAUSE
    ENTER CODE
    WANT RAX, 7
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    ENTER CODE                          # ours alone asks
    GIVE XFLAGS, PGEX_FPFAULT
    EXPECT T_DNA, CODE
    RUN
    PAUSE
    movq rax, xmm1
    EQUAL rax, 7
    dec r15d
    jnz again
    mov eax, [lwp_tid]
    SYSCALL SYS_lwp_kill, -1, rax, SIGUSR1
    OK
    AWAIT done
    EQUAL [other_frame + TF_TRAPNO], 0
    EQUAL [taken], 1
    mov rax, [other_xmm1]
    cmp rax, 1001000
    ja counted
    NEVER
counted:
    movq rax, xmm1
    EQUAL rax, 7

CASE inherited, "7.6.1 2.1.3", "A new LWP begins with its creator's FP state"
    fxrstor [fp_pattern]
    mov dword ptr [done], 0
    START heir
    AWAIT done
    FRESH_FP
    SAME_FP fp_found, fp_pattern

CASE not_the_wish, "7.6.2 7.6.4", "The wish of one LWP does not concern the guest of another"
    FRESH_FP
    mov dword ptr [done], 0
    mov qword ptr [RAM + IMG_DATA], 0
    GUEST "xorps xmm0, xmm0; syscall; .byte 0x0f, 0x1f, 0x00; mov [rdi], edi; cmp dword ptr [rdi + 4], 0; je .-6; xorps xmm0, xmm0"
    START asks
asked:                                  # until its guest waits
    PAUSE
    cmp dword ptr [RAM + IMG_DATA], 0
    je asked
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    mov dword ptr [RAM + IMG_DATA + 4], 1
    AWAIT done
    EQUAL [other_frame + TF_TRAPNO], T_DNA

    FINISH

other:
    mov eax, 1000000
    movq xmm1, rax
    mov eax, 1
    movq xmm2, rax
    mov qword ptr [other_frame + TF_RIP], CODE + 10
    mov qword ptr [other_frame + TF_RDI], DATA
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, other_frame, tls
    OK
    movq [other_xmm1], xmm1
    TELL done
    END_LWP

heir:
    fxsave [fp_found]
    TELL done
    END_LWP

asks:
    mov qword ptr [other_frame + TF_RIP], CODE + 8
    mov qword ptr [other_frame + TF_RDI], DATA
    mov qword ptr [other_frame + TF_XFLAGS], PGEX_FPFAULT
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, other_frame, tls
    OK
    TELL done
    END_LWP

uses_fp:                                # sigreturn undoes this
    RECORD
    movq xmm1, rsp
    fninit
    ret

    .balign 8
other_frame:
    .space TF_SIZE
done:
    .quad 0
other_xmm1:
    .quad 0
