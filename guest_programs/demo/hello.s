# The smallest program: two system calls and a string.
#
#     vkemu run hello.s

.include "vkemu.inc"

STDOUT = 1

    # write(1, message, length): the result, here the length again, comes back in rax.
    SYSCALL SYS_write, STDOUT, message, message_end - message

    # exit(0): the status of the program becomes that of vkemu.
    SYSCALL SYS_exit, 0

message:
    .ascii "hello from a guest of vkemu\n"
message_end:
