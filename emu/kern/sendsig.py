"""Signals arriving: what an LWP does about them before it goes back to its program.

The second half of sys/kern/kern_sig.c, sendsig() and sigreturn() of
sys/platform/pc64/x86_64/machdep.c, and the end of a sleep (tsleep() in kern_synch.c).
"""

from contextlib import suppress

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.exec import PS_STRINGS_SIZE
from emu.abi.sigframe import RED_ZONE, McFpFormat, McOwnedFp, sigcode
from emu.abi.signal import (
    SIG_DFL,
    SIG_IGN,
    SIGSET_SIZE,
    Action,
    SaFlag,
    Signal,
    SsFlag,
    default_action,
)
from emu.abi.vkernel import Trap
from emu.abi.x86 import RFLAGS_USERCHANGE, U64_MASK, USER_CS, USER_SS, Pgex, Rflags
from emu.kern import vkernel
from emu.kern.exit import exit1
from emu.kern.proc import Lwp, SignalEvent
from emu.kern.sched import LwpState, Restart
from emu.kern.sigacts import ALL, STOP_SIGNALS, TTY_STOP_SIGNALS, UNMASKABLE, SigAction, bit, lowest
from emu.kern.signal import lwpsignal, proc_stop

_MAILBOX = int(Pgex.MAILBOX)
_MXCSR_AT = 24
_MXCSR_BITS = 0xFFBF
_FXSAVE_SIZE = 512
_RPL = 3


def trapsignal(lwp: Lwp, signal: int, code: int, why: str) -> None:
    """Send a signal that the LWP's own code has caused.

    It is delivered at once, with `code`, if it is caught and not masked.  `why` is for the user,
    should the process die of it.
    """
    lwp.fault = (signal, code, why)
    _leave_vmspace(lwp)
    member = bit(signal)
    if lwp.proc.sigacts.caught & member and not lwp.sigmask & member:
        _handler(lwp, signal)
    else:
        lwpsignal(lwp.proc, lwp, signal)


def userret(lwp: Lwp) -> None:
    """Take the signals that are pending, until there are none or the LWP cannot go on."""
    while lwp.state is LwpState.RUNNING and lwp.proc.alive and (signal := cursig(lwp)):
        postsig(lwp, signal)


def cursig(lwp: Lwp) -> int:
    """Return a signal that must be acted upon, 0 if there is none (CURSIG, issignal).

    What is to be ignored is forgotten, and what stops the process does so.
    """
    proc = lwp.proc
    while pending := _deliverable(lwp):
        signal = lowest(pending)
        handler = proc.sigacts.get(signal).handler
        if handler == SIG_DFL:
            match default_action(signal):
                case Action.STOP:
                    if not (bit(signal) & TTY_STOP_SIGNALS and proc.pgrp.orphaned):
                        _take(lwp, signal)
                        proc_stop(proc, signal)
                        return 0
                case Action.TERMINATE | Action.CORE:
                    return signal
        elif handler != SIG_IGN:
            return signal
        _take(lwp, signal)
    return 0


def signalled(lwp: Lwp) -> bool:
    """Is there a reason not to fall asleep, or to look at the signals before going on?"""
    return bool(_deliverable(lwp)) or lwp.proc.mailbox


def _deliverable(lwp: Lwp) -> int:
    pending = (lwp.pending | lwp.proc.pending) & ~lwp.sigmask
    # A child that its parent waits for in vfork does not stop.
    return pending & ~STOP_SIGNALS if lwp.proc.parent_waits else pending


def postsig(lwp: Lwp, signal: int) -> None:
    """Act upon a signal that cursig() has returned."""
    lwp.proc.notify(Note.SIGNAL, signal)
    _leave_vmspace(lwp)
    _take(lwp, signal)
    action = lwp.proc.sigacts.get(signal)
    if action.handler == SIG_DFL:
        sigexit(lwp, signal)
    elif action.flags & SaFlag.MAILBOX and lwp.proc.kernel.abi.mailbox:
        _mail(lwp, signal, action)
    else:
        _handler(lwp, signal)


def sigexit(lwp: Lwp, signal: int) -> None:
    """End the process because of `signal`, and say so where a kernel would, or a shell."""
    proc = lwp.proc
    proc.kernel.observe_signal(proc, lwp, signal, SignalEvent.ENDS)
    number, _, why = lwp.fault
    if number != signal:
        why = ""
    if default_action(signal) is Action.CORE or why:
        name = f"SIG{Signal(signal).name}" if signal in Signal.__members__.values() else signal
        proc.kernel.tell(f"process {proc.pid} ended by {name} {why}".rstrip())
    exit1(proc, signal=signal)


def interruption(lwp: Lwp, *, entering: bool) -> None:
    """Raise what breaks a sleep: KernelError(EINTR) or Restart (tsleep).

    A signal in its mailbox comes first, but not where the sleep is only being entered.
    """
    proc = lwp.proc
    mailbox, proc.mailbox = proc.mailbox, False
    signal = 0 if mailbox and not entering else cursig(lwp)
    if signal:
        if proc.sigacts.get(signal).flags & SaFlag.RESTART:
            raise Restart
        raise KernelError(Errno.EINTR, f"signal {signal}")
    if mailbox:
        raise KernelError(Errno.EINTR, "a signal is in its mailbox")


def _take(lwp: Lwp, signal: int) -> None:
    lwp.pending &= ~bit(signal)
    lwp.proc.pending &= ~bit(signal)


def _leave_vmspace(lwp: Lwp) -> None:
    """A signal ends the stay in a vmspace before it is acted upon (abi 7.7)."""
    if lwp.inside:
        lwp.frame.trapno = 0
        vkernel.leave(lwp)


def _mail(lwp: Lwp, signal: int, action: SigAction) -> None:
    """Put the signal's number into the program's mailbox (SA_MAILBOX)."""
    proc = lwp.proc
    proc.kernel.observe_signal(proc, lwp, signal, SignalEvent.MAILBOX)
    if action.flags & SaFlag.RESETHAND:
        proc.sigacts.reset(signal)
    with suppress(KernelError):  # nobody is told of a bad address
        proc.vmspace.copyout(action.handler, signal.to_bytes(4, "little"))
    proc.mailbox = True


def _handler(lwp: Lwp, signal: int) -> None:
    """Have the program's handler called."""
    proc = lwp.proc
    proc.kernel.observe_signal(proc, lwp, signal, SignalEvent.HANDLER)
    action = proc.sigacts.get(signal)
    if action.flags & SaFlag.RESETHAND:
        proc.sigacts.reset(signal)
    mask = lwp.sigmask if lwp.suspended_mask is None else lwp.suspended_mask
    lwp.suspended_mask = None
    lwp.sigmask |= action.mask
    if not action.flags & SaFlag.NODEFER:
        lwp.sigmask |= bit(signal)
    proc.usage.signals += 1
    number, code, _ = lwp.fault
    lwp.fault = (0, 0, "")
    _sendsig(lwp, action, signal, mask, code if number == signal else 0)


def _sendsig(lwp: Lwp, action: SigAction, signal: int, mask: int, code: int) -> None:
    """Put a frame on the program's stack, and go on in its handler when it runs again."""
    proc, frame, altstack = lwp.proc, lwp.frame, lwp.altstack
    abi = proc.kernel.abi
    sigframe = abi.sigframe()
    sigframe.sf_handler = action.handler
    ucontext = sigframe.sf_uc
    ucontext.uc_sigmask[:] = mask.to_bytes(SIGSET_SIZE, "little")
    ucontext.uc_stack.ss_sp = altstack.sp
    ucontext.uc_stack.ss_size = altstack.size
    ucontext.uc_stack.ss_flags = altstack.flags
    mcontext = ucontext.uc_mcontext
    mcontext.mc_onstack = altstack.in_use
    mcontext.mc_frame = frame
    mcontext.mc_len = len(bytes(mcontext))
    if proc.mailbox:
        mcontext.mc_frame.xflags |= _MAILBOX
    mcontext.mc_fpformat = McFpFormat.XMM
    mcontext.mc_ownedfp = McOwnedFp.FPU
    mcontext.mc_fpregs[:_FXSAVE_SIZE] = lwp.cpu.fp_save()
    if altstack.enabled and not altstack.in_use and action.flags & SaFlag.ONSTACK:
        stack = altstack.sp + altstack.size
        altstack.flags |= SsFlag.ONSTACK
    else:
        stack = frame.rsp - RED_ZONE
    at = (stack - len(bytes(sigframe))) & ~15 & U64_MASK
    frame.rdi = signal
    frame.rdx = at + abi.sigframe.sf_uc.offset
    frame.rcx = frame.addr
    if action.flags & SaFlag.SIGINFO:
        frame.rsi = at + abi.sigframe.sf_si.offset
        siginfo = sigframe.sf_si
        siginfo.si_signo = signal
        siginfo.si_code = code
        siginfo.si_addr = frame.addr
    else:
        frame.rsi = code
    try:
        proc.vmspace.copyout(at, bytes(sigframe))
    except KernelError as refusal:
        lwp.fault = (
            Signal.ILL,
            0,
            f"in its own vmspace: no room on the stack for signal {signal}: {refusal}",
        )
        sigexit(lwp, Signal.ILL)
        return
    frame.rsp = at
    frame.rip = abi.user_max - PS_STRINGS_SIZE - len(sigcode(abi.sigframe))
    frame.rflags &= ~(Rflags.T | Rflags.D)
    frame.cs, frame.ss = USER_CS, USER_SS
    lwp.cpu.fp_reset()
    lwp.cpu.load()


def sigreturn(lwp: Lwp, ucontext_at: int) -> None:
    """Go back to what a handler interrupted: registers, FP state, mask, stack.

    Raise KernelError with nothing changed: EFAULT; EINVAL for flags or a selector that are not a
    program's to set.
    """
    proc, abi = lwp.proc, lwp.proc.kernel.abi
    kind = abi.sigframe.UCONTEXT
    ucontext = proc.vmspace.copyin_struct(ucontext_at, kind)
    mcontext = ucontext.uc_mcontext
    new = mcontext.mc_frame
    new_flags = new.rflags & ~Rflags.VM
    if (new_flags ^ lwp.frame.rflags) & ~(RFLAGS_USERCHANGE | Rflags.RF) & U64_MASK:
        raise KernelError(Errno.EINVAL, f"flags {new.rflags:#x}")
    if new.cs & _RPL != _RPL:
        trapsignal(
            lwp,
            Signal.BUS,
            Trap.PROTFLT,
            f"in its own vmspace: sigreturn with selector {new.cs:#x}",
        )
        raise KernelError(Errno.EINVAL, f"selector {new.cs:#x}")
    lwp.frame_bytes[:] = bytes(new)
    if mcontext.mc_ownedfp == McOwnedFp.NONE:
        lwp.cpu.fp_reset()
    elif mcontext.mc_ownedfp in (McOwnedFp.FPU, McOwnedFp.PCB):
        lwp.cpu.fp_restore(_sane_fp(bytearray(mcontext.mc_fpregs[:_FXSAVE_SIZE])))
    if new.xflags & _MAILBOX and abi.mailbox:
        proc.mailbox = True
    if mcontext.mc_onstack & 1:
        lwp.altstack.flags |= SsFlag.ONSTACK
    else:
        lwp.altstack.flags &= ~SsFlag.ONSTACK
    lwp.sigmask = int.from_bytes(bytes(ucontext.uc_sigmask), "little") & ALL & ~UNMASKABLE
    proc.kernel.sched.attention = True
    lwp.cpu.load()


def _sane_fp(state: bytearray) -> bytes:
    """Return an FXSAVE image without the MXCSR bits that do not exist."""
    mxcsr = int.from_bytes(state[_MXCSR_AT : _MXCSR_AT + 4], "little") & _MXCSR_BITS
    state[_MXCSR_AT : _MXCSR_AT + 4] = mxcsr.to_bytes(4, "little")
    return bytes(state)
