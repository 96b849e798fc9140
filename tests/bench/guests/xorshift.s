# Random numbers: registers, and a loop of one block.

STEPS = 1000000
.ifndef EXPECT
EXPECT = 0x3e746a84b0b86f03
.endif
.ifndef COUNT
COUNT = 300
.endif
.include "compute.inc"

round:
    mov rax, 0x9e3779b97f4a7c15
    mov ecx, STEPS
again:
    XORSHIFT rax, rdx
    dec ecx
    jnz again
    ret

    DATA
