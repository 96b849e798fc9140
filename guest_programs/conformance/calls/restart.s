# A call that a signal interrupts is made again, or is EINTR.
#
# The signal comes every few milliseconds.  One that finds the program elsewhere than in the call is
# ignored; the handler does what a case asks once the call has been reached.

.include "../threads.inc"

P = 0x0101010101010101

# PERIODIC function, flags, times: from now on SIGALRM comes again and again, until it has
# interrupted the call so often.
.macro PERIODIC function, flags, times=1
    HANDLE SIGALRM, \function, \flags
    mov qword ptr [interrupted], 0
    mov qword ptr [enough], \times
    SYSCALL SYS_setitimer, ITIMER_REAL, often, 0
    OK
.endm

# QUIET: no signal any more.
.macro QUIET
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
    OK
.endm

    SYSCALL SYS_pipe
    OK
    mov [reading], rax
    mov [writing], rdx
    SYSCALL SYS_kqueue
    OK
    mov [queue], rax

CASE read_again, "1.3.6", "With SA_RESTART a read that a signal interrupts is made again"
    mov qword ptr [buffer], 0
    PERIODIC writes, SA_RESTART
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov eax, SYS_read
call_of_read:
    syscall
    mov r12, rax
    QUIET
    EQUAL r12, 1
    WORD buffer, 0x77                   # what the handler wrote
    EQUAL [interrupted], 1

CASE registers_again, "1.3.6", "The handler finds the call about to be made, and every argument in its place"
    PERIODIC writes, SA_RESTART
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov r8, P*8
    mov r9, P*9
    mov r10, P*10
    mov r12, P*12
    mov rax, 0x11 << 32 | SYS_read
    syscall
    mov r12, rax
    QUIET
    EQUAL [seen_RAX], 0x11 << 32 | SYS_read
    EQUAL [seen_RDI], [reading]
    EQUAL [seen_RSI], buffer
    EQUAL [seen_RDX], 8
    EQUAL [seen_R8], P*8
    EQUAL [seen_R9], P*9
    EQUAL [seen_R10], P*10
    EQUAL [seen_RCX], P*10
    EQUAL [seen_R12], P*12

    .irp carry, clc, stc
CASE carry_again_\carry, "1.3.6", "A call that is made again has not touched carry: \carry"
    PERIODIC writes, SA_RESTART
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov eax, SYS_read
    \carry
    pushfq
    pop rbx
    syscall
    QUIET
    and ebx, PSL_C
    BITS [seen_RFLAGS], PSL_C, rbx
    .endr

CASE changed_again, "1.3.6", "The call is made again with the registers that the handler leaves"
    PERIODIC redirects, SA_RESTART
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov eax, SYS_read
    syscall
    mov r12, rax
    setc r13b
    QUIET
    EQUAL r12, ERRNO_EBADF              # of the descriptor that the handler put into RDI
    movzx r13d, r13b
    EQUAL r13, 1

CASE another_call, "1.3.6", "Even the number is taken again"
    PERIODIC renumbers, SA_RESTART
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov eax, SYS_read
    syscall
    mov r12, rax
    QUIET
    SYSCALL SYS_getpid
    EQUAL r12, rax

CASE several_times, "1.3.6", "A call is made again as often as it is interrupted"
    PERIODIC writes_third_time, SA_RESTART, 3
    SYSCALL SYS_read, [reading], buffer, 8
    mov r12, rax
    QUIET
    EQUAL r12, 1
    EQUAL [interrupted], 3

CASE wait_again, "1.3.6", "With SA_RESTART wait4 is made again"
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz pause_for_ever
    mov [child], rax
    PERIODIC kills, SA_RESTART
    SYSCALL SYS_wait4, [child], status, 0, 0
    mov r12, rax
    QUIET
    EQUAL r12, [child]
    BITS [status], 0x7f, SIGKILL
    EQUAL [interrupted], 1

CASE eintr, "1.3.6 1.3.2", "Without SA_RESTART the call is EINTR, and the handler finds it over"
    PERIODIC notes, 0
    mov rdi, [reading]
    mov rsi, buffer
    mov edx, 8
    mov eax, SYS_read
    clc
    syscall
behind_read:
    setc r13b
    mov r12, rax
    QUIET
    EQUAL r12, ERRNO_EINTR
    movzx r13d, r13b
    EQUAL r13, 1
    EQUAL [seen_RIP], behind_read
    EQUAL [seen_RAX], ERRNO_EINTR
    BITS [seen_RFLAGS], PSL_C, PSL_C
    EQUAL [seen_RDX], 8

    # These are EINTR though the handler has SA_RESTART.
    .macro NEVER_AGAIN name, call, a, b, c, d, e, f
CASE \name\()_never_again, "1.3.8", "\name is EINTR even with SA_RESTART"
    PERIODIC counts, SA_RESTART
    SYSCALL SYS_\call, \a, \b, \c, \d, \e, \f
    setc r13b
    mov r12, rax
    QUIET
    movzx r13d, r13b
    EQUAL r13, 1
    EQUAL r12, ERRNO_EINTR
    .endm
    NEVER_AGAIN nanosleep, nanosleep, hour, 0, 0, 0, 0, 0
    NEVER_AGAIN umtx_sleep, umtx_sleep, zero, 0, 0, 0, 0, 0
    NEVER_AGAIN sigsuspend, sigsuspend, zero, 0, 0, 0, 0, 0
    NEVER_AGAIN select, select, 0, 0, 0, 0, 0, 0
    NEVER_AGAIN pselect, pselect, 0, 0, 0, 0, 0, 0
    NEVER_AGAIN poll, poll, 0, 0, -1, 0, 0, 0
    NEVER_AGAIN kevent, kevent, [queue], 0, 0, buffer, 1, 0

    FINISH

pause_for_ever:
    SYSCALL SYS_nanosleep, hour, 0
    SYSCALL SYS_exit, 0

# reached: carry is set, unless the call has been reached, which then counts.
reached:
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    cmp word ptr [rax], 0x050f          # syscall
    jne .Lelsewhere
    inc qword ptr [interrupted]
    .irp word, RDI, RSI, RDX, RCX, R8, R9, RAX, R10, R12, RFLAGS
    mov rax, [rdx + UC_MCONTEXT + MC_\word]
    mov [seen_\word], rax
    .endr
    mov rax, [interrupted]
    cmp rax, [enough]
    jb .Lnot_enough
    push rdx
    HANDLE SIGALRM, SIG_IGN
    pop rdx
.Lnot_enough:
    clc
    ret
.Lelsewhere:
    stc
    ret

writes_third_time:
    call reached
    jc .Lreturn
    cmp qword ptr [interrupted], 3
    jne .Lreturn
    jmp .Lwrite
writes:
    call reached
    jc .Lreturn
.Lwrite:
    SYSCALL SYS_write, [writing], letter, 1
.Lreturn:
    ret

redirects:
    call reached
    jc .Lreturn
    mov qword ptr [rdx + UC_MCONTEXT + MC_RDI], 59
    ret

renumbers:
    call reached
    jc .Lreturn
    mov qword ptr [rdx + UC_MCONTEXT + MC_RAX], SYS_getpid
    ret

kills:
    call reached
    jc .Lreturn
    SYSCALL SYS_kill, [child], SIGKILL
    ret

notes:                                  # the last one is the one that ended the call
    .irp word, RIP, RAX, RDX, RFLAGS
    mov rax, [rdx + UC_MCONTEXT + MC_\word]
    mov [seen_\word], rax
    .endr
    mov rax, [rdx + UC_MCONTEXT + MC_RIP]
    cmp rax, behind_read
    jne .Lreturn
    HANDLE SIGALRM, SIG_IGN
counts:
    ret

    .balign 8
    .irp word, RIP, RDI, RSI, RDX, RCX, R8, R9, RAX, R10, R12, RFLAGS
seen_\word:
    .quad 0
    .endr
often:
    .quad 0, 3000, 0, 3000
never:
    .quad 0, 0, 0, 0
hour:
    .quad 3600, 0
zero:
    .quad 0, 0
reading:
    .quad 0
writing:
    .quad 0
queue:
    .quad 0
child:
    .quad 0
status:
    .quad 0
interrupted:
    .quad 0
enough:
    .quad 0
buffer:
    .zero 32
letter:
    .byte 0x77
