# What mmap and vmspace_mmap refuse: one thing wrong at a time.

.include "../access.inc"

AREA = 0x20000000                       # free in both
TAKEN = 0x21000000                      # mapped in both
PS = PAGE_SIZE

    PLAIN_SPACE
    SYSCALL SYS_open, file, O_RDONLY + O_CREAT, 0600
    OK
    mov [reader], rax
    SYSCALL SYS_open, file, O_WRONLY
    OK
    mov [writer], rax
    SYSCALL SYS_pipe
    OK
    mov [pipe_end], rax
    SYSCALL SYS_open, dot, O_RDONLY
    OK
    mov [directory], rax
    SYSCALL SYS_kqueue
    OK
    mov [queue], rax
    MMAP TAKEN, PS, RW, ANON + MAP_FIXED
    OK
    SPACE_MMAP TAKEN, PS, RW, ANON + MAP_FIXED
    OK

CASE anon_fd, "6.9.1 6.6.2", "MAP_ANON with a descriptor is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, ANON, r12
CASE anon_offset, "6.9.1", "MAP_ANON with an offset is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, ANON, -1, PS
CASE anon_offset_1, "6.9.1", "MAP_ANON with offset 1 is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, ANON, -1, 1
CASE anon_fd_minus_2, "6.9.1", "MAP_ANON with descriptor -2 is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, ANON, -2
CASE no_length, "6.9.2", "Length 0 is EINVAL"
    BOTH ERRNO_EINVAL, 0, 0, RW, ANON
CASE no_length_fixed, "6.9.2", "Length 0 with an address is EINVAL"
    BOTH ERRNO_EINVAL, AREA, 0, RW, PLAIN_MAP, r12
CASE stack_fd, "6.9.3", "MAP_STACK with a descriptor is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, MAP_STACK, r12
CASE stack_read, "6.9.3", "MAP_STACK with READ alone is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, MAP_STACK
CASE stack_write, "6.9.3", "MAP_STACK with WRITE alone is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_WRITE, MAP_STACK
CASE stack_table, "6.9.5", "MAP_VPAGETABLE with MAP_STACK is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, RW, MAP_STACK + MAP_VPAGETABLE
CASE table_read, "6.9.5", "MAP_VPAGETABLE with READ alone is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, ANON + MAP_VPAGETABLE
CASE table_write, "6.9.5", "MAP_VPAGETABLE with WRITE alone is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_WRITE + PROT_EXEC, MAP_SHARED + MAP_VPAGETABLE, r12
CASE table_none, "6.9.5", "MAP_VPAGETABLE without rights is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_NONE, ANON + MAP_VPAGETABLE
CASE length_all, "6.9.6", "Length 2^64-1 is EINVAL"
    BOTH ERRNO_EINVAL, 0, -1, RW, ANON
CASE length_last, "6.9.6", "The shortest length that overflows is EINVAL"
    BOTH ERRNO_EINVAL, 0, 1 - PS, RW, ANON
CASE length_offset, "6.9.6", "A length that overflows with the offset's place in its page is EINVAL"
    BOTH ERRNO_EINVAL, 0, -PS, RW, MAP_SHARED, r12, 1
CASE too_long, "6.9.6 6.9.15", "The longest length that does not overflow finds no room: ENOMEM"
    BOTH ERRNO_ENOMEM, 0, -PS, RW, ANON
CASE no_room, "6.9.15", "There is no room for all addresses: ENOMEM"
    BOTH ERRNO_ENOMEM, PS, USER_MAX, RW, ANON

    .irp way, FIXED, TRYFIXED
CASE unaligned_\way, "6.9.7", "MAP_\way: an address that is not aligned is EINVAL"
    BOTH ERRNO_EINVAL, AREA + 1, PS, RW, ANON + MAP_\way
CASE unlike_offset_\way, "6.9.7", "MAP_\way: an address that is aligned, an offset that is not is EINVAL"
    BOTH ERRNO_EINVAL, AREA, PS, RW, MAP_SHARED + MAP_\way, r12, 0x123
CASE at_end_\way, "6.9.7", "MAP_\way: an address at the end is EINVAL"
    BOTH ERRNO_EINVAL, USER_MAX, PS, RW, ANON + MAP_\way
CASE across_end_\way, "6.9.7", "MAP_\way: a range that crosses the end is EINVAL"
    BOTH ERRNO_EINVAL, USER_MAX - PS, PS + 1, RW, ANON + MAP_\way
CASE wraps_\way, "6.9.7", "MAP_\way: a range that wraps is EINVAL"
    BOTH ERRNO_EINVAL, -PS, 2*PS, RW, ANON + MAP_\way
CASE wraps_to_0_\way, "6.9.7", "MAP_\way: a range that ends at 2^64 is EINVAL"
    BOTH ERRNO_EINVAL, -PS, PS, RW, ANON + MAP_\way
    .endr

CASE no_descriptor, "6.9.9", "Descriptor -1 without MAP_ANON is EBADF"
    BOTH ERRNO_EBADF, 0, PS, RW, MAP_PRIVATE
CASE closed, "6.9.9", "A descriptor that is not open is EBADF"
    BOTH ERRNO_EBADF, 0, PS, RW, MAP_SHARED, 4000
CASE pipe, "6.9.9", "A pipe is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, MAP_SHARED, [pipe_end]
CASE queue, "6.9.9", "A kqueue is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, MAP_SHARED, [queue]
CASE directory, "6.9.9", "A directory is EINVAL"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, MAP_SHARED, [directory]
CASE write_only, "6.9.10", "READ of a descriptor for writing, SHARED is EACCES"
    BOTH ERRNO_EACCES, 0, PS, PROT_READ, MAP_SHARED, [writer]
CASE write_only_copy, "6.9.10", "READ of a descriptor for writing, PRIVATE is EACCES"
    BOTH ERRNO_EACCES, 0, PS, PROT_READ, MAP_PRIVATE, [writer]
CASE read_only, "6.9.11", "SHARED and WRITE of a descriptor for reading is EACCES"
    BOTH ERRNO_EACCES, 0, PS, RW, MAP_SHARED, [reader]
CASE table_read_only, "6.9.11", "SHARED and MAP_VPAGETABLE of a descriptor for reading is EACCES"
    BOTH ERRNO_EACCES, 0, PS, RW, MAP_SHARED + MAP_VPAGETABLE, [reader]
CASE size_align, "6.9.13", "MAP_SIZEALIGN of three pages is EINVAL"
    BOTH ERRNO_EINVAL, 0, 3*PS, RW, ANON + MAP_SIZEALIGN
CASE try_taken, "6.9.14", "MAP_TRYFIXED of an address that is taken is ENOMEM"
    BOTH ERRNO_ENOMEM, TAKEN, PS, RW, ANON + MAP_TRYFIXED
CASE try_overlap, "6.9.14", "MAP_TRYFIXED of a range whose last page is taken is ENOMEM"
    BOTH ERRNO_ENOMEM, TAKEN - 2*PS, 3*PS, RW, ANON + MAP_TRYFIXED
CASE try_and_fixed, "6.9.14", "MAP_TRYFIXED with MAP_FIXED does not replace either is ENOMEM"
    BOTH ERRNO_ENOMEM, TAKEN, PS, RW, ANON + MAP_TRYFIXED + MAP_FIXED

    FINISH

    .balign 8
reader:
    .quad 0
writer:
    .quad 0
pipe_end:
    .quad 0
directory:
    .quad 0
queue:
    .quad 0
file:
    .asciz "file"
dot:
    .asciz "."
