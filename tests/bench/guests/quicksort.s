# A hundred thousand random numbers sorted: branches that nobody can foretell, calls and returns.

WORDS = 100000
.ifndef EXPECT
EXPECT = 0xd58d49d2cd85c881
.endif
.ifndef COUNT
COUNT = 30
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

    mov rdi, data
    mov rsi, data + 8*WORDS - 8
    call sort
sorted:

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

# Sort the words from rdi up to and with rsi, as Hoare did.
sort:
    cmp rdi, rsi
    jae sort_end
    mov rdx, rsi
    sub rdx, rdi
    shr rdx, 4
    mov rdx, [rdi + 8*rdx]              # the pivot: the word in the middle
    lea r8, [rdi - 8]
    lea r9, [rsi + 8]
greater:
    add r8, 8
    cmp [r8], rdx
    jb greater
smaller:
    sub r9, 8
    cmp [r9], rdx
    ja smaller
    cmp r8, r9
    jae parted
    mov rax, [r8]
    mov rcx, [r9]
    mov [r8], rcx
    mov [r9], rax
    jmp greater
parted:
    push rsi
    push r9
    mov rsi, r9
    call sort
    pop rdi
    add rdi, 8
    pop rsi
    jmp sort
sort_end:
    ret

    DATA
