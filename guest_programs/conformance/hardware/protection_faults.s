# #GP of other kinds: selectors, addresses that are not canonical, jumps to them.

.include "../conform.inc"

OUTSIDE = 0x800000000000                # the first address that is not canonical

    PLAIN_SPACE

    # Selectors.  Ring 3 has 0x23 and 0x2b; 0x08 and 0x10 are the kernel's.
    .macro SELECTOR register, selector, code
CASE \register\()_\selector, "7.2.8 12.1", "MOV of \selector to \register is #GP with the selector's code"
    GUEST "mov \register, ecx"
    GIVE RCX, \selector
    EXPECT T_PROTFLT, CODE, err=\code
    RUN
    .endm
    .irp register, ds, es, fs, gs, ss
    SELECTOR \register, 0x10, 0x10
    SELECTOR \register, 0x13, 0x10
    SELECTOR \register, 0x5678, 0x5678
    SELECTOR \register, 0xffff, 0xfffc
    SELECTOR \register, 0x1237, 0x1234
    .endr
    SELECTOR ss, 0, 0
    SELECTOR ss, 3, 0
    SELECTOR ss, 0x20, 0x20
    SELECTOR ss, 0x2b, 0x28
    SELECTOR ds, 0x08, 0x08

    .irp register, ds, es, fs, gs
CASE null_\register, "7.2.8", "MOV of a null selector to \register is allowed"
    GUEST "mov \register, ecx; syscall"
    GIVE RCX, 0
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN
    .endr

CASE far_return, "7.2.8", "A far return to the kernel's code is #GP with the selector's code"
    GUEST ".byte 0x48; retf"
    mov qword ptr [RAM + IMG_DATA], CODE
    mov qword ptr [RAM + IMG_DATA + 8], 0x08
    GIVE RSP, DATA
    EXPECT T_PROTFLT, CODE, err=8
    RUN

CASE far_return_user, "7.2.8 7.3.1", "A far return to the user's own code is a jump"
    GUEST ".byte 0x48; retf; syscall; syscall"
    mov qword ptr [RAM + IMG_DATA], CODE + 4
    mov qword ptr [RAM + IMG_DATA + 8], 0x2b
    GIVE RSP, DATA
    WANT RSP, DATA + 16
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN

    # Data.
    .irp bit, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63
CASE data_bit_\bit, "7.2.8 12.1", "Read, write and change of an address not canonical for bit \bit: #GP(0), addr 0"
    mov r15, (1 << \bit) + DATA
    GUEST "mov rax, [rsi]"
    GIVE RSI, r15
    EXPECT T_PROTFLT, CODE
    RUN
    GUEST "mov [rsi], rax"
    GIVE RSI, r15
    EXPECT T_PROTFLT, CODE
    RUN
    GUEST "lock inc byte ptr [rsi]"
    GIVE RSI, r15
    EXPECT T_PROTFLT, CODE
    RUN
    .endr

CASE data_edges, "7.2.8", "The first and the last address that is not canonical"
    .irp address, OUTSIDE, 0xffff7fffffffffff
    mov r15, \address
    GUEST "mov al, [rsi]"
    GIVE RSI, r15
    EXPECT T_PROTFLT, CODE
    RUN
    .endr

CASE data_string, "7.2.8 12.6", "A string instruction that comes to such an address has moved what is before it"
    mov r15, OUTSIDE
    GUEST "rep lodsb"
    GIVE RSI, r15
    GIVE RCX, 5
    EXPECT T_PROTFLT, CODE
    RUN

CASE data_index, "7.2.8", "It is the sum that counts: base, index and displacement may each be anything"
    mov qword ptr [RAM + IMG_DATA], 77
    GUEST "mov rax, [rsi + rdi*2 + 8]; syscall"
    mov r15, OUTSIDE
    GIVE RDI, r15
    neg r15
    add r15, r15
    add r15, DATA - 8
    GIVE RSI, r15
    WANT RAX, 77
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN

CASE lea, "7.2.8", "LEA, NOP and PREFETCH with such an address touch nothing"
    mov r15, OUTSIDE + 0x123
    GUEST "lea rax, [rsi]; nop dword ptr [rsi]; prefetcht0 [rsi]; syscall"
    GIVE RSI, r15
    WANT RAX, r15
    EXPECT T_FAST_SYSCALL, CODE + 11
    RUN

    # Jumps.  rip is at the jump, and the stack as it was; or at the target, and the stack as the jump
    # has left it: processors differ.
    .macro JUMP name, code, moved, title
CASE jump_\name, "12.12 7.2.9 12.1", "\title to an address that is not canonical is #GP(0)"
    .irp target, 0x800000000000, 0x8000000000020000, 0xffff7fffffffffff, 0x4000000000000000
    mov r15, \target
    mov [RAM + IMG_DATA + 0x100], r15
    GUEST \code
    GIVE RSI, DATA + 0x100
    GIVE RAX, r15
    GIVE RSP, DATA + 0x100
    EXPECT T_PROTFLT, CODE
    ANY RIP
    ANY RSP
    RUN
    mov rdx, DATA + 0x100
    mov rax, [frame + TF_RIP]
    cmp rax, r15
    jne .Lat_jump\name\target
    mov rax, CODE
    lea rdx, [rdx + \moved]
.Lat_jump\name\target:
    EQUAL rax, CODE
    EQUAL [frame + TF_RSP], rdx
    .endr
    .endm
    JUMP register, "jmp rax", 0, JMP through a register
    JUMP memory, "jmp qword ptr [rsi]", 0, JMP through memory
    JUMP call_register, "call rax", -8, CALL through a register
    JUMP call_memory, "call qword ptr [rsi]", -8, CALL through memory
    JUMP return, "ret", 8, RET
    JUMP return_more, "ret 16", 24, RET that drops words

    # To where nothing is, the jump is made.
CASE jump_to_nothing, "7.5.4 12.12", "A jump to a canonical address with nothing there is made, and faults there"
    GUEST "jmp rax"
    GIVE RAX, 0x7777
    EXPECT T_PAGEFLT, 0x7777, PGEX_U + PGEX_I, 0x7777
    RUN
    GUEST "call rax"
    GIVE RAX, 0x7777
    GIVE RSP, DATA + 0x100
    WANT RSP, DATA + 0xf8
    EXPECT T_PAGEFLT, 0x7777, PGEX_U + PGEX_I, 0x7777
    RUN
    WORD RAM + IMG_DATA + 0xf8, CODE + 2
    GUEST "ret"
    mov qword ptr [RAM + IMG_DATA], 0x7777
    GIVE RSP, DATA
    WANT RSP, DATA + 8
    EXPECT T_PAGEFLT, 0x7777, PGEX_U + PGEX_I, 0x7777
    RUN

CASE jump_to_kernel, "7.2.2 7.5.4", "A jump to the kernel's half is made, and faults there"
    mov r15, 0xffffffff80000000
    GUEST "jmp rax"
    GIVE RAX, r15
    EXPECT T_PAGEFLT, r15, addr=r15
    WANT_BITS ERR, ~PGEX_P, PGEX_U + PGEX_I
    RUN

    FINISH
