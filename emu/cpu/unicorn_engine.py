"""The CPU: Unicorn, made to behave as the contract in `engine` says.

Everything odd about Unicorn is handled here and in the modules that serve this one alone, each
time with the reason beside it.  Three rules hold throughout: guest code runs in ring 3 and
nothing takes it out; no object is built per trap (registers move between the engine and the frame
in one batch each way); and the only stops after which the guest goes on are made inside a hook,
at the edge of an instruction or a block.

Here are the run loop, what the engine is to forget of a memory that has changed, and the parts
put together.
"""

from collections.abc import Callable
from weakref import finalize

from emu.abi.vkernel import SYSCALL_LENGTH, Trap
from emu.abi.x86 import USER_CS, USER_SS, Vector
from emu.cpu.abort_guard import abort_guard
from emu.cpu.boot_space import build_boot_space
from emu.cpu.code_pages import CodePages
from emu.cpu.cpuid import answer_cpuid, answer_rdtsc, answer_rdtscp
from emu.cpu.division_guard import guard_divisions
from emu.cpu.engine import Exit
from emu.cpu.exceptions import Exceptions
from emu.cpu.fp_state import FP_INITIAL, FpState
from emu.cpu.guest_code import by_page, can_be_fetched, code_at, hide_pushed_trace, is_pushf
from emu.cpu.hooks import Hooks
from emu.cpu.new_code import Kind
from emu.cpu.odd_code import OddCode
from emu.cpu.odd_steps import OddSteps
from emu.cpu.passage import Passages
from emu.cpu.registers import CS, ERR, R10, RCX, RFLAGS, SS, TRAPNO, VM, XFLAGS, Registers, T
from emu.cpu.safe_stop import BUDGET, KICK, SYSCALL, VECTOR, Routines, Words, place_routines
from emu.cpu.spoilt_flags import SpoiltFlags
from emu.cpu.sse_status import SseStatus
from emu.cpu.start_up import StartUp
from emu.cpu.stops import Stops
from emu.cpu.unicorn_library import (
    START_FUNCTION,
    argument,
    close_engine,
    emu_stop,
    forget_all_code,
    forget_code,
    map_memory,
    new_context,
    open_engine,
    unmap_memory,
)
from emu.vm.phys import PhysicalMemory

# Members of an enumeration are slow to look up and to calculate with; these serve every trap.
_EXIT_SYSCALL = Exit.SYSCALL
_FAST_SYSCALL = int(Trap.FAST_SYSCALL)
_T_OR_VM = T | VM

_EXACT_RANGES = 16  # beyond so many, dropping every translation is cheaper


class UnicornEngine:
    """The CpuEngine of every run.

    `native=False` makes it behave as on a host that gives no executable memory.
    """

    def __init__(self, phys: PhysicalMemory, *, native: bool = True) -> None:
        self.tsc: Callable[[], int] | None = None
        self._phys = phys
        self._stale = phys.stale
        engine = open_engine()
        self._handle = handle = argument(engine)
        self._shared = shared = Words()
        self._words = words = shared.words
        hooks = Hooks(handle, shared.address)
        self._code_pages = CodePages(hooks)
        routines = place_routines() if native else None
        guard = abort_guard() if native else None
        if native:
            guard_divisions()
        start = START_FUNCTION if guard is None else guard.start

        self._map(0, phys.address, phys.size)
        phys.on_map = self._map
        phys.on_unmap = self._unmap
        self._boot_space = space = build_boot_space(phys)
        self._add_hooks(hooks, routines)
        context, aside, ring_3, *for_sse = (new_context(handle) for _ in range(5))
        finalize(self, close_engine, handle, context, aside, ring_3, *for_sse)
        start_up = StartUp(handle, phys, space, shared)
        start_up.enter_ring_3()
        exception = start_up.find_exception_words(context, ring_3)
        flags_source = start_up.find_flags_source(context, ring_3)
        sse = SseStatus(handle, start_up.find_sse_places(context, ring_3), for_sse)

        self._registers = registers = Registers(handle, ring_3, space.root, FpState(handle), sse)
        passages = Passages(
            engine,
            start,
            registers,
            shared.address + 4 * VECTOR,
            context,
            exception,
            native=native,
        )
        self._go, self._lists = passages.go, passages.lists
        self._odd_code = odd_code = OddCode(handle, hooks, self._code_at, self._on_odd_code)
        self._exceptions = exceptions = Exceptions(
            handle,
            phys,
            words,
            registers,
            context,
            aside,
            exception,
            odd_code,
            SpoiltFlags(registers, odd_code, flags_source),
            guard,
        )
        self._stops = Stops(handle, hooks, words, routines, registers, start_up, space.root)
        self._odd_steps = OddSteps(
            handle, words, passages, registers, sse, odd_code, exceptions, self._stops
        )
        self.frame = registers.frame
        self.bases = registers.bases
        # Every trap needs these: a call in between would cost.
        self.load = registers.load
        self.load_bases = registers.load_bases
        self.fp_reset()

    def _add_hooks(self, hooks: Hooks, native: Routines | None) -> None:
        handle = self._handle
        hooks.on_interrupt(native.interrupt if native else self._on_interrupt)
        hooks.on_instruction("syscall", native.syscall if native else self._on_syscall)
        for privileged in ("sysenter", "in", "out"):
            hooks.on_instruction(privileged, self._on_privileged)
        hooks.on_instruction("cpuid", lambda *_: answer_cpuid(handle))
        hooks.on_instruction("rdtsc", lambda *_: answer_rdtsc(handle, self.tsc))
        hooks.on_instruction("rdtscp", lambda *_: answer_rdtscp(handle, self.tsc))

    # ---- running

    def run(self, root: int) -> Exit:
        registers = self._registers
        if self._stale.any:
            self._forget_stale(root)
        if root != registers.root:
            registers.use_root(root)
        words = self._words
        stops = self._stops
        if words[KICK]:
            return stops.before_start()
        self._odd_code.reached = None  # in an earlier run
        resumed = False
        while True:
            what, registers.pending = registers.pending, 0
            left = words[BUDGET]
            error = self._go(self._lists[what])
            if stops.counting:
                stops.count(left)
            if words[SYSCALL]:
                words[SYSCALL] = 0
                slots = registers.slots
                slots[RCX] = slots[R10]
                slots[XFLAGS] = 0
                slots[TRAPNO] = _FAST_SYSCALL
                slots[ERR] = SYSCALL_LENGTH
                slots[CS] = USER_CS
                slots[SS] = USER_SS
                if slots[RFLAGS] & _T_OR_VM:
                    self._odd_syscall()
                return _EXIT_SYSCALL
            vector = words[VECTOR]
            exit: Exit | None = None
            if vector >= 0 or error or self._exceptions.refused:
                exit = self._exceptions.report(vector, error)
                if exit is None:
                    exit = self._odd_steps.untranslatable()
            elif self._odd_steps.wanted:
                exit = self._odd_steps.answer()
            elif stops.stopped():
                exit = stops.interrupted(resumed or stops.has_started(left))
            if exit is not None:
                return exit
            resumed = True

    def catch_up(self, root: int) -> Exit:
        # Single steps are blocks of one instruction.  There are few, at most a block: REP strings
        # end theirs.
        while True:
            exit = self._single_step(root)
            if exit is not Exit.TRAP or self.frame.trapno != Trap.TRCTRAP:
                return exit

    def _single_step(self, root: int) -> Exit:
        """Execute one instruction: T_TRCTRAP if nothing else happens.  T in the frame is clear."""
        frame = self.frame
        rip = frame.rip
        pushf = is_pushf(self._phys, root, rip)
        frame.rflags |= T
        self.load()
        exit = self.run(root)
        frame.rflags &= ~T
        self.load()
        if pushf and frame.rip != rip:
            hide_pushed_trace(self._phys, root, frame.rsp)
        return exit

    def _odd_syscall(self) -> None:
        # With T set the engine has also raised the single step of this instruction.  It belongs
        # to nobody: a real SYSCALL keeps T in the frame and does not trap.
        self._words[VECTOR] = -1
        registers = self._registers
        if registers.slots[RFLAGS] & VM:
            registers.slots[RFLAGS] = registers.leave_virtual_8086()

    # ---- the FP unit

    @property
    def fp_trap(self) -> bool:
        return self._registers.fp_trap

    @fp_trap.setter
    def fp_trap(self, trap: bool) -> None:
        if trap != self._registers.fp_trap:
            self._registers.write_fp_trap(trap)

    def fp_save(self) -> bytes:
        return self._registers.fp_save()

    def fp_restore(self, state: bytes) -> None:
        self._odd_steps.look_for_sse(self._registers.fp_restore(state))

    def fp_reset(self) -> None:
        self.fp_restore(FP_INITIAL)

    # ---- stopping

    @property
    def budget(self) -> int | None:
        return self._stops.budget

    @budget.setter
    def budget(self, blocks: int | None) -> None:
        self._stops.budget = blocks

    @property
    def blocks(self) -> int:
        return self._stops.blocks

    @property
    def counts(self) -> bool:
        return self._stops.counts

    def arm(self) -> None:
        self._stops.arm()

    def kick(self, *, final: bool = False) -> None:
        self._stops.kick(final=final)

    # ---- memory

    def _forget_stale(self, root: int) -> None:
        stale = self._stale
        if not (stale.all_code or stale.code or stale.code_pages):
            stale.any = stale.tlb = False
            self._registers.use_root(root)
            return
        if stale.code_pages:
            self._code_pages.follow(self._phys.code)
        if stale.tlb or root != self._registers.root:
            self._registers.write_root(root)
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

    def _code_at(self, va: int, size: int) -> bytes:
        return code_at(self._phys, self._registers.root, va, size)

    def _map(self, base: int, address: int, size: int) -> None:
        map_memory(self._handle, base, address, size)

    def _unmap(self, base: int, size: int) -> None:
        unmap_memory(self._handle, base, size)
        # It looks for code at `base` as if that were virtual, and keeps the fault it took.
        self._exceptions.take()

    # ---- called by hooks

    def _on_syscall(self, handle: int, data: int) -> None:
        self._words[SYSCALL] = 1
        emu_stop(self._handle)

    def _on_interrupt(self, handle: int, vector: int, data: int) -> None:
        self._words[VECTOR] = vector
        emu_stop(self._handle)

    def _on_privileged(self, *arguments: int) -> int:
        self._exceptions.refuse_carried_out(Vector.GP, self._boot_space.empty_root)
        return 0

    def _on_odd_code(self, kind: Kind) -> None:
        self._odd_steps.meet(kind)
