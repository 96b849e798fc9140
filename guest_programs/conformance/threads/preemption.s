# A thread may lose the CPU anywhere, and goes on as if nothing had been.
#
# Four threads do the same work at once; the cases look at what has become of it.

.include "../signal.inc"

.ifndef COUNT
COUNT = 200
.endif
CELL = 256                              # bytes of each thread's own

# CELL_IS offset, value: every thread has this word in its cell.
.macro CELLS_ARE offset, value
    .irp thread, 1, 2, 3, 4
    EQUAL [cells + \thread*CELL + \offset], \value
    .endr
.endm

    START worker, 1
    START worker, 2
    START worker, 3
    mov edi, 4
    mov rsp, lwp_stacks + 4*LWP_STACK
    call work
    mov rsp, [conform_rsp]
    AWAIT_VALUE finished, 3

CASE locked, "7.2.14 2.1.3", "What all threads count with LOCK is the sum of what each has counted"
    EQUAL [shared], 4*COUNT

CASE own_memory, "7.2.14", "What a thread counts alone is what it has counted"
    CELLS_ARE 0, COUNT

CASE calls, "7.2.14", "Calls and returns go where they should"
    CELLS_ARE 8, 2*COUNT

CASE stack, "7.2.14", "What is pushed is what is popped"
    EQUAL [stack_wrong], 0

CASE strings, "7.2.14", "String instructions go on where they were"
    EQUAL [strings_wrong], 0

CASE flags, "7.2.14", "Flags and registers are kept"
    EQUAL [flags_wrong], 0
    EQUAL [registers_wrong], 0

    FINISH

worker:
    call work
    ANNOUNCE finished
    END_LWP

work:
    imul r12, rdi, CELL
    lea r12, [r12 + cells]
    mov r13, COUNT
    mov r14, rsp
    mov r15, r12
    not r15
round:
    inc qword ptr [r12]
    lock inc qword ptr [shared]
    push r13
    push r12
    call twice
    pop rax
    cmp rax, r12
    jne wrong_stack
    pop rax
    cmp rax, r13
    jne wrong_stack
    # A pattern that changes each time is copied, and compared.
    mov [r12 + 16], r13
    lea rdi, [r12 + 32]
    lea rsi, [r12 + 16]
    mov ecx, 24
    rep movsb
    lea rdi, [r12 + 32]
    lea rsi, [r12 + 16]
    mov ecx, 24
    repe cmpsb
    jne wrong_string
    test rcx, rcx
    jnz wrong_string
    # Flags, over a few instructions and a branch.
    cmp r13, 0
    jmp far_from_there
far_from_there:
    jle wrong_flags
    mov rax, r15
    not rax
    cmp rax, r12
    jne wrong_register
    dec r13
    jnz round
    cmp rsp, r14
    jne wrong_stack
    ret

wrong_stack:
    inc qword ptr [stack_wrong]
    mov rsp, r14
    ret
wrong_string:
    inc qword ptr [strings_wrong]
    mov rsp, r14
    ret
wrong_flags:
    inc qword ptr [flags_wrong]
    mov rsp, r14
    ret
wrong_register:
    inc qword ptr [registers_wrong]
    mov rsp, r14
    ret

twice:
    add qword ptr [r12 + 8], 1
    call once
    ret
once:
    add qword ptr [r12 + 8], 1
    ret

    .balign 8
shared:
    .quad 0
finished:
    .quad 0
stack_wrong:
    .quad 0
strings_wrong:
    .quad 0
flags_wrong:
    .quad 0
registers_wrong:
    .quad 0
cells:
    .space 5*CELL
