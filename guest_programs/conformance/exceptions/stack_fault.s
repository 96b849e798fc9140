# #SS: a non-canonical address through RSP or RBP.

.include "own.inc"

.ifdef VPTE_RW
STACK_CODE = BUS_ADRERR
.else
STACK_CODE = BUS_OBJERR
.endif
NONCANONICAL = 0x900000000000

    OWN_SPACE
    VMSPACE

# Each is looked at twice: here, and in a guest.
.macro STACK_FAULT name, title, guest_title, code
CASE \name, "3.4.9 12.1", \title
    OWN \code
    GIVE RSP, NONCANONICAL
    GIVE RBP, NONCANONICAL + 64
    EXPECT T_STKFLT, CODE
    CATCH SIGBUS, STACK_CODE

CASE guests_\name, "7.2.10 3.4.9", \guest_title
    OWN \code
    GIVE RSP, NONCANONICAL
    GIVE RBP, NONCANONICAL + 64
    EXPECT T_STKFLT, CODE
    RUN
.endm

    STACK_FAULT push, "PUSH to a non-canonical stack is T_STKFLT, SIGBUS, err and address 0", "A guest's PUSH comes back as T_STKFLT", "push rax"
    STACK_FAULT pop, "POP from a non-canonical stack is T_STKFLT", "A guest's POP comes back as T_STKFLT", "pop rax"
    STACK_FAULT pushf, "PUSHF to a non-canonical stack is T_STKFLT", "A guest's PUSHF comes back as T_STKFLT", "pushfq"
    STACK_FAULT call, "CALL with a non-canonical stack is T_STKFLT, at the call", "A guest's CALL comes back as T_STKFLT", "call rsi"
    STACK_FAULT ret, "RET from a non-canonical stack is T_STKFLT, at the return", "A guest's RET comes back as T_STKFLT", "ret"
    STACK_FAULT leave, "LEAVE to a non-canonical RBP is T_STKFLT, with rsp as it was", "A guest's LEAVE comes back as T_STKFLT", "leave"
    STACK_FAULT load_rsp, "A read through RSP is T_STKFLT", "A guest's read through RSP comes back as T_STKFLT", "mov rax, [rsp + 8]"
    STACK_FAULT load_rbp, "A read through RBP is T_STKFLT", "A guest's read through RBP comes back as T_STKFLT", "mov rax, [rbp]"
    STACK_FAULT store_rbp, "A write through RBP is T_STKFLT", "A guest's write through RBP comes back as T_STKFLT", "mov [rbp - 8], rax"

CASE segment_override, "3.4.10 3.4.9", "A prefix that says DS makes no difference in 64-bit mode: T_STKFLT"
    OWN ".byte 0x3e, 0x48, 0x8b, 0x45, 0x00"    # mov rax, ds:[rbp]
    GIVE RBP, NONCANONICAL
    EXPECT T_STKFLT, CODE
    CATCH SIGBUS, STACK_CODE

CASE other_register, "3.4.10", "A non-canonical address through RBX is T_PROTFLT"
    OWN "mov rax, [rbx]"
    GIVE RBX, NONCANONICAL
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR

CASE r13, "3.4.10", "R13, which is encoded like RBP, is no stack register: T_PROTFLT"
    OWN "mov rax, [r13]"
    GIVE R13, NONCANONICAL
    EXPECT T_PROTFLT, CODE
    CATCH SIGBUS, BUS_OBJERR

CASE canonical, "3.4.9 3.4.11", "A canonical address through RBP that is not mapped is a page fault"
    OWN "mov rax, [rbp]"
    GIVE RBP, 0x123456
    EXPECT T_PAGEFLT, CODE, err=PGEX_U, addr=0x123456
    CATCH SIGSEGV, SEGV_MAPERR

    FINISH
