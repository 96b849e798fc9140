# What a new program finds: its registers, its stack, and what it has from the one before.
#
# The set-up executes a program that writes all it finds into a pipe; the cases look at that.

.include "../executable.inc"

REPORT = 50                             # the descriptor of the pipe
CLOSED = 51                             # one that is closed on exec
KEPT = 52                               # and one that is not

# The report: 64 words, and then the stack from rdi to the end of the address space.
PS_STRINGS = USER_MAX - 32

# REPORTED word, value: a word of the report.
.macro REPORTED word, value
    WORD report + 8*\word, \value
.endm

# STACKED address: rax is the word at an address of the new program's stack.
.macro STACKED address
    mov rax, \address
    sub rax, [vector]
    mov rax, [report + 64*8 + rax]
.endm

# STRING address, string: there is this zero-terminated string on the new program's stack.
.macro STRING address, string
    mov rdi, \address
    sub rdi, [vector]
    lea rdi, [report + 64*8 + rdi]
    mov rsi, \string
    call same_string
.endm

# TAG number: rax is what the auxiliary vector says of a tag.
.macro TAG number
    mov ecx, \number
    call find_tag
.endm

    WRITE_EXECUTABLE path, program
    SYSCALL SYS_pipe
    OK
    mov [reading], rax
    mov r12, rdx
    SYSCALL SYS_dup2, r12, REPORT
    OK
    SYSCALL SYS_close, r12
    OK
    SYSCALL SYS_open, path, O_RDONLY
    OK
    mov r12, rax
    SYSCALL SYS_dup2, r12, CLOSED
    OK
    SYSCALL SYS_dup2, r12, KEPT
    OK
    SYSCALL SYS_fcntl, CLOSED, F_SETFD, FD_CLOEXEC
    OK
    FORK child
    mov [pid], r15
    SYSCALL SYS_close, REPORT
    OK
    mov r13, report
more:
    SYSCALL SYS_read, [reading], r13, 8192
    OK
    add r13, rax
    test rax, rax
    jnz more
    ENDED
    mov rax, [report + 8*5]             # rdi
    mov [vector], rax

    .macro CLEAR register, word
CASE \register, "11.2", "At entry \register is 0, in every version"
    REPORTED \word, 0
    .endm
    CLEAR rax, 0
    CLEAR rbx, 1
    CLEAR rcx, 2
    CLEAR rsi, 4
    CLEAR rbp, 6
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    CLEAR r\n, \n
    .endr

CASE rdx, "11.2", "At entry RDX is still what execve was called with: its second result"
    REPORTED 3, environment

CASE stack_pointer, "11.2", "RSP is the last address below the vector that is 8 more than a multiple of 16"
    mov rax, [vector]
    sub rax, 8
    and rax, ~15
    add rax, 8
    EQUAL [report + 8*7], rax

CASE flags, "11.2", "RFLAGS is 0x202"
    REPORTED 16, 0x202

CASE selectors, "11.2", "CS is 0x2b and SS 0x23"
    REPORTED 17, 0x2b
    REPORTED 18, 0x23

CASE x87, "7.6.7", "The x87 control word is 0x127f"
    REPORTED 20, 0x127f

CASE mxcsr, "7.6.7", "MXCSR is 0x1f80"
    REPORTED 21, 0x1f80

CASE tls_bases, "11.2", "FS and GS base are 0"
    REPORTED 22, 0
    REPORTED 24, 0

CASE argc, "11.2 11.3", "The vector begins with the number of arguments"
    EQUAL [report + 64*8], 3

CASE arguments, "11.1 11.3", "The arguments follow, and 0"
    STRING [report + 64*8 + 8], argument_0
    STRING [report + 64*8 + 16], argument_1
    STRING [report + 64*8 + 24], argument_2
    EQUAL [report + 64*8 + 32], 0

CASE environment, "11.1 11.3", "The environment follows, and 0"
    STRING [report + 64*8 + 40], variable_0
    STRING [report + 64*8 + 48], variable_1
    EQUAL [report + 64*8 + 56], 0

CASE auxv_program_headers, "11.4", "AT_PHDR, AT_PHENT and AT_PHNUM tell where the program headers are"
    TAG 3
    EQUAL rax, BASE + 64
    TAG 4
    EQUAL rax, 56
    TAG 5
    EQUAL rax, 1

CASE auxv_page_size, "11.4", "AT_PAGESZ is 4096"
    TAG 6
    EQUAL rax, 4096

CASE auxv_base_and_flags, "11.4", "AT_BASE and AT_FLAGS of a static program are 0"
    TAG 7
    EQUAL rax, 0
    TAG 8
    EQUAL rax, 0

CASE auxv_entry, "11.4", "AT_ENTRY is where it starts"
    TAG 9
    EQUAL rax, ENTRY

CASE auxv_path, "11.4 11.5", "AT_EXECPATH is the full path of what was executed, right below the trampoline"
    STRING PS_STRINGS - 32 - 9, slash_program
    TAG 15
    sub rax, [vector]
    movzx eax, byte ptr [report + 64*8 + rax]
    EQUAL rax, 0x2f

CASE auxv_version, "11.4", "AT_OSRELDATE is there"
    TAG 18
    mov ecx, 1
    cmp rax, 100000
    adc ecx, 0
    EQUAL rcx, 1

CASE ps_strings, "11.5 4.8.9", "ps_strings, 32 bytes below the end: argv, argc, envp, envc"
    mov rcx, [vector]
    lea r12, [rcx + 8]
    lea r13, [rcx + 40]
    STACKED PS_STRINGS
    EQUAL rax, r12
    STACKED PS_STRINGS + 8
    mov eax, eax
    EQUAL rax, 3
    STACKED PS_STRINGS + 16
    EQUAL rax, r13
    STACKED PS_STRINGS + 24
    mov eax, eax
    EQUAL rax, 2

CASE strings_lie_above, "11.5", "Strings lie between the vectors and the path, and 256 bytes between those"
    TAG 15
    mov r12, rax                        # the path
    mov r13, [report + 64*8 + 48]       # the last string
    sub r12, r13
    mov eax, 1
    cmp r12, 256 + 7                    # it is 7 bytes long
    jae far_enough
    dec eax
far_enough:
    EQUAL rax, 1
    mov rcx, PS_STRINGS
    TAG 15
    mov rcx, PS_STRINGS
    sub rcx, rax
    shr rcx, 12
    EQUAL rcx, 0

CASE trampoline, "11.5 7.9.2", "The signal trampoline, 32 bytes, lies right below ps_strings"
    STACKED PS_STRINGS - 32
    mov ecx, 0xffffff
    and rax, rcx
    EQUAL rax, 0x2414ff                 # call [rsp]

CASE pid, "11.6", "The process is the same"
    EQUAL [report + 8*26], [pid]

CASE caught_signal, "11.6", "A signal that had a handler has its default action again"
    REPORTED 27, SIG_DFL

CASE ignored_signal, "11.6", "A signal that was ignored still is"
    REPORTED 31, SIG_IGN

CASE signal_mask, "11.6", "The signal mask stays"
    REPORTED 35, 1 << (SIGUSR1 - 1)

CASE pending_signal, "11.6", "A signal that waits stays"
    REPORTED 37, 1 << (SIGUSR1 - 1)

CASE alternate_stack, "11.6", "The alternate stack is gone"
    BITS [report + 8*41], SS_DISABLE, SS_DISABLE

CASE umask, "11.6", "The umask stays"
    REPORTED 42, 027

CASE kept_descriptor, "11.1", "A descriptor stays open"
    REPORTED 44, 0

CASE closed_descriptor, "11.1", "A descriptor with FD_CLOEXEC is closed"
    REPORTED 43, ERRNO_EBADF

CASE timer, "11.6", "A timer goes on"
    mov rax, [report + 8*47]
    sub rax, 999                        # of a thousand seconds
    and rax, ~1
    EQUAL rax, 0

CASE tid, "11.6", "The only LWP has number 0"
    REPORTED 49, 0

    FINISH

# The strings at rsi and rdi are the same.
same_string:
    lodsb
    cmp al, [rdi]
    jne .Ldifferent
    inc rdi
    test al, al
    jnz same_string
    ret
.Ldifferent:
    movzx eax, al
    movzx ecx, byte ptr [rdi]
    EQUAL rcx, rax
    ret

# rax: the value of tag ecx.
find_tag:
    mov rsi, report + 64*8 + 64
.Lpair:
    lodsq
    mov rdx, rax
    lodsq
    cmp edx, ecx
    je .Lfound_tag
    test rdx, rdx
    jnz .Lpair
    NEVER                               # there is none
.Lfound_tag:
    ret

child:
    SYSCALL SYS_close, [reading]
    SYSCALL SYS_umask, 027
    SYSCALL SYS_sigaction, SIGUSR1, caught, 0
    SYSCALL SYS_sigaction, SIGUSR2, ignored, 0
    SYSCALL SYS_sigprocmask, SIG_SETMASK, usr1, 0
    SYSCALL SYS_sigaltstack, alternate, 0
    OK
    SYSCALL SYS_setitimer, ITIMER_REAL, thousand, 0
    OK
    SYSCALL SYS_getpid
    SYSCALL SYS_kill, rax, SIGUSR1
    OK
    SYSCALL SYS_set_tls_area, 0, tls_info, 16
    OK
    SYSCALL SYS_set_tls_area, 1, tls_info, 16
    OK
    mov word ptr [scratch], 0x0f7f
    fldcw [scratch]
    mov dword ptr [scratch], 0x5f80
    ldmxcsr [scratch]
    mov rdi, path
    mov rsi, arguments
    mov rdx, environment
    .irp register, rbx, rbp, rcx, r8, r9, r10, r11, r12, r13, r14, r15
    mov \register, 0x7171717171717171
    .endr
    mov eax, SYS_execve
    std
    syscall
    SYSCALL SYS_exit, 99

    .balign 8
slash_program:
    .ascii "/"
path:
    .asciz "program"
argument_0:
    .asciz "first"
argument_1:
    .asciz ""
argument_2:
    .asciz "and a third"
variable_0:
    .asciz "A=1"
variable_1:
    .asciz "LAST=2"
    .balign 8
arguments:
    .quad argument_0, argument_1, argument_2, 0
environment:
    .quad variable_0, variable_1, 0
reading:
    .quad 0
pid:
    .quad 0
vector:
    .quad 0
scratch:
    .quad 0
caught:
    .quad child, 0, 0, 0
ignored:
    .quad SIG_IGN, 0, 0, 0
usr1:
    .quad 1 << (SIGUSR1 - 1), 0
alternate:
    .quad scratch, 0x8000, 0
thousand:
    .quad 0, 0, 1000, 0
tls_info:
    .quad scratch, -1
report:
    .zero 8192

.include "program_report.inc"
