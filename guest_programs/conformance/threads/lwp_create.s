# A new LWP has its creator's registers, but for rip, rsp and rdi, its TLS bases, signal mask and FP registers; it ends alone, and the last one ends the process.

.include "../threads.inc"

TLS_GS = 1
STACK_TOP = stack_end

CASE lwp_create, "2.1.3 2.1.4 4.8.3", "A new LWP has its creator's registers, but for rip, rsp and rdi, its TLS bases, signal ..."
    SYSCALL SYS_lwp_gettid
    EQUAL rax, 0

    # What it inherits.
    SYSCALL SYS_set_tls_area, TLS_GS, bases, 16
    OK
    SYSCALL SYS_sigprocmask, SIG_BLOCK, usr2, 0
    OK
    mov r12, 0x1212121212121212
    mov r15, 0x1515151515151515
    mov eax, 77
    movq xmm7, rax

    SYSCALL SYS_lwp_create, params
    OK
    EQUAL rax, 0
    WORD tid1, 1
    WORD tid2, 0xffffffff00000001   # an int each
    AWAIT done
    WORD seen_rdi, 0x600
    WORD seen_rsp, STACK_TOP - 8
    WORD STACK_TOP - 8, 0          # where a function finds its return address
    WORD seen_r12, r12
    WORD seen_r15, r15
    WORD seen_xmm7, 77
    WORD seen_gs, 0x6565
    WORD seen_mask, 1 << (SIGUSR2 - 1)
    WORD seen_tid, 1

    # Its own changes are its own.
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, seen_mask
    WORD seen_mask, 1 << (SIGUSR2 - 1)
    EQUAL gs:[0], 0x6565
    movq rax, xmm7
    EQUAL rax, 77

    # It has ended: its number is nobody's, and is not used again.
    SYSCALL SYS_lwp_kill, -1, 1, 0
    REFUSED ERRNO_ESRCH
    START second
    WORD lwp_tid, 2

    # Without a place for the number there is no LWP.
    mov qword ptr [tid1_at], 8
    SYSCALL SYS_lwp_create, params
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_lwp_create, 8
    REFUSED ERRNO_EFAULT

    # The first one ends; the last one's status, 0, is that of the process.
    SYSCALL SYS_extexit, EXTEXIT_LWP, 99, 0
    FINISH

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
    REFUSED ERRNO_ESRCH
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
bases:
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
