"""Waiting for many things at once (sys/kern/kern_event.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.event import EV_SYSFLAGS, KQ_NEVENTS, Ev
from emu.abi.fcntl import Open
from emu.abi.structs import KEVENT_SIZE, Kevent, Timespec
from emu.abi.x86 import U64_MASK
from emu.kern import kqueue as kern_event
from emu.kern.file import File
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart, Sleep
from syscalls.args import Fd, Int, Ptr

_SECOND = 1_000_000_000
_LONGEST = 24 * 60 * 60 * _SECOND
"""The original does not sleep longer than a day."""


def kqueue(lwp: Lwp) -> int:
    """Return a descriptor for a new queue of events."""
    proc = lwp.proc
    queue = kern_event.Kqueue(proc.kernel, proc.files)
    return proc.files.add(File(queue, Open.RDWR))


def kevent(
    lwp: Lwp,
    fd: Fd,
    changelist: Ptr,
    nchanges: Int,
    eventlist: Ptr,
    nevents: Int,
    timeout: Ptr,
) -> Blocking[int]:
    """Change what the queue watches; then wait for events, at most `timeout` unless it is NULL.

    A change that is refused becomes an event with EV_ERROR, however many may be stored; all the
    changes are tried, and then nothing is waited for.  Where it cannot be stored the call fails
    with what refused the change.
    """
    limit = lwp.vmspace.copyin_struct(timeout, Timespec) if timeout else None
    file = lwp.proc.files.get(fd)
    queue = file.node
    if not isinstance(queue, kern_event.Kqueue):
        raise KernelError(Errno.EBADF, "not a kqueue")
    errors = _change(lwp, queue, changelist, nchanges, eventlist)
    if errors or nevents <= 0:
        return errors
    kernel = lwp.proc.kernel
    deadline = None
    if limit is not None:
        deadline = kernel.clock.monotonic_ns() + limit.tv_sec * _SECOND + limit.tv_nsec
    kernel.sched.poll()  # what the host has by now is not to be missed
    file.hold()
    try:
        while not (events := queue.scan(nevents)):
            now = kernel.clock.monotonic_ns()
            if deadline is not None and now >= deadline:
                return 0
            until = None if deadline is None else min(deadline, now + _LONGEST)
            if not (yield Sleep((queue,), until)):
                return 0
    except Restart:
        raise KernelError(Errno.EINTR) from None
    finally:
        file.drop()
    lwp.vmspace.copyout(eventlist, b"".join(map(bytes, events)))
    return len(events)


def _change(
    lwp: Lwp, queue: kern_event.Kqueue, changelist: int, nchanges: int, eventlist: int
) -> int:
    """Carry out the changes; return how many were refused."""
    space = lwp.vmspace
    errors = done = 0
    if nchanges < 0:
        raise KernelError(Errno.EFAULT, f"{nchanges} changes")
    while done < nchanges:
        count = min(nchanges - done, KQ_NEVENTS)
        raw = space.copyin(changelist + done * KEVENT_SIZE & U64_MASK, count * KEVENT_SIZE)
        for change in (Kevent * count).from_buffer_copy(raw):
            change.flags &= ~EV_SYSFLAGS
            try:
                queue.register(lwp.proc, change)
            except KernelError as refusal:
                change.flags, change.data = Ev.ERROR, refusal.errno
                try:
                    space.copyout(eventlist + errors * KEVENT_SIZE & U64_MASK, bytes(change))
                except KernelError:
                    raise refusal from None
                errors += 1
        done += count
    return errors
