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
        self.counting = False  # the blocks that are started are
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
        return max(self._words[BUDGET], 0) if self.counting else None

    @budget.setter
    def budget(self, blocks: int | None) -> None:
        if blocks is not None:
            assert 0 <= blocks <= NO_LIMIT
            self.arm()
            if self._swap is not None:
                raise EngineError("blocks cannot be counted: this host gives no executable memory")
        self.counting = blocks is not None
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

    # ---- after each passage, which began when BUDGET was `left`

    def count(self, left: int) -> None:
        """Count the blocks that were started."""
        # The block that was refused has been counted as well, hence -1.
        self.blocks += max(left, 0) - max(self._words[BUDGET], 0)

    def has_started(self, left: int) -> bool:
        """Tell whether a block was started, as far as that is known."""
        if self._swap is not None:
            return True  # only the resume flag depends on it
        return self.armed and left > max(self._words[BUDGET], 0)

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
            if not self.counting:
                words[BUDGET] = NO_LIMIT
            return self.counting
        if self.final:
            return True  # the stop of a final kick whose word an earlier run has taken
        raise self._registers.broken(0, -1)

    def interrupted(self, started: bool) -> Exit:
        """Fill the frame for a stop, which has come before or after any block was started."""
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
