# Processes that end, or execute a program, with somebody inside a vmspace.

.include "../family.inc"

    # A program for execve.
    SYSCALL SYS_open, program_path, O_WRONLY + O_CREAT + O_TRUNC, 0755
    OK
    mov r12, rax
    SYSCALL SYS_write, r12, program, program_end - program
    OK
    SYSCALL SYS_close, r12
    OK

    IMAGE
    GUEST_FROM guest, guest_end
    VMSPACE SPACE

CASE child_inside, "6.15.1 6.4.1", "A child that runs in a vmspace keeps it from being destroyed"
    VMSPACE 0x6003
    CHILD insider
    AWAIT_WORD 1
    SYSCALL SYS_vmspace_destroy, 0x6003
    REFUSED ERRNO_EBUSY
    CALLS 0x6003                        # two may run inside
    SYSCALL SYS_vmspace_destroy, 0x6003
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL
    jmp 1f
insider:
    STAYS 0x6003
    NEVER
1:

CASE killed_inside, "6.15.5 6.15.3", "A process that is killed inside a vmspace lets go of it"
    VMSPACE 0x6004
    CHILD victim
    AWAIT_WORD 1
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL
    DESTROY 0x6004
    jmp 1f
victim:
    STAYS 0x6004
    NEVER
1:

CASE exit_beside, "6.15.5 6.15.3", "An LWP whose process exits while it is inside lets go of the vmspace"
    VMSPACE 0x6005
    CHILD leaver
    ENDED 7 << 8
    EQUAL [RAM + IMG_DATA], 1
    DESTROY 0x6005
    jmp 1f
leaver:
    START stayer, 0x6005
    AWAIT_WORD 1
    SYSCALL SYS_vmspace_destroy, 0x6005
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_exit, 7
1:

CASE exec_beside, "6.15.5 6.15.2", "An LWP whose process executes a program while it is inside lets go of it"
    VMSPACE 0x6006
    CHILD changer
    ENDED ERRNO_EINVAL << 8
    EQUAL [RAM + IMG_DATA], 1
    DESTROY 0x6006
    jmp 1f
changer:
    START stayer, 0x6006
    AWAIT_WORD 1
    SYSCALL SYS_execve, program_path, no_arguments, no_arguments
    NEVER
1:

CASE exec, "6.15.2 6.2.1", "A program that is executed has no vmspaces, its parent keeps them"
    CHILD executes
    ENDED ERRNO_EINVAL << 8
    CALLS SPACE
    jmp 1f
executes:
    CALLS SPACE
    SYSCALL SYS_execve, program_path, no_arguments, no_arguments
    NEVER
1:

    FINISH

stayer:
    STAYS rdi
    NEVER

    .balign 8
no_arguments:
    .quad 0
program_path:
    .asciz "program"

# A static ELF executable: it destroys the vmspace SPACE, and exits with the errno.
BASE = 0x10000000
    .balign 8
program:
    .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0
    .quad 0
    .short 2, 62
    .long 1
    .quad BASE + program_code - program, 64, 0
    .long 0
    .short 64, 56, 1, 64, 0, 0
    .long 1, 5
    .quad 0, BASE, BASE, program_end - program, program_end - program, PAGE_SIZE
program_code:
    SYSCALL SYS_vmspace_destroy, SPACE
    mov edi, 255
    cmovc edi, eax
    mov eax, SYS_exit
    syscall
program_end:
