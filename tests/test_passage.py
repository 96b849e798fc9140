"""The routine that makes the calls of a passage does what Python does that makes them in turn."""

from ctypes import CFUNCTYPE, addressof, c_int, c_int32, c_uint64, c_void_p

import keystone
import pytest
from test_unicorn_engine import ABSENT, DATA, READ_ONLY, Guest

from emu.cpu import passage
from emu.cpu.engine import Exit
from emu.cpu.passage import Call, _records, _routine, callable_for, in_turn
from emu.cpu.unicorn_engine import UnicornEngine
from emu.cpu.unicorn_library import address_of, blocking_function
from emu.vm.phys import PhysicalMemory

FUNCTION = CFUNCTYPE(c_int, *[c_uint64] * 5)

GUESTS = [
    "mov rax, 20; mov r10, 7; syscall",
    "mov [rdi], al; syscall",
    "add [rdi], al; syscall",
    "mov rbx, [rdi]; syscall",
    "mov [rsi], al",
    "int3",
    "int 0x21",
    "ud2",
    "hlt",
    "xor ecx, ecx; div ecx",
    "mov eax, 0x1234; mov ds, eax",
    "jmp rdi",
    "setg [rdi]; syscall",
]


def by_routine(calls):
    records = _records(calls)
    return blocking_function(_routine())(c_void_p(addressof(records)))


def by_python(calls):
    return in_turn([callable_for(call) for call in calls])


WAYS = [pytest.param(by_python, id="in turn")]
if _routine() is not None:
    WAYS.append(pytest.param(by_routine, id="routine"))


class Recorder:
    """A C function that remembers what it was called with."""

    def __init__(self, result=0):
        self.calls = []
        self._callback = FUNCTION(lambda *arguments: self.calls.append(arguments) or result)
        self.address = address_of(self._callback)


@pytest.mark.parametrize("way", WAYS)
def test_calls_are_made_in_their_order_with_their_arguments(way):
    recorder = Recorder()
    way([Call(recorder.address, (1, 2, 3, 4, 5)), Call(recorder.address, (6, 7, 8, 1 << 63, 10))])
    assert recorder.calls == [(1, 2, 3, 4, 5), (6, 7, 8, 1 << 63, 10)]


@pytest.mark.parametrize("way", WAYS)
def test_the_second_argument_can_be_looked_up_when_the_call_is_made(way):
    recorder, word = Recorder(), c_uint64(17)
    call = Call(recorder.address, (1, 2, 3, 4, 5), second_at=addressof(word))
    way([call])
    word.value = 1 << 63
    way([call])
    assert [arguments[1] for arguments in recorder.calls] == [17, 1 << 63]


@pytest.mark.parametrize("way", WAYS)
def test_a_call_with_a_condition_is_left_out_while_that_is_minus_one(way):
    recorder, word = Recorder(), c_int32(-1)
    calls = [
        Call(recorder.address, (1, 0, 0, 0, 0), unless_idle=addressof(word)),
        Call(recorder.address, (2, 0, 0, 0, 0)),
    ]
    way(calls)
    word.value = 0
    way(calls)
    assert [arguments[0] for arguments in recorder.calls] == [2, 1, 2]


@pytest.mark.parametrize("way", WAYS)
def test_the_result_is_made_of_those_without_a_condition(way):
    word = c_int32(14)
    functions = [Recorder(result) for result in (1, 4, 8)]
    first, second, conditional = (function.address for function in functions)
    assert way([Call(first, (0,) * 5), Call(second, (0,) * 5)]) == 5
    assert way([Call(first, (0,) * 5), Call(conditional, (0,) * 5, 0, addressof(word))]) == 1


@pytest.mark.skipif(_routine() is None, reason="this host has no routine")
def test_the_bytes_of_the_routine_are_its_text():
    code, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(passage.TEXT)
    assert bytes(code) == passage.CODE


@pytest.fixture(scope="module")
def engines():
    return [UnicornEngine(PhysicalMemory(1 << 24), native=native) for native in (True, False)]


@pytest.mark.parametrize("code", GUESTS)
def test_a_guest_comes_out_as_it_does_in_turn(engines, code):
    """Twice: what an exception leaves behind would show in the next one."""
    frames = []
    for engine in engines:
        guest = Guest(engine)
        engine.bases.fs_base, engine.bases.gs_base = 0x1000, 0x2000
        engine.load_bases()
        seen = []
        for _ in range(2):
            reason = guest.run(code, rdi=ABSENT, rsi=READ_ONLY, rdx=DATA, rflags=0x2D7, rbx=3)
            seen.append((reason, bytes(guest.frame)))
            if reason is Exit.PAGE_FAULT:
                guest.enter(ABSENT, 0x8000_0000_0000_0007)
                seen.append((guest.run(), bytes(guest.frame)))
        frames.append(seen)
    assert frames[0] == frames[1]


def test_the_bases_and_the_page_table_go_in_when_they_are_new(engines):
    for engine in engines:
        one, other = Guest(engine), Guest(engine)
        one.phys.words[one.data >> 3], other.phys.words[other.data >> 3] = 11, 22
        seen = []
        for base in (0, 8):
            for guest in (one, other):
                engine.bases.fs_base = DATA - 0x100 - base
                engine.load_bases()
                guest.run(f"mov rax, fs:[{0x100 + base}]; syscall")
                seen.append(guest.frame.rax)
        assert seen == [11, 22, 11, 22]
