# COUNT round trips into SPACES vmspaces, one after the other: in with vmspace_ctl, out with the
# guest's SYSCALL.  Each vmspace has been entered once before.

.include "vkemu.inc"

GUEST = 0x10000
FRAME = 0x30000000
TLS = 0x30001000
PROT = PROT_READ + PROT_EXEC
MAP = MAP_SHARED + MAP_FIXED

    SYSCALL7 SYS_mmap, FRAME, 2 * PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    CHECK_OK 1
    SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
    CHECK_OK 2
    mov r12, rax
    SYSCALL SYS_write, r12, guest, guest_end - guest
    CHECK_OK 3
    mov r13, SPACES
make:
    SYSCALL SYS_vmspace_create, r13
    CHECK_OK 4
    SYSCALL7 SYS_vmspace_mmap, r13, GUEST, PAGE_SIZE, PROT, MAP, r12, 0
    CHECK_OK 5
    mov qword ptr [FRAME + TF_RIP], GUEST
    SYSCALL SYS_vmspace_ctl, r13, VMSPACE_CTL_RUN, FRAME, TLS
    CHECK_OK 6
    CHECK_MEM 7, FRAME + TF_TRAPNO, T_FAST_SYSCALL
    dec r13
    jnz make

    mov r13, SPACES
    mov r15, COUNT
    test r15, r15
    jz done
again:
    mov qword ptr [FRAME + TF_RIP], GUEST
    SYSCALL SYS_vmspace_ctl, r13, VMSPACE_CTL_RUN, FRAME, TLS
    dec r13
    jnz next
    mov r13, SPACES
next:
    dec r15
    jnz again
done:
    CHECK_MEM 8, FRAME + TF_TRAPNO, T_FAST_SYSCALL
    DONE

guest:
    syscall
guest_end:

path:
    .asciz "guest"
