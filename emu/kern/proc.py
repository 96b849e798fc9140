"""Processes and their threads (struct proc, struct lwp), and the kernel that they share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emu.abi.frames import Trapframe, Vextframe
from emu.abi.versions import AbiVersion
from emu.abi.x86 import U64_MASK, Rflags
from emu.cpu.engine import CpuEngine
from emu.kern.clock import Clock
from emu.kern.file import FileTable
from emu.kern.tree import Tree
from emu.kern.vkernel import VkernelLwp, VkernelProc
from emu.vm.phys import PhysicalMemory
from emu.vm.vmspace import Vmspace

_CARRY = int(Rflags.C)
_NO_CARRY = U64_MASK & ~_CARRY


@dataclass(slots=True, eq=False)
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
    ncpu: int = 1


@dataclass(slots=True, eq=False)
class Proc:
    kernel: Kernel
    vmspace: Vmspace
    files: FileTable
    pid: int = 100
    ppid: int = 1
    name: str = ""
    umask: int = 0o022
    text_start: int = 0
    data_start: int = 0
    """Where mmap's hint and the break are counted from (abi 6.9, 6.10)."""
    data_size: int = 0
    vkernel: VkernelProc | None = None
    exit_status: int | None = None
    """What wait4 would report as the exit code; set once the process has ended by itself."""
    killed_by: int | None = None
    """The signal that ended the process."""

    @property
    def alive(self) -> bool:
        return self.exit_status is None and self.killed_by is None


@dataclass(slots=True, eq=False)
class Lwp:
    proc: Proc
    cpu: CpuEngine
    frame: Trapframe = field(init=False)
    """The live registers; they are the engine's."""
    bases: Vextframe = field(init=False)
    frame_bytes: memoryview = field(init=False)
    bases_bytes: memoryview = field(init=False)
    arguments: memoryview = field(init=False)
    """`frame` and `bases` as bytes, to be moved whole, and the frame's words: arguments first."""
    vmspace: Vmspace = field(init=False)
    """The address space the LWP runs in now: the process's own, or a vmspace it has entered."""
    tid: int = 0
    vkernel: VkernelLwp | None = None

    def __post_init__(self) -> None:
        self.frame = self.cpu.frame
        self.bases = self.cpu.bases
        self.frame_bytes = memoryview(self.frame).cast("B")
        self.bases_bytes = memoryview(self.bases).cast("B")
        self.arguments = self.frame_bytes.cast("Q")
        self.vmspace = self.proc.vmspace

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
