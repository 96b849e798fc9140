# vmspace_ctl that is refused: when, and that nothing is left of it.

.include "../conform.inc"

EDGE = 0x30000000                       # two pages, of which the second is what a case makes it
ACROSS = EDGE + PAGE_SIZE
NOWHERE = 0x7000000000                  # nothing is mapped there
FS_BASE = 0x123456789000
GS_BASE = 0x234567890000
TLS_FS = 0
TLS_GS = 1
INFO_SIZE = VEXT_GS_BASE

# UNTOUCHED: the guest has not run, nobody is in the vmspace, and the TLS bases are the process's.
.macro UNTOUCHED
    WORD RAM + IMG_DATA, 0
    SYSCALL SYS_get_tls_area, TLS_FS, info, INFO_SIZE
    OK
    mov rax, FS_BASE
    EQUAL [info], rax
    SYSCALL SYS_get_tls_area, TLS_GS, info, INFO_SIZE
    OK
    mov rax, GS_BASE
    EQUAL [info], rax
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    VMSPACE
.endm

# A case's start: a guest that would leave a trace, and frames that are good.
.macro READY
    mov qword ptr [RAM + IMG_DATA], 0
    GUEST "mov [rsi], rsp; syscall"
    GIVE RSI, DATA
    mov rax, GS_BASE
    mov [tls + VEXT_FS_BASE], rax       # not the process's own
.endm

.macro CTL tframe=frame, vframe=tls, command=VMSPACE_CTL_RUN
    SYSCALL SYS_vmspace_ctl, SPACE, \command, \tframe, \vframe
.endm

    IMAGE
    VMSPACE
    SYSCALL SYS_set_tls_area, TLS_FS, ours, INFO_SIZE
    OK
    SYSCALL SYS_set_tls_area, TLS_GS, ours + INFO_SIZE, INFO_SIZE
    OK

    .irp command, 0, 2, 3, 4, 0x7fffffff, 0x80000000, 0xffffffff
CASE command_\command, "6.5.1", "Command \command is EOPNOTSUPP"
    READY
    CTL command=\command
    REFUSED ERRNO_EOPNOTSUPP
    UNTOUCHED
    .endr

CASE command_before_frames, "6.5.1 6.5.2", "The command is looked at before the frames"
    READY
    CTL NOWHERE, NOWHERE, 2
    REFUSED ERRNO_EOPNOTSUPP
    UNTOUCHED

CASE id_before_command, "6.5.1 6.2.2", "The id is looked at before the command"
    SYSCALL SYS_vmspace_ctl, SPACE + 1, 2, frame, tls
    REFUSED ERRNO_ENOENT

CASE command_width, "6.5.1 1.2.4", "The command is an int: what is above its 32 bits is not looked at"
    READY
    mov r15, 0x123456700000001
    SYSCALL SYS_vmspace_ctl, SPACE, r15, NOWHERE, tls
    REFUSED ERRNO_EFAULT
    UNTOUCHED

    # Frames that cannot be read.
    .macro BAD name, where, title
CASE bad_tframe_\name, "6.5.2 6.5.3", "A frame is EFAULT \title"
    READY
    CTL tframe=\where
    REFUSED ERRNO_EFAULT
    UNTOUCHED
CASE bad_vframe_\name, "6.5.2 6.5.3", "An extended frame is EFAULT \title"
    READY
    CTL vframe=\where
    REFUSED ERRNO_EFAULT
    UNTOUCHED
    .endm
    BAD nowhere, NOWHERE, where nothing is mapped
    BAD null, 0, at 0
    BAD at_the_end, USER_MAX - 8, that goes beyond the user's addresses
    BAD beyond, USER_MAX, beyond the user's addresses
    BAD wrapping, -8, that wraps around
    BAD kernel, 0xffffffe000000000, in the kernel's half
    BAD non_canonical, 0x8000000000001000, at a non-canonical address
    BAD past_the_file, RAM + IMG_SIZE, beyond the end of the mapping

# SECOND prot: two pages, and the second can be used so; or not at all.
.macro SECOND prot
    SYSCALL7 SYS_mmap, EDGE, 2*PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    .ifc \prot, absent
    SYSCALL SYS_munmap, ACROSS, PAGE_SIZE
    .else
    SYSCALL SYS_mprotect, ACROSS, PAGE_SIZE, \prot
    .endif
    OK
.endm

    # Across a page end, with 1 to all but one of the bytes behind it.
    .macro CUT name, prot, title
CASE tframe_cut_\name, "6.5.2 6.5.3 6.5.7", "A frame of which any byte lies in \title is EFAULT"
    READY
    SECOND \prot
    mov r14, ACROSS - TF_SIZE + 1
1:
    CTL tframe=r14
    REFUSED ERRNO_EFAULT
    inc r14
    cmp r14, ACROSS
    jb 1b
    UNTOUCHED
CASE vframe_cut_\name, "6.5.2 6.5.3 6.5.7", "An extended frame of which any byte lies in \title is EFAULT"
    READY
    SECOND \prot
    mov r14, ACROSS - VEXT_SIZE + 1
1:
    CTL vframe=r14
    REFUSED ERRNO_EFAULT
    inc r14
    cmp r14, ACROSS
    jb 1b
    UNTOUCHED
    .endm
    CUT absent, absent, a page that is absent
    CUT no_access, PROT_NONE, a PROT_NONE page

CASE many_refusals, "6.5.3", "However often it is refused, nobody is left inside"
    READY
    mov r14d, 300
1:
    CTL vframe=NOWHERE
    REFUSED ERRNO_EFAULT
    dec r14d
    jnz 1b
    UNTOUCHED

CASE registers_kept, "6.5.3 1.3.2", "A refused vmspace_ctl leaves the registers as any failed call does"
    READY
    .irp register, rbx, rbp, r12, r13, r14, r15
    mov \register, 3*CONFORM_PATTERN
    .endr
    mov [own_rsp], rsp
    CTL vframe=NOWHERE
    REFUSED ERRNO_EFAULT
    EQUAL rsp, [own_rsp]
    EQUAL rdi, SPACE
    EQUAL rsi, VMSPACE_CTL_RUN
    EQUAL rdx, frame
    .irp register, rbx, rbp, r12, r13, r14, r15
    EQUAL \register, 3*CONFORM_PATTERN
    .endr

CASE runs_afterwards, "6.5.3 6.5.4", "After a refusal a good frame runs"
    READY
    CTL tframe=NOWHERE
    REFUSED ERRNO_EFAULT
    CTL vframe=NOWHERE
    REFUSED ERRNO_EFAULT
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    WORD RAM + IMG_DATA, 24*CONFORM_PATTERN

    FINISH

    .balign 8
ours:
    .quad FS_BASE, -1, GS_BASE, -1
info:
    .space INFO_SIZE
own_rsp:
    .quad 0
