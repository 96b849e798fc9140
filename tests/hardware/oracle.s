# The host's CPU, asked through signals: a static Linux program without any library.
#
# Standard error is the memory it shares with whoever started it: first the mailbox, then the
# pages of the cases.  It reads a byte from standard input, runs the case in the mailbox, and
# writes a byte to standard output when the answer is there.  A case begins with the return from
# a signal handler, whose frame holds the registers of the case, and ends with the next signal.

.equ SYS_read, 0
.equ SYS_write, 1
.equ SYS_mmap, 9
.equ SYS_munmap, 11
.equ SYS_rt_sigaction, 13
.equ SYS_rt_sigreturn, 15
.equ SYS_sigaltstack, 131
.equ SYS_arch_prctl, 158
.equ SYS_exit_group, 231

.equ SHARED_FIXED_POPULATE, 0x8011
.equ READ_WRITE, 3
.equ ARCH_SET_GS, 0x1001
.equ ARCH_SET_FS, 0x1002
.equ SA_FLAGS, 0x4C000004          # SIGINFO, RESTORER, ONSTACK, NODEFER
.equ END_OF_SPACE, 0x7FFFFFFFF000

.equ UC_REGISTERS, 40              # of struct ucontext: struct sigcontext
.equ UC_FPSTATE, 224
.equ REGISTERS, 23                 # r8 to cr2
.equ LOADED, 18                    # r8 to rflags
.equ FX_WORDS, 64
.equ FX_LOADED, 58                 # the rest tells the kernel what follows it
.equ XSTATE_BV, 512
.equ SI_CODE, 8

start:
    lea rsp, [rip+stack_top]

    mov eax, SYS_mmap
    mov rdi, MAILBOX
    mov esi, MAILBOX_SIZE
    mov edx, READ_WRITE
    mov r10d, SHARED_FIXED_POPULATE
    mov r8d, 2
    xor r9d, r9d
    syscall
    cmp rax, rdi
    jne failed

    # The stack and the vDSO: a case must not find what it has not been given.
    mov eax, SYS_munmap
    mov rdi, MAILBOX + MAILBOX_SIZE
    mov rsi, END_OF_SPACE
    sub rsi, rdi
    syscall
    test rax, rax
    jnz failed

    mov rbx, MAILBOX
    mov rbp, [rbx + AREA_COUNT]
    lea rbx, [rbx + AREA_TABLE]
map_area:
    mov eax, SYS_mmap
    mov rdi, [rbx]
    mov rsi, [rbx + 8]
    mov rdx, [rbx + 16]
    mov r10d, SHARED_FIXED_POPULATE
    mov r8d, 2
    mov r9, [rbx + 24]
    syscall
    cmp rax, rdi
    jne failed
    add rbx, 32
    dec rbp
    jnz map_area

    mov eax, SYS_sigaltstack
    lea rdi, [rip+signal_stack]
    xor esi, esi
    syscall
    test rax, rax
    jnz failed

    lea rbx, [rip+signals]
catch_signal:
    movzx edi, byte ptr [rbx]
    test edi, edi
    jz begin
    mov eax, SYS_rt_sigaction
    lea rsi, [rip+action]
    xor edx, edx
    mov r10d, 8
    syscall
    test rax, rax
    jnz failed
    inc rbx
    jmp catch_signal

begin:
    ud2                            # the first answer says that all is ready

failed:
    mov edi, 1
    mov eax, SYS_exit_group
    syscall

# edi the signal, rsi struct siginfo, rdx struct ucontext
handler:
    push 2
    popfq                          # a case may have set AC, NT and ID
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov rbx, rdx
    mov rbp, MAILBOX
    movsxd rdi, edi
    mov [rbp + OUT_SIGNAL], rdi
    movsxd rax, dword ptr [rsi + SI_CODE]
    mov [rbp + OUT_CODE], rax
    lea rsi, [rbx + UC_REGISTERS]
    lea rdi, [rbp + OUT_REGISTERS]
    mov ecx, REGISTERS
    rep movsq
    mov rsi, [rbx + UC_FPSTATE]
    lea rdi, [rbp + OUT_FP]
    mov ecx, FX_WORDS
    rep movsq

    mov eax, SYS_write
    mov edi, 1
    lea rsi, [rip+byte]
    mov edx, 1
    syscall
    mov eax, SYS_read
    xor edi, edi
    lea rsi, [rip+byte]
    mov edx, 1
    syscall
    xor edi, edi
    cmp rax, 1
    mov eax, SYS_exit_group
    jne leave

    mov eax, SYS_arch_prctl
    mov edi, ARCH_SET_FS
    mov rsi, [rbp + IN_FS_BASE]
    syscall
    mov eax, SYS_arch_prctl
    mov edi, ARCH_SET_GS
    mov rsi, [rbp + IN_GS_BASE]
    syscall
    lea rsi, [rbp + IN_REGISTERS]
    lea rdi, [rbx + UC_REGISTERS]
    mov ecx, LOADED
    rep movsq
    lea rsi, [rbp + IN_FP]
    mov rdi, [rbx + UC_FPSTATE]
    or qword ptr [rdi + XSTATE_BV], 3  # x87 and SSE are not in their initial state
    mov ecx, FX_LOADED
    rep movsq
    ret                            # to `restorer`

restorer:
    mov eax, SYS_rt_sigreturn
leave:
    syscall

signals:                           # ILL TRAP BUS FPE SEGV
    .byte 4, 5, 7, 8, 11, 0
byte:
    .byte 0
    .align 8
action:
    .quad handler, SA_FLAGS, restorer, 0
signal_stack:
    .quad SIGNAL_STACK, 0, SIGNAL_STACK_SIZE
    .zero 256
stack_top:
