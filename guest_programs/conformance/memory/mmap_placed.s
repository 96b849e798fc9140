# Where mmap and vmspace_mmap put a mapping, and what they replace.

.include "../access.inc"

HIGH = 0x30000000000                    # a hint that is one, and nothing is near it
AREA = 0x30000000
PS = PAGE_SIZE
MB = 1 << 20
STEP = 128*1024                         # of a stack

    PLAIN_SPACE

CASE no_hint, "6.9.15", "Without an address a place is found, another one each time"
    MMAP 0, PS, RW, ANON
    OK
    mov rbp, rax
    WRITABLE rbp
    MMAP 0, PS, RW, ANON
    OK
    mov rsi, rax
    sub rsi, rbp
    EQUAL rsi, PS
    SPACE_MMAP 0, PS, RW, ANON
    OK
    mov rbp, rax
    SPACE_MMAP 0, PS, RW, ANON
    OK
    sub rax, rbp
    EQUAL rax, PS

CASE hint, "6.9.15", "An address is a hint: that place, or the first free one above it"
    MMAP HIGH, 2*PS, RW, ANON
    OK
    EQUAL rax, HIGH
    MMAP HIGH + 3*PS, PS, RW, ANON
    OK
    EQUAL rax, HIGH + 3*PS
    MMAP HIGH, PS, RW, ANON             # the gap is large enough
    OK
    EQUAL rax, HIGH + 2*PS
    MMAP HIGH + PS, 2*PS, RW, ANON
    OK
    EQUAL rax, HIGH + 4*PS
    SYSCALL SYS_munmap, HIGH, 6*PS
    OK

CASE hint_space, "6.9.15", "In a vmspace too"
    SPACE_MMAP HIGH, 2*PS, RW, ANON
    OK
    EQUAL rax, HIGH
    SPACE_MMAP HIGH + 3*PS, PS, RW, ANON
    OK
    EQUAL rax, HIGH + 3*PS
    SPACE_MMAP HIGH, PS, RW, PLAIN_MAP - MAP_FIXED, r12
    OK
    EQUAL rax, HIGH + 2*PS
    SPACE_MMAP HIGH + PS, 2*PS, RW, ANON
    OK
    EQUAL rax, HIGH + 4*PS
    SYSCALL SYS_vmspace_munmap, SPACE, HIGH, 6*PS
    OK

CASE hint_unaligned, "6.9.15 6.9.8", "A hint is rounded up, and the offset's place in its page is added"
    MMAP HIGH + 1, PS, RW, ANON
    OK
    EQUAL rax, HIGH + PS
    SYSCALL SYS_munmap, HIGH + PS, PS
    OK
    MMAP HIGH, PS, RW, MAP_SHARED, r12, 0x123
    OK
    EQUAL rax, HIGH + 0x123
    SYSCALL SYS_munmap, HIGH, 2*PS
    OK

CASE text_hint, "6.9.15", "A hint near the program itself is none"
    MMAP text_hint_here, PS, RW, ANON
text_hint_here:
    OK
    xor ecx, ecx
    mov rsi, 32 << 30
    cmp rax, rsi
    setae cl
    EQUAL rcx, 1

CASE last_page, "6.9.7", "The last page below the end can be mapped"
    SPACE_MMAP USER_MAX - PS, PS, RW, ANON + MAP_FIXED
    OK
    WRITES USER_MAX - 8, 1
    SYSCALL SYS_vmspace_munmap, SPACE, USER_MAX - PS, PS
    OK

CASE first_page, "6.9.7", "So can page 0"
    SPACE_MMAP 0, PS, RW, ANON + MAP_FIXED
    OK
    EQUAL rax, 0
    WRITES 0, 1
    SYSCALL SYS_vmspace_munmap, SPACE, 0, PS
    OK
    CANNOT_READ 0

CASE replace, "6.9.14", "FIXED replaces what is there, and no more"
    MMAP AREA, 3*PS, RW, ANON + MAP_FIXED
    OK
    mov qword ptr [AREA], 1
    mov qword ptr [AREA + PS], 2
    mov qword ptr [AREA + 2*PS], 3
    MMAP AREA + PS, PS, RW, ANON + MAP_FIXED
    OK
    WORD AREA, 1
    WORD AREA + PS, 0
    WORD AREA + 2*PS, 3
    MMAP AREA, 3*PS, PROT_READ, ANON + MAP_FIXED
    OK
    WORD AREA, 0
    WORD AREA + 2*PS, 0
    UNWRITABLE AREA + PS
    SYSCALL SYS_munmap, AREA, 3*PS
    OK

CASE replace_space, "6.9.14 6.14.7", "FIXED replaces what a guest has used already"
    SPACE_MMAP AREA, 3*PS, RW, ANON + MAP_FIXED
    OK
    WRITES AREA, 1
    WRITES AREA + PS, 2
    WRITES AREA + 2*PS, 3
    SPACE_MMAP AREA + PS, PS, PROT_READ, ANON + MAP_FIXED
    OK
    READS AREA, 1
    READS AREA + PS, 0
    READS AREA + 2*PS, 3
    CANNOT_WRITE AREA + PS, PGEX_P+PGEX_U+PGEX_W
    SYSCALL SYS_vmspace_munmap, SPACE, AREA, 3*PS
    OK

CASE try_fixed, "6.9.14", "TRYFIXED maps what is free, from the end of one mapping to the start of the next"
    MMAP AREA, PS, RW, ANON + MAP_TRYFIXED
    OK
    EQUAL rax, AREA
    MMAP AREA + 2*PS, PS, RW, ANON + MAP_TRYFIXED + MAP_FIXED
    OK
    EQUAL rax, AREA + 2*PS
    MMAP AREA + PS, PS, RW, ANON + MAP_TRYFIXED
    OK
    EQUAL rax, AREA + PS
    mov qword ptr [AREA + PS], 7
    MMAP AREA + PS, 8*PS, RW, ANON + MAP_TRYFIXED
    REFUSED ERRNO_ENOMEM
    WORD AREA + PS, 7
    UNREADABLE AREA + 3*PS
    SYSCALL SYS_munmap, AREA, 3*PS
    OK

CASE size_align, "6.9.13", "SIZEALIGN aligns to the length"
    MMAP HIGH + PS, 4*MB, RW, ANON + MAP_SIZEALIGN
    OK
    EQUAL rax, HIGH + 4*MB
    MMAP HIGH + PS, 8*PS, RW, ANON + MAP_SIZEALIGN
    OK
    EQUAL rax, HIGH + 8*PS
    MMAP HIGH + PS, PS, RW, ANON + MAP_SIZEALIGN
    OK
    EQUAL rax, HIGH + PS
    SYSCALL SYS_munmap, HIGH + 4*MB, 4*MB
    OK
    SYSCALL SYS_munmap, HIGH + 8*PS, 8*PS
    OK
    SYSCALL SYS_munmap, HIGH + PS, PS
    OK

CASE large, "6.9.20 9.11", "Large mappings without FIXED: on 2 MB from 2014 on, on any page in 2011"
    MMAP HIGH + PS, 2*MB, RW, ANON
    OK
    .if ABI == 2011
    EQUAL rax, HIGH + PS
    .else
    EQUAL rax, HIGH + 2*MB
    .endif
    SYSCALL SYS_munmap, rax, 2*MB
    OK
    MMAP HIGH + PS, 32*MB + PS, RW, ANON
    OK
    .if ABI == 2011
    EQUAL rax, HIGH + PS
    .else
    EQUAL rax, HIGH + 2*MB
    .endif
    SYSCALL SYS_munmap, rax, 32*MB + PS
    OK

CASE not_large, "6.9.20 9.11", "Any page for 32 MB less a page, and with FIXED"
    MMAP HIGH + PS, 32*MB - PS, RW, ANON
    OK
    EQUAL rax, HIGH + PS
    SYSCALL SYS_munmap, rax, 32*MB - PS
    OK
    MMAP HIGH + PS, 2*MB, RW, ANON + MAP_FIXED
    OK
    EQUAL rax, HIGH + PS
    SYSCALL SYS_munmap, rax, 2*MB
    OK

CASE stack, "6.9.4", "MAP_STACK maps its top 128 KiB, and what lies below when it is touched"
    MMAP AREA, MB, RW, MAP_STACK + MAP_FIXED
    OK
    EQUAL rax, AREA
    WRITABLE AREA + MB - 1
    WRITABLE AREA + MB - STEP
    SYSCALL SYS_munmap, AREA + MB - 2*STEP, STEP
    REFUSED ERRNO_EINVAL                # nothing is mapped there yet
    mov byte ptr [AREA + MB - STEP - 1], 1
    SYSCALL SYS_munmap, AREA + MB - 2*STEP, STEP
    OK
    SYSCALL SYS_munmap, AREA + MB - STEP, STEP
    OK

CASE stack_grows_far, "6.9.4", "One touch at its lowest byte maps all of a stack"
    MMAP AREA, MB, RW, MAP_STACK + MAP_FIXED
    OK
    mov byte ptr [AREA], 1
    WRITABLE AREA + MB/2
    UNREADABLE AREA - 1
    SYSCALL SYS_munmap, AREA, MB
    OK

CASE small_stack, "6.9.4", "A stack of less than 128 KiB is mapped at once; MAP_ANON is implied, the offset ignored"
    MMAP AREA, PS, RW, MAP_STACK + MAP_FIXED, -1, 16*PS
    OK
    EQUAL rax, AREA
    WORD AREA, 0
    SYSCALL SYS_munmap, AREA, PS
    OK

CASE stack_reserve, "6.9.4", "What a stack has not grown into is free for others, and then it does not grow"
    MMAP AREA, MB, RW, MAP_STACK + MAP_FIXED
    OK
    MMAP AREA + MB - STEP - PS, PS, PROT_READ, ANON + MAP_TRYFIXED
    OK
    UNREADABLE AREA + MB - STEP - PS - 1
    SYSCALL SYS_munmap, AREA + MB - STEP - PS, STEP + PS
    OK

CASE stack_space, "6.14.11 6.9.4", "A stack in a vmspace is its top 128 KiB, and does not grow"
    SPACE_MMAP AREA, MB, RW, MAP_STACK + MAP_FIXED
    OK
    EQUAL rax, AREA
    WRITES AREA + MB - 8, 1
    WRITES AREA + MB - STEP, 1
    CANNOT_WRITE AREA + MB - STEP - 8
    CANNOT_READ AREA
    SYSCALL SYS_vmspace_munmap, SPACE, AREA + MB - STEP, STEP
    OK

    FINISH
