# What becomes of rflags, cs and ss on the way in, bit by bit.

.include "../conform.inc"

FORCED = 0x202                          # IF, and bit 1 that is always set
STACK = DATA + PAGE_SIZE

    PLAIN_SPACE

# FLAGS rflags, wanted: the guest enters with these, and looks at them (where RF and VM read as 0).
.macro FLAGS rflags, wanted
    GUEST "pushfq; pop rbx; syscall"
    GIVE RSP, STACK
    GIVE RFLAGS, \rflags
    WANT RFLAGS, \wanted
    WANT RBX, \wanted
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN
.endm

    .irp bit, 0, 2, 4, 6, 7, 10, 11, 14, 18, 21
CASE kept_\bit, "7.3.2 7.2.16", "Bit \bit of rflags gets into the guest and back"
    FLAGS FORCED + (1 << \bit), FORCED + (1 << \bit)
CASE clear_\bit, "7.3.2 7.2.16", "Bit \bit of rflags stays clear where all others are set"
    FLAGS (0x244cd7 | 0x202) & ~(1 << \bit), (0x244cd7 | 0x202) & ~(1 << \bit)
    .endr

    .irp bit, 1, 9
CASE forced_\bit, "7.3.2", "Bit \bit of rflags is set even if the frame has it clear"
    FLAGS FORCED & ~(1 << \bit), FORCED
    .endr

    .irp bit, 3, 5, 12, 13, 15, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39
CASE dropped_\bit, "7.3.2", "Bit \bit of rflags is dropped"
    FLAGS FORCED + (1 << \bit), FORCED
    .endr

CASE dropped_high, "7.3.2", "Each of the bits 40 to 63 of rflags is dropped"
    mov r14, 1 << 40
1:
    lea rbp, [r14 + FORCED]
    FLAGS rbp, FORCED
    add r14, r14
    jnz 1b

CASE dropped_vm, "7.3.2 12.2", "VM, bit 17, cannot be set in 64-bit mode and reads back as 0"
    FLAGS FORCED + PSL_VM, FORCED
CASE dropped_vm_at_once, "12.2", "VM reads back as 0 also by a fault at the first instruction"
    GUEST "ud2"
    GIVE RFLAGS, FORCED + PSL_VM
    WANT RFLAGS, FORCED
    EXPECT T_PRIVINFLT, CODE
    RUN

CASE none, "7.3.2", "No flag at all: IF and bit 1"
    FLAGS 0, FORCED

CASE every_flag, "7.3.2 12.1", "Every flag but T and VM: what a user may set, and RF is used up"
    FLAGS 0xfffffffffffdfeff, 0x244ed7

CASE every_flag_fault, "7.3.2 12.1", "Every flag but T and VM, and a fault at once: the same and RF"
    GUEST "ud2"
    GIVE RFLAGS, 0xfffffffffffdfeff
    WANT RFLAGS, 0x254ed7
    EXPECT T_PRIVINFLT, CODE
    RUN

CASE every_flag_syscall, "7.3.2 12.1 7.2.4", "Every flag but T, and SYSCALL at once: the flags without RF and VM"
    GUEST "syscall"
    GIVE RFLAGS, 0xfffffffffffffeff
    WANT RFLAGS, 0x244ed7
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN

CASE trace, "7.3.2 7.2.6", "T, bit 8, gets in: the guest comes back after one instruction"
    GUEST "mov ebx, 5; syscall"
    GIVE RFLAGS, FORCED + PSL_T
    WANT RFLAGS, FORCED
    WANT RBX, 5
    EXPECT T_TRCTRAP, CODE + 5
    RUN

CASE guest_sets, "7.3.2 7.2.16", "A guest's own POPFQ changes what a user may set, and comes back"
    GUEST "push rbx; popfq; syscall"
    GIVE RSP, STACK
    GIVE RBX, 0xfffffffffffffeff
    WANT RFLAGS, 0x244ed7
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

CASE guest_clears, "7.3.2 7.2.16", "A guest's own POPFQ of 0 leaves it IF and bit 1"
    GUEST "push rbx; popfq; syscall"
    GIVE RSP, STACK
    GIVE RBX, 0
    GIVE RFLAGS, 0x244ed7
    WANT RFLAGS, FORCED
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

CASE entered_means, "7.3.2 7.2.16", "The flags mean something: ADC, SETcc and STOSB see CF, ZF, SF, OF, PF and DF"
    GUEST "adc rax, 0; setz bl; sets cl; seto dl; setp r8b; pushfq; popfq; stosb; syscall"
    .irp word, RAX, RBX, RCX, RDX, R8
    GIVE \word, 0
    .endr
    GIVE RAX, 0x7fffffffffffffff
    GIVE RDI, DATA + 100
    GIVE RSP, STACK
    GIVE RFLAGS, FORCED + PSL_C + PSL_D
    mov rax, 0x8000000000000000
    WANT RAX, rax
    WANT RBX, 0
    WANT RCX, 1
    WANT RDX, 1
    WANT R8, 1
    WANT RDI, DATA + 99
    WANT RFLAGS, FORCED + PSL_V + PSL_N + PSL_AF + PSL_PF + PSL_D
    EXPECT T_FAST_SYSCALL, CODE + 22
    RUN

# SELECTORS cs, ss: whatever the frame says of them.
.macro SELECTORS cs, ss
    GUEST "mov ebx, cs; mov ecx, ss; syscall"
    GIVE CS, \cs
    GIVE SS, \ss
    WANT CS, 0x2b
    WANT SS, 0x23
    WANT RBX, 0x2b
    WANT RCX, 0x23
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN
    GUEST "ud2"
    GIVE CS, \cs
    GIVE SS, \ss
    WANT CS, 0x2b
    WANT SS, 0x23
    EXPECT T_PRIVINFLT, CODE
    RUN
.endm

    .irp selector, 0, 0x2b, 0x23, 0x1b, 0x08, 0x10, 0x28, 0x33, 0xffff, 0x10000, 0xffffffffffffffff
CASE selectors_\selector, "7.3.1", "cs is 0x2b and ss 0x23, if the frame says \selector"
    SELECTORS \selector, \selector
    .endr

    FINISH
