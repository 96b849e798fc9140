# execve: what it refuses, and what becomes of the process.

.include "../executable.inc"
.include "../threads.inc"

# REFUSES errno, path, arguments, environment: execve is refused, and this program goes on.
.macro REFUSES errno, path, arguments, environment=0
    mov r12, 0x1212
    SYSCALL SYS_execve, \path, \arguments, \environment
    REFUSED \errno
    EQUAL r12, 0x1212
.endm

# PLAIN_FILE path, mode, contents, size: a file.
.macro PLAIN_FILE path, mode, contents=0, size=0
    SYSCALL SYS_open, \path, O_RDWR + O_CREAT, \mode
    OK
    mov r12, rax
    SYSCALL SYS_write, r12, \contents, \size
    SYSCALL SYS_close, r12
    OK
.endm

    WRITE_EXECUTABLE path, program

CASE runs, "11.1", "execve starts a program with its arguments"
    FORK executes
    ENDED 42 << 8

CASE without_environment, "11.1", "The environment may be NULL"
    FORK executes_without_environment
    ENDED 43 << 8

CASE from_an_lwp, "11.1 11.6", "execve ends the other LWPs of the process"
    FORK executes_with_lwps
    ENDED 42 << 8

CASE after_vfork, "11.1", "execve gives a vfork's parent its memory back, and lets it go on"
    mov qword ptr [borrowed], 0
    SYSCALL SYS_vfork
    OK
    test rax, rax
    jz borrows_and_executes
    mov r15, rax
    WORD borrowed, 1
    ENDED 42 << 8

CASE missing, "11.7", "A file that is not there is ENOENT"
    REFUSES ERRNO_ENOENT, missing_path, arguments

CASE empty_path, "11.7", "An empty path is ENOENT"
    REFUSES ERRNO_ENOENT, nothing, arguments

CASE below_a_file, "11.7", "A path through a file is ENOTDIR"
    REFUSES ERRNO_ENOTDIR, below_path, arguments

CASE not_executable, "11.7", "A file that nobody may execute is EACCES"
    PLAIN_FILE other_path, 0600, program, program_end - program
    REFUSES ERRNO_EACCES, other_path, arguments

CASE directory, "11.7", "A directory is EACCES"
    SYSCALL SYS_mkdir, directory_path, 0755
    OK
    REFUSES ERRNO_EACCES, directory_path, arguments

CASE no_program, "11.7", "A file that is no program is ENOEXEC"
    PLAIN_FILE text_path, 0755, path, 5
    REFUSES ERRNO_ENOEXEC, text_path, arguments

CASE empty_file, "11.7", "An empty file is ENOEXEC"
    PLAIN_FILE empty_path, 0755
    REFUSES ERRNO_ENOEXEC, empty_path, arguments

CASE open_for_writing, "11.7", "A file that is open for writing is ETXTBSY"
    SYSCALL SYS_open, path, O_RDWR
    OK
    mov r13, rax
    REFUSES ERRNO_ETXTBSY, path, arguments
    SYSCALL SYS_close, r13
    OK
    FORK executes
    ENDED 42 << 8

CASE no_arguments, "11.7", "A NULL vector of arguments is EFAULT"
    REFUSES ERRNO_EFAULT, path, 0

CASE bad_path, "11.7", "A path that cannot be read is EFAULT"
    REFUSES ERRNO_EFAULT, 8, arguments

CASE bad_vector, "11.7", "A vector that cannot be read is EFAULT"
    REFUSES ERRNO_EFAULT, path, 8
    REFUSES ERRNO_EFAULT, path, arguments, 8

CASE bad_string, "11.7", "An argument that cannot be read is EFAULT"
    REFUSES ERRNO_EFAULT, path, bad_arguments

CASE too_long, "11.7", "Arguments of more than 256 KB are E2BIG"
    SYSCALL7 SYS_mmap, 0x20000000, 300*1024, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    mov rdi, 0x20000000
    mov ecx, 300*1024 - 1
    mov al, 0x78
    rep stosb
    REFUSES ERRNO_E2BIG, path, long_arguments
    REFUSES ERRNO_E2BIG, path, arguments, long_arguments

CASE long_argument, "11.1", "An argument may have 200000 bytes"
    mov byte ptr [0x20000000 + 200000], 0
    FORK executes_long
    ENDED 42 << 8

    FINISH

borrows_and_executes:
    mov qword ptr [borrowed], 1
executes:
    SYSCALL SYS_execve, path, arguments, environment
    SYSCALL SYS_exit, 99

executes_without_environment:
    SYSCALL SYS_execve, path, more_arguments, 0
    SYSCALL SYS_exit, 99

executes_long:
    SYSCALL SYS_execve, path, long_arguments, 0
    SYSCALL SYS_exit, 99

executes_with_lwps:
    START loops
    START sleeps
    AWAIT ready
    SYSCALL SYS_execve, path, arguments, environment
    SYSCALL SYS_exit, 99
loops:
    jmp loops
sleeps:
    TELL ready
    SYSCALL SYS_umtx_sleep, never, 0, 0
    SYSCALL SYS_exit, 98

    .balign 8
borrowed:
    .quad 0
ready:
    .quad 0
never:
    .quad 0
arguments:
    .quad path, nothing, 0
more_arguments:
    .quad path, nothing, nothing, 0
bad_arguments:
    .quad path, 8, 0
long_arguments:
    .quad path, 0x20000000, 0
environment:
    .quad nothing, 0
path:
    .asciz "program"
missing_path:
    .asciz "missing"
other_path:
    .asciz "other"
text_path:
    .asciz "text"
empty_path:
    .asciz "empty"
directory_path:
    .asciz "directory"
below_path:
    .asciz "program/file"
nothing:
    .asciz ""

# Its status is 40 more than its number of arguments.
EXECUTABLE program
    mov rdi, [rdi]
    add rdi, 40
    mov eax, SYS_exit
    syscall
END_EXECUTABLE program
