"""Signals: what becomes of a process that has none of its own to catch them (sys/kern/kern_sig.c).

Handlers do not exist yet, so a signal's default action is taken at once.
"""

from emu.abi.signal import Action, Signal, default_action
from emu.kern import vkernel
from emu.kern.proc import Lwp


def post(lwp: Lwp, signal: Signal, why: str) -> None:
    """Deliver `signal` to `lwp`'s process; `why` is said to the user if the process dies of it."""
    if not lwp.proc.alive or default_action(signal) not in (Action.TERMINATE, Action.CORE):
        return
    where = "its own vmspace"
    if lwp.vkernel is not None and lwp.vkernel.inside is not None:
        # A signal ends the stay in a vmspace before it is acted on (abi 7.7).
        where = f"vmspace {lwp.vkernel.inside.id:#x}"
        lwp.frame.trapno = 0
        vkernel.leave(lwp)
    lwp.proc.killed_by = signal
    lwp.proc.kernel.tell(f"process {lwp.proc.pid} ended by SIG{signal.name} in {where}: {why}")
