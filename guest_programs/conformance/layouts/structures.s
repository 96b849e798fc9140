# Structures that small system calls take and give, each field by its offset in the header.

.include "../threads.inc"

FILL = 0x5a5a5a5a5a5a5a5a               # what a result is written over
FLAGS = MAP_ANON + MAP_PRIVATE + MAP_FIXED
EDGE = 0x30000000                       # a page with nothing behind it

# FRESH: the result is 16 words of FILL.
.macro FRESH
    mov rdi, result
    mov ecx, 16
    mov rax, FILL
    rep stosq
.endm

# FITS size, call, a, b, c, d: the call takes or gives a structure of `size` bytes at r14 that ends
# where its page ends, and cannot with one a byte further.
.macro FITS size, call, a=0, b=0, c=0, d=0
    call edge
    mov r14, EDGE + PAGE_SIZE - \size
    SYSCALL SYS_\call, \a, \b, \c, \d
    OK
    inc r14
    SYSCALL SYS_\call, \a, \b, \c, \d
    REFUSED ERRNO_EFAULT
.endm

CASE sigaction, "4.8.1", "struct sigaction: handler at 0, flags an int at 8, mask at 12"
    FRESH
    SYSCALL SYS_sigaction, SIGUSR2, action, 0
    OK
    SYSCALL SYS_sigaction, SIGUSR2, 0, result
    OK
    WORD result, 0x1122334455667788
    WORD32 result + 8, SA_RESTART + SA_NODEFER + SA_ONSTACK
    WORD32 result + 12, 0x10080002
    WORD32 result + 16, 0x20000001
    WORD32 result + 20, 0x40000002
    WORD32 result + 24, 0x80000004
    WORD result + 32, FILL

CASE sigaction_size, "4.8.1", "struct sigaction is 32 bytes"
    FITS 32, sigaction, SIGUSR2, r14, 0

CASE old_action_size, "4.8.1", "struct sigaction is 32 bytes where it is stored"
    FITS 32, sigaction, SIGUSR2, 0, r14

CASE sigaction_kill, "4.8.1 3.2.2", "SIGKILL and SIGSTOP are taken out of the mask of a struct sigaction"
    SYSCALL SYS_sigaction, SIGUSR2, all_masked, 0
    OK
    SYSCALL SYS_sigaction, SIGUSR2, 0, result
    OK
    WORD32 result + 12, 0xffffffff - (1 << (SIGKILL - 1)) - (1 << (SIGSTOP - 1))
    WORD32 result + 24, 0xffffffff

CASE sigset, "3.2.1 4.8.1", "A signal set is 16 bytes"
    FITS 16, sigprocmask, SIG_BLOCK, r14, 0

CASE old_sigset, "3.2.1", "A signal set is 16 bytes where it is stored"
    FITS 16, sigprocmask, SIG_BLOCK, 0, r14

CASE stack_t, "4.8.2", "stack_t: base at 0, size at 8, flags an int at 16; 24 bytes"
    FRESH
    SYSCALL SYS_sigaltstack, stack, 0
    OK
    SYSCALL SYS_sigaltstack, 0, result
    OK
    WORD result, 0x7654321000
    WORD result + 8, 0x10000
    WORD32 result + 16, 0
    WORD result + 24, FILL
    SYSCALL SYS_sigaltstack, no_stack, 0
    OK
    SYSCALL SYS_sigaltstack, 0, result
    WORD32 result + 16, SS_DISABLE

CASE stack_t_size, "4.8.2", "stack_t is 24 bytes where it is stored"
    FITS 24, sigaltstack, 0, r14

CASE lwp_params, "4.8.3", "struct lwp_params: function 0, argument 8, stack 16, two places for the number"
    mov rax, lwp_stacks + LWP_STACK
    mov [params + 16], rax
    SYSCALL SYS_lwp_create, params
    OK
    AWAIT done
    EQUAL [seen_rdi], 0x123456789a
    EQUAL [seen_rsp], lwp_stacks + LWP_STACK - 8
    mov r12d, [tid1]
    mov r13d, [tid2]
    EQUAL r12, [seen_tid]
    EQUAL r13, [seen_tid]
    WORD32 tid1 + 4, 0x77777777         # the number is an int
    WORD32 tid2 + 4, 0x77777777

CASE timespec, "4.8.4", "struct timespec: seconds at 0, nanoseconds at 8; 16 bytes"
    FRESH
    SYSCALL SYS_clock_gettime, CLOCK_REALTIME, result
    OK
    SYSCALL SYS_gettimeofday, result + 32, 0
    mov rax, [result + 32]
    sub rax, [result]
    and rax, ~1                         # the same second or the next
    EQUAL rax, 0
    mov rax, [result + 8]
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    EQUAL rax, 0
    WORD result + 16, FILL

CASE timespec_taken, "4.8.4 2.1.13", "The nanoseconds of a struct timespec are at 8, and below a thousand million"
    SYSCALL SYS_nanosleep, good_timespec, 0
    OK
    SYSCALL SYS_nanosleep, bad_timespec, 0
    REFUSED ERRNO_EINVAL

CASE timespec_size, "4.8.4", "struct timespec is 16 bytes where it is taken"
    FITS 16, nanosleep, r14, 0

CASE timeval, "4.8.4", "struct timeval: seconds at 0, microseconds at 8; 16 bytes"
    FRESH
    SYSCALL SYS_gettimeofday, result, 0
    OK
    mov rax, [result + 8]
    xor edx, edx
    mov ecx, 1000000
    div rcx
    EQUAL rax, 0
    WORD result + 16, FILL

CASE itimerval, "4.8.5", "struct itimerval: interval at 0, value at 16; 32 bytes"
    FRESH
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, itimer, 0
    OK
    SYSCALL SYS_setitimer, ITIMER_VIRTUAL, no_itimer, result
    OK
    WORD result, 7000
    WORD result + 8, 40000              # microseconds, in whole ticks of the clock
    mov rax, [result + 16]              # it has been running
    sub rax, 89999
    and rax, ~1
    EQUAL rax, 0
    WORD result + 32, FILL

CASE itimerval_size, "4.8.5", "struct itimerval is 32 bytes where it is taken"
    FITS 32, setitimer, ITIMER_PROF, r14, 0

CASE kevent, "4.8.6", "struct kevent: ident 0, filter 8, flags 10, fflags 12, data 16, udata 24; 32 bytes"
    SYSCALL SYS_kqueue
    OK
    mov r12, rax
    FRESH
    SYSCALL SYS_kevent, r12, a_change, 1, 0, 0, 0
    OK
    SYSCALL SYS_kevent, r12, 0, 0, result, 2, 0
    OK
    EQUAL rax, 1
    WORD result, 0x123456789abc
    WORD16 result + 8, 0xfff9           # EVFILT_TIMER, -7
    WORD16 result + 10, 0x31            # EV_ADD, EV_ONESHOT, EV_CLEAR
    WORD32 result + 12, 0
    WORD result + 16, 1
    WORD result + 24, 0xfedcba987654
    WORD result + 32, FILL

CASE pollfd, "4.8.7", "struct pollfd: descriptor 0, events 4, revents 6; 8 bytes"
    SYSCALL SYS_pipe
    OK
    mov [pollfds], eax
    mov [pollfds + 8], edx
    SYSCALL SYS_poll, pollfds, 2, 0
    OK
    EQUAL rax, 1
    WORD16 pollfds + 4, POLLIN
    WORD16 pollfds + 6, 0
    WORD16 pollfds + 12, POLLOUT
    WORD16 pollfds + 14, POLLOUT
    WORD pollfds + 16, FILL

CASE iovec, "4.8.8", "struct iovec: base at 0, length at 8; 16 bytes: writev gathers, readv scatters"
    FRESH
    SYSCALL SYS_pipe
    OK
    mov r12, rax
    mov r13, rdx
    SYSCALL SYS_writev, r13, gathered, 3
    OK
    EQUAL rax, 7
    SYSCALL SYS_readv, r12, scattered, 2
    OK
    EQUAL rax, 7
    WORD result, 0x5a5a5a5a5a656e6f     # "one"
    WORD result + 8, 0x5a5a5a5a216f7774 # "two!"

    FINISH

# A page of zeros at EDGE.
edge:
    SYSCALL7 SYS_mmap, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE, FLAGS, -1, 0, 0
    OK
    ret

lwp:
    mov [seen_rdi], rdi
    mov [seen_rsp], rsp
    SYSCALL SYS_lwp_gettid
    mov [seen_tid], rax
    TELL done
    END_LWP

    .balign 8
result:
    .zero 128
action:
    .quad 0x1122334455667788
    .long SA_RESTART + SA_NODEFER + SA_ONSTACK, 0x10080002, 0x20000001, 0x40000002, 0x80000004, -1
all_masked:
    .quad SIG_DFL
    .long 0, -1, -1, -1, -1, -1
stack:
    .quad 0x7654321000, 0x10000
    .long 0, -1
no_stack:
    .quad 0, 0, SS_DISABLE
params:
    .quad lwp, 0x123456789a, 0, tid1, tid2
tid1:
    .quad 0x7777777777777777
tid2:
    .quad 0x7777777777777777
seen_rdi:
    .quad 0
seen_rsp:
    .quad 0
seen_tid:
    .quad -1
done:
    .quad 0
good_timespec:
    .quad 0, 999
bad_timespec:
    .quad 0, 1000000000
itimer:
    .quad 7000, 40000, 90000, 0
no_itimer:
    .quad 0, 0, 0, 0
a_change:
    .quad 0x123456789abc
    .short -7, 0x11
    .long 0
    .quad 1, 0xfedcba987654
pollfds:
    .long 0
    .short POLLIN, -1
    .long 0
    .short POLLOUT, -1
    .quad FILL
gathered:
    .quad text, 4, text + 4, 0, text + 4, 3
scattered:
    .quad result, 3, result + 8, 16
text:
    .ascii "onetwo!"
