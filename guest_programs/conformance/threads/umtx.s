# umtx_sleep sleeps while an int has a value; umtx_wakeup wakes one or all who do.

.include "../signal.inc"
.include "../clock.inc"

RW = PROT_READ + PROT_WRITE
ALIAS_A = 0x10000000                    # a page of a file,
ALIAS_B = 0x20000000                    # the same page,
READ_ONLY = 0x30000000                  # and again, but not to be written

# SLEEPERS count: so many LWPs sleep, or are about to, on the int at ALIAS_A, which is 0; `woken`
# counts those that have been woken.
.macro SLEEPERS count
    mov dword ptr [ALIAS_A], 0
    mov dword ptr [woken], 0
    mov dword ptr [started], 0
    mov rax, lwp_stacks
    mov [lwp_params + 16], rax          # those that had them before have ended
    .rept \count
    START sleeper
    .endr
    AWAIT_VALUE started, \count
    PAUSE
.endm

# WAKE_REST count: all that still sleep wake up.
.macro WAKE_REST count
    mov dword ptr [ALIAS_A], 1
.Lrest\@:
    SYSCALL SYS_umtx_wakeup, ALIAS_A, 0
    PAUSE
    cmp dword ptr [woken], \count
    jne .Lrest\@
.endm

# ROUNDS wanted, count, address, how: one umtx_wakeup wakes so many of `count` sleepers, and never
# more.  Nobody can tell whether they do sleep yet, so there are several rounds.
.macro ROUNDS wanted, count, address, how
    mov r13d, 50
.Lround\@:
    SLEEPERS \count
    SYSCALL SYS_umtx_wakeup, \address, \how
    OK
    PAUSE
    PAUSE
    mov r14d, [woken]
    WAKE_REST \count
    AT_MOST r14, \wanted
    cmp r14d, \wanted
    je .Lwoken\@
    dec r13d
    jnz .Lround\@
    NEVER
.Lwoken\@:
.endm

    SYSCALL SYS_open, path, O_RDWR + O_CREAT + O_TRUNC, 0600
    OK
    mov r12, rax
    SYSCALL SYS_ftruncate, r12, 0, PAGE_SIZE
    OK
    SYSCALL7 SYS_mmap, ALIAS_A, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK
    SYSCALL7 SYS_mmap, ALIAS_B, PAGE_SIZE, RW, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK
    SYSCALL7 SYS_mmap, READ_ONLY, PAGE_SIZE, PROT_READ, MAP_SHARED + MAP_FIXED, r12, 0, 0
    OK

CASE other_value, "2.1.1", "Another value than expected is EBUSY"
    SYSCALL SYS_umtx_sleep, five, 6, 0
    REFUSED ERRNO_EBUSY

CASE timed_out, "2.1.1", "After its microseconds the sleep is EWOULDBLOCK"
    START_CLOCK
    SYSCALL SYS_umtx_sleep, five, 5, 2000
    REFUSED ERRNO_EAGAIN
    ELAPSED
    AT_LEAST rax, 2000000

CASE int_value, "2.1.1 1.2.4", "32 bits are compared: -1 is -1"
    SYSCALL SYS_umtx_sleep, minus, -1, 1000
    REFUSED ERRNO_EAGAIN
    SYSCALL SYS_umtx_sleep, minus, 0xffffffff, 1000
    REFUSED ERRNO_EAGAIN

CASE negative_timeout, "2.1.1", "A negative timeout is EINVAL"
    SYSCALL SYS_umtx_sleep, five, 5, -1
    REFUSED ERRNO_EINVAL

CASE unaligned, "2.1.1", "An address that is no multiple of 4 is EFAULT"
    .irp offset, 1, 2, 3
    SYSCALL SYS_umtx_sleep, five + \offset, 5, 0
    REFUSED ERRNO_EFAULT
    .endr

CASE absent, "2.1.1", "An int that is not there is EFAULT"
    SYSCALL SYS_umtx_sleep, 8, 0, 0
    REFUSED ERRNO_EFAULT

CASE read_only, "2.1.1", "An int that cannot be written is EFAULT"
    SYSCALL SYS_umtx_sleep, READ_ONLY, 0, 0
    REFUSED ERRNO_EFAULT

CASE wake_nobody, "2.1.2", "To wake nobody is no error"
    SYSCALL SYS_umtx_wakeup, five, 1
    OK
    EQUAL rax, 0

CASE wake_unaligned, "2.1.2", "umtx_wakeup of an address that is no multiple of 4 is EFAULT"
    SYSCALL SYS_umtx_wakeup, five + 2, 1
    REFUSED ERRNO_EFAULT

CASE wake_absent, "2.1.2", "umtx_wakeup of an int that is not there is EFAULT"
    SYSCALL SYS_umtx_wakeup, 8, 1
    REFUSED ERRNO_EFAULT

CASE wake_read_only, "2.1.2", "umtx_wakeup needs no permission to write"
    SYSCALL SYS_umtx_wakeup, READ_ONLY, 1
    OK

CASE wake_one, "2.1.2", "Count 1 wakes one, and no more"
    ROUNDS 1, 3, ALIAS_A, 1

CASE wake_all, "2.1.2", "Count 0 wakes all"
    ROUNDS 3, 3, ALIAS_A, 0

CASE wake_two, "2.1.2", "Count 2 wakes all"
    ROUNDS 3, 3, ALIAS_A, 2

CASE wake_negative, "2.1.2", "Count -1 wakes all"
    ROUNDS 3, 3, ALIAS_A, -1

CASE alias, "2.1.2", "An int is known by its page: another mapping of it does"
    ROUNDS 1, 1, ALIAS_B, 0

CASE other_int, "2.1.2", "To wake those of another int wakes nobody"
    SLEEPERS 1
    SYSCALL SYS_umtx_wakeup, ALIAS_A + 4, 0
    OK
    PAUSE
    WORD32 woken, 0
    WAKE_REST 1

CASE other_process, "2.1.2", "An int in shared memory is known to other processes"
    mov dword ptr [ALIAS_A], 0
    SYSCALL SYS_fork
    OK
    test rax, rax
    jz wakes_parent
    mov r15, rax
sleep_on:
    SYSCALL SYS_umtx_sleep, ALIAS_A, 0, 0
    jnc slept
    REFUSED ERRNO_EBUSY                 # it was quicker
slept:
    WORD32 ALIAS_A, 1
    SYSCALL SYS_wait4, r15, 0, 0, 0

CASE signal, "2.1.1", "A signal breaks the sleep: EINTR, even with SA_RESTART"
    HANDLE SIGALRM, handler, SA_RESTART
    mov qword ptr [handled], 0
    SYSCALL SYS_setitimer, ITIMER_REAL, often, 0
    OK
    SYSCALL SYS_umtx_sleep, five, 5, 0
    REFUSED ERRNO_EINTR
    SYSCALL SYS_setitimer, ITIMER_REAL, never, 0
    AT_LEAST [handled], 1

    FINISH

sleeper:
    ANNOUNCE started
    SYSCALL SYS_umtx_sleep, ALIAS_A, 0, 0
    ANNOUNCE woken
    END_LWP

wakes_parent:
    PAUSE
    mov dword ptr [ALIAS_A], 1
    SYSCALL SYS_umtx_wakeup, ALIAS_A, 0
    SYSCALL SYS_exit, 0

handler:
    inc qword ptr [handled]
    ret

path:
    .asciz "umtx"
    .balign 8
five:
    .int 5, 5
minus:
    .int -1
    .balign 8
woken:
    .quad 0
started:
    .quad 0
handled:
    .quad 0
often:
    .quad 0, 3000, 0, 3000
never:
    .quad 0, 0, 0, 0
