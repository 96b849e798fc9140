# Two LWPs in one vmspace: each has its own registers, and only the last one's leaving makes it free.

.include "../threads.inc"

    PLAIN_SPACE
    HANDLE SIGUSR1, handler
    GUEST_FROM guest, guest_end
CALL = CODE + guest_call - guest

# OTHER_INSIDE: another LWP is in the vmspace, where it counts up rbx, until it gets SIGUSR1.  Its
# number is in [lwp_tid].
.macro OTHER_INSIDE
    mov qword ptr [came_back], 0
    mov qword ptr [handled_by], -1
    mov qword ptr [RAM + IMG_DATA], 0
    mov qword ptr [lwp_params + 16], lwp_stacks   # there is one at a time
    START other
    mov r15d, 5000
.Lnot_inside\@:
    SYSCALL SYS_nanosleep, ms, 0
    dec r15d
    jz .Lnow_or_never\@
    cmp qword ptr [RAM + IMG_DATA], 1000
    jb .Lnot_inside\@
.Lnow_or_never\@:
    cmp r15d, 1
    sbb ecx, ecx
    EQUAL rcx, 0                        # it is inside
.endm

# OTHER_BACK: it comes back, and all is well with it.
.macro OTHER_BACK
    SYSCALL SYS_lwp_kill, -1, [lwp_tid], SIGUSR1
    OK
    AWAIT came_back
    EQUAL [handled_by], [lwp_tid]
.endm

# US_INSIDE: this LWP goes in, too, and comes back.
.macro US_INSIDE
    ENTER CALL
    WANT RBX, 8*CONFORM_PATTERN + 1
    EXPECT T_FAST_SYSCALL, CODE + guest_end - guest
    RUN
.endm

CASE busy, "6.4.1 6.5.6", "While another LWP runs in it a vmspace cannot be destroyed"
    OTHER_INSIDE
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    EQUAL [came_back], 0
    OTHER_BACK

CASE both, "6.5.6 6.4.1 7.2.16", "An LWP goes in and out while another one stays inside, each with its registers"
    OTHER_INSIDE
    mov r15d, 5
1:
    US_INSIDE
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    SYSCALL SYS_nanosleep, ms, 0
    dec r15d
    jnz 1b
    EQUAL [came_back], 0
    OTHER_BACK
    EQUAL [other_frame + TF_TRAPNO], 0
    mov rax, [other_frame + TF_RBX]
    cmp rax, 1000
    setb cl
    movzx ecx, cl
    EQUAL rcx, 0
    EQUAL [other_frame + TF_R12], 12*CONFORM_PATTERN

CASE probed, "2.1.5", "lwp_kill looks at whom it is for, and at the signal, before it does anything"
    OTHER_INSIDE
    SYSCALL SYS_lwp_kill, -1, -1, SIGUSR1
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_lwp_kill, -1, 77, SIGUSR1
    REFUSED ERRNO_ESRCH
    SYSCALL SYS_lwp_kill, -1, [lwp_tid], 129
    REFUSED ERRNO_EINVAL
    SYSCALL SYS_lwp_kill, -1, [lwp_tid], 0
    OK
    SYSCALL SYS_nanosleep, ms, 0
    EQUAL [came_back], 0
    EQUAL [handled_by], -1
    OTHER_BACK

CASE named, "2.1.5 7.2.11 6.5.6", "The LWP that lwp_kill names comes back, with trapno 0, and handles the signal"
    OTHER_INSIDE
    OTHER_BACK
    EQUAL [other_frame + TF_TRAPNO], 0

CASE free_afterwards, "6.4.1 6.5.6", "With the last LWP outside the vmspace can be destroyed"
    OTHER_INSIDE
    US_INSIDE
    OTHER_BACK
    SYSCALL SYS_vmspace_destroy, SPACE
    OK
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_ENOENT

    FINISH

other:
    mov rdi, other_frame
    mov ecx, TF_SIZE/8
    mov rax, CONFORM_PATTERN
    xor edx, edx
next_word:
    add rdx, rax
    mov [rdi], rdx
    add rdi, 8
    dec ecx
    jnz next_word
    mov qword ptr [other_frame + TF_RIP], CODE
    mov qword ptr [other_frame + TF_RFLAGS], PSL_USER
    mov qword ptr [other_frame + TF_RBX], 0
    mov qword ptr [other_frame + TF_RSI], DATA
    mov qword ptr [other_frame + TF_XFLAGS], 0
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, other_frame, tls
    OK
    TELL came_back
    END_LWP

handler:
    SYSCALL SYS_lwp_gettid
    mov [handled_by], rax
    ret

guest:
    inc rbx
    mov [rsi], rbx
    jmp guest
guest_call:
    lea rbx, [rbx + 1]
    syscall
guest_end:

    .balign 8
other_frame:
    .space TF_SIZE
ms:
    .quad 0, 1000000
came_back:
    .quad 0
handled_by:
    .quad -1
