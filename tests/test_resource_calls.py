"""Limits and what comes of exceeding them, priorities, what has been used."""

from collections.abc import Callable
from struct import pack, unpack

import pytest
from conftest import Booted, call, finish

from emu.abi.errno import Errno
from emu.abi.fcntl import Open
from emu.abi.mman import Map, Prot
from emu.abi.resource import RLIM_INFINITY, RlimitKind, Rusage
from emu.abi.signal import Signal
from emu.abi.unistd import Rfork
from emu.abi.x86 import PAGE_SIZE
from emu.kern.exit import exit1
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Proc, Ucred
from emu.kern.sigacts import SigAction, bit

Boot = Callable[..., Booted]

BUFFER = 0x60_0000
BAD = 0x7000_0000
STACK_TOP = 0x8000_0000_0000
MB = 1 << 20


@pytest.fixture
def lwp(lwp: Lwp) -> Lwp:
    lwp.vmspace.map_anonymous(BUFFER, BUFFER + PAGE_SIZE)
    return lwp


def limit(lwp: Lwp, which: int, cur: int, highest: int = -1) -> int | Errno:
    lwp.vmspace.copyout(BUFFER, pack("<qq", cur, highest))
    return call(lwp, "setrlimit", which, BUFFER)


def limited(lwp: Lwp, which: int) -> tuple[int, int]:
    assert call(lwp, "getrlimit", which, BUFFER) == 0
    cur, highest = unpack("<qq", lwp.vmspace.copyin(BUFFER, 16))
    return cur, highest


# Setting


@pytest.mark.parametrize(
    ("which", "wanted", "got"),
    [
        (RlimitKind.FSIZE, (5, 10), (5, 10)),
        (RlimitKind.FSIZE, (20, 10), (10, 10)),
        (RlimitKind.CORE, (-5, -1), (RLIM_INFINITY, RLIM_INFINITY)),
        (RlimitKind.NOFILE, (-1, -1), (1024, 1024)),
        (RlimitKind.NOFILE, (7, 2000), (7, 1024)),
        (RlimitKind.NPROC, (0, 0), (1, 1)),
        (RlimitKind.NPROC, (1000, 1000), (256, 256)),
        (RlimitKind.DATA, (1 << 40, 1 << 40), (32 << 30, 32 << 30)),
        (RlimitKind.STACK, (8 * MB, -1), (8 * MB, 512 * MB)),
    ],
)
def test_a_limit_is_what_was_wanted_as_far_as_it_goes(
    lwp: Lwp, which: int, wanted: tuple[int, int], got: tuple[int, int]
) -> None:
    assert limit(lwp, which, *wanted) == 0
    assert limited(lwp, which) == got


@pytest.mark.parametrize("name", ["getrlimit", "setrlimit"])
def test_there_are_twelve_limits(lwp: Lwp, name: str) -> None:
    assert call(lwp, name, 11, BUFFER) == 0
    for which in (12, -1):
        assert call(lwp, name, which, BUFFER) is Errno.EINVAL
    assert call(lwp, name, 0, BAD) is Errno.EFAULT


def test_a_bad_address_comes_before_a_bad_limit_only_when_one_is_set(lwp: Lwp) -> None:
    assert call(lwp, "setrlimit", 12, BAD) is Errno.EFAULT
    assert call(lwp, "getrlimit", 12, BAD) is Errno.EINVAL


def test_descriptors_are_limited(lwp: Lwp) -> None:
    fd = lwp.proc.files.add(
        lwp.proc.kernel.tree.open(b"f", lwp.proc.files.cwd, Open.CREAT | Open.RDWR, 0o600)
    )
    assert limit(lwp, RlimitKind.NOFILE, 2) == 0
    assert call(lwp, "dup", fd) == 1
    assert call(lwp, "dup", fd) is Errno.EMFILE
    assert call(lwp, "getdtablesize") == 2


# The size of files


@pytest.fixture
def fd(lwp: Lwp) -> int:
    tree, files = lwp.proc.kernel.tree, lwp.proc.files
    return files.add(tree.open(b"file", files.cwd, Open.CREAT | Open.RDWR, 0o600))


def test_a_file_does_not_get_longer_than_its_limit(lwp: Lwp, fd: int) -> None:
    lwp.proc.sigacts.set(Signal.XFSZ, SigAction(0x1234))
    limit(lwp, RlimitKind.FSIZE, 10)
    assert call(lwp, "write", fd, BUFFER, 10) == 10
    assert lwp.pending == 0
    assert call(lwp, "write", fd, BUFFER, 1) is Errno.EFBIG
    assert lwp.pending == bit(Signal.XFSZ)
    assert call(lwp, "extpwrite", fd, BUFFER, 6, 0, 5) is Errno.EFBIG
    assert call(lwp, "extpwrite", fd, BUFFER, 5, 0, 5) == 5
    assert lwp.proc.files.get(fd).node.length() == 10


def test_what_is_appended_counts_from_the_end(lwp: Lwp, fd: int) -> None:
    call(lwp, "write", fd, BUFFER, 8)
    call(lwp, "lseek", fd, 0, 0, 0)
    limit(lwp, RlimitKind.FSIZE, 10)
    call(lwp, "fcntl", fd, 4, Open.APPEND)
    assert call(lwp, "write", fd, BUFFER, 3) is Errno.EFBIG
    assert call(lwp, "write", fd, BUFFER, 2) == 2


def test_a_large_write_is_refused_as_a_whole(lwp: Lwp, fd: int) -> None:
    """Although it would be done in pieces."""
    lwp.vmspace.map_anonymous(0x100_0000, 0x100_0000 + 3 * MB)
    limit(lwp, RlimitKind.FSIZE, 2 * MB)
    assert call(lwp, "write", fd, 0x100_0000, 3 * MB) is Errno.EFBIG
    assert lwp.proc.files.get(fd).node.length() == 0


def test_only_files_have_a_size(lwp: Lwp) -> None:
    tree, files = lwp.proc.kernel.tree, lwp.proc.files
    null = files.add(tree.open(b"/dev/null", files.cwd, Open.RDWR))
    limit(lwp, RlimitKind.FSIZE, 10)
    assert call(lwp, "write", null, BUFFER, 100) == 100


def test_who_does_not_catch_the_signal_ends(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_open, path, O_RDWR + O_CREAT, 0600
        SYSCALL SYS_setrlimit, RLIMIT_FSIZE, limit
        SYSCALL SYS_write, rax, path, 4
        SYSCALL SYS_exit, 1
    path:
        .asciz "file"
        .balign 8
    limit:
        .quad 0, 0
        """
    )
    assert machine.run() == 128 + Signal.XFSZ


# Memory


def mmap(lwp: Lwp, size: int) -> int | Errno:
    return call(lwp, "mmap", 0, size, Prot.READ | Prot.WRITE, Map.ANON | Map.PRIVATE, -1, 0, 0)


def test_mappings_are_limited_together(lwp: Lwp) -> None:
    """abi 6.9, 6.10."""
    mapped = sum(entry.end - entry.start for entry in lwp.vmspace.map)
    limit(lwp, RlimitKind.VMEM, mapped + 2 * MB)
    assert mmap(lwp, 2 * MB + 1) is Errno.ENOMEM
    assert isinstance(mmap(lwp, MB), int)
    end = lwp.vmspace.data_start + lwp.vmspace.data_size
    assert call(lwp, "break", end + MB + PAGE_SIZE) is Errno.ENOMEM
    assert call(lwp, "break", end + MB) == 0
    assert mmap(lwp, 1) is Errno.ENOMEM
    lwp.vmspace.copyout(STACK_TOP - 0x2_0000, b"x")
    assert call(lwp, "write", 0, STACK_TOP - 0x2_0001, 1) is Errno.EBADF
    assert lwp.vmspace.map.lookup(STACK_TOP - 0x2_0001) is None


def test_a_vmspace_has_no_limit(lwp: Lwp) -> None:
    limit(lwp, RlimitKind.VMEM, 0)
    call(lwp, "vmspace_create", 1, 0, 0)
    flags = Map.ANON | Map.SHARED | Map.FIXED
    rights = Prot.READ | Prot.WRITE
    assert call(lwp, "vmspace_mmap", 1, 0x1000, 64 * MB, rights, flags, -1, 0) == 0x1000


def touch(lwp: Lwp, va: int) -> bool:
    """Can the program write there?  Its stack grows if need be."""
    return call(lwp, "getlogin", va, 1) == 0


def test_the_stack_grows_to_its_limit(lwp: Lwp) -> None:
    limit(lwp, RlimitKind.STACK, MB + 0x1_8000)
    assert touch(lwp, STACK_TOP - MB)
    assert touch(lwp, STACK_TOP - MB - 0x1_8000)
    assert not touch(lwp, STACK_TOP - MB - 0x1_8001)
    entry = lwp.vmspace.map.lookup(STACK_TOP - MB - 0x1_8000)
    assert entry is not None and entry.start == STACK_TOP - MB - 0x1_8000


def test_a_lower_limit_makes_the_stack_below_it_inaccessible(lwp: Lwp) -> None:
    assert touch(lwp, STACK_TOP - MB)
    limit(lwp, RlimitKind.STACK, MB // 2)
    assert touch(lwp, STACK_TOP - MB // 2)
    assert not touch(lwp, STACK_TOP - MB // 2 - 1)
    limit(lwp, RlimitKind.STACK, MB)
    assert touch(lwp, STACK_TOP - MB)


def test_other_memory_has_nothing_to_do_with_the_stacks_limit(lwp: Lwp) -> None:
    limit(lwp, RlimitKind.STACK, MB)
    lwp.vmspace.map_stack(0x1000_0000, 0x2000_0000, 7)
    assert touch(lwp, 0x1000_0000)


def test_children_have_the_limits_of_their_parents_memory(lwp: Lwp) -> None:
    limit(lwp, RlimitKind.STACK, MB)
    limit(lwp, RlimitKind.VMEM, 5 * MB)
    (child,) = finish(fork1(lwp, Rfork.PROC | Rfork.FDG)).lwps.values()
    assert (child.vmspace.stack_limit, child.vmspace.size_limit) == (MB, 5 * MB)
    limit(child, RlimitKind.STACK, MB // 2)
    assert (lwp.vmspace.stack_limit, lwp.proc.rlimits[RlimitKind.STACK].cur) == (MB, MB)


# The CPU

BUSY = """
    SYSCALL SYS_sigaction, SIGXCPU, action, 0
    SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
loop:
    mov rcx, 1000
inner:
    dec rcx
    jnz inner
    jmp loop
handler:
    inc qword ptr [caught]
    ret
    .balign 8
caught:
    .quad 0
"""


def test_who_uses_too_much_of_the_cpu_is_told_and_ends(boot: Boot) -> None:
    machine = boot(BUSY + "action: .quad 0, 0, 0, 0\nlimit: .quad 1, 2")
    machine.lwp.proc.usage.user_ns = 900_000_000
    assert machine.run() == 128 + Signal.XCPU
    used = machine.lwp.proc.usage.user_ns
    assert 1_000_000_000 < used < 1_001_000_000
    assert machine.lwp.proc.kernel.clock.monotonic_ns() < 102_000_000


def test_who_catches_it_is_told_once_and_killed_five_seconds_later(boot: Boot) -> None:
    machine = boot(BUSY + "action: .quad handler, 0, 0, 0\nlimit: .quad 1, 2")
    proc = machine.lwp.proc
    proc.usage.user_ns = 6_950_000_000
    assert machine.run() == 128 + Signal.KILL
    assert 7_000_000_000 < proc.usage.user_ns < 7_001_000_000
    assert machine.told == ["process 100 exceeded maximum CPU limit"]
    assert proc.over_cpu_limit


def test_a_process_that_sleeps_uses_nothing(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
        SYSCALL SYS_nanosleep, an_hour, 0
        SYSCALL SYS_exit, 3
        .balign 8
    limit:
        .quad 1, 2
    an_hour:
        .quad 3600, 0
        """
    )
    assert machine.run() == 3


def test_each_process_has_its_own_share(boot: Boot) -> None:
    machine = boot(
        """
        SYSCALL SYS_fork
        test rax, rax
        jz child
        SYSCALL SYS_wait4, -1, status, 0, 0
        CHECK_MEM 1, status, SIGXCPU
        DONE
    child:
        SYSCALL SYS_setrlimit, RLIMIT_CPU, limit
    loop:
        jmp loop
        .balign 8
    status:
        .quad 0
    limit:
        .quad 0, 5
        """
    )
    assert machine.run() == 0


# Locking memory


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("mlock", (BUFFER, PAGE_SIZE), 0),
        ("mlock", (BUFFER + 1, 1), 0),
        ("mlock", (BUFFER, PAGE_SIZE + 1), Errno.ENOMEM),
        ("mlock", (BAD, 1), Errno.ENOMEM),
        ("mlock", (BUFFER, 64 * MB), Errno.EAGAIN),
        ("mlock", (-PAGE_SIZE, PAGE_SIZE), Errno.EINVAL),
        ("munlock", (BUFFER, PAGE_SIZE), 0),
        ("munlock", (BUFFER, 64 * MB), Errno.ENOMEM),
        ("munlock", (-1, 1), Errno.EINVAL),
        ("mlockall", (0,), Errno.EINVAL),
        ("mlockall", (4,), Errno.EINVAL),
        ("mlockall", (1,), Errno.ENOSYS),
        ("mlockall", (2,), 0),
        ("mlockall", (3,), Errno.ENOSYS),
        ("munlockall", (), 0),
    ],
)
def test_memory_is_as_good_as_locked(
    lwp: Lwp, name: str, arguments: tuple[int, ...], result: int | Errno
) -> None:
    assert call(lwp, name, *arguments) == result


# Priorities


def child_of(lwp: Lwp) -> Proc:
    return finish(fork1(lwp, Rfork.PROC | Rfork.FDG))


def test_nice_values_are_kept_in_their_bounds(lwp: Lwp) -> None:
    for prio, nice in [(5, 5), (100, 20), (-100, -20)]:
        assert call(lwp, "setpriority", 0, 0, prio) == 0
        assert lwp.proc.nice == nice
    assert call(lwp, "getpriority", 0, 0) == 0xFFFF_FFEC  # an int, zero-extended


def test_the_lowest_of_several_counts(lwp: Lwp) -> None:
    group, other = child_of(lwp), child_of(lwp)
    other.ucred = Ucred(uid=7)
    lwp.proc.nice, group.nice, other.nice = 3, 2, 1
    assert call(lwp, "getpriority", 1, 0) == call(lwp, "getpriority", 1, 100) == 1
    assert call(lwp, "getpriority", 2, 0) == 2
    assert call(lwp, "getpriority", 2, 7) == 1
    assert call(lwp, "setpriority", 2, 0, 9) == 0
    assert (lwp.proc.nice, group.nice, other.nice) == (9, 9, 1)
    assert call(lwp, "setpriority", 1, 0, 4) == 0
    assert (lwp.proc.nice, group.nice, other.nice) == (4, 4, 4)


@pytest.mark.parametrize(
    ("which", "who", "errno"),
    [
        (0, 101, Errno.ESRCH),
        (0, 999, Errno.ESRCH),
        (1, 999, Errno.ESRCH),
        (2, 5, Errno.ESRCH),
        (3, 0, Errno.EINVAL),
        (-1, 0, Errno.EINVAL),
    ],
)
@pytest.mark.parametrize("name", ["getpriority", "setpriority"])
def test_nobody_may_be_meant(lwp: Lwp, name: str, which: int, who: int, errno: Errno) -> None:
    exit1(child_of(lwp))  # process 101 is a zombie
    assert call(lwp, name, which, who, 0) is errno


# What has been used


def test_usage_is_what_was_counted(lwp: Lwp) -> None:
    proc = lwp.proc
    lwp.proc.kernel.sched.charge()
    proc.usage.user_ns, proc.usage.signals = 3_000_002_999, 4
    proc.usage.voluntary_switches, proc.usage.involuntary_switches = 5, 6
    proc.usage.minor_faults = 8
    proc.children_usage.user_ns = 7_000
    assert call(lwp, "getrusage", 0, BUFFER) == 0
    usage = lwp.vmspace.copyin_struct(BUFFER, Rusage)
    assert (usage.ru_utime.tv_sec, usage.ru_utime.tv_usec) == (3, 2)
    assert (usage.ru_nsignals, usage.ru_nvcsw, usage.ru_nivcsw) == (4, 5, 6)
    assert (usage.ru_minflt, usage.ru_majflt) == (8, 0)
    assert call(lwp, "getrusage", -1, BUFFER) == 0
    usage = lwp.vmspace.copyin_struct(BUFFER, Rusage)
    assert (usage.ru_utime.tv_sec, usage.ru_utime.tv_usec) == (0, 7)
    assert call(lwp, "getrusage", 1, BUFFER) is Errno.EINVAL
    assert call(lwp, "getrusage", 0, BAD) is Errno.EFAULT


TOUCH = """
    SYSCALL SYS_fork
    test rdx, rdx
    jz parent
    mov rax, 0x600000
again:
    mov byte ptr [rax], 1
    mov byte ptr [rax + 8], 1
    add rax, 4096
    cmp rax, 0x600000 + 4096 * PAGES
    jb again
    SYSCALL SYS_exit, 0
parent:
    SYSCALL SYS_wait4, -1, 0, 0, OFFSET usage
    SYSCALL SYS_exit, 0
    .balign 8
usage:
    .zero 144
"""


def test_each_page_that_is_touched_is_a_fault_of_who_does_so(boot: Boot) -> None:
    counts = {}
    for pages in (1, 50):
        machine = boot(f".set PAGES, {pages}" + TOUCH)
        lwp = machine.lwp
        lwp.vmspace.map_anonymous(BUFFER, BUFFER + 50 * PAGE_SIZE)
        assert machine.run() == 0
        counts[pages] = lwp.proc.usage.minor_faults, lwp.proc.children_usage.minor_faults
    assert counts[50][0] == counts[1][0]
    assert counts[50][1] - counts[1][1] == 49


def test_a_fault_that_cannot_be_resolved_is_not_counted(boot: Boot) -> None:
    faults = []
    for code in ("int3", "mov byte ptr [0x70000000], 1"):
        machine = boot(code)
        machine.run()
        faults.append(machine.lwp.proc.usage.minor_faults)
    assert faults[0] == faults[1]
