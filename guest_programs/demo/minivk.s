# A virtual kernel with two CPUs.  Here are its processes and their system calls; in other files are
#
#     minivk_cpu.inc      the CPUs, the lock, the timer
#     minivk_memory.inc   pages, page tables, page faults
#     minivk_guests.inc   the programs that the processes run
#     minivk_report.inc   what it says at the end
#
#     vkemu run minivk.s
#
# Its physical memory is a file, the image.  It sees the image twice: `ram` shows it byte for byte,
# `window` through the page table of a process, as that process sees it.  Each process has a
# vmspace, which shows it the image through its page table too.
#
#     ram     [image byte 0 ......................... last byte]     plain mapping
#     window  [0 ............................ GUEST_END of process]  VPAGETABLE mapping
#     vmspace [0 ............................ GUEST_END of process]  VPAGETABLE mapping
#
# The host fills the vmspace from the page table by itself and only shows us what it cannot resolve.
#
# rbp is the current process of this CPU everywhere.  Routines that are called keep rbx, rbp and r12
# to r15.

.include "print.inc"

# What a process sees.
GUEST_TEXT = 0x10000                    # its program, which it cannot write
GUEST_HEAP = 0x20000                    # zeros, as far as it has asked for
GUEST_END = 0x40000000                  # its addresses end here, with the stack
STACK_MAX = 4*PAGE_SIZE
GUEST_PROT = PROT_READ + PROT_WRITE + PROT_EXEC # its page table says what is really allowed

# What it can ask for: number in rax, arguments in rdi rsi rdx, result in rax.  If it is refused,
# the carry flag is set and rax says why.
CALL_EXIT = 0                           # status, 32 bits
CALL_WRITE = 1                          # fd, address, length: length
CALL_YIELD = 2
CALL_GETPID = 3                         # : number of the process
CALL_BRK = 4                            # address: the heap ends there from now on
CALL_FORK = 5                           # : number of the child; 0 in the child
CALL_WAIT = 6                           # number: exit status of a child, once it has ended
CALL_LIMIT = 7                          # slices: so many are left before the process is ended

# A process.  Its address is also that of its registers, and the name of its vmspace.
P_FRAME = 0
P_FP = (TF_SIZE + 15)/16*16             # its FP registers, as FXSAVE has them
P_FP_CPU = P_FP + 512                   # the CPU that loaded them last
P_PID = P_FP_CPU + 8
P_PARENT = P_PID + 8                    # the process that forked it, or 0
P_STATE = P_PARENT + 8
P_AWAITED = P_STATE + 8                 # the process that it waits for
P_PROGRAM = P_AWAITED + 8
P_ROOT = P_PROGRAM + 8                  # where in the image its page table begins
P_HEAP_SIZE = P_ROOT + 8
P_LIMIT = P_HEAP_SIZE + 8               # how many slices it has left, or 0: as many as it likes
P_STATUS = P_LIMIT + 8                  # with which it exited, or 0
P_TRAP = P_STATUS + 8                   # which killed it, or 0
P_CPU = P_TRAP + 8                      # the CPU that ran it last
P_CALLS = P_CPU + 8                     # how many system calls,
P_FAULTS = P_CALLS + 8                  #          page faults,
P_COPIES = P_FAULTS + 8                 #          pages copied,
P_SLICES = P_COPIES + 8                 #          slices used up,
P_MOVES = P_SLICES + 8                  #          moves to another CPU,
P_FP_LOADS = P_MOVES + 8                #          times its FP registers were loaded
P_SIZE = (P_FP_LOADS + 8 + 15)/16*16    # FXSAVE wants multiples of 16

PROCESS_MAX = 10
READY = 1                               # P_STATE; 0 where there is no process
RUNNING = 2
WAITING = 3                             # for P_AWAITED
ENDED = 4

STATUS_PANIC = 99

IMAGE_PROT = PROT_READ + PROT_WRITE
IMAGE_SIZE = IMAGE_PAGES*PAGE_SIZE
WINDOW = MAP_SHARED + MAP_VPAGETABLE    # how the image is mapped if it is not byte for byte
IMAGE_HINT = 0x1000000000               # where we should like to see it
WINDOW_HINT = 0x2000000000

# MUST number, operands: a system call of ours that must succeed.
.macro MUST number, a=0, b=0, c=0, d=0, e=0, f=0, g=0
    SYSCALL7 \number, \a, \b, \c, \d, \e, \f, \g
    jc panic
.endm

# --- Start -----------------------------------------------------------------------------------

    jmp start
.include "minivk_cpu.inc"
.include "minivk_memory.inc"
.include "minivk_guests.inc"
.include "minivk_report.inc"

start:
    mov rsp, cpus + CPU_SIZE
    call cpu_first
    MUST SYS_open, image_path, O_RDWR + O_CREAT + O_TRUNC, 0600
    mov [image], rax
    MUST SYS_ftruncate, [image], 0, IMAGE_SIZE
    MUST SYS_mmap, IMAGE_HINT, IMAGE_SIZE, IMAGE_PROT, MAP_SHARED, [image], 0, 0
    mov [ram], rax
    MUST SYS_mmap, WINDOW_HINT, GUEST_END, IMAGE_PROT, WINDOW, [image], 0, 0
    mov [window], rax
    LOG "%d pages of memory at %x, a window at %x\n", IMAGE_PAGES, [ram], [window]

    mov rbx, programs
start_next:
    mov rdi, rbx
    call process_start
    add rbx, PROGRAM_ENTRY
    cmp rbx, programs_end
    jb start_next
    LOG "%d processes, each with a vmspace and without any pages\n", [process_count]
    call cpus_start
    mov rbp, processes_last             # so that the first one is next

# --- The loop: run a process until it traps or is interrupted, see what it wants ----------------

# schedule: go on with the next process that is ready, round robin.
schedule:
    mov ecx, PROCESS_MAX
schedule_next:
    add rbp, P_SIZE
    cmp rbp, processes_end
    jb schedule_look
    mov rbp, processes
schedule_look:
    cmp qword ptr [rbp + P_STATE], READY
    je schedule_found
    dec ecx
    jnz schedule_next
    cmp qword ptr [process_alive], 0
    je cpu_halt
    jmp idle

# A process begins its slice here, and no earlier tick ends it.
schedule_found:
    mov qword ptr [rbp + P_STATE], RUNNING
    mov qword ptr gs:[CPU_TICK], 0
    cmp gs:[CPU_LAST], rbp
    je run
    mov gs:[CPU_LAST], rbp
    inc qword ptr gs:[CPU_SWITCHES]
    mov rax, [rbp + P_CPU]
    mov rdx, gs:[CPU_SELF]
    mov [rbp + P_CPU], rdx
    test rax, rax
    jz run                              # it has not run before
    cmp rax, rdx
    je run
    inc qword ptr [rbp + P_MOVES]

# run: go on with the current process, unless its slice is over.  A tick that comes between that
# look and vmspace_ctl is seen with the next trap or tick: the slice is a little longer.
run:
    cmp qword ptr gs:[CPU_TICK], 0
    jne slice_over
    call fp_owned
    mov eax, PGEX_FPFAULT
    mov ecx, 0
    cmove eax, ecx
    mov [rbp + TF_XFLAGS], rax
    call unlock
    MUST SYS_vmspace_ctl, rbp, VMSPACE_CTL_RUN, rbp, tls
    call lock
    mov rax, [rbp + TF_TRAPNO]
    cmp eax, T_FAST_SYSCALL
    je system_call
    cmp eax, T_PAGEFLT
    je page_fault
    cmp eax, T_DNA
    je fp_fault
    test eax, eax                       # an interrupt, nothing the process did
    jz run
    jmp kill

# page_fault: the page table gives no answer.  If memory of the process is there, it shall.
page_fault:
    inc qword ptr [rbp + P_FAULTS]
    mov rdi, [rbp + TF_ADDR]
    mov rsi, [rbp + TF_ERR]
    call resolve
    jnc run
    mov rsi, [rbp + TF_ERR]
    call access_name
    LOG "pid %d  %5s %10x  nothing is there\n", [rbp + P_PID], rax, [rbp + TF_ADDR]
    jmp kill

# fp_fault: the FP unit has not got the registers of the process.
fp_fault:
    call fp_load
    cmp qword ptr [rbp + P_FP_LOADS], 1
    jne run
    LOG "pid %d  uses the FP unit: its registers are loaded\n", [rbp + P_PID]
    jmp run

# slice_over: a tick has come.  Others that are ready run first.
slice_over:
    inc qword ptr [rbp + P_SLICES]
    cmp qword ptr [rbp + P_LIMIT], 0
    je stand_back
    dec qword ptr [rbp + P_LIMIT]
    jz slice_last
    LOG "pid %d  interrupted at %x, rbx is %d\n", [rbp + P_PID], [rbp + TF_RIP], [rbp + TF_RBX]
    jmp stand_back
slice_last:
    LOG "pid %d  killed: it has used up its slices\n", [rbp + P_PID]
    mov qword ptr [rbp + P_TRAP], T_ASTFLT
    call process_end
    jmp schedule

# stand_back: the current process is the last in turn.
stand_back:
    mov eax, READY
    call process_stop
    call give_way
    jmp schedule

# kill: end the current process for what it did.
kill:
    mov rdi, [rbp + TF_TRAPNO]
    mov [rbp + P_TRAP], rdi
    call trap_name
    LOG "pid %d  killed by %s at %x\n", [rbp + P_PID], rax, [rbp + TF_RIP]
    call process_end
    jmp schedule

# --- System calls of the processes -----------------------------------------------------------

# system_call: each call ends with a jump to succeed, refuse, restart or schedule.
system_call:
    inc qword ptr [rbp + P_CALLS]
    mov rax, [rbp + TF_RAX]
    cmp rax, (calls_end - calls)/8
    jae no_call
    jmp [calls + 8*rax]

calls:
    # In the order of CALL_EXIT, CALL_WRITE ...
    .quad call_exit, call_write, call_yield, call_getpid, call_brk, call_fork, call_wait, call_limit
calls_end:

# succeed: rax is the result.
succeed:
    and qword ptr [rbp + TF_RFLAGS], ~PSL_C
    mov [rbp + TF_RAX], rax
    jmp run

# refuse: rax is the error number.
refuse:
    or qword ptr [rbp + TF_RFLAGS], PSL_C
    mov [rbp + TF_RAX], rax
    jmp run

# restart: the process has to wait, then it makes the call again.  TF_ERR is how long SYSCALL is;
# r10, the fourth argument, is in TF_RCX.
restart:
    mov rax, [rbp + TF_ERR]
    sub [rbp + TF_RIP], rax
    mov rax, [rbp + TF_RCX]
    mov [rbp + TF_R10], rax
    mov eax, WAITING
    call process_stop
    jmp schedule

no_call:
    mov eax, ERRNO_ENOSYS
    jmp refuse

call_exit:
    mov eax, [rbp + TF_RDI]
    mov [rbp + P_STATUS], rax
    LOG "pid %d  exit %d\n", [rbp + P_PID], rax
    call process_end
    jmp schedule

# The host can read the process's memory for us, through the window.  But it asks nobody when a page
# is missing, so all pages must be there before.
call_write:
    mov eax, ERRNO_EBADF
    cmp qword ptr [rbp + TF_RDI], STDOUT
    jne refuse
    mov rbx, [rbp + TF_RSI]
    mov r12, [rbp + TF_RDX]
    mov eax, ERRNO_EFAULT
    cmp rbx, GUEST_END
    ja refuse
    cmp r12, GUEST_END
    ja refuse
    lea r13, [rbx + r12]
    mov r14, rbx
    and r14, -PAGE_SIZE
write_page:
    cmp r14, r13
    jae write_line
    mov rdi, r14
    xor esi, esi                        # as if it had been read
    call resolve
    mov eax, ERRNO_EFAULT
    jc refuse
    add r14, PAGE_SIZE
    jmp write_page
write_line:
    SAY "[pid %d] ", [rbp + P_PID]
    mov r8, [rbp + P_ROOT]
    or r8, PTE_TABLE
    MUST SYS_mcontrol, [window], GUEST_END, MADV_SETMAP, r8
    add rbx, [window]
    SYSCALL SYS_write, STDOUT, rbx, r12
    jc refuse
    jmp succeed

call_yield:
    and qword ptr [rbp + TF_RFLAGS], ~PSL_C
    jmp stand_back

call_getpid:
    mov rax, [rbp + P_PID]
    jmp succeed

call_brk:
    mov rdi, [rbp + TF_RDI]
    sub rdi, GUEST_HEAP
    mov eax, ERRNO_ENOMEM
    cmp rdi, GUEST_END - STACK_MAX - GUEST_HEAP     # below the heap is far above, unsigned
    ja refuse
    cmp rdi, [rbp + P_HEAP_SIZE]
    jb refuse                           # pages once given are not taken back
    mov [rbp + P_HEAP_SIZE], rdi
    LOG "pid %d  brk: the heap is %d bytes now\n", [rbp + P_PID], rdi
    xor eax, eax
    jmp succeed

# The child gets the parent's registers and, page by page, its memory.
call_fork:
    call process_new
    mov rbx, rax
    mov eax, ERRNO_EAGAIN
    test rbx, rbx
    jz refuse
    call memory_share
    mov [rbx + P_ROOT], rax
    call fp_save
    mov rsi, rbp
    mov rdi, rbx
    mov ecx, P_FP_CPU/8                 # registers, with those of the FP unit
    rep movsq
    mov [rbx + P_PARENT], rbp
    .irp field, P_PROGRAM, P_HEAP_SIZE
    mov rax, [rbp + \field]
    mov [rbx + \field], rax
    .endr
    and qword ptr [rbx + TF_RFLAGS], ~PSL_C
    mov qword ptr [rbx + TF_RAX], 0
    mov rdi, rbx
    call process_ready
    LOG "pid %d  fork: pid %d has the same pages, read-only\n", [rbp + P_PID], [rbx + P_PID]
    mov rax, [rbx + P_PID]
    jmp succeed

call_wait:
    mov rdi, [rbp + TF_RDI]
    dec rdi
    mov eax, ERRNO_ECHILD
    cmp rdi, PROCESS_MAX
    jae refuse
    imul rdi, rdi, P_SIZE
    add rdi, processes
    cmp [rdi + P_PARENT], rbp
    jne refuse
    mov [rbp + P_AWAITED], rdi
    cmp qword ptr [rdi + P_STATE], ENDED
    jne restart
    mov rax, [rdi + P_STATUS]
    jmp succeed

call_limit:
    mov rax, [rbp + TF_RDI]
    mov [rbp + P_LIMIT], rax
    xor eax, eax
    jmp succeed

# --- Processes -------------------------------------------------------------------------------

# process_start: rdi = the entry of a program.  Make a process of it.
process_start:
    push rbx
    push r12
    mov r12, rdi
    call process_new
    mov rbx, rax
    mov [rbx + P_PROGRAM], r12
    mov qword ptr [rbx + TF_RIP], GUEST_TEXT
    mov qword ptr [rbx + TF_RSP], GUEST_END
    mov word ptr [rbx + P_FP + FX_CONTROL], X87_DEFAULT
    mov dword ptr [rbx + P_FP + FX_MXCSR], MXCSR_DEFAULT
    call page_new
    mov [rbx + P_ROOT], rax
    mov rdi, rbx
    call process_ready
    pop r12
    pop rbx
    ret

# process_new: rax := a process that is not ready yet, or 0 if there are too many.
process_new:
    xor eax, eax
    mov rcx, [process_count]
    cmp rcx, PROCESS_MAX
    jae process_new_done
    imul rax, rcx, P_SIZE
    add rax, processes
    inc rcx
    mov [process_count], rcx
    mov [rax + P_PID], rcx
process_new_done:
    ret

# process_ready: rdi = a process with a page table.  Make its vmspace and let it run.
process_ready:
    push rbx
    mov rbx, rdi
    MUST SYS_vmspace_create, rbx
    MUST SYS_vmspace_mmap, rbx, 0, GUEST_END, GUEST_PROT, WINDOW + MAP_FIXED, [image], 0
    mov r8, [rbx + P_ROOT]
    or r8, PTE_TABLE
    MUST SYS_vmspace_mcontrol, rbx, 0, GUEST_END, MADV_SETMAP, r8
    inc qword ptr [process_alive]
    mov qword ptr [rbx + P_STATE], READY
    call wake_one
    pop rbx
    ret

# process_stop: the current process does not go on for now; rax = its new state.  Whoever holds the
# lock next may run it.
process_stop:
    mov [rbp + P_STATE], rax
    jmp fp_save

# process_end: the current process has ended.  Its vmspace goes first: the pages must not be reused
# while it can still see them.
process_end:
    mov qword ptr [rbp + P_STATE], ENDED
    MUST SYS_vmspace_destroy, rbp
    call memory_drop
    mov rdx, [rbp + P_PARENT]
    test rdx, rdx
    jz process_gone
    cmp [rdx + P_AWAITED], rbp
    jne process_gone
    cmp qword ptr [rdx + P_STATE], WAITING
    jne process_gone
    mov qword ptr [rdx + P_STATE], READY
    call wake_one
process_gone:
    dec qword ptr [process_alive]
    jz wake_all
    ret

# panic: a system call of ours was refused.
panic:
    SAY "[vk]    panic: the host refuses a system call, error %d\n", rax
    mov ebx, STATUS_PANIC
    jmp failed

# --- Data ------------------------------------------------------------------------------------

image_path:
    .asciz "minivk.img"
    .balign 8
tls:                                    # the FS and GS base of all processes: 0
    .space VEXT_SIZE
image:                                  # file descriptor
    .quad 0
ram:
    .quad 0
window:
    .quad 0
copies:
    .quad 0
process_count:
    .quad 0
process_alive:                          # that have not ended
    .quad 0
    .balign 16
processes:
    .space PROCESS_MAX*P_SIZE
processes_end:
processes_last = processes_end - P_SIZE
