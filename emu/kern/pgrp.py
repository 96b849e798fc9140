"""Process groups and sessions: who is in which, and which groups nobody could continue any more.

The job control half of sys/kern/kern_proc.c.
"""

from emu.abi.signal import Signal
from emu.kern.proc import Pgrp, Proc, Session
from emu.kern.signal import ksignal


def enter_group(proc: Proc, pgid: int) -> None:
    """Move `proc` to the group `pgid`, which is made, in the same session, if need be."""
    pgrps = proc.kernel.pgrps
    pgrp = pgrps.get(pgid)
    if pgrp is None:
        pgrp = pgrps[pgid] = Pgrp(pgid, proc.pgrp.session)
    if pgrp is not proc.pgrp:
        _move(proc, pgrp)


def new_session(proc: Proc) -> None:
    """Make `proc` the leader of a new session without a terminal, and of its only group."""
    session = Session(proc.pid, proc, login=proc.pgrp.session.login)
    pgrp = proc.kernel.pgrps[proc.pid] = Pgrp(proc.pid, session)
    _move(proc, pgrp)
    proc.controlled = False


def leave_group(proc: Proc) -> None:
    """Take `proc` out of its group, which goes with its last member (leavepgrp)."""
    pgrp = proc.pgrp
    del pgrp.members[proc]
    if not pgrp.members:
        del proc.kernel.pgrps[pgrp.id]
        if pgrp.session.foreground is pgrp:
            pgrp.session.foreground = None


def fixjobc(proc: Proc, pgrp: Pgrp, entering: bool) -> None:
    """`proc` enters or leaves `pgrp`: count who could continue whom.

    A process could continue its children in other groups of its session.
    """
    parent = proc.parent
    if parent is not None and parent.pgrp is not pgrp and parent.pgrp.session is pgrp.session:
        _count(pgrp, entering)
    for child in proc.children:
        group = child.pgrp
        if child.alive and group is not pgrp and group.session is pgrp.session:
            _count(group, entering)


def _move(proc: Proc, pgrp: Pgrp) -> None:
    # In this order, so that no group seems to be orphaned meanwhile.
    fixjobc(proc, pgrp, entering=True)
    fixjobc(proc, proc.pgrp, entering=False)
    leave_group(proc)
    proc.pgrp = pgrp
    pgrp.members[proc] = None


def _count(pgrp: Pgrp, entering: bool) -> None:
    pgrp.jobc += 1 if entering else -1
    if not entering and pgrp.orphaned:
        _orphaned(pgrp)


def _orphaned(pgrp: Pgrp) -> None:
    """If a member is stopped, nobody will continue it: hang the group up (orphanpg)."""
    if any(proc.stopped and proc.alive for proc in pgrp.members):
        for proc in list(pgrp.members):
            ksignal(proc, Signal.HUP)
            ksignal(proc, Signal.CONT)
