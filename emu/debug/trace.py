"""A readable line for each event of a run, in the manner of strace.

An observer: it puts itself around the machine's handlers, looks at the registers before and after,
and changes nothing that the guest could see.  As soon as there is more than one process or LWP,
each line says whose it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from emu.abi.errno import Errno
from emu.abi.signal import Signal
from emu.abi.vkernel import SYSCALL_LENGTH, Trap
from emu.abi.x86 import U32_MASK, U64_MASK, Pgex, Rflags
from emu.cpu.engine import Exit
from emu.kern.proc import Lwp, Proc, SignalEvent
from emu.kern.sched import LwpState
from emu.machine import Machine
from emu.trap import hardware_says_write
from syscalls.args import Peek
from syscalls.table import INDIRECT, REGISTER_ARGUMENTS, TABLE

SYSCALLS = "syscalls"
TRAPS = "traps"
FAULTS = "faults"
SIGNALS = "signals"
EVENTS = (SYSCALLS, TRAPS, FAULTS, SIGNALS)
"""System calls; traps that become signals or go to a virtual kernel; faults resolved unseen;
signals that are delivered, end a process, stop or continue it."""

_INDENT = "    "
_ERRNO_NAMES = {errno.value: errno.name for errno in Errno}
_GUEST_REGISTERS = ("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9")

Handle = Callable[[Lwp, Exit], None]


@dataclass(slots=True)
class _Sleeper:
    """A system call that an LWP sleeps in."""

    call: str
    rip: int
    shown: bool = False


class Tracer:
    """Writes one line per event in `events`, indented while a vmspace runs.

    A system call that sleeps is one line at its end, unless something else is to be shown
    meanwhile: then it is two.
    """

    def __init__(self, write: Callable[[str], None], events: frozenset[str]) -> None:
        self._write = write
        self._events = events
        self._several = False
        self._sleepers: dict[Lwp, _Sleeper] = {}
        self._inside: set[Lwp] = set()
        self._handling = False
        self._later: list[tuple[Proc, Lwp | None, str]] = []  # signals of the event in hand

    def attach(self, machine: Machine) -> None:
        handle, resume = machine.handle, machine.resume

        def traced(lwp: Lwp, reason: Exit) -> None:
            self._handling = True
            inside = _inside(lwp)
            if reason is Exit.SYSCALL and inside is None:
                self._syscall(lwp, reason, handle)
            else:
                self._trap(lwp, reason, handle, inside)
            self._end_of_event()

        def resumed(lwp: Lwp) -> None:
            self._handling = True
            resume(lwp)
            self._resumed(lwp)
            self._end_of_event()

        machine.handle, machine.resume = traced, resumed
        machine.lwp.proc.kernel.signal_observers.append(self._signal)

    def finish(self) -> None:
        """The run is over: show the calls that nobody will come back from."""
        for lwp, sleeper in self._sleepers.items():
            if not sleeper.shown:
                self._put(lwp.proc, lwp, f"{sleeper.call} = ?")
        self._sleepers.clear()

    def _syscall(self, lwp: Lwp, reason: Exit, handle: Handle) -> None:
        call, rip = call_text(lwp), lwp.frame.rip
        handle(lwp, reason)
        entered = _inside(lwp)
        if entered is not None:
            self._inside.add(lwp)
        if SYSCALLS not in self._events:
            return
        if entered is not None:
            self._say(lwp, None, f"{call} → in vmspace {entered:#x}")
        elif lwp.call is not None:
            self._sleepers[lwp] = _Sleeper(call, rip)
        else:
            self._say(lwp, None, f"{call} = {_outcome(lwp, rip)}")

    def _resumed(self, lwp: Lwp) -> None:
        if lwp.call is not None:
            return
        sleeper = self._sleepers.pop(lwp, None)
        if sleeper is None:
            return
        result = _outcome(lwp, sleeper.rip)
        name = sleeper.call.partition("(")[0]
        call = f"<… {name} resumed>" if sleeper.shown else sleeper.call
        self._say(lwp, None, f"{call} = {result}")

    def _trap(self, lwp: Lwp, reason: Exit, handle: Handle, inside: int | None) -> None:
        if reason is Exit.PAGE_FAULT and not lwp.frame.err & (Pgex.I | Pgex.W):
            hardware_says_write(lwp)
        text = _guest_call(lwp) if reason is Exit.SYSCALL else trap_text(lwp)
        rip = lwp.frame.rip
        before = lwp.fault, lwp.proc.usage.signals
        handle(lwp, reason)
        left = inside is not None and _inside(lwp) is None
        if left:
            self._inside.discard(lwp)
        if lwp.proc.usage.signals != before[1]:
            outcome, event = f"handler of {signal_name(lwp.frame.rdi)}", TRAPS
        elif lwp.fault is not before[0]:
            outcome, event = signal_name(lwp.fault[0]), TRAPS
        elif left:
            outcome, event = "to the virtual kernel", TRAPS
        else:
            outcome, event = "resolved", FAULTS
        if (reason is Exit.SYSCALL and SYSCALLS in self._events) or event in self._events:
            self._say(lwp, inside, f"{text} at {rip:#x} → {outcome}")
        if event is TRAPS and inside is not None and SYSCALLS in self._events:
            self._say(lwp, None, f"vmspace_ctl(…) = {_result(lwp)}")

    def _signal(self, proc: Proc, lwp: Lwp | None, signal: int, event: SignalEvent) -> None:
        """A signal is about to take effect."""
        if not self._handling and lwp in self._inside and _inside(lwp) is None:
            self._inside.discard(lwp)
            if SYSCALLS in self._events:
                self._say(lwp, None, f"vmspace_ctl(…) = {_result(lwp)}")
        if SIGNALS not in self._events:
            return
        text = _signal_text(proc, lwp, signal, event)
        if self._handling:
            self._later.append((proc, lwp, text))
        else:
            self._put(proc, lwp, text)

    def _end_of_event(self) -> None:
        self._handling = False
        if self._later:
            for proc, lwp, text in self._later:
                self._put(proc, lwp, text)
            self._later.clear()

    def _say(self, lwp: Lwp, inside: int | None, text: str) -> None:
        prefix = "" if inside is None else f"{_INDENT}[{inside:#x}] "
        self._put(lwp.proc, lwp, f"{prefix}{text}")

    def _put(self, proc: Proc, lwp: Lwp | None, text: str) -> None:
        """Write a line, and before it the calls that others sleep in, if they are not shown yet."""
        for sleeping, sleeper in self._sleepers.items():
            if not sleeper.shown and sleeping is not lwp:
                sleeper.shown = True
                self._write(f"{self._whose(sleeping.proc, sleeping)}{sleeper.call} <unfinished …>")
        self._write(f"{self._whose(proc, lwp)}{text}")

    def _whose(self, proc: Proc, lwp: Lwp | None) -> str:
        kernel = proc.kernel
        if len(kernel.procs) > 1 or kernel.lwps > 1:
            self._several = True
        if not self._several:
            return ""
        if lwp is None or (lwp.tid == 0 and len(proc.lwps) <= 1):
            return f"[{proc.pid}] "
        return f"[{proc.pid}:{lwp.tid}] "


def call_text(lwp: Lwp) -> str:
    """Return the system call in `lwp`'s registers as C would write it."""
    frame = lwp.frame
    number, first = frame.rax & U32_MASK, 0
    if number in INDIRECT:
        number, first = frame.rdi & U32_MASK, 1
    call = TABLE.get(number)
    if call is None:
        return f"syscall_{number}()"
    words = lwp.words[first:REGISTER_ARGUMENTS].tolist()
    missing = len(call.args) - len(words)
    if missing > 0:
        stack = lwp.vmspace.peek(frame.rsp + 8 & U64_MASK, 8 * missing)
        if stack is None:
            return f"{call.name}(… arguments at {frame.rsp + 8:#x})"
        words += memoryview(stack).cast("Q").tolist()
    peek: Peek = lwp.vmspace.peek
    shown = [
        kind.show(kind.decode(word) if kind.decode else word, peek)
        for word, (name, kind) in zip(words, call.args.items(), strict=False)
        if name != "pad"
    ]
    return f"{call.name}({', '.join(shown)})"


def trap_text(lwp: Lwp) -> str:
    """Return the trap in `lwp`'s frame in words."""
    frame = lwp.frame
    name = f"T_{Trap(frame.trapno).name}"
    if frame.trapno != Trap.PAGEFLT:
        return name if frame.err == 0 else f"{name} (err {frame.err:#x})"
    if frame.err & Pgex.I:
        verb = "fetch"
    elif frame.err & Pgex.W:
        verb = "write"
    else:
        verb = "read"
    return f"{name} {verb} {frame.addr:#x} (err {frame.err:#x})"


def _guest_call(lwp: Lwp) -> str:
    registers = ", ".join(f"{name} {getattr(lwp.frame, name):#x}" for name in _GUEST_REGISTERS)
    return f"T_FAST_SYSCALL ({registers})"


def signal_name(number: int) -> str:
    name = _SIGNAL_NAMES.get(number)
    return f"SIG{name}" if name else f"signal {number}"


_SIGNAL_NAMES = {signal.value: signal.name for signal in Signal}


def _signal_text(proc: Proc, lwp: Lwp | None, signal: int, event: SignalEvent) -> str:
    text = signal_name(signal)
    if lwp is not None and lwp.fault[0] == signal:
        text += f" {{code {lwp.fault[1]}"
        if signal in (Signal.SEGV, Signal.BUS):
            text += f", addr {lwp.frame.addr:#x}"
        text += "}"
    action = proc.sigacts.get(signal)
    match event:
        case SignalEvent.HANDLER:
            text += f" → handler {action.handler:#x}"
        case SignalEvent.MAILBOX:
            text += f" → mailbox {action.handler:#x}"
        case SignalEvent.ENDS:
            text += " → ends the process"
        case SignalEvent.STOPS:
            text += " → stops the process"
        case SignalEvent.CONTINUES:
            text += " → continues the process"
    return f"--- {text} ---"


def _outcome(lwp: Lwp, rip: int) -> str:
    """Return what a system call that is over returned; `rip` is where the program called it."""
    if not lwp.proc.alive or lwp.state is LwpState.GONE:
        return "?"
    if lwp.frame.rip == rip - SYSCALL_LENGTH:
        return "? (to be made again)"
    return _result(lwp)


def _result(lwp: Lwp) -> str:
    frame = lwp.frame
    if frame.rflags & Rflags.C:
        return f"-1 {_ERRNO_NAMES.get(frame.rax, frame.rax)}"
    return str(frame.rax) if frame.rax < 1 << 16 else hex(frame.rax)


def _inside(lwp: Lwp) -> int | None:
    if lwp.inside is None:
        return None
    return lwp.inside.id
