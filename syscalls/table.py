"""Every system call the host kernel answers, and how a call is made.

Numbers are DragonFly's, from sys/kern/syscalls.master; the way in and out is syscall2() in
sys/platform/pc64/x86_64/trap.c.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import TRAPFRAME_FIELDS
from emu.abi.signal import Signal
from emu.abi.versions import SyscallReturn
from emu.abi.vkernel import SYSCALL_LENGTH
from emu.abi.x86 import U32_MASK, U64_MASK, Rflags
from emu.kern.proc import Lwp
from emu.kern.sched import Restart
from emu.kern.sendsig import tsleep
from emu.kern.signal import lwpsignal
from syscalls.args import JUST_RETURN, Handler, Kind, signature

REGISTER_ARGUMENTS = 6  # rdi rsi rdx r10 r8 r9: the first six words of a trapframe
_IRETQ = SyscallReturn.IRETQ
_NO_CARRY = U64_MASK & ~int(Rflags.C)
_RDI, _RAX, _RFLAGS, _RSP = map(TRAPFRAME_FIELDS.index, ("rdi", "rax", "rflags", "rsp"))
INDIRECT = frozenset((0, 198))  # syscall, __syscall: the number is the first argument


class Unloaded(NamedTuple):
    """A handler in a module that may not be loaded yet."""

    family: str
    name: str

    def load(self) -> Handler:
        handler: Handler = getattr(import_module(f"syscalls.{self.family}"), self.name)
        return handler


class Family:
    """Stands for a module of handlers, each of which it gives unloaded."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, handler: str) -> Unloaded:
        return Unloaded(self._name, handler)


if TYPE_CHECKING:
    from syscalls import (
        aio,
        attr,
        cred,
        event,
        file,
        lwp,
        path,
        proc,
        resource,
        sched,
        signal,
        socket,
        sysctl,
        system,
        time,
        varsym,
        vm,
        vmspace,
    )
else:
    # A program makes calls of two or three families; all of them would take 6 ms at every start.
    aio = Family("aio")
    attr = Family("attr")
    cred = Family("cred")
    event = Family("event")
    file = Family("file")
    lwp = Family("lwp")
    path = Family("path")
    proc = Family("proc")
    resource = Family("resource")
    sched = Family("sched")
    signal = Family("signal")
    socket = Family("socket")
    sysctl = Family("sysctl")
    system = Family("system")
    time = Family("time")
    varsym = Family("varsym")
    vm = Family("vm")
    vmspace = Family("vmspace")


Call = tuple[Handler, int, tuple[tuple[int, Callable[[int], int]], ...]]
"""What it takes to make a call: the handler, how many arguments it has, and what decodes those
that are not simply the 64-bit word, by position."""


@dataclass(slots=True, eq=False)
class Syscall:
    declared: Handler | Unloaded
    note: str = ""
    """What is missing, if anything; printed by `vkemu syscalls`."""
    name: str = ""
    call: Call | None = None
    """Known once it has been made."""

    def __post_init__(self) -> None:
        if not self.name:
            declared = self.declared
            self.name = declared.name if isinstance(declared, Unloaded) else declared.__name__

    @property
    def handler(self) -> Handler:
        return self.load()[0]

    @property
    def args(self) -> Mapping[str, Kind]:
        return signature(self.handler)

    def load(self) -> Call:
        """Return what it takes to make this call, from now on in `call`."""
        if self.call is None:
            declared = self.declared
            handler = declared.load() if isinstance(declared, Unloaded) else declared
            kinds = signature(handler).values()
            decoders = [(at, kind.decode) for at, kind in enumerate(kinds) if kind.decode]
            self.call = handler, len(kinds), tuple(decoders)
        return self.call


TABLE: Mapping[int, Syscall] = {
    1: Syscall(proc.exit),
    2: Syscall(proc.fork),
    3: Syscall(file.read),
    4: Syscall(file.write),
    5: Syscall(
        path.open,
        note="O_FSYNC and O_DIRECT have no effect",
    ),
    6: Syscall(file.close),
    7: Syscall(proc.wait4, note="all time counts as user time"),
    9: Syscall(path.link),
    10: Syscall(path.unlink),
    12: Syscall(path.chdir),
    13: Syscall(path.fchdir),
    14: Syscall(path.mknod, note="EOPNOTSUPP: no devices can be made"),
    15: Syscall(attr.chmod, note="set-user-id and set-group-id are never set"),
    16: Syscall(attr.chown, note="no effect where the host does not let us"),
    17: Syscall(vm.obreak, name="break"),
    18: Syscall(attr.getfsstat),
    20: Syscall(proc.getpid),
    23: Syscall(cred.setuid),
    24: Syscall(cred.getuid),
    25: Syscall(cred.geteuid),
    27: Syscall(socket.recvmsg),
    28: Syscall(socket.sendmsg, note="control messages only between the ends of a socketpair"),
    29: Syscall(socket.recvfrom),
    30: Syscall(socket.accept),
    31: Syscall(socket.getpeername),
    32: Syscall(socket.getsockname),
    33: Syscall(path.access),
    34: Syscall(attr.chflags, note="EOPNOTSUPP: files have no flags"),
    35: Syscall(attr.fchflags, note="EOPNOTSUPP: files have no flags"),
    36: Syscall(attr.sync),
    37: Syscall(signal.kill),
    39: Syscall(proc.getppid),
    41: Syscall(file.dup),
    42: Syscall(file.pipe),
    43: Syscall(cred.getegid),
    47: Syscall(cred.getgid),
    49: Syscall(cred.getlogin),
    50: Syscall(cred.setlogin),
    53: Syscall(signal.sigaltstack),
    54: Syscall(
        file.ioctl,
        note="terminals, but not TIOCSTI, all of them named tty; no FIODTYPE",
    ),
    55: Syscall(system.reboot, note="ends the run, whatever is asked for"),
    56: Syscall(path.revoke, note="EOPNOTSUPP for devices and for what is open"),
    57: Syscall(path.symlink),
    58: Syscall(path.readlink),
    59: Syscall(proc.execve, note="static programs only; set-user-id is ignored"),
    60: Syscall(path.umask),
    65: Syscall(vm.msync),
    66: Syscall(proc.vfork),
    69: Syscall(proc.sbrk, note="EOPNOTSUPP, as in the original"),
    70: Syscall(proc.sstk, note="EOPNOTSUPP, as in the original"),
    73: Syscall(vm.munmap),
    74: Syscall(vm.mprotect),
    75: Syscall(vm.madvise, note="only MADV_INVAL has an effect"),
    78: Syscall(vm.mincore),
    79: Syscall(cred.getgroups),
    80: Syscall(cred.setgroups),
    81: Syscall(proc.getpgrp),
    82: Syscall(proc.setpgid),
    83: Syscall(time.setitimer),
    86: Syscall(time.getitimer),
    89: Syscall(proc.getdtablesize),
    90: Syscall(file.dup2),
    92: Syscall(file.fcntl),
    93: Syscall(event.select, note="no exceptional conditions"),
    95: Syscall(file.fsync),
    96: Syscall(resource.setpriority, note="remembered; all LWPs take turns"),
    97: Syscall(
        socket.socket,
        note="EPERM without --net loopback; no address but 127.0.0.0/8",
    ),
    98: Syscall(socket.connect),
    100: Syscall(resource.getpriority),
    104: Syscall(socket.bind, note="INADDR_ANY is 127.0.0.1"),
    105: Syscall(
        socket.setsockopt,
        note="below sockets TCP_NODELAY, IP_TOS, IP_TTL; SO_TIMESTAMP has no effect",
    ),
    106: Syscall(socket.listen),
    116: Syscall(time.gettimeofday),
    117: Syscall(
        resource.getrusage,
        note="only time, signals, switches, and faults of programs; all time counts as user time",
    ),
    118: Syscall(
        socket.getsockopt,
        note="below sockets TCP_NODELAY, IP_TOS, IP_TTL; no LOCAL_PEERCRED",
    ),
    120: Syscall(file.readv),
    121: Syscall(file.writev),
    122: Syscall(time.settimeofday, note="the clock of this run; files have the host's times"),
    123: Syscall(attr.fchown, note="no effect where the host does not let us"),
    124: Syscall(attr.fchmod, note="set-user-id and set-group-id are never set"),
    126: Syscall(cred.setreuid),
    127: Syscall(cred.setregid),
    128: Syscall(path.rename),
    131: Syscall(file.flock),
    132: Syscall(path.mkfifo, note="EOPNOTSUPP: no fifos can be made"),
    133: Syscall(socket.sendto),
    134: Syscall(file.shutdown),
    135: Syscall(socket.socketpair, note="the ends cannot be bound to names"),
    136: Syscall(path.mkdir),
    137: Syscall(path.rmdir),
    138: Syscall(attr.utimes),
    140: Syscall(time.adjtime, note="the clock jumps"),
    147: Syscall(proc.setsid),
    157: Syscall(attr.statfs),
    158: Syscall(attr.fstatfs),
    165: Syscall(proc.sysarch, note="EOPNOTSUPP, as in the original"),
    166: Syscall(lwp.rtprio, note="remembered; all LWPs take turns"),
    173: Syscall(file.extpread),
    174: Syscall(file.extpwrite),
    181: Syscall(cred.setgid),
    182: Syscall(cred.setegid),
    183: Syscall(cred.seteuid),
    191: Syscall(attr.pathconf),
    192: Syscall(attr.fpathconf),
    194: Syscall(resource.getrlimit),
    195: Syscall(
        resource.setrlimit,
        note="CPU, DATA, FSIZE, NOFILE, NPROC, STACK and VMEM have an effect",
    ),
    197: Syscall(vm.mmap),
    199: Syscall(file.lseek),
    200: Syscall(path.truncate),
    201: Syscall(file.ftruncate),
    202: Syscall(
        sysctl.__sysctl,
        note="only names of the machine, vm.vkernel_enable and vfs.varsym_enable can be set",
    ),
    203: Syscall(vm.mlock, note="checked; memory is always resident"),
    204: Syscall(vm.munlock, note="checked; memory is always resident"),
    206: Syscall(attr.futimes),
    207: Syscall(proc.getpgid),
    209: Syscall(event.poll, note="no exceptional conditions"),
    232: Syscall(time.clock_gettime),
    233: Syscall(time.clock_settime, note="the clock of this run; files have the host's times"),
    234: Syscall(time.clock_getres),
    240: Syscall(time.nanosleep),
    250: Syscall(vm.minherit),
    251: Syscall(proc.rfork),
    253: Syscall(cred.issetugid),
    254: Syscall(attr.lchown, note="no effect where the host does not let us"),
    274: Syscall(attr.lchmod, note="a symbolic link has no mode: no effect on it"),
    276: Syscall(attr.lutimes),
    289: Syscall(file.extpreadv),
    290: Syscall(file.extpwritev),
    310: Syscall(proc.getsid),
    311: Syscall(cred.setresuid),
    312: Syscall(cred.setresgid),
    314: Syscall(aio.aio_return, note="ENOSYS, as in the original"),
    315: Syscall(aio.aio_suspend, note="ENOSYS, as in the original"),
    316: Syscall(aio.aio_cancel, note="ENOSYS, as in the original"),
    317: Syscall(aio.aio_error, note="ENOSYS, as in the original"),
    318: Syscall(aio.aio_read, note="ENOSYS, as in the original"),
    319: Syscall(aio.aio_write, note="ENOSYS, as in the original"),
    320: Syscall(aio.lio_listio, note="ENOSYS, as in the original"),
    321: Syscall(lwp.sched_yield, name="yield"),
    324: Syscall(vm.mlockall, note="checked; memory is always resident"),
    325: Syscall(vm.munlockall),
    326: Syscall(path.__getcwd),
    327: Syscall(sched.sched_setparam, note="remembered; all LWPs take turns"),
    328: Syscall(sched.sched_getparam),
    329: Syscall(sched.sched_setscheduler, note="remembered; all LWPs take turns"),
    330: Syscall(sched.sched_getscheduler),
    331: Syscall(lwp.sched_yield),
    332: Syscall(sched.sched_get_priority_max),
    333: Syscall(sched.sched_get_priority_min),
    334: Syscall(sched.sched_rr_get_interval),
    335: Syscall(system.utrace, note="nothing is traced"),
    340: Syscall(signal.sigprocmask),
    341: Syscall(signal.sigsuspend),
    342: Syscall(signal.sigaction),
    343: Syscall(signal.sigpending),
    344: Syscall(signal.sigreturn),
    345: Syscall(signal.sigtimedwait),
    346: Syscall(signal.sigwaitinfo),
    359: Syscall(aio.aio_waitcomplete, note="ENOSYS, as in the original"),
    360: Syscall(cred.getresuid),
    361: Syscall(cred.getresgid),
    362: Syscall(event.kqueue),
    363: Syscall(
        event.kevent,
        note="EVFILT_VNODE knows what guests do, not the host; no EVFILT_EXCEPT",
    ),
    391: Syscall(attr.lchflags, note="EOPNOTSUPP: files have no flags"),
    392: Syscall(system.uuidgen),
    393: Syscall(socket.sendfile),
    450: Syscall(varsym.varsym_set, note="a user's variables may outlive his processes"),
    451: Syscall(varsym.varsym_get),
    452: Syscall(varsym.varsym_list),
    453: Syscall(system.upc_register, note="ENOSYS: no upcalls"),
    454: Syscall(system.upc_control, note="ENOSYS: no upcalls"),
    469: Syscall(lwp.umtx_sleep),
    470: Syscall(lwp.umtx_wakeup),
    472: Syscall(proc.set_tls_area),
    473: Syscall(proc.get_tls_area),
    474: Syscall(file.closefrom),
    475: Syscall(path.stat),
    476: Syscall(file.fstat),
    477: Syscall(path.lstat),
    479: Syscall(path.getdirentries),
    480: Syscall(path.getdents),
    481: Syscall(lwp.usched_set, note="remembered; there is one emulated CPU"),
    482: Syscall(socket.extaccept),
    483: Syscall(socket.extconnect),
    485: Syscall(vm.mcontrol, note="only MADV_INVAL and MADV_SETMAP have an effect"),
    486: Syscall(vmspace.vmspace_create),
    487: Syscall(vmspace.vmspace_destroy),
    488: Syscall(vmspace.vmspace_ctl),
    489: Syscall(vmspace.vmspace_mmap),
    490: Syscall(vmspace.vmspace_munmap),
    491: Syscall(
        vmspace.vmspace_mcontrol,
        note="only MADV_INVAL and MADV_SETMAP have an effect",
    ),
    492: Syscall(vmspace.vmspace_pread, note="EINVAL, as in the original; --ext vmspace-io"),
    493: Syscall(vmspace.vmspace_pwrite, note="EINVAL, as in the original; --ext vmspace-io"),
    494: Syscall(proc.extexit),
    495: Syscall(lwp.lwp_create),
    496: Syscall(lwp.lwp_gettid),
    497: Syscall(signal.lwp_kill),
    498: Syscall(lwp.lwp_rtprio, note="remembered; all LWPs take turns"),
    499: Syscall(event.pselect, note="no exceptional conditions"),
    500: Syscall(attr.statvfs),
    501: Syscall(attr.fstatvfs),
    503: Syscall(attr.getvfsstat),
    504: Syscall(path.openat, note="O_FSYNC and O_DIRECT have no effect"),
    505: Syscall(path.fstatat),
    506: Syscall(attr.fchmodat, note="set-user-id and set-group-id are never set"),
    507: Syscall(attr.fchownat, note="no effect where the host does not let us"),
    508: Syscall(path.unlinkat),
    509: Syscall(path.faccessat),
    523: Syscall(path.renameat),
    524: Syscall(path.mkdirat),
    525: Syscall(path.mkfifoat, note="EOPNOTSUPP: no fifos can be made"),
    526: Syscall(path.mknodat, note="EOPNOTSUPP: no devices can be made"),
    527: Syscall(path.readlinkat),
    528: Syscall(path.symlinkat),
}

SYMBOLS: Mapping[str, int] = {
    "SYS_syscall": 0,
    "SYS___syscall": 198,
    **{f"SYS_{syscall.name}": number for number, syscall in TABLE.items()},
}


def dispatch(lwp: Lwp) -> None:
    """Carry out the call in `lwp`'s registers and leave the result there.

    A call that has to wait leaves the LWP asleep instead; resume() then goes on with it.
    """
    frame = lwp.words
    try:
        number = frame[_RAX] & U32_MASK
        first = 0
        if number in INDIRECT:
            number = frame[_RDI] & U32_MASK
            first = 1
        syscall = TABLE.get(number)
        if syscall is None:
            nosys(lwp, number)
        call = syscall.call
        if call is None:
            call = _load(lwp, syscall)
        handler, arity, decoders = call
        words = frame[first : min(first + arity, REGISTER_ARGUMENTS)].tolist() if arity else []
        if len(words) < arity:
            # [rsp] is the return address of the C stub.
            on_stack = 8 * (arity - len(words))
            stack = lwp.vmspace.copyin(frame[_RSP] + 8 & U64_MASK, on_stack)
            words += memoryview(stack).cast("Q").tolist()
        for at, decode in decoders:
            words[at] = decode(words[at])
        result: Any = handler(lwp, *words)
        if type(result) is GeneratorType:
            lwp.call, lwp.sleep = result, None
            resume(lwp)
            return
        if result == JUST_RETURN:
            return
        frame[_RAX] = (result or 0) & U64_MASK
        frame[_RFLAGS] &= _NO_CARRY
    except KernelError as refusal:
        lwp.refuse(refusal.errno)
    if lwp.proc.kernel.abi.syscall_return is not _IRETQ:
        _return_fast(lwp)
    lwp.cpu.load()


def _load(lwp: Lwp, syscall: Syscall) -> Call:
    with lwp.proc.kernel.spare:
        return syscall.load()


def resume(lwp: Lwp) -> None:
    """Run the call that `lwp` is in to its next sleep or its end."""
    call, sleep = lwp.call, lwp.sleep
    assert call is not None
    try:
        if sleep is None:
            sleep = lwp.sleep = next(call)
        while True:
            try:
                woken = tsleep(lwp, sleep)
            except (KernelError, Restart) as broken:
                sleep = lwp.sleep = call.throw(broken)
            else:
                if woken is None:
                    return
                sleep = lwp.sleep = call.send(woken)
    except StopIteration as end:
        lwp.call = None
        if end.value == JUST_RETURN:
            return
        lwp.succeed((end.value or 0) & U64_MASK)
    except Restart:
        # The caller's R10 is in slot rcx; the rest of the registers are as they were.
        lwp.call = None
        lwp.frame.rip -= SYSCALL_LENGTH
        lwp.frame.r10 = lwp.frame.rcx
        lwp.cpu.load()
        return
    except KernelError as refusal:
        lwp.call = None
        lwp.refuse(refusal.errno)
    if lwp.proc.kernel.abi.syscall_return is not _IRETQ:
        _return_fast(lwp)
    lwp.cpu.load()


def nosys(lwp: Lwp, number: int) -> NoReturn:
    """A call that does not exist: SIGSYS, and EINVAL for whoever survives that (sys_nosys)."""
    at = lwp.frame.rip - SYSCALL_LENGTH
    lwp.fault = (
        Signal.SYS,
        0,
        f"in its own vmspace: there is no system call {number}, at {at:#x} (syscall)",
    )
    lwpsignal(lwp.proc, lwp, Signal.SYS)
    raise KernelError(Errno.EINVAL, f"system call {number}")


def _return_fast(lwp: Lwp) -> None:
    """Take the fast way back, unless a signal may come first and want the registers whole."""
    sched = lwp.proc.kernel.sched
    if (lwp.pending | lwp.proc.pending) & ~lwp.sigmask:
        sched.attention = True
    if sched.attention:
        lwp.returns_fast = True  # userret() decides
    else:
        lwp.return_fast()
