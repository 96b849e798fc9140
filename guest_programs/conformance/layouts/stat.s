# struct stat, field by field: the offsets here are the header's own.

.include "../conform.inc"

FILL = 0x5a5a5a5a5a5a5a5a
EDGE = 0x30000000

# STATUS file: fstat of the descriptor at label file, over FILL.
.macro STATUS file
    mov rdi, status
    mov ecx, 17
    mov rax, FILL
    rep stosq
    SYSCALL SYS_fstat, [\file], status
    OK
.endm

    SYSCALL SYS_umask, 0
    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0640
    OK
    mov [file], rax
    SYSCALL SYS_open, other_path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [other], rax
    SYSCALL SYS_link, path, second_path
    OK
    SYSCALL SYS_mkdir, directory_path, 0751
    OK
    SYSCALL SYS_utimes, path, times
    OK

CASE inode, "4.9.1", "st_ino, 64 bits at 0, is the file's own, under all its names"
    SYSCALL SYS_stat, second_path, status
    OK
    mov r12, [status]
    STATUS other
    mov r13, [status]
    STATUS file
    EQUAL [status], r12
    mov eax, 1
    cmp r12, r13
    jne different
    dec eax
different:
    EQUAL rax, 1

CASE links, "4.9.1", "st_nlink, an int at 8, counts names"
    STATUS file
    WORD32 status + 8, 2
    STATUS other
    WORD32 status + 8, 1

CASE device, "4.9.1", "st_dev, an int at 12, is the same for all files of a file system"
    STATUS other
    mov r12d, [status + 12]
    STATUS file
    WORD32 status + 12, r12

CASE mode, "4.9.1", "st_mode, 16 bits at 16: type and permissions of a file"
    STATUS file
    WORD16 status + 16, 0100640

CASE directory_mode, "4.9.1", "st_mode, 16 bits at 16: type and permissions of a directory"
    SYSCALL SYS_stat, directory_path, status
    OK
    WORD16 status + 16, 0040751

CASE pipe_mode, "4.9.1", "st_mode, 16 bits at 16: a pipe is a FIFO"
    SYSCALL SYS_pipe
    OK
    SYSCALL SYS_fstat, rax, status
    OK
    movzx eax, word ptr [status + 16]
    and eax, 0170000
    EQUAL rax, 0010000

CASE owner, "4.9.1", "st_uid, an int at 20, is the maker's effective user"
    STATUS file
    SYSCALL SYS_geteuid
    OK
    WORD32 status + 20, rax

CASE group, "4.9.1", "st_gid, an int at 24, is the group of the directory"
    SYSCALL SYS_stat, here, status
    OK
    mov r12d, [status + 24]
    STATUS file
    WORD32 status + 24, r12

CASE access_time, "4.9.1", "st_atim is at 32: seconds, nanoseconds"
    STATUS file
    WORD status + 32, 1000000001
    WORD status + 40, 5000

CASE modification_time, "4.9.1", "st_mtim is at 48: seconds, nanoseconds"
    STATUS file
    WORD status + 48, 1000000002
    WORD status + 56, 6000

CASE change_time, "4.9.1", "st_ctim is at 64: seconds, nanoseconds; nobody can set it back"
    STATUS file
    mov rax, [status + 64]
    xor edx, edx
    mov ecx, 1000000003                 # later than both, in this century
    div rcx
    lea rcx, [rax - 1]
    shr rcx, 2
    EQUAL rcx, 0
    mov rax, [status + 72]
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    EQUAL rax, 0

CASE size, "4.9.1", "st_size, 64 bits at 80, is the length in bytes"
    SYSCALL SYS_ftruncate, [file], 0, 0x123456789
    OK
    STATUS file
    WORD status + 80, 0x123456789
    SYSCALL SYS_ftruncate, [file], 0, 0
    OK
    STATUS file
    WORD status + 80, 0

CASE blocks, "4.9.1", "st_blocks, 64 bits at 88, counts what is allocated in 512 bytes"
    SYSCALL SYS_write, [other], path, 5
    OK
    SYSCALL SYS_fsync, [other]
    STATUS other
    mov rax, [status + 88]
    dec rax                             # at least one, and few
    shr rax, 12
    EQUAL rax, 0

CASE block_size, "4.9.1", "st_blksize, an int at 96, is a power of two"
    STATUS file
    mov eax, [status + 96]
    lea ecx, [rax - 1]
    and rcx, rax
    EQUAL rcx, 0
    mov ecx, 1
    cmp eax, 512
    jae large_enough
    dec ecx
large_enough:
    EQUAL rcx, 1

CASE flags, "4.9.1", "st_flags, an int at 100, is 0 for a file nobody gave any"
    STATUS file
    WORD32 status + 100, 0

CASE length, "4.9.1", "struct stat is 128 bytes"
    STATUS file
    WORD status + 128, FILL
    SYSCALL7 SYS_mmap, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    SYSCALL SYS_fstat, [file], EDGE + PAGE_SIZE - 128
    OK
    SYSCALL SYS_fstat, [file], EDGE + PAGE_SIZE - 127
    REFUSED ERRNO_EFAULT

    .irp call, stat, lstat
CASE \call, "4.9.1", "\call tells the same as fstat"
    STATUS file
    SYSCALL SYS_\call, path, again
    OK
    .irp offset, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96
    EQUAL [again + \offset], [status + \offset]
    .endr
    .endr

CASE lstat_of_a_link, "4.9.1", "lstat tells of a symbolic link itself, stat of what it names"
    SYSCALL SYS_symlink, path, link_path
    OK
    SYSCALL SYS_lstat, link_path, status
    OK
    movzx eax, word ptr [status + 16]
    and eax, 0170000
    EQUAL rax, 0120000
    WORD status + 80, 4                 # the length of the name
    SYSCALL SYS_stat, link_path, status
    OK
    WORD16 status + 16, 0100640

    FINISH

    .balign 8
status:
    .zero 136
again:
    .zero 136
file:
    .quad 0
other:
    .quad 0
times:
    .quad 1000000001, 5, 1000000002, 6
path:
    .asciz "file"
second_path:
    .asciz "second"
other_path:
    .asciz "other"
link_path:
    .asciz "link"
directory_path:
    .asciz "directory"
here:
    .asciz "."
