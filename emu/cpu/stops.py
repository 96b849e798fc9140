"""Stops that are none of the guest's doing: kicks from other threads, and spent budgets.

What makes them safe is in `safe_stop`.  It slows the guest down, so it is put in place only when
somebody may want to stop it.
"""

from emu.cpu.engine import EngineError, Exit
from emu.cpu.hooks import Hooks
from emu.cpu.registers import ERR, RF, RFLAGS, XFLAGS, Registers
from emu.cpu.safe_stop import BUDGET, KICK, NO_LIMIT, Routines, SwappedCallback
from emu.cpu.start_up import StartUp
from emu.cpu.unicorn_library import emu_stop_from_outside, forget_all_code

_NO_CAUSE = memoryview(bytes(40)).cast("Q")  # XFLAGS to ERR


class Stops:
    """The stops of one engine.  Only kick() may be called from another thread.

    `boot_root` is the page table under which `start_up` tries them out.
    """

    def __init__(
        self,
        handle: object,
        hooks: Hooks,
        words: memoryview,
        routines: Routines | None,
        registers: Registers,
        start_up: StartUp,
        boot_root: int,
    ) -> None:
        self.armed = False
        self.final = False  # a kick after which the guest does not go on has come
        self.blocks = 0
        self._counting = False
        self._swap: SwappedCallback | None = None
        self._handle = handle
        self._hooks = hooks
        self._words = words
        self._routines = routines
        self._registers = registers
        self._start_up = start_up
        self._boot_root = boot_root

    # ---- asking for them

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
        return self.armed and self._swap is None

    def arm(self) -> None:
        if self.armed:
            return
        if self._routines is not None:
            hook = self._hooks.on_block(self._routines.block)
            self.armed = self._work()
            if self.armed:
                return
            self._hooks.delete(hook)
        self._swap = SwappedCallback(self._hooks)
        self.armed = self._work()
        if not self.armed:
            raise EngineError("the engine does not stop where it is told to")

    def _work(self) -> bool:
        # Hooks do not reach code that was translated before them.
        forget_all_code(self._handle)
        registers = self._registers
        root, registers.root = registers.root, self._boot_root
        ok = self._start_up.stops_work(root, self._swap)
        registers.root = root
        # A final kick from before, or meanwhile, must stay; one meanwhile spoils the count.
        self._words[KICK] = self.final
        return ok or self.final

    def kick(self, *, final: bool = False) -> None:
        if self.armed:
            self._words[KICK] = 1
            if self._swap is not None:
                self._swap.set()
        if final:
            self.final = True
            self._words[KICK] = 1
            if not self.armed:
                emu_stop_from_outside(self._handle)

    # ---- around each start of the engine, once armed

    def start_count(self) -> int:
        """Return the blocks this run may start."""
        words = self._words
        if words[BUDGET] < 0:
            words[BUDGET] = 0 if self._counting else NO_LIMIT
        return words[BUDGET]

    def end_count(self, start: int) -> int:
        """Return how many blocks were started."""
        if self._swap is not None:
            return 1  # not known; only the resume flag depends on it
        # The block that was refused has been counted as well.
        started = start - max(self._words[BUDGET], 0)
        if self._counting:
            self.blocks += started
        return started

    # ---- when one has come

    def stopped(self) -> bool:
        """Tell whether a stop that is none of the guest's doing ends the run; take the kick."""
        words = self._words
        if self._swap is not None:
            self._swap.clear()
            words[KICK] = 0
            return True
        if words[KICK]:
            words[KICK] = 0
            return True
        if self.armed and words[BUDGET] < 0:
            return self._counting
        if self.final:
            return True  # the stop of a final kick whose word an earlier run has taken
        raise self._registers.broken(0, -1)

    def interrupted(self, started: int) -> Exit:
        """Fill the frame for a stop after so many blocks."""
        registers = self._registers
        registers.store_all(0 if started else registers.rf)
        slots = registers.slots
        registers.rf = slots[RFLAGS] & RF
        slots[XFLAGS : ERR + 1] = _NO_CAUSE
        return Exit.INTERRUPTED

    def before_start(self) -> Exit:
        """The same for a kick that has come before the run."""
        self.stopped()
        # Not interrupted(): until the run starts the engine's registers are older.
        registers = self._registers
        registers.settle()
        registers.slots[XFLAGS : ERR + 1] = _NO_CAUSE
        return Exit.INTERRUPTED
