# __sysctl, usched_set, and calls that are there to be refused.

.include "../conform.inc"

FILL = 0x5a5a5a5a5a5a5a5a

# SYSCTL name, count, old, length, new, newlen: a variable by numbers, with room for so many bytes.
.macro SYSCTL name, count, old, length, new=0, newlen=0
    mov qword ptr [room], \length
    SYSCALL SYS___sysctl, \name, \count, \old, room, \new, \newlen
.endm

CASE by_number, "2.1.17", "__sysctl reads a variable by its numbers: hw.pagesize"
    mov rax, FILL
    mov [value], rax
    SYSCTL pagesize, 2, value, 8
    OK
    EQUAL rax, 0
    WORD32 value, 4096
    WORD32 value + 4, 0x5a5a5a5a        # an int
    WORD room, 4

CASE length_only, "2.1.17", "Without a place for the value its length is told"
    SYSCTL pagesize, 2, 0, 0
    OK
    WORD room, 4

CASE too_short, "2.1.17", "Too little room is ENOMEM, and the length is told even so"
    SYSCTL pagesize, 2, value, 3
    REFUSED ERRNO_ENOMEM
    WORD room, 3

    .irp count, 0, 1, 13, 0xffffffff
CASE name_of_\count, "2.1.17", "A name of \count numbers is EINVAL"
    SYSCTL pagesize, \count, value, 8
    REFUSED ERRNO_EINVAL
    .endr

CASE unknown, "2.1.17", "A variable that does not exist is ENOENT"
    SYSCTL nowhere, 2, value, 8
    REFUSED ERRNO_ENOENT

CASE bad_name, "2.1.17", "A name that cannot be read is EFAULT"
    SYSCTL 8, 2, value, 8
    REFUSED ERRNO_EFAULT

CASE bad_place, "2.1.17", "A value that cannot be stored is EFAULT"
    SYSCTL pagesize, 2, 8, 8
    REFUSED ERRNO_EFAULT

CASE by_name, "2.1.17", "Variable {0, 3} turns a name into numbers: vm.vkernel_enable"
    SYSCTL name_to_oid, 2, numbers, 48, vkernel_enable, 17
    OK
    mov r12, [room]
    shr r12, 2
    SYSCALL SYS___sysctl, numbers, r12, value, room, 0, 0
    OK
    WORD room, 4

CASE unknown_name, "2.1.17", "A name that does not exist is ENOENT"
    SYSCTL name_to_oid, 2, numbers, 48, no_variable, 7
    REFUSED ERRNO_ENOENT

CASE string, "2.1.17", "A string is told with its zero: kern.ostype"
    SYSCTL ostype, 2, value, 64
    OK
    WORD room, 10
    WORD value, 0x6c466e6f67617244      # "DragonFl"
    WORD16 value + 8, 0x79

CASE page_of_stack, "2.1.17 9.12", "kern.usrstack is the end of the user's addresses"
    SYSCTL usrstack, 2, value, 8
    OK
    mov rax, USER_MAX
    WORD value, rax

CASE which_cpu, "2.1.18", "usched_set tells which CPU the caller runs on, an int"
    mov rax, FILL
    mov [value], rax
    SYSCALL SYS_usched_set, 0, 4, value, 4
    OK
    WORD32 value + 4, 0x5a5a5a5a
    mov eax, [value]
    AT_MOST rax, 63

CASE own_pid, "2.1.18", "The pid may be the caller's own"
    SYSCALL SYS_getpid
    SYSCALL SYS_usched_set, rax, 4, value, 4
    OK

CASE other_pid, "2.1.18", "Another pid is EINVAL"
    SYSCALL SYS_usched_set, 1, 4, value, 4
    REFUSED ERRNO_EINVAL

CASE not_an_int, "2.1.18", "A number of bytes other than 4 is EINVAL"
    SYSCALL SYS_usched_set, 0, 4, value, 8
    REFUSED ERRNO_EINVAL

CASE unknown_command, "2.1.18", "A command that does not exist is EINVAL"
    SYSCALL SYS_usched_set, 0, 99, value, 4
    REFUSED ERRNO_EINVAL

    .irp call, sbrk, sstk, sysarch
CASE \call, "2.10", "\call is EOPNOTSUPP"
    SYSCALL SYS_\call, 0, value
    REFUSED ERRNO_EOPNOTSUPP
    .endr

    FINISH

    .balign 8
pagesize:
    .int 6, 7
ostype:
    .int 1, 1
usrstack:
    .int 1, 33
nowhere:
    .int 99, 99
name_to_oid:
    .int 0, 3
vkernel_enable:
    .asciz "vm.vkernel_enable"
no_variable:
    .asciz "no.such"
    .balign 8
room:
    .quad 0
value:
    .zero 64
numbers:
    .zero 64
