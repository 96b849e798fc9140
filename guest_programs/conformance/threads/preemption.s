# A thread may lose the CPU anywhere, and goes on as if nothing had been.

.include "../signal.inc"

.ifndef COUNT
COUNT = 200
.endif
CELL = 256                              # bytes of each thread's own

CASE preemption, "7.2.14", "A thread may lose the CPU anywhere, and goes on as if nothing had been"
    START worker, 1
    START worker, 2
    START worker, 3
    mov edi, 4
    mov rsp, lwp_stacks + 4*LWP_STACK
    call work
    AWAIT_VALUE finished, 3
    EQUAL [shared], 4*COUNT
    EQUAL [cells + 1*CELL], COUNT
    EQUAL [cells + 2*CELL], COUNT
    EQUAL [cells + 3*CELL], COUNT
    EQUAL [cells + 4*CELL], COUNT
    EQUAL [cells + 1*CELL + 8], 2*COUNT
    EQUAL [cells + 4*CELL + 8], 2*COUNT
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
1:
    inc qword ptr [r12]
    lock inc qword ptr [shared]
    push r13
    push r12
    call twice
    pop rax
    mov ebx, 20
    cmp rax, r12
    je 8f
    NEVER
8:
    pop rax
    mov ebx, 21
    cmp rax, r13
    je 8f
    NEVER
8:
    # A pattern that changes each time is copied, and compared.
    mov [r12 + 16], r13
    lea rdi, [r12 + 32]
    lea rsi, [r12 + 16]
    mov ecx, 24
    cld
    rep movsb
    lea rdi, [r12 + 32]
    lea rsi, [r12 + 16]
    mov ecx, 24
    repe cmpsb
    mov ebx, 22
    je 8f
    NEVER
8:
    mov ebx, 23
    cmp rcx, 0
    je 8f
    NEVER
8:
    dec r13
    jnz 1b
    mov ebx, 24
    cmp rsp, r14
    je 8f
    NEVER
8:
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
cells:
    .space 5*CELL
