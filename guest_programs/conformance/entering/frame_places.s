# Where the frame and the extended frame may lie: at any byte, across pages, in memory that is
# reached through one's own page tables.

.include "../conform.inc"

EDGE = 0x30000000                       # two pages, and nothing around them
ACROSS = EDGE + PAGE_SIZE
KVA = 0x40000000                        # memory behind page tables in the image
ONE = 0x30000                           # two pages there, not neighbours in the image
TWO = ONE + PAGE_SIZE
A_PAGE = IMG_DATA + 2*PAGE_SIZE
B_PAGE = IMG_DATA + 6*PAGE_SIZE

# RUN_WITH tframe, vframe: as RUN, with copies of frame and TLS bases there.  tframe is no register
# that SYSCALL sets before rdx.
.macro RUN_WITH tframe, vframe
    lea rdi, [\tframe]
    mov rsi, frame
    mov ecx, TF_SIZE
    rep movsb
    lea rdi, [\vframe]
    mov rsi, tls
    mov ecx, VEXT_SIZE
    rep movsb
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, \tframe, \vframe
    OK
    EQUAL rax, 0
    mov rsi, \tframe
    mov rdi, frame
    mov ecx, TF_SIZE
    rep movsb
    COMPARE
.endm

# COUNTS: a guest to be sent in, which counts up rbx and puts what FS leads to into rdx.
.macro COUNTS
    ENTER CODE
    WANT RBX, 8*CONFORM_PATTERN + 1
    WANT RDX, 33
    EXPECT T_FAST_SYSCALL, CODE + guest_end - guest
.endm

    PLAIN_SPACE
    GUEST_FROM guest, guest_end
    mov qword ptr [tls + VEXT_FS_BASE], DATA
    mov qword ptr [RAM + IMG_DATA], 33
    SYSCALL7 SYS_mmap, EDGE, 2*PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK

CASE tframe_alignment, "6.5.7", "A frame may lie at any byte of a word"
    mov r14, EDGE + 8
1:
    COUNTS
    RUN_WITH r14, tls_copy
    inc r14
    cmp r14, EDGE + 16
    jbe 1b

CASE tframe_across, "6.5.7", "A frame may cross a page end at each of its bytes"
    mov r14, ACROSS - TF_SIZE
1:
    COUNTS
    RUN_WITH r14, tls_copy
    inc r14
    cmp r14, ACROSS
    jbe 1b

CASE vframe_across, "6.5.7", "An extended frame may cross a page end at each of its bytes"
    mov r14, ACROSS - VEXT_SIZE
1:
    COUNTS
    RUN_WITH frame_copy, r14
    inc r14
    cmp r14, ACROSS
    jbe 1b

CASE last_bytes, "6.5.7", "A frame may end where its page ends and nothing follows"
    COUNTS
    RUN_WITH ACROSS + PAGE_SIZE - TF_SIZE, EDGE
    COUNTS
    RUN_WITH EDGE, ACROSS + PAGE_SIZE - VEXT_SIZE

CASE shared_page, "6.5.7 6.5.5", "Frame and extended frame may touch each other"
    COUNTS
    RUN_WITH ACROSS, ACROSS + TF_SIZE
    EQUAL [ACROSS + TF_SIZE + VEXT_FS_BASE], DATA
    COUNTS
    RUN_WITH ACROSS, ACROSS - VEXT_SIZE
    EQUAL [ACROSS - VEXT_SIZE + VEXT_FS_BASE], DATA

CASE untouched_memory, "6.5.7", "Coming back writes the frame, and not a byte around it"
    mov rdi, EDGE
    mov ecx, 2*PAGE_SIZE
    mov al, 0x5a
    rep stosb
    COUNTS
    RUN_WITH ACROSS - 99, tls_copy
    mov rdi, EDGE
    mov ecx, PAGE_SIZE - 99
    mov al, 0x5a
    repe scasb
    mov ecx, 0
    setne cl
    EQUAL rcx, 0
    mov rdi, ACROSS - 99 + TF_SIZE
    mov ecx, PAGE_SIZE + 99 - TF_SIZE
    repe scasb
    mov ecx, 0
    setne cl
    EQUAL rcx, 0

CASE read_only_vframe, "6.5.5 6.5.2", "An extended frame needs to be read only"
    COUNTS
    mov rdi, EDGE
    mov rsi, tls
    mov ecx, VEXT_SIZE
    rep movsb
    SYSCALL SYS_mprotect, EDGE, PAGE_SIZE, PROT_READ
    OK
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, EDGE
    OK
    COMPARE
    SYSCALL SYS_mprotect, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE
    OK

CASE image_frame, "6.5.7 7.4.1", "A frame in memory that the guest writes: what comes back is what counts"
    GUEST "mov [rsi], rdx; mov [rsi+rcx], rdx; syscall"
    GIVE RSI, DATA + 0x100
    GIVE RCX, TF_SIZE
    EXPECT T_FAST_SYSCALL, CODE + 9
    RUN_WITH RAM + IMG_DATA + 0x100, tls_copy
    WORD RAM + IMG_DATA + 0x100 + TF_SIZE, 3*CONFORM_PATTERN
    GUEST_FROM guest, guest_end

# KVA_PAGES entry, entry: what KVA's tables say of ONE and TWO; A and M are clear there.
.macro KVA_PAGES one, two
    TABLES
    MAP_PAGE ONE, \one
    MAP_PAGE TWO, \two
    SYSCALL7 SYS_mmap, KVA, 0x200000, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, 0
    OK
    SYSCALL SYS_mcontrol, KVA, 0x200000, MADV_SETMAP, ROOT
    OK
.endm

# DIRECT offset, label, size: put a copy into the image without touching KVA.
.macro DIRECT offset, label, size
    mov rdi, RAM + \offset
    mov rsi, \label
    mov ecx, \size
    rep movsb
.endm

CASE tabled_frame, "7.4.6 6.14.8 6.5.7", "In tabled memory the frame sets A when read, and M when written"
    KVA_PAGES A_PAGE + PTE_RW, 0
    GUEST "mov rbx, [rsi]; syscall"     # what the table says while the guest runs
    GIVE RSI, CODE + IMG_PT + ONE/PAGE_SIZE*8
    WANT RBX, A_PAGE + PTE_RW + VPTE_A
    EXPECT T_FAST_SYSCALL, CODE + 5
    DIRECT A_PAGE, frame, TF_SIZE
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, KVA + ONE, tls
    OK
    ENTRY ONE, A_PAGE + PTE_RW + VPTE_A + VPTE_M
    WORD RAM + A_PAGE + TF_RBX, A_PAGE + PTE_RW + VPTE_A
    WORD RAM + A_PAGE + TF_TRAPNO, T_FAST_SYSCALL
    GUEST_FROM guest, guest_end

CASE tabled_directories, "7.4.6 6.13.11", "Writing the frame marks the directories above it too"
    KVA_PAGES A_PAGE + PTE_RW, 0
    COUNTS
    DIRECT A_PAGE, frame, TF_SIZE
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, KVA + ONE, tls
    OK
    WORD RAM + IMG_PML4, IMG_PDP + PTE_RW + VPTE_A + VPTE_M
    WORD RAM + IMG_PDP, IMG_PD + PTE_RW + VPTE_A + VPTE_M
    WORD RAM + IMG_PD, IMG_PT + PTE_RW + VPTE_A + VPTE_M

CASE tabled_vframe, "7.4.6 6.5.5", "In tabled memory the extended frame sets A, and never M"
    KVA_PAGES A_PAGE + PTE_RW, 0
    COUNTS
    DIRECT A_PAGE, tls, VEXT_SIZE
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, KVA + ONE
    OK
    COMPARE
    ENTRY ONE, A_PAGE + PTE_RW + VPTE_A

CASE tabled_across, "7.4.6 6.5.7", "A frame across two pages that are no neighbours in the image"
    KVA_PAGES B_PAGE + PTE_RW, A_PAGE + PTE_RW
    mov r14, KVA + TWO - 4
    COUNTS
    RUN_WITH r14, tls_copy
    ENTRY ONE, B_PAGE + PTE_RW + VPTE_A + VPTE_M
    ENTRY TWO, A_PAGE + PTE_RW + VPTE_A + VPTE_M

CASE tframe_first, "7.4.6 6.5.2", "The frame is read first: where it cannot be, the extended frame is not"
    KVA_PAGES A_PAGE + PTE_RW, 0
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, KVA + TWO, KVA + ONE
    REFUSED ERRNO_EFAULT
    ENTRY ONE, A_PAGE + PTE_RW
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, KVA + ONE, KVA + TWO
    REFUSED ERRNO_EFAULT
    ENTRY ONE, A_PAGE + PTE_RW + VPTE_A

    FINISH

guest:
    lea rbx, [rbx + 1]
    mov rdx, fs:[0]
    syscall
guest_end:

    .balign 8
frame_copy:
    .space TF_SIZE
tls_copy:
    .space VEXT_SIZE
