"""Whatever a guest does, the machine goes on or ends in an orderly way."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from conftest import LOAD_ADDRESS, NUMBERS, Booted, bounded, call
from hypothesis import given
from hypothesis import strategies as st
from test_vkernel import (
    GUEST_CODE,
    GUEST_STACK,
    ID,
    MINUS_ONE,
    TFRAME,
    VFRAME,
    VirtualKernel,
)

from emu import trap
from emu.abi.errno import Errno
from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.mman import Madv, Map, Prot
from emu.abi.socket import Af, Sock, SockaddrIn
from emu.abi.structs import LwpParams
from emu.abi.versions import VERSIONS
from emu.cpu.engine import Exit
from emu.kern import vkernel
from emu.kern.exit import exit1
from emu.kern.proc import Lwp
from emu.kern.sched import LwpState
from emu.kern.sendsig import userret
from syscalls.table import TABLE, dispatch

Boot = Callable[..., Booted]

PATH = LOAD_ADDRESS + 0x4000
BUFFER = LOAD_ADDRESS + 0x5000
PARAMETERS = LOAD_ADDRESS + 0x6000
FUTEX = PARAMETERS + 0x100
STACK = LOAD_ADDRESS + 0x10000
CHILD = 101
TREE = 0x8000000000  # a mapping with a virtual page table
FAR = 0x10000000000  # one that is much larger than memory
FAR_SIZE = 1 << 40
RW = int(Prot.READ | Prot.WRITE)
ANON_FIXED = int(Map.ANON | Map.PRIVATE | Map.FIXED)
TOO_LONG = 5.0  # seconds, on a busy host; no call should take a tenth of it
GENERAL = [*TRAPFRAME_FIELDS[:15], "rsp"]

VALUES = [
    *(0, 1, 2, 3, 4, 6, 7, 8, 16, 10, 11, 12, 32, 200, 511, 512),
    *(4095, 4096, 4097, 1 << 20, 1 << 30),
    *((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32),
    *((1 << 47) - 4096, (1 << 47) - 1, 1 << 47, (1 << 62) + 1),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 2, (1 << 64) - 1),
    *(int(Map.SHARED), 0x1002, 0x1012, 0x2011, 0x3012, 0x1400, 0x11012, 0x41002),
    *(0x202, 0xA02, 0x402C7413, 0x8004667D),
    *(CHILD, CHILD + 1, PARAMETERS, FUTEX),
    *(ID, PATH, BUFFER, BUFFER + 0xFFB, TFRAME, VFRAME, LOAD_ADDRESS, LOAD_ADDRESS + 0x10FFF),
    *(TREE, TREE + 4096, FAR, FAR + FAR_SIZE - 8, 0x7FFFFFFFE000, 0xDEAD000),
]
CALM = [BUFFER, 1, 4096, 0, 3, 0]
"""Arguments that many calls accept, for where only one is to be hostile."""


@contextmanager
def world(abi: str = "2011") -> Iterator[Lwp]:
    """A virtual kernel with something for every argument to hit, and no host stream open."""
    before = set(os.listdir("/proc/self/fd"))
    options: dict[str, Any] = {"vmspace_io": True, "net": True, "abi": VERSIONS[abi]}
    with closing(Booted(b"\x90", memory=8 << 20, **options)) as machine:
        vk = VirtualKernel(machine)
        lwp = vk.lwp
        space = lwp.proc.vmspace
        space.copyout(PATH, b"/dir\0")
        assert call(lwp, "mkdir", PATH, 0o755) == 0
        assert call(lwp, "open", PATH, 0, 0) == 0
        space.copyout(PATH, b"/file\0")
        assert call(lwp, "open", PATH, 0x202, 0o644) == 1
        assert call(lwp, "write", 1, LOAD_ADDRESS, 10000) == 10000
        assert call(lwp, "socketpair", Af.UNIX, Sock.STREAM, 0, BUFFER) == 0
        assert call(lwp, "socket", Af.INET, Sock.DGRAM, 0) == 4
        space.copyout(BUFFER, bytes(SockaddrIn(sin_len=16, sin_family=Af.INET)))
        space.copyout(TFRAME, bytes(Trapframe(rip=GUEST_CODE, rsp=GUEST_STACK)))
        space.copyout(VFRAME, bytes(Vextframe()))
        tree = int(Map.SHARED | Map.FIXED | Map.VPAGETABLE)
        assert call(lwp, "mmap", TREE, 1 << 21, RW, tree, 1, 0, 0) == TREE
        root = lwp.proc.kernel.abi.vpte
        entry = root.valid | root.terminal | root.read | root.write
        assert call(lwp, "mcontrol", TREE, 1 << 21, Madv.SETMAP, entry) == 0
        assert call(lwp, "mmap", FAR, FAR_SIZE, RW, ANON_FIXED, MINUS_ONE, 0, 0) == FAR
        start_others(lwp)
        yield lwp
    assert set(os.listdir("/proc/self/fd")) <= before


def start_others(lwp: Lwp) -> None:
    """Start a second LWP, which sleeps, a child, and one that has ended."""
    space = lwp.proc.vmspace
    space.copyout(PARAMETERS, bytes(LwpParams(LOAD_ADDRESS, 0, STACK)))
    assert call(lwp, "lwp_create", PARAMETERS) == 0
    other = lwp.proc.lwps[1]
    give_cpu(other)
    call(other, "umtx_sleep", FUTEX, 0, 0)
    assert other.state is LwpState.SLEEPING
    give_cpu(lwp)
    assert call(lwp, "fork") == CHILD
    assert call(lwp, "fork") == CHILD + 1
    exit1(lwp.proc.kernel.procs[CHILD + 1])


def give_cpu(lwp: Lwp) -> None:
    """Let `lwp`, which must be ready, be the one that runs."""
    sched = lwp.proc.kernel.sched
    while sched.choose() is not lwp:
        sched.give_way()


def make(lwp: Lwp, number: int, words: list[int]) -> bool:
    """Make the call with these words in registers; it must come back, one way or the other.

    Return whether the LWP is still there.
    """
    frame = lwp.frame
    frame.rax = number
    frame.rflags &= ~1  # a call that is to be made again leaves it as it was
    for at, word in enumerate(words):
        lwp.words[at] = word
    began = time.monotonic()
    dispatch(lwp)
    took = time.monotonic() - began
    if lwp.state is LwpState.GONE:
        return False
    if lwp.state is not LwpState.RUNNING:
        wake(lwp)
        return True
    if lwp.inside is not None:
        vkernel.leave(lwp)
    assert took < TOO_LONG, f"system call {number} {words} took {took:.1f} s"
    # What sigreturn leaves in the registers is the program's business.
    if lwp.proc.alive and frame.rflags & 1 and number != NUMBERS["sigreturn"]:
        Errno(frame.rax)
    return True


def wake(lwp: Lwp) -> None:
    """Give up the call that the LWP sleeps in, and let it go on whatever it has done to itself."""
    if lwp.call is not None:
        lwp.call.close()
        lwp.call = None
    lwp.proc.stopped = False
    lwp.proc.kernel.sched.set_runnable(lwp)
    give_cpu(lwp)


@pytest.mark.parametrize("number", TABLE, ids=[call.name for call in TABLE.values()])
def test_each_argument_may_be_anything(number: int) -> None:
    count = len(TABLE[number].args)
    cases = [(at, value) for at in range(min(count, 6)) for value in VALUES]
    while cases:
        with world() as lwp:
            still_there = True
            while cases and still_there:
                at, value = cases.pop()
                words = CALM.copy()
                words[at] = value
                still_there = make(lwp, number, words)
                lwp.proc.exit_status = None


numbers = st.sampled_from(sorted(TABLE)) | st.integers(0, 560) | st.integers(0, (1 << 64) - 1)
words = st.sampled_from(VALUES) | st.integers(0, (1 << 64) - 1)


@bounded(100)
@given(
    abi=st.sampled_from(sorted(VERSIONS)),
    calls=st.lists(st.tuples(numbers, st.lists(words, min_size=6, max_size=6)), max_size=12),
    rsp=words,
)
def test_all_arguments_may_be_anything_at_once(
    abi: str, calls: list[tuple[int, list[int]]], rsp: int
) -> None:
    with world(abi) as lwp:
        lwp.frame.rsp = rsp
        for number, arguments in calls:
            if not make(lwp, number, arguments) or not lwp.proc.alive:
                break


# Code


def go_on(lwp: Lwp, exits: int = 200) -> None:
    """Run on until the process ends, it has run for long enough, or it has left its vmspace."""
    inside = lwp.vmspace is not lwp.proc.vmspace
    lwp.cpu.budget = 2000
    for _ in range(exits):
        if not lwp.proc.alive or (inside and lwp.vmspace is lwp.proc.vmspace):
            break
        reason = lwp.cpu.run(lwp.vmspace.pmap.cr3)
        if reason is Exit.INTERRUPTED:
            break
        trap.handle(lwp, reason)


registers = st.dictionaries(st.sampled_from(GENERAL), words, max_size=8)
flags = st.integers(0, (1 << 22) - 1)
# Bytes that are mostly instructions that do something.
pieces = st.sampled_from(
    [
        bytes.fromhex(code)
        for code in (
            "0f05", "cc", "cd80", "f4", "f1", "0f0b", "50", "58", "c3", "cb", "48cf", "cf", "9d",
            "8a00", "8800", "48ff00", "f0480fb108", "f3a4", "f348ab", "ffe0", "ffd0", "ff20",
            "e8fbffffff", "ebfe", "c9", "c8ffff1f", "8ed8", "8ee0", "8ed0", "0f01f8", "0fae00",
            "0fae08", "d9e8", "def9", "9b", "0f58c1", "66480f6ec0", "ec", "6e", "0f34", "0f31",
            "0fa2", "f2", "f3", "66", "67", "48", "64", "f0",
        )
    ]
)  # fmt: skip
code = st.binary(max_size=40) | st.lists(pieces | st.binary(max_size=3), max_size=16).map(b"".join)


def set_registers(lwp: Lwp, values: dict[str, int], rflags: int) -> None:
    for name, value in values.items():
        setattr(lwp.frame, name, value)
    lwp.frame.rflags = rflags & 0x244DD5 | 0x202
    lwp.cpu.load()


@bounded(150)
@given(code=code, values=registers, rflags=flags)
def test_a_process_may_execute_anything(code: bytes, values: dict[str, int], rflags: int) -> None:
    with closing(Booted(b"\x90" + code, memory=8 << 20)) as machine:
        set_registers(machine.lwp, values, rflags)
        go_on(machine.lwp)
        assert len(machine.told) <= 1
        assert bool(machine.told) == (machine.lwp.proc.killed_by is not None)


@bounded(150)
@given(code=code, values=registers, rflags=flags, xflags=words, bases=st.tuples(words, words))
def test_a_guest_may_execute_anything(
    code: bytes, values: dict[str, int], rflags: int, xflags: int, bases: tuple[int, int]
) -> None:
    with closing(Booted(b"\x90", memory=8 << 20)) as machine:
        vk = VirtualKernel(machine, code + b"\x90")
        vk.enter(
            vext=Vextframe(fs_base=bases[0], gs_base=bases[1]),
            rflags=rflags,
            xflags=xflags,
            **values,
        )
        go_on(vk.lwp)
        if not vk.inside and vk.lwp.proc.alive:
            assert vk.lwp.frame.rax == 0
            assert (vk.reflected().cs, vk.reflected().ss) == (0x2B, 0x23)


@bounded(40)
@given(target=words)
def test_a_guest_may_jump_anywhere(target: int) -> None:
    with closing(Booted(b"\xff\xe0", memory=8 << 20)) as machine:  # jmp rax
        set_registers(machine.lwp, {"rax": target}, 0)
        go_on(machine.lwp)
        vk = VirtualKernel(machine, b"\xff\xe0")
        vk.enter(rax=target)
        go_on(vk.lwp)


patches = st.lists(st.tuples(st.integers(0, 1600), st.binary(min_size=1, max_size=16)), max_size=6)


@bounded(100)
@given(
    abi=st.sampled_from(sorted(VERSIONS)),
    values=registers,
    rip=st.just(LOAD_ADDRESS) | words,
    rflags=st.sampled_from([0x202, 0x302, 0x10202, 0x20202, 0x3202]) | words,
    cs=st.sampled_from([0x2B, 0x33, 0x1B, 0x23, 0, 0x28]),
    owned=st.sampled_from([0x20000, 0x20001, 0x20002, 0, 1]),
    patches=patches,
)
def test_sigreturn_may_be_given_anything(
    abi: str,
    values: dict[str, int],
    rip: int,
    rflags: int,
    cs: int,
    owned: int,
    patches: list[tuple[int, bytes]],
) -> None:
    with closing(Booted(b"\x0f\x58\xc1\x90\xeb\xfa", memory=8 << 20, abi=VERSIONS[abi])) as machine:
        lwp = machine.lwp
        ucontext = VERSIONS[abi].sigframe.UCONTEXT()
        ucontext.uc_mcontext.mc_ownedfp = owned
        new = ucontext.uc_mcontext.mc_frame
        for name, value in {**values, "rip": rip, "rflags": rflags, "cs": cs}.items():
            setattr(new, name, value)
        content = bytearray(bytes(ucontext))
        for at, patch in patches:
            content[at : at + len(patch)] = patch
        lwp.vmspace.copyout(BUFFER, content)
        make(lwp, NUMBERS["sigreturn"], [BUFFER, 0, 0, 0, 0, 0])
        userret(lwp)
        go_on(lwp)
        assert len(machine.told) <= 1


def test_a_process_may_unmap_its_own_code(boot: Boot) -> None:
    # mov edi, 0x400000; mov esi, 0x11000; mov eax, 73; syscall
    machine = boot(bytes.fromhex("bf00004000 be00100100 b849000000 0f05 90"))
    assert machine.run() == 139
    assert machine.told == [
        "process 100 ended by SIGSEGV in its own vmspace: T_PAGEFLT at 0x400011 (no code): "
        "fetch from 0x400011: nothing is mapped there"
    ]


def test_a_process_may_unmap_its_own_stack(boot: Boot) -> None:
    # mov rdi, rsp; and rdi, -4096; mov esi, 4096; mov eax, 73; syscall; push -1; push -1
    machine = boot(bytes.fromhex("4889e7 4881e700f0ffff be00100000 b849000000 0f05 6aff 6aff"))
    assert machine.run() == 139


def test_recursion_ends_with_the_stack(boot: Boot) -> None:
    # sub rsp, 0x1fff8; call itself
    machine = boot(bytes.fromhex("4881ecf8ff0100 e8f4ffffff"))
    assert machine.run() == 139
    (line,) = machine.told
    assert "SIGSEGV" in line
    assert "write to 0x7fffdf" in line
