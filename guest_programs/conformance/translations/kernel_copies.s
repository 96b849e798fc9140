# What the kernel reads and writes for the virtual kernel in a MAP_VPAGETABLE mapping: it goes through
# the table, and sets A and M, as an access of the program's own would.

.include "../walk.inc"

AREA = 0x20000000                       # two pages: the table's SEEN, and the next
NEXT = AREA + PAGE_SIZE
AT_B = IMG_DATA + PAGE_SIZE
SOURCE = 8*PAGE_SIZE                    # in the image
MARK = 0x6d61726b

    IMAGE
    MMAP AREA, 2*PAGE_SIZE, RW, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_vmspace_create, SPACE
    OK
    SPACE_MMAP CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12
    OK
    mov qword ptr [RAM + SOURCE], MARK

# Fresh tables, and nothing translated.
.macro OWN_PATH leaf=E1
    call walk_tables
    mov qword ptr [L1], \leaf
    SYSCALL SYS_mcontrol, AREA, 2*PAGE_SIZE, MADV_SETMAP, E5
    OK
.endm

.macro OWN_INVAL
    SYSCALL SYS_madvise, AREA, 2*PAGE_SIZE, MADV_INVAL
    OK
.endm

CASE own_accesses, "6.14.8 6.13.10 6.13.11", "First what the program's own accesses do: A, then A and M"
    OWN_PATH
    mov rax, [AREA]
    MARKS 1, VPTE_A
    mov [AREA], rax
    MARKS 1, AM

CASE write_call, "6.14.8", "write(2) reads its buffer: A"
    OWN_PATH
    SYSCALL SYS_extpwrite, r12, AREA, 8, 0, IMG_SCRATCH
    OK
    EQUAL rax, 8
    MARKS 1, VPTE_A

CASE read_call, "6.14.8", "read(2) writes its buffer: A and M"
    OWN_PATH
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    OK
    EQUAL rax, 8
    MARKS 1, AM
    WORD RAM + IMG_DATA, MARK

CASE read_call_refused, "6.14.8 6.13.12", "read(2) into what has no W is EFAULT; the directories are marked"
    OWN_PATH IMG_DATA+PTE_R
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    REFUSED ERRNO_EFAULT
    WORD L2, E2 + AM
    WORD L1, IMG_DATA + PTE_R
    SYSCALL SYS_extpwrite, r12, AREA, 8, 0, IMG_SCRATCH
    OK
    WORD L1, IMG_DATA + PTE_R + VPTE_A

CASE not_valid, "6.14.8 6.13.4", "Neither goes where nothing is valid"
    OWN_PATH 0
    SYSCALL SYS_extpwrite, r12, AREA, 8, 0, IMG_SCRATCH
    REFUSED ERRNO_EFAULT
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    REFUSED ERRNO_EFAULT
    WORD L1, 0

CASE after_a_read, "6.14.8 6.14.1", "read(2) into what the program has only read sets M"
    OWN_PATH
    mov rax, [AREA]
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    OK
    MARKS 1, AM
    WORD RAM + IMG_DATA, MARK

CASE across, "6.14.8", "A copy across pages marks both"
    OWN_PATH
    mov qword ptr [L1 + 8], AT_B + PTE_RW
    SYSCALL SYS_extpread, r12, NEXT - 4, 8, 0, SOURCE
    OK
    WORD L1, E1 + AM
    WORD L1 + 8, AT_B + PTE_RW + AM
    SYSCALL SYS_extpwrite, r12, NEXT - 4, 8, 0, IMG_SCRATCH
    OK
    WORD RAM + IMG_SCRATCH, MARK

CASE own_stale, "6.14.4 6.11.3", "The program's own reads use what is translated until INVAL, and then no more"
    OWN_PATH
    mov qword ptr [RAM + IMG_DATA], 0x11
    mov qword ptr [RAM + AT_B], 0x22
    WORD AREA, 0x11
    mov qword ptr [L1], AT_B + PTE_RW
    WORD AREA, 0x11
    OWN_INVAL
    WORD AREA, 0x22
    mov qword ptr [L1], E1
    WORD AREA, 0x22
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, E5
    OK
    WORD AREA, 0x11
    mov qword ptr [AREA], 0x33
    mov qword ptr [L1], AT_B + PTE_RW
    mov qword ptr [AREA], 0x44
    WORD RAM + IMG_DATA, 0x44
    OWN_INVAL
    mov qword ptr [AREA], 0x55
    WORD RAM + IMG_DATA, 0x44
    WORD RAM + AT_B, 0x55

CASE stale_source, "6.14.8 6.14.4", "The kernel uses the translations that are there, stale ones too"
    OWN_PATH
    mov qword ptr [RAM + IMG_DATA], 0x11
    mov qword ptr [RAM + AT_B], 0x22
    mov rax, [AREA]
    mov qword ptr [L1], AT_B + PTE_RW
    SYSCALL SYS_extpwrite, r12, AREA, 8, 0, IMG_SCRATCH
    OK
    WORD RAM + IMG_SCRATCH, 0x11
    OWN_INVAL
    SYSCALL SYS_extpwrite, r12, AREA, 8, 0, IMG_SCRATCH
    OK
    WORD RAM + IMG_SCRATCH, 0x22

CASE stale_target, "6.14.8 6.14.4 6.14.2", "For writes too, and sets no marks until INVAL"
    OWN_PATH
    mov qword ptr [AREA], 0x11
    mov qword ptr [L1], AT_B + PTE_RW
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    OK
    WORD RAM + IMG_DATA, MARK
    WORD L1, AT_B + PTE_RW
    OWN_INVAL
    mov qword ptr [RAM + IMG_DATA], 0x11
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    OK
    WORD RAM + IMG_DATA, 0x11
    WORD RAM + AT_B, MARK
    WORD L1, AT_B + PTE_RW + AM

CASE kernel_made, "6.14.8 6.14.2", "What the kernel has translated the program uses, and the other way round"
    OWN_PATH
    SYSCALL SYS_extpread, r12, AREA, 8, 0, SOURCE
    OK
    mov qword ptr [L1], 0
    mov qword ptr [AREA], 0x33
    WORD RAM + IMG_DATA, 0x33
    WORD L1, 0

CASE mcontrol_inval, "6.11.3 6.14.4", "mcontrol's INVAL is madvise's"
    OWN_PATH
    mov rax, [AREA]
    mov qword ptr [L1], 0
    READABLE AREA
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_INVAL, -1
    OK
    UNREADABLE AREA

CASE tframe, "6.14.8 6.5.7 7.4.6", "A frame there: A when the guest enters, A and M when it comes back"
    OWN_PATH
    call put_frame
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, AREA, 1       # no vframe
    REFUSED ERRNO_EFAULT
    MARKS 1, VPTE_A
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, AREA, tls
    OK
    MARKS 1, AM
    WORD RAM + IMG_DATA + TF_TRAPNO, T_FAST_SYSCALL

CASE tframe_read_only, "6.14.8 7.4.3", "A frame there that cannot be written: the guest runs, and the result is EFAULT"
    OWN_PATH IMG_DATA+PTE_R
    call put_frame
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, AREA, tls
    REFUSED ERRNO_EFAULT
    WORD L1, IMG_DATA + PTE_R + VPTE_A
    WORD L2, E2 + AM
    WORD RAM + IMG_DATA + TF_RAX, 0x77

CASE tframe_across, "6.14.8 6.5.7", "A frame across two of its pages"
    OWN_PATH
    mov qword ptr [L1 + 8], AT_B + PTE_RW
    call put_frame
    cld
    mov rsi, RAM + IMG_DATA
    mov rdi, NEXT - 64
    mov ecx, TF_SIZE/8
    rep movsq
    OWN_INVAL
    mov qword ptr [L1], E1
    mov qword ptr [L1 + 8], AT_B + PTE_RW
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, NEXT - 64, tls
    OK
    WORD L1, E1 + AM
    WORD L1 + 8, AT_B + PTE_RW + AM
    WORD NEXT - 64 + TF_TRAPNO, T_FAST_SYSCALL

CASE vframe, "6.14.8 6.5.5", "A vframe there is read and not written: A"
    OWN_PATH
    GUEST "syscall"
    cld
    mov rdi, RAM + IMG_DATA
    mov ecx, VEXT_SIZE/8
    xor eax, eax
    rep stosq
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, AREA
    OK
    MARKS 1, VPTE_A

CASE umtx_sleep, "6.14.8 2.1.1", "umtx_sleep asks for what can be written: A and M, or EFAULT"
    OWN_PATH
    SYSCALL SYS_umtx_sleep, AREA, 1, 0  # it is INT3s
    REFUSED ERRNO_EBUSY
    MARKS 1, AM
    OWN_PATH IMG_DATA+PTE_R
    SYSCALL SYS_umtx_sleep, AREA, 1, 0
    REFUSED ERRNO_EFAULT
    BITS [L1], ~VPTE_A, IMG_DATA + PTE_R    # it asks for both rights, and may mark as a read does
    WORD L2, E2 + AM

CASE umtx_wakeup, "6.14.8 2.1.2", "umtx_wakeup asks for what can be read: A, or EFAULT"
    OWN_PATH
    SYSCALL SYS_umtx_wakeup, AREA, 0
    OK
    MARKS 1, VPTE_A
    OWN_PATH 0
    SYSCALL SYS_umtx_wakeup, AREA, 0
    REFUSED ERRNO_EFAULT

CASE path, "6.14.8", "A path there is read: A"
    OWN_PATH
    mov dword ptr [RAM + IMG_DATA], 0x2e    # "."
    SYSCALL SYS_access, AREA, 0
    OK
    MARKS 1, VPTE_A

    FINISH

# A frame at IMG_DATA, for a guest that makes a system call.
put_frame:
    GUEST "syscall"
    GIVE RAX, 0x77
    cld
    mov rsi, frame
    mov rdi, RAM + IMG_DATA
    mov ecx, TF_SIZE/8
    rep movsq
    ret
