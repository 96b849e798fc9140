"""Signals arriving: what an LWP does about them before it goes back to its program.

The second half of sys/kern/kern_sig.c, sendsig() and sigreturn() of
sys/platform/pc64/x86_64/machdep.c, and the end of a sleep (tsleep() in kern_synch.c).
"""

from contextlib import suppress

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.exec import PS_STRINGS_SIZE
from emu.abi.sigframe import RED_ZONE, SIGCODE_SIZE, McFpFormat, McOwnedFp
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
from emu.kern.sched import LwpState, Restart, Sleep
from emu.kern.sigacts import STOP_SIGNALS, TTY_STOP_SIGNALS, UNMASKABLE, SigAction, bit, lowest
from emu.kern.signal import lwpsignal, proc_stop

_MAILBOX = int(Pgex.MAILBOX)
_MXCSR_AT = 24
_MXCSR_BITS = 0xFFBF
_FXSAVE_SIZE = 512
_RPL = 3

# Plain integers: members of an IntFlag are slow, and to invert one leaves out the bits that have
# no name.
_RESTART = int(SaFlag.RESTART)
_RESETHAND = int(SaFlag.RESETHAND)
_NODEFER = int(SaFlag.NODEFER)
_SIGINFO = int(SaFlag.SIGINFO)
_SA_ONSTACK = int(SaFlag.ONSTACK)
_SA_MAILBOX = int(SaFlag.MAILBOX)
_SS_ONSTACK = int(SsFlag.ONSTACK)
_NO_T_D = U64_MASK & ~int(Rflags.T | Rflags.D)
_NO_VM = U64_MASK & ~int(Rflags.VM)
_NOT_A_PROGRAMS = U64_MASK & ~int(RFLAGS_USERCHANGE | Rflags.RF)


def trapsignal(lwp: Lwp, signal: int, code: int, why: str) -> None:
    """Send a signal that the LWP's own code has caused.

    It is delivered at once, with `code`, if it is caught and not masked.  `why` is for the user,
    should the process die of it.
    """
    lwp.fault = (signal, code, why)
    _leave_vmspace(lwp)
    member = bit(signal)
    if lwp.proc.sigacts.caught & member and not lwp.sigmask & member:
        _handler(lwp, signal, lwp.sigmask, code)
    else:
        lwp.posted = (signal, code)
        lwpsignal(lwp.proc, lwp, signal)


def userret(lwp: Lwp) -> None:
    """Take the signals that are pending, until there are none or the LWP cannot go on."""
    while lwp.state is LwpState.RUNNING and lwp.proc.alive and (signal := cursig(lwp)):
        postsig(lwp, signal)
    if lwp.returns_fast and lwp.state is LwpState.RUNNING:
        lwp.return_fast()
        lwp.cpu.load()


def cursig(lwp: Lwp) -> int:
    """Return a signal that must be acted upon, 0 if there is none (CURSIG, issignal).

    What is to be ignored is forgotten, and what stops the process does so.
    """
    proc = lwp.proc
    while pending := may_take(lwp) & ~lwp.sigmask:
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


def may_take(lwp: Lwp) -> int:
    """Return the signals that wait for nothing but the mask."""
    pending = lwp.pending | lwp.proc.pending
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
    elif action.flags & _SA_MAILBOX:
        _mail(lwp, signal, action)
    else:
        mask = lwp.sigmask if lwp.suspended_mask is None else lwp.suspended_mask
        lwp.suspended_mask = None
        code = 0
        if lwp.posted[0] == signal:
            code = lwp.posted[1]
            lwp.posted = (0, 0)
        _handler(lwp, signal, mask, code)


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


def tsleep(lwp: Lwp, sleep: Sleep) -> bool | None:
    """Fall asleep or, if that was before, tell how the sleep ended: False for its deadline.

    Return None while there is nothing to tell: the LWP sleeps, or its process is stopped.
    Raise KernelError(EINTR) or Restart if a signal breaks the sleep.  One that is in its mailbox
    does so too, and is forgotten at the end of any sleep.
    """
    proc = lwp.proc
    if not sleep.begun:
        sleep.begun = True
        before = lwp.state
        signal = cursig(lwp) if sleep.interruptible else 0
        if lwp.state is not before:
            return None  # stopped: the sleep is over once the process goes on
        if not signal and not (proc.mailbox and sleep.interruptible):
            proc.kernel.sched.sleep(lwp, sleep)
            return None
    elif sleep.timed_out or not sleep.interruptible:
        proc.mailbox = False
        return not sleep.timed_out
    else:
        signal = 0 if proc.mailbox else cursig(lwp)
        if lwp.state is LwpState.STOPPED:
            return None
    mailbox, proc.mailbox = proc.mailbox, False
    if signal:
        if proc.sigacts.get(signal).flags & _RESTART:
            raise Restart
        raise KernelError(Errno.EINTR, f"signal {signal}")
    if mailbox:
        raise KernelError(Errno.EINTR, "a signal is in its mailbox")
    return True


def _take(lwp: Lwp, signal: int) -> None:
    lwp.pending &= ~bit(signal)
    lwp.proc.pending &= ~bit(signal)


def _leave_vmspace(lwp: Lwp) -> None:
    """A signal ends the stay in a vmspace before it is acted upon (abi 7.7)."""
    if lwp.inside is not None:
        lwp.frame.trapno = 0
        vkernel.leave(lwp)


def _mail(lwp: Lwp, signal: int, action: SigAction) -> None:
    """Put the signal's number into the program's mailbox (SA_MAILBOX)."""
    proc = lwp.proc
    proc.kernel.observe_signal(proc, lwp, signal, SignalEvent.MAILBOX)
    if action.flags & _RESETHAND:
        proc.sigacts.reset(signal)
    with suppress(KernelError):  # nobody is told of a bad address
        proc.vmspace.copyout(action.handler, signal.to_bytes(4, "little"))
    proc.mailbox = True


def _handler(lwp: Lwp, signal: int, mask: int, code: int) -> None:
    """Have the program's handler called, and `mask` restored after it."""
    proc = lwp.proc
    proc.kernel.observe_signal(proc, lwp, signal, SignalEvent.HANDLER)
    action = proc.sigacts.get(signal)
    if action.flags & _RESETHAND:
        proc.sigacts.reset(signal)
    lwp.sigmask |= action.mask
    if not action.flags & _NODEFER:
        lwp.sigmask |= bit(signal)
    proc.usage.signals += 1
    if lwp.fault[0] == signal:
        lwp.fault = (0, 0, "")
    _sendsig(lwp, action, signal, mask, code)


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
    mcontext.mc_len = memoryview(mcontext).nbytes
    if proc.mailbox:
        mcontext.mc_frame.xflags |= _MAILBOX
    mcontext.mc_fpformat = McFpFormat.XMM
    mcontext.mc_ownedfp = McOwnedFp.FPU
    mcontext.mc_fpregs[:_FXSAVE_SIZE] = lwp.cpu.fp_save()
    if altstack.enabled and not altstack.in_use and action.flags & _SA_ONSTACK:
        stack = altstack.sp + altstack.size
        altstack.flags |= _SS_ONSTACK
    else:
        stack = frame.rsp - RED_ZONE
    image = memoryview(sigframe).cast("B")
    at = (stack - len(image)) & ~15 & U64_MASK
    frame.rdi = signal
    frame.rdx = at + abi.sigframe.sf_uc.offset
    frame.rcx = frame.addr
    if action.flags & _SIGINFO:
        frame.rsi = at + abi.sigframe.sf_si.offset
        siginfo = sigframe.sf_si
        siginfo.si_signo = signal
        siginfo.si_code = code
        siginfo.si_addr = frame.addr
    else:
        frame.rsi = code
    try:
        proc.vmspace.copyout(at, image)
    except KernelError as refusal:
        lwp.fault = (
            Signal.ILL,
            0,
            f"in its own vmspace: no room on the stack for signal {signal}: {refusal}",
        )
        sigexit(lwp, Signal.ILL)
        return
    frame.rsp = at
    frame.rip = abi.user_max - PS_STRINGS_SIZE - SIGCODE_SIZE
    frame.rflags &= _NO_T_D
    frame.cs, frame.ss = USER_CS, USER_SS
    lwp.returns_fast = False
    cpu = lwp.cpu
    cpu.fp_trap = False
    cpu.fp_reset()
    cpu.load()


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
    if (new.rflags & _NO_VM ^ lwp.frame.rflags) & _NOT_A_PROGRAMS:
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
        lwp.cpu.fp_trap = False
        lwp.cpu.fp_reset()
    elif mcontext.mc_ownedfp in (McOwnedFp.FPU, McOwnedFp.PCB):
        _fp_restore(lwp, bytearray(mcontext.mc_fpregs[:_FXSAVE_SIZE]))
    if new.xflags & _MAILBOX and abi.mailbox:
        proc.mailbox = True
    if mcontext.mc_onstack & 1:
        lwp.altstack.flags |= _SS_ONSTACK
    else:
        lwp.altstack.flags &= ~_SS_ONSTACK
    lwp.sigmask = int.from_bytes(bytes(ucontext.uc_sigmask), "little") & ~UNMASKABLE
    if (lwp.pending | proc.pending) & ~lwp.sigmask:
        proc.kernel.sched.attention = True
    lwp.cpu.load()


def _fp_restore(lwp: Lwp, state: bytearray) -> None:
    """Load an FXSAVE image from a program.  MXCSR bits that do not exist are left out.

    Using such a state is punished: see fp_trap() (npxpop).
    """
    mxcsr = int.from_bytes(state[_MXCSR_AT : _MXCSR_AT + 4], "little")
    state[_MXCSR_AT : _MXCSR_AT + 4] = (mxcsr & _MXCSR_BITS).to_bytes(4, "little")
    lwp.cpu.fp_restore(bytes(state))
    lwp.cpu.fp_trap = mxcsr & ~_MXCSR_BITS != 0


def fp_trap(lwp: Lwp) -> None:
    """The LWP uses an FP state that sigreturn has loaded with a wrong MXCSR: SIGFPE (npxdna)."""
    lwp.cpu.fp_trap = False
    lwp.fault = (
        Signal.FPE,
        0,
        "in its own vmspace: sigreturn with MXCSR bits that do not exist",
    )
    lwpsignal(lwp.proc, lwp, Signal.FPE)
