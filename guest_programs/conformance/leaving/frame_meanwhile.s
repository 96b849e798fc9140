# What another LWP does to the frame while its guest is inside, and when the vmspace is free.

.include "../threads.inc"
.include "frame.inc"

A_PAGE = IMG_DATA + 2*PAGE_SIZE
CAME = IMG_DATA + 8                     # words in the image: the guest is inside; it may go on
GO = IMG_DATA + 16

    IMAGE
    VMSPACE

    # Another LWP waits inside with its frame at PAGE.
    .macro ELSEWHERE
    PAGE_WITH
    mov qword ptr [RAM + CAME], 0
    mov qword ptr [RAM + GO], 0
    mov qword ptr [back], 0
    GUEST_FROM waits, waits_end
    GIVE RSI, DATA - IMG_DATA
    COPY_FRAME PAGE
    mov qword ptr [lwp_params + 16], lwp_stacks  # there is one at a time
    START insider
.Linside\@:
    SYSCALL SYS_sched_yield
    cmp qword ptr [RAM + CAME], 1
    jne .Linside\@
    .endm

    .macro RELEASE error
    mov qword ptr [RAM + GO], 1
    AWAIT back
    EQUAL [outcome], \error
    .endm

CASE unmapped_meanwhile, "7.4.3", "Another LWP unmaps the frame meanwhile: EFAULT"
    ELSEWHERE
    SYSCALL SYS_munmap, PAGE, PAGE_SIZE
    OK
    RELEASE ERRNO_EFAULT
    NOBODY_INSIDE

CASE protected_meanwhile, "7.4.3", "Another LWP makes the frame read-only meanwhile: EFAULT"
    ELSEWHERE
    SYSCALL SYS_mprotect, PAGE, PAGE_SIZE, PROT_READ
    OK
    RELEASE ERRNO_EFAULT
    WORD PAGE + TF_RIP, CODE

CASE replaced_meanwhile, "7.4.3 7.4.6", "Another LWP maps something else there: that is what is written"
    ELSEWHERE
    SYSCALL7 SYS_mmap, PAGE, PAGE_SIZE, PROT_READ + PROT_WRITE, PLAIN_MAP, r12, 0, A_PAGE
    OK
    RELEASE 0
    WORD RAM + A_PAGE + TF_TRAPNO, T_FAST_SYSCALL
    WORD RAM + A_PAGE + TF_RIP, CODE + waits_end - waits

CASE mapped_again, "7.4.3", "Another LWP unmaps the frame and maps the page again: it is written"
    ELSEWHERE
    SYSCALL SYS_munmap, PAGE, PAGE_SIZE
    OK
    PAGE_WITH
    RELEASE 0
    WORD PAGE + TF_TRAPNO, T_FAST_SYSCALL

CASE scribbled_meanwhile, "7.4.1 7.3.4", "What another LWP stores into the frame meanwhile is not looked at"
    ELSEWHERE
    mov rdi, PAGE
    mov ecx, TF_SIZE/8
    mov rax, -1
    rep stosq
    RELEASE 0
    WORD PAGE + TF_TRAPNO, T_FAST_SYSCALL
    WORD PAGE + TF_RBX, 8*CONFORM_PATTERN
    WORD PAGE + TF_ERR, 2

CASE out_before_written, "7.4.5 6.4.1", "When vmspace_ctl has returned, the LWP is outside for all others"
    ELSEWHERE
    SYSCALL SYS_vmspace_destroy, SPACE
    REFUSED ERRNO_EBUSY
    RELEASE 0
    NOBODY_INSIDE

CASE destroyed_on_return, "7.4.5", "The LWP itself may destroy the vmspace that it has come from, at once"
    GUEST "syscall"
    EXPECT T_FAST_SYSCALL, CODE + 2
    RUN
    NOBODY_INSIDE

    FINISH

insider:
    CTL PAGE
    mov ecx, 0
    cmovnc eax, ecx
    mov [outcome], rax
    TELL back
    END_LWP

waits:
    mov qword ptr [rsi + CAME], 1
wait_longer:
    cmp qword ptr [rsi + GO], 1
    jne wait_longer
    syscall
waits_end:

    .balign 8
back:
    .quad 0
outcome:
    .quad 0
