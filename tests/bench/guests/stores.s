# Stores to one address, and hardly anything else.

STORES = 10000000
.ifndef EXPECT
EXPECT = STORES                         # what is stored last
.endif
.ifndef COUNT
COUNT = 10
.endif
.include "compute.inc"

round:
    mov rdx, data
    xor ecx, ecx
again:
    inc rcx
    mov [rdx], rcx
    cmp rcx, STORES
    jne again
stored:
    mov rax, [rdx]
    ret

    DATA
