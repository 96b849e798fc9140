"""What runs before any guest: the way into ring 3, and tests of what the engine relies on.

All of it is code in the boot space.  Where Unicorn keeps its exception state, and whether it
stops where it is told to, differ by version and host; they are found out here, never assumed.
"""

from collections.abc import Iterator, Sequence
from ctypes import c_int32, c_uint64, c_void_p
from itertools import count, islice
from typing import NamedTuple

from emu.abi.x86 import (
    KERNEL_CS,
    KERNEL_DS,
    MXCSR_DEFAULT,
    MXCSR_FLUSH_TO_ZERO,
    RFLAGS_USER,
    Vector,
)
from emu.cpu.boot_space import CODE_VA, ENTRY_VA, FRAME_VA, GDT, GDT_VA, BootSpace
from emu.cpu.engine import EngineError
from emu.cpu.safe_stop import BUDGET, KICK, NO_LIMIT, SYSCALL, VECTOR, SwappedCallback, Words
from emu.cpu.sse_status import SsePlaces
from emu.cpu.unicorn_library import (
    ZERO,
    context_bytes,
    context_restore,
    context_save,
    context_words,
    emu_start,
    free_context,
    new_context,
    read_register,
    reason,
    write_gdtr,
    write_msr,
    write_register,
)
from emu.vm.phys import PhysicalMemory

CR0 = 0x8005_0033  # PG AM WP NE ET MP PE
CR4 = 0x620  # OSXMMEXCPT OSFXSR PAE
MSR_EFER = 0xC000_0080
EFER = 0x901  # NXE LME SCE; LMA follows from CR0.PG


class _Probe(NamedTuple):
    code: bytes
    vector: int
    code_word: int
    is_int: int = 0


_SYSCALL_PROBE = _Probe(bytes.fromhex("0f05"), 0, 0)
_LOOP = _Probe(bytes.fromhex("48ff042500300000 e2f6 0f05"), 0, 0)  # inc [DATA_VA]; loop; syscall
_PROBES = (
    _Probe(bytes.fromhex("8a042500400000"), Vector.PF, 0x04),  # mov al, [ABSENT_VA]
    _Probe(bytes.fromhex("88042500400000"), Vector.PF, 0x06),  # mov [ABSENT_VA], al
    _Probe(bytes.fromhex("8a042500100000"), Vector.PF, 0x05),  # mov al, [ENTRY_VA]
    _Probe(bytes.fromhex("88042500200000"), Vector.PF, 0x07),  # mov [CODE_VA], al
    _Probe(bytes.fromhex("b800300000 ffe0"), Vector.PF, 0x15),  # mov eax, DATA_VA; jmp rax
    _Probe(bytes.fromhex("b878560000 8ed8"), Vector.GP, 0x5678),  # mov eax, 0x5678; mov ds, eax
    _Probe(bytes.fromhex("cd21"), 0x21, 0, is_int=1),
)
_INVALID_PROBE = _Probe(bytes.fromhex("0f57c0 0f5ec0 0f05"), 0, 0)  # xorps xmm0; divps xmm0, xmm0
_INEXACT_PROBE = _Probe(bytes.fromhex("b8ffffff7f f30f2ac0 0f05"), 0, 0)  # cvtsi2ss xmm0, 2^31 - 1
_FLAGS_SOURCES = (0x1234_5678, 0x7EDC_BA98)
_FLAGS_PROBES = [  # cmp rax, source
    _Probe(b"\x48\x3d%b\x0f\x05" % source.to_bytes(4, "little"), 0, 0) for source in _FLAGS_SOURCES
]
_SSE_PROBES = (_INVALID_PROBE, _INEXACT_PROBE)
_SSE_FLAGS = (0, 0x01, 0x20)  # before, and after each of them
_SSE_FLUSH_OFFSET = 2  # from the flags, in the engine's float_status
_MXCSR_OFFSET = 6
_TEST_BUDGET = 1000


_ALL_PROBES = (_SYSCALL_PROBE, _LOOP, *_PROBES, *_SSE_PROBES, *_FLAGS_PROBES)


def _places(skip: int = 0) -> Iterator[int]:
    """Offsets into the boot space's code page, one per piece of code."""
    return count(16 * skip, 16)


def _occurrences(state: bytes, wanted: bytes) -> Iterator[int]:
    """Return where in a context these bytes are, without a look at each byte of it."""
    at = state.find(wanted)
    while at >= 0:
        yield at
        at = state.find(wanted, at + 1)


class ExceptionWords(NamedTuple):
    """Words of a context, in place: what is written there counts once it is restored."""

    error_code: c_int32
    is_int: c_int32  # of an INT n
    in_flight: c_int32  # the vector of an exception that is being delivered, or -1


class StartUp:
    """The code in the boot space, for an engine whose hooks report to `shared`."""

    def __init__(
        self, handle: object, phys: PhysicalMemory, space: BootSpace, shared: Words
    ) -> None:
        self._handle = handle
        self._phys = phys
        self._space = space
        self._words = shared.words

    def enter_ring_3(self) -> None:
        """Turn on paging and enter ring 3, for good, through one IRETQ.

        Privilege is nothing one can write to a register.
        """
        handle, space = self._handle, self._space
        write_gdtr(handle, GDT_VA, 8 * len(GDT) - 1)
        write_register(handle, "CR4", CR4)
        write_register(handle, "CR3", space.root)
        write_msr(handle, MSR_EFER, EFER)
        write_register(handle, "CR0", CR0)
        write_register(handle, "CS", KERNEL_CS)
        write_register(handle, "SS", KERNEL_DS)
        write_register(handle, "RSP", FRAME_VA)
        code = self._phys.page(space.code)
        for place, probe in zip(_places(), _ALL_PROBES, strict=False):
            code[place : place + len(probe.code)] = probe.code
        error = self._start_at(ENTRY_VA)[1]
        syscall = self._words[SYSCALL]
        self._words[SYSCALL] = 0
        if error or not syscall:
            raise EngineError(f"the CPU did not reach ring 3: {reason(error)}")

    def find_exception_words(self, context: c_void_p, clean: c_void_p) -> ExceptionWords:
        """Find the exception's words in `context`, by faults whose codes are known.

        `clean` is left with the state before the first of them, and the engine in that state.
        """
        handle = self._handle
        context_save(handle, clean)
        before = context_words(handle, clean)
        after = []
        for place, probe in zip(_places(skip=2), _PROBES, strict=False):
            context_restore(handle, clean)
            vector, error = self._start_at(CODE_VA + place)
            if vector != probe.vector or error:
                raise EngineError(f"a test fault came as {vector}, not {probe.vector}")
            context_save(handle, context)
            after.append(context_words(handle, context))
        context_restore(handle, clean)
        seen = list(zip(*after, strict=True))  # each word of the blob, across the probes
        code_words = tuple(probe.code_word for probe in _PROBES)
        is_int = tuple(probe.is_int for probe in _PROBES)
        vectors = tuple(-1 if probe.is_int else probe.vector for probe in _PROBES)
        codes = [i for i in range(len(seen) - 1) if seen[i : i + 2] == [code_words, is_int]]
        in_flight = [i for i in range(len(seen)) if before[i] == -1 and seen[i] == vectors]
        if len(codes) != 1 or len(in_flight) != 1:
            raise EngineError(
                "this version of Unicorn keeps its exception state in an unknown place"
                f" (candidates: {codes}, {in_flight}); version 2.1.4 is known to work"
            )
        blob = context.value or 0
        return ExceptionWords(
            error_code=c_int32.from_address(blob + 4 * codes[0]),
            is_int=c_int32.from_address(blob + 4 * codes[0] + 4),
            in_flight=c_int32.from_address(blob + 4 * in_flight[0]),
        )

    def find_flags_source(self, context: c_void_p, clean: c_void_p) -> c_uint64:
        """Find what the engine calculates flags from (QEMU's cc_src) in `context`, in place.

        `clean` is a state to begin with, in which the engine is left.
        """
        states = self._states_after(
            _FLAGS_PROBES, 2 + len(_PROBES) + len(_SSE_PROBES), context, clean
        )
        (first, other), values = states, [value.to_bytes(8, "little") for value in _FLAGS_SOURCES]
        found = [
            at
            for at in _occurrences(first, values[0])
            if at % 4 == 0 and other[at : at + 8] == values[1]
        ]
        if len(found) != 1:
            raise EngineError(
                "this version of Unicorn keeps the source of its flags in an unknown place"
                f" (candidates: {found}); version 2.1.4 is known to work"
            )
        return c_uint64.from_address((context.value or 0) + found[0])

    def _states_after(
        self, probes: Sequence[_Probe], skip: int, context: c_void_p, clean: c_void_p
    ) -> list[bytes]:
        """Return the contexts after these probes, which lie behind `skip` other pieces of code."""
        states = []
        for place in islice(_places(skip), len(probes)):
            context_restore(self._handle, clean)
            if self._start_at(CODE_VA + place) != (-1, 0):
                raise EngineError("a test instruction does not work")
            self._words[SYSCALL] = 0
            states.append(self._bytes_of(context))
        context_restore(self._handle, clean)
        return states

    def find_sse_places(self, context: c_void_p, clean: c_void_p) -> SsePlaces:
        """Find MXCSR and what goes with it in `context`, by instructions that change them.

        `clean` is a state to begin with, in which the engine is left.
        """
        handle = self._handle
        states = self._states_after(_SSE_PROBES, 2 + len(_PROBES), context, clean)
        write_register(handle, "MXCSR", MXCSR_DEFAULT)
        before = self._bytes_of(context)
        write_register(handle, "MXCSR", MXCSR_DEFAULT | MXCSR_FLUSH_TO_ZERO)
        flushing = self._bytes_of(context)
        context_restore(handle, clean)
        mxcsr = MXCSR_DEFAULT.to_bytes(4, "little")
        flags = [
            at
            for at in (place - _MXCSR_OFFSET for place in _occurrences(before, mxcsr))
            if tuple(state[at] for state in (before, *states)) == _SSE_FLAGS
        ]
        x87_flush = [at for at in _occurrences(flushing, b"\x01") if before[at] == 0]
        if len(flags) != 1 or len(x87_flush) != 1:
            raise EngineError(
                "this version of Unicorn keeps its SSE state in an unknown place"
                f" (candidates: {flags}, {x87_flush}); version 2.1.4 is known to work"
            )
        at = flags[0]
        return SsePlaces(at, at + _MXCSR_OFFSET, at + _SSE_FLUSH_OFFSET, x87_flush[0])

    def _bytes_of(self, context: c_void_p) -> bytes:
        context_save(self._handle, context)
        return context_bytes(self._handle, context)

    def stops_work(self, root: int, swap: SwappedCallback | None) -> bool:
        """Tell whether a kick stops before anything is executed, and budgets are exact.

        The guest's state, under page table `root`, is put aside meanwhile.  KICK is left set.
        """
        handle, words = self._handle, self._words
        guest = new_context(handle)
        context_save(handle, guest)
        write_register(handle, "CR3", self._space.root)
        write_register(handle, "RFLAGS", RFLAGS_USER)
        ok = True
        if swap is None:
            words[KICK] = 0
            words[BUDGET] = _TEST_BUDGET
            ok = self._blocks_run() == _TEST_BUDGET
            words[BUDGET] = NO_LIMIT
        else:
            swap.set()
        words[KICK] = 1
        ok = ok and self._blocks_run() == 0
        if swap is not None:
            swap.clear()
        context_restore(handle, guest)
        free_context(guest)
        # The engine goes on using old translations until the register is written.
        write_register(handle, "CR3", root)
        return ok

    def _blocks_run(self) -> int | None:
        """Run the test loop; return how many times it ran, None if it was not just stopped."""
        loop = CODE_VA + next(_places(skip=1))
        counter = self._space.data >> 3
        self._phys.words[counter] = 0
        write_register(self._handle, "RCX", 2 * _TEST_BUDGET)
        stopped = self._start_at(loop) == (-1, 0) and read_register(self._handle, "RIP") == loop
        self._words[SYSCALL] = 0
        return self._phys.words[counter] if stopped else None

    def _start_at(self, va: int) -> tuple[int, int]:
        """Run from `va` until something stops the engine; return the vector and the error."""
        error = emu_start(self._handle, c_uint64(va), ZERO, ZERO, ZERO)
        vector = self._words[VECTOR]
        self._words[VECTOR] = -1
        return vector, error
