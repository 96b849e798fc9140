# Which instructions write: those that fault as writes, on a page that is absent, and on one that is
# read-only.

.include "../conform.inc"

ABSENT = 0x33010                        # no entry; with RBX 0, so that the operand is there
SHOWN = 0x34010                         # read-only
A_PAGE = IMG_DATA + 2*PAGE_SIZE

# REGISTERS address, stack: all pointers lead there, RSP a bit above, and what is needed else.
.macro REGISTERS address, stack
    GIVE RSI, \address
    GIVE RDI, \address
    GIVE RSP, \address + \stack
    GIVE RBP, \address
    GIVE RAX, 1
    GIVE RBX, 0
    GIVE RCX, 1
    GIVE RDX, 0
.endm

# WRITE name, rules, code, stack: RSP is so much above the operand.  First there is no page, then one
# that is not cached, then one that a read has cached.
.macro WRITE name, rules, code, stack=0
CASE \name, "\rules", "\name is a write, of a page that is absent or read-only, cached or not"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    INVALIDATE
    GUEST \code
    REGISTERS ABSENT, \stack
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, ABSENT
    RUN
    GUEST \code
    REGISTERS SHOWN, \stack
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, SHOWN
    RUN
    ENTRY SHOWN, A_PAGE + PTE_R         # not even A
    GUEST "mov r15, [rsi]; syscall"
    GIVE RSI, SHOWN
    WANT R15, 0
    EXPECT T_FAST_SYSCALL, CODE + 5
    RUN
    GUEST \code
    REGISTERS SHOWN, \stack
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W + PGEX_P, SHOWN
    RUN
.endm

.macro READ name, rules, code, stack=0
CASE \name, "\rules", "\name reads only"
    TABLES
    INVALIDATE
    GUEST \code
    REGISTERS ABSENT, \stack
    EXPECT T_PAGEFLT, CODE, PGEX_U, ABSENT
    RUN
.endm

    TABLED_SPACE

    WRITE mov, 12.3, "mov [rsi], rax"
    .irp operation, add, or, adc, sbb, and, sub, xor
    WRITE \operation, 12.3, "\operation qword ptr [rsi], 0"
    .endr
    .irp operation, add, or, adc, sbb, and, sub, xor
    WRITE lock_\operation, 12.3, "lock \operation [rsi], rax"
    .endr
    .irp operation, inc, dec, not, neg
    WRITE \operation, 12.3, "\operation qword ptr [rsi]"
    WRITE lock_\operation, 12.3, "lock \operation byte ptr [rsi]"
    .endr
    .irp operation, rol, ror, rcl, rcr, shl, shr, sar
    WRITE \operation, 12.3, "\operation dword ptr [rsi], cl"
    .endr
    WRITE shld, 12.3, "shld [rsi], rdx, 3"
    WRITE shrd, 12.3, "shrd [rsi], rdx, cl"
    WRITE xchg, 12.3, "xchg [rsi], rax"
    WRITE xadd, 12.3, "xadd [rsi], rax"
    WRITE lock_xadd, 12.3, "lock xadd [rsi], rax"
    .irp operation, bts, btr, btc
    WRITE \operation, 12.3, "\operation qword ptr [rsi], 5"
    WRITE lock_\operation, 12.3, "lock \operation qword ptr [rsi], 5"
    .endr
    WRITE cmpxchg_differs, 12.3, "cmpxchg [rsi], rcx"
    WRITE lock_cmpxchg_differs, 12.3, "lock cmpxchg [rsi], rcx"
    WRITE cmpxchg8b, 12.3, "cmpxchg8b [rsi]"
    WRITE cmpxchg16b, 12.3, "cmpxchg16b [rsi]"
    WRITE setcc, 12.3, "setc [rsi]"
    WRITE push, 12.4, "push rax", 8
    WRITE push_immediate, 12.4, "push 5", 8
    WRITE pushfq, 12.4, "pushfq", 8
    WRITE call, 12.4, "call 1f; 1:", 8
    WRITE call_register, 12.4, "call rax", 8
    WRITE stosb, 12.4, "stosb"
    WRITE stosq, 12.4, "stosq"
    WRITE rep_stosq, 12.4, "rep stosq"
    WRITE fxsave, 12.4, "fxsave [rsi]"
    WRITE movups, 12.4, "movups [rsi], xmm0"
    WRITE movnti, 12.4, "movnti [rsi], rax"
    WRITE fnstcw, 12.4, "fnstcw [rsi]"
    WRITE stmxcsr, 12.4, "stmxcsr [rsi]"

    READ test, 12.3, "test qword ptr [rsi], 1"
    READ cmp, 12.3, "cmp qword ptr [rsi], 1"
    READ bt, 12.3, "bt qword ptr [rsi], 5"
    READ add_from, 12.3, "add rax, [rsi]"
    READ imul, 12.3, "imul rax, [rsi], 3"
    READ lodsb, 12.4, "lodsb"
    READ scasb, 12.4, "scasb"
    READ pop, 12.4, "pop rax"
    READ ret, 12.4, "ret"
    READ leave, 12.4, "leave"
    READ fxrstor, 12.4, "fxrstor [rsi]"
    READ fldcw, 12.4, "fldcw [rsi]"
    READ jmp_through, 12.4, "jmp qword ptr [rsi]"

    # An instruction with two operands in memory.
    .macro MOVS name, code, from, to, err, addr, title
CASE movs_\name, "12.4", "\title"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    INVALIDATE
    GUEST \code
    GIVE RCX, 1
    GIVE RSI, \from
    GIVE RDI, \to
    EXPECT T_PAGEFLT, CODE, \err, \addr
    RUN
    .endm
    MOVS source, "movsq", ABSENT, SHOWN, PGEX_U, ABSENT, MOVS reads first: the source is a read
    MOVS destination, "movsq", SHOWN, ABSENT, PGEX_U + PGEX_W, ABSENT, MOVS then writes: the destination is a write
    MOVS read_only, "movsb", SHOWN, SHOWN, PGEX_U + PGEX_W + PGEX_P, SHOWN, MOVS within a read-only page is a write of what the read has cached
    MOVS repeated, "rep movsb", SHOWN, ABSENT, PGEX_U + PGEX_W, ABSENT, REP MOVS is no other than MOVS

CASE push_memory, "12.4", "PUSH of memory reads the operand, then writes the stack"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    INVALIDATE
    GUEST "push qword ptr [rsi]"
    GIVE RSI, ABSENT
    GIVE RSP, 0x36010
    EXPECT T_PAGEFLT, CODE, PGEX_U, ABSENT
    RUN
    GUEST "push qword ptr [rsi]"
    GIVE RSI, SHOWN
    GIVE RSP, 0x36010
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, 0x36008
    RUN

CASE call_through, "12.4", "CALL through memory reads the target, then writes the stack; rip stays"
    TABLES
    MAP_PAGE SHOWN, A_PAGE + PTE_R
    INVALIDATE
    GUEST "call qword ptr [rsi]"
    GIVE RSI, SHOWN
    GIVE RSP, 0x36010
    EXPECT T_PAGEFLT, CODE, PGEX_U + PGEX_W, 0x36008
    RUN

# What lies across two pages: the engine of a host may read all of it before it writes.
LOWER = 0x35000                         # nothing behind it
ACROSS = LOWER + PAGE_SIZE - 4
CASE first_of_two_pages, "12.3 12.5 7.5.3", "A read-modify-write across pages faults at the first, if that is read-only"
    TABLES
    MAP_PAGE LOWER, A_PAGE + PTE_R
    INVALIDATE
    GUEST "mov eax, [rdx]; add [rdx], rbx"
    GIVE RDX, ACROSS
    ANY RAX
    EXPECT T_PAGEFLT, CODE + 2, PGEX_U + PGEX_W + PGEX_P, ACROSS
    RUN
    ENTRY LOWER, A_PAGE + PTE_R + VPTE_A

CASE first_of_two_pages_of_bits, "12.3 12.5 7.5.3", "A bit that is cleared far from its operand faults where it lies"
    TABLES
    MAP_PAGE LOWER, A_PAGE + PTE_R
    INVALIDATE
    GUEST "mov eax, [r8]; btr [rdx], rcx"
    GIVE R8, ACROSS
    GIVE RDX, ACROSS - 8
    GIVE RCX, 64
    ANY RAX
    EXPECT T_PAGEFLT, CODE + 3, PGEX_U + PGEX_W + PGEX_P, ACROSS
    RUN
    ENTRY LOWER, A_PAGE + PTE_R + VPTE_A

CASE second_of_two_pages, "12.3 12.5 6.13.11", "A read-modify-write across pages faults at the second, if the first permits it"
    TABLES
    MAP_PAGE LOWER, A_PAGE + PTE_RW
    INVALIDATE
    GUEST "mov eax, [rdx]; lock add [rdx + rcx*8 - 16], rbx"
    GIVE RDX, ACROSS
    GIVE RCX, 2
    ANY RAX
    EXPECT T_PAGEFLT, CODE + 2, PGEX_U + PGEX_W, LOWER + PAGE_SIZE
    RUN
    ENTRY LOWER, A_PAGE + PTE_RW + VPTE_A + VPTE_M

    FINISH
