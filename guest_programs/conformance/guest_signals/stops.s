# Stops and slices of time, which a guest and its virtual kernel do not see.

.include "counting.inc"

HERS = RAM + IMG_DATA + 24              # what others count

    PLAIN_SPACE

# The virtual kernel that is stopped is a child.
CASE stopped, "7.2.13", "A stop and a continue are not seen: the guest stands still, and goes on"
    WAITS
    call start_guest
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_wait4, r14, status, WUNTRACED, 0
    OK
    WORD32 status, SIGSTOP << 8 | 0x7f
    mov r13, [RUNNING]
    PAUSE
    EQUAL [RUNNING], r13                # it stands
    SYSCALL SYS_kill, r14, SIGCONT
    OK
    call await_progress
    mov qword ptr [GO], 1
    REAPED 0

CASE stopped_twice, "7.2.13", "A second stop and continue are not seen"
    WAITS
    call start_guest
    mov r15d, 2
stop_again:
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_wait4, r14, status, WUNTRACED, 0
    OK
    WORD32 status, SIGSTOP << 8 | 0x7f
    mov r13, [RUNNING]
    SYSCALL SYS_kill, r14, SIGCONT
    OK
    call await_progress
    dec r15d
    jnz stop_again
    mov qword ptr [GO], 1
    REAPED 0

CASE signals_of_a_stop, "7.2.13 7.7.1", "Two signals that came during a stop end one RUN, and both are handled"
    WAITS
    mov qword ptr [HERS], 0
    HANDLE SIGUSR1, counts
    HANDLE SIGUSR2, counts
    EXPECT 0, CODE
    ANY RIP
    ANY RFLAGS
    ANY RCX
    ANY R10
    ANY R11
    ANY ADDR
    ANY ERR
    call start_guest
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_wait4, r14, status, WUNTRACED, 0
    OK
    SYSCALL SYS_kill, r14, SIGUSR1
    OK
    SYSCALL SYS_kill, r14, SIGUSR2
    OK
    SYSCALL SYS_kill, r14, SIGCONT
    OK
    REAPED 0
    EQUAL [HERS], 2

# The guest and a child wait for each other without a system call, again and again.
CASE slices, "7.2.14", "The end of a time slice is not seen: the guest and another process take turns"
    WAITS
    mov qword ptr [HERS], 0
    GUEST ".Lgive: inc qword ptr [rdi + 16]; mov rax, [rdi + 16]; .Lwait: cmp [rdi + 24], rax; jb .Lwait; cmp rax, 5; jb .Lgive; syscall"
    GIVE RDI, DATA
    WANT RAX, 5
    EXPECT T_FAST_SYSCALL, CODE + 22
    ANY RFLAGS
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz turns
    xor eax, eax
his_turn:
    cmp [RUNNING], rax
    jbe his_turn
    inc rax
    mov [HERS], rax
    cmp rax, 5
    jb his_turn
    SYSCALL SYS_exit, 0
turns:
    RUN
    EQUAL [HERS], 5
    REAPED 0

CASE two_guests, "7.2.14 6.5.6", "Two guests that take turns do not see the end of their time slices"
    WAITS
    mov qword ptr [HERS], 0
    GUEST ".Lgive2: inc qword ptr [rdi]; mov rax, [rdi]; .Lwait2: cmp [rsi], rax; jb .Lwait2; cmp rax, 5; jb .Lgive2; syscall"
    WANT RAX, 5
    EXPECT T_FAST_SYSCALL, CODE + 19
    ANY RFLAGS
    GIVE RDI, DATA + 16
    GIVE RSI, DATA + 24
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz ours
    GIVE RDI, DATA + 24
    GIVE RSI, DATA + 16
    RUN
    SYSCALL SYS_exit, 0
ours:
    RUN
    REAPED 0

    FINISH

start_guest:                            # a child runs it, and exits 0 if it came back as wanted
    SYSCALL SYS_fork
    OK
    mov r14, rax
    test rdx, rdx
    jz .Lstarting
    RUN
    SYSCALL SYS_exit, 0
.Lstarting:
    mov r13d, 1000
    jmp await_progress

counts:
    lock inc qword ptr [HERS]
    ret
