# Parent and child have the same vmspaces: what one makes, destroys or leaves behind the other sees.

.include "../family.inc"

KVA = 0x40000000
SHOWN = 0x30000                         # where KVA's tables show IMG_DATA

    IMAGE
    GUEST_FROM guest, guest_end
    VMSPACE SPACE

CASE inherited, "6.15.1", "A child has its parent's vmspaces, and runs guests in them"
    CHILD inherits
    ENDED 0
    CALLS SPACE
    jmp 1f
inherits:
    CALLS SPACE
    SYSCALL SYS_vmspace_create, SPACE
    REFUSED ERRNO_EEXIST
    SYSCALL SYS_exit, 0
1:

CASE made_by_child, "6.15.1 6.15.3", "What a child makes or destroys is made or destroyed for its parent too"
    VMSPACE 0x6001
    CHILD maker
    ENDED 0
    SYSCALL SYS_vmspace_destroy, 0x6001
    REFUSED ERRNO_ENOENT
    CALLS 0x6002
    DESTROY 0x6002
    jmp 1f
maker:
    DESTROY 0x6001
    VMSPACE 0x6002
    SYSCALL SYS_exit, 0
1:

CASE maker_gone, "6.15.3 6.15.1", "A vmspace is there for others when the process that made it has ended"
    CHILD mother
    ENDED 0
    mov qword ptr [RAM + IMG_DATA], 2
    AWAIT_WORD 3
    DESTROY 0x6007
    jmp 1f
mother:
    VMSPACE 0x6007
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz orphan
    SYSCALL SYS_exit, 0
orphan:
    AWAIT_WORD 2
    CALLS 0x6007
    mov qword ptr [RAM + IMG_DATA], 3
    SYSCALL SYS_exit, 0
1:

CASE forked_beside, "6.15.1 6.4.1", "A fork while another LWP is inside adds nobody to the vmspace"
    VMSPACE 0x6008
    mov qword ptr [back], 0
    mov qword ptr [RAM + IMG_DATA], 0
    START passer, 0x6008
    AWAIT_WORD 1
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz bystander
    mov r14, rax
    SYSCALL SYS_vmspace_destroy, 0x6008
    REFUSED ERRNO_EBUSY
    mov qword ptr [RAM + IMG_DATA], 2
    AWAIT back
    DESTROY 0x6008                      # the child is still there
    mov qword ptr [RAM + IMG_DATA], 3
    ENDED 0
    jmp 1f
passer:
    ENTER CODE + pass - guest
    EXPECT T_FAST_SYSCALL, CODE + passed - guest
    ANY RFLAGS
    RUN rdi
    TELL back
    END_LWP
bystander:
    AWAIT_WORD 3
    CALLS SPACE                         # and outside
    SYSCALL SYS_exit, 0
1:

    # TABLED type: a MAP_VPAGETABLE mapping of the image at KVA, whose tables show IMG_DATA.
    .macro TABLED type
    TABLES
    MAP_PAGE SHOWN, IMG_DATA + PTE_RW
    SYSCALL7 SYS_mmap, KVA, IMG_SIZE*8, PROT_READ + PROT_WRITE, MAP_FIXED + MAP_VPAGETABLE + \type, r12, 0, 0
    OK
    SYSCALL SYS_mcontrol, KVA, IMG_SIZE*8, MADV_SETMAP, ROOT
    OK
    .endm

CASE tabled_shared, "6.15.4", "A shared MAP_VPAGETABLE mapping is the child's too, with its root"
    TABLED MAP_SHARED
    mov qword ptr [KVA + SHOWN], 5
    CHILD tabled_child
    ENDED 0
    EQUAL [RAM + IMG_DATA], 7
    ENTRY SHOWN, IMG_DATA + PTE_RW + VPTE_A + VPTE_M
    jmp 1f
tabled_child:
    EQUAL [KVA + SHOWN], 0              # as CHILD has left it
    mov qword ptr [KVA + SHOWN], 7
    SYSCALL SYS_exit, 0
1:

CASE tabled_private, "6.15.4", "Of a private MAP_VPAGETABLE mapping the child has a copy, with its root"
    TABLED MAP_PRIVATE
    mov qword ptr [KVA + SHOWN], 5
    CHILD copied_child
    ENDED 0
    EQUAL [KVA + SHOWN], 5
    EQUAL [RAM + IMG_DATA], 0
    jmp 1f
copied_child:
    EQUAL [KVA + SHOWN], 5
    mov qword ptr [KVA + SHOWN], 7
    EQUAL [KVA + SHOWN], 7
    SYSCALL SYS_exit, 0
1:

    FINISH

    .balign 8
back:
    .quad 0
