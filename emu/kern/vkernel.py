"""Virtual kernels: their vmspaces, and the way into one and back (sys/vm/vm_vmspace.c).

enter() and leave() mirror each other.  Between the two the LWP "is in" a vmspace: its frame, its
address space and its FS and GS base are the guest's; the virtual kernel's own wait in VkernelLwp.
The FP registers are shared by both and never touched here.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.abi.errno import Errno, KernelError
from emu.abi.frames import TRAPFRAME_FIELDS, TRAPFRAME_SIZE, VEXTFRAME_SIZE
from emu.abi.x86 import RFLAGS_SANITISE, RFLAGS_USER, U64_MASK, USER_CS, USER_SS, Pgex, Rflags
from emu.vm.vmspace import Vmspace

if TYPE_CHECKING:
    from emu.kern.proc import Lwp

_FPFAULT = int(Pgex.FPFAULT)
_CARRY = int(Rflags.C)
_NO_CARRY = U64_MASK & ~_CARRY
_SANITISE = int(RFLAGS_SANITISE)
_USER = int(RFLAGS_USER)
_RAX, _XFLAGS, _CS, _RFLAGS, _SS = map(
    TRAPFRAME_FIELDS.index, ("rax", "xflags", "cs", "rflags", "ss")
)


@dataclass(slots=True, eq=False)
class VmspaceEntry:
    """A vmspace that a virtual kernel has created."""

    id: int
    vmspace: Vmspace
    refs: int = 0
    """LWPs that run in it now."""


@dataclass(slots=True, eq=False)
class VkernelProc:
    """What makes a process a virtual kernel: its vmspaces by id (struct vkernel_proc)."""

    entries: dict[int, VmspaceEntry] = field(default_factory=dict)
    refs: int = 1
    """Processes that share the vmspaces: a child is a virtual kernel with the same ones."""

    def create(self, id: int, vmspace: Vmspace) -> None:
        self.entries[id] = VmspaceEntry(id, vmspace)

    def find(self, id: int) -> VmspaceEntry:
        """Return the entry known as `id`, or raise KernelError(ENOENT)."""
        entry = self.entries.get(id)
        if entry is None:
            raise KernelError(Errno.ENOENT, f"no vmspace {id:#x}")
        return entry

    def destroy(self, id: int) -> None:
        """Forget `id`.  Raise KernelError(EBUSY) while an LWP runs in it."""
        entry = self.find(id)
        if entry.refs:
            raise KernelError(Errno.EBUSY, f"vmspace {id:#x} is in use")
        del self.entries[id]
        entry.vmspace.destroy()

    def hold(self) -> "VkernelProc":
        """Share with a child (vkernel_inherit)."""
        self.refs += 1
        return self

    def drop(self) -> None:
        """A process gives its share up; with the last one every vmspace goes (vkernel_exit)."""
        self.refs -= 1
        if self.refs:
            return
        for entry in self.entries.values():
            entry.vmspace.destroy()
        self.entries.clear()


class VkernelLwp:
    """An LWP that has called vmspace_ctl (struct vkernel_lwp)."""

    __slots__ = ("saved_bases", "saved_frame", "tframe")

    def __init__(self) -> None:
        self.saved_frame = memoryview(bytearray(TRAPFRAME_SIZE))
        self.saved_bases = memoryview(bytearray(VEXTFRAME_SIZE))
        self.tframe = 0


def lwp_exit(lwp: "Lwp") -> None:
    """Take an LWP that exits, or executes a program, out of the vmspace it is in."""
    if lwp.inside is not None:
        lwp.inside.refs -= 1
        lwp.inside = None
        lwp.vmspace = lwp.proc.vmspace
    lwp.vkernel = None


def enter(lwp: "Lwp", entry: VmspaceEntry, tframe: int, vframe: int) -> None:
    """Go on in `entry`'s vmspace with the registers at `tframe` and the TLS bases at `vframe`.

    Raise KernelError(EFAULT), with nothing changed, if either cannot be read.
    """
    space = lwp.vmspace
    vkernel = lwp.vkernel
    if vkernel is None:
        vkernel = lwp.vkernel = VkernelLwp()
    vkernel.saved_frame[:] = lwp.frame_bytes
    lwp.frame_bytes[:] = space.borrow(tframe, TRAPFRAME_SIZE)
    try:
        bases = space.borrow(vframe, VEXTFRAME_SIZE)
    except KernelError:
        lwp.frame_bytes[:] = vkernel.saved_frame
        raise
    vkernel.saved_bases[:] = lwp.bases_bytes
    vkernel.tframe = tframe
    lwp.inside = entry
    entry.refs += 1
    lwp.vmspace = entry.vmspace
    lwp.bases_bytes[:] = bases
    words = lwp.words
    words[_CS] = USER_CS
    words[_SS] = USER_SS
    words[_RFLAGS] = words[_RFLAGS] & _SANITISE | _USER
    cpu = lwp.cpu
    wants_fp_trap = words[_XFLAGS] & _FPFAULT != 0
    if cpu.fp_trap != wants_fp_trap:
        cpu.fp_trap = wants_fp_trap
    cpu.load()
    cpu.load_bases()


def leave(lwp: "Lwp") -> None:
    """Return from vmspace_ctl: hand the guest's registers to the virtual kernel (vkernel_trap).

    The call returns 0, or EFAULT if they cannot be stored; the guest's state is then lost.
    """
    vkernel, entry = lwp.vkernel, lwp.inside
    assert vkernel is not None and entry is not None
    entry.refs -= 1
    lwp.inside = None
    space = lwp.vmspace = lwp.proc.vmspace
    error = 0
    try:
        space.copyout(vkernel.tframe, lwp.frame_bytes)
    except KernelError as refusal:
        error = refusal.errno
    lwp.frame_bytes[:] = vkernel.saved_frame
    lwp.bases_bytes[:] = vkernel.saved_bases
    words = lwp.words
    words[_RAX] = error
    words[_RFLAGS] = words[_RFLAGS] | _CARRY if error else words[_RFLAGS] & _NO_CARRY
    cpu = lwp.cpu
    if cpu.fp_trap:
        cpu.fp_trap = False
    cpu.load()
    cpu.load_bases()
