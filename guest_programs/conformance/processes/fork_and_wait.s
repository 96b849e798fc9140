# fork and vfork: two returns, one memory or two.

.include "../processes.inc"

CASE memory_copied, "6.15.1", "What a child writes into its memory its parent does not see"
    mov qword ptr [variable], 1
    FORK writes_5
    ENDED 7 << 8
    WORD variable, 1

CASE memory_of_the_parent, "6.15.1", "What the parent writes after the fork its child does not see"
    SHARED
    mov qword ptr [variable], 1
    FORK looks_later
    mov qword ptr [variable], 2
    mov dword ptr [r14], 1
    SYSCALL SYS_umtx_wakeup, r14, 0
    ENDED 1 << 8

CASE exit_status, "2.3", "wait4 tells the status of exit, its low byte"
    FORK exits_with_0x1207
    ENDED 7 << 8

CASE killed, "2.3", "wait4 tells which signal has ended a child, even one in an endless loop"
    FORK for_ever
    SYSCALL SYS_wait4, r15, child_status, WNOHANG, 0
    OK
    EQUAL rax, 0
    SYSCALL SYS_kill, r15, SIGKILL
    OK
    ENDED SIGKILL

CASE vfork_waits, "6.15.1", "The parent of a vfork waits until the child has ended"
    mov qword ptr [variable], 1
    SYSCALL SYS_vfork
    OK
    test rax, rax
    jz borrower
    mov r15, rax
    WORD variable, 9                    # and its memory was the child's
    ENDED

CASE pids, "2.8", "A child has a pid of its own, its parent's pid and group"
    SHARED
    SYSCALL SYS_getpid
    mov r13, rax
    FORK tells_its_ids
    ENDED
    WORD r14, r15
    lea rax, [r14 + 8]
    WORD rax, r13
    SYSCALL SYS_getpgrp
    lea rcx, [r14 + 16]
    mov rcx, [rcx]
    EQUAL rcx, rax

CASE nobody_left, "2.3", "Without children wait4 is ECHILD"
    CHILDLESS
    SYSCALL SYS_wait4, -1, child_status, 0, 0
    REFUSED ERRNO_ECHILD

    FINISH

writes_5:
    WORD variable, 1
    mov qword ptr [variable], 5
    SYSCALL SYS_exit, 7

looks_later:
    cmp dword ptr [r14], 0
    jne told
    SYSCALL SYS_umtx_sleep, r14, 0, 0
    jmp looks_later
told:
    SYSCALL SYS_exit, [variable]

exits_with_0x1207:
    SYSCALL SYS_exit, 0x1207

borrower:
    mov qword ptr [variable], 9
    SYSCALL SYS_exit, 0

tells_its_ids:
    SYSCALL SYS_getpid
    mov [r14], rax
    SYSCALL SYS_getppid
    mov [r14 + 8], rax
    SYSCALL SYS_getpgrp
    mov [r14 + 16], rax
    SYSCALL SYS_exit, 0

for_ever:
    jmp for_ever

    .balign 8
variable:
    .quad 0
