"""LWPs that lose the CPU anywhere: nothing is lost or done twice, and runs can be repeated."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import LOAD_ADDRESS, PROJECT, Booted

from emu.abi.fcntl import Open
from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011
from emu.asm import assemble
from emu.cpu.engine import Exit
from emu.debug.trace import EVENTS, Tracer
from emu.kern import sched
from emu.kern.clock import Clock, HostClock, VirtualClock
from emu.kern.file import File, Stream
from emu.kern.proc import Lwp
from syscalls.table import SYMBOLS

Boot = Callable[..., Booted]

PROGRAMS = ("preemption", "fp_threads", "umtx", "lwp_create", "guest_threads", "two_lwps_inside")


def program(name: str, **constants: int) -> bytes:
    source = next((PROJECT / "guest_programs/conformance").rglob(f"{name}.s"))
    symbols = {**abi_symbols(ABI_2011), **SYMBOLS, **constants}
    return assemble(source, origin=LOAD_ADDRESS, symbols=symbols).code


@pytest.fixture(params=[10, 330, 33_330])
def short_slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Slices of so many virtual nanoseconds; a block takes 10."""
    monkeypatch.setattr(sched, "SLICE_NS", request.param)
    return int(request.param)


@contextmanager
def kicked(machine: Booted) -> Iterator[list[int]]:
    """Have another thread kick the engine again and again; yield how often, in the end."""
    done = threading.Event()
    kicks = [0]

    def kick() -> None:
        while not done.is_set():
            machine.lwp.cpu.kick()
            kicks[0] += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=kick)
    thread.start()
    try:
        yield kicks
    finally:
        done.set()
        thread.join()


def switches(machine: Booted) -> int:
    return machine.lwp.proc.kernel.sched.switches


@pytest.mark.parametrize("name", PROGRAMS)
def test_with_exact_slices(boot: Boot, name: str, short_slices: int) -> None:
    machine = boot(program(name))
    assert machine.run() == 0
    assert switches(machine) >= 3


def test_a_short_slice_is_many_switches(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched, "SLICE_NS", 10)
    machine = boot(program("preemption"))
    machine.run()
    assert switches(machine) > 2_000


@pytest.mark.parametrize("name", ["preemption", "fp_threads", "guest_threads"])
def test_with_kicks_at_any_time(boot: Boot, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kick ends the slice: on the host's clock nothing is exact."""
    monkeypatch.setattr(sched, "SLICE_NS", 0)
    machine = boot(program(name, COUNT=20_000), clock=HostClock())
    with kicked(machine):
        assert machine.run() == 0


def test_kicks_do_switch(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched, "SLICE_NS", 0)
    machine = boot(program("preemption", COUNT=20_000), clock=HostClock())
    machine.lwp.cpu.arm()
    with kicked(machine):
        assert machine.run() == 0
    assert switches(machine) > 12  # as many as it makes by itself


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_runs_are_the_same_to_the_last_register(
    boot: Boot, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sched, "SLICE_NS", 5_000)

    def run() -> tuple[list[str], bytes, int, int]:
        machine = boot(program(name))
        lines: list[str] = []
        Tracer(lines.append, frozenset(EVENTS)).attach(machine.machine)
        assert machine.run() == 0
        clock = machine.lwp.proc.kernel.clock
        frame = bytes(machine.lwp.frame_bytes)
        return lines, frame, clock.monotonic_ns(), machine.lwp.cpu.blocks

    first = run()
    assert first == run()
    assert len(first[0]) > 10


# The clock's alarm: a thread that is not asked for anything does nothing.

LOOP_AND_EXIT = """
    mov ecx, 3000000
1:
    dec ecx
    jnz 1b
    SYSCALL SYS_exit, 5
"""


def interruptions(machine: Booted) -> int:
    """Run; return how often the engine was interrupted."""
    handled = machine.machine.handle
    count = 0
    run = machine.lwp.cpu.run

    def counted(root: int) -> Exit:
        nonlocal count
        reason = run(root)
        count += reason is Exit.INTERRUPTED
        return reason

    machine.lwp.cpu.run = counted  # type: ignore[method-assign]
    assert machine.run() == 5
    assert machine.machine.handle is handled
    return count


def test_an_lwp_alone_with_nothing_to_wait_for_is_never_interrupted(boot: Boot) -> None:
    machine = boot(LOOP_AND_EXIT, clock=HostClock())
    assert interruptions(machine) == 0
    assert not machine.lwp.cpu._stops.armed
    assert not machine.machine._alarm.used


def test_the_alarm_ends_slices(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two LWPs that never call the kernel take turns on the host's clock."""
    monkeypatch.setattr(sched, "SLICE_NS", 1_000_000)
    source = """
        jmp start
    thread:
        cmp dword ptr [flag], 1
        jne thread
        mov dword ptr [flag], 2
    forever:
        jmp forever
    start:
        mov qword ptr [params + LWP_FUNC], thread
        mov qword ptr [params + LWP_STACK], 0x409000
        SYSCALL SYS_lwp_create, params
        mov dword ptr [flag], 1
    wait:
        cmp dword ptr [flag], 2
        jne wait
        SYSCALL SYS_exit, 5
        .balign 8
    params:
        .space LWP_PARAMS_SIZE
    flag:
        .quad 0
    """
    machine = boot(source, clock=HostClock())
    assert interruptions(machine) >= 2


def test_a_callout_interrupts_one_that_is_alone(boot: Boot) -> None:
    machine = boot("forever: jmp forever", clock=HostClock())
    kernel = machine.lwp.proc.kernel
    soon = kernel.clock.monotonic_ns() + 5_000_000

    def end() -> None:
        machine.lwp.proc.exit_status = 5

    kernel.sched.callout(soon, end)
    assert machine.run() == 5
    assert kernel.clock.monotonic_ns() >= soon


@pytest.mark.parametrize("clock", [HostClock, VirtualClock])
@pytest.mark.parametrize("call", ["getpid", "sched_yield"])
def test_who_calls_the_kernel_all_the_time_keeps_nobody_from_input(
    boot: Boot, call: str, clock: Callable[[], Clock]
) -> None:
    source = f"""
        jmp start
    reader:
        SYSCALL SYS_read, 0, 0x408000, 1
        SYSCALL SYS_exit, 5
    start:
        mov qword ptr [params + LWP_FUNC], reader
        mov qword ptr [params + LWP_STACK], 0x409000
        SYSCALL SYS_lwp_create, params
    again:
        SYSCALL SYS_{call}
        jmp again
        .balign 8
    params:
        .space LWP_PARAMS_SIZE
    """
    machine = boot(source, clock=clock())
    out, into = os.pipe()
    machine.lwp.proc.files.add(File(Stream(out), Open.RDONLY))
    sched, inner = machine.lwp.proc.kernel.sched, machine.machine.handle
    calls = 0

    def handle(lwp: Lwp, reason: Exit) -> None:
        nonlocal calls
        inner(lwp, reason)
        calls += sched.watched != {}
        if calls == 1:
            os.write(into, b"!")
        if calls == 100_000:  # ten times the slice on the virtual clock, and more on the host's
            machine.machine.stop(99)

    machine.machine.handle = handle
    assert machine.run() == 5
    os.close(out)
    os.close(into)


def test_an_unarmed_engine_knows_its_lwps_apart(boot: Boot) -> None:
    """Nothing but system calls switches here."""
    source = """
        jmp start
    thread:
        inc rbx
        SYSCALL SYS_sched_yield
        jmp thread
    start:
        mov qword ptr [params + LWP_FUNC], thread
        mov qword ptr [params + LWP_STACK], 0x409000
        SYSCALL SYS_lwp_create, params
        mov ebx, 5
        SYSCALL SYS_sched_yield
        SYSCALL SYS_sched_yield
        SYSCALL SYS_exit, rbx
        .balign 8
    params:
        .space LWP_PARAMS_SIZE
    """
    machine = boot(source)
    lwp: Lwp = machine.lwp
    assert machine.run() == 5
    assert lwp.proc.usage.involuntary_switches >= 3
