# One round trip: a guest makes a system call, and here are all its registers.
#
# The guest's code goes into a file.  The file is mapped into a new address space, a "vmspace", and
# vmspace_ctl runs there until the guest traps.

.include "print.inc"

SPACE = 1                               # the name of the vmspace: any number
GUEST = 0x10000                         # where the guest's code is to be
PROT = PROT_READ + PROT_EXEC
MAP = MAP_SHARED + MAP_FIXED

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    CHECK_OK 1
    mov r12, rax
    SYSCALL SYS_write, r12, guest, guest_end - guest
    CHECK_OK 2

    SYSCALL SYS_vmspace_create, SPACE
    CHECK_OK 3
    SYSCALL7 SYS_vmspace_mmap, SPACE, GUEST, PAGE_SIZE, PROT, MAP, r12, 0
    CHECK_OK 4

    # In with these registers, out with those of the trap.
    mov qword ptr [frame + TF_RIP], GUEST
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, frame, tls
    CHECK_OK 5

    mov rdi, [frame + TF_TRAPNO]
    call trap_name
    SAY "The guest is back: trap %x, %s.  Its registers:\n", [frame + TF_TRAPNO], rax

.macro SHOW name, remark=""
    SAY "    %11s %18x  %s\n", .Lname\@, [frame + \name], .Lremark\@
    jmp .Lshown\@
.Lname\@:
    .asciz "\name"
.Lremark\@:
    .asciz \remark
.Lshown\@:
.endm

    SHOW TF_RAX, "the number of the call: it means what you say it means"
    SHOW TF_RDI, "first argument"
    SHOW TF_RSI
    SHOW TF_RDX
    SHOW TF_RCX, "fourth argument: SYSCALL takes rcx for itself, so this was r10"
    SHOW TF_R8
    SHOW TF_R9
    SHOW TF_RBX, "these are the guest's own"
    SHOW TF_RBP
    SHOW TF_R12
    SHOW TF_R13
    SHOW TF_R14
    SHOW TF_R15
    SHOW TF_RSP
    SHOW TF_RFLAGS
    SHOW TF_CS
    SHOW TF_SS
    SHOW TF_RIP, "behind the SYSCALL, ready to go on"
    SHOW TF_ERR, "how long that is: rip - 2 would do the call again"

    CHECK_MEM 6, frame + TF_TRAPNO, T_FAST_SYSCALL
    CHECK_MEM 7, frame + TF_RIP, GUEST + guest_end - guest
    SYSCALL SYS_vmspace_destroy, SPACE
    CHECK_OK 8
    DONE

# What runs in the vmspace.  It calls nobody known: whoever made the vmspace gives the answer.
guest:
    mov rdi, 0x1111111111111111
    mov rsi, 0x2222222222222222
    mov rdx, 0x3333333333333333
    mov r10, 0x4444444444444444
    mov r8, 0x5555555555555555
    mov r9, 0x6666666666666666
    mov rbx, 0xbbbbbbbbbbbbbbbb
    mov rbp, 0xbebebebebebebebe
    mov rsp, 0x5e5e5e5e5e5e5e5e
    mov r12, 0x1212121212121212
    mov r13, 0x1313131313131313
    mov r14, 0x1414141414141414
    mov r15, 0x1515151515151515
    mov rax, 1000
    syscall
guest_end:

path:
    .asciz "roundtrip.img"
    .balign 8
frame:
    .space TF_SIZE
tls:
    .space VEXT_SIZE
