# COUNT vmspaces, which are never used.

.include "vkemu.inc"

    mov r13, COUNT
    test r13, r13
    jz done
again:
    SYSCALL SYS_vmspace_create, r13
    CHECK_OK 1
    dec r13
    jnz again
done:
    DONE
