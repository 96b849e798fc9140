"""MXCSR as hardware has it, kept by hand: the engine only rounds as it says.

The engine collects the exceptions of SSE instructions in flags of its own, where no instruction
sees them, and it takes "flush to zero" for a matter of the x87.  Both lie in the context blob,
where `StartUp` found them.
"""

from collections.abc import Sequence
from ctypes import c_uint8, c_uint32, c_void_p
from typing import NamedTuple

from emu.abi.x86 import MXCSR_FLUSH_TO_ZERO
from emu.cpu.unicorn_library import context_restore, context_save

_EXCEPTIONS = 0x3F
_BEFORE_COMPUTING = 0x07  # invalid operation, denormal operand, division by zero
_MASKS_SHIFT = 7
_RESERVED = 0xFFFF_0000
_PRECISION = 0x20
_UNDERFLOW_AND_PRECISION = 0x30

# The engine's flags have the places of MXCSR's, but for "a result was flushed to zero".  Its
# "denormal operand" is seen only where hardware does not see one, with DAZ set.
_SAME = 0x3D
_FLUSHED = 0x80


class SsePlaces(NamedTuple):
    """Where in a context these are, in bytes."""

    flags: int
    mxcsr: int
    flush: int  # of SSE results to zero
    x87_flush: int


class SseStatus:
    """The SSE exceptions of one engine.  All but has_news() is for when it is stopped.

    It is given two contexts to work with.
    """

    def __init__(self, handle: object, places: SsePlaces, contexts: Sequence[c_void_p]) -> None:
        now, before = (context.value or 0 for context in contexts)
        self._now = (handle, c_void_p.from_param(now))
        self._before = (handle, c_void_p.from_param(before))
        self._flags = c_uint8.from_address(now + places.flags)
        self._mxcsr = c_uint32.from_address(now + places.mxcsr)
        self._flush = c_uint8.from_address(now + places.flush)
        self._x87_flush = c_uint8.from_address(now + places.x87_flush)
        self._mxcsr_before = c_uint32.from_address(before + places.mxcsr)

    def has_news(self) -> bool:
        """Tell whether exceptions have come that are not in MXCSR yet."""
        context_save(*self._now)
        return self._flags.value != 0

    def collect(self) -> None:
        """Bring MXCSR up to date."""
        if self.has_news():
            self._mxcsr.value |= self._raised()
            self._flags.value = 0
            context_restore(*self._now)

    def adopt(self) -> bool:
        """Do what a new MXCSR says; return whether it leaves an exception unmasked."""
        context_save(*self._now)
        mxcsr = self._mxcsr.value
        flush = mxcsr & MXCSR_FLUSH_TO_ZERO != 0
        if (self._flags.value, self._flush.value, self._x87_flush.value) != (0, flush, 0):
            self._flags.value = 0
            self._flush.value = flush
            self._x87_flush.value = 0
            context_restore(*self._now)
        return _unmasked(mxcsr) != 0

    def begin(self) -> None:
        """Remember the state before an instruction that may raise an exception or load MXCSR."""
        self.collect()
        context_save(*self._before)

    def end(self, inexact: bool) -> bool:
        """Take the instruction back if it has raised an unmasked exception; tell whether it has.

        Then only the flags in MXCSR are new.  With `inexact` it may not raise the one of precision.
        """
        if not self.has_news():
            return False
        if inexact:
            self._flags.value &= ~_PRECISION
            context_restore(*self._now)
        raised = self._raised()
        unmasked = raised & _unmasked(self._mxcsr.value)
        if not unmasked:
            return False
        if unmasked & _BEFORE_COMPUTING:
            raised &= _BEFORE_COMPUTING
        self._mxcsr_before.value |= raised
        context_restore(*self._before)
        return True

    def undo_wrong_load(self) -> bool:
        """Take the instruction back if what it loaded is no MXCSR; tell whether it is none."""
        context_save(*self._now)
        if not self._mxcsr.value & _RESERVED:
            return False
        context_restore(*self._before)
        return True

    def _raised(self) -> int:
        flags = self._flags.value
        return flags & _SAME | (_UNDERFLOW_AND_PRECISION if flags & _FLUSHED else 0)


def _unmasked(mxcsr: int) -> int:
    return ~mxcsr >> _MASKS_SHIFT & _EXCEPTIONS
