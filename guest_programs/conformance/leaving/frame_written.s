# Writing the frame when a guest comes back: what if that cannot be done.

.include "../conform.inc"
.include "frame.inc"

KVA = 0x40000000                        # memory behind page tables in the image
SHOWN = 0x30000
A_PAGE = IMG_DATA + 2*PAGE_SIZE

# COUNTS: a guest that counts up a word before it leaves.
.macro COUNTS
    mov qword ptr [RAM + IMG_DATA], 0
    GUEST "inc qword ptr [rsi]; syscall"
    GIVE RSI, DATA
.endm

    IMAGE
    VMSPACE

CASE read_only, "7.4.3", "A frame that can be read but not written: the guest runs, then EFAULT"
    PAGE_WITH
    COUNTS
    COPY_FRAME PAGE
    SYSCALL SYS_mprotect, PAGE, PAGE_SIZE, PROT_READ
    OK
    CTL PAGE
    REFUSED ERRNO_EFAULT
    WORD RAM + IMG_DATA, 1
    WORD PAGE + TF_RSI, DATA            # the frame is as it went in
    WORD PAGE + TF_RIP, CODE
    NOBODY_INSIDE

CASE read_only_tail, "7.4.3 6.5.7", "So it is with a frame of which any byte lies in a read-only page"
    PAGE_WITH
    mov r14, PAGE + PAGE_SIZE - TF_SIZE + 1
1:
    SYSCALL SYS_mprotect, PAGE, 2*PAGE_SIZE, PROT_READ + PROT_WRITE
    OK
    COUNTS
    COPY_FRAME r14
    SYSCALL SYS_mprotect, PAGE + PAGE_SIZE, PAGE_SIZE, PROT_READ
    OK
    CTL r14
    REFUSED ERRNO_EFAULT
    WORD RAM + IMG_DATA, 1
    inc r14
    cmp r14, PAGE + PAGE_SIZE
    jb 1b
    NOBODY_INSIDE

CASE own_registers, "7.4.3 7.4.1", "With EFAULT one's own registers are as after a success, but for RAX and CF"
    PAGE_WITH
    COUNTS
    COPY_FRAME PAGE
    SYSCALL SYS_mprotect, PAGE, PAGE_SIZE, PROT_READ
    OK
    .irp register, rbx, rbp, r12, r13, r14, r15
    push \register
    .endr
    .irp register, rbx, rbp, r13, r14, r15, r8, r9
    mov \register, 0x5050505050505050
    .endr
    mov [own_rsp], rsp
    mov rdi, SPACE
    mov esi, VMSPACE_CTL_RUN
    mov rdx, PAGE
    mov r10, tls
    mov eax, SYS_vmspace_ctl
    syscall
    REFUSED ERRNO_EFAULT
    EQUAL rcx, tls
    EQUAL rdx, PAGE
    EQUAL rdi, SPACE
    EQUAL rsi, VMSPACE_CTL_RUN
    EQUAL rsp, [own_rsp]
    mov rax, 0x5050505050505050
    .irp register, rbx, rbp, r13, r14, r15, r8, r9
    EQUAL \register, rax
    .endr
    .irp register, r15, r14, r13, r12, rbp, rbx
    pop \register
    .endr

CASE own_bases, "7.4.3 7.4.4", "With EFAULT one's own FS base is back"
    SYSCALL SYS_set_tls_area, 0, our_fs, 16
    OK
    PAGE_WITH
    COUNTS
    COPY_FRAME PAGE
    SYSCALL SYS_mprotect, PAGE, PAGE_SIZE, PROT_READ
    OK
    CTL PAGE
    REFUSED ERRNO_EFAULT
    EQUAL fs:[0], our_fs

CASE state_lost, "7.4.3", "After EFAULT the next RUN begins with the frame it is given"
    PAGE_WITH
    GUEST "inc rbx; inc rbx; syscall"
    COPY_FRAME PAGE
    SYSCALL SYS_mprotect, PAGE, PAGE_SIZE, PROT_READ
    OK
    CTL PAGE
    REFUSED ERRNO_EFAULT
    WANT RBX, 8*CONFORM_PATTERN + 2
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN

CASE tabled_read_only, "7.4.3 7.4.6 6.13.6", "One's own tables refuse the write: EFAULT, and M is not set"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    SYSCALL7 SYS_mmap, KVA, 0x200000, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, 0
    OK
    SYSCALL SYS_mcontrol, KVA, 0x200000, MADV_SETMAP, ROOT
    OK
    COUNTS
    COPY_FRAME RAM + A_PAGE
    CTL KVA + SHOWN
    REFUSED ERRNO_EFAULT
    WORD RAM + IMG_DATA, 1
    ENTRY SHOWN, A_PAGE + PTE_R + VPTE_A

    # The guest, which sees the image, takes the frame's page away from the virtual kernel.
    .macro TAKEN_AWAY name, entry, title
CASE taken_\name, "7.4.3 7.4.6 6.14.8", "The guest changes the table: \title"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_RW
    SYSCALL7 SYS_mmap, KVA, 0x200000, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, 0
    OK
    SYSCALL SYS_mcontrol, KVA, 0x200000, MADV_SETMAP, ROOT
    OK
    GUEST "mov [rsi], rdx; syscall"
    GIVE RSI, CODE + IMG_PT + SHOWN/PAGE_SIZE*8
    GIVE RDX, \entry
    COPY_FRAME RAM + A_PAGE
    CTL KVA + SHOWN
    .endm
    TAKEN_AWAY absent, 0, an entry that is not valid any more is EFAULT
    REFUSED ERRNO_EFAULT
    ENTRY SHOWN, 0
    TAKEN_AWAY unwritable, A_PAGE + PTE_R, an entry that cannot be written any more is EFAULT
    REFUSED ERRNO_EFAULT
    ENTRY SHOWN, A_PAGE + PTE_R

    FINISH

    .balign 8
own_rsp:
    .quad 0
our_fs:
    .quad our_fs, -1
