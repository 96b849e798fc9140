# 64 KiB copied there and back: there by REP MOVSQ, back by a loop of eight words at a time.

WORDS = 8192
COPIES = 256
.ifndef EXPECT
EXPECT = 0x6797ce2de6cc1942
.endif
.ifndef COUNT
COUNT = 40
.endif
.include "compute.inc"

round:
    mov rax, 0x9e3779b97f4a7c15
    mov rdi, data
    mov ecx, WORDS
fill:
    XORSHIFT rax, rdx
    mov [rdi], rax
    add rdi, 8
    dec ecx
    jnz fill

    mov ebx, COPIES
copy:
    inc qword ptr [data + 8*WORDS - 8]  # or a copy that was not made could not be told
    mov rsi, data
    mov rdi, data + 8*WORDS
    mov ecx, WORDS
    rep movsq
    mov rdi, data
    mov rsi, data + 8*WORDS
    mov ecx, WORDS / 8
back:
    .irp at, 0, 8, 16, 24, 32, 40, 48, 56
    mov rax, [rsi + \at]
    mov [rdi + \at], rax
    .endr
    add rsi, 64
    add rdi, 64
    dec ecx
    jnz back
    dec ebx
    jnz copy
copied:

    mov rsi, data
    mov ecx, WORDS
    xor eax, eax
sum:
    rol rax, 1
    add rax, [rsi]
    add rsi, 8
    dec ecx
    jnz sum
    ret

    DATA
