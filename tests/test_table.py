"""The table of system calls, and how a call is made (abi 1 and 2)."""

from collections.abc import Callable
from struct import pack

import pytest
from conftest import LOAD_ADDRESS, NUMBERS, Booted, call

from emu.abi.errno import Errno
from emu.abi.mman import Map, Prot
from emu.abi.versions import VERSIONS
from emu.abi.x86 import Rflags
from emu.cpu.engine import Exit
from emu.kern.proc import Lwp
from syscalls.args import Kind, Ptr
from syscalls.table import TABLE, Syscall, dispatch

Boot = Callable[..., Booted]

SYSCALL = b"\x0f\x05"
STACK = LOAD_ADDRESS + 0x8000  # in the program's zeroed memory
PATH = LOAD_ADDRESS + 0x2000
UNMAPPED = 0xDEAD000
ALL_ONES = (1 << 64) - 1

# sys/kern/syscalls.master
NAMES = {
    1: "exit",
    2: "fork",
    3: "read",
    4: "write",
    5: "open",
    6: "close",
    7: "wait4",
    9: "link",
    10: "unlink",
    12: "chdir",
    13: "fchdir",
    14: "mknod",
    15: "chmod",
    16: "chown",
    17: "break",
    18: "getfsstat",
    20: "getpid",
    23: "setuid",
    24: "getuid",
    25: "geteuid",
    27: "recvmsg",
    28: "sendmsg",
    29: "recvfrom",
    30: "accept",
    31: "getpeername",
    32: "getsockname",
    33: "access",
    34: "chflags",
    35: "fchflags",
    36: "sync",
    37: "kill",
    39: "getppid",
    41: "dup",
    42: "pipe",
    43: "getegid",
    47: "getgid",
    49: "getlogin",
    50: "setlogin",
    53: "sigaltstack",
    54: "ioctl",
    55: "reboot",
    56: "revoke",
    57: "symlink",
    58: "readlink",
    59: "execve",
    60: "umask",
    65: "msync",
    66: "vfork",
    69: "sbrk",
    70: "sstk",
    73: "munmap",
    74: "mprotect",
    75: "madvise",
    78: "mincore",
    79: "getgroups",
    80: "setgroups",
    81: "getpgrp",
    82: "setpgid",
    83: "setitimer",
    86: "getitimer",
    89: "getdtablesize",
    90: "dup2",
    92: "fcntl",
    93: "select",
    95: "fsync",
    96: "setpriority",
    97: "socket",
    98: "connect",
    100: "getpriority",
    104: "bind",
    105: "setsockopt",
    106: "listen",
    116: "gettimeofday",
    117: "getrusage",
    118: "getsockopt",
    120: "readv",
    121: "writev",
    122: "settimeofday",
    123: "fchown",
    124: "fchmod",
    126: "setreuid",
    127: "setregid",
    128: "rename",
    131: "flock",
    132: "mkfifo",
    133: "sendto",
    134: "shutdown",
    135: "socketpair",
    136: "mkdir",
    137: "rmdir",
    138: "utimes",
    140: "adjtime",
    147: "setsid",
    157: "statfs",
    158: "fstatfs",
    165: "sysarch",
    166: "rtprio",
    173: "extpread",
    174: "extpwrite",
    181: "setgid",
    182: "setegid",
    183: "seteuid",
    191: "pathconf",
    192: "fpathconf",
    194: "getrlimit",
    195: "setrlimit",
    197: "mmap",
    199: "lseek",
    200: "truncate",
    201: "ftruncate",
    202: "__sysctl",
    203: "mlock",
    204: "munlock",
    206: "futimes",
    207: "getpgid",
    209: "poll",
    232: "clock_gettime",
    233: "clock_settime",
    234: "clock_getres",
    240: "nanosleep",
    250: "minherit",
    251: "rfork",
    253: "issetugid",
    254: "lchown",
    274: "lchmod",
    276: "lutimes",
    289: "extpreadv",
    290: "extpwritev",
    310: "getsid",
    311: "setresuid",
    312: "setresgid",
    314: "aio_return",
    315: "aio_suspend",
    316: "aio_cancel",
    317: "aio_error",
    318: "aio_read",
    319: "aio_write",
    320: "lio_listio",
    321: "yield",
    324: "mlockall",
    325: "munlockall",
    326: "__getcwd",
    327: "sched_setparam",
    328: "sched_getparam",
    329: "sched_setscheduler",
    330: "sched_getscheduler",
    331: "sched_yield",
    332: "sched_get_priority_max",
    333: "sched_get_priority_min",
    334: "sched_rr_get_interval",
    335: "utrace",
    340: "sigprocmask",
    341: "sigsuspend",
    342: "sigaction",
    343: "sigpending",
    344: "sigreturn",
    345: "sigtimedwait",
    346: "sigwaitinfo",
    359: "aio_waitcomplete",
    360: "getresuid",
    361: "getresgid",
    362: "kqueue",
    363: "kevent",
    391: "lchflags",
    392: "uuidgen",
    393: "sendfile",
    450: "varsym_set",
    451: "varsym_get",
    452: "varsym_list",
    453: "upc_register",
    454: "upc_control",
    469: "umtx_sleep",
    470: "umtx_wakeup",
    472: "set_tls_area",
    473: "get_tls_area",
    474: "closefrom",
    475: "stat",
    476: "fstat",
    477: "lstat",
    479: "getdirentries",
    480: "getdents",
    481: "usched_set",
    482: "extaccept",
    483: "extconnect",
    485: "mcontrol",
    486: "vmspace_create",
    487: "vmspace_destroy",
    488: "vmspace_ctl",
    489: "vmspace_mmap",
    490: "vmspace_munmap",
    491: "vmspace_mcontrol",
    492: "vmspace_pread",
    493: "vmspace_pwrite",
    494: "extexit",
    495: "lwp_create",
    496: "lwp_gettid",
    497: "lwp_kill",
    498: "lwp_rtprio",
    499: "pselect",
    500: "statvfs",
    501: "fstatvfs",
    503: "getvfsstat",
    504: "openat",
    505: "fstatat",
    506: "fchmodat",
    507: "fchownat",
    508: "unlinkat",
    509: "faccessat",
    523: "renameat",
    524: "mkdirat",
    525: "mkfifoat",
    526: "mknodat",
    527: "readlinkat",
    528: "symlinkat",
}


def test_every_call_has_the_originals_number() -> None:
    assert {number: call.name for number, call in TABLE.items()} == NAMES


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", ["fd", "buf", "nbyte"]),
        ("mmap", ["addr", "len", "prot", "flags", "fd", "pad", "pos"]),
        ("lseek", ["fd", "pad", "offset", "whence"]),
        ("truncate", ["path", "pad", "length"]),
        ("ftruncate", ["fd", "pad", "length"]),
        ("symlinkat", ["path1", "fd", "path2"]),
        ("readlinkat", ["fd", "path", "buf", "bufsize"]),
        ("renameat", ["oldfd", "old", "newfd", "new"]),
        ("fstatat", ["fd", "path", "sb", "flags"]),
        ("faccessat", ["fd", "path", "amode", "flags"]),
        ("fchownat", ["fd", "path", "uid", "gid", "flags"]),
        ("mknodat", ["fd", "path", "mode", "dev"]),
        ("extpread", ["fd", "buf", "nbyte", "flags", "offset"]),
        ("__sysctl", ["name", "namelen", "old", "oldlenp", "new", "newlen"]),
        ("mcontrol", ["addr", "len", "behav", "value"]),
        ("vmspace_create", ["id", "type", "data"]),
        ("vmspace_destroy", ["id"]),
        ("vmspace_ctl", ["id", "cmd", "tframe", "vframe"]),
        ("vmspace_mmap", ["id", "addr", "len", "prot", "flags", "fd", "offset"]),
        ("vmspace_munmap", ["id", "addr", "len"]),
        ("vmspace_mcontrol", ["id", "addr", "len", "behav", "value"]),
        ("vmspace_pread", ["id", "buf", "nbyte", "flags", "offset"]),
        ("vmspace_pwrite", ["id", "buf", "nbyte", "flags", "offset"]),
        ("extexit", ["how", "status", "addr"]),
    ],
)
def test_arguments_come_in_the_originals_order(name: str, arguments: list[str]) -> None:
    assert list(TABLE[NUMBERS[name]].args) == arguments


@pytest.mark.parametrize("call", TABLE.values(), ids=NAMES.values())
def test_every_argument_of_every_handler_is_annotated(call: Syscall) -> None:
    assert all(isinstance(kind, Kind) for kind in call.args.values())
    assert "return" in call.handler.__annotations__


@pytest.fixture
def lwp(boot: Boot) -> Lwp:
    return boot(b"\x90").lwp


# Where arguments come from


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the handler of system call 5 gets, which takes eight words here."""
    values: list[int] = []

    def eight(lwp: Lwp, a: Ptr, b: Ptr, c: Ptr, d: Ptr, e: Ptr, f: Ptr, g: Ptr, h: Ptr) -> None:
        values.extend((a, b, c, d, e, f, g, h))

    monkeypatch.setitem(TABLE, 5, Syscall(eight))  # type: ignore[arg-type]
    return values


def place(lwp: Lwp, rax: int, registers: list[int], stack: list[int]) -> None:
    """Registers as user code has them before SYSCALL, rdi first and r10 the fourth."""
    frame = lwp.frame
    frame.rax = rax
    frame.rdi, frame.rsi, frame.rdx, frame.rcx, frame.r8, frame.r9 = registers
    frame.rsp = STACK
    lwp.vmspace.copyout(STACK, pack(f"<{len(stack)}Q", *stack))


def test_six_arguments_are_in_registers_and_the_others_above_the_return_address(
    lwp: Lwp, seen: list[int]
) -> None:
    place(lwp, 5, [1, 2, 3, 4, 5, 6], [0xBAD, 7, 8])
    dispatch(lwp)
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("indirect", [0, 198])
def test_indirect_calls_have_five_arguments_in_registers(
    lwp: Lwp, seen: list[int], indirect: int
) -> None:
    place(lwp, indirect, [5, 1, 2, 3, 4, 5], [0xBAD, 6, 7, 8])
    dispatch(lwp)
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("rax", [5, 0xFFFFFFFF00000005])
def test_only_the_low_half_of_rax_is_the_number(lwp: Lwp, seen: list[int], rax: int) -> None:
    place(lwp, rax, [1, 2, 3, 4, 5, 6], [0xBAD, 7, 8])
    dispatch(lwp)
    assert len(seen) == 8


def test_only_the_low_half_of_rdi_is_an_indirect_number(lwp: Lwp, seen: list[int]) -> None:
    place(lwp, 0xABCD000000000000, [0xABCD000000000005, 1, 2, 3, 4, 5], [0xBAD, 6, 7, 8])
    dispatch(lwp)
    assert seen[0] == 1


@pytest.mark.parametrize("rsp", [UNMAPPED, ALL_ONES - 7, 0x7FFFFFFFFFF8, 0x800000000000, ALL_ONES])
def test_a_bad_stack_is_efault_and_the_call_is_not_made(
    lwp: Lwp, seen: list[int], rsp: int
) -> None:
    place(lwp, 5, [1, 2, 3, 4, 5, 6], [])
    lwp.frame.rsp = rsp
    dispatch(lwp)
    assert lwp.frame.rax == Errno.EFAULT
    assert lwp.frame.rflags & Rflags.C
    assert seen == []


def test_the_stack_is_not_looked_at_without_need(lwp: Lwp) -> None:
    lwp.frame.rsp = UNMAPPED
    assert call(lwp, "getpid") == 100


def test_arguments_are_read_before_they_are_understood(lwp: Lwp) -> None:
    """mmap with a length of 0 is EINVAL, but not before its seventh argument has been fetched."""
    place(lwp, 197, [0, 0, 3, 0x1002, ALL_ONES, 0], [])
    lwp.frame.rsp = UNMAPPED
    dispatch(lwp)
    assert lwp.frame.rax == Errno.EFAULT


ANON = int(Map.PRIVATE | Map.ANON)
FIXED = ANON | int(Map.FIXED)
RW = int(Prot.READ | Prot.WRITE)
AT = 0x10000000
MINUS_ONE = ALL_ONES


def test_mmap_direct(lwp: Lwp) -> None:
    place(lwp, 197, [AT, 4096, RW, FIXED, MINUS_ONE, 0xBAD], [0xBAD, 0])
    dispatch(lwp)
    assert lwp.frame.rax == AT


def test_mmap_as_libc_calls_it(lwp: Lwp) -> None:
    place(lwp, 198, [197, AT, 4096, RW, FIXED, MINUS_ONE], [0xBAD, 0, 0])
    dispatch(lwp)
    assert lwp.frame.rax == AT


def test_mmap_takes_its_offset_from_behind_the_pad(lwp: Lwp) -> None:
    place(lwp, 198, [197, AT, 4096, RW, FIXED, MINUS_ONE], [0, 0, 4096])
    dispatch(lwp)
    assert lwp.frame.rax == Errno.EINVAL  # MAP_ANON with an offset


def test_vmspace_mmap_has_its_offset_on_the_stack(lwp: Lwp) -> None:
    call(lwp, "vmspace_create", 0x1000, 0, 0)
    place(lwp, 489, [0x1000, AT, 4096, RW, FIXED, MINUS_ONE], [0xBAD, 4096])
    dispatch(lwp)
    assert lwp.frame.rax == Errno.EINVAL
    place(lwp, 489, [0x1000, AT, 4096, RW, FIXED, MINUS_ONE], [0xBAD, 0])
    dispatch(lwp)
    assert lwp.frame.rax == AT


@pytest.fixture
def fd(lwp: Lwp) -> int:
    """A new file, open for reading and writing."""
    lwp.vmspace.copyout(PATH, b"/file\0")
    opened = call(lwp, "open", PATH, 0x202, 0o644)
    assert not isinstance(opened, Errno)
    return opened


def test_lseek_as_libc_calls_it(lwp: Lwp, fd: int) -> None:
    place(lwp, 198, [199, fd, 0xBAD, 1 << 33, 0, 0], [])
    dispatch(lwp)
    assert lwp.frame.rax == 1 << 33


def test_ftruncate_as_libc_calls_it(lwp: Lwp, fd: int) -> None:
    place(lwp, 198, [201, fd, 0xBAD, 5000, 0, 0], [])
    dispatch(lwp)
    assert lwp.frame.rax == 0
    assert call(lwp, "lseek", fd, 0, 0, 2) == 5000


def test_extpread_has_all_its_arguments_in_registers(lwp: Lwp, fd: int) -> None:
    lwp.vmspace.copyout(PATH, b"0123456789")
    assert call(lwp, "write", fd, PATH, 10) == 10
    place(lwp, 173, [fd, STACK, 3, 0, 4, 0], [])
    lwp.frame.rsp = UNMAPPED
    dispatch(lwp)
    assert lwp.frame.rax == 3
    assert lwp.vmspace.copyin(STACK, 3) == b"456"


# Results


def test_success_clears_the_carry_and_leaves_everything_else(lwp: Lwp) -> None:
    frame = lwp.frame
    for register in range(15):
        lwp.words[register] = 0x1111 * (register + 1)
    frame.rax = 20
    frame.rflags = 0x244ED7
    before = bytes(lwp.frame_bytes)
    dispatch(lwp)
    assert frame.rax == 100
    assert frame.rflags == 0x244ED6
    frame.rax, frame.rflags = 20, 0x244ED7
    assert bytes(lwp.frame_bytes) == before


def test_an_error_sets_the_carry_and_leaves_everything_else(lwp: Lwp) -> None:
    frame = lwp.frame
    for register in range(15):
        lwp.words[register] = 0x1111 * (register + 1)
    frame.rax = 487
    frame.rflags = 0x202
    before = bytes(lwp.frame_bytes)
    dispatch(lwp)
    assert frame.rax == 22
    assert frame.rflags == 0x203
    frame.rax, frame.rflags = 487, 0x202
    assert bytes(lwp.frame_bytes) == before


def test_results_are_words(lwp: Lwp, fd: int) -> None:
    """An int is extended with zeros, a long result keeps its upper half."""
    assert call(lwp, "lseek", fd, 0, 0x7FFFFFFFFFFFFFFF, 0) == 0x7FFFFFFFFFFFFFFF
    place(lwp, 60, [0xFFFFFFFFFFFFFFFF, 0, 0, 0, 0, 0], [])
    dispatch(lwp)
    assert lwp.frame.rax == 0o022


def test_ints_ignore_the_upper_half_of_their_register(lwp: Lwp, fd: int) -> None:
    place(lwp, 6, [0xDEADBEEF00000000 | fd, 0, 0, 0, 0, 0], [])
    dispatch(lwp)
    assert (lwp.frame.rax, lwp.frame.rflags & Rflags.C) == (0, 0)


# mov r10, 0x1010; mov rcx, 0x0c0c; mov r11, 0x1b1b; mov rdx, 0xd0d0; mov r8, 0x0808;
# mov r9, 0x0909; mov eax, 20; stc; syscall; int3
GETPID = bytes.fromhex(
    "49c7c210100000 48c7c10c0c0000 49c7c31b1b0000 48c7c2d0d00000 49c7c008080000 49c7c109090000"
    " b814000000 f9 0f05 cc"
)


@pytest.mark.parametrize(
    ("abi", "rcx", "r10", "r11"),
    [
        ("2011", 0x1010, 0x1010, None),
        ("2014", LOAD_ADDRESS + len(GETPID) - 1, 0x1010, 0x202),
        ("2020", LOAD_ADDRESS + len(GETPID) - 1, 0, 0x202),
    ],
)
def test_each_version_returns_its_way(
    boot: Boot, abi: str, rcx: int, r10: int, r11: int | None
) -> None:
    machine = boot(GETPID, abi=VERSIONS[abi])
    machine.run()
    frame = machine.lwp.frame
    assert frame.trapno == 3
    assert frame.rip == LOAD_ADDRESS + len(GETPID)
    assert frame.rax == 100
    assert frame.rdx == 0xD0D0
    assert (frame.r8, frame.r9) == (0x0808, 0x0909)
    assert frame.rflags & Rflags.C == 0
    assert (frame.rcx, frame.r10) == (rcx, r10)
    assert r11 is None or frame.r11 == r11


def test_the_fourth_argument_is_in_r10_not_rcx(boot: Boot) -> None:
    """vmspace_ctl(1, 1, tframe 0, vframe r10): rcx is what SYSCALL itself overwrites."""
    # mov eax, 488; mov edi, 1; mov r10d, 0x4444; mov ecx, 0x5555; syscall
    machine = boot(bytes.fromhex("b8e8010000 bf01000000 41ba44440000 b955550000 0f05"))
    lwp = machine.lwp
    while lwp.cpu.run(lwp.vmspace.pmap.cr3) is not Exit.SYSCALL:
        machine.machine.handle(lwp, Exit.PAGE_FAULT)
    assert lwp.words[:4].tolist()[3] == 0x4444
    assert lwp.frame.rip == LOAD_ADDRESS + 23


# Calls that do not exist


@pytest.mark.parametrize("number", [69 + 2, 198 + 1000, 529, 530, 544, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_unknown_number_ends_the_process_with_sigsys(boot: Boot, number: int) -> None:
    machine = boot(b"\xb8" + pack("<I", number) + SYSCALL + b"\xcc")
    assert machine.run() == 140
    (line,) = machine.told
    assert "SIGSYS" in line
    assert str(number) in line


@pytest.mark.parametrize("outer", [0, 198])
@pytest.mark.parametrize("inner", [0, 198, 530])
def test_indirection_is_not_repeated(boot: Boot, outer: int, inner: int) -> None:
    machine = boot(
        b"\xb8" + pack("<I", outer) + b"\xbf" + pack("<I", inner) + b"\xbe\x14\0\0\0" + SYSCALL
    )
    assert machine.run() == 140
    assert machine.lwp.frame.rax == 22
    assert machine.lwp.frame.rflags & Rflags.C


def test_there_are_no_upcalls(lwp: Lwp) -> None:
    assert call(lwp, "upc_register", 0, 0, 0, 0) is Errno.ENOSYS
    assert call(lwp, "upc_control", 0, -1, 0) is Errno.ENOSYS


@pytest.mark.parametrize("name", [name for name in NUMBERS if "aio" in name or "lio_" in name])
def test_asynchronous_io_exists_and_is_not_there(lwp: Lwp, name: str) -> None:
    assert call(lwp, name, 0, 0, 0, 0) is Errno.ENOSYS


def test_sbrk_sstk_and_sysarch_exist_and_are_not_supported(lwp: Lwp) -> None:
    assert call(lwp, "sbrk", 1) is Errno.EOPNOTSUPP
    assert call(lwp, "sstk", 1) is Errno.EOPNOTSUPP
    assert call(lwp, "sysarch", 1, 0) is Errno.EOPNOTSUPP
