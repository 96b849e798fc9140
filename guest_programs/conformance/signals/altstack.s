# The alternate stack: sigaltstack, and the handlers that run on it.

.include "../recorder.inc"

LEAST = 8192
UNKNOWN_FLAG = 0x10
NOWHERE = 0x123456

# ENABLE size, flags: the alternate stack is `stack`, of this size.
.macro ENABLE size=LEAST, flags=0
    FORGET_SIGNALS
    mov qword ptr [new + SS_SIZE], \size
    mov dword ptr [new + SS_FLAGS], \flags
    SYSCALL SYS_sigaltstack, new, 0
.endm

# STACK_FLAGS value: what sigaltstack says of it.
.macro STACK_FLAGS value
    SYSCALL SYS_sigaltstack, 0, old
    OK
    mov eax, [old + SS_FLAGS]
    EQUAL rax, \value
.endm

CASE none, "4.8.2", "A new program has no alternate stack: SS_DISABLE"
    STACK_FLAGS SS_DISABLE

CASE told, "4.8.2", "sigaltstack tells where the stack is, how large, and that it is not in use"
    ENABLE LEAST + 5
    OK
    STACK_FLAGS 0
    EQUAL [old + SS_SP], stack
    EQUAL [old + SS_SIZE], LEAST + 5

CASE exchanged, "4.8.2", "sigaltstack tells the old stack when a new one is set"
    ENABLE
    OK
    mov dword ptr [disabled + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, disabled, old
    OK
    EQUAL [old + SS_SP], stack
    STACK_FLAGS SS_DISABLE

CASE too_small, "4.8.2", "An alternate stack of less than 8192 bytes is ENOMEM, and changes nothing"
    ENABLE LEAST - 1
    REFUSED ERRNO_ENOMEM
    STACK_FLAGS SS_DISABLE

CASE small_disabled, "4.8.2", "The size of an alternate stack does not matter with SS_DISABLE"
    ENABLE 0, SS_DISABLE
    OK

CASE unknown_flag, "4.8.2", "sigaltstack with a flag that is not known: ignored in 2011, EINVAL later"
    ENABLE LEAST, UNKNOWN_FLAG
    .ifdef VPTE_RW
    REFUSED ERRNO_EINVAL
    .else
    OK
    .endif

CASE unreadable, "4.8.2", "sigaltstack: a structure that cannot be read is EFAULT"
    SYSCALL SYS_sigaltstack, NOWHERE, 0
    REFUSED ERRNO_EFAULT

CASE unwritable, "4.8.2", "sigaltstack: a structure that cannot be written is EFAULT"
    SYSCALL SYS_sigaltstack, 0, NOWHERE
    REFUSED ERRNO_EFAULT

CASE on_it, "7.9.1", "A handler with SA_ONSTACK runs at the stack's upper end, without a red zone"
    ENABLE
    OK
    HANDLE SIGUSR1, record, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [taken], 1
    EQUAL [taken_rsp], stack + LEAST - SF_SIZE - 8

CASE aligned, "7.9.1", "A frame on the alternate stack is on a multiple of 16, even if the end is none"
    ENABLE LEAST + 5
    OK
    HANDLE SIGUSR1, record, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [taken], 1
    mov rax, stack + LEAST + 5 - SF_SIZE
    and rax, ~15
    sub rax, 8
    EQUAL [taken_rsp], rax

CASE context, "7.9.1 4.4.1 4.5.1", "The context of a handler on it has mc_onstack 0, and in uc_stack the stack as it was"
    ENABLE
    OK
    HANDLE SIGUSR1, record, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [TAKEN_MC + MC_ONSTACK], 0
    EQUAL [TAKEN_UC + UC_STACK + SS_SP], stack
    EQUAL [TAKEN_UC + UC_STACK + SS_SIZE], LEAST
    mov eax, [TAKEN_UC + UC_STACK + SS_FLAGS]
    EQUAL rax, 0

CASE without_flag, "7.9.1", "A handler without SA_ONSTACK runs on the stack of the program"
    ENABLE
    OK
    HANDLE SIGUSR1, record
    RAISE SIGUSR1
    lea rax, [rsp - 128 - SF_SIZE]
    and rax, ~15
    sub rax, 8
    EQUAL [taken_rsp], rax

CASE disabled_again, "7.9.1", "A handler with SA_ONSTACK runs on the program's stack once the other is disabled"
    ENABLE 0, SS_DISABLE
    OK
    HANDLE SIGUSR1, record, SA_ONSTACK
    RAISE SIGUSR1
    lea rax, [rsp - 128 - SF_SIZE]
    and rax, ~15
    sub rax, 8
    EQUAL [taken_rsp], rax

CASE in_use, "4.8.2 7.9.1", "In a handler on it the stack is SS_ONSTACK, and cannot be disabled"
    ENABLE
    OK
    HANDLE SIGUSR1, asks, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [taken], 1
    EQUAL [asked_flags], SS_ONSTACK
    EQUAL [asked_errno], ERRNO_EINVAL

CASE not_any_more, "7.9.6 4.8.2", "After sigreturn the alternate stack is not in use any more"
    ENABLE
    OK
    HANDLE SIGUSR1, record, SA_ONSTACK
    RAISE SIGUSR1
    STACK_FLAGS 0

CASE nested, "7.9.1", "A second handler on it runs below the first one's frame, with mc_onstack 1"
    ENABLE
    OK
    HANDLE SIGUSR1, raises, SA_ONSTACK
    HANDLE SIGUSR2, record, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [taken], 2
    EQUAL [TAKEN_MC + MC_ONSTACK], 1
    mov rax, [TAKEN_MC + MC_RSP]        # where the first one was
    lea rax, [rax - 128 - SF_SIZE]
    and rax, ~15
    sub rax, 8
    EQUAL [taken_rsp], rax
    cmp rax, stack
    ja inside
    NEVER
inside:
    STACK_FLAGS 0

CASE nested_return, "7.9.6", "Back from a second handler, the first is on the alternate stack still"
    ENABLE
    OK
    HANDLE SIGUSR1, raises_and_asks, SA_ONSTACK
    HANDLE SIGUSR2, record, SA_ONSTACK
    RAISE SIGUSR1
    EQUAL [taken], 2
    EQUAL [asked_flags], SS_ONSTACK

CASE forged, "7.9.6", "mc_onstack is what sigreturn goes by"
    ENABLE
    OK
    HANDLE SIGUSR1, forges, SA_ONSTACK
    RAISE SIGUSR1
    STACK_FLAGS SS_ONSTACK
    HANDLE SIGUSR1, record, SA_ONSTACK  # which is on the program's stack now, and forges nothing
    RAISE SIGUSR1
    lea rax, [rsp - 128 - SF_SIZE]
    and rax, ~15
    sub rax, 8
    EQUAL [taken_rsp], rax
    HANDLE SIGUSR1, unforges
    RAISE SIGUSR1
    STACK_FLAGS 0

    FINISH

asks:
    RECORD
ask:
    SYSCALL SYS_sigaltstack, 0, old
    mov eax, [old + SS_FLAGS]
    mov [asked_flags], rax
    mov dword ptr [disabled + SS_FLAGS], SS_DISABLE
    SYSCALL SYS_sigaltstack, disabled, 0
    mov [asked_errno], rax
    ret

raises:
    RECORD
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR2
    ret

raises_and_asks:
    RECORD
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR2
    jmp ask

forges:
    RECORD
    mov qword ptr [rdx + UC_MCONTEXT + MC_ONSTACK], 1
    ret

unforges:
    RECORD
    mov qword ptr [rdx + UC_MCONTEXT + MC_ONSTACK], 0
    ret

    .balign 16
old:
    .space 24
new:
    .quad stack, LEAST, 0
disabled:
    .space 24
asked_flags:
    .quad 0
asked_errno:
    .quad 0
    .balign 64
stack:
    .space LEAST + 64
