# FS and GS base: the guest's come from the extended frame, the virtual kernel's come back.

.include "../conform.inc"

TLS_FS = 0
TLS_GS = 1
INFO_SIZE = VEXT_GS_BASE - VEXT_FS_BASE
ONE = DATA                              # two places in the guest's memory
TWO = DATA + PAGE_SIZE

# BASES fs, gs: for the guest.
.macro BASES fs=0, gs=0
    mov r11, \fs
    mov [tls + VEXT_FS_BASE], r11
    mov r11, \gs
    mov [tls + VEXT_GS_BASE], r11
    mov qword ptr [tls + VEXT_FS_BASE + 8], 0
    mov qword ptr [tls + VEXT_GS_BASE + 8], 0
.endm

# OWN: the process has its own bases.
.macro OWN
    EQUAL fs:[0], 11
    EQUAL gs:[0], 22
    SYSCALL SYS_get_tls_area, TLS_FS, got, INFO_SIZE
    OK
    EQUAL [got], our_fs
    SYSCALL SYS_get_tls_area, TLS_GS, got, INFO_SIZE
    OK
    EQUAL [got], our_gs
.endm

# SEES rax, rdx: what FS:0 and GS:0 are to the guest.
.macro SEES fs, gs
    GUEST "mov rax, fs:[rsi]; mov rdx, gs:[rsi]; syscall"
    GIVE RSI, 0
    WANT RAX, \fs
    WANT RDX, \gs
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN
.endm

    PLAIN_SPACE
    mov qword ptr [RAM + IMG_DATA], 33
    mov qword ptr [RAM + IMG_DATA + PAGE_SIZE], 44
    SYSCALL SYS_set_tls_area, TLS_FS, ours, INFO_SIZE
    OK
    SYSCALL SYS_set_tls_area, TLS_GS, ours + INFO_SIZE, INFO_SIZE
    OK

CASE both, "4.2.1 6.5.4 7.4.4", "The guest has the bases of the extended frame, the process has its own back"
    BASES ONE, TWO
    SEES 33, 44
    OWN

CASE exchanged, "4.2.1 6.5.4 7.4.4", "FS is the first pair of words and GS the second"
    BASES TWO, ONE
    SEES 44, 33
    OWN

CASE none, "6.5.4", "A base of 0 is one: FS and GS are then as DS"
    BASES 0, 0
    GUEST "mov rax, fs:[rsi]; mov rdx, gs:[rdi]; syscall"
    GIVE RSI, ONE
    GIVE RDI, TWO
    WANT RAX, 33
    WANT RDX, 44
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN
    OWN

    .irp size, 1, 0xffffffffffffffff, 0x7fffffffffffffff, 0x8000000000000000
CASE sizes_\size, "4.2.2", "Sizes are ignored, such as \size"
    BASES ONE, TWO
    mov rax, \size
    mov [tls + VEXT_FS_BASE + 8], rax
    mov [tls + VEXT_GS_BASE + 8], rax
    SEES 33, 44
    .endr

CASE not_written, "6.5.5", "The extended frame is as it was, whatever the guest does"
    BASES ONE, TWO
    mov rax, CONFORM_PATTERN
    mov [tls + VEXT_FS_BASE + 8], rax
    not rax
    mov [tls + VEXT_GS_BASE + 8], rax
    SEES 33, 44
    EQUAL [tls + VEXT_FS_BASE], ONE
    EQUAL [tls + VEXT_GS_BASE], TWO
    mov rax, CONFORM_PATTERN
    EQUAL [tls + VEXT_FS_BASE + 8], rax
    not rax
    EQUAL [tls + VEXT_GS_BASE + 8], rax

CASE next_run, "6.5.4", "Each RUN has the bases that the extended frame holds then"
    BASES ONE, TWO
    SEES 33, 44
    BASES TWO, TWO
    SEES 44, 44
    BASES ONE, ONE
    SEES 33, 33
    OWN

CASE own_meanwhile, "7.4.4 6.5.4", "Bases that the process sets between two RUNs are its own, not the guest's"
    BASES ONE, TWO
    SEES 33, 44
    SYSCALL SYS_set_tls_area, TLS_FS, ours + INFO_SIZE, INFO_SIZE
    OK
    SEES 33, 44
    EQUAL fs:[0], 22
    SYSCALL SYS_set_tls_area, TLS_FS, ours, INFO_SIZE
    OK
    OWN

CASE stored_through, "6.5.4 7.4.4", "What the guest stores through FS and GS is where they lead"
    BASES ONE, TWO
    GUEST "mov fs:[rsi], rdx; mov gs:[rsi], rdi; syscall"
    GIVE RSI, 8
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN
    WORD RAM + IMG_DATA + 8, 3*CONFORM_PATTERN
    WORD RAM + IMG_DATA + PAGE_SIZE + 8, CONFORM_PATTERN
    EQUAL [our_fs + 8], 0
    EQUAL [our_gs + 8], 0

CASE all_64_bits, "6.5.4 4.2.1", "A base has 64 bits: one of the upper half wraps around"
    mov r15, 0xffffffff00000000
    BASES r15, r15
    GUEST "mov rax, fs:[rsi]; mov rdx, gs:[rdi]; syscall"
    mov rax, 0x100000000 + ONE
    GIVE RSI, rax
    mov rax, 0x100000000 + TWO
    GIVE RDI, rax
    WANT RAX, 33
    WANT RDX, 44
    EXPECT T_FAST_SYSCALL, CODE + 10
    RUN
    OWN

    # However the guest leaves.
    .macro LEAVES name, code, title
CASE back_\name, "7.4.4", "One's own bases are back after \title"
    BASES ONE, TWO
    GUEST \code
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    OK
    OWN
    .endm
    LEAVES breakpoint, "int3", INT3
    LEAVES exception, "ud2", an exception
    LEAVES page_fault, "mov rax, [0x7777]", a page fault
    LEAVES privileged, "hlt", a privileged instruction

CASE fault_through, "7.2.1 7.5.6 6.5.4", "A page fault through FS reports the linear address"
    mov r15, 0x700000
    BASES 0, r15
    GUEST "mov rax, gs:[rsi + 0x77]"
    GIVE RSI, 0x7000
    EXPECT T_PAGEFLT, CODE, PGEX_U, 0x707077
    RUN

    # Selectors.  0x23 is the user's data segment, whose base is 0.
CASE selector_loaded, "6.5.4 7.4.4 7.3.1", "A selector that the guest loads changes its base until the next RUN"
    BASES ONE, TWO
    GUEST "mov ecx, 0x23; mov fs, ecx; mov gs, ecx; mov rax, fs:[rsi]; mov rdx, gs:[rdi]; syscall"
    GIVE RSI, ONE
    GIVE RDI, TWO
    WANT RCX, 0x23
    WANT RAX, 33
    WANT RDX, 44
    EXPECT T_FAST_SYSCALL, CODE + 19
    RUN
    OWN
    SEES 33, 44
    OWN

CASE null_selector, "7.4.4 6.5.4", "A null selector that the guest loads leaves no trace"
    BASES ONE, TWO
    GUEST "xor ecx, ecx; mov fs, ecx; mov gs, ecx; syscall"
    WANT RCX, 0
    WANT RFLAGS, PSL_USER + PSL_Z + PSL_PF
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN
    OWN
    SEES 33, 44

    .irp register, ds, es
CASE data_\register, "7.2.16", "\register has no base in 64-bit mode, whatever is loaded"
    GUEST "mov ecx, 0x23; mov \register, ecx; mov rax, [rsi]; syscall"
    GIVE RSI, ONE
    WANT RAX, 33
    WANT RCX, 0x23
    EXPECT T_FAST_SYSCALL, CODE + 12
    RUN
    .endr

CASE no_third, "6.5.8", "set_tls_area knows FS and GS: a third is ERANGE"
    SYSCALL SYS_set_tls_area, TLS_GS + 1, ours, INFO_SIZE
    REFUSED ERRNO_ERANGE
    SYSCALL SYS_get_tls_area, TLS_GS + 1, got, INFO_SIZE
    REFUSED ERRNO_ERANGE

    FINISH

    .balign 8
ours:
    .quad our_fs, -1, our_gs, -1
our_fs:
    .quad 11, 0
our_gs:
    .quad 22, 0
got:
    .space INFO_SIZE
