"""Executes odd instructions one at a time, and makes of each what hardware would have done.

The engine is stopped before them by a hook of `OddCode`, or by its translator, which aborts on a
few.  Around a single step, what it takes wrongly is replaced, and what it leaves wrong is put
right or turned into an exception.
"""

from collections.abc import Iterable

from emu.abi.x86 import Vector
from emu.cpu.engine import Exit
from emu.cpu.exceptions import Exceptions
from emu.cpu.new_code import FLAGS_KINDS, LENGTHS_KINDS, SSE_KINDS, Kind
from emu.cpu.odd_code import OddCode
from emu.cpu.passage import Passages
from emu.cpu.registers import RFLAGS, RIP, Registers, T
from emu.cpu.safe_stop import BUDGET, VECTOR
from emu.cpu.sse_status import SseStatus
from emu.cpu.stops import Stops
from emu.cpu.unicorn_library import emu_stop

_LENGTHS = ("RAX", "RDX")


class OddSteps:
    """The single steps of one engine, in passages."""

    def __init__(
        self,
        handle: object,
        words: memoryview,
        passages: Passages,
        registers: Registers,
        sse: SseStatus,
        odd_code: OddCode,
        exceptions: Exceptions,
        stops: Stops,
    ) -> None:
        self._paused: Kind | None = None  # a hook has stopped before an instruction of this kind
        self._handle = handle
        self._words = words
        self._passages = passages
        self._registers = registers
        self._sse = sse
        self._odd_code = odd_code
        self._exceptions = exceptions
        self._stops = stops

    def meet(self, kind: Kind) -> None:
        """Stop the engine, in a hook, if it cannot do this instruction."""
        if kind is Kind.INVALID:
            self._exceptions.refuse(Vector.UD)
        elif kind is Kind.PROTECTED:
            self._exceptions.refuse(Vector.GP)
        elif self._needs_help(kind):
            self._paused = kind
            emu_stop(self._handle)

    def _needs_help(self, kind: Kind) -> bool:
        if kind is Kind.SAVES_MXCSR:
            return self._sse.has_news()
        if kind in FLAGS_KINDS:
            return False
        return kind not in LENGTHS_KINDS or self._lengths(kind) is not None

    def look_for_sse(self, unmasked: bool) -> None:
        """Do what changes when an SSE exception is unmasked, or none is any longer."""
        if unmasked != self._odd_code.unmasked:
            self._odd_code.set_unmasked(unmasked)
            self._exceptions.take()  # of the engine's own, as in answer()

    @property
    def wanted(self) -> bool:
        """Tell whether the engine was stopped for answer()."""
        return self._paused is not None or self._odd_code.pending

    def answer(self) -> Exit | None:
        """Do what the engine was stopped for because of odd code; None if the run then goes on."""
        exit = self._execute() if self._paused is not None else None
        if self._odd_code.pending:
            self._odd_code.watch()
            # Deleting hooks, it looks for code at their addresses, and keeps the faults it took.
            self._exceptions.take()
        if exit is None and self._stops.final and not self._stops.armed:
            return self._stops.interrupted(True)  # this may have been its stop as well
        return exit

    def untranslatable(self) -> Exit | None:
        """The translator has aborted on a block, of which nothing has run.

        Some invalid instructions make it: LOCK with a bit test of a register is one.  What comes
        before that is executed alone, one instruction for each abort.
        """
        registers, exceptions = self._registers, self._exceptions
        rip = registers.slots[RIP]
        kind = self._odd_code.kind_at(rip)
        if kind is Kind.INVALID:
            return exceptions.trap(Vector.UD)
        if kind is Kind.PROTECTED:
            return exceptions.trap(Vector.GP)
        if kind is not None and (kind not in SSE_KINDS or self._odd_code.unmasked):
            self._paused = kind
            return self._execute()
        traced, vector, error = self._step()
        if exceptions.refused:
            exit = exceptions.report(vector, error)
            registers.slots[RFLAGS] &= ~T | traced  # it was set for the step
            registers.load()
            return exit
        if vector != Vector.DB or error:
            if exceptions.aborted():
                self._untranslatable_again(rip)
                return None
            if vector >= 0 or error:
                return exceptions.report(vector, error)
            if self._odd_code.pending:
                return self.answer()
            return self._stops.interrupted(False) if self._stops.stopped() else None
        exceptions.dismiss()
        return exceptions.trap(Vector.DB) if traced else None

    def _untranslatable_again(self, rip: int) -> None:
        """The step over MOV SS at `rip` went on to the next, which makes the translator abort."""
        registers = self._registers
        self._exceptions.dismiss()
        if registers.slots[RIP] == rip:
            raise registers.broken(0, -1)

    def _execute(self) -> Exit | None:
        """Execute the instruction that a hook has stopped before, as hardware does."""
        kind, self._paused = self._paused, None
        registers, sse, exceptions = self._registers, self._sse, self._exceptions
        sse.begin()
        lengths = self._lengths(kind) if kind in LENGTHS_KINDS else None
        if lengths:
            before = [registers.read(name) for name in _LENGTHS]
            self._write_lengths(lengths)
        traced, vector, error = self._step()
        if lengths:
            self._write_lengths(before)
        if vector != Vector.DB or error:
            if vector < 0 and not error:
                return None
            exit = exceptions.report(vector, error)
            return exit if exit is not None else self.untranslatable()
        exceptions.dismiss()
        if kind in SSE_KINDS:
            if sse.end(inexact=kind is Kind.INEXACT_SSE):
                return exceptions.trap(Vector.XM)
        elif kind is Kind.LOADS_MXCSR:
            if sse.undo_wrong_load():
                return exceptions.trap(Vector.GP)
            self.look_for_sse(sse.adopt())
        return exceptions.trap(Vector.DB) if traced else None

    def _lengths(self, kind: Kind) -> list[int] | None:
        """Return lengths that mean the same as those in EAX and EDX, if the engine needs them.

        Hardware takes more than a register's worth, on either side of 0, for just that.  Unicorn
        has nothing for the least integer of 32 bits, and reads from everywhere.
        """
        bits = 64 if kind is Kind.WIDE_LENGTHS else 32
        values = [self._registers.read(name) % (1 << bits) for name in _LENGTHS]
        lengths = [min(value, (1 << bits) - value) for value in values]
        return [min(length, 16) for length in lengths] if max(lengths) >= 1 << 31 else None

    def _write_lengths(self, values: Iterable[int]) -> None:
        for name, value in zip(_LENGTHS, values, strict=True):
            self._registers.write(name, value)

    def _step(self) -> tuple[int, int, int]:
        """Run one instruction; return T in RFLAGS, the vector, which is #DB if it has, the error.

        A kick or the budget may stop it, as any run.
        """
        registers, stops = self._registers, self._stops
        rflags = registers.read("RFLAGS")
        registers.write("RFLAGS", rflags | T)
        self._odd_code.passed = registers.slots[RIP]
        left = self._words[BUDGET]
        error = self._passages.go(self._passages.lists[0])
        if stops.counting:
            stops.count(left)
        self._odd_code.passed = None
        if not rflags & T:
            registers.write("RFLAGS", registers.read("RFLAGS") & ~T)
        vector = self._words[VECTOR]
        if vector == Vector.DB:
            registers.rf = 0
        return rflags & T, vector, error
