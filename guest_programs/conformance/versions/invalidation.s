# MADV_INVAL works on every kind of mapping, and changes nothing that can be read.

.include "../conform.inc"

AREA = 0x30000000
RW = PROT_READ + PROT_WRITE

# INVAL address: of a page, by each call that has it.
.macro INVAL address
    SYSCALL SYS_madvise, \address, PAGE_SIZE, MADV_INVAL
    OK
    EQUAL rax, 0
    SYSCALL SYS_mcontrol, \address, PAGE_SIZE, MADV_INVAL, 0
    OK
    EQUAL rax, 0
.endm

    # A page that is written, invalidated, read and written again.
    .macro KIND name, title, prot, flags, fd
CASE \name, "9.6 6.11.3", \title
    SYSCALL7 SYS_mmap, AREA, 2*PAGE_SIZE, \prot, MAP_FIXED + \flags, \fd, 0, 0
    OK
    mov qword ptr [AREA], 5
    mov qword ptr [AREA + PAGE_SIZE], 6
    INVAL AREA
    WORD AREA, 5
    WORD AREA + PAGE_SIZE, 6
    mov qword ptr [AREA], 7
    INVAL AREA
    WORD AREA, 7
    SYSCALL SYS_munmap, AREA, 2*PAGE_SIZE
    OK
    .endm

    PLAIN_SPACE

    KIND anonymous, "An anonymous mapping", RW, MAP_ANON + MAP_PRIVATE, -1
    KIND anonymous_shared, "An anonymous mapping that is shared", RW, MAP_ANON + MAP_SHARED, -1
    KIND file_shared, "A mapping of a file that is shared", RW, MAP_SHARED, r12
    KIND file_private, "A mapping of a file that is private, with a page of its own", RW, MAP_PRIVATE, r12
    KIND stack, "A stack", RW, MAP_STACK, -1

CASE own_stack, "9.6 6.11.3", "The program's stack"
    mov r13, rsp
    and r13, -PAGE_SIZE
    push 0x5a
    INVAL r13
    pop rax
    EQUAL rax, 0x5a

CASE own_code, "9.6 6.11.3", "The program's code"
    mov r13, here
    and r13, -PAGE_SIZE
here:
    INVAL r13

CASE nothing, "9.6 6.11.2", "Nothing at all"
    INVAL 0x70000000000

CASE in_a_vmspace, "9.6 6.8b.3", "A plain mapping in a vmspace"
    GUEST "mov rax, [rbx]; inc qword ptr [rbx]; int3"
    GIVE RBX, DATA
    mov qword ptr [RAM + IMG_DATA], 5
    EXPECT T_BPTFLT, 0
    ANY RIP
    ANY RFLAGS
    WANT RAX, 5
    RUN
    INVALIDATE
    AGAIN CODE
    EXPECT T_BPTFLT, 0
    ANY RIP
    ANY RFLAGS
    WANT RAX, 6
    RUN
    WORD RAM + IMG_DATA, 7

    FINISH
