# SYSCALL in a guest: it comes back, whatever the number is and whatever else the registers hold.

.include "../conform.inc"

    PLAIN_SPACE

    .irp number, 0, 1, 4, 20, 198, 486, 488, 529, 530, 0x7fffffff, 0xffffffff, 0x100000000, 0xffffffffffffffff
CASE number_\number, "7.2.4 7.2.16 1.1.1", "SYSCALL with \number in RAX comes back behind it with err 2"
    GUEST "syscall"
    GIVE RAX, \number
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    .endr

CASE nothing_done, "7.2.4", "A guest's system call is none of the host's: exit, write and kill do nothing"
    mov qword ptr [RAM + IMG_DATA], 0x0a746f6e
    GUEST "syscall; mov eax, ebx; syscall; mov eax, ecx; syscall"
    GIVE RAX, SYS_exit
    GIVE RBX, SYS_write
    GIVE RDI, 1
    GIVE RSI, DATA
    GIVE RDX, 4
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    mov qword ptr [frame + TF_RCX], SYS_kill
    AGAIN
    WANT RAX, SYS_write
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN
    SYSCALL SYS_getpid
    mov [frame + TF_RDI], rax
    mov qword ptr [frame + TF_RSI], SIGKILL
    mov qword ptr [frame + TF_RCX], SYS_kill
    AGAIN
    WANT RAX, SYS_kill
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN

CASE r10, "7.2.4 4.1.2", "Slot rcx is R10, whatever RCX holds, so six words in a row are the arguments"
    GUEST "mov r10, rbx; mov rcx, rbp; syscall"
    mov rax, 8*CONFORM_PATTERN
    WANT R10, rax
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN
    .irp word, 1, 2, 3, 5, 6
    mov rax, \word*CONFORM_PATTERN
    WORD frame + 8*(\word - 1), rax
    .endr
    mov rax, 8*CONFORM_PATTERN
    WORD frame + 8*3, rax

CASE stack, "7.2.4 7.3.3", "The stack is not looked at"
    .irp rsp, 0, 1, 0x7777, 0x800000000000, 0xffffffe000000000, 0xffffffffffffffff
    GUEST "syscall"
    mov r15, \rsp
    GIVE RSP, r15
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    .endr

    .irp flags, 0x203, 0x206, 0x212, 0x242, 0x282, 0x602, 0xa02, 0x4202, 0x40202, 0x200202, 0x244ed7
CASE flags_\flags, "7.2.4 7.2.16", "SYSCALL with rflags \flags leaves them"
    ENTER CODE, \flags
    WANT RFLAGS, \flags
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    .endr

CASE prefixed, "7.2.4", "err is 2, and rip behind it, also where SYSCALL has prefixes"
    GUEST ".byte 0x66, 0x2e; syscall"
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

CASE behind, "7.2.4", "What precedes the call has been done, and what follows has not"
    GUEST "inc qword ptr [rsi]; syscall; inc qword ptr [rsi]"
    mov qword ptr [RAM + IMG_DATA], 5
    GIVE RSI, DATA
    WANT_BITS RFLAGS, ~(PSL_PF + PSL_AF), PSL_USER
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    WORD RAM + IMG_DATA, 6

CASE row, "7.2.4 7.4.1", "A thousand calls in a row, each where it should be"
    GUEST "1: syscall; dec ebx; jnz 1b"
    GIVE RBX, 1000
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    mov r15d, 999
1:
    AGAIN
    WANT RBX, r15
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    dec r15d
    jnz 1b

    FINISH
