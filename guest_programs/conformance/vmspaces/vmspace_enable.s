# vm.vkernel_enable, the master switch.  Only root may turn it.

.include "../conform.inc"

KVA = 0x40000000

# ENABLE value: set vm.vkernel_enable.
.macro ENABLE value
    mov dword ptr [switch], \value
    SYSCALL SYS___sysctl, oid, [oid_words], 0, 0, switch, 4
    OK
.endm

CASE switch_name, "6.1.2", "vm.vkernel_enable is an int that is not 0"
    mov qword ptr [size], 4*12
    SYSCALL SYS___sysctl, name_to_oid, 2, oid, size, switch_path, switch_path_end - switch_path
    OK
    mov rax, [size]
    shr rax, 2
    mov [oid_words], rax
    mov qword ptr [size], 4
    SYSCALL SYS___sysctl, oid, [oid_words], switch, size, 0, 0
    OK
    EQUAL [size], 4
    EQUAL [switch], 1

CASE create_disabled, "6.3.1 6.2.3", "vmspace_create is EOPNOTSUPP when virtual kernels are not enabled"
    ENABLE 0
    SYSCALL SYS_vmspace_create, 0x1000
    REFUSED ERRNO_EOPNOTSUPP

CASE no_vkernel_disabled, "6.2.1 6.2.3", "A refused vmspace_create makes no virtual kernel"
    ENABLE 0
    SYSCALL SYS_vmspace_create, 0x1000
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL SYS_vmspace_destroy, 0x1000
    REFUSED ERRNO_EINVAL
    ENABLE 1

CASE create_taken_disabled, "6.3.1 6.3.2", "That it is not enabled is looked at before the id"
    ENABLE 1
    SYSCALL SYS_vmspace_create, 0x1000
    OK
    ENABLE 0
    SYSCALL SYS_vmspace_create, 0x1000
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL SYS_vmspace_create, 0x1001
    REFUSED ERRNO_EOPNOTSUPP
    ENABLE 1
    SYSCALL SYS_vmspace_destroy, 0x1000
    OK

CASE others_disabled, "6.2.3 6.5.4", "All other calls with an id work as before when it is not enabled"
    ENABLE 1
    IMAGE
    SYSCALL SYS_vmspace_create, SPACE
    OK
    ENABLE 0
    SYSCALL7 SYS_vmspace_mmap, SPACE, CODE, IMG_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    SYSCALL SYS_vmspace_mcontrol, SPACE, CODE, PAGE_SIZE, MADV_INVAL
    OK
    SYSCALL SYS_vmspace_munmap, SPACE, CODE, PAGE_SIZE
    OK
    SYSCALL SYS_vmspace_pread, SPACE, DATA, 8, 0, DATA
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_ENOENT
    ENABLE 1

CASE mappings_disabled, "6.2.3", "MAP_VPAGETABLE is EOPNOTSUPP when not enabled, here and in a vmspace"
    ENABLE 1
    IMAGE
    SYSCALL SYS_vmspace_create, SPACE
    OK
    ENABLE 0
    SYSCALL7 SYS_vmspace_mmap, SPACE, 0, USER_MAX, RWX, TABLED_MAP, r12, 0
    REFUSED ERRNO_EOPNOTSUPP
    SYSCALL7 SYS_mmap, KVA, IMG_SIZE, PROT_READ + PROT_WRITE, TABLED_MAP, r12, 0, 0
    REFUSED ERRNO_EOPNOTSUPP
    ENABLE 1
    SYSCALL7 SYS_vmspace_mmap, SPACE, 0, USER_MAX, RWX, TABLED_MAP, r12, 0
    OK
    SYSCALL SYS_vmspace_destroy, SPACE
    OK

    FINISH

    .balign 8
name_to_oid:
    .long 0, 3
oid:
    .space 4*12
oid_words:
    .quad 2
size:
    .quad 0
switch:
    .quad 0
switch_path:
    .ascii "vm.vkernel_enable"
switch_path_end:
