# Code that is written, by whoever and through whichever alias, is what runs next.

.include "../walk.inc"

PLAIN = 0x40000                         # a plain mapping of IMG_DATA in the vmspace
PLAIN_AGAIN = 0x50000                   # and the same once more
OTHER_SPACE = 0x5001
AREA = 0x20000000
COUNT = 3                               # at this offset in the code below is what it returns
RETURNS_SIZE = 9

    WALK_SPACE
    SPACE_MMAP PLAIN, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    SPACE_MMAP PLAIN_AGAIN, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    MMAP AREA, PAGE_SIZE, RWX, TABLED_MAP, r12, TABLE_ADDRESS
    OK
    SYSCALL SYS_mcontrol, AREA, PAGE_SIZE, MADV_SETMAP, E5
    OK

# The code at IMG_DATA: it returns 1 in rax.
.macro CODE_PATH
    PATH
    cld
    mov rsi, returns
    mov rdi, RAM + IMG_DATA
    mov ecx, RETURNS_SIZE
    rep movsb
.endm

# RETURNS address, value: the code, entered there, returns this.
.macro RETURNS address, value
    ENTER \address
    WANT RAX, \value
    EXPECT T_FAST_SYSCALL, \address + RETURNS_SIZE
    RUN
.endm

# WRITES_BYTE address, value: the guest writes a byte.
.macro WRITES_BYTE address, value
    GUEST "mov [rsi], al; syscall"
    GIVE RSI, \address
    GIVE RAX, \value
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN
.endm

# CALLS_BOTH through: the guest writes two routines of a page through this address, and calls both.
.macro CALLS_BOTH through
    CODE_PATH
    .irp place, 0, 0x80
    mov qword ptr [RAM + IMG_DATA + \place], 0x01c0c748
    mov dword ptr [RAM + IMG_DATA + \place + 7], 0xc3      # ret
    .endr
    SPACE_MMAP 0x70000, PAGE_SIZE, RW, ANON + MAP_FIXED
    OK
    GUEST_FROM calls, calls_end
    GIVE RSP, 0x70800
    GIVE RSI, PLAIN
    GIVE RDI, \through
    WANT R8, 0
    WANT R9, 10*1 + 10*2
    WANT R10, PLAIN + 0x80
    WANT RAX, 2
    .irp word, RBX, RCX, RDX, RFLAGS    # CPUID's, and the sum's
    ANY \word
    .endr
    EXPECT T_BPTFLT, CODE + calls_end - calls + 1
    RUN
.endm

# Everything that runs it runs it, so that whatever is kept of it is kept.
.macro CODE_CASE name, title
CASE \name, "6.14.12", \title
    CODE_PATH
    RETURNS PLAIN, 1
    RETURNS SEEN, 1
    RETURNS PLAIN_AGAIN, 1
.endm

.macro ALL_RETURN value
    RETURNS PLAIN, \value
    RETURNS SEEN, \value
    RETURNS PLAIN_AGAIN, \value
.endm

    CODE_CASE by_us, "Written by the virtual kernel through its plain mapping"
    mov byte ptr [RAM + IMG_DATA + COUNT], 2
    ALL_RETURN 2

    CODE_CASE by_us_tabled, "Written by the virtual kernel through its MAP_VPAGETABLE mapping"
    mov byte ptr [AREA + COUNT], 2
    ALL_RETURN 2

    CODE_CASE by_read, "Written by read(2) into the virtual kernel's mapping"
    mov byte ptr [RAM + IMG_SCRATCH], 2
    SYSCALL SYS_extpread, r12, RAM + IMG_DATA + COUNT, 1, 0, IMG_SCRATCH
    OK
    ALL_RETURN 2

    CODE_CASE by_write, "Written by write(2) to the file"
    SYSCALL SYS_extpwrite, r12, two, 1, 0, IMG_DATA + COUNT
    OK
    ALL_RETURN 2

    CODE_CASE by_guest, "Written by the guest itself, at another address of the page"
    WRITES_BYTE PLAIN_AGAIN + COUNT, 2
    ALL_RETURN 2

    CODE_CASE by_guest_there, "Written by the guest at the very address"
    WRITES_BYTE PLAIN + COUNT, 2
    ALL_RETURN 2

    CODE_CASE by_guest_tabled, "Written by the guest through its table"
    WRITES_BYTE SEEN + COUNT, 2
    ALL_RETURN 2

    CODE_CASE by_other_guest, "Written by a guest in another vmspace"
    call other_space
    GUEST "mov [rsi], al; syscall"
    GIVE RSI, PLAIN + COUNT
    GIVE RAX, 2
    EXPECT T_FAST_SYSCALL, CODE + 4
    RUN OTHER_SPACE
    ALL_RETURN 2
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    OK

    CODE_CASE by_frame, "Written by the kernel: a frame that comes back over it"
    GUEST "syscall"
    cld
    mov rsi, frame
    mov rdi, RAM + IMG_DATA + 0x100
    mov ecx, TF_SIZE/8
    rep movsq
    mov dword ptr [RAM + IMG_DATA + 0x100 + TF_RAX], 0x050f02b0     # mov al, 2; syscall
    ENTER PLAIN + 0x100 + TF_RAX
    WANT_BITS RAX, 0xff, 2
    EXPECT T_FAST_SYSCALL, PLAIN + 0x100 + TF_RAX + 4
    RUN
    # The guest comes back with another rax, which is another instruction.
    GUEST "mov eax, 0x050f07b0; syscall"
    SYSCALL SYS_vmspace_ctl, SPACE, VMSPACE_CTL_RUN, RAM + IMG_DATA + 0x100, tls
    OK
    ENTER PLAIN + 0x100 + TF_RAX
    WANT_BITS RAX, 0xff, 7
    EXPECT T_FAST_SYSCALL, PLAIN + 0x100 + TF_RAX + 4
    RUN

CASE two_places, "6.14.12", "Two routines of one page, both written by the virtual kernel before either runs again"
    CODE_PATH
    .irp place, 0, 0x80, 0x700
    mov qword ptr [RAM + IMG_DATA + \place], 0x01c0c748    # mov rax, 1
    mov dword ptr [RAM + IMG_DATA + \place + 7], 0x050f
    RETURNS PLAIN + \place, 1
    RETURNS SEEN + \place, 1
    .endr
    .irp place, 0, 0x80, 0x700
    mov byte ptr [RAM + IMG_DATA + COUNT + \place], 2
    .endr
    .irp place, 0, 0x80, 0x700
    RETURNS PLAIN + \place, 2
    RETURNS SEEN + \place, 2
    .endr

CASE new_page, "6.14.12", "A page of other code, copied over what ran there"
    CODE_PATH
    .irp place, 0, 0x80, 0x700
    mov qword ptr [RAM + IMG_DATA + \place], 0x01c0c748
    mov dword ptr [RAM + IMG_DATA + \place + 7], 0x050f
    RETURNS PLAIN + \place, 1
    mov qword ptr [RAM + IMG_SCRATCH + \place], 0x02c0c748
    mov dword ptr [RAM + IMG_SCRATCH + \place + 7], 0x050f
    .endr
    cld
    mov rsi, RAM + IMG_SCRATCH
    mov rdi, RAM + IMG_DATA
    mov ecx, PAGE_SIZE/8
    rep movsq
    .irp place, 0x700, 0x80, 0
    RETURNS PLAIN + \place, 2
    .endr

CASE new_alias, "6.14.12", "Two routines of one page, written through a mapping that was made after they ran"
    CODE_PATH
    .irp place, 0, 0x80
    mov qword ptr [RAM + IMG_DATA + \place], 0x01c0c748
    mov dword ptr [RAM + IMG_DATA + \place + 7], 0x050f
    RETURNS PLAIN + \place, 1
    RETURNS SEEN + \place, 1
    .endr
    MMAP AREA + 2*PAGE_SIZE, PAGE_SIZE, RW, PLAIN_MAP, r12, IMG_DATA
    OK
    mov byte ptr [AREA + 2*PAGE_SIZE + COUNT], 2
    mov byte ptr [AREA + 2*PAGE_SIZE + COUNT + 0x80], 2
    .irp place, 0, 0x80
    RETURNS PLAIN + \place, 2
    RETURNS SEEN + \place, 2
    .endr
    mov byte ptr [AREA + 2*PAGE_SIZE + COUNT], 3
    mov byte ptr [AREA + 2*PAGE_SIZE + COUNT + 0x80], 3
    .irp place, 0, 0x80
    RETURNS PLAIN + \place, 3
    RETURNS SEEN + \place, 3
    .endr

CASE guest_new_alias, "6.14.12", "A guest that writes two routines of a page at an address that nothing has executed"
    SPACE_MMAP 0x80000, PAGE_SIZE, RW, PLAIN_MAP, r12, IMG_DATA
    OK
    CALLS_BOTH 0x80000

CASE guest_two_places, "6.14.12", "A guest that writes two routines of a page through another address, and calls both"
    CALLS_BOTH PLAIN_AGAIN

CASE ours, "6.14.12", "The virtual kernel's own code, written through another mapping of it, and by read(2)"
    CODE_PATH
    MMAP AREA + PAGE_SIZE, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    mov byte ptr [RAM + IMG_DATA + 7], 0xc3         # ret instead of the system call
    call run_ours
    EQUAL rax, 1
    mov byte ptr [RAM + IMG_DATA + COUNT], 2
    call run_ours
    EQUAL rax, 2
    mov byte ptr [RAM + IMG_SCRATCH], 3
    SYSCALL SYS_extpread, r12, AREA + PAGE_SIZE + COUNT, 1, 0, IMG_SCRATCH
    OK
    call run_ours
    EQUAL rax, 3
    mov byte ptr [AREA + COUNT], 4
    call run_ours
    EQUAL rax, 4
    WRITES_BYTE SEEN + COUNT, 5
    call run_ours
    EQUAL rax, 5

CASE next_instruction, "6.14.12", "An instruction that is written just before it is executed"
    PATH
    GUEST "mov byte ptr [rip + next + 1], 7; next: mov bl, 1; syscall"
    WANT_BITS RBX, 0xff, 7
    EXPECT T_FAST_SYSCALL, CODE + 11
    RUN

CASE in_a_loop, "6.14.12", "Code that rewrites itself in a loop"
    PATH
    GUEST_FROM counts, counts_end
    GIVE RCX, 1000
    WANT RCX, 0
    GIVE RDX, 0
    WANT RDX, 1000*0x01010101 + 999000
    GIVE RDI, CODE
    ANY RFLAGS
    EXPECT T_BPTFLT, CODE + 16 + 1
    RUN

CASE other_page, "6.14.12 6.14.4", "Another page in the table, after INVAL: its code runs"
    CODE_PATH
    RETURNS SEEN, 1
    cld
    mov rsi, returns
    mov rdi, RAM + IMG_DATA + PAGE_SIZE
    mov ecx, RETURNS_SIZE
    rep movsb
    mov byte ptr [RAM + IMG_DATA + PAGE_SIZE + COUNT], 9
    mov qword ptr [L1], IMG_DATA + PAGE_SIZE + PTE_RW
    RETURNS SEEN, 1
    INVALIDATE SEEN, PAGE_SIZE
    RETURNS SEEN, 9
    RETURNS PLAIN, 1

CASE unmapped, "6.14.12 6.14.7", "Code that was unmapped does not run; what is mapped there instead does"
    CODE_PATH
    SPACE_MMAP 0x60000, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    RETURNS 0x60000, 1
    SYSCALL SYS_vmspace_munmap, SPACE, 0x60000, PAGE_SIZE
    OK
    CANNOT_EXECUTE 0x60000
    SPACE_MMAP 0x60000, PAGE_SIZE, RWX, ANON + MAP_FIXED
    OK
    ENTER 0x60000                       # zeros: add [rax], al
    GIVE RAX, 0x30
    EXPECT T_PAGEFLT, 0x60000, PGEX_U+PGEX_W, 0x30
    RUN

    FINISH

other_space:
    SYSCALL SYS_vmspace_destroy, OTHER_SPACE
    SYSCALL SYS_vmspace_create, OTHER_SPACE
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, CODE, PAGE_SIZE, RWX, PLAIN_MAP, r12, 0
    OK
    SYSCALL7 SYS_vmspace_mmap, OTHER_SPACE, PLAIN, PAGE_SIZE, RWX, PLAIN_MAP, r12, IMG_DATA
    OK
    ret

run_ours:
    cpuid
    mov rax, AREA + PAGE_SIZE
    jmp rax

returns:
    mov rax, 1                          # 48 c7 c0 and four bytes
    syscall

# rdx += the immediate operand at 3, which grows by 2, rcx times.
counts:
    add rdx, 0x01010101
    add dword ptr [rdi + 3], 2
    dec rcx
    jnz counts
counts_end:

# Ten times: make both routines return 1, call one, make them return 2, call the other.  r9: the sum.
calls:
    xor r9d, r9d
    mov r8d, 10
calls_again:
    mov byte ptr [rdi + 3], 1
    mov byte ptr [rdi + 0x83], 1
    cpuid                               # a processor need not notice a store elsewhere before
    call rsi
    add r9, rax
    mov byte ptr [rdi + 3], 2
    mov byte ptr [rdi + 0x83], 2
    cpuid
    lea r10, [rsi + 0x80]
    call r10
    add r9, rax
    dec r8d
    jnz calls_again
calls_end:

two:
    .byte 2
