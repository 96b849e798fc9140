# One fork of a process with PAGES touched pages, which has forked before.  The nanoseconds until
# both processes have returned from it are written to standard output, as a 64-bit word.

.include "vkemu.inc"

MEMORY = 0x20000000
SHARED = 0x10000000                     # when each of the two has returned: two struct timespec
BEFORE = SHARED + 32                    # not beside the code: a copy of that would be translated anew
SECOND = 1000000000

    SYSCALL7 SYS_mmap, SHARED, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_SHARED + MAP_FIXED, -1, 0, 0
    CHECK_OK 1
    SYSCALL7 SYS_mmap, MEMORY, PAGES * PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    CHECK_OK 2
    mov rdi, MEMORY
    mov r15, PAGES
fill:
    mov byte ptr [rdi], 1
    add rdi, PAGE_SIZE
    dec r15
    jnz fill
    call fork_once                      # what happens at the first fork alone is over then
    mov rdi, MEMORY
    mov r15, PAGES
again:
    inc byte ptr [rdi]
    add rdi, PAGE_SIZE
    dec r15
    jnz again
    call fork_once
    mov rdi, SHARED
    call since
    mov r14, rax
    mov rdi, SHARED + 16
    call since
    cmp rax, r14
    cmovb rax, r14
    mov [BEFORE], rax
    SYSCALL SYS_write, 1, BEFORE, 8
    CHECK_OK 7
done:
    DONE

fork_once:
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, BEFORE
    CHECK_OK 3
    SYSCALL SYS_fork
    CHECK_OK 4
    mov r12, rax
    test eax, eax
    jz child
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, SHARED
    CHECK_OK 5
    SYSCALL SYS_wait4, r12, 0
    CHECK_OK 6
    ret
child:
    SYSCALL SYS_clock_gettime, CLOCK_MONOTONIC, SHARED + 16
    CHECK_OK 8
    jmp done

since:                                  # rax = nanoseconds from BEFORE to [rdi]
    mov rax, [rdi]
    sub rax, [BEFORE]
    imul rax, rax, SECOND
    add rax, [rdi + 8]
    sub rax, [BEFORE + 8]
    ret
