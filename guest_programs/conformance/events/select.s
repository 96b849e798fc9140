# select leaves the ready descriptors in the sets, of which only the words needed count.
#
# Its pipe has descriptors 40 to read and 41 to write, and 70 to read as well.

.include "../conform.inc"

IN = 40
OUT = 41
IN_TOO = 70 - 64                        # in the second word of a set

# SET at, bits: the first word of a set.
.macro SET at, bits
    mov rax, \bits
    mov [\at], rax
.endm

# FILLED: there is one byte in the pipe.  DRAINED: there is none.
.macro FILLED
    call drain
    SYSCALL SYS_write, OUT, letter, 1
    EQUAL rax, 1
.endm
.macro DRAINED
    call drain
.endm

    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
    SYSCALL SYS_dup2, r12, IN
    OK
    SYSCALL SYS_dup2, r13, OUT
    OK
    SYSCALL SYS_dup2, r12, IN_TOO + 64
    OK
    SYSCALL SYS_close, r12
    SYSCALL SYS_close, r13
    SYSCALL SYS_fcntl, IN, F_SETFL, O_NONBLOCK
    OK

CASE room_to_write, "2.2", "What can be written stays in its set, what cannot be read leaves it"
    DRAINED
    SET reads, 1 << IN
    SET writes, 1 << OUT
    SYSCALL SYS_select, OUT + 1, reads, writes, 0, 0
    OK
    EQUAL rax, 1
    WORD reads, 0
    WORD writes, 1 << OUT

CASE something_to_read, "2.2", "What can be read stays in its set"
    FILLED
    SET reads, 1 << IN
    SYSCALL SYS_select, IN + 1, reads, 0, 0, 0
    OK
    EQUAL rax, 1
    WORD reads, 1 << IN

CASE counted_by_set, "2.2", "The result counts the bits of all sets"
    FILLED
    SET reads, 1 << IN
    SET writes, 1 << OUT
    SYSCALL SYS_select, OUT + 1, reads, writes, 0, 0
    OK
    EQUAL rax, 2

CASE no_exceptions, "2.2", "A pipe has no exceptional conditions"
    FILLED
    SET reads, 1 << IN
    SET excepts, 1 << IN | 1 << OUT
    SYSCALL SYS_select, OUT + 1, reads, 0, excepts, 0
    OK
    EQUAL rax, 1
    WORD excepts, 0

CASE two_words, "2.2", "Descriptors from 64 on are in the second word"
    FILLED
    SET reads, 0
    SET reads + 8, 1 << IN_TOO
    SYSCALL SYS_select, IN_TOO + 64 + 1, reads, 0, 0, 0
    OK
    EQUAL rax, 1
    WORD reads, 0
    WORD reads + 8, 1 << IN_TOO

CASE same_end_twice, "2.2", "Two descriptors of one end are two"
    FILLED
    SET reads, 1 << IN
    SET reads + 8, 1 << IN_TOO
    SYSCALL SYS_select, IN_TOO + 64 + 1, reads, 0, 0, 0
    OK
    EQUAL rax, 2
    WORD reads, 1 << IN
    WORD reads + 8, 1 << IN_TOO

CASE words_not_needed, "2.2", "Words beyond the number of descriptors are left alone"
    DRAINED
    SET reads, 0
    SET reads + 8, -1
    SYSCALL SYS_select, OUT + 1, reads, 0, 0, now
    OK
    EQUAL rax, 0
    WORD reads + 8, -1

CASE bits_not_needed, "2.2", "Bits beyond the number of descriptors are not looked at"
    DRAINED
    SET reads, 1 << IN | 1 << 59        # 59 is not open
    SYSCALL SYS_select, IN + 1, reads, 0, 0, now
    OK
    EQUAL rax, 0
    BITS [reads], (2 << IN) - 1, 0

CASE time_passes, "2.2", "After the timeout the result is 0, and the sets are empty"
    DRAINED
    SET reads, 1 << IN
    SYSCALL SYS_select, IN + 1, reads, 0, 0, ms20
    OK
    EQUAL rax, 0
    WORD reads, 0

CASE no_descriptors, "2.2", "Without descriptors select is a sleep, and looks at no set"
    SYSCALL SYS_select, 0, 8, 8, 8, ms20
    OK
    EQUAL rax, 0

CASE end_of_input, "2.2", "The end of input counts as readable"
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    SYSCALL SYS_close, rdx
    OK
    SYSCALL SYS_dup2, r12, 45
    OK
    SET reads, 1 << 45
    SYSCALL SYS_select, 46, reads, 0, 0, 0
    OK
    EQUAL rax, 1
    WORD reads, 1 << 45
    SYSCALL SYS_close, 45

CASE not_open, "2.2", "A descriptor that is not open is EBADF, and the sets are left alone"
    SET reads, 1 << IN | 1 << 59
    SYSCALL SYS_select, 60, reads, 0, 0, now
    REFUSED ERRNO_EBADF
    WORD reads, 1 << IN | 1 << 59

CASE negative, "2.2", "A negative number of descriptors is EINVAL"
    SYSCALL SYS_select, -1, reads, 0, 0, now
    REFUSED ERRNO_EINVAL

CASE bad_set, "2.2", "A set that cannot be read is EFAULT"
    SYSCALL SYS_select, 1, 8, 0, 0, now
    REFUSED ERRNO_EFAULT

CASE bad_timeout, "2.2", "A timeout that cannot be read is EFAULT"
    SET reads, 1 << IN
    SYSCALL SYS_select, IN + 1, reads, 0, 0, 8
    REFUSED ERRNO_EFAULT

    FINISH

drain:
    SYSCALL SYS_read, IN, buffer, 64
    ret

    .balign 8
reads:
    .quad 0, 0
writes:
    .quad 0, 0
excepts:
    .quad 0, 0
now:
    .quad 0, 0
ms20:
    .quad 0, 20000
letter:
    .quad 0
buffer:
    .zero 64
