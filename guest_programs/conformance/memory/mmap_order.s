# The order in which mmap and vmspace_mmap look for mistakes: two at once, and which one they report.

.include "../access.inc"

AREA = 0x20000000                       # free in both
TAKEN = 0x21000000                      # mapped in both
PS = PAGE_SIZE
TABLE = MAP_VPAGETABLE
TOO_LONG = 1 - PAGE_SIZE

    PLAIN_SPACE
    SYSCALL SYS_open, file, O_WRONLY + O_CREAT, 0600
    OK
    mov [writer], rax
    SYSCALL SYS_open, file, O_RDONLY
    OK
    mov [reader], rax
    SYSCALL SYS_pipe
    OK
    mov [pipe_end], rdx
    MMAP TAKEN, PS, RW, PLAIN_MAP, r12
    OK
    SPACE_MMAP TAKEN, PS, RWX, PLAIN_MAP, r12
    OK
    # The number of vm.vkernel_enable.
    SYSCALL SYS___sysctl, name_to_number, 2, vkernel_enable, vkernel_enable_size, switch, 17
    OK
    shr qword ptr [vkernel_enable_size], 2

# BOTH_DISABLED: the same while vm.vkernel_enable is 0, which it is no longer when the result is looked at.
.macro BOTH_DISABLED errno, address, length, prot, flags, fd=NO_FILE, offset=0
    call disable
    MMAP \address, \length, \prot, \flags, \fd, \offset
    call enable
    REFUSED \errno
    call disable
    SPACE_MMAP \address, \length, \prot, \flags, \fd, \offset
    call enable
    REFUSED \errno
.endm

CASE not_enabled, "6.9.5 6.2.3", "Without vm.vkernel_enable MAP_VPAGETABLE is EOPNOTSUPP, and nothing else is"
    call disable
    MMAP AREA, PS, RW, TABLED_MAP, r12
    call enable
    REFUSED ERRNO_EOPNOTSUPP
    call disable
    SPACE_MMAP AREA, PS, RW, TABLED_MAP, r12
    call enable
    REFUSED ERRNO_EOPNOTSUPP
    call disable
    MMAP AREA, PS, RW, PLAIN_MAP, r12
    call enable
    OK
    call disable
    SPACE_MMAP AREA, PS, RW, PLAIN_MAP, r12
    call enable
    OK
    SYSCALL SYS_munmap, AREA, PS
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, PS
    OK

CASE anon_first, "6.9.1 6.9.5", "MAP_ANON with an offset comes before not enabled"
    BOTH_DISABLED ERRNO_EINVAL, 0, PS, RW, ANON + TABLE, -1, PS
CASE length_first, "6.9.2 6.9.5", "Length 0 comes before not enabled"
    BOTH_DISABLED ERRNO_EINVAL, 0, 0, RW, ANON + TABLE
CASE stack_first, "6.9.3 6.9.5", "MAP_STACK with a descriptor comes before not enabled"
    BOTH_DISABLED ERRNO_EINVAL, 0, PS, RW, MAP_STACK + TABLE, r12
CASE stack_rights_first, "6.9.3 6.9.5", "MAP_STACK without WRITE comes before not enabled"
    BOTH_DISABLED ERRNO_EINVAL, 0, PS, PROT_READ, MAP_STACK + TABLE
CASE not_enabled_first, "6.9.5", "Not enabled comes before MAP_VPAGETABLE with MAP_STACK"
    BOTH_DISABLED ERRNO_EOPNOTSUPP, 0, PS, RW, MAP_STACK + TABLE
CASE not_enabled_rights, "6.9.5", "Not enabled comes before MAP_VPAGETABLE without WRITE"
    BOTH_DISABLED ERRNO_EOPNOTSUPP, 0, PS, PROT_READ, ANON + TABLE
CASE not_enabled_length, "6.9.5 6.9.6", "Not enabled comes before a length that overflows"
    BOTH_DISABLED ERRNO_EOPNOTSUPP, 0, TOO_LONG, RW, ANON + TABLE
CASE not_enabled_address, "6.9.5 6.9.7", "Not enabled comes before an address that is not aligned"
    BOTH_DISABLED ERRNO_EOPNOTSUPP, 1, PS, RW, ANON + TABLE + MAP_FIXED
CASE not_enabled_fd, "6.9.5 6.9.9", "Not enabled comes before a bad descriptor"
    BOTH_DISABLED ERRNO_EOPNOTSUPP, 0, PS, RW, TABLE

CASE length_fd, "6.9.2 6.9.9", "Length 0 comes before a bad descriptor"
    BOTH ERRNO_EINVAL, 0, 0, RW, MAP_SHARED
CASE rights_fd, "6.9.5 6.9.9", "MAP_VPAGETABLE without WRITE comes before a bad descriptor"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, TABLE
CASE overflow_fd, "6.9.6 6.9.9", "A length that overflows comes before a bad descriptor"
    BOTH ERRNO_EINVAL, 0, TOO_LONG, RW, MAP_SHARED
CASE aligned_fd, "6.9.7 6.9.9", "An address that is not aligned comes before a bad descriptor"
    BOTH ERRNO_EINVAL, AREA + 1, PS, RW, PLAIN_MAP
CASE end_fd, "6.9.7 6.9.9", "A range that ends too high comes before a bad descriptor"
    BOTH ERRNO_EINVAL, USER_MAX, PS, RW, PLAIN_MAP
CASE wrap_rights, "6.9.7 6.9.10", "A range that wraps comes before a descriptor for writing"
    BOTH ERRNO_EINVAL, -PS, 2*PS, RW, PLAIN_MAP, [writer]
CASE fd_align, "6.9.9 6.9.13", "A bad descriptor comes before MAP_SIZEALIGN"
    BOTH ERRNO_EBADF, 0, 3*PS, RW, MAP_SHARED + MAP_SIZEALIGN
CASE pipe_rights, "6.9.9 6.9.10", "A pipe comes before that it is the end for writing"
    BOTH ERRNO_EINVAL, 0, PS, PROT_READ, MAP_SHARED, [pipe_end]
CASE read_align, "6.9.10 6.9.13", "READ of a descriptor for writing comes before MAP_SIZEALIGN"
    BOTH ERRNO_EACCES, 0, 3*PS, PROT_READ, MAP_SHARED + MAP_SIZEALIGN, [writer]
CASE write_align, "6.9.11 6.9.13", "WRITE of a descriptor for reading comes before MAP_SIZEALIGN"
    BOTH ERRNO_EACCES, 0, 3*PS, RW, MAP_SHARED + MAP_SIZEALIGN, [reader]
CASE rights_room, "6.9.11 6.9.14", "WRITE of a descriptor for reading comes before an address that is taken"
    BOTH ERRNO_EACCES, TAKEN, PS, RW, MAP_SHARED + MAP_TRYFIXED, [reader]
CASE align_room, "6.9.13 6.9.14", "MAP_SIZEALIGN comes before an address that is taken"
    BOTH ERRNO_EINVAL, TAKEN, 3*PS, RW, ANON + MAP_TRYFIXED + MAP_SIZEALIGN

# BOTH_REFUSE length, prot, flags, fd, offset: both refuse to map this at TAKEN, which is as before.
.macro BOTH_REFUSE length, prot, flags, fd=NO_FILE, offset=0
    mov qword ptr [RAM], 0x4711
    MMAP TAKEN, \length, \prot, MAP_FIXED + \flags, \fd, \offset
    jnc .Lmapped\@
    WORD TAKEN, 0x4711
    SPACE_MMAP TAKEN, \length, \prot, MAP_FIXED + \flags, \fd, \offset
    jnc .Lmapped\@
    SYSCALL SYS_vmspace_munmap, SPACE, TAKEN, PS    # it is still there to be unmapped
    OK
    SPACE_MMAP TAKEN, PS, RWX, PLAIN_MAP, r12
    OK
    jmp .Lend\@
.Lmapped\@:
    NEVER
.Lend\@:
.endm

CASE stays_fd, "6.9.14", "A bad descriptor does not unmap what FIXED would replace"
    BOTH_REFUSE PS, RW, MAP_SHARED
CASE stays_rights, "6.9.14", "A right that is missing does not unmap what FIXED would replace"
    BOTH_REFUSE PS, RW, MAP_SHARED, [reader]
CASE stays_align, "6.9.13 6.9.14", "MAP_SIZEALIGN does not unmap what FIXED would replace"
    BOTH_REFUSE 3*PS, RW, ANON + MAP_SIZEALIGN

CASE limit, "6.9.13 6.9.21", "RLIMIT_VMEM is ENOMEM in one's own space, before MAP_SIZEALIGN; not in a vmspace"
    SYSCALL SYS_getrlimit, RLIMIT_VMEM, old_limit
    OK
    mov rax, [old_limit + 8]
    mov [new_limit + 8], rax
    SYSCALL SYS_setrlimit, RLIMIT_VMEM, new_limit
    OK
    MMAP 0, 3*PS, RW, ANON + MAP_SIZEALIGN
    call restore_limit
    REFUSED ERRNO_ENOMEM
    SYSCALL SYS_setrlimit, RLIMIT_VMEM, new_limit
    MMAP 0, PS, RW, MAP_SHARED, [writer]
    call restore_limit
    REFUSED ERRNO_EACCES
    SYSCALL SYS_setrlimit, RLIMIT_VMEM, new_limit
    SPACE_MMAP AREA, PS, RW, ANON + MAP_FIXED
    call restore_limit
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, PS
    OK

    FINISH

# These keep rax and CF.
disable:
    mov dword ptr [state], 0
    jmp set_state
enable:
    mov dword ptr [state], 1
set_state:
    setc [carry]
    mov [result], rax
    SYSCALL SYS___sysctl, vkernel_enable, [vkernel_enable_size], 0, 0, state, 4
    OK
    jmp restore_result
restore_limit:
    setc [carry]
    mov [result], rax
    SYSCALL SYS_setrlimit, RLIMIT_VMEM, old_limit
    OK
restore_result:
    mov rax, [result]
    bt qword ptr [carry], 0
    ret

    .balign 8
result:
    .quad 0
carry:
    .quad 0
writer:
    .quad 0
reader:
    .quad 0
pipe_end:
    .quad 0
old_limit:
    .quad 0, 0
new_limit:
    .quad PAGE_SIZE, 0
vkernel_enable:
    .space 96
vkernel_enable_size:
    .quad 96
name_to_number:
    .long 0, 3
state:
    .long 0
switch:
    .ascii "vm.vkernel_enable"
file:
    .asciz "file"
