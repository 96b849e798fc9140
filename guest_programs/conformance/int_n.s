# abi 1.1, 7.2: INT n is a protection fault, for every n but 3; INT 0x80 is no system call.

.include "space.inc"

GATE = 8                                # the error code: n gates into the table,
IDT = 2                                 # which is that of interrupts

    PLAIN_SPACE guest, guest_end
    .irp number, 0, 1, 4, 14, 0x80, 0xff
    RUN 1, PLAIN + int_\number - guest
    CHECK_TRAP 2, T_PROTFLT, \number*GATE + IDT
    CHECK_EQ 3, [frame + TF_RIP], PLAIN + int_\number - guest
    .endr

    # INT 3, in either encoding: rip is behind it.
    .irp number, 3, cd03
    RUN 4, PLAIN + int_\number - guest
    CHECK_TRAP 5, T_BPTFLT
    CHECK_EQ 6, [frame + TF_RIP], PLAIN + int_\number\()_end - guest
    .endr

    DONE

guest:
    .irp number, 0, 1, 4, 14, 0x80, 0xff
int_\number:
    int \number
    .endr
int_3:
    int3
int_3_end:
int_cd03:
    .byte 0xcd, 0x03
int_cd03_end:
guest_end:
