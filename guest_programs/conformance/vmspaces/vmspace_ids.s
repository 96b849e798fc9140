# What an id is, and that it is looked at before anything else.

.include "../conform.inc"

BAD = -1                                # as any argument
MANY = 64

# EVERY when, rule, id, errno, title: each of the calls that take an id is refused for the id's
# sake, whatever else is wrong with it.
.macro EVERY when, rule, id, errno, title
CASE destroy_\when, "\rule", "\title: vmspace_destroy"
    SYSCALL SYS_vmspace_destroy, \id
    REFUSED \errno
CASE ctl_\when, "\rule", "\title: vmspace_ctl"
    SYSCALL SYS_vmspace_ctl, \id, BAD, BAD, BAD
    REFUSED \errno
CASE mmap_\when, "\rule", "\title: vmspace_mmap"
    SYSCALL7 SYS_vmspace_mmap, \id, BAD, 0, BAD, BAD, BAD, BAD
    REFUSED \errno
CASE munmap_\when, "\rule", "\title: vmspace_munmap"
    SYSCALL SYS_vmspace_munmap, \id, BAD, BAD
    REFUSED \errno
CASE mcontrol_\when, "\rule", "\title: vmspace_mcontrol"
    SYSCALL SYS_vmspace_mcontrol, \id, BAD, BAD, BAD, BAD
    REFUSED \errno
CASE pread_\when, "\rule 6.8.1", "\title: vmspace_pread"
    SYSCALL SYS_vmspace_pread, \id, BAD, BAD, BAD, BAD
    REFUSED \errno
CASE pwrite_\when, "\rule 6.8.1", "\title: vmspace_pwrite"
    SYSCALL SYS_vmspace_pwrite, \id, BAD, BAD, BAD, BAD
    REFUSED \errno
.endm

    EVERY of_nobody, 6.2.1, 0x1000, ERRNO_EINVAL, EINVAL before the first vmspace_create

CASE first, "6.3.4 6.2.2", "The first vmspace_create makes a virtual kernel"
    SYSCALL SYS_vmspace_create, 0x1000
    OK
    EQUAL rax, 0

    EVERY unknown, 6.2.2, 0x1001, ERRNO_ENOENT, ENOENT for an unknown id

# PRESENT id: there is such a vmspace.  It stays as it is.
.macro PRESENT id
    SYSCALL SYS_vmspace_munmap, \id, 0, 0
    OK
.endm

.macro ABSENT id
    SYSCALL SYS_vmspace_munmap, \id, 0, 0
    REFUSED ERRNO_ENOENT
.endm

CASE last_destroyed, "6.2.2 6.4.2", "A virtual kernel without any vmspace is still one: ENOENT"
    SYSCALL SYS_vmspace_destroy, 0x1000
    OK
    EQUAL rax, 0
    SYSCALL SYS_vmspace_destroy, 0x1000
    REFUSED ERRNO_ENOENT
    ABSENT 0x1000

CASE zero, "6.3.3 6.1.1", "0 is an id"
    ABSENT 0
    SYSCALL SYS_vmspace_create, 0
    OK
    PRESENT 0
    ABSENT 1
    SYSCALL SYS_vmspace_create, 0
    REFUSED ERRNO_EEXIST
    SYSCALL SYS_vmspace_destroy, 0
    OK

CASE arguments, "6.3.3", "vmspace_create looks at nothing but the id"
    SYSCALL SYS_vmspace_create, 0x2000, 7, -1
    OK
    SYSCALL SYS_vmspace_create, 0x2000, -1, 0x123
    REFUSED ERRNO_EEXIST
    SYSCALL SYS_vmspace_destroy, 0x2000
    OK

CASE taken, "6.3.2 6.4.2", "An id names one vmspace at a time"
    SYSCALL SYS_vmspace_create, 0x3000
    OK
    SYSCALL SYS_vmspace_create, 0x3000
    REFUSED ERRNO_EEXIST
    PRESENT 0x3000
    SYSCALL SYS_vmspace_destroy, 0x3000
    OK
    SYSCALL SYS_vmspace_create, 0x3000
    OK
    SYSCALL SYS_vmspace_destroy, 0x3000
    OK

CASE all_bits, "6.1.1", "Each of the 64 bits of an id counts"
    mov r14, 1
1:
    SYSCALL SYS_vmspace_create, r14
    OK
    add r14, r14
    jnz 1b
    mov r14, 1
2:
    SYSCALL SYS_vmspace_create, r14
    REFUSED ERRNO_EEXIST
    SYSCALL SYS_vmspace_destroy, r14
    OK
    ABSENT r14
    add r14, r14
    jnz 2b

CASE others_stay, "6.1.1 6.4.2", "A vmspace that is destroyed leaves all others; ids have no sign"
    .irp id, 0, 1, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffff, 0xffffffff00000000, -1
    mov r14, \id
    SYSCALL SYS_vmspace_create, r14
    OK
    .endr
    .irp id, 0x8000000000000000, 0, -1
    mov r14, \id
    SYSCALL SYS_vmspace_destroy, r14
    OK
    .endr
    .irp id, 1, 0x7fffffffffffffff, 0xffffffff, 0xffffffff00000000
    mov r14, \id
    PRESENT r14
    SYSCALL SYS_vmspace_destroy, r14
    OK
    .endr
    .irp id, 0x8000000000000000, 0, -1
    mov r14, \id
    ABSENT r14
    .endr

CASE many, "6.1.1", "Many vmspaces, made in one order and destroyed in another"
    xor r14d, r14d
1:
    SYSCALL SYS_vmspace_create, r14
    OK
    add r14, 37*0x1000
    cmp r14, MANY*37*0x1000
    jb 1b
2:
    sub r14, 37*0x1000
    PRESENT r14
    SYSCALL SYS_vmspace_destroy, r14
    OK
    ABSENT r14
    test r14, r14
    jnz 2b

    FINISH
