# abi 2: a group that nobody in its session could continue does not stop for the terminal, and one
# that becomes so with a stopped member is hung up and continued

.include "vkemu.inc"

    SYSCALL7 SYS_mmap, 0, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_SHARED, -1, 0, 0
    CHECK_OK 1
    mov r12, rax                        # shared by all
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGTSTP      # nobody would ever continue us
    CHECK_OK 2

    SYSCALL SYS_fork
    CHECK_OK 3
    test rax, rax
    jz leader
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    CHECK_EQ 4, rax, r15
    CHECK_MEM 5, status, SIGTSTP*0x100 + 0x7f
    SYSCALL SYS_kill, r15, SIGCONT
    SYSCALL SYS_wait4, r15, status, 0, 0
    CHECK_MEM 6, status, 0

    # Its child was stopped.  It was hung up and told so.
    SYSCALL SYS_nanosleep, a_moment, 0
    CHECK_MEM 7, r12, SIGHUP
    DONE

# The only member of its group whose parent is outside.
leader:
    SYSCALL SYS_setpgid, 0, 0
    CHECK_OK 100
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGTSTP
    CHECK_OK 101
    SYSCALL SYS_sigaction, SIGHUP, action, 0
    CHECK_OK 102
    SYSCALL SYS_fork
    CHECK_OK 103
    test rax, rax
    jz member
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    CHECK_MEM 104, status, SIGSTOP*0x100 + 0x7f
    SYSCALL SYS_exit, 0

member:
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGSTOP
    SYSCALL SYS_exit, 0

hung_up:
    mov [r12], rdi
    ret

    .balign 8
status:
    .quad 0
action:
    .quad hung_up, 0, 0, 0
a_moment:
    .quad 0, 1000000
