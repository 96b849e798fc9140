# The stack of a program: what there is of it, and that it grows.

.include "../processes.inc"
.include "../signal.inc"

# TOUCHES distance: a child that writes so far below the end of the stack.
.macro TOUCHES distance, how
    mov r13, USER_MAX
    mov rax, \distance
    sub r13, rax
    FORK touches
    SYSCALL SYS_wait4, r15, child_status, 0, 0
    OK
    BITS [child_status], 0xff7f, \how
.endm

CASE right_below, "11.8", "The stack lies below the end of the user's addresses"
    mov rax, USER_MAX
    sub rax, [conform_rsp]
    AT_MOST rax, 1 << 20

CASE grows, "11.8", "It grows when something further below is touched: 1 MB"
    TOUCHES 1 << 20, 0

CASE grows_far, "11.8", "It grows at once to where it is touched: 16 MB"
    TOUCHES 16 << 20, 0

CASE zeroed, "11.8", "What it has grown by is zero"
    mov rax, USER_MAX
    sub rax, 2 << 20
    EQUAL [rax], 0

CASE does_not_end, "11.8", "Beyond 512 MB there is none: SIGSEGV"
    TOUCHES 513 << 20, SIGSEGV

CASE in_calls, "11.8", "It grows for the kernel as well"
    mov rsi, USER_MAX
    sub rsi, 4 << 20
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, rsi
    OK

CASE other_stack, "11.8 6.9.4", "A mapping with MAP_STACK grows as well"
    SYSCALL7 SYS_mmap, 0x30000000, 1 << 20, PROT_READ + PROT_WRITE, MAP_STACK + MAP_FIXED, -1, 0, 0
    OK
    mov qword ptr [0x30000000], 5
    WORD 0x30000000, 5

    FINISH

touches:
    mov qword ptr [r13], 5
    SYSCALL SYS_exit, 0
