# abi 7.6: each LWP has FP registers of its own, which it shares with the guest it runs, and its own
# wish for T_DNA.

.include "lwp.inc"
.include "space.inc"

    PLAIN_SPACE guest, guest_end
    HANDLE 1, SIGUSR1, handler

    # The other LWP's guest counts in xmm1 from 1000000 on.
    START 2, other
    SYSCALL SYS_nanosleep, ms, 0

    # Ours finds what we have left there, in spite of it.
    mov eax, 7
    movq xmm1, rax
    mov r15d, 3
again:
    SYSCALL SYS_nanosleep, ms, 0
    RUN 3, PLAIN + guest_call - guest
    CHECK_EQ 4, [frame + TF_TRAPNO], T_FAST_SYSCALL
    CHECK_EQ 5, [frame + TF_RAX], 7

    # Ours alone asked for the trap.
    mov qword ptr [frame + TF_XFLAGS], PGEX_FPFAULT
    RUN 6, PLAIN + guest_call - guest
    CHECK_TRAP 7, T_DNA
    SYSCALL SYS_nanosleep, ms, 0
    movq rax, xmm1
    CHECK_EQ 8, rax, 7
    dec r15d
    jnz again

    SYSCALL SYS_lwp_kill, -1, 1, SIGUSR1
    CHECK_OK 9
    AWAIT done
    CHECK_MEM 10, other_frame + TF_TRAPNO, 0
    mov rax, [other_xmm1]
    mov ebx, 11
    cmp rax, 1001000
    jb failed
    movq rax, xmm1
    CHECK_EQ 12, rax, 7
    DONE

other:
    mov eax, 1000000
    movq xmm1, rax
    mov eax, 1
    movq xmm2, rax
    mov qword ptr [other_frame + TF_RIP], PLAIN
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, other_frame, tls
    CHECK_OK 30
    movq [other_xmm1], xmm1
    TELL done
    END_LWP

handler:                                # sigreturn undoes this
    movq xmm1, rsp
    ret

guest:
    paddq xmm1, xmm2
    jmp guest
guest_call:
    movq rax, xmm1
    syscall
guest_end:

    .balign 8
other_frame:
    .space TF_SIZE
ms:
    .quad 0, 1000000
done:
    .quad 0
other_xmm1:
    .quad 0
