# abi 3.4, 7.2: what exceptions look like in the frame.

.include "space.inc"

NONCANONICAL = 0x800000000000

    PLAIN_SPACE guest, guest_end
    mov rax, NONCANONICAL
    mov [frame + TF_RSI], rax

    # Faults: rip is at the instruction, and RF is set.
    .macro FAULT check, label, trap, err=0
    RUN \check, PLAIN + \label - guest
    CHECK_TRAP \check, \trap, \err
    CHECK_EQ \check, [frame + TF_RIP], PLAIN + \label - guest
    mov rax, [frame + TF_RFLAGS]
    and rax, PSL_RF
    CHECK_EQ \check, rax, PSL_RF
    .endm
    FAULT 1, divide, T_DIVIDE
    FAULT 2, undefined, T_PRIVINFLT
    FAULT 3, halt, T_PROTFLT
    FAULT 4, interrupts_off, T_PROTFLT
    FAULT 5, port, T_PROTFLT
    FAULT 6, control, T_PROTFLT
    FAULT 7, noncanonical, T_PROTFLT

    # A breakpoint: rip is behind the instruction, and RF is clear.
    RUN 8, PLAIN + breakpoint - guest
    CHECK_TRAP 9, T_BPTFLT
    CHECK_EQ 10, [frame + TF_RIP], PLAIN + guest_end - guest
    mov rax, [frame + TF_RFLAGS]
    and rax, PSL_RF
    CHECK_EQ 11, rax, 0

    DONE

guest:
divide:
    div ecx
undefined:
    ud2
halt:
    hlt
interrupts_off:
    cli
port:
    in al, dx
control:
    mov rax, cr3
noncanonical:
    mov rax, [rsi]
breakpoint:
    int3
guest_end:
