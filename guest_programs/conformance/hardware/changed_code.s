# Code that changes: whoever writes it, at whatever address, byte by byte, what runs next is new.

.include "../conform.inc"

ALIAS = CODE + 0x100000                 # the guest sees its code here, too
OTHER = 0x6000                          # and in this vmspace there is a guest that writes it

# A guest of two blocks, and what it is to become: they differ in the last byte of an instruction
# in the middle of the second block.
.macro FIRST
    GUEST "syscall; nop; mov eax, ebx; syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    AGAIN
    WANT RAX, 0x08080808
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
.endm
PLACE = 4                               # of that byte
OLD = 0xd8                              # mov eax, ebx
NEW = 0xe8                              # mov eax, ebp

# SECOND: the guest is what it has become.
.macro SECOND
    ENTER CODE + 2
    WANT RAX, 0x09090909
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
.endm

    PLAIN_SPACE
    SYSCALL7 SYS_vmspace_mmap, SPACE, ALIAS, IMG_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0
    OK
    SYSCALL SYS_vmspace_create, OTHER
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER, ALIAS, IMG_SIZE, RWX, PLAIN_MAP, r12, 0
    OK

CASE by_the_kernel, "6.14.12", "The virtual kernel changes a byte of code in its own mapping"
    FIRST
    mov byte ptr [RAM + PLACE], NEW
    SECOND

CASE second_store, "6.14.12", "It is not the first byte of the page that is written"
    FIRST
    mov byte ptr [RAM + 0x800], 1
    mov byte ptr [RAM + 0], 0x0f
    mov byte ptr [RAM + PLACE], NEW
    SECOND

CASE as_a_whole, "6.14.12", "All of the code is copied anew, a byte at a time"
    FIRST
    GUEST "syscall; nop; mov eax, ebp; syscall"
    SECOND

CASE back_and_forth, "6.14.12", "Code changes again and again between two runs"
    FIRST
    mov r15d, 20
1:
    mov byte ptr [RAM + 0x800], 2
    mov byte ptr [RAM + PLACE], NEW
    SECOND
    mov byte ptr [RAM + 0x800], 1
    mov byte ptr [RAM + PLACE], OLD
    ENTER CODE + 2
    WANT RAX, 0x08080808
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN
    dec r15d
    jnz 1b

CASE by_the_guest, "6.14.12 6.14.9", "A guest changes its own code at another address, and goes on to it"
    FIRST
    mov rsi, alters
    mov rdi, RAM + 0x100
    mov ecx, alters_end - alters
    rep movsb
    ENTER CODE + 0x100
    GIVE RSI, ALIAS
    GIVE RDX, NEW
    GIVE RDI, CODE + 2
    WANT RAX, 0x09090909
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN

CASE by_a_step, "6.14.12 7.2.6", "A single step of a store into the page of code itself is a step like any other"
    FIRST
    mov rsi, alters
    mov rdi, RAM + 0x100
    mov ecx, alters_end - alters
    rep movsb
    mov byte ptr [RAM + 0x800], 0
    ENTER CODE + 0x100
    or qword ptr [frame + TF_RFLAGS], PSL_T
    GIVE RSI, ALIAS
    EXPECT T_TRCTRAP, CODE + 0x100 + second_one - alters
    RUN
    BITS [RAM + 0x800], 0xff, 1

CASE by_itself, "6.14.12", "A guest changes code at the address where it runs"
    FIRST
    mov rsi, alters
    mov rdi, RAM + 0x100
    mov ecx, alters_end - alters
    rep movsb
    ENTER CODE + 0x100
    GIVE RSI, CODE
    GIVE RDX, NEW
    GIVE RDI, CODE + 2
    WANT RAX, 0x09090909
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN

CASE by_another_guest, "6.14.12 6.14.9", "A guest of another vmspace changes the code"
    FIRST
    mov rsi, alters
    mov rdi, RAM + IMG_DATA
    mov ecx, alters_end - alters
    rep movsb
    ENTER ALIAS + IMG_DATA
    GIVE RSI, ALIAS
    GIVE RDX, NEW
    GIVE RDI, ALIAS + IMG_DATA + leaves - alters
    EXPECT T_FAST_SYSCALL, ALIAS + IMG_DATA + alters_end - alters
    RUN OTHER
    SECOND

CASE by_the_host, "6.14.12 6.14.9", "read(2) into the virtual kernel's mapping changes the code"
    FIRST
    SYSCALL SYS_pipe
    OK
    mov r14, rax
    mov r15, rdx
    SYSCALL SYS_write, r15, new, 1
    OK
    SYSCALL SYS_read, r14, RAM + PLACE, 1
    OK
    SECOND

CASE by_file, "6.14.12 6.14.9", "write(2) to the file changes the code"
    FIRST
    SYSCALL SYS_lseek, r12, 0, PLACE, SEEK_SET
    OK
    SYSCALL SYS_write, r12, new, 1
    OK
    SECOND

CASE data_beside, "6.14.12 6.14.9", "Data beside the code is one for all, while the code runs"
    GUEST "mov eax, [rsi]; mov [rdi], edx; syscall"
    mov dword ptr [RAM + 0x800], 5
    GIVE RSI, CODE + 0x800
    GIVE RDI, CODE + 0x804
    WANT RAX, 5
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN
    EQUAL [RAM + 0x800], 5 + (0x03030303 << 32)
    mov dword ptr [RAM + 0x800], 6
    mov qword ptr [frame + TF_RDX], 7
    AGAIN CODE
    WANT RAX, 6
    EXPECT T_FAST_SYSCALL, CODE + 6
    RUN
    EQUAL [RAM + 0x800], 6 + (7 << 32)

    FINISH

# Two stores of which the second is the one that counts, and on to rdi.
alters:
    mov byte ptr [rsi + 0x800], 1
second_one:
    mov byte ptr [rsi + PLACE], dl
    jmp rdi
leaves:
    syscall
alters_end:

new:
    .byte NEW
