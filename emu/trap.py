"""What to do with each way out of the engine (sys/platform/pc64/x86_64/trap.c).

An event of a process's own code is a system call, a fault to resolve, or a signal.  One of a
virtual kernel's guest is resolved unseen, or reflected: the virtual kernel gets the registers.
"""

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe
from emu.abi.mman import Prot
from emu.abi.signal import BusCode, FpeCode, IllCode, SegvCode, Signal, TrapCode
from emu.abi.vkernel import Trap
from emu.abi.x86 import PAGE_MASK, PAGE_SIZE, U64_MASK, Pgex, Pte, Rflags
from emu.cpu.engine import Exit
from emu.disasm import instruction_text, memory_access, writes_its_memory_operand
from emu.kern import vkernel
from emu.kern.proc import Lwp
from emu.kern.sched import LwpState
from emu.kern.sendsig import fp_trap, trapsignal
from emu.kern.signal import lwpsignal
from emu.vm.vm_object import KernReturn
from syscalls import table

_PRESENT = int(Pgex.P)
_WRITE_FAULT = int(Pgex.W)
_FETCH = int(Pgex.I)
_RW = int(Pte.RW)
_READ = int(Prot.READ)
_WRITE = int(Prot.WRITE)
_EXEC = int(Prot.EXEC)
_READ_WRITE = _READ | _WRITE
_TRACE = int(Rflags.T)
_ADDR, _ERR, _RFLAGS = map(TRAPFRAME_FIELDS.index, ("addr", "err", "rflags"))
_NO_TRACE = U64_MASK & ~_TRACE
_SUCCESS = KernReturn.SUCCESS
_SYSCALL = Exit.SYSCALL
_PAGE_FAULT = Exit.PAGE_FAULT
_LONGEST_INSTRUCTION = 15
_LAST_USER_BYTE = 0x7FFF_FFFF_FFFF

SIGNALS: dict[int, tuple[Signal, int]] = {
    Trap.PRIVINFLT: (Signal.ILL, IllCode.PRVOPC),
    Trap.BPTFLT: (Signal.TRAP, TrapCode.TRACE),
    Trap.ARITHTRAP: (Signal.FPE, FpeCode.NONE),
    Trap.PROTFLT: (Signal.BUS, BusCode.OBJERR),
    Trap.TRCTRAP: (Signal.TRAP, TrapCode.TRACE),
    Trap.ALIGNFLT: (Signal.BUS, BusCode.OBJERR),
    Trap.DIVIDE: (Signal.FPE, FpeCode.INTDIV),
    Trap.OFLOW: (Signal.FPE, FpeCode.INTOVF),
    Trap.BOUND: (Signal.FPE, FpeCode.FLTSUB),
    Trap.FPOPFLT: (Signal.ILL, IllCode.COPROC),
    Trap.TSSFLT: (Signal.BUS, BusCode.OBJERR),
    Trap.SEGNPFLT: (Signal.BUS, BusCode.ADRERR),
    Trap.STKFLT: (Signal.BUS, BusCode.OBJERR),
    Trap.MCHK: (Signal.BUS, BusCode.OBJERR),
    Trap.XMMFLT: (Signal.FPE, FpeCode.NONE),
    Trap.RESERVED: (Signal.BUS, BusCode.OBJERR),
}
"""The signal and code of each trap of a process's own code (abi 3.4), in the 2011 version."""


def handle(lwp: Lwp, reason: Exit) -> None:
    """Do what `reason` asks for, and leave the registers to go on with in the engine."""
    if reason is _SYSCALL:
        _syscall(lwp)
    elif reason is _PAGE_FAULT:
        _page_fault(lwp)
    elif reason is Exit.INTERRUPTED:
        lwp.proc.kernel.sched.attention = True
    elif reason is Exit.TRAP:
        frame = lwp.frame
        if frame.trapno == Trap.PROTFLT and _runs_off_the_end(frame):
            earlier = _catch_up(lwp)
            if earlier is not Exit.TRAP or frame.trapno != Trap.PROTFLT:
                handle(lwp, earlier)
                return
        if frame.trapno in (Trap.TRCTRAP, Trap.BPTFLT):
            frame.rflags &= _NO_TRACE
        if frame.trapno == Trap.DNA and lwp.inside is None:
            fp_trap(lwp)
        else:
            _unresolved(lwp, None)


def resume(lwp: Lwp) -> None:
    """Go on with the system call that `lwp` has slept in, until it is done or sleeps again."""
    traced = lwp.frame.rflags & _TRACE
    table.resume(lwp)
    if traced:
        _single_stepped(lwp)


def _syscall(lwp: Lwp) -> None:
    traced = lwp.words[_RFLAGS] & _TRACE
    if traced:
        lwp.proc.kernel.sched.attention = True  # there will be a signal to look at
    if lwp.inside is not None:
        vkernel.leave(lwp)
    else:
        table.dispatch(lwp)
    if traced:
        _single_stepped(lwp)


def _single_stepped(lwp: Lwp) -> None:
    """A system call was made with T set: if it is over, whoever runs next loses T.

    The process gets SIGTRAP, which need not be the one that was being stepped (abi 7.8).
    """
    if lwp.call is not None or lwp.state is LwpState.GONE or not lwp.proc.alive:
        return
    lwp.frame.rflags &= _NO_TRACE
    lwp.cpu.load()
    why = f"in {_where(lwp)}: a system call was single-stepped"
    trapsignal(lwp, Signal.TRAP, TrapCode.TRACE, why)


def _page_fault(lwp: Lwp) -> None:
    """Resolve the fault, in which case nobody knows of it, or pass it on."""
    words = lwp.words
    va, err = words[_ADDR], words[_ERR]
    space = lwp.vmspace
    if err & _FETCH:
        if err & _PRESENT and space.pmap.allow_execute(va):
            return
        access = _EXEC
    elif err & _WRITE_FAULT:
        access = _WRITE
    else:
        access = _READ
        entry = space.map.lookup(va)
        # The engine reports the read of a read-modify-write; hardware, at once, the write.
        # Elsewhere the difference cannot be seen.
        if (
            entry is None or entry.vpagetable or entry.prot & _READ_WRITE != _READ_WRITE
        ) and hardware_says_write(lwp):
            access = _WRITE
            va = _first_to_write(lwp, va)
    try:
        result = space.fault(va, access)
    except KernelError as error:
        _out_of_memory(lwp, va, error)
        return
    if result is _SUCCESS:
        lwp.proc.usage.minor_faults += 1
        return
    if access == _READ and hardware_says_write(lwp) and _first_to_write(lwp, va) != va:
        _page_fault(lwp)  # the frame is that of the write now
        return
    frame = lwp.frame
    if err & _FETCH and (va ^ frame.rip) > PAGE_MASK and not frame.rflags & _TRACE:
        earlier = _catch_up(lwp)
        if earlier is not Exit.PAGE_FAULT or (frame.addr, frame.err & _FETCH) != (va, _FETCH):
            handle(lwp, earlier)
            return
    _unresolved(lwp, result)


def _out_of_memory(lwp: Lwp, va: int, error: KernelError) -> None:
    """There is no memory for the page at `va`: that is the end of the process."""
    what = "disk" if error.errno is Errno.ENOSPC else "memory"
    lwp.fault = (Signal.KILL, 0, f"in {_where(lwp)}: out of {what} for the page at {va:#x}")
    lwpsignal(lwp.proc, lwp, Signal.KILL)


def _first_to_write(lwp: Lwp, va: int) -> int:
    """Return where an operand that is to be read and written faults first, if its read did at `va`.

    The engine reads all of an operand before it writes; hardware checks for both from its first
    byte on.  That may be in the page before, which can only be read.  The frame, which is complete,
    then says so.
    """
    if va & PAGE_MASK:
        return va
    frame = lwp.frame
    operand = memory_access(_code(lwp), frame.rip, lambda name: int(getattr(frame, name)))
    if operand is None:
        return va
    start = operand.at
    if operand.segment:
        start += lwp.bases.fs_base if operand.segment == "fs" else lwp.bases.gs_base
    start &= U64_MASK
    if not start < va < start + operand.size or lwp.vmspace.pmap.lookup(start) & _RW:
        return va
    frame.addr = start
    frame.err |= _PRESENT
    return start


def _runs_off_the_end(frame: Trapframe) -> bool:
    """Tell whether a protection fault may be that of fetching from beyond the user's half."""
    return frame.rip | PAGE_MASK == _LAST_USER_BYTE and not (frame.err or frame.rflags & _TRACE)


def _catch_up(lwp: Lwp) -> Exit:
    """Make up for a fetch that failed before its turn; return what happens first (see CpuEngine).

    It matters only where the failure is reported.  One that is resolved is not noticed, and what
    precedes it is executed then.
    """
    return lwp.cpu.catch_up(lwp.vmspace.pmap.cr3)


def hardware_says_write(lwp: Lwp) -> bool:
    """Correct the error code of a read fault in a complete frame; return whether it is a write."""
    if not writes_its_memory_operand(_code(lwp)):
        return False
    lwp.frame.err |= _WRITE_FAULT
    return True


def _code(lwp: Lwp) -> bytes:
    """Return the instruction at rip, with what follows it, as far as it can be had."""
    rip = lwp.frame.rip
    code = lwp.vmspace.peek(rip, _LONGEST_INSTRUCTION)
    if code is None:
        code = lwp.vmspace.peek(rip, min(PAGE_SIZE - (rip & PAGE_MASK), _LONGEST_INSTRUCTION))
    return code or b""


def _unresolved(lwp: Lwp, result: KernReturn | None) -> None:
    """Reflect the trap in the frame, or post its signal.  `result` is the page fault's, if any."""
    if lwp.inside is not None:
        vkernel.leave(lwp)
        return
    signal, code = _signal_of(lwp, result)
    trapsignal(lwp, signal, code, f"in {_where(lwp)}: {_explain(lwp, result)}")


def _where(lwp: Lwp) -> str:
    """Return the address space the LWP is in, for a person."""
    if lwp.inside is None:
        return "its own vmspace"
    return f"vmspace {lwp.inside.id:#x}"


def _signal_of(lwp: Lwp, result: KernReturn | None) -> tuple[Signal, int]:
    trapno = lwp.frame.trapno
    abi = lwp.proc.kernel.abi
    if result is KernReturn.PROTECTION_FAILURE:
        return abi.protection_fault
    if result is not None:
        return Signal.SEGV, SegvCode.MAPERR
    sig, code = SIGNALS[trapno]
    if trapno == Trap.BPTFLT:
        code = abi.breakpoint_code
    elif trapno == Trap.STKFLT:
        code = abi.stack_fault_code
    return sig, code


def _explain(lwp: Lwp, result: KernReturn | None) -> str:
    """Return what happened, for a person: the instruction, the address, the reason."""
    frame = lwp.frame
    if frame.trapno == Trap.BPTFLT:
        what = "after int3"  # the instruction at rip has nothing to do with it
    else:
        code = _code(lwp)
        what = instruction_text(code, frame.rip) if code else "no code"
    text = f"T_{Trap(frame.trapno).name} at {frame.rip:#x} ({what})"
    if result is None:
        return text
    if frame.err & _FETCH:
        verb, needed = "fetch from", Prot.EXEC if lwp.proc.kernel.abi.execute_checked else Prot.READ
    elif frame.err & _WRITE_FAULT:
        verb, needed = "write to", Prot.WRITE
    else:
        verb, needed = "read of", Prot.READ
    entry = lwp.vmspace.map.lookup(frame.addr)
    if entry is None:
        why = "nothing is mapped there"
    elif result is KernReturn.FAILURE:
        why = "the virtual page table refuses"
    elif entry.prot & needed:
        why = "past the end of the object"
    else:
        why = "the mapping does not allow it"
    return f"{text}: {verb} {frame.addr:#x}: {why}"
