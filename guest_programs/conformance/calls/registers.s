# The registers after a system call.

.include "../threads.inc"

P = 0x0101010101010101                  # times a number of its own for each register

# FILL: a pattern for every register but rsp.
.macro FILL
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    mov r\n, P*\n
    .endr
    mov rcx, P*1
    mov rdx, P*2
    mov rbx, P*3
    mov rbp, P*5
    mov rsi, P*6
    mov rdi, P*7
.endm

# KEPT: the general registers, but for RAX and what a version clobbers, have FILL's patterns.
.macro KEPT
    .irp n, 12, 13, 14, 15
    EQUAL r\n, P*\n
    .endr
    .if ABI != 2014
    EQUAL r8, P*8
    EQUAL r9, P*9
    .endif
    EQUAL rdx, P*2
    EQUAL rbx, P*3
    EQUAL rbp, P*5
    EQUAL rsi, P*6
    EQUAL rdi, P*7
.endm

# CALL number: make a call with FILL's patterns in the registers.
.macro CALL number
    FILL
    mov eax, \number
    syscall
.endm

# FAST number, flags: make a call with FILL's patterns and these flags until it has returned the
# fast way: with what is behind it in RCX.  An interrupt that waits makes the return slow, and a
# fault in the kernel does: then RCX is R10.
.macro FAST number, flags=PSL_USER
    mov dword ptr [tries], 1000
.Lagain\@:
    FILL
    mov eax, \number
    push \flags
    popfq
    syscall
.Lbehind\@:
    mov [seen_rax], rax
    mov [seen_rcx], rcx
    mov [seen_r10], r10
    mov [seen_r11], r11
    push PSL_USER
    popfq
    mov rax, .Lbehind\@
    cmp rax, [seen_rcx]
    je .Lfast\@
    EQUAL [seen_rcx], P*10
    dec dword ptr [tries]
    jnz .Lagain\@
    NEVER
.Lfast\@:
.endm

# FLAGS_AFTER number, flags: flags as they are after a call that was made with these.  They are
# in r12.
.macro FLAGS_AFTER number, flags
    mov rdi, 59
    mov eax, \number
    mov r12, (\flags) | PSL_USER
    push r12
    popfq
    syscall
    pushfq
    pop r12
    cld
    push PSL_USER                       # nothing of it is left for those behind
    popfq
.endm

CASE preserved, "1.4.3", "Success preserves RBX RBP RSI RDI RDX R12 to R15, and R8 R9 but in 2014"
    CALL SYS_getpid
    KEPT

CASE preserved_by_failure, "1.4.3", "Failure preserves the same registers"
    CALL SYS_close
    KEPT
    EQUAL rax, ERRNO_EBADF

CASE preserved_by_sleep, "1.4.3", "A call that sleeps preserves the same registers"
    FILL
    mov rdi, a_moment
    xor esi, esi
    mov eax, SYS_nanosleep
    syscall
    OK
    EQUAL rdi, a_moment
    EQUAL rsi, 0
    mov rdi, P*7
    mov rsi, P*6
    KEPT

CASE stack_pointer, "1.4.3", "RSP is preserved"
    mov r12, rsp
    mov rsp, 0x1234567812345678
    mov eax, SYS_getpid
    syscall
    mov r13, rsp
    mov rsp, r12
    EQUAL r13, 0x1234567812345678

    .if ABI == 2011
CASE rcx, "1.4.1 9.10", "RCX is the caller's R10 after success"
    CALL SYS_getpid
    EQUAL rcx, P*10

CASE rcx_after_failure, "1.4.1 9.10", "RCX is the caller's R10 after failure"
    CALL SYS_close
    EQUAL rcx, P*10
    .else
CASE rcx, "1.4.2 9.10", "RCX is the address behind SYSCALL after success"
    FAST SYS_getpid

CASE rcx_after_failure, "1.4.2 9.10", "RCX is the address behind SYSCALL after failure"
    FAST SYS_close
    EQUAL [seen_rax], ERRNO_EBADF

    .macro R11_HAS flag, name
CASE r11_\name, "1.4.2 9.10", "R11 is the flags after the call, \flag among them"
    FAST SYS_getpid, PSL_\flag + PSL_USER
    EQUAL [seen_r11], PSL_\flag + PSL_USER
    .endm
    R11_HAS Z, zero
    R11_HAS D, direction
    R11_HAS NT, nested_task
    R11_HAS V, overflow

CASE r11_after_failure, "1.4.2 9.10", "R11 has the carry of a failure"
    FAST SYS_close
    EQUAL [seen_r11], PSL_C + PSL_USER
    .endif

    .if ABI == 2020
CASE r10, "1.4.5 9.10", "R10 is 0 after a fast return"
    FAST SYS_getpid
    EQUAL [seen_r10], 0
    .endif

CASE whole_after_tls, "1.4.6 9.10", "RCX is the caller's R10 after set_tls_area, in every version"
    FILL
    mov edi, 1
    mov rsi, no_tls
    mov edx, 16
    mov eax, SYS_set_tls_area
    syscall
    OK
    EQUAL rcx, P*10
    EQUAL r8, P*8
    EQUAL r9, P*9
    EQUAL r12, P*12

CASE whole_in_a_child, "1.4.6", "RCX is the caller's R10 in the child of a fork, in every version"
    CALL SYS_fork
    test rax, rax
    jz child
    SYSCALL SYS_wait4, rax, result, 0, 0
    OK
    WORD32 result, 0

CASE whole_in_an_lwp, "1.4.6 2.1.3", "RCX is the creator's R10 in a new LWP, in every version"
    mov dword ptr [done], 0
    mov qword ptr [lwp_params], lwp
    add qword ptr [lwp_params + 16], LWP_STACK
    FILL
    mov rdi, lwp_params
    mov eax, SYS_lwp_create
    syscall
    OK
    AWAIT done
    EQUAL [seen_rcx], P*10

    # A signal that comes as the call ends: its handler's sigreturn brings back the whole frame.
CASE whole_after_signal, "1.4.6 9.10", "RCX is the caller's R10 after a call that a signal ends, in every version"
    HANDLE SIGUSR1, handler
    SYSCALL SYS_getpid
    mov [pid], rax
    FILL
    mov rdi, [pid]
    mov esi, SIGUSR1
    mov eax, SYS_kill
    syscall
    OK
    EQUAL rcx, P*10
    EQUAL r8, P*8
    EQUAL r9, P*9
    EQUAL r12, P*12
    EQUAL rsi, SIGUSR1
    EQUAL rdx, P*2
    EQUAL [handled], 1

    .macro KEEPS flag, name
CASE \name\()_kept, "1.4.4", "Success leaves \flag set that was set"
    FLAGS_AFTER SYS_getpid, PSL_\flag
    EQUAL r12, PSL_\flag + PSL_USER
    .endm
    KEEPS PF, parity
    KEEPS AF, adjust
    KEEPS Z, zero
    KEEPS N, sign
    KEEPS V, overflow
    KEEPS D, direction
    KEEPS NT, nested_task
    KEEPS ID, identification
    KEEPS AC, alignment_check

CASE flags_after_failure, "1.4.4 1.3.2", "Failure sets carry and no other flag"
    FLAGS_AFTER SYS_close, 0
    EQUAL r12, PSL_C + PSL_USER

CASE all_flags_after_failure, "1.4.4 1.3.2", "Failure clears no flag"
    FLAGS_AFTER SYS_close, PSL_PF + PSL_AF + PSL_Z + PSL_N + PSL_V + PSL_D + PSL_NT + PSL_ID
    EQUAL r12, PSL_C + PSL_PF + PSL_AF + PSL_Z + PSL_N + PSL_V + PSL_D + PSL_NT + PSL_ID + PSL_USER

CASE all_flags_after_success, "1.4.4 1.3.1", "Success clears carry and no other flag"
    FLAGS_AFTER SYS_getpid, PSL_C + PSL_PF + PSL_AF + PSL_Z + PSL_N + PSL_V + PSL_D + PSL_NT + PSL_ID
    EQUAL r12, PSL_PF + PSL_AF + PSL_Z + PSL_N + PSL_V + PSL_D + PSL_NT + PSL_ID + PSL_USER

CASE sse_registers, "1.4.7", "XMM0 to XMM15 and MXCSR are preserved"
    .irp n, 0, 1, 7, 8, 15
    mov rax, P*(\n + 1)
    movq xmm\n, rax
    .endr
    mov dword ptr [control], 0x5f80     # round up
    ldmxcsr [control]
    SYSCALL SYS_nanosleep, a_moment, 0
    stmxcsr [control]
    mov dword ptr [control + 4], 0x1f80
    ldmxcsr [control + 4]
    .irp n, 0, 1, 7, 8, 15
    movq rax, xmm\n
    EQUAL rax, P*(\n + 1)
    .endr
    WORD32 control, 0x5f80

CASE x87_registers, "1.4.7", "The x87 stack and control word are preserved"
    fninit
    fldpi
    fld1
    mov word ptr [control], 0x0f7f      # round towards 0
    fldcw [control]
    SYSCALL SYS_nanosleep, a_moment, 0
    mov qword ptr [control], 0
    fnstcw [control]
    fadd st(0), st(1)
    fistp qword ptr [result]            # 4.14
    fistp qword ptr [result + 8]
    fninit
    WORD control, 0x0f7f
    WORD result, 4
    WORD result + 8, 3

    FINISH

child:
    EQUAL rcx, P*10
    EQUAL r12, P*12
    EQUAL rdi, P*7
    SYSCALL SYS_exit, 0

lwp:
    mov [seen_rcx], rcx
    TELL done
    END_LWP

handler:
    inc qword ptr [handled]
    ret

    .balign 8
handled:
    .quad 0
pid:
    .quad 0
tries:
    .quad 0
done:
    .quad 0
no_tls:
    .quad 0, -1
seen_rax:
    .quad 0
seen_rcx:
    .quad 0
seen_r10:
    .quad 0
seen_r11:
    .quad 0
control:
    .quad 0
result:
    .quad 0, 0
a_moment:
    .quad 0, 1000
