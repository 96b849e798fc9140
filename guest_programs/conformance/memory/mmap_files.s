# What mappings of files, of devices and of no file at all contain, and whom changes reach.

.include "../access.inc"

AREA = 0x20000000
OTHER = 0x21000000
PS = PAGE_SIZE
LAST = IMG_SIZE - PAGE_SIZE             # the image's last page

    PLAIN_SPACE
    SYSCALL SYS_open, file, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov [whole], rax
    SYSCALL SYS_ftruncate, rax, 0, 2*PS + 100
    OK
    SYSCALL SYS_extpwrite, [whole], mark, 8, 0, PS + 0x128
    OK
    SYSCALL SYS_open, file, O_RDONLY
    OK
    mov [reader], rax

CASE shared, "6.6.1 6.14.9", "A SHARED mapping shows the file from its offset on, and changes it"
    MMAP AREA, PS, RW, PLAIN_MAP, [whole], PS
    OK
    EQUAL rax, AREA
    WORD AREA + 0x128, 0x6d61726b
    mov qword ptr [AREA + 0x200], 0x33
    SYSCALL SYS_extpread, [whole], buffer, 8, 0, PS + 0x200
    OK
    WORD buffer, 0x33

CASE offset_in_page, "6.9.8 6.9.7", "The result is the address plus the offset's place in its page"
    MMAP AREA + 0x128, 8, PROT_READ, PLAIN_MAP, [whole], PS + 0x128
    OK
    EQUAL rax, AREA + 0x128
    WORD rax, 0x6d61726b
    UNREADABLE AREA + PS
    MMAP 0, 8, PROT_READ, MAP_SHARED, [whole], PS + 0x128
    OK
    WORD rax, 0x6d61726b
    SPACE_MMAP AREA + 0x128, 8, RWX, PLAIN_MAP, [whole], PS + 0x128
    OK
    EQUAL rax, AREA + 0x128
    READS AREA + 0x128, 0x6d61726b
    CANNOT_READ AREA + PS

CASE offset_lengthens, "6.9.8 6.9.6", "The offset's place in its page counts for the length"
    MMAP AREA + 0xfff, 2, PROT_READ, PLAIN_MAP, [whole], 0xfff
    OK
    READABLE AREA + PS
    UNREADABLE AREA + 2*PS
    SYSCALL SYS_munmap, AREA, 2*PS
    OK

CASE private, "6.9.12", "A PRIVATE mapping of a descriptor for reading can be written, and keeps it to itself"
    MMAP AREA, PS, RW, MAP_PRIVATE + MAP_FIXED, [reader], PS
    OK
    WORD AREA + 0x128, 0x6d61726b
    mov qword ptr [AREA + 0x128], 5
    WORD AREA + 0x128, 5
    SYSCALL SYS_extpread, [whole], buffer, 8, 0, PS + 0x128
    OK
    WORD buffer, 0x6d61726b
    SYSCALL SYS_mprotect, AREA, PS, PROT_READ
    OK
    SYSCALL SYS_mprotect, AREA, PS, RW
    OK

CASE private_space, "6.9.12 6.6.1", "A PRIVATE mapping in a vmspace keeps what the guest writes to itself"
    SPACE_MMAP AREA, PS, RWX, MAP_PRIVATE + MAP_FIXED, [reader], PS
    OK
    READS AREA + 0x128, 0x6d61726b
    WRITES AREA + 0x128, 5
    READS AREA + 0x128, 5
    SYSCALL SYS_extpread, [whole], buffer, 8, 0, PS + 0x128
    OK
    WORD buffer, 0x6d61726b

CASE no_type, "6.9.16", "A mapping that is neither SHARED nor PRIVATE is private"
    MMAP AREA, PS, RW, MAP_FIXED, [reader], PS
    OK
    mov qword ptr [AREA + 0x128], 5
    SYSCALL SYS_extpread, [whole], buffer, 8, 0, PS + 0x128
    OK
    WORD buffer, 0x6d61726b
    SPACE_MMAP AREA, PS, RWX, MAP_FIXED, [reader], PS
    OK
    WRITES AREA + 0x128, 5
    SYSCALL SYS_extpread, [whole], buffer, 8, 0, PS + 0x128
    OK
    WORD buffer, 0x6d61726b

CASE shared_reader, "6.9.11 6.10.4", "A SHARED mapping for reading of a descriptor for reading is one"
    MMAP AREA, PS, PROT_READ, PLAIN_MAP, [reader], PS
    OK
    WORD AREA + 0x128, 0x6d61726b
    UNWRITABLE AREA
    SPACE_MMAP AREA, PS, PROT_READ, PLAIN_MAP, [reader], PS
    OK
    READS AREA + 0x128, 0x6d61726b
    CANNOT_WRITE AREA + 0x128, PGEX_P+PGEX_U+PGEX_W

CASE high_rights, "6.9.22", "Of the rights the low three bits count"
    MMAP AREA, PS, PROT_READ + 0x7ffffff8, PLAIN_MAP, [reader], PS
    OK
    UNWRITABLE AREA
    READABLE AREA

CASE no_rights, "6.9.22", "What is mapped without rights cannot be touched"
    MMAP AREA, PS, PROT_NONE, PLAIN_MAP, [whole], PS
    OK
    UNREADABLE AREA
    SPACE_MMAP AREA, PS, PROT_NONE, PLAIN_MAP, [whole], PS
    OK
    CANNOT_READ AREA
    CANNOT_WRITE AREA
    CANNOT_EXECUTE AREA

CASE beyond, "6.9.18 3.4.17", "A mapping may reach beyond the end of its file; only pages of the file can be touched"
    MMAP AREA, 16*PS, RW, PLAIN_MAP, [whole]
    OK
    READABLE AREA + 2*PS + 99
    READABLE AREA + 3*PS - 1            # zeros after the end
    UNREADABLE AREA + 3*PS
    UNWRITABLE AREA + 15*PS
    MMAP OTHER, PS, RW, PLAIN_MAP, [whole], 1 << 40
    OK
    UNREADABLE OTHER
    SPACE_MMAP AREA, 16*PS, RWX, PLAIN_MAP, [whole]
    OK
    READS AREA + 3*PS - 8, 0
    CANNOT_READ AREA + 3*PS
    CANNOT_WRITE AREA + 15*PS

CASE beyond_private, "6.9.18", "So may a private one"
    MMAP AREA, 16*PS, RW, MAP_PRIVATE + MAP_FIXED, [whole]
    OK
    WRITABLE AREA + 3*PS - 1
    UNREADABLE AREA + 3*PS
    UNWRITABLE AREA + 15*PS

CASE empty_file, "6.9.18", "An empty file can be mapped, and not be touched"
    SYSCALL SYS_open, empty, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    MMAP AREA, PS, RW, PLAIN_MAP, rax
    OK
    UNREADABLE AREA

CASE closed, "6.6.1", "A mapping outlives its descriptor"
    SYSCALL SYS_open, file, O_RDWR
    OK
    mov [buffer], rax
    MMAP AREA, PS, RW, PLAIN_MAP, rax, PS
    OK
    SYSCALL SYS_close, [buffer]
    OK
    WORD AREA + 0x128, 0x6d61726b
    WRITABLE AREA

CASE anonymous, "6.9.17", "Anonymous memory is zeros, in one's own space and in a vmspace"
    MMAP AREA, 2*PS, RW, ANON + MAP_FIXED
    OK
    WORD AREA, 0
    WORD AREA + 2*PS - 8, 0
    WRITABLE AREA + PS
    SPACE_MMAP AREA, 2*PS, RWX, ANON + MAP_FIXED
    OK
    READS AREA, 0
    WRITES AREA + PS, 9
    READS AREA + PS, 9
    WORD AREA + PS, 0

CASE anonymous_fork, "6.9.17", "SHARED anonymous memory is shared with a child, PRIVATE is not"
    MMAP AREA, PS, RW, MAP_ANON + MAP_SHARED + MAP_FIXED
    OK
    MMAP OTHER, PS, RW, ANON + MAP_FIXED
    OK
    mov qword ptr [AREA], 1
    mov qword ptr [OTHER], 1
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz child
    SYSCALL SYS_wait4, rax, status, 0, 0
    OK
    WORD status, 0
    WORD AREA, 2
    WORD OTHER, 1

CASE device, "6.9.9", "/dev/zero is anonymous memory, SHARED or PRIVATE"
    SYSCALL SYS_mkdir, device_directory, 0755
    SYSCALL SYS_open, device, O_RDWR
    OK
    mov [buffer], rax
    MMAP AREA, PS, RW, MAP_PRIVATE + MAP_FIXED, [buffer], 0x1000
    OK
    WORD AREA, 0
    WRITABLE AREA
    SPACE_MMAP AREA, PS, RWX, PLAIN_MAP, [buffer]
    OK
    WRITES AREA, 3
    READS AREA, 3
    MMAP AREA, PS, RW, PLAIN_MAP, [buffer]
    OK
    WORD AREA, 0
    SYSCALL SYS_close, [buffer]
    OK

    FINISH

child:
    WORD AREA, 1
    WORD OTHER, 1
    mov qword ptr [AREA], 2
    mov qword ptr [OTHER], 2
    SYSCALL SYS_exit, 0

    .balign 8
mark:
    .quad 0x6d61726b
buffer:
    .quad 0
status:
    .quad 0
whole:
    .quad 0
reader:
    .quad 0
file:
    .asciz "file"
empty:
    .asciz "empty"
device:
    .asciz "/dev/zero"
device_directory:
    .asciz "/dev"
