# The primes below a million, by crossing out bytes.

SIZE = 1000000
.ifndef EXPECT
EXPECT = 78498                          # how many there are
.endif
.ifndef COUNT
COUNT = 50
.endif
.include "compute.inc"

round:
    mov rdi, data
    mov ecx, SIZE / 8
    xor eax, eax
    rep stosq
    mov rsi, data
    mov ecx, 2
candidate:
    cmp byte ptr [rsi+rcx], 0
    jne crossed
    mov rdx, rcx
    imul rdx, rcx
multiple:
    mov byte ptr [rsi+rdx], 1
    add rdx, rcx
    cmp rdx, SIZE
    jb multiple
crossed:
    inc rcx
    cmp rcx, 1000
    jb candidate
crossed_out:
    xor eax, eax
    mov ecx, 2
count:
    xor edx, edx
    cmp byte ptr [rsi+rcx], 0
    sete dl
    add rax, rdx
    inc rcx
    cmp rcx, SIZE
    jb count
    ret

    DATA
