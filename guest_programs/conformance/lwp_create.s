# abi 2.1: a new LWP has its creator's registers, but for rip, rsp and rdi, its TLS bases, signal
# mask and FP registers; it ends alone, and the last one ends the process.

.include "lwp.inc"

TLS_GS = 1
STACK_TOP = stack_end

    SYSCALL SYS_lwp_gettid
    CHECK_EQ 1, rax, 0

    # What it inherits.
    SYSCALL SYS_set_tls_area, TLS_GS, tls, 16
    CHECK_OK 2
    SYSCALL SYS_sigprocmask, SIG_BLOCK, usr2, 0
    CHECK_OK 3
    mov r12, 0x1212121212121212
    mov r15, 0x1515151515151515
    mov eax, 77
    movq xmm7, rax

    SYSCALL SYS_lwp_create, params
    CHECK_OK 4
    CHECK_EQ 5, rax, 0
    CHECK_MEM 6, tid1, 1
    CHECK_MEM 7, tid2, 0xffffffff00000001   # an int each
    AWAIT done
    CHECK_MEM 8, seen_rdi, 0x600
    CHECK_MEM 9, seen_rsp, STACK_TOP - 8
    CHECK_MEM 10, STACK_TOP - 8, 0          # where a function finds its return address
    CHECK_MEM 11, seen_r12, r12
    CHECK_MEM 12, seen_r15, r15
    CHECK_MEM 13, seen_xmm7, 77
    CHECK_MEM 14, seen_gs, 0x6565
    CHECK_MEM 15, seen_mask, 1 << (SIGUSR2 - 1)
    CHECK_MEM 16, seen_tid, 1

    # Its own changes are its own.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, seen_mask
    CHECK_MEM 17, seen_mask, 1 << (SIGUSR2 - 1)
    CHECK_EQ 18, gs:[0], 0x6565
    movq rax, xmm7
    CHECK_EQ 19, rax, 77

    # It has ended: its number is nobody's, and is not used again.
    SYSCALL SYS_lwp_kill, -1, 1, 0
    CHECK_ERRNO 20, ERRNO_ESRCH
    START 21, second
    CHECK_MEM 22, lwp_tid, 2

    # Without a place for the number there is no LWP.
    mov qword ptr [tid1_at], 8
    SYSCALL SYS_lwp_create, params
    CHECK_ERRNO 23, ERRNO_EFAULT
    SYSCALL SYS_lwp_create, 8
    CHECK_ERRNO 24, ERRNO_EFAULT

    # The first one ends; the last one's status, 0, is that of the process.
    SYSCALL SYS_extexit, EXTEXIT_LWP, 99, 0
    DONE

first:
    mov [seen_rdi], rdi
    mov [seen_rsp], rsp
    mov [seen_r12], r12
    mov [seen_r15], r15
    movq [seen_xmm7], xmm7
    mov rax, gs:[0]
    mov [seen_gs], rax
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, seen_mask
    SYSCALL SYS_set_tls_area, TLS_GS, nothing, 16
    pxor xmm7, xmm7
    SYSCALL SYS_lwp_gettid
    mov [seen_tid], rax
    TELL done
    END_LWP

second:
    SYSCALL SYS_nanosleep, ms, 0
    SYSCALL SYS_lwp_kill, -1, 0, 0
    CHECK_ERRNO 30, ERRNO_ESRCH
    SYSCALL SYS_extexit, EXTEXIT_LWP, 0, 0

    .balign 8
params:
    .quad first, 0x600, STACK_TOP
tid1_at:
    .quad tid1, tid2
tid1:
    .quad 0
tid2:
    .quad -1
tls:
    .quad words, -1
words:
    .quad 0x6565
nothing:
    .quad 0, 0
usr2:
    .quad 1 << (SIGUSR2 - 1), 0
ms:
    .quad 0, 1000000
done:
    .quad 0
    .irp register, rdi, rsp, r12, r15, xmm7, gs, tid
seen_\register:
    .quad 0
    .endr
seen_mask:
    .quad 0, 0
    .balign 16
    .space LWP_STACK
stack_end:
