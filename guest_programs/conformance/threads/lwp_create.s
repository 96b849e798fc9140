# A new LWP, and its end.

.include "../signal.inc"

# CREATE function: a new LWP, on the same stack as the one before, which has ended.  `done` tells
# that it has done its work.
.macro CREATE function
    mov dword ptr [done], 0
    mov qword ptr [params], \function
    SYSCALL SYS_lwp_create, params
    OK
    EQUAL rax, 0
    AWAIT done
.endm

# A child that goes on at a label, and how it ends.
.macro CHILD label, how
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz \label
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    WORD32 status, \how
.endm

    SYSCALL SYS_set_tls_area, 0, fs_info, 16
    OK
    SYSCALL SYS_set_tls_area, 1, gs_info, 16
    OK

CASE first_tid, "2.1.14", "The first LWP has number 0"
    SYSCALL SYS_lwp_gettid
    OK
    EQUAL rax, 0

CASE numbers, "2.1.3 2.1.14", "LWPs are numbered from 1 on, and lwp_create stores the number in two ints"
    CHILD counts_lwps, 0

CASE registers, "2.1.3", "A new LWP has its creator's registers, but for rip, rsp and rdi"
    .irp n, 12, 13, 14, 15
    mov r\n, 0x1111111111111111*(\n - 10)
    .endr
    mov rbp, 0x5555
    mov rbx, 0x3333
    CREATE reports
    .irp n, 12, 13, 14, 15
    WORD seen_r\n, 0x1111111111111111*(\n - 10)
    .endr
    WORD seen_rbp, 0x5555
    WORD seen_rbx, 0x3333

CASE argument, "2.1.3 4.8.3", "RDI is the argument, all 64 bits"
    CREATE reports
    WORD seen_rdi, 0x600000006

CASE stack, "2.1.3 4.8.3", "RSP is 8 below the stack it was given, and a 0 is there"
    mov rax, stack_end
    mov qword ptr [rax - 8], -1
    CREATE reports
    mov rax, stack_end - 8
    WORD seen_rsp, rax
    WORD seen_return, 0

CASE no_result, "2.1.3", "RAX is its creator's too: it returns from no call"
    CREATE reports
    WORD seen_rax, SYS_lwp_create

CASE tls, "2.1.3", "The bases of FS and GS are its creator's"
    CREATE reports
    WORD seen_fs, 0xf5
    WORD seen_gs, 0x65

CASE tls_of_its_own, "2.1.3 2.1.15", "Bases that it sets are its own"
    CREATE changes
    EQUAL gs:[0], 0x65

CASE mask, "2.1.3", "The signal mask is its creator's, and its own"
    SYSCALL SYS_sigprocmask, SIG_SETMASK, usr2, 0
    OK
    CREATE changes
    WORD seen_mask, 1 << (SIGUSR2 - 1)
    SYSCALL SYS_sigprocmask, SIG_BLOCK, 0, seen_mask
    WORD seen_mask, 1 << (SIGUSR2 - 1)
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, 0
    OK

CASE fp, "2.1.3", "The FP and SSE registers are its creator's, and its own"
    mov eax, 77
    movq xmm7, rax
    CREATE changes
    WORD seen_xmm7, 77
    movq rax, xmm7
    EQUAL rax, 77

CASE ended, "2.1.4 2.1.5", "The number of an LWP that has ended is nobody's: ESRCH"
    CREATE reports
    call gone
    SYSCALL SYS_lwp_kill, -1, [tid1], 0
    REFUSED ERRNO_ESRCH

CASE no_parameters, "2.1.3", "Parameters that cannot be read are EFAULT"
    SYSCALL SYS_lwp_create, 8
    REFUSED ERRNO_EFAULT

CASE no_place, "2.1.3", "If the number cannot be stored there is no LWP: EFAULT"
    mov dword ptr [done], 0
    mov qword ptr [bad_params], reports
    SYSCALL SYS_lwp_create, bad_params
    REFUSED ERRNO_EFAULT
    PAUSE
    WORD32 done, 0

CASE without_places, "2.1.3", "The places for the number may be NULL"
    mov dword ptr [done], 0
    SYSCALL SYS_lwp_create, params_without_places
    OK
    AWAIT done

CASE process_goes_on, "2.1.4", "extexit of an LWP that is not the last one leaves the process"
    CHILD first_leaves, 5 << 8

CASE last_one, "2.1.4", "The last LWP's extexit is the end of the process, with its status"
    CHILD all_leave, 7 << 8

CASE whole_process, "2.1.4", "exit in one LWP ends all"
    CHILD second_exits, 9 << 8

CASE stores_status, "2.1.4", "extexit stores a status, an int, if it is asked to"
    mov qword ptr [stored], -1
    CREATE leaves_a_status
    call gone
    WORD stored, 0xffffffff00001234

CASE store_refused, "2.1.4", "A status that cannot be stored is EFAULT, and nothing ends"
    SYSCALL SYS_extexit, EXTEXIT_LWP + EXTEXIT_SETINT, 5, 8
    REFUSED ERRNO_EFAULT

CASE unknown_way, "2.1.4", "A way to end that does not exist is EINVAL"
    SYSCALL SYS_extexit, 2, 0, 0
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_extexit, 0x20000, 0, 0
    REFUSED ERRNO_EINVAL

    FINISH

# Wait until the LWP in tid1 has ended.
gone:
    SYSCALL SYS_lwp_kill, -1, [tid1], 0
    jc .Lgone
    PAUSE
    jmp gone
.Lgone:
    ret

reports:
    mov [seen_rdi], rdi
    mov [seen_rax], rax
    mov [seen_rsp], rsp
    mov [seen_rbp], rbp
    mov [seen_rbx], rbx
    .irp n, 12, 13, 14, 15
    mov [seen_r\n], r\n
    .endr
    mov rax, [rsp]
    mov [seen_return], rax
    mov rax, fs:[0]
    mov [seen_fs], rax
    mov rax, gs:[0]
    mov [seen_gs], rax
    TELL done
    END_LWP

changes:
    movq [seen_xmm7], xmm7
    pxor xmm7, xmm7
    SYSCALL SYS_sigprocmask, SIG_SETMASK, nothing, seen_mask
    SYSCALL SYS_set_tls_area, 1, nothing, 16
    TELL done
    END_LWP

leaves_a_status:
    TELL done
    SYSCALL SYS_extexit, EXTEXIT_LWP + EXTEXIT_SETINT, 0x1234, stored

counts_lwps:
    .irp number, 1, 2, 3
    mov rax, -1
    mov [tid1], rax
    mov [tid2], rax
    CREATE reports
    WORD tid1, \number | 0xffffffff00000000
    WORD tid2, \number | 0xffffffff00000000
    call gone
    .endr
    SYSCALL SYS_exit, 0

first_leaves:
    CREATE exits_with_5
    SYSCALL SYS_extexit, EXTEXIT_LWP, 3, 0

exits_with_5:
    TELL done
still_there:
    SYSCALL SYS_lwp_kill, -1, 0, 0
    jc first_is_gone
    PAUSE
    jmp still_there
first_is_gone:
    SYSCALL SYS_exit, 5

all_leave:
    CREATE leaves_with_7
    SYSCALL SYS_extexit, EXTEXIT_LWP, 3, 0

leaves_with_7:
    TELL done
not_the_last:
    SYSCALL SYS_lwp_kill, -1, 0, 0
    jc the_last
    PAUSE
    jmp not_the_last
the_last:
    SYSCALL SYS_extexit, EXTEXIT_LWP, 7, 0

second_exits:
    CREATE exits_with_9
for_ever:
    jmp for_ever

exits_with_9:
    TELL done
    SYSCALL SYS_exit, 9

    .balign 8
params:
    .quad reports, 0x600000006, stack_end, tid1, tid2
bad_params:
    .quad reports, 0, stack_end, 8, tid2
params_without_places:
    .quad reports, 0, stack_end, 0, 0
tid1:
    .quad 0
tid2:
    .quad 0
status:
    .quad 0
stored:
    .quad 0
fs_info:
    .quad fs_word, -1
gs_info:
    .quad gs_word, -1
fs_word:
    .quad 0xf5
gs_word:
    .quad 0x65
nothing:
    .quad 0, 0
usr2:
    .quad 1 << (SIGUSR2 - 1), 0
done:
    .quad 0
    .irp register, rdi, rsp, rax, rbp, rbx, r12, r13, r14, r15, return, xmm7, fs, gs
seen_\register:
    .quad 0
    .endr
seen_mask:
    .quad 0, 0
    .balign 16
    .space LWP_STACK
stack_end:
