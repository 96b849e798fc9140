# Processes that share vmspaces: fork, exit and execve, with and without somebody inside.

.include "../threads.inc"

KVA = 0x40000000
SHOWN = 0x30000                         # where KVA's tables show IMG_DATA

# MAKE space: a vmspace with the guest in it.
.macro MAKE space
    SYSCALL SYS_vmspace_create, \space
    OK
    SYSCALL7 SYS_vmspace_mmap, \space, CODE, IMG_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
.endm

.macro DESTROY space
    SYSCALL SYS_vmspace_destroy, \space
    OK
.endm

# CHILD label: fork.  The child goes on there, and the parent has its number in r14.
.macro CHILD label
    mov qword ptr [RAM + IMG_DATA], 0
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz \label
    mov r14, rax
.endm

# ENDED status: the child ends with this status.
.macro ENDED expected
    SYSCALL SYS_wait4, r14, status, 0, 0
    OK
    EQUAL [status], \expected
.endm

# AWAIT_WORD value: until another process, or its guest, has stored this in the image.
.macro AWAIT_WORD value
.Lnot_yet\@:
    SYSCALL SYS_sched_yield
    cmp qword ptr [RAM + IMG_DATA], \value
    jne .Lnot_yet\@
.endm

# CALLS space: a guest gets in there and comes back.
.macro CALLS space
    ENTER CODE
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN \space
.endm

# STAYS space: a guest gets in there, says so in the image, and stays.
.macro STAYS space
    ENTER CODE + stay - guest
    RUN \space
.endm

    # A program for execve.
    SYSCALL SYS_open, program_path, O_WRONLY + O_CREAT + O_TRUNC, 0755
    OK
    mov r12, rax
    SYSCALL SYS_write, r12, program, program_end - program
    OK
    SYSCALL SYS_close, r12
    OK

    IMAGE
    GUEST_FROM guest, guest_end
    MAKE SPACE

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
    MAKE 0x6001
    CHILD maker
    ENDED 0
    SYSCALL SYS_vmspace_destroy, 0x6001
    REFUSED ERRNO_ENOENT
    CALLS 0x6002
    DESTROY 0x6002
    jmp 1f
maker:
    DESTROY 0x6001
    MAKE 0x6002
    SYSCALL SYS_exit, 0
1:

CASE child_inside, "6.15.1 6.4.1", "A child that runs in a vmspace keeps it from being destroyed"
    MAKE 0x6003
    CHILD insider
    AWAIT_WORD 1
    SYSCALL SYS_vmspace_destroy, 0x6003
    REFUSED ERRNO_EBUSY
    CALLS 0x6003                        # two may run inside
    SYSCALL SYS_vmspace_destroy, 0x6003
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL
    jmp 1f
insider:
    STAYS 0x6003
    NEVER
1:

CASE killed_inside, "6.15.5 6.15.3", "A process that is killed inside a vmspace lets go of it"
    MAKE 0x6004
    CHILD victim
    AWAIT_WORD 1
    SYSCALL SYS_kill, r14, SIGKILL
    OK
    ENDED SIGKILL
    DESTROY 0x6004
    jmp 1f
victim:
    STAYS 0x6004
    NEVER
1:

CASE exit_beside, "6.15.5 6.15.3", "An LWP whose process exits while it is inside lets go of the vmspace"
    MAKE 0x6005
    CHILD leaver
    ENDED 7 << 8
    EQUAL [RAM + IMG_DATA], 1
    DESTROY 0x6005
    jmp 1f
leaver:
    START stayer, 0x6005
    AWAIT_WORD 1
    SYSCALL SYS_vmspace_destroy, 0x6005
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_exit, 7
1:

CASE exec_beside, "6.15.5 6.15.2", "An LWP whose process executes a program while it is inside lets go of it"
    MAKE 0x6006
    CHILD changer
    ENDED ERRNO_EINVAL << 8
    EQUAL [RAM + IMG_DATA], 1
    DESTROY 0x6006
    jmp 1f
changer:
    START stayer, 0x6006
    AWAIT_WORD 1
    SYSCALL SYS_execve, program_path, no_arguments, no_arguments
    NEVER
1:

CASE exec, "6.15.2 6.2.1", "A program that is executed has no vmspaces, its parent keeps them"
    CHILD executes
    ENDED ERRNO_EINVAL << 8
    CALLS SPACE
    jmp 1f
executes:
    CALLS SPACE
    SYSCALL SYS_execve, program_path, no_arguments, no_arguments
    NEVER
1:

CASE maker_gone, "6.15.3 6.15.1", "A vmspace is there for others when the process that made it has ended"
    CHILD mother
    ENDED 0
    mov qword ptr [RAM + IMG_DATA], 2
    AWAIT_WORD 3
    DESTROY 0x6007
    jmp 1f
mother:
    MAKE 0x6007
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
    MAKE 0x6008
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

stayer:
    STAYS rdi
    NEVER

guest:
    syscall
stay:
    mov qword ptr [DATA], 1
    jmp .
pass:
    mov qword ptr [DATA], 1
pass_waits:
    cmp qword ptr [DATA], 2
    jne pass_waits
    syscall
passed:
guest_end:

    .balign 8
status:
    .quad 0
back:
    .quad 0
no_arguments:
    .quad 0
program_path:
    .asciz "program"

# A static ELF executable: it destroys the vmspace SPACE, and exits with the errno.
BASE = 0x10000000
    .balign 8
program:
    .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0
    .quad 0
    .short 2, 62
    .long 1
    .quad BASE + program_code - program, 64, 0
    .long 0
    .short 64, 56, 1, 64, 0, 0
    .long 1, 5
    .quad 0, BASE, BASE, program_end - program, program_end - program, PAGE_SIZE
program_code:
    SYSCALL SYS_vmspace_destroy, SPACE
    mov edi, 255
    cmovc edi, eax
    mov eax, SYS_exit
    syscall
program_end:
