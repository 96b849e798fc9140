# Several LWPs inside at once, in one vmspace and in several: memory, registers, TLS bases, faults.

.include "../signal.inc"

OTHER = 0x6000
RUNNERS = 3                             # at most, at once
INSIDE = DATA                           # words: how many are inside; whether they may go on; passed
MAY_GO = DATA + 8
PASSED = DATA + 16
NUMBERS = DATA + 0x100                  # FS:0 of each is its own number

    PLAIN_SPACE
    GUEST_FROM guest, guest_end

# RUNNER number, space, rip: an LWP with this number goes into a vmspace.
.macro RUNNER number, space=SPACE, rip=CODE
    mov qword ptr [spaces + 8*\number], \space
    mov qword ptr [rips + 8*\number], \rip
    mov qword ptr [lwp_params + 16], lwp_stacks + \number*LWP_STACK
    START runner, \number
.endm

# Nobody is inside.
.macro NONE_INSIDE
    mov qword ptr [RAM + IMG_DATA], 0
    mov qword ptr [RAM + IMG_DATA + 8], 0
    mov qword ptr [RAM + IMG_DATA + 16], 0
    mov qword ptr [finished], 0
    mov qword ptr [refusals], 0
.endm

# AWAIT_WORD address, count: wait until so many have done what is counted there, but not for ever.
.macro AWAIT_WORD address, count
    mov r15d, 5000
.Lfewer\@:
    PAUSE
    dec r15d
    jz .Lnow_or_never\@
    cmp qword ptr [\address], \count
    jne .Lfewer\@
.Lnow_or_never\@:
    EQUAL [\address], \count
.endm

.macro AWAIT_INSIDE count
    AWAIT_WORD RAM + IMG_DATA, \count
.endm

.macro AWAIT_FINISHED count
    AWAIT_WORD finished, \count
.endm

# LET_GO count: they go on, and so many come back.
.macro LET_GO count
    mov qword ptr [RAM + IMG_DATA + 8], 1
    AWAIT_FINISHED \count
    EQUAL [refusals], 0
.endm

# RESULT number, word, value: of its frame.
.macro RESULT number, word, value
    WORD frames + \number*TF_SIZE + TF_\word, \value
.endm

CASE together, "6.5.6 6.4.1 6.5.4", "Two LWPs meet in one vmspace, where each has its own FS base"
    NONE_INSIDE
    RUNNER 1
    RUNNER 2
    AWAIT_INSIDE 2
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    EQUAL [finished], 0
    LET_GO 2
    RESULT 1, TRAPNO, T_FAST_SYSCALL
    RESULT 2, TRAPNO, T_FAST_SYSCALL
    RESULT 1, RDI, 0x1001
    RESULT 2, RDI, 0x1002
    WORD RAM + IMG_DATA + 16, 2

CASE three, "6.5.6 6.4.1", "Three LWPs inside: the vmspace is busy until the last one is back"
    NONE_INSIDE
    RUNNER 1
    RUNNER 2
    RUNNER 3, rip=CODE + leaves_at_once - guest
    AWAIT_FINISHED 1
    AWAIT_INSIDE 2
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    LET_GO 3
    RESULT 3, RBX, 3

CASE registers, "6.5.6 7.2.16", "Each LWP comes back with the registers it went in with"
    NONE_INSIDE
    RUNNER 1
    RUNNER 2
    AWAIT_INSIDE 2
    LET_GO 2
    .irp word, RBX, RBP, R12, R13, R14, R15
    RESULT 1, \word, 1
    RESULT 2, \word, 2
    .endr

CASE own_tables, "6.5.6 6.14.6", "Two LWPs in two vmspaces, one address and two pages"
    NONE_INSIDE
    VMSPACE OTHER
    SYSCALL7 SYS_vmspace_mmap, OTHER, CODE + IMG_SIZE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 8*PAGE_SIZE
    OK
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 9*PAGE_SIZE
    OK
    mov qword ptr [RAM + 8*PAGE_SIZE], 88
    mov qword ptr [RAM + 9*PAGE_SIZE], 99
    RUNNER 1, SPACE, CODE + looks - guest
    RUNNER 2, OTHER, CODE + looks - guest
    AWAIT_INSIDE 2
    LET_GO 2
    RESULT 1, RDI, 99
    RESULT 2, RDI, 88
    SYSCALL SYS_vmspace_munmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE
    OK
    SYSCALL SYS_vmspace_destroy, OTHER
    OK

CASE busy_apart, "6.4.1 6.5.6", "An LWP in one vmspace does not keep another from being destroyed"
    NONE_INSIDE
    VMSPACE OTHER
    RUNNER 1
    AWAIT_INSIDE 1
    SYSCALL SYS_vmspace_destroy, OTHER
    OK
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    LET_GO 1

CASE unmapped_inside, "6.7.1 6.14.7 6.5.6", "What is unmapped while an LWP is inside is gone for it"
    NONE_INSIDE
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 9*PAGE_SIZE
    OK
    mov qword ptr [RAM + 9*PAGE_SIZE], 99
    RUNNER 1, SPACE, CODE + looks_twice - guest
    AWAIT_INSIDE 1
    SYSCALL SYS_vmspace_munmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE
    OK
    LET_GO 1
    RESULT 1, RSI, 99
    RESULT 1, TRAPNO, T_PAGEFLT
    RESULT 1, ADDR, CODE + IMG_SIZE
    RESULT 1, RIP, CODE + looked - guest

CASE mapped_inside, "6.6.1 6.5.6 7.1.1", "What is mapped while an LWP is inside is there for it"
    NONE_INSIDE
    mov qword ptr [RAM + 9*PAGE_SIZE], 99
    RUNNER 1, SPACE, CODE + looks - guest
    AWAIT_INSIDE 1
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 9*PAGE_SIZE
    OK
    LET_GO 1
    RESULT 1, TRAPNO, T_FAST_SYSCALL
    RESULT 1, RDI, 99
    SYSCALL SYS_vmspace_munmap, SPACE, CODE + IMG_SIZE, PAGE_SIZE
    OK

CASE fault_beside, "6.5.6 7.2.1", "A fault of one LWP leaves the other inside"
    NONE_INSIDE
    RUNNER 1
    RUNNER 2, SPACE, CODE + faults - guest
    AWAIT_FINISHED 1
    RESULT 2, TRAPNO, T_PAGEFLT
    RESULT 2, ADDR, 0x7777
    AWAIT_INSIDE 1
    LET_GO 2
    RESULT 1, TRAPNO, T_FAST_SYSCALL
    RESULT 1, RDI, 0x1001

CASE ended_afterwards, "6.15.5 6.4.1", "LWPs that have come back and ended leave the vmspace free"
    NONE_INSIDE
    RUNNER 1
    RUNNER 2
    AWAIT_INSIDE 2
    LET_GO 2
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_ENOENT
    VMSPACE SPACE

    FINISH

# rdi: the number.
runner:
    mov r14, rdi
    mov r15, rdi
    mov [RAM + IMG_DATA + 0x100 + rdi*8], rdi
    imul r13, rdi, VEXT_SIZE
    lea r13, [r13 + bases]
    lea rax, [rdi*8 + NUMBERS]
    mov [r13 + VEXT_FS_BASE], rax
    imul r12, rdi, TF_SIZE
    lea r12, [r12 + frames]
    mov rax, [rips + rdi*8]
    mov [r12 + TF_RIP], rax
    mov qword ptr [r12 + TF_XFLAGS], 0
    .irp word, RBX, RBP, R12, R13, R14, R15
    mov [r12 + TF_\word], rdi
    .endr
    mov r11, [spaces + rdi*8]
    SYSCALL SYS_vmspace_ctl, r11, VMSPACE_CTL_RUN, r12, r13
    jnc came_back
    lock inc qword ptr [refusals]
came_back:
    lock inc qword ptr [finished]
    END_LWP

guest:
    lock inc qword ptr [INSIDE]
guest_waits:
    cmp qword ptr [MAY_GO], 0
    je guest_waits
    lock inc qword ptr [PASSED]
    mov rdi, fs:[0]
    add rdi, 0x1000
    syscall
leaves_at_once:
    syscall
looks_twice:
    mov rsi, [CODE + IMG_SIZE]
looks:
    lock inc qword ptr [INSIDE]
looks_waits:
    cmp qword ptr [MAY_GO], 0
    je looks_waits
looked:
    mov rdi, [CODE + IMG_SIZE]
    syscall
faults:
    mov rdi, [0x7777]
guest_end:

    .balign 8
finished:
    .quad 0
refusals:
    .quad 0
spaces:
    .space 8*(RUNNERS + 1)
rips:
    .space 8*(RUNNERS + 1)
frames:
    .space TF_SIZE*(RUNNERS + 1)
bases:
    .space VEXT_SIZE*(RUNNERS + 1)
