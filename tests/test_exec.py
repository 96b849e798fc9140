"""Executing another program: what it finds, what it loses, and what a refusal leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import pack, unpack

import pytest
from conftest import Booted, call

from emu.abi.errno import Errno, KernelError
from emu.abi.exec import ARG_MAX, At
from emu.abi.fcntl import Open
from emu.abi.resource import Rlimit, RlimitKind
from emu.abi.signal import SIG_DFL, SIG_IGN, SaFlag, Signal
from emu.abi.x86 import PAGE_SIZE, USER_CS, USER_SS, Rflags
from emu.kern.exec import execve
from emu.kern.proc import Lwp, Ucred
from emu.kern.sched import LwpState
from emu.kern.sigacts import SigAction, bit
from emu.kern.vkernel import VkernelLwp

BASE = 0x1000_0000
CODE = BASE + 0x78
DATA = 0x2000_0000
MEMORY = 4 << 20
ARGUMENTS = 0x60_0000
"""Where vectors and strings are in the caller's memory."""


def elf(code: bytes = b"\xeb\xfe", *, zeros: int = 0) -> bytes:
    """Return a static program: `code`, and `zeros` bytes of data if any."""
    segments = 2 if zeros else 1
    start = 64 + 56 * segments
    size = start + len(code)
    header = pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\2\1\1", 2, 62, 1, BASE + start, 64, 0, 0, 64, 56, segments, 0, 0, 0),
    )
    text = pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, PAGE_SIZE)
    data = pack("<IIQQQQQQ", 1, 6, 0, DATA, DATA, 0, zeros, PAGE_SIZE)
    return header + text + data * (segments - 1) + code


def put(lwp: Lwp, path: bytes, contents: bytes, mode: int = 0o755) -> None:
    """Make a file in the guest's tree."""
    tree, cwd = lwp.proc.kernel.tree, lwp.proc.files.cwd
    file = tree.open(path, cwd, Open.WRONLY | Open.CREAT | Open.TRUNC, mode)
    file.write(contents)
    file.drop()


@dataclass
class Start:
    """What a new program finds on its stack."""

    argv: list[bytes]
    envp: list[bytes]
    auxv: dict[int, int]


def start_of(lwp: Lwp) -> Start:
    space, at = lwp.vmspace, lwp.frame.rdi

    def words() -> list[int]:
        nonlocal at
        found = []
        while word := unpack("<Q", space.copyin(at, 8))[0]:
            found.append(word)
            at += 8
        at += 8
        return found

    (argc,) = unpack("<Q", space.copyin(at, 8))
    at += 8
    argv = [space.copyinstr(pointer, 1 << 20) for pointer in words()]
    envp = [space.copyinstr(pointer, 1 << 20) for pointer in words()]
    assert argc == len(argv)
    auxv = {}
    while True:
        tag, value = unpack("<QQ", space.copyin(at, 16))
        at += 16
        if tag == At.NULL:
            return Start(argv, envp, auxv)
        auxv[tag] = value


def string(lwp: Lwp, at: int) -> bytes:
    return lwp.vmspace.copyinstr(at, 1024)


def vectors(lwp: Lwp, path: bytes, argv: Sequence[bytes], envp: Sequence[bytes] = ()) -> list[int]:
    """Put execve's arguments into the caller's memory; return where they are."""
    space = lwp.vmspace
    strings = [path, *argv, *envp]
    data = b"".join(each + b"\0" for each in strings)
    pointers, at = [], ARGUMENTS
    for each in strings:
        pointers.append(at)
        at += len(each) + 1
    vector = [*pointers[1 : 1 + len(argv)], 0, *pointers[1 + len(argv) :], 0]
    table = (at + 7) & ~7
    end = table + 8 * len(vector)
    space.map_anonymous(ARGUMENTS, (end + PAGE_SIZE) & ~(PAGE_SIZE - 1))
    space.copyout(ARGUMENTS, data)
    space.copyout(table, pack(f"<{len(vector)}Q", *vector))
    return [ARGUMENTS, table, table + 8 * (len(argv) + 1)]


# What a program finds


def test_a_program_begins_with_its_arguments_and_clean_registers(lwp: Lwp) -> None:
    """abi 11."""
    put(lwp, b"prog", elf())
    lwp.frame.rbx = lwp.frame.r15 = lwp.frame.r10 = 0x77
    lwp.bases.fs_base = 0x1234
    places = vectors(lwp, b"prog", [b"zero", b"", b"two"], [b"A=1", b"B"])
    assert call(lwp, "execve", *places) == 0
    frame = lwp.frame
    assert (frame.rip, frame.rflags, frame.cs, frame.ss) == (CODE, Rflags(0x202), USER_CS, USER_SS)
    assert frame.rsp % 16 == 8 and frame.rdi - frame.rsp in (0, 8)
    assert frame.rdx == places[2]  # the second word of the result, which nobody has set
    others = ("rax", "rbx", "rcx", "rsi", "rbp", "r8", "r9", "r10", "r11", "r12", "r15")
    assert not any(getattr(frame, name) for name in others)
    assert bytes(lwp.bases) == bytes(len(bytes(lwp.bases)))
    start = start_of(lwp)
    assert (start.argv, start.envp) == ([b"zero", b"", b"two"], [b"A=1", b"B"])
    assert start.auxv[At.ENTRY] == CODE and start.auxv[At.PAGESZ] == PAGE_SIZE
    assert start.auxv[At.PHDR] == BASE + 64 and start.auxv[At.PHNUM] == 1
    assert lwp.vmspace is lwp.proc.vmspace
    assert lwp.vmspace.copyin(CODE, 2) == b"\xeb\xfe"


def test_no_arguments_mean_the_programs_name(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    place, argv, _ = vectors(lwp, b"prog", [])
    assert call(lwp, "execve", place, argv, 0) == 0
    assert start_of(lwp).argv == [b"prog"]
    assert start_of(lwp).envp == []


def test_a_program_is_told_its_full_path_and_called_by_its_file(lwp: Lwp) -> None:
    call_tree = lwp.proc.kernel.tree
    call_tree.mkdir(b"dir", lwp.proc.files.cwd, 0o755)
    put(lwp, b"dir/a-very-long-program-name", elf())
    call_tree.symlink(b"dir/a-very-long-program-name", b"/link", lwp.proc.files.cwd)
    execve(lwp, b"./link", [b"x"], [])
    assert string(lwp, start_of(lwp).auxv[At.EXECPATH]) == b"/dir/a-very-long-program-name"
    assert lwp.proc.name == "a-very-long-prog"
    execve(lwp, b"/link", [b"x"], [])
    assert string(lwp, start_of(lwp).auxv[At.EXECPATH]) == b"/link"  # taken as it is


# Scripts


def test_a_script_is_run_by_its_interpreter(lwp: Lwp) -> None:
    put(lwp, b"/tmp/sh", elf())
    put(lwp, b"script", b"#! /tmp/sh\t-x  y # not this\nrest")
    execve(lwp, b"script", [b"zero", b"one"], [b"E=1"])
    start = start_of(lwp)
    assert start.argv == [b"/tmp/sh", b"-x", b"y", b"script", b"one"]
    assert start.envp == [b"E=1"]
    assert string(lwp, start.auxv[At.EXECPATH]) == b"/tmp/sh"
    assert lwp.proc.name == "sh"


def test_the_interpreter_of_a_script_with_a_full_path_is_told_that(lwp: Lwp) -> None:
    put(lwp, b"/tmp/sh", elf())
    put(lwp, b"/script", b"#!/tmp/sh")
    execve(lwp, b"/script", [b"zero"], [])
    assert start_of(lwp).argv == [b"/tmp/sh", b"/script"]
    assert string(lwp, start_of(lwp).auxv[At.EXECPATH]) == b"/script"


@pytest.mark.parametrize(
    ("script", "errno"),
    [
        (b"#!", Errno.ENOEXEC),
        (b"#!   \t\n/tmp/sh", Errno.ENOEXEC),
        (b"#!#/tmp/sh", Errno.ENOEXEC),
        (b"#!" + b" " * PAGE_SIZE, Errno.ENOEXEC),
        (b"#!/tmp/sh " + b"x" * PAGE_SIZE, Errno.ENAMETOOLONG),
        (b"#!/tmp/" + b"x" * 123, Errno.ENAMETOOLONG),
        (b"#!/tmp/" + b"x" * 122, Errno.ENOENT),
        (b"#!/tmp/script", Errno.ENOEXEC),
        (b"#!/tmp/endless", Errno.ENOEXEC),
        (b"#!/tmp", Errno.EACCES),
        (b"#!sh", Errno.ENOENT),
    ],
)
def test_a_script_may_be_impossible(lwp: Lwp, script: bytes, errno: Errno) -> None:
    put(lwp, b"/tmp/sh", elf())
    put(lwp, b"/tmp/script", b"#!/tmp/sh\n")
    put(lwp, b"/tmp/endless", b"#!/tmp/sh " + b"x" * PAGE_SIZE)
    put(lwp, b"script", script)
    with pytest.raises(KernelError) as caught:
        execve(lwp, b"script", [b"x"], [])
    assert caught.value.errno is errno


def test_a_scripts_arguments_may_become_too_long_by_its_interpreter(lwp: Lwp) -> None:
    put(lwp, b"/tmp/sh", elf())
    put(lwp, b"script", b"#!/tmp/sh\n")
    room = ARG_MAX - len(b"/tmp/sh\0script\0")
    execve(lwp, b"script", [b"gone", b"x" * (room - 1)], [])
    with pytest.raises(KernelError) as caught:
        execve(lwp, b"script", [b"", b"x" * room], [])
    assert caught.value.errno is Errno.E2BIG


# Refusals


@pytest.mark.parametrize(
    ("path", "contents", "mode", "errno"),
    [
        (b"", b"", 0, Errno.ENOENT),
        (b"missing", b"", 0, Errno.ENOENT),
        (b"busy/x", b"", 0, Errno.ENOTDIR),
        (b"n" * 256, b"", 0, Errno.ENAMETOOLONG),
        (b"x/" * 512 + b"y", b"", 0, Errno.ENAMETOOLONG),
        (b"tmp", b"", 0, Errno.EACCES),
        (b"/dev/null", b"", 0, Errno.EACCES),
        (b"plain", elf(), 0o644, Errno.EACCES),
        (b"empty", b"", 0o755, Errno.ENOEXEC),
        (b"text", b"hello", 0o755, Errno.ENOEXEC),
        (b"half", elf()[:70], 0o755, Errno.ENOEXEC),
        (b"busy", b"", 0, Errno.ETXTBSY),
        (b"greedy", elf(zeros=1 << 20), 0o755, Errno.ENOMEM),
        (b"large", elf(bytes(MEMORY)), 0o755, Errno.ENOMEM),
    ],
)
def test_a_refused_exec_leaves_everything(
    boot: Callable[..., Booted], path: bytes, contents: bytes, mode: int, errno: Errno
) -> None:
    lwp = boot(memory=MEMORY).lwp
    proc = lwp.proc
    put(lwp, b"busy", elf())
    if mode:
        put(lwp, path, contents, mode)
    held = proc.kernel.tree.open(b"busy", proc.files.cwd, Open.RDWR)
    proc.rlimits[RlimitKind.DATA] = Rlimit((1 << 20) - 1, 1 << 20)
    proc.sigacts.set(Signal.USR1, SigAction(0x1234))
    second = lwp.fork(proc)
    proc.kernel.sched.add(second)
    places = vectors(lwp, path, [b"x"])
    call(lwp, "getpid", *places)
    space, used = proc.vmspace, proc.kernel.phys.used
    before = lwp.frame.rip, lwp.frame.rsp
    assert call(lwp, "execve", *places) is errno
    assert (proc.vmspace, lwp.vmspace, space.refs) == (space, space, 1)
    assert proc.kernel.phys.used == used
    assert (lwp.frame.rip, lwp.frame.rsp) == before
    assert list(proc.lwps.values()) == [lwp, second]
    assert second.state is LwpState.READY
    assert proc.sigacts.get(Signal.USR1).handler == 0x1234
    assert not proc.executed
    held.drop()


@pytest.mark.parametrize("limit", [RlimitKind.DATA, RlimitKind.VMEM])
def test_data_may_be_as_large_as_the_limits_allow(lwp: Lwp, limit: RlimitKind) -> None:
    put(lwp, b"prog", elf(zeros=1 << 20))
    most = 1 << 20 if limit is RlimitKind.DATA else (1 << 20) + PAGE_SIZE
    lwp.proc.rlimits[limit] = Rlimit(most - 1, most)
    with pytest.raises(KernelError):
        execve(lwp, b"prog", [b"x"], [])
    lwp.proc.rlimits[limit] = Rlimit(most, most)
    execve(lwp, b"prog", [b"x"], [])


def test_a_program_that_was_written_can_be_executed_once_it_is_closed(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    tree, cwd = lwp.proc.kernel.tree, lwp.proc.files.cwd
    reader = tree.open(b"prog", cwd, Open.RDONLY)
    writer = tree.open(b"prog", cwd, Open.WRONLY)
    with pytest.raises(KernelError):
        execve(lwp, b"prog", [b"x"], [])
    writer.drop()
    execve(lwp, b"prog", [b"x"], [])
    reader.drop()


@pytest.mark.parametrize("bad", [0, 0x7000_0000, -1])
def test_argv_must_be_there(lwp: Lwp, bad: int) -> None:
    put(lwp, b"prog", elf())
    place, argv, envp = vectors(lwp, b"prog", [b"x"], [b"y"])
    lwp.vmspace.map_anonymous(0, PAGE_SIZE)
    assert call(lwp, "execve", place, bad, envp) is Errno.EFAULT
    assert call(lwp, "execve", bad, argv, envp) is (Errno.EFAULT if bad else Errno.ENOENT)
    lwp.vmspace.copyout(argv, pack("<q", bad or -1))
    assert call(lwp, "execve", place, argv, envp) is Errno.EFAULT


def test_envv_may_be_null_but_not_bad(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    place, argv, envp = vectors(lwp, b"prog", [b"x"], [b"y"])
    assert call(lwp, "execve", place, argv, 0x7000_0000) is Errno.EFAULT
    lwp.vmspace.copyout(envp, pack("<q", 0x7000_0000))
    assert call(lwp, "execve", place, argv, envp) is Errno.EFAULT
    assert call(lwp, "execve", place, argv, 0) == 0


@pytest.mark.parametrize("over", [0, 1])
def test_arguments_and_environment_together_have_a_limit(lwp: Lwp, over: int) -> None:
    put(lwp, b"prog", elf())
    half = ARG_MAX // 2
    places = vectors(lwp, b"prog", [b"a" * (half - 1)], [b"e" * (half - 2 + over), b""])
    assert call(lwp, "execve", *places) == (Errno.E2BIG if over else 0)


# What goes and what stays


def test_handlers_go_and_what_was_ignored_stays_so(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    acts = lwp.proc.sigacts
    acts.set(Signal.USR1, SigAction(0x1234, SaFlag.RESTART))
    acts.set(Signal.CHLD, SigAction(0x1234, SaFlag.NOCLDWAIT))
    acts.set(Signal.CONT, SigAction(0x1234))
    acts.set(Signal.USR2, SigAction(SIG_IGN))
    pending = bit(Signal.USR1) | bit(Signal.CHLD) | bit(Signal.CONT)
    lwp.proc.pending = lwp.pending = pending
    lwp.sigmask = pending | bit(Signal.TERM)
    lwp.altstack.sp, lwp.altstack.size, lwp.altstack.enabled = 1, 2, True
    lwp.suspended_mask = 0
    execve(lwp, b"prog", [b"x"], [])
    acts = lwp.proc.sigacts
    assert acts.get(Signal.USR1).handler == acts.get(Signal.CHLD).handler == SIG_DFL
    assert acts.get(Signal.USR2).handler == SIG_IGN
    assert (acts.caught, acts.child_flags) == (0, 0)
    assert lwp.proc.pending == lwp.pending == bit(Signal.USR1)  # the others are ignored now
    assert lwp.sigmask == pending | bit(Signal.TERM)
    assert (lwp.altstack.enabled, lwp.altstack.size, lwp.suspended_mask) == (False, 0, None)


def test_files_stay_open_unless_they_are_to_be_closed(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    files = lwp.proc.files
    kept = files.add(lwp.proc.kernel.tree.open(b"prog", files.cwd, Open.RDONLY))
    gone = files.add(lwp.proc.kernel.tree.open(b"prog", files.cwd, Open.RDONLY))
    files.set_close_on_exec(gone, True)
    execve(lwp, b"prog", [b"x"], [])
    assert lwp.proc.files.get(kept).offset == 0
    with pytest.raises(KernelError):
        lwp.proc.files.get(gone)


def test_what_was_shared_is_not_touched(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    call(lwp, "rfork", 1 << 4 | 1 << 5 | 1 << 14)  # RFPROC, RFMEM, RFSIGSHARE; files too
    child = lwp.proc.kernel.procs[101].lwps[0]
    fd = lwp.proc.files.add(lwp.proc.kernel.tree.open(b"prog", lwp.proc.files.cwd, Open.RDONLY))
    lwp.proc.files.set_close_on_exec(fd, True)
    lwp.proc.sigacts.set(Signal.USR1, SigAction(0x1234))
    execve(child, b"prog", [b"x"], [])
    assert lwp.proc.files.get(fd) is not None
    assert lwp.proc.sigacts.get(Signal.USR1).handler == 0x1234
    assert child.proc.sigacts.get(Signal.USR1).handler == SIG_DFL
    assert (lwp.vmspace.refs, lwp.proc.files.refs) == (1, 1)
    assert lwp.vmspace.copyin(0x40_0000, 1) == b"\x90"


def test_other_lwps_end_and_the_number_of_the_caller_stays(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    second = lwp.fork(lwp.proc)
    lwp.proc.kernel.sched.add(second)
    execve(second, b"prog", [b"x"], [])
    assert list(lwp.proc.lwps) == [1]
    assert (lwp.state, second.state) == (LwpState.GONE, LwpState.READY)
    assert lwp.proc.kernel.lwps == 1


def test_a_virtual_kernel_becomes_an_ordinary_process(lwp: Lwp) -> None:
    """abi 6.15: its share of the vmspaces goes, its parent's stays."""
    put(lwp, b"prog", elf())
    call(lwp, "vmspace_create", 0x1000, 0, 0)
    call(lwp, "fork")
    child = lwp.proc.kernel.procs[101].lwps[0]
    child.vkernel = VkernelLwp()
    execve(child, b"prog", [b"x"], [])
    assert (child.proc.vkernel, child.vkernel) == (None, None)
    assert call(child, "vmspace_destroy", 0x1000) is Errno.EINVAL
    assert call(lwp, "vmspace_destroy", 0x1000) == 0


def test_timers_limits_and_identity_stay(lwp: Lwp) -> None:
    put(lwp, b"prog", elf())
    proc = lwp.proc
    space = proc.vmspace
    proc.timers[0] = timer = proc.kernel.sched.callout(1 << 60, lambda: None)
    proc.nice, proc.umask = 3, 0o77
    proc.rlimits[RlimitKind.STACK] = Rlimit(1 << 20, 2 << 20)
    space.stack_limit = 1 << 20
    execve(lwp, b"prog", [b"x"], [])
    assert proc.timers == {0: timer} and timer.action is not None
    assert (proc.pid, proc.nice, proc.umask) == (100, 3, 0o77)
    assert proc.vmspace.stack_limit == 1 << 20
    assert proc.executed


@pytest.mark.parametrize(
    ("before", "after", "tainted"),
    [
        (Ucred(), Ucred(), False),
        (Ucred(uid=5, ruid=5, svuid=0), Ucred(uid=5, ruid=5, svuid=5), False),
        (Ucred(uid=5, ruid=0, svuid=0), Ucred(uid=5, ruid=0, svuid=5), True),
        (Ucred(groups=(4,), rgid=0), Ucred(groups=(4,), rgid=0, svgid=4), True),
    ],
)
def test_saved_ids_become_the_effective_ones(
    lwp: Lwp, before: Ucred, after: Ucred, tainted: bool
) -> None:
    put(lwp, b"prog", elf())
    lwp.proc.ucred, lwp.proc.changed_ids = before, True
    execve(lwp, b"prog", [b"x"], [])
    assert (lwp.proc.ucred, lwp.proc.changed_ids) == (after, tainted)
