"""Puts back the flags of an instruction that has a hook and has faulted.

For a hook the engine calculates the flags, and a fault then undoes half of that (unicorn#2373).
"""

from ctypes import c_uint64

from emu.abi.x86 import Rflags
from emu.cpu.odd_code import OddCode
from emu.cpu.registers import RF, RFLAGS, Registers

_ARITHMETIC = int(Rflags.C | Rflags.PF | Rflags.AF | Rflags.Z | Rflags.N | Rflags.V)


class SpoiltFlags:
    """The flags that the hooks of `odd_code` spoil.

    `source` is what the engine calculates flags from, as the last exception left it.
    """

    def __init__(self, registers: Registers, odd_code: OddCode, source: c_uint64) -> None:
        self._registers = registers
        self._odd_code = odd_code
        self._source = source

    def repair(self) -> None:
        """If what has faulted is the instruction reached last, put back the flags it began with."""
        odd_code = self._odd_code
        assert odd_code.reached is not None
        va, before = odd_code.reached
        odd_code.reached = None
        if va == self._registers.read("RIP"):
            self._put_back(before)

    def repair_quiet(self) -> None:
        """The same for a SETcc with a hook that nobody is called for."""
        if self._odd_code.spoils_flags(self._registers.read("RIP")):
            self._put_back(self._source.value)

    def _put_back(self, flags: int) -> None:
        registers = self._registers
        rflags = registers.read("RFLAGS")
        registers.write("RFLAGS", rflags & ~_ARITHMETIC | flags & _ARITHMETIC)
        registers.store_all(registers.slots[RFLAGS] & RF)
