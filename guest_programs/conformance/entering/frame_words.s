# Words of the frame that are not looked at on the way in, and what they are on the way out.

.include "../conform.inc"

    PLAIN_SPACE

# LEAVES word, value: whatever goes in, what comes out is what happened: by SYSCALL, an exception, a
# page fault, a breakpoint.
.macro LEAVES word, value
    GUEST "syscall"
    GIVE \word, \value
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    GUEST "ud2"
    GIVE \word, \value
    EXPECT T_PRIVINFLT, CODE
    RUN
    GUEST "mov rax, [0x7777]"
    GIVE \word, \value
    EXPECT T_PAGEFLT, CODE, PGEX_U, 0x7777
    RUN
    GUEST "int3"
    GIVE \word, \value
    EXPECT T_BPTFLT, CODE + 1
    RUN
    GUEST "hlt"
    GIVE \word, \value
    EXPECT T_PROTFLT, CODE
    RUN
.endm

    .irp value, 0, 3, 7, 9, 10, 12, 22, 0x80, 0x81, 0x100, 0xffffffffffffffff
CASE trapno_\value, "7.3.4 7.2.15", "tf_trapno \value is not looked at"
    LEAVES TRAPNO, \value
    .endr

    .irp value, 0, 5, 0x7777, 0x8000000000000000, 0xffffffffffffffff
CASE addr_\value, "7.3.4 7.2.15", "tf_addr \value is not looked at"
    LEAVES ADDR, \value
CASE err_\value, "7.3.4 7.2.15", "tf_err \value is not looked at"
    LEAVES ERR, \value
CASE flags_\value, "7.3.4", "tf_flags \value is not looked at"
    LEAVES FLAGS, \value
    .endr

CASE xflags, "7.3.4 7.2.15 7.6.4", "No bit of tf_xflags but 0x80 is looked at"
    mov r14, 1
1:
    cmp r14, 0x80
    je 2f
    GUEST "movaps xmm0, xmm1; fnop; syscall"
    GIVE XFLAGS, r14
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
2:
    add r14, r14
    jnz 1b

CASE every_word, "7.3.4 7.2.15", "All of them together, all bits set but 0x80 of xflags"
    GUEST "movaps xmm0, xmm1; fnop; ud2"
    .irp word, TRAPNO, ADDR, FLAGS, ERR
    GIVE \word, -1
    .endr
    GIVE XFLAGS, ~0x80
    EXPECT T_PRIVINFLT, CODE + 5
    RUN

    FINISH
