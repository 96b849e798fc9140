# struct dirent, as getdirentries and getdents tell it: the offsets here are the header's own.

.include "../conform.inc"

# ENTRY_NAMED name, length: rbx is the entry of that name in the buffer.
.macro ENTRY_NAMED name, length
    mov rsi, \name
    mov ecx, \length
    call find
.endm

# FIELD size, offset, value: a word or byte of the entry at rbx.
.macro FIELD size, offset, value
    movzx eax, \size ptr [rbx + \offset]
    EQUAL rax, \value
.endm

# ENTRY_IS file, type: the entry at rbx has the inode of the file of that name, and this type.
.macro ENTRY_IS file, type
    SYSCALL SYS_lstat, \file, status
    OK
    EQUAL [rbx], [status]
    FIELD byte, 10, \type
.endm

    SYSCALL SYS_mkdir, directory, 0700
    OK
    SYSCALL SYS_chdir, directory
    OK
    SYSCALL SYS_mkdir, inner, 0700
    OK
    .irp name, a, seven, eight, long
    SYSCALL SYS_open, \name, O_RDWR + O_CREAT, 0600
    OK
    SYSCALL SYS_close, rax
    OK
    .endr
    SYSCALL SYS_symlink, a, link
    OK
    SYSCALL SYS_open, here, O_RDONLY
    OK
    mov [opened], rax
    mov rdi, buffer
    mov ecx, 512
    mov al, 0xee
    rep stosb
    mov qword ptr [base], -1
    SYSCALL SYS_getdirentries, [opened], buffer, 4096, base
    OK
    mov [filled], rax

CASE records_end, "4.9.2", "Records are as long as their names say, and fill the result exactly"
    mov rbx, buffer
    xor r13d, r13d
one_more:
    movzx eax, word ptr [rbx + 8]
    add rax, 16 + 1 + 7
    and rax, ~7
    add rbx, rax
    inc r13
    mov rax, buffer
    add rax, [filled]
    cmp rbx, rax
    jb one_more
    EQUAL rbx, rax
    EQUAL r13, 8                        # with . and ..

CASE base, "4.9.2", "getdirentries stores the position that it began at: 64 bits"
    WORD base, 0

CASE file, "4.9.2", "An entry: inode at 0, length of the name at 8, type at 10, name at 16"
    ENTRY_NAMED a, 1
    ENTRY_IS a, 8
    FIELD word, 8, 1
    FIELD word, 16, 0x61

CASE terminated_7, "4.9.2", "A name of 7 is followed by its zero, and by the next record"
    ENTRY_NAMED seven, 7
    ENTRY_IS seven, 8
    FIELD byte, 16 + 7, 0

CASE terminated_8, "4.9.2", "A name of 8 is followed by its zero, and by the next record"
    ENTRY_NAMED eight, 8
    ENTRY_IS eight, 8
    FIELD byte, 16 + 8, 0

CASE long_name, "4.9.2", "A name may be 255 bytes long"
    ENTRY_NAMED long, 255
    FIELD word, 8, 255
    FIELD byte, 16 + 255, 0

CASE directory_type, "4.9.2", "The type of a directory is 4"
    ENTRY_NAMED inner, 5
    ENTRY_IS inner, 4

CASE link_type, "4.9.2", "The type of a symbolic link is 10"
    ENTRY_NAMED link, 4
    ENTRY_IS link, 10

CASE dot, "4.9.2", "There is an entry for the directory itself"
    ENTRY_NAMED here, 1
    ENTRY_IS here, 4

CASE dot_dot, "4.9.2", "There is an entry for the directory above"
    ENTRY_NAMED above, 2
    ENTRY_IS above, 4

CASE at_the_end, "4.9.2", "At the end of the directory the result is 0"
    SYSCALL SYS_getdirentries, [opened], buffer, 4096, 0
    OK
    EQUAL rax, 0

CASE getdents, "4.9.2", "getdents tells the same as getdirentries"
    SYSCALL SYS_lseek, [opened], 0, 0, SEEK_SET
    OK
    SYSCALL SYS_getdirentries, [opened], buffer, 4096, 0
    OK
    mov r12, rax
    SYSCALL SYS_lseek, [opened], 0, 0, SEEK_SET
    SYSCALL SYS_getdents, [opened], again, 4096
    OK
    EQUAL rax, r12
    mov rsi, buffer
    mov rdi, again
    mov rcx, r12
    repe cmpsb
    EQUAL rcx, 0

CASE not_a_directory, "4.9.2", "What is no directory has no entries: EINVAL"
    SYSCALL SYS_open, a, O_RDONLY
    OK
    SYSCALL SYS_getdents, rax, buffer, 4096
    REFUSED ERRNO_EINVAL

    FINISH

# rbx: the entry whose name is the rcx bytes at rsi.
find:
    mov r12, rsi
    mov r13, rcx
    mov rbx, buffer
.Ltry:
    movzx eax, word ptr [rbx + 8]
    cmp rax, r13
    jne .Lnext_entry
    lea rdi, [rbx + 16]
    mov rsi, r12
    mov rcx, r13
    repe cmpsb
    je .Lfound_entry
    movzx eax, word ptr [rbx + 8]
.Lnext_entry:
    add rax, 16 + 1 + 7
    and rax, ~7
    add rbx, rax
    mov rax, buffer
    add rax, [filled]
    cmp rbx, rax
    jb .Ltry
    NEVER                               # there is none
.Lfound_entry:
    ret

    .balign 8
opened:
    .quad 0
filled:
    .quad 0
base:
    .quad 0
status:
    .zero 128
buffer:
    .zero 4096
again:
    .zero 4096
directory:
    .asciz "directory"
here:
    .asciz "."
above:
    .asciz ".."
a:
    .asciz "a"
inner:
    .asciz "inner"
link:
    .asciz "link"
seven:
    .asciz "sevenin"
eight:
    .asciz "eightyet"
long:
    .fill 255, 1, 0x78
    .byte 0
