"""A readable line for each event of a run, in the manner of strace.

An observer: it puts itself around the machine's handler, looks at the registers before and after,
and changes nothing that the guest could see.
"""

from collections.abc import Callable

from emu.abi.errno import Errno
from emu.abi.signal import Signal
from emu.abi.vkernel import Trap
from emu.abi.x86 import U32_MASK, U64_MASK, Pgex, Rflags
from emu.cpu.engine import Exit
from emu.kern.proc import Lwp
from emu.trap import hardware_says_write
from syscalls.args import Peek
from syscalls.table import INDIRECT, REGISTER_ARGUMENTS, TABLE

SYSCALLS = "syscalls"
TRAPS = "traps"
FAULTS = "faults"
EVENTS = (SYSCALLS, TRAPS, FAULTS)
"""System calls; traps that end a process or go to a virtual kernel; faults resolved unseen."""

_INDENT = "    "
_ERRNO_NAMES = {errno.value: errno.name for errno in Errno}
_GUEST_REGISTERS = ("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9")

Handle = Callable[[Lwp, Exit], None]


class Tracer:
    """Writes one line per event in `events`, indented while a vmspace runs."""

    def __init__(self, write: Callable[[str], None], events: frozenset[str]) -> None:
        self._write = write
        self._events = events

    def around(self, handle: Handle) -> Handle:
        def traced(lwp: Lwp, reason: Exit) -> None:
            inside = _inside(lwp)
            if reason is Exit.SYSCALL and inside is None:
                self._syscall(lwp, reason, handle)
            else:
                self._trap(lwp, reason, handle, inside)

        return traced

    def _syscall(self, lwp: Lwp, reason: Exit, handle: Handle) -> None:
        call = call_text(lwp)
        ends = call.startswith(("exit(", "extexit("))
        handle(lwp, reason)
        if SYSCALLS not in self._events:
            return
        entered = _inside(lwp)
        if entered is not None:
            self._say(None, f"{call} → in vmspace {entered:#x}")
        elif ends and not lwp.proc.alive:
            self._say(None, f"{call} = ?")
        else:
            self._say(None, f"{call} = {_result(lwp)}")

    def _trap(self, lwp: Lwp, reason: Exit, handle: Handle, inside: int | None) -> None:
        if reason is Exit.PAGE_FAULT:
            lwp.cpu.store()
            if not lwp.frame.err & (Pgex.I | Pgex.W):
                hardware_says_write(lwp)
        text = _guest_call(lwp) if reason is Exit.SYSCALL else trap_text(lwp)
        rip = lwp.frame.rip
        signals, fault = lwp.proc.usage.signals, lwp.fault
        handle(lwp, reason)
        if lwp.proc.usage.signals != signals:
            outcome, event = f"handler of {_signal_name(lwp.frame.rdi)}", TRAPS
        elif lwp.fault is not fault:
            outcome, event = _signal_name(lwp.fault[0]), TRAPS
        elif inside is not None and _inside(lwp) is None:
            outcome, event = "to the virtual kernel", TRAPS
        else:
            outcome, event = "resolved", FAULTS
        if (reason is Exit.SYSCALL and SYSCALLS in self._events) or event in self._events:
            self._say(inside, f"{text} at {rip:#x} → {outcome}")
        if event is TRAPS and inside is not None and SYSCALLS in self._events:
            self._say(None, f"vmspace_ctl(…) = {_result(lwp)}")

    def _say(self, inside: int | None, text: str) -> None:
        prefix = "" if inside is None else f"{_INDENT}[{inside:#x}] "
        self._write(f"{prefix}{text}")


def call_text(lwp: Lwp) -> str:
    """Return the system call in `lwp`'s registers as C would write it."""
    frame = lwp.frame
    number, first = frame.rax & U32_MASK, 0
    if number in INDIRECT:
        number, first = frame.rdi & U32_MASK, 1
    call = TABLE.get(number)
    if call is None:
        return f"syscall_{number}()"
    words = lwp.arguments[first:REGISTER_ARGUMENTS].tolist()
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


def _signal_name(number: int) -> str:
    return f"SIG{Signal(number).name}"


def _result(lwp: Lwp) -> str:
    frame = lwp.frame
    if frame.rflags & Rflags.C:
        return f"-1 {_ERRNO_NAMES.get(frame.rax, frame.rax)}"
    return str(frame.rax) if frame.rax < 1 << 16 else hex(frame.rax)


def _inside(lwp: Lwp) -> int | None:
    if lwp.vkernel is None or lwp.vkernel.inside is None:
        return None
    return lwp.vkernel.inside.id
