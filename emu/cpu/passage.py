"""One passage through the guest: registers in, run, registers out.

It takes half a dozen calls into the engine's library, and every trap pays for them.  They are
listed once for each choice of what goes in.  Where the host allows it, a routine makes all calls
of a list, so that Python makes one; elsewhere Python makes them, see `in_turn`.
"""

import platform
import sys
from collections.abc import Callable, Sequence
from ctypes import (
    CFUNCTYPE,
    Array,
    Structure,
    addressof,
    c_int,
    c_int32,
    c_uint64,
    c_void_p,
    memset,
)
from functools import cache, partial
from typing import Any, NamedTuple

from emu.cpu.registers import BASES, GENERAL, ROOT, Registers
from emu.cpu.safe_stop import place_code
from emu.cpu.start_up import ExceptionWords
from emu.cpu.unicorn_library import (
    READ_BATCH_FUNCTION,
    RESTORE_FUNCTION,
    SAVE_FUNCTION,
    WRITE_BATCH_FUNCTION,
    address_of,
    blocking_function,
)

_SIZE_OF_WORD = 4
_MOST_ARGUMENTS = 5

# Called with a list, it returns what the calls without a condition have returned, or'ed.
TEXT = """
        push rbx
        push r12
        sub rsp, 8
        mov rbx, rdi
        xor r12d, r12d
    next:
        mov rax, qword ptr [rbx]
        test rax, rax
        jz end
        mov rcx, qword ptr [rbx + 8]
        test rcx, rcx
        jz call
        cmp dword ptr [rcx], -1
        je skip
    call:
        mov rdi, qword ptr [rbx + 16]
        mov rsi, qword ptr [rbx + 24]
        mov rsi, qword ptr [rsi]
        mov rdx, qword ptr [rbx + 32]
        mov rcx, qword ptr [rbx + 40]
        mov r8, qword ptr [rbx + 48]
        call rax
        cmp qword ptr [rbx + 8], 0
        jne skip
        or r12d, eax
    skip:
        add rbx, 64
        jmp next
    end:
        mov eax, r12d
        add rsp, 8
        pop r12
        pop rbx
        ret
"""
CODE = bytes.fromhex(
    "5341544883ec084889fb4531e4488b034885c07437488b4b084885c974058339ff7423488b7b10488b7318488b"
    "36488b5320488b4b284c8b4330ffd048837b080075034109c44883c340ebc14489e04883c408415c5bc3"
)


class _Record(Structure):
    """A call, for the routine.  A list ends with a function of 0."""

    _fields_ = [
        ("function", c_uint64),
        ("condition", c_uint64),
        ("first", c_uint64),
        ("second_at", c_uint64),
        ("third", c_uint64),
        ("fourth", c_uint64),
        ("fifth", c_uint64),
        ("second", c_uint64),
    ]


class Call(NamedTuple):
    function: int
    """The address of a C function that returns an int."""
    arguments: Sequence[int]
    """At most five: numbers and addresses."""
    second_at: int = 0
    """Where the second one lies, if it is to be looked up when the call is made."""
    unless_idle: int = 0
    """If given, the address of an int: the call is left out while that is -1, and its result is
    of no interest."""


class Passages:
    """The passages of one engine: `go(lists[what])` returns its error.

    `what` says what goes in, GENERAL, BASES and ROOT together.  Everything comes out: the frame is
    complete but for what the kind of trap decides.  After an exception the engine is ready for
    the next one, CR2 is in the frame and `exception` in the context.
    """

    def __init__(
        self,
        engine: c_void_p,
        start: int,
        registers: Registers,
        vector: int,
        context: c_void_p,
        exception: ExceptionWords,
        *,
        native: bool,
    ) -> None:
        """`start` is the address of uc_emu_start, `vector` that of the word the hooks set."""
        handle = engine.value or 0
        saved = (handle, context.value or 0)
        in_flight = addressof(exception.in_flight)
        inward = (
            (GENERAL, Call(WRITE_BATCH_FUNCTION, (handle, *registers.loaded.words))),
            (BASES, Call(WRITE_BATCH_FUNCTION, (handle, *registers.fs_and_gs.words))),
            (ROOT, Call(WRITE_BATCH_FUNCTION, (handle, *registers.cr3.words))),
        )
        always = (
            Call(start, (handle, 0, 0, 0, 0), second_at=registers.rip_address),
            # Unicorn never clears "exception in flight": the next page fault would come as a
            # double fault, and the one after it would end the run silently (unicorn#1883).
            Call(SAVE_FUNCTION, saved, unless_idle=vector),
            Call(address_of(memset), (in_flight, 0xFF, _SIZE_OF_WORD), unless_idle=vector),
            Call(RESTORE_FUNCTION, saved, unless_idle=vector),
            Call(READ_BATCH_FUNCTION, (handle, *registers.cr2.words), unless_idle=vector),
            Call(READ_BATCH_FUNCTION, (handle, *registers.stored.words)),
        )
        calls = [
            [*(call for part, call in inward if what & part), *always]
            for what in range(GENERAL + BASES + ROOT + 1)
        ]
        routine = _routine() if native else None
        self.go: Any
        self.lists: Sequence[Any]
        if routine is not None:
            self.go = blocking_function(routine)
            self._records = [_records(each) for each in calls]
            self.lists = [c_void_p.from_param(addressof(each)) for each in self._records]
        else:
            self.go = in_turn
            self.lists = [[callable_for(call) for call in each] for each in calls]


def callable_for(call: Call) -> Callable[[], int]:
    """Return what makes `call` and returns its result, or 0 if that is of no interest."""
    function = CFUNCTYPE(c_int, *[c_uint64] * len(call.arguments))(call.function)
    arguments = [c_uint64(argument) for argument in call.arguments]
    if call.second_at:
        arguments[1] = c_uint64.from_address(call.second_at)
    if not call.unless_idle:
        return partial(function, *arguments)
    condition = c_int32.from_address(call.unless_idle)

    def make() -> int:
        if condition.value != -1:
            function(*arguments)
        return 0

    return make


def in_turn(calls: Sequence[Callable[[], int]]) -> int:
    """Do what the routine does, which is tested against this."""
    result = 0
    for call in calls:
        result |= call()
    return result


def _records(calls: Sequence[Call]) -> Array[_Record]:
    records = (_Record * (len(calls) + 1))()
    for record, call in zip(records, calls, strict=False):
        first, second, *others = call.arguments
        third, fourth, fifth = (*others, 0, 0, 0)[: _MOST_ARGUMENTS - 2]
        record.function, record.condition = call.function, call.unless_idle
        record.first, record.second = first, second
        record.second_at = call.second_at or addressof(record) + _Record.second.offset
        record.third, record.fourth, record.fifth = third, fourth, fifth
    return records


@cache
def _routine() -> int | None:
    """Return the address of the routine, None where there is none."""
    if sys.platform == "win32" or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    return place_code(CODE)
