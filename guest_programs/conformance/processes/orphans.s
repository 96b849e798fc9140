# A group that nobody in its session could continue does not stop for the terminal, and one that becomes so with a stopped member is hung up and continued.

.include "../conform.inc"

CASE orphans, "2.6", "A group that nobody in its session could continue does not stop for the terminal, and ..."
    SYSCALL7 SYS_mmap, 0, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_SHARED, -1, 0, 0
    OK
    mov r12, rax                        # shared by all
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGTSTP      # nobody would ever continue us
    OK

    SYSCALL SYS_fork
    OK
    test rax, rax
    jz leader
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    EQUAL rax, r15
    WORD status, SIGTSTP*0x100 + 0x7f
    SYSCALL SYS_kill, r15, SIGCONT
    SYSCALL SYS_wait4, r15, status, 0, 0
    WORD status, 0

    # Its child was stopped.  It was hung up and told so.
    SYSCALL SYS_nanosleep, a_moment, 0
    WORD r12, SIGHUP
    FINISH

# The only member of its group whose parent is outside.
leader:
    SYSCALL SYS_setpgid, 0, 0
    OK
    SYSCALL SYS_getpid
    mov r14, rax
    SYSCALL SYS_kill, r14, SIGTSTP
    OK
    SYSCALL SYS_sigaction, SIGHUP, action, 0
    OK
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz member
    mov r15, rax
    SYSCALL SYS_wait4, r15, status, WUNTRACED, 0
    WORD status, SIGSTOP*0x100 + 0x7f
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
