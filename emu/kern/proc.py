"""Processes and their threads (struct proc, struct lwp), and the kernel that they share.

<sys/proc.h>, sys/kern/kern_proc.c.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import TRAPFRAME_SIZE, VEXTFRAME_SIZE, Trapframe, Vextframe
from emu.abi.resource import Rlimit, RlimitKind, RtpType, default_rlimits
from emu.abi.signal import Signal
from emu.abi.varsym import VARSYM_ALL_MASK, VarsymMask
from emu.abi.versions import AbiVersion, SyscallReturn
from emu.abi.x86 import U64_MASK, Rflags
from emu.cpu.engine import CpuEngine
from emu.kern.clock import Clock
from emu.kern.edges import Edges
from emu.kern.file import FileTable
from emu.kern.host import SpareDescriptor
from emu.kern.rights import InFlight
from emu.kern.sched import LwpState, Scheduler, Sleep
from emu.kern.sigacts import AltStack, SigActs
from emu.kern.tree import Tree
from emu.kern.tty import Tty
from emu.kern.uuid import UuidGenerator
from emu.kern.varsym import VarsymSet, varsymreplace
from emu.kern.vkernel import VkernelLwp, VkernelProc, VmspaceEntry
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace

_CARRY = int(Rflags.C)
_NO_CARRY = U64_MASK & ~_CARRY

FIRST_PID = 100
PID_MAX = 99_999
INIT_PID = 1
"""The parent of whoever has no other: it is not ours, and waits for nobody it is not told of."""


@dataclass(slots=True)
class Limits:
    """How much a run may have of what costs the host something."""

    procs: int = 256
    lwps: int = 1024
    """Of all processes together."""
    files: int = 1024
    """Descriptors of one process (RLIMIT_NOFILE)."""
    rights: int = 1024
    """Files in messages that nobody has received yet."""
    messages: int = 64 << 20
    """What all such messages may take of memory (nmbclusters)."""


class Ucred(NamedTuple):
    """Who a process is (struct ucred).  Nothing of the host's permissions depends on it."""

    uid: int = 0
    """The effective user."""
    ruid: int = 0
    svuid: int = 0
    groups: tuple[int, ...] = (0,)
    """The effective group comes first."""
    rgid: int = 0
    svgid: int = 0

    @property
    def gid(self) -> int:
        """The effective group."""
        return self.groups[0]

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def check_root(self, what: str) -> None:
        """Raise KernelError(EPERM) for anybody but root (priv_check_cred)."""
        if not self.is_root:
            raise KernelError(Errno.EPERM, f"{what} is for root")

    def may_handle(self, other: "Ucred") -> bool:
        """Is a process of `other` one's own to signal? (p_trespass)"""
        mine, theirs = {self.uid, self.ruid}, {other.uid, other.ruid}
        return self.is_root or not mine.isdisjoint(theirs)


@dataclass(slots=True, eq=False)
class Session:
    """Process groups that share a terminal (struct session)."""

    sid: int
    leader: "Proc | None"
    tty: Tty | None = None
    """The controlling terminal."""
    foreground: "Pgrp | None" = None
    """The group that the terminal's signals go to."""
    login: bytes = b"root"


@dataclass(slots=True, eq=False)
class Pgrp:
    """A process group (struct pgrp)."""

    id: int
    session: Session
    members: "dict[Proc, None]" = field(default_factory=dict)
    jobc: int = 0
    """Members whose parent is in the session, but in another group, and so could continue them."""

    @property
    def orphaned(self) -> bool:
        """Could nobody outside continue it?  For the first process the user's shell could."""
        return self.jobc == 0 and not any(
            proc.kernel.job_control and proc is proc.kernel.first for proc in self.members
        )


class SignalEvent(Enum):
    """What becomes of a signal."""

    HANDLER = "its handler is called"
    MAILBOX = "it is put into its mailbox"
    ENDS = "it ends the process"
    STOPS = "it stops the process"
    CONTINUES = "it continues the process"


SignalObserver = Callable[["Proc", "Lwp | None", int, SignalEvent], None]
"""Called with a signal just before it takes effect, and with the LWP that takes it, if any."""


@dataclass(slots=True, eq=False, repr=False)
class Kernel:
    """The host kernel: what all processes share."""

    abi: AbiVersion
    phys: PhysicalMemory
    clock: Clock
    tree: Tree
    tell: Callable[[str], None]
    """Say one line to the user of the emulator (standard error)."""
    vkernel_enable: bool = True
    """vm.vkernel_enable: may processes become virtual kernels?"""
    vmspace_io: bool = False
    """Do vmspace_pread and vmspace_pwrite what they promise? (--ext vmspace-io)"""
    hostname: bytes = b"vkemu"
    domainname: bytes = b""
    net: bool = False
    """May programs use sockets of the host's loopback network? (--net loopback)"""
    ncpu: int = 1
    limits: Limits = field(default_factory=Limits)
    signal_observers: list[SignalObserver] = field(default_factory=list)
    job_control: bool = False
    """The first process is a job of a shell of the host, which continues it once it has stopped."""
    on_arm: Callable[[], None] | None = None
    """Called once, at the first arm()."""
    sched: Scheduler = field(init=False)
    edges: Edges = field(init=False)
    procs: "dict[int, Proc]" = field(init=False, default_factory=dict)
    """Every process that is not reaped yet, by pid."""
    pgrps: dict[int, Pgrp] = field(init=False, default_factory=dict)
    lwps: int = field(init=False, default=0)
    """LWPs of all processes."""
    spare: SpareDescriptor = field(init=False, default_factory=SpareDescriptor)
    """To load a module with, whatever guests have open."""
    rights: InFlight = field(init=False)
    uuids: UuidGenerator = field(init=False)
    messages: int = field(init=False, default=0)
    """What messages between local sockets take of memory."""
    socket_names: dict[bytes, bytes] = field(init=False, default_factory=dict)
    """The guest's addresses of local sockets, by the names the host has for them."""
    net_refused: bool = field(init=False, default=False)
    """The user has been told that a guest wanted a network."""
    first: "Proc | None" = field(init=False, default=None)
    """The process that was started from outside; the machine ends with it."""
    knotes: int = field(init=False, default=0)
    """Knotes of all kqueues."""
    event_timers: int = field(init=False, default=0)
    """Those of them that are timers."""
    cputimer_start: int | None = field(init=False, default=None)
    """When kern.cputimer.clock was 0: its first reader has seen that."""
    varsyms: VarsymSet = field(init=False, default_factory=VarsymSet)
    """The system's variables for symbolic links."""
    _user_varsyms: dict[int, VarsymSet] = field(init=False, default_factory=dict)
    _next_pid: int = field(init=False, default=FIRST_PID)

    def __post_init__(self) -> None:
        self.sched = Scheduler(self.clock)
        self.edges = Edges(self.sched)
        self.rights = InFlight(self.limits.rights)
        self.uuids = UuidGenerator(self.clock, self.tree.random_bytes)

    def tell_of_copies(self) -> None:
        """From now on, end sleeps on ("page", pa) when the page at `pa` is copied.

        Before anybody sleeps so, faults are spared the call.
        """
        self.phys.on_copy = self._page_copied

    def _page_copied(self, pa: int) -> None:
        """Whoever sleeps on the page may be somebody to whom it does not belong any more."""
        self.sched.wakeup(("page", pa))

    def new_pid(self) -> int:
        """Return a number that names no process, group or session."""
        taken = {pgrp.session.sid for pgrp in self.pgrps.values()}
        while True:
            pid = self._next_pid
            self._next_pid = pid + 1 if pid < PID_MAX else FIRST_PID
            if pid not in self.procs and pid not in self.pgrps and pid not in taken:
                return pid

    def find(self, pid: int) -> "Proc | None":
        """Return the process `pid`, unless it has exited (pfind)."""
        proc = self.procs.get(pid)
        return proc if proc is not None and proc.alive else None

    def varsyms_of_user(self, uid: int) -> VarsymSet:
        """Return a user's variables, which may be forgotten when he has no process any more."""
        if uid not in self._user_varsyms:
            users = {proc.ucred.uid for proc in self.procs.values()}
            self._user_varsyms = {
                user: varsyms for user, varsyms in self._user_varsyms.items() if user in users
            }
        return self._user_varsyms.setdefault(uid, VarsymSet())

    @property
    def varsym_enable(self) -> bool:
        """vfs.varsym_enable: are variables replaced in symbolic links?"""
        return self.tree.substitute is not None

    @varsym_enable.setter
    def varsym_enable(self, enable: bool) -> None:
        self.tree.substitute = self._substitute if enable else None

    def _substitute(self, link: bytes) -> bytes:
        lwp = self.sched.current
        assert lwp is not None, "nobody looks for a file"
        return varsymreplace(link, lwp.proc.find_varsym)

    def arm(self, cpu: CpuEngine) -> None:
        """A signal from outside may no longer be the end of the guest: it must be interruptible."""
        cpu.arm()
        if self.on_arm is not None:
            on_arm, self.on_arm = self.on_arm, None
            on_arm()

    def observe_signal(
        self, proc: "Proc", lwp: "Lwp | None", signal: int, event: SignalEvent
    ) -> None:
        for observer in self.signal_observers:
            observer(proc, lwp, signal, event)

    def in_group(self, pgid: int) -> "list[Proc]":
        """Return the processes of a group that have not exited."""
        pgrp = self.pgrps.get(pgid)
        return [proc for proc in pgrp.members if proc.alive] if pgrp else []


@dataclass(slots=True, eq=False)
class Usage:
    """Resources used (struct rusage), by a process or by its children that were waited for."""

    user_ns: int = 0
    minor_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0
    signals: int = 0

    def add(self, other: "Usage") -> None:
        self.user_ns += other.user_ns
        self.minor_faults += other.minor_faults
        self.voluntary_switches += other.voluntary_switches
        self.involuntary_switches += other.involuntary_switches
        self.signals += other.signals


@dataclass(slots=True, eq=False, repr=False)
class Proc:
    kernel: Kernel
    vmspace: Vmspace
    files: FileTable
    parent: "Proc | None" = None
    """None stands for init."""
    name: str = ""
    umask: int = 0o022
    nice: int = 0
    ucred: Ucred = field(default_factory=Ucred)
    changed_ids: bool = False
    """Its ids have changed since it executed its program (P_SUGID)."""
    exit_signal: int = Signal.CHLD
    """What the parent gets at the end (p_sigparent)."""
    vkernel: VkernelProc | None = None
    rlimits: dict[int, Rlimit] = field(default_factory=default_rlimits)
    sigacts: SigActs = field(default_factory=SigActs)
    varsyms: VarsymSet = field(default_factory=VarsymSet)
    """Its variables for symbolic links."""
    exit_status: int | None = None
    """What wait4 would report as the exit code; set once the process has ended by itself."""
    killed_by: int | None = None
    """The signal that ended the process."""
    pid: int = field(init=False)
    pgrp: Pgrp = field(init=False)
    children: "dict[Proc, None]" = field(init=False, default_factory=dict)
    lwps: "dict[int, Lwp]" = field(init=False, default_factory=dict)
    pending: int = field(init=False, default=0)
    """Signals that any LWP may take, as a set of bits."""
    mailbox: bool = field(init=False, default=False)
    """A signal was put into its mailbox and no sleep has been broken for it yet (P_MAILBOX)."""
    stopped: bool = field(init=False, default=False)
    stop_signal: int = field(init=False, default=0)
    stop_reported: bool = field(init=False, default=False)
    """The parent has been told of the stop by wait4 (P_WAITED)."""
    continued: bool = field(init=False, default=False)
    parent_waits: bool = field(init=False, default=False)
    """The parent sleeps in vfork until this process exits or executes a program (P_PPWAIT)."""
    controlled: bool = field(init=False, default=True)
    """The session's controlling terminal, if any, is the process's (P_CONTROLT)."""
    executed: bool = field(init=False, default=False)
    """The process has executed a program since it was forked (P_EXEC)."""
    leader: "Proc" = field(init=False)
    """Whose end is the process's own: rfork(RFTHREAD) passes it on.  Mostly the process itself."""
    peers: "dict[Proc, None]" = field(init=False, default_factory=dict)
    """The others that end with this one."""
    over_cpu_limit: bool = field(init=False, default=False)
    """SIGXCPU was sent (P_XCPU)."""
    usage: Usage = field(init=False, default_factory=Usage)
    children_usage: Usage = field(init=False, default_factory=Usage)
    watchers: "list[Callable[[int, int], None]]" = field(init=False, default_factory=list)
    """Called with (NOTE_*, data) when the process forks, executes, exits, or gets a signal."""
    timers: dict[int, Any] = field(init=False, default_factory=dict)
    """Interval timers by ITIMER_*."""
    cpu_due: int | None = field(init=False, default=None)
    """The CPU time, in nanoseconds, at which the first of its CPU callouts is due."""
    _cpu_callouts: dict[object, tuple[int, Callable[[], None]]] = field(
        init=False, default_factory=dict
    )
    _next_tid: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        kernel = self.kernel
        self.pid = kernel.new_pid()
        kernel.procs[self.pid] = self
        self.leader = self
        if self.parent is None:
            self.rlimits[RlimitKind.NOFILE] = Rlimit(kernel.limits.files, kernel.limits.files)
            self.files.limit = kernel.limits.files
            self.rlimits[RlimitKind.NPROC] = Rlimit(kernel.limits.procs, kernel.limits.procs)
            self.pgrp = Pgrp(self.pid, Session(self.pid, self))
            self.pgrp.session.foreground = self.pgrp
            if tty := self.files.terminal():
                self.pgrp.session.tty, tty.session = tty, self.pgrp.session
            kernel.pgrps[self.pid] = self.pgrp
        else:
            self.pgrp = self.parent.pgrp
            self.controlled = self.parent.controlled
            self.parent.children[self] = None
        self.pgrp.members[self] = None
        if kernel.first is None:
            kernel.first = self

    @property
    def ppid(self) -> int:
        return INIT_PID if self.parent is None else self.parent.pid

    @property
    def alive(self) -> bool:
        return self.exit_status is None and self.killed_by is None

    def new_tid(self) -> int:
        """Return the number of the next LWP; the first is 0."""
        while self._next_tid in self.lwps:
            self._next_tid += 1
        tid = self._next_tid
        self._next_tid += 1
        return tid

    def cpu_callout(self, what: object, due: int | None, action: Callable[[], None]) -> None:
        """Have `action` done once the process has used `due` nanoseconds of CPU time.

        There is one for each `what`; None for `due` takes it back.
        """
        if due is None:
            self._cpu_callouts.pop(what, None)
        else:
            self._cpu_callouts[what] = due, action
        self._first_cpu_callout()
        self.kernel.sched.attention = True

    def run_cpu_callouts(self) -> None:
        """Do what is due by now."""
        for what, (due, action) in list(self._cpu_callouts.items()):
            if self.usage.user_ns >= due:
                del self._cpu_callouts[what]
                action()
        self._first_cpu_callout()

    def _first_cpu_callout(self) -> None:
        self.cpu_due = min((due for due, _ in self._cpu_callouts.values()), default=None)

    def notify(self, note: int, data: int = 0) -> None:
        """Tell whoever watches this process (KNOTE on p_klist)."""
        for watcher in list(self.watchers):
            watcher(note, data)

    def find_varsym(self, name: bytes, mask: int = VARSYM_ALL_MASK) -> bytes | None:
        """Return the value of a variable for symbolic links (varsymfind)."""
        value = self.varsyms.get(name) if mask & VarsymMask.PROC_MASK else None
        if value is None and mask & VarsymMask.USER_MASK:
            value = self.kernel.varsyms_of_user(self.ucred.uid).get(name)
        if value is None and mask & VarsymMask.SYS_MASK:
            value = self.kernel.varsyms.get(name)
        return value

    def set_parent(self, parent: "Proc | None") -> None:
        if self.parent is not None:
            del self.parent.children[self]
        self.parent = parent
        if parent is not None:
            parent.children[self] = None

    def descends_from(self, ancestor: "Proc") -> bool:
        """Is it a child of `ancestor`, a child's child, or so on? (inferior)"""
        parent = self.parent
        while parent is not None and parent is not ancestor:
            parent = parent.parent
        return parent is ancestor


@dataclass(slots=True, eq=False, repr=False)
class Lwp:
    """A thread.

    `frame` and `bases` are the engine's own: they are this LWP's while it has the CPU, which is
    whenever kernel code runs for it.
    """

    proc: Proc
    cpu: CpuEngine
    frame: Trapframe = field(init=False)
    bases: Vextframe = field(init=False)
    frame_bytes: memoryview = field(init=False)
    bases_bytes: memoryview = field(init=False)
    words: memoryview = field(init=False)
    """`frame` and `bases` as bytes, to be moved whole, and the frame's words: arguments first."""
    vmspace: Vmspace = field(init=False)
    """The address space the LWP runs in now: the process's own, or a vmspace it has entered."""
    tid: int = field(init=False)
    vkernel: VkernelLwp | None = None
    inside: VmspaceEntry | None = None
    """The vmspace it runs in, if it runs a virtual kernel's guest."""
    state: LwpState = LwpState.GONE
    sleep: Sleep | None = None
    """What it sleeps for, or slept for last."""
    call: Generator[Sleep, bool, int | None] | None = None
    """The system call that it sleeps in."""
    sigmask: int = 0
    pending: int = 0
    """Signals for this LWP alone, as a set of bits."""
    suspended_mask: int | None = None
    """The mask to go back to after the next handler: sigsuspend has replaced it."""
    altstack: AltStack = field(default_factory=AltStack)
    fault: tuple[int, int, str] = (0, 0, "")
    """The last signal that this LWP's own code caused: number, code, explanation."""
    posted: tuple[int, int] = (0, 0)
    """Number and code of the last one that had to wait (lwp_sig, lwp_code)."""
    returns_fast: bool = False
    """It is on its way back from a system call, but not there yet: see return_fast()."""
    rtprio: tuple[int, int] = (RtpType.NORMAL, 0)
    """Type and priority; only remembered."""
    cpus: frozenset[int] = frozenset()
    """Where it may run; only remembered."""
    _saved_frame: bytearray = field(init=False)
    _saved_bases: bytearray = field(init=False)
    _saved_fp: bytes | None = field(init=False, default=None)
    _saved_fp_trap: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.frame = self.cpu.frame
        self.bases = self.cpu.bases
        self.frame_bytes = memoryview(self.frame).cast("B")
        self.bases_bytes = memoryview(self.bases).cast("B")
        self.words = self.frame_bytes.cast("Q")
        self.vmspace = self.proc.vmspace
        self.tid = self.proc.new_tid()
        self.proc.lwps[self.tid] = self
        self.proc.kernel.lwps += 1
        self.cpus = frozenset(range(self.proc.kernel.ncpu))
        self._saved_frame = bytearray(TRAPFRAME_SIZE)
        self._saved_bases = bytearray(VEXTFRAME_SIZE)
        sched = self.proc.kernel.sched
        if sched.current is None:
            # The first of all finds the engine as a new program does.
            sched.current = self
            self.state = LwpState.RUNNING

    def fork(self, proc: Proc) -> "Lwp":
        """Return a new LWP of `proc` with this one's registers, which are the live ones.

        It inherits the signal mask, the signals that are pending for this LWP alone and the
        alternate stack, and is in no vmspace (lwp_fork).
        """
        child = Lwp(proc, self.cpu)
        child.sigmask, child.pending = self.sigmask, self.pending
        child.altstack = self.altstack.copy()
        child.rtprio, child.cpus = self.rtprio, self.cpus
        child.save()
        return child

    def forget(self) -> None:
        """Take the LWP out of its process: it has exited, or never ran."""
        del self.proc.lwps[self.tid]
        self.proc.kernel.lwps -= 1

    def save(self) -> None:
        """Keep the live registers, to be taken up by switch_in()."""
        cpu = self.cpu
        self._saved_frame[:] = self.frame_bytes
        self._saved_bases[:] = self.bases_bytes
        self._saved_fp = cpu.fp_save()
        self._saved_fp_trap = cpu.fp_trap

    def saved_frame(self) -> Trapframe:
        """Return the kept registers, to be changed in place."""
        return Trapframe.from_buffer(self._saved_frame)

    def switch_out(self) -> None:
        """Another LWP gets the CPU."""
        self.save()

    def switch_in(self) -> None:
        """Take the CPU."""
        cpu = self.cpu
        self.frame_bytes[:] = self._saved_frame
        self.bases_bytes[:] = self._saved_bases
        assert self._saved_fp is not None
        cpu.fp_restore(self._saved_fp)
        cpu.fp_trap = self._saved_fp_trap
        cpu.load()
        cpu.load_bases()

    def succeed(self, value: int) -> None:
        """Return `value` from a system call."""
        frame = self.frame
        frame.rax = value
        frame.rflags &= _NO_CARRY

    def refuse(self, errno: int) -> None:
        """Fail a system call with `errno`."""
        frame = self.frame
        frame.rax = errno
        frame.rflags |= _CARRY

    def return_fast(self) -> None:
        """Leave the registers as the fast way back of later versions does."""
        self.returns_fast = False
        frame = self.frame
        frame.rcx = frame.rip
        frame.r11 = frame.rflags
        if self.proc.kernel.abi.syscall_return is SyscallReturn.SYSRET_R10_CLEAR:
            frame.r10 = 0
