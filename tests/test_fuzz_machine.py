"""Programs of random system calls, run by the real machine in virtual time.

Threads, children, signals, sleeps and ends meet in every order there is.  Whatever comes of it, the
machine ends, says at most one line for each process that it kills, and gives everything back.
"""

import time
from struct import pack

from conftest import LOAD_ADDRESS, NUMBERS, Booted, bounded
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import VALUES

from emu.abi.event import Ev, Evfilt, Note
from emu.abi.frames import Trapframe
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Map
from emu.abi.poll import Poll
from emu.abi.resource import RLIM_INFINITY
from emu.abi.signal import SaFlag, Signal
from emu.abi.structs import LwpParams, Pollfd, Timespec
from emu.abi.versions import VERSIONS, AbiVersion
from emu.cpu.unicorn_engine import UnicornEngine
from emu.vm.phys import PhysicalMemory

MEMORY = 8 << 20
CODE_SIZE = 0x4000
DATA = LOAD_ADDRESS + CODE_SIZE
PARAMETERS = DATA  # struct lwp_params
ACTION, IGNORE, MAILBOX = DATA + 0x100, DATA + 0x140, DATA + 0x180  # struct sigaction
SETS = DATA + 0x200  # signal sets: none, USR1, all
MOMENT, SECOND, NEGATIVE = DATA + 0x300, DATA + 0x310, DATA + 0x320  # struct timespec
WORD = DATA + 0x400  # what umtx_sleep looks at: 0
PATHS = DATA + 0x500
ARGV = DATA + 0x600
STACK_T = DATA + 0x700
ITIMER = DATA + 0xA00  # struct itimerval: 100 us, once in 1 s, none
EVENTS = DATA + 0xB00  # struct kevent
POLLED = DATA + 0xD00  # struct pollfd
LIMITS = DATA + 0xE00  # struct rlimit: none, one, no limit
TFRAME, VFRAME = DATA + 0x800, DATA + 0x900
BUFFER = DATA + 0x1000
STACK, ALTSTACK = DATA + 0x4000, DATA + 0x5000
SPACE = 0x1000
AREA = 0x20000000
ENDS_NS = 2_000_000_000
"""The run is ended after so much virtual time."""
MOST_EXITS = 5000
TOO_LONG = 10.0
"""Seconds on a busy host; a run should take a tenth of one."""

YIELD = b"\xb8" + NUMBERS["sched_yield"].to_bytes(4, "little") + b"\x0f\x05"

signals = st.sampled_from([0, *Signal, 63, 64, 128, 129])
pids = st.sampled_from([-1, 0, 1, 99, 100, 101, 102, 103, -100, -101])
small = st.integers(0, 4)
sizes = st.sampled_from([0, 1, 8, 16, 100, 4096, 10000, 1 << 20])
rw_flags = int(Map.ANON | Map.PRIVATE)
shared = int(Map.ANON | Map.SHARED)
maps = st.sampled_from([rw_flags, shared, rw_flags | int(Map.FIXED), shared | int(Map.FIXED)])
areas = st.sampled_from([0, AREA, AREA + 4096, AREA + 0x10000, BUFFER, LOAD_ADDRESS])
times = st.sampled_from([MOMENT, MOMENT, SECOND, NEGATIVE, 0])
sets = st.sampled_from([0, SETS, SETS + 16, SETS + 32])
events = st.sampled_from([EVENTS + 32 * at for at in range(7)])
actions = st.sampled_from([ACTION, ACTION, IGNORE, MAILBOX, SETS])
words = st.sampled_from([WORD, WORD + 4, BUFFER, AREA])
anything = st.sampled_from(VALUES)
zero = st.just(0)

CALLS = {
    "exit": (small,),
    "extexit": (st.sampled_from([0, 1, 0x10000, 0x10001]), small, words),
    "fork": (),
    "vfork": (),
    "rfork": (st.sampled_from([0x14, 0x34, 0x4014, 0x54, 0x1010, 0x10, 0x20, 0x2034, 4]),),
    "execve": (st.sampled_from([PATHS, PATHS + 16]), st.just(ARGV), zero),
    "wait4": (pids, st.sampled_from([0, BUFFER]), st.sampled_from([0, 1, 2, 3, 4, 7]), zero),
    "kill": (pids, signals),
    "lwp_kill": (pids, st.sampled_from([-1, 0, 1, 2]), signals),
    "lwp_create": (st.just(PARAMETERS),),
    "sigaction": (signals, actions, zero),
    "sigprocmask": (st.integers(1, 3), sets, zero),
    "sigsuspend": (sets,),
    "sigtimedwait": (sets, st.sampled_from([0, BUFFER]), times),
    "sigwaitinfo": (sets, zero),
    "sigaltstack": (st.sampled_from([0, STACK_T]), zero),
    "sigreturn": (st.sampled_from([BUFFER, STACK, 0]),),
    "umtx_sleep": (words, small, st.sampled_from([0, 1, 1000, 0x7FFFFFFF])),
    "umtx_wakeup": (words, small),
    "nanosleep": (times, st.sampled_from([0, BUFFER])),
    "sched_yield": (),
    "setpgid": (pids, pids),
    "setsid": (),
    "mmap": (areas, sizes, st.integers(0, 7), maps, st.just(-1), zero, zero),
    "munmap": (areas, sizes),
    "mprotect": (areas, sizes, st.integers(0, 7)),
    "minherit": (areas, sizes, small),
    "mcontrol": (areas, sizes, st.integers(0, 11), anything),
    "open": (st.sampled_from([PATHS, PATHS + 16, PATHS + 32]), st.just(0x202), st.just(0o755)),
    "close": (small,),
    "dup2": (small, small),
    "read": (small, st.just(BUFFER), sizes),
    "write": (small, st.just(BUFFER), sizes),
    "fcntl": (small, st.integers(0, 12), small),
    "ftruncate": (small, zero, sizes),
    "unlink": (st.sampled_from([PATHS, PATHS + 16]),),
    "kqueue": (),
    "kevent": (small, events, small, st.sampled_from([0, BUFFER]), small, times),
    "poll": (st.just(POLLED), st.integers(0, 6), st.sampled_from([0, 0, 1, -1])),
    "select": (st.integers(0, 5), sets, sets, sets, times),
    "pselect": (st.integers(0, 5), sets, sets, zero, times, sets),
    "setrlimit": (st.integers(0, 12), st.sampled_from([LIMITS, LIMITS + 16, LIMITS + 32])),
    "setitimer": (small, st.sampled_from([ITIMER, ITIMER + 32, ITIMER + 64]), zero),
    "pipe": (),
    "socketpair": (st.just(1), st.integers(1, 2), zero, st.just(BUFFER)),
    "shutdown": (small, small),
    "ioctl": (small, st.sampled_from([int(com) for com in Ioctl]), st.just(BUFFER)),
    "vmspace_create": (st.just(SPACE), zero, zero),
    "vmspace_destroy": (st.just(SPACE),),
    "vmspace_ctl": (st.just(SPACE), zero, st.just(TFRAME), st.just(VFRAME)),
    "vmspace_mmap": (
        st.just(SPACE), areas, sizes, st.integers(0, 7), maps, st.just(-1), zero,
    ),
    "vmspace_munmap": (st.just(SPACE), areas, sizes),
    "vmspace_mcontrol": (st.just(SPACE), areas, sizes, st.integers(0, 11), anything),
}  # fmt: skip

calls = st.sampled_from(sorted(CALLS)).flatmap(
    lambda name: st.tuples(st.just(NUMBERS[name]), st.tuples(*CALLS[name]))
) | st.tuples(st.sampled_from(sorted(NUMBERS.values())), st.tuples(*[anything] * 6))
sequences = st.lists(calls, min_size=3, max_size=14)


def code_of(sequence: list[tuple[int, tuple[int, ...]]]) -> bytes:
    """Return instructions that make these calls, and let others run after each.

    A seventh argument is whatever is on the stack.
    """
    code = b""
    for number, arguments in sequence:
        for opcode, value in zip(
            (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9"),
            arguments,
            strict=False,
        ):
            code += opcode + (value & (1 << 64) - 1).to_bytes(8, "little")
        code += b"\xb8" + number.to_bytes(4, "little") + b"\x0f\x05"
        code += YIELD
    return code


def call_code(name: str, *arguments: int) -> bytes:
    return code_of([(NUMBERS[name], arguments)])


def data(abi: AbiVersion, thread: int, handler: int) -> bytes:
    """What the arguments point to."""
    at = bytearray(0x6000)

    def put(address: int, *pieces: bytes) -> None:
        content = b"".join(pieces)
        at[address - DATA : address - DATA + len(content)] = content

    put(PARAMETERS, bytes(LwpParams(thread, 0, STACK)))
    put(ACTION, pack("<QI16s", handler, SaFlag.NODEFER, b""))
    put(IGNORE, pack("<QI16s", 1, 0, b""))
    put(MAILBOX, pack("<QI16s", BUFFER, SaFlag.MAILBOX, b""))
    put(
        SETS,
        bytes(16),
        (1 << Signal.USR1 - 1).to_bytes(16, "little"),
        b"\xff" * 16,
    )
    put(MOMENT, *map(bytes, (Timespec(0, 1000), Timespec(1, 0), Timespec(-1, 5))))
    put(PATHS, b"/program".ljust(16, b"\0"), b"/file".ljust(16, b"\0"), b"/dev/random\0")
    put(ITIMER, pack("<12Q", 0, 100, 0, 100, 0, 0, 1, 0, 0, 0, 0, 0))
    for number, (ident, filter, flags, fflags) in enumerate(
        [
            (0, Evfilt.READ, Ev.ADD, 0),
            (1, Evfilt.WRITE, Ev.ADD | Ev.CLEAR, 0),
            (1, Evfilt.TIMER, Ev.ADD, 0),
            (101, Evfilt.PROC, Ev.ADD, (Note.EXIT | Note.FORK | Note.EXEC | Note.TRACK)),
            (Signal.USR1, Evfilt.SIGNAL, Ev.ADD | Ev.CLEAR, 0),
            (0, Evfilt.VNODE, Ev.ADD | Ev.CLEAR, 0x7F),
            (2, Evfilt.READ, Ev.ADD | Ev.ONESHOT, 0),
            (1, Evfilt.TIMER, Ev.DELETE, 0),
        ]
    ):
        put(EVENTS + 32 * number, pack("<QhHIqQ", ident, filter, flags, fflags, 1, 0))
    for fd in range(6):
        put(POLLED + 8 * fd, bytes(Pollfd(fd, Poll.IN if fd % 2 else Poll.IN | Poll.OUT)))
    put(LIMITS, pack("<6Q", 0, 0, 1, 1, RLIM_INFINITY, RLIM_INFINITY))
    put(ARGV, pack("<QQ", PATHS, 0))
    put(STACK_T, pack("<QQi", ALTSTACK, 0x4000, 0))
    put(TFRAME, bytes(Trapframe(rip=AREA, rsp=AREA + 0x1000, rflags=0x202)))
    # What write() puts into the file that execve() finds: a script whose interpreter it is not.
    put(BUFFER, b"#!/file\n")
    return bytes(at)


def program(
    abi: AbiVersion,
    first: list[tuple[int, tuple[int, ...]]],
    thread: list[tuple[int, tuple[int, ...]]],
    child: list[tuple[int, tuple[int, ...]]],
    handler: list[tuple[int, tuple[int, ...]]],
) -> bytes:
    """A process with a handler, a thread and a child, each of which does something else."""
    begin = call_code("sigaction", Signal.USR1, ACTION, 0)
    begin += call_code("sigaction", Signal.SEGV, ACTION, 0)
    begin += call_code("lwp_create", PARAMETERS) + call_code("fork")
    ends = call_code("extexit", 0x10000, 0, 0) + call_code("exit", 0)
    child_code = code_of(child) + ends
    begin = begin.removesuffix(YIELD)  # which has a result of its own
    begin += b"\x48\x85\xc0\x0f\x85" + len(child_code).to_bytes(4, "little")  # test rax; jnz
    begin += child_code + code_of(first) + ends
    handler_code = code_of(handler) + b"\xc3"
    thread_at = LOAD_ADDRESS + len(begin)
    handler_at = thread_at + len(code_of(thread)) + len(ends)
    code = begin + code_of(thread) + ends + handler_code
    assert len(code) <= CODE_SIZE
    return code.ljust(CODE_SIZE, b"\x90") + data(abi, thread_at, handler_at)


def engine_frames() -> int:
    phys = PhysicalMemory(MEMORY)
    UnicornEngine(phys)
    return phys.used


ENGINE_FRAMES = engine_frames()


@bounded(60)
@given(
    abi=st.sampled_from(sorted(VERSIONS)),
    first=sequences,
    thread=sequences,
    child=sequences,
    handler=st.lists(calls, max_size=3),
)
def test_programs_of_random_calls_end(
    abi: str,
    first: list[tuple[int, tuple[int, ...]]],
    thread: list[tuple[int, tuple[int, ...]]],
    child: list[tuple[int, tuple[int, ...]]],
    handler: list[tuple[int, tuple[int, ...]]],
) -> None:
    version = VERSIONS[abi]
    code = program(version, first, thread, child, handler)
    ends = [run(version, code) for _ in range(2)]
    assert ends[0] == ends[1]


def run(abi: AbiVersion, code: bytes) -> tuple[object, ...]:
    """Run to the end; return all that must be the same the next time."""
    began = time.monotonic()
    booted = Booted(code, memory=MEMORY, abi=abi)
    try:
        lwp, machine = booted.lwp, booted.machine
        kernel = lwp.proc.kernel
        exits = 0
        handle = machine.handle

        def count(*arguments: object) -> None:
            nonlocal exits
            exits += 1
            if exits == MOST_EXITS:
                machine.stop(99)
            handle(*arguments)  # type: ignore[arg-type]

        machine.handle = count
        kernel.sched.callout(ENDS_NS, lambda: machine.stop(99))
        status = booted.run()
        seen = status, booted.told, kernel.clock.monotonic_ns(), exits, bytes(lwp.frame_bytes)
        lines = [line.split()[1] for line in booted.told]
        assert len(lines) == len(set(lines))  # one for each process
    finally:
        booted.close()
    assert kernel.lwps == 0
    assert not kernel.sched._sleeping
    assert kernel.phys.used == ENGINE_FRAMES
    assert not kernel.tree._vnodes
    assert time.monotonic() - began < TOO_LONG
    return seen
