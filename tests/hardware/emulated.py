"""The emulated CPU: each case is run in a vmspace, and its end reflected to the virtual kernel.

So what is compared is what a virtual kernel gets to see, the repairs of `emu.trap` included.
"""

from conftest import LOAD_ADDRESS, Booted, call

from emu import trap
from emu.abi.frames import Trapframe, Vextframe
from emu.abi.mman import Map, Prot
from emu.abi.versions import ABI_2020
from emu.abi.vkernel import Trap
from emu.abi.x86 import PAGE_SIZE, Vector
from emu.kern import vkernel
from hardware.machine import (
    AREAS,
    CODE,
    DATA_AREAS,
    REGISTERS,
    Area,
    Case,
    Died,
    Outcome,
    memory_pattern,
)

ID = 1
TFRAME = LOAD_ADDRESS + 0x2000  # in the program's zeroed memory
VFRAME = LOAD_ADDRESS + 0x3000
ANON_FIXED = int(Map.ANON | Map.PRIVATE | Map.FIXED)
MOST_EXITS = 50

VECTORS = {
    Trap.DIVIDE: Vector.DE,
    Trap.TRCTRAP: Vector.DB,
    Trap.BPTFLT: Vector.BP,
    Trap.OFLOW: Vector.OF,
    Trap.BOUND: Vector.BR,
    Trap.PRIVINFLT: Vector.UD,
    Trap.DNA: Vector.NM,
    Trap.TSSFLT: Vector.TS,
    Trap.SEGNPFLT: Vector.NP,
    Trap.STKFLT: Vector.SS,
    Trap.PROTFLT: Vector.GP,
    Trap.PAGEFLT: Vector.PF,
    Trap.ARITHTRAP: Vector.MF,
    Trap.ALIGNFLT: Vector.AC,
    Trap.XMMFLT: Vector.XM,
}
"""abi 3.4, read from right to left."""


class EmulatedCpu:
    """A virtual kernel with one vmspace.  Fetches are checked in the 2020 version alone."""

    def __init__(self) -> None:
        self._pattern = memory_pattern()
        self._start()

    def run(self, case: Case) -> Outcome:
        """Raise Died if the case does not end; any other exception is a bug of the emulator's.

        After either, the next case finds a new machine.
        """
        try:
            return self._run(case)
        except BaseException:
            self.close()
            self._start()
            raise

    def _start(self) -> None:
        self._booted = Booted("nop", abi=ABI_2020, memory=16 << 20)
        self._lwp = self._booted.lwp
        assert call(self._lwp, "vmspace_create", ID, 0, 0) == 0
        assert self._lwp.proc.vkernel is not None
        self._entry = self._lwp.proc.vkernel.find(ID)
        self._space = self._entry.vmspace
        self._lwp.proc.vmspace.copyout(VFRAME, bytes(Vextframe()))
        self._lwp.proc.vmspace.copyout(TFRAME, bytes(Trapframe()))
        self._pages = {page: memory for area in AREAS for page, memory in self._map(area)}

    def _run(self, case: Case) -> Outcome:
        lwp = self._lwp
        self._put(CODE, case.code_pages())
        lwp.proc.kernel.phys.stale.code_changed()
        for start, content in self._pattern.items():
            self._put(start, content)
        for address, content in case.memory:
            self._put(address, content)
        frame = Trapframe(**case.registers, rip=case.rip, rflags=case.rflags)
        lwp.proc.vmspace.copyout(TFRAME, bytes(frame))
        vkernel.enter(lwp, self._entry, TFRAME, VFRAME)
        lwp.cpu.fp_restore(case.fp)
        for _ in range(MOST_EXITS):
            trap.handle(lwp, lwp.cpu.run(lwp.vmspace.pmap.cr3))
            if not lwp.inside:
                return self._outcome()
        raise Died("the case does not end")

    def close(self) -> None:
        self._booted.close()

    def _outcome(self) -> Outcome:
        frame = self._lwp.proc.vmspace.copyin_struct(TFRAME, Trapframe)
        return Outcome(
            vector=VECTORS.get(Trap(frame.trapno), frame.trapno),
            error=frame.err,
            address=frame.addr,
            rip=frame.rip,
            rflags=frame.rflags,
            registers={name: getattr(frame, name) for name in REGISTERS},
            fp=self._lwp.cpu.fp_save(),
            memory={area.start: self._get(area) for area in DATA_AREAS},
        )

    def _map(self, area: Area) -> list[tuple[int, memoryview]]:
        """Map `area` and enter every page with all its rights; return the pages."""
        lwp, space = self._lwp, self._space
        mapped = call(lwp, "vmspace_mmap", ID, area.start, area.size, area.prot, ANON_FIXED, -1, 0)
        assert mapped == area.start
        pages = []
        for page in range(area.start, area.start + area.size, PAGE_SIZE):
            for access in Prot.READ, Prot.WRITE, Prot.EXEC:
                if area.prot & access:
                    space.fault(page, access)
            pa = space.pmap.extract(page)
            assert pa is not None
            pages.append((page, lwp.proc.kernel.phys.page(pa)))
        return pages

    def _put(self, address: int, content: bytes) -> None:
        done = 0
        while done < len(content):
            offset = (address + done) % PAGE_SIZE
            piece = content[done : done + PAGE_SIZE - offset]
            page = self._pages[address + done - offset]
            page[offset : offset + len(piece)] = piece
            done += len(piece)

    def _get(self, area: Area) -> bytes:
        pages = range(area.start, area.start + area.size, PAGE_SIZE)
        return b"".join(bytes(self._pages[page]) for page in pages)
