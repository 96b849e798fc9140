"""Waiting for many things at once (sys/kern/kern_event.c, sys_generic.c)."""

from emu.abi.errno import Errno, KernelError
from emu.abi.event import EV_SYSFLAGS, KQ_NEVENTS, Ev, Evfilt
from emu.abi.fcntl import Open
from emu.abi.poll import INFTIM, NFDBITS, Poll
from emu.abi.structs import KEVENT_SIZE, POLLFD_SIZE, Kevent, Pollfd, Timespec, Timeval
from emu.abi.x86 import U64_MASK
from emu.kern import kqueue as kern_event
from emu.kern.file import File, Node, kept_open
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, Restart, Sleep
from emu.kern.sigacts import UNMASKABLE
from syscalls.args import Fd, Int, Ptr
from syscalls.signal import get_set, set_mask

_SECOND = 1_000_000_000
_MS = 1_000_000
_US = 1_000
_NO_FD = -1
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
    deadline = None
    if limit is not None:
        deadline = _after(lwp, limit.tv_sec, limit.tv_nsec)
    lwp.proc.kernel.sched.poll()  # what the host has by now is not to be missed
    with kept_open(file):
        while not (events := queue.scan(nevents)):
            if not (yield from _sleep(lwp, Sleep((queue,)), deadline)):
                return 0
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


def select(lwp: Lwp, nd: Int, in_: Ptr, ou: Ptr, ex: Ptr, tv: Ptr) -> Blocking[int]:
    """Wait until some of the first `nd` descriptors in three sets are ready, and leave those.

    Any of the sets and the timeout may be NULL.  No file has exceptional conditions.
    """
    limit = lwp.vmspace.copyin_struct(tv, Timeval) if tv else None
    deadline = _after(lwp, limit.tv_sec, limit.tv_usec * _US) if limit is not None else None
    return (yield from _select(lwp, nd, (in_, ou, ex), deadline))


def pselect(lwp: Lwp, nd: Int, in_: Ptr, ou: Ptr, ex: Ptr, ts: Ptr, sigmask: Ptr) -> Blocking[int]:
    """Do as select, with another signal mask meanwhile.

    If a signal ends the wait its handler runs before the old mask comes back.
    """
    limit = lwp.vmspace.copyin_struct(ts, Timespec) if ts else None
    deadline = _after(lwp, limit.tv_sec, limit.tv_nsec) if limit is not None else None
    old = lwp.sigmask
    if sigmask:
        set_mask(lwp, get_set(lwp, sigmask) & ~UNMASKABLE)
    try:
        count = yield from _select(lwp, nd, (in_, ou, ex), deadline)
    except KernelError as refusal:
        if not sigmask:
            raise
        if refusal.errno is Errno.EINTR:
            lwp.suspended_mask = old
        else:
            set_mask(lwp, old)
        raise
    if sigmask:
        set_mask(lwp, old)
    return count


def poll(lwp: Lwp, fds: Ptr, nfds: Int, timeout: Int) -> Blocking[int]:
    """Wait, at most `timeout` milliseconds unless it is -1, until a descriptor is ready.

    What is asked of a descriptor that is not open is refused with POLLNVAL, and then the others
    are not looked at.  Where nothing is asked, nothing is told.
    """
    deadline = _after(lwp, 0, timeout * _MS) if timeout != INFTIM else None
    if nfds < 0:
        raise KernelError(Errno.EINVAL, f"{nfds} descriptors")
    files = lwp.proc.files
    count = min(nfds, 2 * files.limit)
    entries = (Pollfd * count).from_buffer_copy(lwp.vmspace.copyin(fds, count * POLLFD_SIZE))
    wanted: list[tuple[Pollfd, File, Evfilt]] = []
    for entry in entries:
        entry.revents = 0
        asked = [filter for filter, events in _POLLED.items() if entry.events & events]
        if entry.fd == _NO_FD or not asked:
            continue
        try:
            file = files.get(entry.fd)
        except KernelError:
            entry.revents = Poll.NVAL
        else:
            wanted += [(entry, file, filter) for filter in asked]
    if not any(entry.revents for entry in entries):
        with kept_open(*[file for _, file, _ in wanted]):
            ready = yield from _wait(lwp, [(file, filter) for _, file, filter in wanted], deadline)
            for (entry, file, filter), is_ready in zip(wanted, ready, strict=True):
                if is_ready and filter == Evfilt.WRITE and file.node.output().ended:
                    entry.revents |= Poll.HUP
                elif is_ready:
                    entry.revents |= entry.events & _POLLED[filter]
    lwp.vmspace.copyout(fds, bytes(entries))
    return sum(entry.revents != 0 for entry in entries)


_POLLED = {
    Evfilt.READ: int(Poll.IN | Poll.RDNORM),
    Evfilt.WRITE: int(Poll.OUT),
    Evfilt.EXCEPT: int(Poll.PRI | Poll.RDBAND),
}


def _select(lwp: Lwp, nd: int, sets: tuple[int, int, int], deadline: int | None) -> Blocking[int]:
    if nd < 0:
        raise KernelError(Errno.EINVAL, f"{nd} descriptors")
    space, files = lwp.vmspace, lwp.proc.files
    nd = min(nd, files.limit)
    size = -(-nd // NFDBITS) * NFDBITS // 8
    masks = [int.from_bytes(space.copyin(at, size), "little") if at else 0 for at in sets]
    wanted = [
        (at, fd, files.get(fd))
        for at in range(len(sets))
        for fd in range(nd)
        if masks[at] >> fd & 1
    ]
    with kept_open(*[file for _, _, file in wanted]):
        ready = yield from _wait(lwp, [(file, _SELECTED[at]) for at, _, file in wanted], deadline)
    for (at, fd, _), is_ready in zip(wanted, ready, strict=True):
        if not is_ready:
            masks[at] &= ~(1 << fd)
    for address, mask in zip(sets, masks, strict=True):
        if address:
            space.copyout(address, mask.to_bytes(size, "little"))
    return sum(ready)


_SELECTED = (Evfilt.READ, Evfilt.WRITE, Evfilt.EXCEPT)


def _wait(
    lwp: Lwp, wanted: list[tuple[File, Evfilt]], deadline: int | None
) -> Blocking[list[bool]]:
    """Wait until some of the files are ready for what is wanted of each; return which."""
    lwp.proc.kernel.sched.poll()  # a kqueue may be among them
    while True:
        ready = [_is_ready(file.node, filter) for file, filter in wanted]
        if any(ready):
            return ready
        sleeps = [_until(file.node, filter) for file, filter in wanted]
        sleep = Sleep(
            tuple(channel for each in sleeps for channel in each.channels),
            fds=tuple(fd for each in sleeps for fd in each.fds),
        )
        if not (yield from _sleep(lwp, sleep, deadline)):
            return ready


def _is_ready(node: Node, filter: Evfilt) -> bool:
    if filter not in node.filters:
        return False
    return node.can_read() if filter is Evfilt.READ else node.can_write()


def _until(node: Node, filter: Evfilt) -> Sleep:
    if filter not in node.filters:
        return Sleep()
    return node.until_readable() if filter is Evfilt.READ else node.until_writable()


def _sleep(lwp: Lwp, sleep: Sleep, deadline: int | None) -> Blocking[bool]:
    """Sleep; return whether there is time left.  EINTR after any signal (kqueue_sleep)."""
    if deadline is not None:
        now = lwp.proc.kernel.clock.monotonic_ns()
        if now >= deadline:
            return False
        sleep.deadline = min(deadline, now + _LONGEST)
    try:
        return (yield sleep)
    except Restart:
        raise KernelError(Errno.EINTR) from None


def _after(lwp: Lwp, seconds: int, ns: int) -> int:
    return lwp.proc.kernel.clock.monotonic_ns() + seconds * _SECOND + ns
