"""The live frame, the FS and GS bases, and the registers of the engine that they stand for.

All of them move in one batch each way, whose arguments are made once.  What a frame holds and the
engine must not be given is kept from it here: flags that are not a user's, VM, and RF, which
hardware clears when an instruction completes and the engine does not.
"""

from collections.abc import Iterable
from ctypes import addressof, c_uint64, c_void_p

from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.x86 import RFLAGS_SANITISE, RFLAGS_USER, U64_MASK, USER_CS, USER_SS, Rflags
from emu.cpu.fp_state import FpState
from emu.cpu.sse_status import SseStatus
from emu.cpu.start_up import CR0
from emu.cpu.unicorn_library import (
    ZERO,
    batch,
    context_restore,
    read_register,
    reason,
    reg_read_batch,
    reg_write_batch,
    write_register,
)

# RIP is not among those loaded: it is an argument of uc_emu_start.
_GENERAL = TRAPFRAME_FIELDS[:15]
_LOADED = [*_GENERAL, "rsp", "rflags"]
_STORED = [*_GENERAL, "rsp", "rflags", "rip"]

# Words of a frame by index.
XFLAGS, TRAPNO, ADDR, FLAGS, ERR, RIP, CS, RFLAGS, SS = 15, 16, 17, 18, 19, 20, 21, 22, 24

# Members of an enumeration are slow to look up and to calculate with; these serve every trap.
RF = int(Rflags.RF)
T = int(Rflags.T)
VM = int(Rflags.VM)

# What a frame may not bring into the engine: what is not a user's to set; VM, which means
# nothing in 64-bit mode; and RF, which the engine does not clear when an instruction completes.
_NOT_LOADED = int(U64_MASK & ~(RFLAGS_SANITISE | RFLAGS_USER) | Rflags.VM | Rflags.RF)

_CR0_TS = 0x8


class Registers:
    """The registers of one engine, which is stopped.

    `ring_3` is a context as it was on first entry to ring 3, and `root` the page table in use.
    The batches are arguments for reg_read_batch() and reg_write_batch().
    """

    def __init__(
        self, handle: object, ring_3: c_void_p, root: int, fp: FpState, sse: SseStatus
    ) -> None:
        self.frame = Trapframe()
        self.bases = Vextframe()
        self.slots = memoryview(self.frame).cast("B").cast("Q")
        self.root = root
        self.rf = 0  # what RF is until the next instruction has completed
        self.partial = False  # only part of the registers has been put into the frame
        self.fp_trap = False
        self._handle = handle
        self._ring_3 = ring_3
        self._fp = fp
        self._sse = sse
        self._safe_rflags = c_uint64()
        self.fault_rflags = c_uint64()
        self._cr3 = c_uint64()
        self._make_batches()
        # RIP's slot is passed by value, so this stays right whatever the slot holds.
        self.start = (handle, self.rip, ZERO, ZERO, ZERO)
        """The arguments of emu_start(), to go on at the RIP in the frame."""

    def _make_batches(self) -> None:
        slot = {name: addressof(self.frame) + 8 * i for i, name in enumerate(TRAPFRAME_FIELDS)}
        all_places = [(name, slot[name]) for name in _STORED]
        loaded = [(name, slot[name]) for name in _LOADED]
        safe = dict(loaded) | {"rflags": addressof(self._safe_rflags)}
        syscall = [place for place in all_places if place[0] != "rcx"]
        fs_base = addressof(self.bases)  # Vextframe: base and size of FS, then of GS
        self.rip = c_uint64.from_address(slot["rip"])
        self._all_batch = self._batch(all_places)
        self._loaded_batch = self._batch(loaded)
        self._safe_batch = self._batch(safe.items())
        self.syscall_batch = self._batch([*syscall, ("r10", slot["rcx"])])
        self.fault_batch = self._batch(
            [
                ("rip", slot["rip"]),
                ("cr2", slot["addr"]),
                ("rflags", addressof(self.fault_rflags)),
            ]
        )
        names = [*_LOADED, "rip"]
        self._healed = (c_uint64 * len(names))()
        healed = dict(zip(names, range(addressof(self._healed), 1 << 64, 8), strict=False))
        healed["rflags"] = addressof(self._safe_rflags)
        self._heal_batch = self._batch(healed.items())
        self.rip_batch = self._batch([("rip", slot["rip"])])
        self._cr3_batch = self._batch([("cr3", addressof(self._cr3))])
        self._base_batch = self._batch([("fs_base", fs_base), ("gs_base", fs_base + 16)])

    def _batch(self, places: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        return batch(self._handle, list(places))

    # ---- between the frame and the engine

    def store(self) -> None:
        """Complete the frame after a page fault."""
        if self.partial:
            self.store_all(RF)

    def store_all(self, rf: int) -> None:
        """Fill the frame from the engine, with `rf` for the resume flag; not what caused a trap."""
        self.partial = False
        reg_read_batch(*self._all_batch)
        slots = self.slots
        if slots[RFLAGS] & VM:
            slots[RFLAGS] = self.leave_virtual_8086()
        # Not the engine's own RF: it stays as it was until the block ends.
        slots[RFLAGS] = slots[RFLAGS] & ~RF | rf
        slots[CS] = USER_CS
        slots[SS] = USER_SS

    def load(self) -> None:
        """Take the general registers, RSP and RFLAGS from the frame."""
        self.partial = False
        rflags = self.slots[RFLAGS]
        if rflags & _NOT_LOADED:
            self._safe_rflags.value = rflags & ~_NOT_LOADED
            self.rf = rflags & RF
            reg_write_batch(*self._safe_batch)
        else:
            self.rf = 0
            reg_write_batch(*self._loaded_batch)

    def load_bases(self) -> None:
        reg_write_batch(*self._base_batch)

    def leave_virtual_8086(self) -> int:
        """Put 64-bit mode back and return the flags that belong to it.

        A 32-bit IRET whose flags have VM set ignores it on hardware, when in long mode.  Unicorn
        obeys, even in ring 3.  That is no way to more rights, as the page table still holds; but
        segments then have bases, which nothing else would ever clear.
        """
        state = self.fp_save()
        reg_read_batch(*self._heal_batch)
        rflags = self._safe_rflags.value & ~_NOT_LOADED
        self._safe_rflags.value = rflags
        context_restore(self._handle, self._ring_3)
        reg_write_batch(*self._heal_batch)
        self.write_root(self.root)
        self._write_cr0()
        self.load_bases()
        self.fp_restore(state)
        return rflags

    # ---- one at a time

    def read(self, name: str) -> int:
        return read_register(self._handle, name)

    def write(self, name: str, value: int) -> None:
        write_register(self._handle, name, value)

    def write_root(self, root: int) -> None:
        self.root = root
        self._cr3.value = root
        reg_write_batch(*self._cr3_batch)

    def hide_memory(self, empty_root: int) -> None:
        """Let no access find a page, until write_root()."""
        self._cr3.value = empty_root
        reg_write_batch(*self._cr3_batch)

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
