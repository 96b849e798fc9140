# A virtual kernel in three files: this one has the processes and their system calls,
# minivk_memory.inc their memory, minivk_guests.inc the programs they run.
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
# rbp is the current process everywhere.  Routines that are called keep rbx, rbp and r12 to r15.

.include "print.inc"

# What a process sees.
GUEST_TEXT = 0x10000                    # its program, which it cannot write
GUEST_HEAP = 0x20000                    # zeros, as far as it has asked for
GUEST_END = 0x40000000                  # its addresses end here, with the stack
STACK_MAX = 4*PAGE_SIZE
GUEST_PROT = PROT_READ + PROT_WRITE + PROT_EXEC # its page table says what is really allowed

# What it can ask for: number in rax, arguments in rdi rsi rdx, result in rax.  If it is refused,
# the carry flag is set and rax says why.
CALL_EXIT = 0                           # status
CALL_WRITE = 1                          # fd, address, length: length
CALL_YIELD = 2
CALL_GETPID = 3                         # : number of the process
CALL_BRK = 4                            # address: the heap ends there from now on
CALL_FORK = 5                           # : number of the child; 0 in the child
CALL_WAIT = 6                           # number: exit status of that process, once it has ended

# A process.  Its address is also that of its registers, and the name of its vmspace.
P_FRAME = 0
P_PID = P_FRAME + TF_SIZE
P_STATE = P_PID + 8
P_NAME = P_STATE + 8                    # zero-terminated
P_ROOT = P_NAME + 8                     # where in the image its page table begins
P_TEXT = P_ROOT + 8                     # its program, in our memory
P_TEXT_SIZE = P_TEXT + 8
P_HEAP_SIZE = P_TEXT_SIZE + 8
P_STATUS = P_HEAP_SIZE + 8              # with which it exited, or 0
P_TRAP = P_STATUS + 8                   # which killed it, or 0
P_CALLS = P_TRAP + 8                    # how many system calls,
P_FAULTS = P_CALLS + 8                  #          page faults,
P_COPIES = P_FAULTS + 8                 #          pages copied
P_SIZE = P_COPIES + 8

PROCESS_MAX = 8
READY = 1                               # P_STATE; 0 where there is no process
ENDED = 2

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

    MUST SYS_open, image_path, O_RDWR + O_CREAT + O_TRUNC, 0600
    mov [image], rax
    MUST SYS_ftruncate, [image], 0, IMAGE_SIZE
    MUST SYS_mmap, IMAGE_HINT, IMAGE_SIZE, IMAGE_PROT, MAP_SHARED, [image], 0, 0
    mov [ram], rax
    MUST SYS_mmap, WINDOW_HINT, GUEST_END, IMAGE_PROT, WINDOW, [image], 0, 0
    mov [window], rax
    SAY "[vk]    %d pages of memory at %x, a window at %x\n", IMAGE_PAGES, [ram], [window]

    mov rbx, programs
start_next:
    mov rdi, [rbx]
    mov rsi, [rbx + 8]
    mov rdx, [rbx + 16]
    call process_start
    add rbx, 3*8
    cmp rbx, programs_end
    jb start_next

    mov rbp, processes - P_SIZE         # so that the first one is next

# --- The loop: run a process until it traps, see what it wants ---------------------------------

# schedule: go on with the next process that is ready, round robin; when there is none, report.
schedule:
    mov ecx, PROCESS_MAX
schedule_next:
    add rbp, P_SIZE
    cmp rbp, processes_end
    jb schedule_look
    mov rbp, processes
schedule_look:
    cmp qword ptr [rbp + P_STATE], READY
    je run
    dec ecx
    jnz schedule_next
    jmp report

# run: go on with the current process.
run:
    MUST SYS_vmspace_ctl, rbp, VMSPACE_CTL_RUN, rbp, tls
    mov rax, [rbp + TF_TRAPNO]
    cmp eax, T_FAST_SYSCALL
    je system_call
    cmp eax, T_PAGEFLT
    je page_fault
    test eax, eax                       # a signal for us, nothing the process did
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
    SAY "[vk]    pid %d  %5s %10x  nothing is there\n", [rbp + P_PID], rax, [rbp + TF_ADDR]
    jmp kill

# kill: end the current process for what it did.
kill:
    mov rdi, [rbp + TF_TRAPNO]
    mov [rbp + P_TRAP], rdi
    call trap_name
    SAY "[vk]    pid %d  killed by %s at %x\n", [rbp + P_PID], rax, [rbp + TF_RIP]
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
    .quad call_exit, call_write, call_yield, call_getpid, call_brk, call_fork, call_wait
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

# restart: let others run, then the process makes the call again.  TF_ERR is how long SYSCALL is;
# r10, the fourth argument, is in TF_RCX.
restart:
    mov rax, [rbp + TF_ERR]
    sub [rbp + TF_RIP], rax
    mov rax, [rbp + TF_RCX]
    mov [rbp + TF_R10], rax
    jmp schedule

no_call:
    mov eax, ERRNO_ENOSYS
    jmp refuse

call_exit:
    movzx eax, byte ptr [rbp + TF_RDI]
    mov [rbp + P_STATUS], rax
    SAY "[vk]    pid %d  exit %d\n", [rbp + P_PID], rax
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
    jmp schedule

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
    SAY "[vk]    pid %d  brk: the heap is %d bytes now\n", [rbp + P_PID], rdi
    xor eax, eax
    jmp succeed

# The child gets the parent's registers and, page by page, its memory.
call_fork:
    call process_new
    mov ebx, eax
    mov eax, ERRNO_EAGAIN
    test ebx, ebx
    jz refuse
    call memory_share
    mov [rbx + P_ROOT], rax
    mov rsi, rbp
    mov rdi, rbx
    mov ecx, TF_SIZE/8
    rep movsq
    .irp field, P_NAME, P_TEXT, P_TEXT_SIZE, P_HEAP_SIZE
    mov rax, [rbp + \field]
    mov [rbx + \field], rax
    .endr
    and qword ptr [rbx + TF_RFLAGS], ~PSL_C
    mov qword ptr [rbx + TF_RAX], 0
    mov rdi, rbx
    call process_ready
    SAY "[vk]    pid %d  fork: pid %d has the same pages, read-only\n", [rbp + P_PID], [rbx + P_PID]
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
    cmp qword ptr [rdi + P_STATE], READY
    je restart
    jb refuse
    mov rax, [rdi + P_STATUS]
    jmp succeed

# --- Processes -------------------------------------------------------------------------------

# process_start: rdi = program, rsi = its size, rdx = its name.  Make a process of it.
process_start:
    push rbx
    push r12
    push r13
    push r14
    mov r12, rdi
    mov r13, rsi
    mov r14, rdx
    call process_new
    mov rbx, rax
    mov [rbx + P_TEXT], r12
    mov [rbx + P_TEXT_SIZE], r13
    mov [rbx + P_NAME], r14
    mov qword ptr [rbx + TF_RIP], GUEST_TEXT
    mov qword ptr [rbx + TF_RSP], GUEST_END
    call page_new
    mov [rbx + P_ROOT], rax
    mov rdi, rbx
    call process_ready
    SAY "[vk]    pid %d  %s: a new vmspace, without any pages\n", [rbx + P_PID], [rbx + P_NAME]
    pop r14
    pop r13
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
    mov qword ptr [rbx + P_STATE], READY
    pop rbx
    ret

# process_end: the current process has ended.  Its vmspace goes first: the pages must not be reused
# while it can still see them.
process_end:
    mov qword ptr [rbp + P_STATE], ENDED
    MUST SYS_vmspace_destroy, rbp
    jmp memory_drop

# --- The end ---------------------------------------------------------------------------------

# report: every process has ended.  Say what they did, and check it.
report:
    SAY "[vk]    nobody is left\n\n"
    SAY "   pid  program  end          calls  faults  copies\n"
    mov rbp, processes
    mov rbx, [process_count]
report_next:
    SAY "  %4d  %7s  ", [rbp + P_PID], [rbp + P_NAME]
    mov rdi, [rbp + P_TRAP]
    call trap_name
    test rdi, rdi
    jz report_exit
    SAY "%11s", rax
    jmp report_counts
report_exit:
    SAY "exit %6d", [rbp + P_STATUS]
report_counts:
    SAY "  %5d  %6d  %6d\n", [rbp + P_CALLS], [rbp + P_FAULTS], [rbp + P_COPIES]
    mov rax, [rbp + P_COPIES]
    add [copies], rax
    add rbp, P_SIZE
    dec rbx
    jnz report_next
    SAY "\n  of %d pages at most %d in use, now %d\n", IMAGE_PAGES, [pages_most], [pages_used]

    # The exit status of a forker is the value it saw in the variable they shared: see there.
    CHECK_MEM 1, process_count, EXPECTED_COUNT
EXPECTED = 0
.macro EXPECT status, trap=0
    CHECK_MEM 2 + EXPECTED, processes + EXPECTED*P_SIZE + P_STATUS, \status
    CHECK_MEM 2 + EXPECTED, processes + EXPECTED*P_SIZE + P_TRAP, \trap
EXPECTED = EXPECTED + 1
.endm
    EXPECT COUNTER_STATUS
    EXPECT PARENT_VALUE
    EXPECT 0, T_PAGEFLT
    EXPECT CHILD_VALUE
    EXPECT 0, T_DIVIDE
EXPECTED_COUNT = EXPECTED
    CHECK_MEM 2 + EXPECTED, copies, 1
    CHECK_MEM 3 + EXPECTED, pages_used, 0
    SAY "  everything is as it should be\n"
    DONE

# panic: a system call of ours was refused.
panic:
    SAY "[vk]    panic: the host refuses a system call, error %d\n", rax
    mov ebx, STATUS_PANIC
    jmp failed

.include "minivk_memory.inc"
.include "minivk_guests.inc"

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
processes:
    .space PROCESS_MAX*P_SIZE
processes_end:
