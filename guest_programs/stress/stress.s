# A guest that uses everything at once and checks what comes of it.
#
#     vkemu run stress.s [ROUNDS]
#
# In each round four workers, processes of their own, do tasks in an order of their own, while the
# first process does every task once.  Then a dot is printed: the first process is alone again and
# holds nothing.  It ends after so many rounds, or after the one in which SIGTERM came, with status
# 0, or with the number of the first check that failed, in whatever process.
#
# A task is a routine that may use every register.  What it makes it takes away again.

.include "vkemu.inc"

WORKERS = 4
WORKER_TASKS = 6                        # what each worker does in a round
DEFAULT_ROUNDS = 3

MASK_TERM = 1 << (SIGTERM - 1)
MASK_USR1 = 1 << (SIGUSR1 - 1)

RW = PROT_READ + PROT_WRITE
ANON = MAP_ANON + MAP_PRIVATE

# ANON_MAP size, prot: map memory somewhere; its address is in rax.
.macro ANON_MAP size, prot=RW, flags=ANON
    SYSCALL7 SYS_mmap, 0, \size, \prot, \flags, -1, 0, 0
    CHECK_OK 230
.endm

# UNMAP address, size
.macro UNMAP address, size
    SYSCALL SYS_munmap, \address, \size
    CHECK_OK 231
.endm

# FORK child: the child goes on at a label, the parent behind this with its number in rax.
.macro FORK child, how=SYS_fork
    SYSCALL \how
    CHECK_OK 232
    test rax, rax
    jz \child
.endm

# REAP n, pid, expected: wait for a child; check n fails unless it ends with that status.
.macro REAP check, pid, expected=0
    mov qword ptr [status], -1
    SYSCALL SYS_wait4, \pid, status, 0, 0
    CHECK_OK \check
    mov eax, [status]
    CHECK_EQ \check, rax, \expected
.endm

.macro EXIT code=0
    SYSCALL SYS_exit, \code
.endm

    mov rax, [rdi]
    cmp rax, 1
    jbe prepare
    mov rsi, [rdi+16]
    call number
    mov [rounds], rax
prepare:
    SYSCALL SYS_sigprocmask, SIG_BLOCK, mask_term, 0
    CHECK_OK 240
    call prepare_signals
    call prepare_programs

# --- Rounds ----------------------------------------------------------------------------------

round:
    xor r15d, r15d
start_worker:
    FORK worker
    mov [workers + r15*8], rax
    inc r15
    call random                         # so that no two workers are the same
    cmp r15, WORKERS
    jb start_worker

    mov qword ptr [task], tasks
own_task:
    mov rax, [task]
    call [rax]
    add qword ptr [task], 8
    cmp qword ptr [task], tasks_end
    jb own_task

    xor r15d, r15d
end_worker:
    mov qword ptr [status], -1
    SYSCALL SYS_wait4, [workers + r15*8], status, 0, 0
    CHECK_OK 241
    mov eax, [status]
    test eax, eax
    jnz worker_failed
    inc r15
    cmp r15, WORKERS
    jb end_worker

    SYSCALL SYS_wait4, -1, status, 0, 0
    CHECK_ERRNO 242, ERRNO_ECHILD
    SYSCALL SYS_write, 1, dot, 1
    CHECK_OK 243
    SYSCALL SYS_sigpending, pending
    CHECK_OK 244
    test qword ptr [pending], MASK_TERM
    jnz finished
    dec qword ptr [rounds]
    jnz round
finished:
    SYSCALL SYS_write, 1, newline, 1
    DONE

worker_failed:
    # Its status is ours; a signal counts as 250.
    mov ebx, 250
    test eax, 0x7f
    jnz failed
    movzx ebx, ah
    jmp failed

worker:
    mov qword ptr [task], WORKER_TASKS
worker_task:
    call random
    xor edx, edx
    div qword ptr [task_count]
    call [tasks + rdx*8]
    dec qword ptr [task]
    jnz worker_task
    EXIT

# random: rax is a number below 2^31.
random:
    mov rax, 6364136223846793005
    imul rax, [seed]
    mov rcx, 1442695040888963407
    add rax, rcx
    mov [seed], rax
    shr rax, 33
    ret

# number: the decimal number at rsi is in rax.
number:
    xor eax, eax
number_digit:
    movzx ecx, byte ptr [rsi]
    sub ecx, 48
    jb number_end
    imul rax, rax, 10
    add rax, rcx
    inc rsi
    jmp number_digit
number_end:
    ret

# name: a file name of this process's own at rdi, which begins with the character in al.
name:
    mov [rdi], al
    push rdi
    SYSCALL SYS_getpid
    pop rdi
    mov ecx, 7
name_digit:
    mov edx, eax
    and edx, 15
    add edx, 65
    mov [rdi + rcx], dl
    shr eax, 4
    dec ecx
    jnz name_digit
    mov byte ptr [rdi+8], 0
    ret

.include "processes.inc"
.include "signals.inc"
.include "threads.inc"
.include "memory.inc"
.include "files.inc"
.include "vmspaces.inc"
.include "events.inc"

    .balign 8
tasks:
    .quad task_fork, task_vfork, task_execve, task_kill, task_stop, task_orphan
    .quad task_handlers, task_blocked, task_suspend, task_wait_for_signal, task_sleep
    .quad task_threads, task_tls
    .quad task_pages, task_copies, task_code, task_stack
    .quad task_file, task_mapped_file
    .quad task_pipe, task_broken_pipe, task_socketpair, task_timer, task_kqueue
    .quad task_vmspace, task_inherited_vmspace, task_interrupted_vmspace
tasks_end:
task_count:
    .quad (tasks_end - tasks)/8

rounds:
    .quad DEFAULT_ROUNDS
task:
    .quad 0
seed:
    .quad 1
workers:
    .zero 8*WORKERS
status:
    .quad 0
pending:
    .zero 16
mask_term:
    .quad MASK_TERM, 0
dot:
    .ascii "."
newline:
    .ascii "\n"
