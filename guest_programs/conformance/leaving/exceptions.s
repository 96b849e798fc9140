# Exceptions of a guest, one by one.
.include "../conform.inc"

    PLAIN_SPACE

CASE divide, "3.4.1 7.2.10 12.1", "DIV by zero is T_DIVIDE, at the instruction"
    GUEST "xor ecx, ecx; div ecx"
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_DIVIDE, CODE + 2
    RUN

CASE undefined, "3.4.5 7.2.10", "UD2 is T_PRIVINFLT, at the instruction"
    GUEST "ud2"
    EXPECT T_PRIVINFLT, CODE
    RUN

CASE system_call, "7.2.4 7.2.16", "SYSCALL comes back behind it with err 2"
    GUEST "mov rax, 77; syscall"
    WANT RAX, 77
    EXPECT T_FAST_SYSCALL, CODE + 9
    RUN

    .irp vector, 0, 1, 2, 4, 5, 6, 7, 8, 0xd, 0xe, 0x20, 0x80, 0x81, 0xff
CASE int_\vector, "1.1.2 7.2.7", "INT \vector is #GP with the vector's error code"
    GUEST "int \vector"
    EXPECT T_PROTFLT, CODE, err=\vector*8 + 2
    RUN
    .endr

    FINISH
