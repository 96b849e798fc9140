# vmspace_mmap, and that vmspaces have nothing to do with each other.

.include "../conform.inc"

OTHER = 0x6000
THERE = CODE + 0x100000                 # free in the vmspace

# MAP address, length, prot, flags, fd, offset: vmspace_mmap in SPACE.
.macro MAP address, length, prot=RWX, flags=PLAIN_MAP, fd=r12, offset=0
    SYSCALL7 SYS_vmspace_mmap, SPACE, \address, \length, \prot, \flags, \fd, \offset
.endm

# LOAD address, value: the guest reads this word there.
.macro LOAD address, value
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, \address
    WANT RAX, \value
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
.endm

    PLAIN_SPACE
    mov qword ptr [RAM + IMG_DATA], 11
    mov qword ptr [RAM + IMG_DATA + PAGE_SIZE], 22
    SYSCALL SYS_open, image_path, O_RDONLY
    OK
    mov r13, rax
    SYSCALL SYS_pipe
    OK
    mov r14, rax

    .irp address, 0, CODE, 0x400000, 0x7fffffff0000
CASE empty_\address, "6.3.4 7.5.4", "A new vmspace is empty: the first fetch at \address faults"
    SYSCALL SYS_vmspace_create, OTHER
    OK
    ENTER \address
    EXPECT T_PAGEFLT, \address, PGEX_U + PGEX_I, \address
    RUN OTHER
    SYSCALL SYS_vmspace_destroy, OTHER
    OK
    .endr

CASE recreated, "6.4.2 6.14.7", "A vmspace that is destroyed and created again has lost its mappings"
    SYSCALL SYS_vmspace_create, OTHER
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN OTHER
    SYSCALL SYS_vmspace_destroy, OTHER
    OK
    SYSCALL SYS_vmspace_create, OTHER
    OK
    ENTER CODE
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_I, CODE
    RUN OTHER
    SYSCALL SYS_vmspace_destroy, OTHER
    OK

CASE result, "6.6.1", "The result is the address, with the offset's place in its page"
    MAP THERE, PAGE_SIZE, offset=IMG_DATA
    OK
    EQUAL rax, THERE
    LOAD THERE, 11
    MAP THERE + 0x123, PAGE_SIZE, offset=IMG_DATA + PAGE_SIZE + 0x123
    OK
    EQUAL rax, THERE + 0x123
    LOAD THERE, 22                      # it replaces what was there

CASE hint, "6.6.1 6.9.15", "Without FIXED the vmspace's free addresses are looked at, not one's own"
    MAP THERE + PAGE_SIZE, PAGE_SIZE, flags=MAP_SHARED, offset=IMG_DATA
    OK
    mov r15, rax
    BITS r15, PAGE_SIZE - 1, 0
    LOAD r15, 11
    SYSCALL SYS_vmspace_munmap, SPACE, r15, PAGE_SIZE
    OK

CASE own_space, "6.6.1", "What is mapped in a vmspace is not mapped in the virtual kernel"
    SYSCALL SYS_munmap, CODE, PAGE_SIZE
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_write, r12, CODE, 1
    REFUSED ERRNO_EFAULT

CASE anonymous, "6.6.1", "Anonymous memory in a vmspace is zero and nobody else's"
    MAP THERE, PAGE_SIZE, flags=MAP_ANON + MAP_PRIVATE + MAP_FIXED, fd=-1
    OK
    GUEST "mov rax, [rsi]; mov [rsi], rdx; mov rbx, [rsi]; syscall"
    GIVE RSI, THERE + 8
    GIVE RDX, 77
    WANT RAX, 0
    WANT RBX, 77
    EXPECT T_FAST_SYSCALL, CODE + 11
    RUN

CASE private, "6.6.1", "A private mapping of the image shows it until it is written"
    MAP THERE, PAGE_SIZE, flags=MAP_PRIVATE + MAP_FIXED, offset=IMG_DATA
    OK
    GUEST "mov rax, [rsi]; mov [rsi], rdx; mov rbx, [rsi]; syscall"
    GIVE RSI, THERE
    GIVE RDX, 77
    WANT RAX, 11
    WANT RBX, 77
    EXPECT T_FAST_SYSCALL, CODE + 11
    RUN
    WORD RAM + IMG_DATA, 11

CASE read_only, "6.6.1 7.2.1 7.5.2", "A mapping without WRITE refuses a write"
    MAP THERE, PAGE_SIZE, prot=PROT_READ, offset=IMG_DATA
    OK
    GUEST "mov [rsi], rdx; syscall"
    GIVE RSI, THERE
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, THERE
    RUN
    LOAD THERE, 11

CASE no_access, "6.6.1 7.2.1 7.5.1", "A mapping with PROT_NONE refuses a read"
    MAP THERE, PAGE_SIZE, prot=PROT_NONE, offset=IMG_DATA
    OK
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, THERE
    EXPECT T_PAGEFLT, CODE, PGEX_U, THERE
    RUN

CASE beyond_the_image, "6.6.1 6.9.18 7.2.1", "A mapping may go beyond the image, where every access faults"
    MAP THERE, 2*PAGE_SIZE, offset=IMG_SIZE - PAGE_SIZE
    OK
    LOAD THERE, 0
    GUEST "mov rax, [rsi]; syscall"
    GIVE RSI, THERE + PAGE_SIZE
    EXPECT T_PAGEFLT, CODE, PGEX_U, THERE + PAGE_SIZE
    RUN
    SYSCALL SYS_vmspace_munmap, SPACE, THERE, 2*PAGE_SIZE
    OK

CASE descriptor_closed, "6.6.1", "A mapping outlives its descriptor, and the virtual kernel's own mapping"
    SYSCALL SYS_open, other_path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov r15, rax
    SYSCALL SYS_ftruncate, r15, 0, PAGE_SIZE
    OK
    SYSCALL SYS_write, r15, other_path, 8
    OK
    MAP THERE, PAGE_SIZE, fd=r15
    OK
    SYSCALL SYS_close, r15
    OK
    SYSCALL SYS_unlink, other_path
    OK
    LOAD THERE, [other_path]

    # REFUSE name, errno, title, ...: what vmspace_mmap refuses as mmap does.
    .macro REFUSE name, errno, title, address=THERE, length=PAGE_SIZE, prot=RWX, flags=PLAIN_MAP, fd=r12, offset=0
CASE \name, "6.6.2", "\title"
    MAP \address, \length, \prot, \flags, \fd, \offset
    REFUSED \errno
    .endm
    REFUSE no_length, ERRNO_EINVAL, length 0 is EINVAL, length=0
    REFUSE no_descriptor, ERRNO_EBADF, a descriptor that is not open is EBADF, fd=99
    REFUSE of_pipe, ERRNO_EINVAL, a pipe is EINVAL, fd=r14
    REFUSE anon_descriptor, ERRNO_EINVAL, MAP_ANON with a descriptor is EINVAL, flags=MAP_ANON + MAP_FIXED
    REFUSE not_writable, ERRNO_EACCES, SHARED and WRITE of a read-only descriptor is EACCES, fd=r13
    REFUSE unaligned, ERRNO_EINVAL, FIXED at an odd address is EINVAL, address=THERE + 1
    REFUSE too_high, ERRNO_EINVAL, FIXED beyond the user's addresses is EINVAL, address=USER_MAX
    REFUSE wraps, ERRNO_EINVAL, FIXED and wrapping is EINVAL, address=-PAGE_SIZE, length=2*PAGE_SIZE
    REFUSE taken, ERRNO_ENOMEM, TRYFIXED of a taken address is ENOMEM, address=CODE, flags=MAP_SHARED + MAP_TRYFIXED
    REFUSE tabled_unreadable, ERRNO_EINVAL, MAP_VPAGETABLE without READ is EINVAL, prot=PROT_WRITE, flags=TABLED_MAP
    REFUSE tabled_unwritable, ERRNO_EINVAL, MAP_VPAGETABLE without WRITE is EINVAL, prot=PROT_READ, flags=TABLED_MAP

CASE refused_kept, "6.6.2", "A vmspace_mmap that is refused leaves what was mapped there"
    MAP THERE, PAGE_SIZE, offset=IMG_DATA
    OK
    MAP THERE, PAGE_SIZE, fd=r13
    REFUSED ERRNO_EACCES
    MAP THERE, PAGE_SIZE, fd=99
    REFUSED ERRNO_EBADF
    LOAD THERE, 11

CASE same_address, "6.14.6 6.6.1", "Two vmspaces have different things at one address"
    SYSCALL SYS_vmspace_create, OTHER
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER, THERE, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA + PAGE_SIZE
    OK
    MAP THERE, PAGE_SIZE, offset=IMG_DATA
    OK
    mov r15d, 3
1:
    LOAD THERE, 11
    ENTER CODE
    GIVE RSI, THERE
    WANT RAX, 22
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN OTHER
    dec r15d
    jnz 1b
    SYSCALL SYS_vmspace_destroy, OTHER
    OK

    FINISH

other_path:
    .asciz "other.image"
