"""What has stopped the engine, as hardware would have reported it.

The engine tells the vector of an exception, or an error; the rest lies in its context.  Some
exceptions are not the ones that hardware raises, and some it does not raise at all: those are
raised by hooks, through refuse().
"""

from collections.abc import Mapping
from ctypes import c_void_p

from emu.abi.vkernel import Trap
from emu.abi.x86 import USER_CS, USER_SS, Pgex, Vector
from emu.cpu.abort_guard import AbortGuard
from emu.cpu.engine import Exit
from emu.cpu.guest_code import code_at, icebp_length
from emu.cpu.new_code import LONGEST_INSTRUCTION
from emu.cpu.odd_code import OddCode
from emu.cpu.registers import ADDR, CS, ERR, RF, RFLAGS, RIP, SS, TRAPNO, VM, XFLAGS, Registers
from emu.cpu.safe_stop import VECTOR
from emu.cpu.spoilt_flags import SpoiltFlags
from emu.cpu.start_up import ExceptionWords
from emu.cpu.unicorn_library import (
    ERR_INSN_INVALID,
    argument,
    context_restore,
    context_save,
    emu_stop,
)
from emu.disasm import faults_on_stack
from emu.vm.phys import PhysicalMemory

# Members of an enumeration are slow to look up and to calculate with; these serve every fault.
_EXIT_PAGE_FAULT = Exit.PAGE_FAULT
_PAGEFLT = int(Trap.PAGEFLT)
_USER = int(Pgex.U)
_FETCH = int(Pgex.I)
_PF = int(Vector.PF)
_DF = int(Vector.DF)
_GP = int(Vector.GP)

_TRAPS: Mapping[int, Trap] = {
    Vector.DE: Trap.DIVIDE,
    Vector.DB: Trap.TRCTRAP,
    Vector.NMI: Trap.NMI,
    Vector.BP: Trap.BPTFLT,
    Vector.OF: Trap.OFLOW,
    Vector.BR: Trap.BOUND,
    Vector.UD: Trap.PRIVINFLT,
    Vector.NM: Trap.DNA,
    Vector.FPU_OVERRUN: Trap.FPOPFLT,
    Vector.TS: Trap.TSSFLT,
    Vector.NP: Trap.SEGNPFLT,
    Vector.SS: Trap.STKFLT,
    Vector.GP: Trap.PROTFLT,
    Vector.MF: Trap.ARITHTRAP,
    Vector.AC: Trap.ALIGNFLT,
    Vector.MC: Trap.MCHK,
    Vector.XM: Trap.XMMFLT,
}


class Exceptions:
    """The exceptions of one engine, for which `registers` are filled.

    `found` are words of `context`, which is for take(), and in which each passage leaves what it
    has met.  `aside` is for refuse_carried_out().
    """

    def __init__(
        self,
        handle: object,
        phys: PhysicalMemory,
        words: memoryview,
        registers: Registers,
        context: c_void_p,
        aside: c_void_p,
        found: ExceptionWords,
        odd_code: OddCode,
        spoilt_flags: SpoiltFlags,
        guard: AbortGuard | None,
    ) -> None:
        self.refused = 0  # the vector of an exception that a hook has raised
        self._carried_out = False  # the instruction that has raised it has been executed as well
        self._handle = handle
        self._phys = phys
        self._words = words
        self._registers = registers
        self._at_context = (handle, argument(context))
        self._aside = (handle, argument(aside))
        self._error_code, self._is_int, self._in_flight = found
        self._odd_code = odd_code
        self._spoilt_flags = spoilt_flags
        self._guard = guard

    # ---- after a run

    def report(self, vector: int, error: int) -> Exit | None:
        """Report what stopped a passage, other than a SYSCALL or a kick.

        Return None if it was the translator, which has aborted on a block: nothing of that has
        run, and nothing is in the frame.
        """
        self._words[VECTOR] = -1
        if self.refused:
            return self._hook_exception()
        if vector < 0:
            self.take()
        code, is_int = self._error_code.value, self._is_int.value
        odd_code = self._odd_code
        if vector == _PF and odd_code.reached is None and not is_int and not error:
            return self._page_fault(code)  # nearly always
        if odd_code.reached is not None and vector != Vector.DB and not code & _FETCH:
            # Not for a step, which has done its work, nor for what could not even be fetched.
            self._spoilt_flags.repair()
        if error == ERR_INSN_INVALID:
            return self._invalid_instruction(is_int)
        registers = self._registers
        if error or vector < 0:
            raise registers.broken(error, vector)
        if is_int:
            return self._software_interrupt(vector)
        if vector == _DF:
            raise registers.broken(error, vector)
        if vector == _PF:
            return self._page_fault(code)
        if vector == _GP and not code:
            return self._zero_protection_fault()
        return self.trap(vector, code)

    def _page_fault(self, code: int) -> Exit:
        registers = self._registers
        slots = registers.slots
        rflags = slots[RFLAGS]
        if rflags & VM:
            rflags = registers.leave_virtual_8086()
        slots[RFLAGS] = rflags | RF
        registers.rf = RF
        slots[XFLAGS] = 0
        slots[TRAPNO] = _PAGEFLT
        # To IRET and far RET the engine reads the stack as a supervisor would.
        slots[ERR] = code | _USER
        slots[CS] = USER_CS
        slots[SS] = USER_SS
        if slots[RIP] in self._odd_code.quiet:
            self._spoilt_flags.repair_quiet()
        return _EXIT_PAGE_FAULT

    def take(self) -> None:
        """Let the next exception be, after one that no passage has seen (see `Passages`)."""
        context_save(*self._at_context)
        self._in_flight.value = -1
        context_restore(*self._at_context)

    def dismiss(self) -> None:
        """Forget an exception that is not the guest's."""
        self._words[VECTOR] = -1
        self.take()

    def aborted(self) -> bool:
        """Tell whether the last run was ended by an abort of the translator, once."""
        return self._guard is not None and self._guard.take()

    def trap(self, vector: int, code: int = 0) -> Exit:
        """Fill the frame for an exception other than a page fault, at the engine's RIP."""
        registers = self._registers
        registers.store_all(RF if vector not in (Vector.DB, Vector.BP) else 0)
        slots = registers.slots
        slots[XFLAGS] = 0
        slots[TRAPNO] = _TRAPS.get(vector, Trap.RESERVED)
        slots[ADDR] = 0
        slots[ERR] = code
        registers.rf = slots[RFLAGS] & RF
        return Exit.TRAP

    def _zero_protection_fault(self) -> Exit | None:
        """#GP(0), which Unicorn raises also where it should be #SS(0)."""
        if self.aborted():
            return None
        registers = self._registers
        if registers.slots[RIP] in self._odd_code.quiet:
            self._spoilt_flags.repair_quiet()
        self.trap(Vector.GP)
        frame = registers.frame
        code = code_at(self._phys, registers.root, frame.rip, LONGEST_INSTRUCTION)
        if faults_on_stack(code, frame.rip, lambda name: getattr(frame, name)):
            frame.trapno = Trap.STKFLT
        return Exit.TRAP

    def _software_interrupt(self, vector: int) -> Exit:
        """INT n: only vector 3 has a gate that ring 3 may use.

        Unicorn skips that check, and leaves RIP after the instruction.  It keeps no trace of
        prefixes, which are legal here and useless: RIP is then reported after them.
        """
        if vector == Vector.BP:
            return self.trap(Vector.BP)
        return self._general_protection(vector * 8 + 2, rip_back=2)

    def _invalid_instruction(self, is_int: int) -> Exit:
        """#UD is not an interrupt to Unicorn; nor are INT 6, with RIP still on it, and ICEBP."""
        if is_int:
            return self._general_protection(Vector.UD * 8 + 2)
        self.trap(Vector.UD)
        registers = self._registers
        length = icebp_length(self._phys, registers.root, registers.frame.rip)
        if length:
            self.trap(Vector.DB)
            registers.frame.rip += length
        return Exit.TRAP

    def _hook_exception(self) -> Exit:
        """What Unicorn would carry out, in ring 3 or as some other instruction."""
        vector, self.refused = self.refused, 0
        if self._carried_out:
            self._carried_out = False
            context_restore(*self._aside)
            self._registers.write_root(self._registers.root)
        if self._odd_code.reached is not None:
            self._spoilt_flags.repair()
        return self.trap(vector)

    def _general_protection(self, code: int, rip_back: int = 0) -> Exit:
        self.trap(Vector.GP, code)
        self._registers.frame.rip -= rip_back
        return Exit.TRAP

    # ---- in a hook

    def refuse(self, vector: int) -> None:
        """Raise an exception instead of the instruction that a hook was called before."""
        self.refused = vector
        emu_stop(self._handle)

    def refuse_carried_out(self, vector: int, empty_root: int) -> None:
        """The same, where the engine carries the instruction out after the hook.

        It goes on until the next load or store.  So the registers are put aside, and no such
        access finds a page.  Another such instruction may come before that: the first counts.
        """
        if self.refused:
            return
        context_save(*self._aside)
        self._registers.hide_memory(empty_root)
        self._carried_out = True
        self.refuse(vector)
