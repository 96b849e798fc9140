# Every register gets into the guest and back, whatever it holds and however the guest leaves.

.include "../conform.inc"

OURS = 0x7070707070707070

# ALL macro: for each general register's word.
.macro ALL macro, others
    .irp word, RDI, RSI, RDX, RCX, R8, R9, RAX, RBX, RBP, R10, R11, R12, R13, R14, R15, RSP
    \macro \word, \others
    .endr
.endm

# NOT word: it comes back with every bit turned over.
.macro NOT word, nothing
    mov rax, [frame + TF_\word]
    not rax
    WANT \word, rax
.endm

    PLAIN_SPACE

    .macro ONE word, register
CASE complement_\register, "7.2.16 4.1.1", "\register goes in and out: the guest turns its 64 bits over, no other register changes"
    GUEST "not \register; int3"
    NOT \word
    EXPECT T_BPTFLT, CODE + 4
    RUN
    .endm
    ONE RDI, rdi
    ONE RSI, rsi
    ONE RDX, rdx
    ONE RCX, rcx
    ONE R8, r8
    ONE R9, r9
    ONE RAX, rax
    ONE RBX, rbx
    ONE RBP, rbp
    ONE R10, r10
    ONE R11, r11
    ONE R12, r12
    ONE R13, r13
    ONE R14, r14
    ONE R15, r15
    ONE RSP, rsp

# INSIDE first, last: the guest's code from there to there, with all registers turned over.
.macro INSIDE first, last
    GUEST_FROM \first, \last
    ALL NOT
.endm

CASE all_syscall, "7.2.16 7.2.4", "All registers, out by SYSCALL: slot rcx is R10"
    INSIDE turn_and_call, turn_and_call_end
    EXPECT T_FAST_SYSCALL, CODE + turn_and_call_end - turn_and_call
    RUN

CASE all_breakpoint, "7.2.16 7.2.5", "All registers, out by INT3: r10 and r11 too"
    INSIDE turn_and_break, turn_and_break_end
    EXPECT T_BPTFLT, CODE + turn_and_break_end - turn_and_break
    RUN

CASE all_undefined, "7.2.16 7.2.10", "All registers, out by an exception"
    INSIDE turn_and_fault, turn_and_fault_end
    EXPECT T_PRIVINFLT, CODE + turn_and_fault_end - turn_and_fault - 2
    RUN

CASE all_page_fault, "7.2.16 7.2.1", "All registers, out by a page fault"
    INSIDE turn_and_load, turn_and_load_end
    EXPECT T_PAGEFLT, CODE + load - turn_and_load, PGEX_U, 0x7777
    RUN

CASE all_again, "7.2.16 7.3.4", "What came back goes in again, and comes back turned over once more"
    INSIDE turn_and_break, turn_and_break_end
    EXPECT T_BPTFLT, CODE + turn_and_break_end - turn_and_break
    RUN
    mov r15d, 5
1:
    AGAIN CODE
    ALL NOT
    EXPECT T_BPTFLT, CODE + turn_and_break_end - turn_and_break
    RUN
    dec r15d
    jnz 1b

    .macro SET word, value
    GIVE \word, \value
    .endm
    .irp value, 0, -1, 0x8000000000000000, 0x7fffffffffffffff, 0x0000800000000000, 0xffffffe000000000
CASE every_register_\value, "7.3.3 7.2.16", "No register is refused for being \value"
    GUEST "int3"
    ALL SET, \value
    EXPECT T_BPTFLT, CODE + 1
    RUN
    .endr

CASE restarted, "7.2.4 7.2.16", "A system call can be made again: rip less err, r10 from slot rcx"
    GUEST "mov r10, r15; not r10; syscall; inc rax; syscall"
    mov rax, ~(15*CONFORM_PATTERN)
    WANT R10, rax
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN
    mov rax, [frame + TF_ERR]
    sub [frame + TF_RIP], rax
    mov rax, [frame + TF_RCX]
    mov [frame + TF_R10], rax
    mov qword ptr [frame + TF_RCX], 0
    AGAIN
    EXPECT T_FAST_SYSCALL, CODE + 8
    RUN

CASE result_given, "7.2.4 7.2.16", "A guest goes on behind its system call, with what the frame says is the result"
    GUEST "syscall; inc rax; syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    mov qword ptr [frame + TF_RAX], 5
    AGAIN
    WANT RAX, 6
    ANY RFLAGS
    EXPECT T_FAST_SYSCALL, CODE + 7
    RUN

    # What vmspace_ctl does to the virtual kernel's own registers.
    .macro OWN name, code, trap, title
CASE own_\name, "7.4.1 7.4.2", "After vmspace_ctl one's own registers are as they were: \title"
    GUEST \code
    .irp register, rbx, rbp, r8, r9, r12, r13, r14, r15
    mov \register, OURS
    .endr
    mov [own_rsp], rsp
    mov rdi, SPACE
    mov esi, VMSPACE_CTL_RUN
    mov rdx, frame
    mov r10, tls
    mov eax, SYS_vmspace_ctl
    cmp eax, eax
    std
    stc
    syscall
    mov [own_rcx], rcx
    pushfq
    pop rcx
    cld
    EQUAL rax, 0
    EQUAL rcx, [own_rflags]
    EQUAL [own_rcx], tls
    EQUAL rdx, frame
    EQUAL rdi, SPACE
    EQUAL rsi, VMSPACE_CTL_RUN
    EQUAL rsp, [own_rsp]
    .irp register, rbx, rbp, r8, r9, r12, r13, r14, r15
    EQUAL \register, OURS
    .endr
    EQUAL [frame + TF_TRAPNO], \trap
    .endm

    # Flags as CMP and STD leave them.
    cmp eax, eax
    std
    pushfq
    pop rax
    cld
    mov [own_rflags], rax
    OWN syscall, "xor eax, eax; not rsp; syscall", T_FAST_SYSCALL, a system call
    OWN breakpoint, "xor eax, eax; not rdx; int3", T_BPTFLT, INT3
    OWN undefined, "xor eax, eax; not rdi; ud2", T_PRIVINFLT, an exception
    OWN page_fault, "xor eax, eax; not rcx; mov rbx, [0x7777]", T_PAGEFLT, a page fault

    FINISH

    .macro TURN
    .irp register, rdi, rsi, rdx, rcx, r8, r9, rax, rbx, rbp, r10, r11, r12, r13, r14, r15, rsp
    not \register
    .endr
    .endm
turn_and_call:
    TURN
    syscall
turn_and_call_end:
turn_and_break:
    TURN
    int3
turn_and_break_end:
turn_and_fault:
    TURN
    ud2
turn_and_fault_end:
turn_and_load:
    TURN
load:
    cmp byte ptr [0x7777], 0
turn_and_load_end:

    .balign 8
own_rsp:
    .quad 0
own_rcx:
    .quad 0
own_rflags:
    .quad 0
