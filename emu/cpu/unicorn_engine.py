"""The CPU: Unicorn, made to behave as the contract in `engine` says.

Everything odd about Unicorn is handled here and in the modules that serve this one alone, each
time with the reason beside it.  Three rules hold throughout: guest code runs in ring 3 and
nothing takes it out; no object is built per trap (registers move between the engine and `frame`
in one batch each way); and the only stops after which the guest goes on are made inside a hook,
at the edge of an instruction or a block.
"""

from collections.abc import Callable, Iterable, Mapping
from ctypes import addressof, c_uint64, c_void_p
from weakref import finalize

from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.vkernel import SYSCALL_LENGTH, Trap
from emu.abi.x86 import (
    RFLAGS_SANITISE,
    RFLAGS_USER,
    U64_MASK,
    USER_CS,
    USER_SS,
    Pgex,
    Rflags,
    Vector,
)
from emu.cpu.abort_guard import abort_guard
from emu.cpu.boot_space import build_boot_space
from emu.cpu.code_pages import CodePages
from emu.cpu.cpuid import answer_cpuid, answer_rdtsc, answer_rdtscp
from emu.cpu.division_guard import guard_divisions
from emu.cpu.engine import EngineError, Exit
from emu.cpu.fp_state import FP_INITIAL, FpState
from emu.cpu.guest_code import (
    by_page,
    can_be_fetched,
    code_at,
    hide_pushed_trace,
    icebp_length,
    is_pushf,
)
from emu.cpu.hooks import Hooks
from emu.cpu.new_code import (
    FLAGS_KINDS,
    LENGTHS_KINDS,
    LONGEST_INSTRUCTION,
    SSE_KINDS,
    Kind,
    kind_of,
)
from emu.cpu.odd_code import OddCode
from emu.cpu.safe_stop import (
    BUDGET,
    KICK,
    NO_LIMIT,
    SYSCALL,
    VECTOR,
    SwappedCallback,
    Words,
    place_routines,
)
from emu.cpu.sse_status import SseStatus
from emu.cpu.start_up import CR0, StartUp
from emu.cpu.unicorn_library import (
    ERR_INSN_INVALID,
    ZERO,
    batch,
    close_engine,
    context_restore,
    context_save,
    emu_start,
    emu_stop,
    emu_stop_from_outside,
    forget_all_code,
    forget_code,
    map_memory,
    new_context,
    open_engine,
    read_register,
    reason,
    reg_read_batch,
    reg_write_batch,
    unmap_memory,
    write_register,
)
from emu.disasm import faults_on_stack
from emu.vm.phys import PhysicalMemory

# RIP is not among those loaded: it is an argument of uc_emu_start.
_GENERAL = TRAPFRAME_FIELDS[:15]
_LOADED = [*_GENERAL, "rsp", "rflags"]
_STORED = [*_GENERAL, "rsp", "rflags", "rip"]

# Members of an enumeration are slow to look up and to calculate with; these serve every trap.
_EXIT_SYSCALL = Exit.SYSCALL
_EXIT_PAGE_FAULT = Exit.PAGE_FAULT
_RF = int(Rflags.RF)
_T = int(Rflags.T)
_VM = int(Rflags.VM)
_T_OR_VM = int(Rflags.T | Rflags.VM)
_FAST_SYSCALL = int(Trap.FAST_SYSCALL)
_PAGEFLT = int(Trap.PAGEFLT)
_USER = int(Pgex.U)
_FETCH = int(Pgex.I)
_PF = int(Vector.PF)
_DF = int(Vector.DF)
_GP = int(Vector.GP)

_ARITHMETIC = int(Rflags.C | Rflags.PF | Rflags.AF | Rflags.Z | Rflags.N | Rflags.V)
_LENGTHS = ("RAX", "RDX")

# What a frame may not bring into the engine: what is not a user's to set; VM, which means
# nothing in 64-bit mode; and RF, which the engine does not clear when an instruction completes.
_NOT_LOADED = int(U64_MASK & ~(RFLAGS_SANITISE | RFLAGS_USER) | Rflags.VM | Rflags.RF)

_CR0_TS = 0x8

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

# Words of a frame by index.
_XFLAGS, _TRAPNO, _ADDR, _FLAGS, _ERR, _RIP, _CS, _RFLAGS, _SS = 15, 16, 17, 18, 19, 20, 21, 22, 24

_NO_CAUSE = memoryview(bytes(40)).cast("Q")  # XFLAGS to ERR

_EXACT_RANGES = 16  # beyond so many, dropping every translation is cheaper


class UnicornEngine:
    """The CpuEngine of every run.

    `native=False` makes it behave as on a host that gives no executable memory.
    """

    def __init__(self, phys: PhysicalMemory, *, native: bool = True) -> None:
        self.frame = Trapframe()
        self.bases = Vextframe()
        self.blocks = 0
        self.tsc: Callable[[], int] | None = None
        self._phys = phys
        self._stale = phys.stale
        self._root = 0
        self._fp_trap = False
        self._armed = False
        self._counting = False
        self._final = False
        self._rf = 0  # what RF is until the next instruction has completed
        self._refused = 0  # the vector of an exception that a hook has raised
        self._carried_out = False  # the instruction that has raised it has been executed as well
        self._paused: Kind | None = None  # a hook has stopped before an instruction of this kind
        self._reached: tuple[int, int, int] | None = None
        self._partial = False  # only part of the registers has been put into the frame
        self._swap: SwappedCallback | None = None

        self._handle = open_engine()
        self._shared = Words()
        self._words = self._shared.words
        self._hooks = Hooks(self._handle, self._shared.address)
        self._code_pages = CodePages(self._hooks)
        self._routines = place_routines() if native else None
        self._guard = abort_guard() if native else None
        if native:
            guard_divisions()
        self._emu_start = emu_start if self._guard is None else self._guard.emu_start
        self._slots = memoryview(self.frame).cast("B").cast("Q")
        self._safe_rflags = c_uint64()
        self._fault_rflags = c_uint64()
        self._cr3 = c_uint64()
        self._make_batches()
        # RIP's slot is passed by value, so this stays right whatever the slot holds.
        self._start = (self._handle, self._rip, ZERO, ZERO, ZERO)
        self._fp = FpState(self._handle)

        self._map(0, phys.address, phys.size)
        phys.on_map = self._map
        phys.on_unmap = self._unmap
        self._boot_space = build_boot_space(phys)
        self._add_hooks()
        self._context = new_context(self._handle)
        self._at_context = (self._handle, c_void_p.from_param(self._context.value))
        self._ring_3 = new_context(self._handle)  # as it is on first entry
        for_sse = [new_context(self._handle) for _ in range(2)]
        finalize(self, close_engine, self._handle, self._context, self._ring_3, *for_sse)
        self._start_up = StartUp(self._handle, phys, self._boot_space, self._shared)
        self._start_up.enter_ring_3()
        self._root = self._boot_space.root
        self._odd_code = OddCode(
            self._handle, self._hooks, self._code_at, self._on_reached, self._on_odd_code
        )
        exception = self._start_up.find_exception_words(self._context, self._ring_3)
        self._error_code, self._is_int, self._in_flight = exception
        self._flags_source = self._start_up.find_flags_source(self._context, self._ring_3)
        places = self._start_up.find_sse_places(self._context, self._ring_3)
        self._sse = SseStatus(self._handle, places, for_sse)
        self.fp_reset()

    # ---- running

    def run(self, root: int) -> Exit:
        if self._stale.any:
            self._forget_stale(root)
        if root != self._root:
            self._write_root(root)
        words = self._words
        if words[KICK]:
            return self._kicked_before_start()
        self._partial = False
        self._reached = None  # of an earlier run
        started = 0
        while True:
            start = self._start_count() if self._armed else 0
            error = self._emu_start(*self._start)
            if self._armed:
                started += self._end_count(start)
            if words[SYSCALL]:
                words[SYSCALL] = 0
                reg_read_batch(*self._syscall_registers)
                slots = self._slots
                slots[_XFLAGS] = 0
                slots[_TRAPNO] = _FAST_SYSCALL
                slots[_ERR] = SYSCALL_LENGTH
                slots[_CS] = USER_CS
                slots[_SS] = USER_SS
                if slots[_RFLAGS] & _T_OR_VM:
                    self._odd_syscall()
                return _EXIT_SYSCALL
            vector = words[VECTOR]
            if vector >= 0 or error or self._refused:
                reason = self._exception(vector, error)
                if reason is not None:
                    return reason
                started += 1
            elif self._paused is not None or self._odd_code.pending:
                reason = self._odd_stop()
                if reason is not None:
                    return reason
                started += 1
            elif self._stopped():
                return self._interrupted(started)
            reg_read_batch(*self._rip_register)

    def catch_up(self, root: int) -> Exit:
        # Single steps are blocks of one instruction.  There are few, at most a block: REP strings
        # end theirs.
        while True:
            reason = self._single_step(root)
            if reason is not Exit.TRAP or self.frame.trapno != Trap.TRCTRAP:
                return reason

    def _single_step(self, root: int) -> Exit:
        """Execute one instruction: T_TRCTRAP if nothing else happens.  T in the frame is clear."""
        frame = self.frame
        self.store()
        rip = frame.rip
        pushf = is_pushf(self._phys, root, rip)
        frame.rflags |= _T
        self.load()
        reason = self.run(root)
        self.store()
        frame.rflags &= ~_T
        self.load()
        if pushf and frame.rip != rip:
            hide_pushed_trace(self._phys, root, frame.rsp)
        return reason

    def _odd_syscall(self) -> None:
        # With T set the engine has also raised the single step of this instruction.  It belongs
        # to nobody: a real SYSCALL keeps T in the frame and does not trap.
        self._words[VECTOR] = -1
        if self._slots[_RFLAGS] & _VM:
            self._slots[_RFLAGS] = self._leave_virtual_8086()

    def _exception(self, vector: int, error: int) -> Exit | None:
        """Report what stopped the run, other than a SYSCALL or a kick; None if it goes on."""
        self._words[VECTOR] = -1
        if self._refused:
            return self._hook_exception()
        code, is_int = self._take_exception()
        if self._reached is not None and vector != Vector.DB and not code & _FETCH:
            # Not for a step, which has done its work, nor for what could not even be fetched.
            self._repair_flags()
        if error == ERR_INSN_INVALID:
            return self._invalid_instruction(is_int)
        if error or vector < 0:
            raise self._broken(error, vector)
        if is_int:
            return self._software_interrupt(vector)
        if vector == _DF:
            raise self._broken(error, vector)
        if vector == _PF:
            reg_read_batch(*self._fault_registers)
            slots = self._slots
            slots[_XFLAGS] = 0
            slots[_TRAPNO] = _PAGEFLT
            # To IRET and far RET the engine reads the stack as a supervisor would.
            slots[_ERR] = code | _USER
            self._rf = _RF
            self._partial = True
            if self._fault_rflags.value & _VM:
                self._leave_virtual_8086()
            if slots[_RIP] in self._odd_code.quiet:
                self._restore_spoilt_flags()
            return _EXIT_PAGE_FAULT
        if vector == _GP and not code:
            return self._zero_protection_fault()
        return self._trap(vector, code)

    def _zero_protection_fault(self) -> Exit | None:
        """#GP(0), which Unicorn raises also where it should be #SS(0)."""
        if self._guard is not None and self._guard.take():
            return self._untranslatable()
        if read_register(self._handle, "RIP") in self._odd_code.quiet:
            self._restore_spoilt_flags()
        self._trap(Vector.GP)
        frame = self.frame
        code = self._code_at(frame.rip, LONGEST_INSTRUCTION)
        if faults_on_stack(code, frame.rip, lambda name: getattr(frame, name)):
            frame.trapno = Trap.STKFLT
        return Exit.TRAP

    def _take_exception(self) -> tuple[int, int]:
        """Return the error code and the INT flag of the last exception, and let the next one be.

        Unicorn never clears "exception in flight": the next page fault would come as a double
        fault, and the one after it would end the run silently (unicorn#1883).  All three words
        lie in the context blob, where `StartUp` found them.
        """
        context_save(*self._at_context)
        self._in_flight.value = -1
        context_restore(*self._at_context)
        return self._error_code.value, self._is_int.value

    def _trap(self, vector: int, code: int = 0) -> Exit:
        """Fill the frame for an exception other than a page fault, at the engine's RIP."""
        self._store_registers(_RF if vector not in (Vector.DB, Vector.BP) else 0)
        slots = self._slots
        slots[_XFLAGS] = 0
        slots[_TRAPNO] = _TRAPS.get(vector, Trap.RESERVED)
        slots[_ADDR] = 0
        slots[_ERR] = code
        self._rf = self._slots[_RFLAGS] & _RF
        return Exit.TRAP

    def _odd_stop(self) -> Exit | None:
        """Do what the engine was stopped for because of odd code; None if the run then goes on."""
        reason = self._odd_instruction() if self._paused is not None else None
        if self._odd_code.pending:
            self._odd_code.watch()
            # Deleting hooks, it looks for code at their addresses, and keeps the faults it took.
            self._take_exception()
        if reason is None and self._final and not self._armed:
            return self._interrupted(1)  # this may have been its stop as well
        return reason

    def _odd_instruction(self) -> Exit | None:
        """Execute the SSE instruction that a hook has stopped before, as hardware does."""
        kind, self._paused = self._paused, None
        sse = self._sse
        sse.begin()
        lengths = self._lengths(kind) if kind in LENGTHS_KINDS else None
        if lengths:
            before = [read_register(self._handle, name) for name in _LENGTHS]
            self._write_lengths(lengths)
        traced, vector, error = self._step()
        if lengths:
            self._write_lengths(before)
        if vector != Vector.DB or error:
            return self._exception(vector, error) if vector >= 0 or error else None
        self._words[VECTOR] = -1
        self._take_exception()
        if kind in SSE_KINDS:
            if sse.end(inexact=kind is Kind.INEXACT_SSE):
                return self._trap(Vector.XM)
        elif kind is Kind.LOADS_MXCSR:
            if sse.undo_wrong_load():
                return self._trap(Vector.GP)
            self._new_mxcsr()
        return self._trap(Vector.DB) if traced else None

    def _lengths(self, kind: Kind) -> list[int] | None:
        """Return lengths that mean the same as those in EAX and EDX, if the engine needs them.

        Hardware takes more than a register's worth, on either side of 0, for just that.  Unicorn
        has nothing for the least integer of 32 bits, and reads from everywhere.
        """
        bits = 64 if kind is Kind.WIDE_LENGTHS else 32
        values = [read_register(self._handle, name) % (1 << bits) for name in _LENGTHS]
        lengths = [min(value, (1 << bits) - value) for value in values]
        return [min(length, 16) for length in lengths] if max(lengths) >= 1 << 31 else None

    def _write_lengths(self, values: Iterable[int]) -> None:
        for name, value in zip(_LENGTHS, values, strict=True):
            write_register(self._handle, name, value)

    def _step(self) -> tuple[int, int, int]:
        """Run one instruction; return T in RFLAGS, the vector, which is #DB if it has, the error.

        A kick or the budget may stop it, as any run.
        """
        handle = self._handle
        rflags = read_register(handle, "RFLAGS")
        write_register(handle, "RFLAGS", rflags | _T)
        reg_read_batch(*self._rip_register)
        self._odd_code.passed = self._rip.value
        start = self._start_count() if self._armed else 0
        error = self._emu_start(*self._start)
        if self._armed:
            self._end_count(start)
        self._odd_code.passed = None
        if not rflags & _T:
            write_register(handle, "RFLAGS", read_register(handle, "RFLAGS") & ~_T)
        vector = self._words[VECTOR]
        if vector == Vector.DB:
            self._rf = 0
        return rflags & _T, vector, error

    def _untranslatable(self) -> Exit | None:
        """The translator has aborted on a block, of which nothing has run.

        Some invalid instructions make it: LOCK with a bit test of a register is one.  What comes
        before that is executed alone, one instruction for each abort.
        """
        reg_read_batch(*self._rip_register)
        rip = self._rip.value
        kind = kind_of(self._code_at(rip, LONGEST_INSTRUCTION))
        if kind is Kind.INVALID:
            return self._trap(Vector.UD)
        if kind is Kind.PROTECTED:
            return self._trap(Vector.GP)
        if kind is not None and (kind not in SSE_KINDS or self._odd_code.unmasked):
            self._paused = kind
            return self._odd_instruction()
        traced, vector, error = self._step()
        if self._refused:
            exit = self._exception(vector, error)
            self._slots[_RFLAGS] &= ~_T | traced  # it was set for the step
            self.load()
            return exit
        if vector != Vector.DB or error:
            if self._guard is not None and self._guard.take():
                self._untranslatable_again(rip)
                return None
            if vector >= 0 or error:
                return self._exception(vector, error)
            if self._odd_code.pending:
                return self._odd_stop()
            return self._interrupted(0) if self._stopped() else None
        self._words[VECTOR] = -1
        self._take_exception()
        return self._trap(Vector.DB) if traced else None

    def _untranslatable_again(self, rip: int) -> None:
        """The step over MOV SS at `rip` went on to the next, which makes the translator abort."""
        self._words[VECTOR] = -1
        self._take_exception()
        reg_read_batch(*self._rip_register)
        if self._rip.value == rip:
            raise self._broken(0, -1)

    def _software_interrupt(self, vector: int) -> Exit:
        """INT n: only vector 3 has a gate that ring 3 may use.

        Unicorn skips that check, and leaves RIP after the instruction.  It keeps no trace of
        prefixes, which are legal here and useless: RIP is then reported after them.
        """
        if vector == Vector.BP:
            return self._trap(Vector.BP)
        return self._general_protection(vector * 8 + 2, rip_back=2)

    def _invalid_instruction(self, is_int: int) -> Exit:
        """#UD is not an interrupt to Unicorn; nor are INT 6, with RIP still on it, and ICEBP."""
        if is_int:
            return self._general_protection(Vector.UD * 8 + 2)
        self._trap(Vector.UD)
        length = icebp_length(self._phys, self._root, self.frame.rip)
        if length:
            self._trap(Vector.DB)
            self.frame.rip += length
        return Exit.TRAP

    def _hook_exception(self) -> Exit:
        """What Unicorn would carry out, in ring 3 or as some other instruction."""
        vector, self._refused = self._refused, 0
        if self._carried_out:
            self._carried_out = False
            context_restore(*self._at_context)
            self._write_root(self._root)
        if self._reached is not None:
            self._repair_flags()
        return self._trap(vector)

    def _general_protection(self, code: int, rip_back: int = 0) -> Exit:
        self._trap(Vector.GP, code)
        self.frame.rip -= rip_back
        return Exit.TRAP

    def _kicked_before_start(self) -> Exit:
        rip = self._slots[_RIP]  # the engine's is older until the run starts
        self._stopped()
        self._interrupted(0)
        self._slots[_RIP] = rip
        return Exit.INTERRUPTED

    def _stopped(self) -> bool:
        """Tell whether a stop that is none of the guest's doing ends the run; take the kick."""
        words = self._words
        if self._swap is not None:
            self._swap.clear()
            words[KICK] = 0
            return True
        if words[KICK]:
            words[KICK] = 0
            return True
        if self._armed and words[BUDGET] < 0:
            return self._counting
        if self._final:
            return True  # the stop of a final kick whose word an earlier run has taken
        raise self._broken(0, -1)

    def _interrupted(self, started: int) -> Exit:
        self._store_registers(0 if started else self._rf)
        self._rf = self._slots[_RFLAGS] & _RF
        self._slots[_XFLAGS : _ERR + 1] = _NO_CAUSE
        return Exit.INTERRUPTED

    def _broken(self, error: int, vector: int) -> AssertionError:
        """Return what to raise when the engine stopped for a reason no guest should cause."""
        self._store_registers(0)
        registers = ", ".join(f"{name} {getattr(self.frame, name):#x}" for name in _STORED)
        return AssertionError(f"unicorn: {reason(error)}, vector {vector}, {registers}")

    # ---- registers

    def store(self) -> None:
        if self._partial:
            self._store_registers(_RF)

    def _store_registers(self, rf: int) -> None:
        self._partial = False
        reg_read_batch(*self._all_registers)
        slots = self._slots
        if slots[_RFLAGS] & _VM:
            slots[_RFLAGS] = self._leave_virtual_8086()
        # Not the engine's own RF: it stays as it was until the block ends.
        slots[_RFLAGS] = slots[_RFLAGS] & ~_RF | rf
        slots[_CS] = USER_CS
        slots[_SS] = USER_SS

    def _leave_virtual_8086(self) -> int:
        """Put 64-bit mode back and return the flags that belong to it.

        A 32-bit IRET whose flags have VM set ignores it on hardware, when in long mode.  Unicorn
        obeys, even in ring 3.  That is no way to more rights, as the page table still holds; but
        segments then have bases, which nothing else would ever clear.
        """
        state = self.fp_save()
        reg_read_batch(*self._heal_registers)
        rflags = self._safe_rflags.value & ~_NOT_LOADED
        self._safe_rflags.value = rflags
        context_restore(self._handle, self._ring_3)
        reg_write_batch(*self._heal_registers)
        self._write_root(self._root)
        self._write_cr0()
        self.load_bases()
        self.fp_restore(state)
        return rflags

    def load(self) -> None:
        self._partial = False
        rflags = self._slots[_RFLAGS]
        if rflags & _NOT_LOADED:
            self._safe_rflags.value = rflags & ~_NOT_LOADED
            self._rf = rflags & _RF
            reg_write_batch(*self._safe_registers)
        else:
            self._rf = 0
            reg_write_batch(*self._loaded_registers)

    def load_bases(self) -> None:
        reg_write_batch(*self._base_registers)

    def fp_save(self) -> bytes:
        self._sse.collect()
        return self._fp.save()

    def fp_restore(self, state: bytes) -> None:
        self._fp.restore(state)
        self._new_mxcsr()

    def fp_reset(self) -> None:
        self.fp_restore(FP_INITIAL)

    def _new_mxcsr(self) -> None:
        unmasked = self._sse.adopt()
        if unmasked != self._odd_code.unmasked:
            self._odd_code.set_unmasked(unmasked)
            self._take_exception()

    @property
    def fp_trap(self) -> bool:
        return self._fp_trap

    @fp_trap.setter
    def fp_trap(self, trap: bool) -> None:
        if trap != self._fp_trap:
            self._fp_trap = trap
            self._write_cr0()

    def _write_cr0(self) -> None:
        write_register(self._handle, "CR0", CR0 | _CR0_TS if self._fp_trap else CR0)

    # ---- stopping

    @property
    def budget(self) -> int | None:
        return max(self._words[BUDGET], 0) if self._counting else None

    @budget.setter
    def budget(self, blocks: int | None) -> None:
        if blocks is not None:
            assert 0 <= blocks <= NO_LIMIT
            self.arm()
            if self._swap is not None:
                raise EngineError("blocks cannot be counted: this host gives no executable memory")
        self._counting = blocks is not None
        self._words[BUDGET] = NO_LIMIT if blocks is None else blocks

    @property
    def counts(self) -> bool:
        return self._armed and self._swap is None

    def arm(self) -> None:
        if self._armed:
            return
        if self._routines is not None:
            hook = self._hooks.on_block(self._routines.block)
            self._armed = self._stops_work()
            if self._armed:
                return
            self._hooks.delete(hook)
        self._swap = SwappedCallback(self._hooks)
        self._armed = self._stops_work()
        if not self._armed:
            raise EngineError("the engine does not stop where it is told to")

    def _stops_work(self) -> bool:
        # Hooks do not reach code that was translated before them.
        forget_all_code(self._handle)
        root, self._root = self._root, self._boot_space.root
        ok = self._start_up.stops_work(root, self._swap)
        self._root = root
        # A final kick from before, or meanwhile, must stay; one meanwhile spoils the count.
        self._words[KICK] = self._final
        return ok or self._final

    def kick(self, *, final: bool = False) -> None:
        if self._armed:
            self._words[KICK] = 1
            if self._swap is not None:
                self._swap.set()
        if final:
            self._final = True
            self._words[KICK] = 1
            if not self._armed:
                emu_stop_from_outside(self._handle)

    def _start_count(self) -> int:
        """Return the blocks this run may start."""
        words = self._words
        if words[BUDGET] < 0:
            words[BUDGET] = 0 if self._counting else NO_LIMIT
        return words[BUDGET]

    def _end_count(self, start: int) -> int:
        """Return how many blocks were started."""
        if self._swap is not None:
            return 1  # not known; only the resume flag depends on it
        # The block that was refused has been counted as well.
        started = start - max(self._words[BUDGET], 0)
        if self._counting:
            self.blocks += started
        return started

    # ---- memory

    def _forget_stale(self, root: int) -> None:
        stale = self._stale
        if stale.code_pages:
            self._code_pages.follow(self._phys.code)
        if stale.tlb or root != self._root:
            self._write_root(root)
        if stale.all_code or not self._forget_ranges(root, stale.code):
            forget_all_code(self._handle)
        stale.clear()

    def _forget_ranges(self, root: int, ranges: list[tuple[int, int, int]]) -> bool:
        """Drop exactly the code in `ranges`, or change nothing and return False.

        The engine finds the code by fetching from the address: where that is not possible now,
        it would take a page fault of its own and leave it for the guest's next one to trip over.
        """
        pieces = [piece for _, va, size in ranges for piece in by_page(va, size)]
        if len(pieces) > _EXACT_RANGES or any(under != root for under, _, _ in ranges):
            return False
        if not all(can_be_fetched(self._phys, root, va) for va, _ in pieces):
            return False
        for va, end in pieces:
            forget_code(self._handle, va, end)
        return True

    def _write_root(self, root: int) -> None:
        self._root = root
        self._cr3.value = root
        reg_write_batch(*self._cr3_register)

    def _map(self, base: int, address: int, size: int) -> None:
        map_memory(self._handle, base, address, size)

    def _unmap(self, base: int, size: int) -> None:
        unmap_memory(self._handle, base, size)
        # It looks for code at `base` as if that were virtual, and keeps the fault it took.
        self._take_exception()

    # ---- hooks

    def _add_hooks(self) -> None:
        handle, hooks, native = self._handle, self._hooks, self._routines
        hooks.on_interrupt(native.interrupt if native else self._on_interrupt)
        hooks.on_instruction("syscall", native.syscall if native else self._on_syscall)
        for privileged in ("sysenter", "in", "out"):
            hooks.on_instruction(privileged, self._refuse)
        hooks.on_instruction("cpuid", lambda *_: answer_cpuid(handle))
        hooks.on_instruction("rdtsc", lambda *_: answer_rdtsc(handle, self.tsc))
        hooks.on_instruction("rdtscp", lambda *_: answer_rdtscp(handle, self.tsc))

    def _on_syscall(self, handle: int, data: int) -> None:
        self._words[SYSCALL] = 1
        emu_stop(self._handle)

    def _on_interrupt(self, handle: int, vector: int, data: int) -> None:
        self._words[VECTOR] = vector
        emu_stop(self._handle)

    def _on_reached(self, va: int) -> None:
        self._reached = self._root, va, read_register(self._handle, "RFLAGS")

    def _repair_flags(self) -> None:
        """If what has faulted is an instruction with a hook, put back the flags it began with.

        For a hook the flags are calculated, and a fault then undoes half of that (unicorn#2373).
        """
        assert self._reached is not None
        root, va, before = self._reached
        self._reached = None
        if root == self._root and va == read_register(self._handle, "RIP"):
            rflags = read_register(self._handle, "RFLAGS")
            write_register(self._handle, "RFLAGS", rflags & ~_ARITHMETIC | before & _ARITHMETIC)

    def _restore_spoilt_flags(self) -> None:
        """The same for a SETcc with a hook that we are not called for."""
        if self._odd_code.spoils_flags(read_register(self._handle, "RIP")):
            rflags = read_register(self._handle, "RFLAGS") & ~_ARITHMETIC
            flags = self._flags_source.value & _ARITHMETIC
            write_register(self._handle, "RFLAGS", rflags | flags)

    def _on_odd_code(self, kind: Kind) -> None:
        if kind is Kind.INVALID:
            self._refused = Vector.UD
        elif kind is Kind.PROTECTED:
            self._refused = Vector.GP
        elif self._needs_help(kind):
            self._paused = kind
        else:
            return
        emu_stop(self._handle)

    def _needs_help(self, kind: Kind) -> bool:
        if kind is Kind.SAVES_MXCSR:
            return self._sse.has_news()
        if kind in FLAGS_KINDS:
            return False
        return kind not in LENGTHS_KINDS or self._lengths(kind) is not None

    def _code_at(self, va: int, size: int) -> bytes:
        return code_at(self._phys, self._root, va, size)

    def _refuse(self, *arguments: int) -> int:
        # The engine carries the instruction out after the hook, and goes on until the next load
        # or store.  So the registers are put aside, and no such access finds a page.  Another one
        # may come before that: the first counts.
        if self._refused:
            return 0
        context_save(*self._at_context)
        self._cr3.value = self._boot_space.empty_root
        reg_write_batch(*self._cr3_register)
        self._refused = Vector.GP
        self._carried_out = True
        emu_stop(self._handle)
        return 0

    # ---- starting up

    def _make_batches(self) -> None:
        slot = {name: addressof(self.frame) + 8 * i for i, name in enumerate(TRAPFRAME_FIELDS)}
        all_places = [(name, slot[name]) for name in _STORED]
        loaded = [(name, slot[name]) for name in _LOADED]
        safe = dict(loaded) | {"rflags": addressof(self._safe_rflags)}
        syscall = [place for place in all_places if place[0] != "rcx"]
        fs_base = addressof(self.bases)  # Vextframe: base and size of FS, then of GS
        self._rip = c_uint64.from_address(slot["rip"])
        self._all_registers = self._batch(all_places)
        self._loaded_registers = self._batch(loaded)
        self._safe_registers = self._batch(safe.items())
        self._syscall_registers = self._batch([*syscall, ("r10", slot["rcx"])])
        self._fault_registers = self._batch(
            [
                ("rip", slot["rip"]),
                ("cr2", slot["addr"]),
                ("rflags", addressof(self._fault_rflags)),
            ]
        )
        names = [*_LOADED, "rip"]
        self._healed = (c_uint64 * len(names))()
        healed = dict(zip(names, range(addressof(self._healed), 1 << 64, 8), strict=False))
        healed["rflags"] = addressof(self._safe_rflags)
        self._heal_registers = self._batch(healed.items())
        self._rip_register = self._batch([("rip", slot["rip"])])
        self._cr3_register = self._batch([("cr3", addressof(self._cr3))])
        self._base_registers = self._batch([("fs_base", fs_base), ("gs_base", fs_base + 16)])

    def _batch(self, places: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        return batch(self._handle, list(places))
