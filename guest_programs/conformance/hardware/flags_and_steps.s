# RF and single steps, and prefixes that mean nothing.

.include "../conform.inc"

    PLAIN_SPACE

# RF by how the guest leaves, entered with RF and without.
    .macro RESUME name, code, trap, rip, rf, title, err=0, addr=0
CASE rf_\name, "12.1", "RF after \title"
    .irp given, 0, PSL_RF
    GUEST \code
    GIVE RCX, 0
    GIVE RFLAGS, PSL_USER + \given
    WANT RFLAGS, PSL_USER
    EXPECT \trap, CODE + \rip, err=\err, addr=\addr
    WANT RFLAGS, PSL_USER + \rf
    RUN
    .endr
    .endm
    RESUME divide, "div ecx", T_DIVIDE, 0, PSL_RF, DIV by zero: set
    RESUME undefined, "ud2", T_PRIVINFLT, 0, PSL_RF, UD2: set
    RESUME general, "hlt", T_PROTFLT, 0, PSL_RF, HLT: set
    RESUME int_n, "int 0x80", T_PROTFLT, 0, PSL_RF, INT n: set, err=0x402
    RESUME page_fault, "mov eax, [rip + 0x7000000]", T_PAGEFLT, 0, PSL_RF, a page fault: set, err=PGEX_U, addr=CODE + 6 + 0x7000000
    RESUME behind, "nop; ud2", T_PRIVINFLT, 1, PSL_RF, an instruction and a fault: set by the fault
    RESUME system_call, "syscall", T_FAST_SYSCALL, 2, 0, SYSCALL: clear
    RESUME breakpoint, "int3", T_BPTFLT, 1, 0, INT3: clear
    RESUME breakpoint_2, ".byte 0xcd, 3", T_BPTFLT, 2, 0, INT 3: clear
    RESUME icebp, ".byte 0xf1", T_TRCTRAP, 1, 0, ICEBP: clear
    RESUME completed, "nop; syscall", T_FAST_SYSCALL, 3, 0, an instruction: used up

CASE rf_step, "12.1 7.2.6", "RF after a single step: clear"
    .irp given, 0, PSL_RF
    GUEST "nop; ud2"
    GIVE RFLAGS, PSL_USER + PSL_T + \given
    WANT RFLAGS, PSL_USER
    EXPECT T_TRCTRAP, CODE + 1
    RUN
    .endr

CASE rf_resolved, "12.1 7.1.1", "RF is no more behind an access that the host has resolved"
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + 0x100000, PAGE_SIZE, RWX, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0
    OK
    GUEST "mov [rsi], eax; syscall"
    GIVE RSI, CODE + 0x100000
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

CASE rf_pushed, "12.1 12.2", "PUSHFQ shows RF and VM as 0"
    GUEST "pushfq; pop rbx; syscall"
    GIVE RSP, DATA + 0x100
    GIVE RFLAGS, PSL_USER + PSL_RF + PSL_VM
    WANT RFLAGS, PSL_USER
    WANT RBX, PSL_USER
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN

    # MOV SS holds back what a single step would report, for one instruction.
CASE mov_ss, "12.9", "A step of MOV SS is one of the instruction behind it, too"
    GUEST "mov ss, ecx; not rbx; not rdx; ud2"
    GIVE RCX, 0x23
    or qword ptr [frame + TF_RFLAGS], PSL_T
    mov rax, ~(8*CONFORM_PATTERN)
    WANT RBX, rax
    EXPECT T_TRCTRAP, CODE + 5
    RUN
    AGAIN
    or qword ptr [frame + TF_RFLAGS], PSL_T
    mov rax, ~(3*CONFORM_PATTERN)
    WANT RDX, rax
    EXPECT T_TRCTRAP, CODE + 8
    RUN

CASE mov_ss_fault, "12.9 7.2.10", "A fault right behind MOV SS is that fault, with T set"
    GUEST "mov ss, ecx; ud2"
    GIVE RCX, 0x23
    or qword ptr [frame + TF_RFLAGS], PSL_T
    or qword ptr [wanted + TF_RFLAGS], PSL_T
    EXPECT T_PRIVINFLT, CODE + 2
    RUN

CASE mov_ds, "12.9 7.2.6", "MOV to another segment register holds nothing back"
    GUEST "mov ds, ecx; not rbx; ud2"
    GIVE RCX, 0x23
    or qword ptr [frame + TF_RFLAGS], PSL_T
    EXPECT T_TRCTRAP, CODE + 2
    RUN

    # Prefixes of segments that are flat in 64-bit code.
    .irp prefix, 0x26, 0x2e, 0x36, 0x3e
CASE segment_\prefix, "7.2.16", "The segment prefix \prefix means nothing in 64-bit code"
    mov qword ptr [RAM + IMG_DATA + 8], 77
    mov qword ptr [tls + VEXT_FS_BASE], PAGE_SIZE
    GUEST ".byte \prefix; mov rax, [rsi + 8]; syscall"
    GIVE RSI, DATA
    WANT RAX, 77
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    .endr

CASE segment_lea, "7.2.16 4.2.1", "LEA with an FS prefix does not add the base, a load does"
    mov qword ptr [RAM + IMG_DATA + 8], 77
    mov qword ptr [tls + VEXT_FS_BASE], PAGE_SIZE
    GUEST ".byte 0x64; lea rbx, [rsi + 8]; mov rax, fs:[rsi + 8]; syscall"
    GIVE RSI, DATA - PAGE_SIZE
    WANT RBX, DATA - PAGE_SIZE + 8
    WANT RAX, 77
    EXPECT T_FAST_SYSCALL, CODE + 12
    RUN

CASE address_size, "7.2.16", "With an address-size prefix the address has 32 bits"
    mov qword ptr [RAM + IMG_DATA + 8], 77
    mov qword ptr [tls + VEXT_FS_BASE], PAGE_SIZE
    GUEST "mov rax, [esi + 8]; syscall"
    mov rax, 0x7777777700000000 + DATA
    GIVE RSI, rax
    WANT RAX, 77
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN

    FINISH
