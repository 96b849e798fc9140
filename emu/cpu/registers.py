"""The live frame, the FS and GS bases, and the registers of the engine that they stand for.

They move in batches, whose arguments are made once.  What a frame holds and the engine must not
be given is kept from it here: flags that are not a user's, VM, and RF, which hardware clears when
an instruction completes and the engine does not.
"""

from collections.abc import Mapping
from ctypes import addressof, c_uint64, c_void_p

from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.x86 import RFLAGS_SANITISE, RFLAGS_USER, U64_MASK, USER_CS, USER_SS, Rflags
from emu.cpu.fp_state import FpState
from emu.cpu.sse_status import SseStatus
from emu.cpu.start_up import CR0
from emu.cpu.unicorn_library import (
    Batch,
    context_restore,
    read_register,
    reason,
    write_register,
)

# RIP is not among those loaded: it is an argument of uc_emu_start.
_GENERAL = TRAPFRAME_FIELDS[:15]
_LOADED = [*_GENERAL, "rsp", "rflags"]
_STORED = [*_GENERAL, "rsp", "rflags", "rip"]

# Words of a frame by index.
RCX, R10 = 3, 9
XFLAGS, TRAPNO, ADDR, FLAGS, ERR, RIP, CS, RFLAGS, SS = 15, 16, 17, 18, 19, 20, 21, 22, 24

# What goes into the engine with the next run, as a set of bits.
GENERAL, BASES, ROOT = 1, 2, 4

# Members of an enumeration are slow to look up and to calculate with; these serve every trap.
RF = int(Rflags.RF)
T = int(Rflags.T)
VM = int(Rflags.VM)

# What a frame may bring into the engine: what is a user's to set; but not VM, which means nothing
# in 64-bit mode, nor RF, which the engine does not clear when an instruction completes.
_LOADABLE = int((RFLAGS_SANITISE | RFLAGS_USER) & ~(Rflags.VM | Rflags.RF))

_NOT_RF = U64_MASK & ~RF
_CR0_TS = 0x8


class Registers:
    """The registers of one engine, which is stopped.

    `ring_3` is a context as it was on first entry to ring 3, and `root` the page table in use.
    """

    def __init__(
        self, handle: object, ring_3: c_void_p, root: int, fp: FpState, sse: SseStatus
    ) -> None:
        self.frame = Trapframe()
        self.bases = Vextframe()
        self.slots = memoryview(self.frame).cast("B").cast("Q")
        self.root = root
        self.rf = 0  # what RF is until the next instruction has completed
        self.pending = 0
        """What is to go in with the next run: GENERAL, BASES, ROOT."""
        self.fp_trap = False
        self._handle = handle
        self._ring_3 = ring_3
        self._fp = fp
        self._sse = sse
        # RFLAGS as it goes in, and the root.
        self._inward = (c_uint64 * 2)()
        self._values = memoryview(self._inward).cast("B").cast("Q")
        self._make_batches()

    def _make_batches(self) -> None:
        slot = {name: addressof(self.frame) + 8 * i for i, name in enumerate(TRAPFRAME_FIELDS)}
        rflags = addressof(self._inward)
        fs_base = addressof(self.bases)  # Vextframe: base and size of FS, then of GS
        loaded = {name: slot[name] for name in _LOADED} | {"rflags": rflags}
        self.rip_address = slot["rip"]
        self.stored = self._batch({name: slot[name] for name in _STORED})
        self.loaded = self._batch(loaded)
        self.cr2 = self._batch({"cr2": slot["addr"]})
        self.cr3 = self._batch({"cr3": rflags + 8})
        self.fs_and_gs = self._batch({"fs_base": fs_base, "gs_base": fs_base + 16})
        names = [*_LOADED, "rip"]
        self._healed = (c_uint64 * len(names))()
        healed = dict(zip(names, range(addressof(self._healed), 1 << 64, 8), strict=False))
        self._heal = self._batch(healed | {"rflags": rflags})

    def _batch(self, places: Mapping[str, int]) -> Batch:
        return Batch(self._handle, places.items())

    # ---- between the frame and the engine

    def finish(self, rf: int) -> None:
        """Put into the frame what is the same for every trap, and `rf` for the resume flag.

        The rest has come from the engine.
        """
        slots = self.slots
        rflags = slots[RFLAGS]
        if rflags & VM:
            rflags = self.leave_virtual_8086()
        # Not the engine's own RF: it stays as it was until the block ends.
        slots[RFLAGS] = rflags & _NOT_RF | rf
        slots[CS] = USER_CS
        slots[SS] = USER_SS

    def store_all(self, rf: int) -> None:
        """Fill the frame again: the engine's registers have been changed since it stopped."""
        self.stored.read()
        self.finish(rf)

    def load(self) -> None:
        """Take the general registers, RSP and RFLAGS from the frame when the engine runs next."""
        rflags = self.slots[RFLAGS]
        self._values[0] = rflags & _LOADABLE
        self.rf = rflags & RF
        self.pending |= GENERAL

    def settle(self) -> None:
        """Make the frame what it would be if the engine had taken it and stopped at once."""
        slots = self.slots
        slots[RFLAGS] = slots[RFLAGS] & _LOADABLE | self.rf
        slots[CS] = USER_CS
        slots[SS] = USER_SS

    def load_bases(self) -> None:
        """The same for the bases of FS and GS."""
        self.pending |= BASES

    def use_root(self, root: int) -> None:
        """The same for the page table; translations are forgotten."""
        self.root = root
        self._values[1] = root
        self.pending |= ROOT

    def leave_virtual_8086(self) -> int:
        """Put 64-bit mode back and return the flags that belong to it.

        A 32-bit IRET whose flags have VM set ignores it on hardware, when in long mode.  Unicorn
        obeys, even in ring 3.  That is no way to more rights, as the page table still holds; but
        segments then have bases, which nothing else would ever clear.
        """
        state = self.fp_save()
        self._heal.read()
        rflags = self._values[0] & _LOADABLE
        self._values[0] = rflags
        context_restore(self._handle, self._ring_3)
        self._heal.write()
        self.write_root(self.root)
        self._write_cr0()
        self.fs_and_gs.write()
        self.fp_restore(state)
        return rflags

    # ---- one at a time

    def read(self, name: str) -> int:
        return read_register(self._handle, name)

    def write(self, name: str, value: int) -> None:
        write_register(self._handle, name, value)

    def write_root(self, root: int) -> None:
        self.root = root
        self._values[1] = root
        self.cr3.write()

    def hide_memory(self, empty_root: int) -> None:
        """Let no access find a page, until write_root()."""
        self._values[1] = empty_root
        self.cr3.write()

    def write_fp_trap(self, trap: bool) -> None:
        self.fp_trap = trap
        self._write_cr0()

    def _write_cr0(self) -> None:
        self.write("CR0", CR0 | _CR0_TS if self.fp_trap else CR0)

    def fp_save(self) -> bytes:
        self._sse.collect()
        return self._fp.save()

    def fp_restore(self, state: bytes) -> bool:
        """Return whether this leaves an SSE exception unmasked."""
        self._fp.restore(state)
        return self._sse.adopt()

    def broken(self, error: int, vector: int) -> AssertionError:
        """Return what to raise when the engine stopped for a reason no guest should cause."""
        self.store_all(0)
        values = ", ".join(f"{name} {getattr(self.frame, name):#x}" for name in _STORED)
        return AssertionError(f"unicorn: {reason(error)}, vector {vector}, {values}")
