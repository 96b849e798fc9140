# struct trapframe, word by word: the offsets here are the header's own.

.include "../conform.inc"

VALUE = 0x123456789abcdef0
EDGE = 0x30000000                       # a page with nothing behind it

    PLAIN_SPACE

    # A guest that changes one register.
    .macro REGISTER register, offset
CASE word_of_\register, "4.1.1", "The word at \offset is \register"
    GUEST "not \register; int3"
    mov r11, VALUE
    mov [frame + \offset], r11
    not r11
    mov [wanted + \offset], r11
    EXPECT T_BPTFLT, CODE + 4
    RUN
    .endm
    REGISTER rdi, 0x00
    REGISTER rsi, 0x08
    REGISTER rdx, 0x10
    REGISTER rcx, 0x18
    REGISTER r8, 0x20
    REGISTER r9, 0x28
    REGISTER rax, 0x30
    REGISTER rbx, 0x38
    REGISTER rbp, 0x40
    REGISTER r10, 0x48
    REGISTER r11, 0x50
    REGISTER r12, 0x58
    REGISTER r13, 0x60
    REGISTER r14, 0x68
    REGISTER r15, 0x70
    REGISTER rsp, 0xb8

CASE word_of_xflags, "4.1.1", "The word at 0x78 is tf_xflags: with 0x80 the first FP instruction faults"
    GUEST "fld1; int3"
    mov qword ptr [frame + 0x78], 0x80
    EXPECT T_DNA, CODE
    RUN
    WORD frame + 0x78, 0

CASE word_of_trapno, "4.1.1", "The word at 0x80 is tf_trapno"
    GUEST "int3"
    EXPECT T_BPTFLT, CODE + 1
    RUN
    WORD frame + 0x80, 3

CASE word_of_addr, "4.1.1", "The word at 0x88 is tf_addr"
    GUEST "mov r15, 0x12345678; mov al, [r15]"
    WANT R15, 0x12345678
    EXPECT T_PAGEFLT, CODE + 7, err=PGEX_U, addr=0x12345678
    ANY RIP                             # how long a MOV is belongs to the assembler
    RUN
    WORD frame + 0x88, 0x12345678

CASE word_of_err, "4.1.1", "The word at 0x98 is tf_err"
    GUEST "int 0x20"
    EXPECT T_PROTFLT, CODE, err=0x102
    RUN
    WORD frame + 0x98, 0x102

CASE word_of_rip, "4.1.1", "The word at 0xa0 is tf_rip"
    GUEST "ud2; nop; int3"
    mov qword ptr [frame + 0xa0], CODE + 2
    EXPECT T_BPTFLT, CODE + 4
    RUN
    WORD frame + 0xa0, CODE + 4

CASE word_of_cs, "4.1.1", "The word at 0xa8 is tf_cs"
    GUEST "int3"
    mov qword ptr [frame + 0xa8], 0
    EXPECT T_BPTFLT, CODE + 1
    RUN
    WORD frame + 0xa8, 0x2b

CASE word_of_rflags, "4.1.1", "The word at 0xb0 is tf_rflags"
    GUEST "stc; int3"
    mov qword ptr [frame + 0xb0], 0x242
    mov qword ptr [wanted + 0xb0], 0x243
    EXPECT T_BPTFLT, CODE + 2
    RUN

CASE word_of_ss, "4.1.1", "The word at 0xc0 is tf_ss"
    GUEST "int3"
    mov qword ptr [frame + 0xc0], 0
    EXPECT T_BPTFLT, CODE + 1
    RUN
    WORD frame + 0xc0, 0x23

CASE arguments, "4.1.2 7.2.4", "The first six words are the arguments of the guest's system call"
    GUEST "mov edi, 1; mov esi, 2; mov edx, 3; mov r10d, 4; mov r8d, 5; mov r9d, 6; syscall"
    EXPECT T_FAST_SYSCALL, 0
    .irp word, RDI, RSI, RDX, RCX, R8, R9, RIP
    ANY \word
    .endr
    RUN
    .irp argument, 1, 2, 3, 4, 5, 6
    WORD frame + 8*\argument - 8, \argument
    .endr

CASE frame_is_200_bytes, "4.1.1 6.5.7", "A frame is 200 bytes: it may end where its page ends"
    call edge
    GUEST "not rax; int3"
    mov rsi, frame
    mov rdi, EDGE + PAGE_SIZE - 200
    mov ecx, 25
    rep movsq
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, EDGE + PAGE_SIZE - 200, tls
    OK
    WORD EDGE + PAGE_SIZE - 200 + 0x80, T_BPTFLT
    WORD EDGE + PAGE_SIZE - 8, 0x23

CASE frame_is_not_less, "4.1.1 6.5.2", "A frame of which one byte is missing is EFAULT"
    call edge
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, EDGE + PAGE_SIZE - 199, tls
    REFUSED ERRNO_EFAULT

CASE nothing_else_written, "4.1.1", "What lies before and behind the frame is left alone"
    GUEST "int3"
    mov rsi, frame
    mov rdi, room + 8
    mov ecx, 25
    rep movsq
    mov qword ptr [room], VALUE & 0x7fffffff
    mov qword ptr [room + 208], VALUE & 0x7fffffff
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, room + 8, tls
    OK
    WORD room, VALUE & 0x7fffffff
    WORD room + 208, VALUE & 0x7fffffff

    FINISH

# A page of zeros at EDGE.
edge:
    SYSCALL7 SYS_mmap, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    ret

    .balign 8
room:
    .zero 216
