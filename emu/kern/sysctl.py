"""Kernel variables by name (sys/kern/kern_sysctl.c; the variables are kern_mib.c's and others').

Root may set vm.vkernel_enable, vfs.varsym_enable and the names of the machine.  What else can be
written in the original, such as a limit, is read-only here: there is nothing to be set.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from emu.abi.errno import Errno, KernelError
from emu.abi.exec import PS_STRINGS_SIZE
from emu.abi.resource import LOADAVG_SCALE, Loadavg
from emu.abi.structs import Timespec
from emu.abi.sysctl import OID_AUTO_FIRST, P1003, Ctl, CtlFlag, CtlType, Hw, Kern, SysctlMeta, Vm
from emu.abi.unistd import MAXHOSTNAMELEN
from emu.abi.x86 import PAGE_SIZE, U32_MASK
from emu.kern.clock import CPUTIMER_FREQ
from emu.kern.proc import Proc

Oid = tuple[int, ...]
Value = int | str | bytes

MAX_NEW = 1024
"""No variable looks at more of a new value than this (MAXPATHLEN, for {0,3})."""

_FORMATS = {
    CtlType.INT: "I",
    CtlType.UINT: "IU",
    CtlType.LONG: "L",
    CtlType.ULONG: "LU",
    CtlType.QUAD: "Q",
    CtlType.STRING: "A",
}
_SIZES = {
    CtlType.INT: 4,
    CtlType.UINT: 4,
    CtlType.LONG: 8,
    CtlType.ULONG: 8,
    CtlType.QUAD: 8,
}


class Variable(NamedTuple):
    name: str
    number: int | None
    """The last number of its name; None where the original leaves that to chance (OID_AUTO)."""
    type: CtlType
    value: Value | Callable[[Proc], Value]
    format: str = ""
    """How sysctl(8) prints it, if the type does not say."""
    write: Callable[[Proc, bytes], None] | None = None
    """Stores a new value as a program gives it.  EINVAL if it cannot be one."""

    def encode(self, proc: Proc) -> bytes:
        value = self.value(proc) if callable(self.value) else self.value
        if isinstance(value, int):
            size = _SIZES[self.type]
            return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        return value.encode() + b"\0" if isinstance(value, str) else value


def read(proc: Proc, oid: Oid, new: bytes | None) -> bytes:
    """Return the value of `oid`, or the answer to a question about the tree.

    `new` is what the caller wants to store with write() afterwards, or asks about.
    Raise KernelError: ENOENT, ENOTDIR below a variable, EISDIR for a node, EPERM if `new` cannot
    be stored.
    """
    variable = _VARIABLES.get(oid)
    if variable is not None:
        if new is not None:
            if variable.write is None:
                raise KernelError(Errno.EPERM, f"{variable.name} is read-only")
            proc.ucred.check_root(f"setting {variable.name}")
        return variable.encode(proc)
    if oid[:2] == _NAME2OID:
        if len(oid) > 2:
            raise KernelError(Errno.ENOTDIR)
        return _name2oid(new or b"")
    question = _QUESTIONS.get(oid[:2])
    if question is None:
        raise _unknown(oid)
    if new is not None:
        raise KernelError(Errno.EPERM)
    return question(oid[2:])


def write(proc: Proc, oid: Oid, new: bytes) -> None:
    """Store `new` in a variable for which read() has allowed it."""
    variable = _VARIABLES.get(oid)
    if variable is None or variable.write is None:
        return  # {0,3}: `new` was the question
    variable.write(proc, new)


def _unknown(oid: Oid) -> KernelError:
    if any(oid[:depth] in _VARIABLES for depth in range(1, len(oid))):
        return KernelError(Errno.ENOTDIR)
    return KernelError(Errno.EISDIR if oid in _COMPONENTS else Errno.ENOENT)


def _name2oid(new: bytes) -> bytes:
    if len(new) >= MAX_NEW:
        raise KernelError(Errno.ENAMETOOLONG)
    name = new.split(b"\0")[0].decode("latin-1").removesuffix(".")
    oid = _OIDS.get(name)
    if oid is None:
        raise KernelError(Errno.ENOENT, f"no variable {name!r}")
    return _ints(oid)


def _name(oid: Oid) -> bytes:
    """Spell `oid`; what is not in the tree is left as numbers."""
    parts = (_COMPONENTS.get(oid[: depth + 1], str(oid[depth])) for depth in range(len(oid)))
    return ".".join(parts).encode() + b"\0"


def _next(oid: Oid) -> bytes:
    """Return the first variable after `oid`, or in it if it is a node."""
    at = bisect_right(_ORDER, oid)
    if at == len(_ORDER):
        raise KernelError(Errno.ENOENT)
    return _ints(_ORDER[at])


def _oidfmt(oid: Oid) -> bytes:
    variable = _VARIABLES.get(oid)
    if variable is not None:
        flags = CtlFlag.RD | (CtlFlag.WR if variable.write else 0)
        kind, text = flags | variable.type, variable.format or _FORMATS[variable.type]
    elif oid == _NAME2OID:
        kind, text = CtlFlag.RD | CtlFlag.WR | CtlFlag.ANYBODY, "I"
    elif oid[:2] in _QUESTIONS:
        kind, text = CtlFlag.RD | CtlType.NODE, "N"
    elif oid in _COMPONENTS:
        kind, text = CtlFlag.RD | CtlFlag.WR | CtlType.NODE, "N"
    else:
        raise KernelError(Errno.ENOTDIR if _unknown(oid).errno == Errno.ENOTDIR else Errno.ENOENT)
    return int(kind).to_bytes(4, "little") + text.encode() + b"\0"


def _ints(oid: Oid) -> bytes:
    return b"".join(number.to_bytes(4, "little", signed=True) for number in oid)


# The values that are computed


def _boottime(proc: Proc) -> bytes:
    clock = proc.kernel.clock
    return bytes(Timespec(*divmod(clock.now_ns() - clock.monotonic_ns(), 1_000_000_000)))


def _cputimer_clock(proc: Proc) -> int:
    """Count from when somebody first reads.

    Any start would do for the original's programs, but one: a VKERNEL64 of 2011 with one CPU
    never starts its clock if the counter comes to a full second while it is being set up.
    """
    kernel = proc.kernel
    now = kernel.clock.monotonic_ns()
    if kernel.cputimer_start is None:
        kernel.cputimer_start = now
    return (now - kernel.cputimer_start) * CPUTIMER_FREQ // 1_000_000_000 & U32_MASK


def _version(proc: Proc) -> str:
    return f"DragonFly {proc.kernel.abi.osrelease} #0: vkemu\n"


def _loadavg(proc: Proc) -> bytes:
    """Return how many LWPs want the CPU now, as the average over any time."""
    load = proc.kernel.sched.runnable * LOADAVG_SCALE
    return bytes(Loadavg((load, load, load), LOADAVG_SCALE))


def _set_vkernel_enable(proc: Proc, new: bytes) -> None:
    proc.kernel.vkernel_enable = bool(_int(new))


def _set_varsym_enable(proc: Proc, new: bytes) -> None:
    proc.kernel.varsym_enable = bool(_int(new))


def _set_hostname(proc: Proc, new: bytes) -> None:
    proc.kernel.hostname = _name_of_machine(new)


def _set_domainname(proc: Proc, new: bytes) -> None:
    proc.kernel.domainname = _name_of_machine(new)


def _int(new: bytes) -> int:
    size = _SIZES[CtlType.INT]
    if len(new) < size:
        raise KernelError(Errno.EINVAL, f"{len(new)} bytes are no int")
    return int.from_bytes(new[:size], "little", signed=True)


def _name_of_machine(new: bytes) -> bytes:
    if len(new) >= MAXHOSTNAMELEN:
        raise KernelError(Errno.EINVAL, f"a name of {len(new)} bytes")
    return new.partition(b"\0")[0]


_CLOCKINFO = _ints((100, 10_000, 0, 128, 128))  # hz, tick, tickadj, stathz, profhz

_P1003 = {
    P1003.ASYNCHRONOUS_IO: -1,
    P1003.PRIORITY_SCHEDULING: 1,
    P1003.PAGESIZE: PAGE_SIZE,
}

INT, UINT, ULONG, QUAD = CtlType.INT, CtlType.UINT, CtlType.ULONG, CtlType.QUAD
STRING, OPAQUE = CtlType.STRING, CtlType.OPAQUE

# fmt: off
VARIABLES = (
    Variable("kern.ostype", Kern.OSTYPE, STRING, "DragonFly"),
    Variable("kern.osrelease", Kern.OSRELEASE, STRING, lambda proc: proc.kernel.abi.osrelease),
    Variable("kern.osrevision", Kern.OSREV, INT, 200708),
    Variable("kern.version", Kern.VERSION, STRING, _version),
    Variable("kern.maxproc", Kern.MAXPROC, INT, lambda proc: proc.kernel.limits.procs),
    Variable("kern.maxfiles", Kern.MAXFILES, INT,
             lambda proc: proc.kernel.limits.files * proc.kernel.limits.procs),
    Variable("kern.argmax", Kern.ARGMAX, INT, 262144),
    Variable("kern.securelevel", Kern.SECURELVL, INT, -1),
    Variable("kern.hostname", Kern.HOSTNAME, STRING, lambda proc: proc.kernel.hostname + b"\0",
             write=_set_hostname),
    Variable("kern.hostid", Kern.HOSTID, ULONG, 0),
    Variable("kern.clockrate", Kern.CLOCKRATE, OPAQUE, _CLOCKINFO, "S,clockinfo"),
    Variable("kern.posix1version", Kern.POSIX1, INT, 199309),
    Variable("kern.ngroups", Kern.NGROUPS, INT, 16),
    Variable("kern.job_control", Kern.JOB_CONTROL, INT, 1),
    Variable("kern.saved_ids", Kern.SAVED_IDS, INT, 1),
    Variable("kern.boottime", Kern.BOOTTIME, OPAQUE, _boottime, "S,timespec"),
    Variable("kern.domainname", Kern.NISDOMAINNAME, STRING,
             lambda proc: proc.kernel.domainname + b"\0", write=_set_domainname),
    Variable("kern.osreldate", Kern.OSRELDATE, INT, lambda proc: proc.kernel.abi.osreldate),
    Variable("kern.bootfile", Kern.BOOTFILE, STRING, "/kernel"),
    Variable("kern.maxfilesperproc", Kern.MAXFILESPERPROC, INT,
             lambda proc: proc.kernel.limits.files),
    Variable("kern.maxprocperuid", Kern.MAXPROCPERUID, INT,
             lambda proc: proc.kernel.limits.procs),
    Variable("kern.ps_strings", Kern.PS_STRINGS, ULONG,
             lambda proc: proc.kernel.abi.user_max - PS_STRINGS_SIZE),
    Variable("kern.usrstack", Kern.USRSTACK, ULONG, lambda proc: proc.kernel.abi.user_max),
    Variable("kern.logsigexit", Kern.LOGSIGEXIT, INT, 1),
    Variable("kern.iov_max", Kern.IOV_MAX, INT, 1024),
    Variable("kern.ident", None, STRING, "VKEMU"),
    Variable("kern.cputimer.name", None, STRING, "vkemu"),
    Variable("kern.cputimer.clock", None, UINT, _cputimer_clock),
    Variable("kern.cputimer.freq", None, INT, CPUTIMER_FREQ),
    Variable("vm.vkernel_enable", None, INT, lambda proc: proc.kernel.vkernel_enable,
             write=_set_vkernel_enable),
    Variable("vm.loadavg", Vm.LOADAVG, OPAQUE, _loadavg, "S,loadavg"),
    Variable("vfs.varsym_enable", None, INT, lambda proc: proc.kernel.varsym_enable,
             write=_set_varsym_enable),
    Variable("hw.machine", Hw.MACHINE, STRING, "x86_64"),
    Variable("hw.model", Hw.MODEL, STRING, "vkemu x86-64"),
    Variable("hw.ncpu", Hw.NCPU, INT, lambda proc: proc.kernel.ncpu),
    Variable("hw.byteorder", Hw.BYTEORDER, INT, 1234),
    Variable("hw.physmem", Hw.PHYSMEM, ULONG, lambda proc: proc.kernel.phys.size),
    Variable("hw.usermem", Hw.USERMEM, INT,  # an int even where memory is larger
             lambda proc: proc.kernel.phys.size - proc.kernel.phys.used, "IU"),
    Variable("hw.pagesize", Hw.PAGESIZE, INT, PAGE_SIZE),
    Variable("hw.floatingpoint", Hw.FLOATINGPT, INT, 1),
    Variable("hw.machine_arch", Hw.MACHINE_ARCH, STRING, "x86_64"),
    Variable("hw.platform", Hw.MACHINE_PLATFORM, STRING, "pc64"),
    Variable("hw.availpages", None, INT, lambda proc: proc.kernel.phys.size // PAGE_SIZE),
    # RDTSC shows a counter of the host's, at a rate nobody knows; virtual kernels can do without.
    Variable("hw.tsc_present", None, INT, 0),
    Variable("hw.tsc_frequency", None, QUAD, 0),
    Variable("hw.instruction_sse", None, INT, 1),
    *(Variable(f"p1003_1b.{item.name.lower()}", item, INT, _P1003.get(item, 0)) for item in P1003),
)
# fmt: on


def _number(variables: Iterable[Variable]) -> Mapping[str, Oid]:
    """Return the name in numbers of every variable and node."""
    oids: dict[str, Oid] = {root.name.lower(): (root.value,) for root in Ctl}
    for question in SysctlMeta:
        oids[f"sysctl.{question.name.lower()}"] = (Ctl.SYSCTL.value, question.value)
    # Given numbers come first: those after them must be free.
    for variable in sorted(variables, key=lambda variable: variable.number is None):
        parts = variable.name.split(".")
        for depth in range(2, len(parts) + 1):
            name, parent = ".".join(parts[:depth]), oids[".".join(parts[: depth - 1])]
            if name not in oids:
                given = variable.number if depth == len(parts) else None
                oids[name] = (*parent, _free(oids, parent) if given is None else given)
    return oids


def _free(oids: Mapping[str, Oid], parent: Oid) -> int:
    """Return the number that a new entry of `parent` gets."""
    taken = (oid[-1] for oid in oids.values() if oid[:-1] == parent)
    return max(OID_AUTO_FIRST, max(taken, default=0) + 1)


_OIDS = _number(VARIABLES)
_VARIABLES: Mapping[Oid, Variable] = {_OIDS[variable.name]: variable for variable in VARIABLES}
_COMPONENTS = {oid: name.rpartition(".")[2] for name, oid in _OIDS.items()}
_NAME2OID = _OIDS["sysctl.name2oid"]
_QUESTIONS: Mapping[Oid, Callable[[Oid], bytes]] = {
    _OIDS["sysctl.name"]: _name,
    _OIDS["sysctl.next"]: _next,
    _OIDS["sysctl.oidfmt"]: _oidfmt,
}
_ORDER = sorted([*_VARIABLES, *_QUESTIONS, _NAME2OID])
