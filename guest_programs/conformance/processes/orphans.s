# Process groups that nobody in their session could continue.

.include "../processes.inc"
.include "../signal.inc"

STOPPED = 0x7f                          # with the signal above it

CASE no_terminal_stop, "2.6", "SIGTSTP, SIGTTIN and SIGTTOU do not stop a member of an orphaned group"
    FORK in_a_new_session
    ENDED 7 << 8

CASE plain_stop, "2.6", "SIGSTOP does"
    FORK stops_in_a_new_session
    SYSCALL SYS_wait4, r15, child_status, WUNTRACED, 0
    OK
    WORD32 child_status, SIGSTOP << 8 | STOPPED
    SYSCALL SYS_kill, r15, SIGKILL
    ENDED SIGKILL

CASE not_orphaned, "2.6", "A group with a member whose parent is outside, in the session, does stop"
    FORK in_its_own_group
    SYSCALL SYS_wait4, r15, child_status, WUNTRACED, 0
    OK
    WORD32 child_status, SIGTSTP << 8 | STOPPED
    SYSCALL SYS_kill, r15, SIGCONT
    ENDED 7 << 8

CASE hung_up, "2.6", "A group that becomes orphaned with a stopped member is hung up and continued"
    SHARED
    FORK leaves_a_stopped_child
    ENDED
hung_up_yet:
    cmp dword ptr [r14], 0
    jne it_is
    SYSCALL SYS_umtx_sleep, r14, 0, 1000000
    jmp hung_up_yet
it_is:
    WORD32 r14, SIGHUP

CASE left_alone, "2.6", "Without a stopped member nobody is hung up"
    SHARED
    FORK leaves_a_running_child
    ENDED
told_yet:
    cmp dword ptr [r14], 0
    jne it_has
    SYSCALL SYS_umtx_sleep, r14, 0, 1000000
    jmp told_yet
it_has:
    WORD32 r14, -1 & 0xffffffff

    FINISH

in_a_new_session:
    SYSCALL SYS_setsid
    OK
    RAISE SIGTSTP
    RAISE SIGTTIN
    RAISE SIGTTOU
    SYSCALL SYS_exit, 7

stops_in_a_new_session:
    SYSCALL SYS_setsid
    OK
    RAISE SIGSTOP
    SYSCALL SYS_exit, 7

in_its_own_group:
    SYSCALL SYS_setpgid, 0, 0
    OK
    RAISE SIGTSTP
    SYSCALL SYS_exit, 7

# The only member of its group whose parent is outside.
leaves_a_stopped_child:
    SYSCALL SYS_setpgid, 0, 0
    OK
    HANDLE SIGHUP, tells
    FORK stops_itself
    SYSCALL SYS_wait4, r15, child_status, WUNTRACED, 0
    WORD32 child_status, SIGSTOP << 8 | STOPPED
    SYSCALL SYS_exit, 0

stops_itself:
    RAISE SIGSTOP
    SYSCALL SYS_exit, 0

leaves_a_running_child:
    SYSCALL SYS_getpid
    mov r13, rax
    SYSCALL SYS_setpgid, 0, 0
    OK
    HANDLE SIGHUP, tells
    FORK waits_for_init
    SYSCALL SYS_exit, 0

waits_for_init:                         # that is, until its parent has ended
    PAUSE
    SYSCALL SYS_getppid
    cmp rax, r13
    je waits_for_init
    PAUSE
    cmp dword ptr [r14], 0
    jne told_already
    mov dword ptr [r14], -1
    SYSCALL SYS_umtx_wakeup, r14, 0
told_already:
    SYSCALL SYS_exit, 0

tells:
    mov [r14], edi
    SYSCALL SYS_umtx_wakeup, r14, 0
    ret
