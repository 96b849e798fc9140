# set_tls_area and get_tls_area: the bases of FS and GS.

.include "../threads.inc"

FILL = 0x5a5a5a5a5a5a5a5a
EDGE = 0x30000000

# AREA base, size: a struct tls_info at `area`.
.macro AREA base, size=-1
    mov rax, \base
    mov [area], rax
    mov rax, \size
    mov [area + 8], rax
.endm

CASE fs, "2.1.15", "Area 0 is the base of FS, at once"
    AREA words
    SYSCALL SYS_set_tls_area, 0, area, 16
    OK
    EQUAL rax, 0
    EQUAL fs:[0], 0xf5
    AREA words + 8
    SYSCALL SYS_set_tls_area, 0, area, 16
    OK
    EQUAL fs:[0], 0x65

CASE gs, "2.1.15", "Area 1 is the base of GS, at once"
    AREA words
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    EQUAL gs:[0], 0xf5
    AREA words + 8
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    EQUAL gs:[0], 0x65

CASE apart, "2.1.15", "The two areas are independent"
    AREA words
    SYSCALL SYS_set_tls_area, 0, area, 16
    OK
    AREA words + 8
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    EQUAL fs:[0], 0xf5
    EQUAL gs:[0], 0x65

CASE read_back, "2.1.15", "get_tls_area tells what was set: base at 0, size at 8"
    AREA words, 0x1234
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    call fill
    SYSCALL SYS_get_tls_area, 1, result, 16
    OK
    EQUAL rax, 0
    WORD result, words
    WORD result + 8, 0x1234
    WORD result + 16, FILL

CASE short_read, "2.1.15", "get_tls_area stores no more than it is asked for"
    AREA words, 0x1234
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    call fill
    SYSCALL SYS_get_tls_area, 1, result, 8
    OK
    WORD result, words
    WORD result + 8, FILL

CASE long_read, "2.1.15", "get_tls_area stores no more than 16 bytes"
    call fill
    SYSCALL SYS_get_tls_area, 1, result, 24
    OK
    WORD result + 16, FILL

CASE short_write, "2.1.15", "What a short struct tls_info leaves out is 0"
    AREA words, 0x1234
    SYSCALL SYS_set_tls_area, 1, area, 8
    OK
    SYSCALL SYS_get_tls_area, 1, result, 16
    OK
    WORD result, words
    WORD result + 8, 0

CASE long_write, "2.1.15", "A long struct tls_info counts for 16 bytes"
    SYSCALL7 SYS_mmap, EDGE, PAGE_SIZE, PROT_READ + PROT_WRITE, MAP_ANON + MAP_PRIVATE + MAP_FIXED, -1, 0, 0
    OK
    SYSCALL SYS_set_tls_area, 1, EDGE + PAGE_SIZE - 16, 64
    OK

    .irp which, 2, -1, 0x7fffffff
CASE area_\which, "2.1.15", "Area \which does not exist: ERANGE"
    AREA words
    SYSCALL SYS_set_tls_area, \which, area, 16
    REFUSED ERRNO_ERANGE
    SYSCALL SYS_get_tls_area, \which, result, 16
    REFUSED ERRNO_ERANGE
    .endr

CASE negative_size, "2.1.15", "A size below -1 is EINVAL, and the base is as it was"
    AREA words
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    AREA words + 8, -2
    SYSCALL SYS_set_tls_area, 1, area, 16
    REFUSED ERRNO_EINVAL
    EQUAL gs:[0], 0xf5

CASE unreadable, "2.1.15", "A struct tls_info that cannot be read is EFAULT, and the base is as it was"
    AREA words
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    SYSCALL SYS_set_tls_area, 1, 8, 16
    REFUSED ERRNO_EFAULT
    EQUAL gs:[0], 0xf5

    .irp base, 0xffffffffffffffff, 0xffff800000000000, 0x7fffffffffff
CASE any_base_\base, "2.1.15", "The base is not looked at: \base"
    AREA \base
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    SYSCALL SYS_get_tls_area, 1, result, 16
    OK
    mov rax, \base
    WORD result, rax
    AREA 0
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    .endr

CASE of_each_lwp, "2.1.15", "Each LWP has its own"
    AREA words
    SYSCALL SYS_set_tls_area, 1, area, 16
    OK
    START other_lwp
    AWAIT done
    EQUAL gs:[0], 0xf5
    WORD seen, 0x65

    FINISH

other_lwp:
    SYSCALL SYS_set_tls_area, 1, other_area, 16
    SYSCALL SYS_yield
    mov rax, gs:[0]
    mov [seen], rax
    TELL done
    END_LWP

fill:
    mov rax, FILL
    mov [result], rax
    mov [result + 8], rax
    mov [result + 16], rax
    ret

    .balign 8
words:
    .quad 0xf5, 0x65
area:
    .quad 0, 0
other_area:
    .quad words + 8, -1
result:
    .quad 0, 0, 0
seen:
    .quad 0
done:
    .quad 0
