"""The contract between the kernel and whatever executes instructions."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from emu.abi.frames import Trapframe, Vextframe


class Exit(Enum):
    """Why run() came back."""

    SYSCALL = "syscall"  # rip is past the instruction
    PAGE_FAULT = "page fault"
    TRAP = "trap"  # any other exception: trapno and err say which; rip is where hardware leaves it
    INTERRUPTED = "interrupted"  # kick() was called, or the budget is spent


class EngineError(Exception):
    """The engine cannot do its work here: not installed right, or a self-test failed."""


class CpuEngine(Protocol):
    """One CPU.  It always runs in ring 3.

    `frame` and `bases` are its live registers in memory.  run() leaves them as a real kernel's
    trap entry would; what the kernel changes in them counts from the next load().

    On a SYSCALL exit slot `rcx` of the frame holds R10, err 2, trapno 0x81, xflags 0; slots addr
    and flags are left as they were.  On a PAGE_FAULT or TRAP exit xflags is 0, and addr is 0
    unless it is a page fault.  On INTERRUPTED all of trapno, err, addr, flags and xflags are 0,
    as a host interrupt leaves them.  RF in rflags is as hardware stores it: set for faults, clear
    for SYSCALL, INT3 and single step.  The single-step flag T is reported as it was.
    """

    frame: Trapframe
    bases: Vextframe

    fp_trap: bool
    """CR0.TS: the next x87 or SSE instruction traps (T_DNA)."""

    budget: int | None
    """Basic blocks run() may start before it returns INTERRUPTED; None for no limit.

    What is left of it stays here after each run, so blocks executed can be told.
    """

    @property
    def counts(self) -> bool:
        """Can blocks be counted here?  Known after arm()."""
        ...

    @property
    def blocks(self) -> int:
        """Basic blocks started so far; counts only while a budget is set."""
        ...

    tsc: Callable[[], int] | None
    """What RDTSC and RDTSCP read; None for the host's counter, which no run can repeat."""

    def run(self, root: int) -> Exit:
        """Run the loaded registers under the page table at physical address `root`.

        Returns for one of the reasons in Exit and no other.  Whatever the physical memory's
        `stale` record lists (translations, code) is forgotten first.  Accessed and dirty bits
        are set in the tables in physical memory.
        """
        ...

    def catch_up(self, root: int) -> Exit:
        """Execute what precedes a fault in fetching that run() has reported too early.

        The fault of an instruction that cannot be fetched may be reported while rip is still at
        an earlier one in the same block of straight code, none of which has been executed.  What
        comes back is the first event of those, or that fault again, at its own instruction.
        """
        ...

    def load(self) -> None:
        """Have the next run() take the general registers, rip, rsp and rflags from the frame."""
        ...

    def load_bases(self) -> None:
        """Have the next run() take FS and GS base from `bases`."""
        ...

    def fp_save(self) -> bytes:
        """Return the x87/SSE state, to be given back to fp_restore()."""
        ...

    def fp_restore(self, state: bytes) -> None: ...

    def fp_reset(self) -> None:
        """Give the FP unit the state a new program starts with (x87 CW 0x127F, MXCSR 0x1F80)."""
        ...

    def arm(self) -> None:
        """Make safe stops possible.  To be called before the guest can first be interrupted.

        Setting `budget` does it too.  Raise EngineError if this host offers no safe way.
        """
        ...

    def kick(self, *, final: bool = False) -> None:
        """Make run() return INTERRUPTED soon.  May be called from any host thread, at any time.

        Without arm() it does nothing, unless `final`: the guest will not go on, so the state may
        be wrong by one instruction.  A kick that finds no run in progress stops the next one.
        """
        ...
