"""Stops the engine before instructions that it would not do as hardware.

Every block is looked at when the engine has translated it, before it runs for the first time.  If
an odd instruction is in it, the block is forgotten and a hook put at the instruction's address, so
that it is translated again with a call there.  All other code runs as if none of this existed.

A hook is at a virtual address, where another address space may have something else: what is
really there is looked at when the hook is called.
"""

from collections.abc import Callable

from emu.cpu.hooks import Hooks
from emu.cpu.new_code import (
    LONGEST_INSTRUCTION,
    SSE_KINDS,
    Kind,
    kind_of,
    suspects,
    suspicious,
)
from emu.cpu.unicorn_library import (
    HARMLESS_FUNCTION,
    emu_stop,
    forget_all_code,
    forget_code,
    read_register,
)

_MOST_HOOKS = 512  # each makes translating a little slower


class OddCode:
    """The hooks at odd instructions of one engine.

    `code_at(va, size)` returns what it would fetch now.  Before an odd instruction is executed,
    `on_odd` is called with its kind.
    """

    def __init__(
        self,
        handle: object,
        hooks: Hooks,
        code_at: Callable[[int, int], bytes],
        on_odd: Callable[[Kind], None],
    ) -> None:
        self.pending = False  # the engine was stopped, and watch() must be called
        self.reached: tuple[int, int] | None = None
        """The last instruction with a hook that the run has come to, and RFLAGS before it."""
        self.passed: int | None = None  # the address of an instruction to be left alone
        self.unmasked = False  # an SSE exception is
        self._suspicious = suspicious(unmasked=False)
        self._handle = handle
        self._hooks = hooks
        self._code_at = code_at
        self._on_odd = on_odd
        self.quiet: set[int] = set()
        """Those addresses with hooks that nobody is called for: of SETcc, which spoils the flags.

        With a hook, all flags are in the engine's cc_src when it faults.  No other instruction is
        translated with such a hook.
        """
        self._watched: dict[int, int] = {}  # virtual address: hook
        self._found: list[int] = []
        self._callback = hooks.code_callback(self._reached)
        hooks.on_new_block(self._translated)

    def watch(self) -> None:
        """Put hooks where they are needed, and have that code translated again."""
        self.pending = False
        found, self._found = self._found, []
        if len(self._watched) + len(found) > _MOST_HOOKS:
            self._start_over()
        for va in found:
            quiet = self.kind_at(va) is Kind.SPOILS_FLAGS and va not in self._watched
            if va in self.quiet:
                self._hooks.delete(self._watched[va])
                self.quiet.discard(va)
                forget_all_code(self._handle)  # elsewhere, too, the hook is to be called
            if quiet:
                self.quiet.add(va)
            callback = HARMLESS_FUNCTION if quiet else self._callback
            self._watched[va] = self._hooks.on_code(callback, va)
            # It has just been fetched, so this takes no fault.
            forget_code(self._handle, va, va + 1)

    def set_unmasked(self, unmasked: bool) -> None:
        """Look for SSE instructions from now on, or no longer."""
        self.unmasked = unmasked
        self._suspicious = suspicious(unmasked)
        self._start_over()

    def _start_over(self) -> None:
        for hook in self._watched.values():
            self._hooks.delete(hook)
        self._watched.clear()
        self.quiet.clear()
        forget_all_code(self._handle)

    def _translated(self, pc: int, count: int, size: int) -> None:
        code = self._code_at(pc, size)
        found: list[int] = []
        if self._suspicious.search(code) is not None:
            found = [pc + at for at in suspects(code, count, self.unmasked)]
        quiet = self.quiet.intersection(range(pc, pc + size))
        self._found = [va for va in found if va not in self._watched]
        self._found += [va for va in quiet if self.kind_at(va) is not Kind.SPOILS_FLAGS]
        if self._found:
            self.pending = True
            emu_stop(self._handle)

    def kind_at(self, va: int) -> Kind | None:
        return kind_of(self._code_at(va, LONGEST_INSTRUCTION))

    def spoils_flags(self, va: int) -> bool:
        """Tell whether the instruction at `va` has just spoilt the flags, if it has faulted."""
        return va in self.quiet and self.kind_at(va) is Kind.SPOILS_FLAGS

    def _reached(self, handle: int, va: int, size: int, data: int) -> None:
        self.reached = va, read_register(self._handle, "RFLAGS")
        if va == self.passed:
            return
        kind = self.kind_at(va)
        if kind is not None and (self.unmasked or kind not in SSE_KINDS):
            self._on_odd(kind)
