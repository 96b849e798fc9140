# Words of the frame that are not looked at on the way in, and what they are on the way out.

.include "../conform.inc"

    PLAIN_SPACE

# TWICE word, value: the guest goes in with this, two times: the second time every page is there, and
# nothing but the event itself writes the frame.
.macro TWICE word, value, trap, rip, err=0, addr=0
    .irp time, 1, 2
    ENTER CODE
    GIVE \word, \value
    EXPECT \trap, CODE + \rip, \err, \addr
    RUN
    .endr
.endm

# LEAVES word, value: whatever goes in, what comes out is what happened: by SYSCALL, an exception, a
# page fault, a breakpoint.
.macro LEAVES word, value
    GUEST "syscall"
    TWICE \word, \value, T_FAST_SYSCALL, 2
    GUEST "ud2"
    TWICE \word, \value, T_PRIVINFLT, 0
    GUEST "cmp al, [rip + 0x7000000]"
    TWICE \word, \value, T_PAGEFLT, 0, PGEX_U, CODE + 6 + 0x7000000
    GUEST "int3"
    TWICE \word, \value, T_BPTFLT, 1
    GUEST "hlt"
    TWICE \word, \value, T_PROTFLT, 0
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
