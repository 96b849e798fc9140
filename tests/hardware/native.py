"""The host's own CPU: a child process runs the cases, and tells what the host kernel saw.

What the signal frame says of trap number, error code and registers is what the CPU told the
kernel, with these exceptions, where it is the host kernel that answers:

- INT 4, INT 0x80, SYSCALL and SYSENTER have gates and entries of Linux's: never give it these;
- the error code of a fault in the kernel's half always says "present" (Linux hides its tables);
- SGDT, SIDT, SLDT, STR and SMSW are emulated where the CPU has UMIP;
- selectors stand for Linux's descriptors: only null ones, and ones past every table, mean the same;
- NT, ID and IOPL cannot be set for the start of a case;
- an x87 or SSE exception that the status words do not confirm is swallowed;
- in a guest of KVM on AMD, ICEBP is reported at the instruction, not behind it.

What was tried is an AMD CPU.  Where another maker's is known to differ, the cases leave it out.
"""

import os
import platform
import select
import subprocess
import sys
from mmap import mmap
from pathlib import Path
from struct import Struct

import pytest

from emu.abi.x86 import PAGE_SIZE, Vector, round_page
from emu.asm import assemble
from emu.conform.suite import executable
from hardware.machine import (
    AREAS,
    CODE,
    DATA_AREAS,
    FP_SIZE,
    REGISTERS,
    Case,
    Died,
    Outcome,
    memory_pattern,
)

_BASE = 0x5A00_0000_0000  # where no case looks
_IMAGE_SIZE = 0x40000
_SIGNAL_STACK_SIZE = 0x20000
_LAYOUT = {
    "MAILBOX": _BASE + _IMAGE_SIZE,
    "MAILBOX_SIZE": PAGE_SIZE,
    "SIGNAL_STACK": _BASE + _IMAGE_SIZE - _SIGNAL_STACK_SIZE,
    "SIGNAL_STACK_SIZE": _SIGNAL_STACK_SIZE,
    "AREA_COUNT": 0x000,
    "AREA_TABLE": 0x008,
    "IN_REGISTERS": 0x200,
    "IN_FS_BASE": 0x300,
    "IN_GS_BASE": 0x308,
    "IN_FP": 0x400,
    "OUT_REGISTERS": 0x600,
    "OUT_SIGNAL": 0x700,
    "OUT_CODE": 0x708,
    "OUT_FP": 0x800,
}
_SIGCONTEXT = (
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx",
    "rax", "rcx", "rsp", "rip", "rflags",
)  # fmt: skip
_IN = Struct("<18Q")
_OUT = Struct("<23Q")  # and the selectors, err, trapno, oldmask, cr2
_PATIENCE = 5.0


def why_not() -> str | None:
    """Return why the host cannot be asked, or None if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the oracle is an x86-64 Linux host, and this is none"
    return None


class NativeCpu:
    """A child process that runs one case after the other, and a new one when it dies."""

    def __init__(self) -> None:
        self._memory_fd = os.memfd_create("cases")
        size = PAGE_SIZE + sum(area.size for area in AREAS)
        os.ftruncate(self._memory_fd, size)
        self._memory = mmap(self._memory_fd, size)
        self._offsets: dict[int, int] = {}
        at = PAGE_SIZE
        words = [len(AREAS)]
        for area in AREAS:
            self._offsets[area.start] = at
            words += [area.start, area.size, area.prot, at]
            at += area.size
        self._put(_LAYOUT["AREA_COUNT"], b"".join(word.to_bytes(8, "little") for word in words))
        self._pattern = memory_pattern()
        self._program_fd = os.memfd_create("oracle", 0)
        os.write(self._program_fd, _program())
        self._start()

    def run(self, case: Case) -> Outcome:
        """Raise Died if the child does not answer; the next case finds a new one."""
        self._put(self._offsets[CODE], case.code_pages())
        for start, content in self._pattern.items():
            self._put(self._offsets[start], content)
        for address, content in case.memory:
            start = max(start for start in self._offsets if start <= address)
            self._put(self._offsets[start] + address - start, content)
        registers = {**dict.fromkeys(REGISTERS, 0), **case.registers}
        registers["rip"] = case.rip
        registers["rflags"] = case.rflags
        self._put(_LAYOUT["IN_REGISTERS"], _IN.pack(*(registers[name] for name in _SIGCONTEXT)))
        self._put(_LAYOUT["IN_FS_BASE"], bytes(16))
        self._put(_LAYOUT["IN_FP"], case.fp)
        self._ask()
        return self._outcome()

    def close(self) -> None:
        self._stop()
        os.close(self._program_fd)
        self._memory.close()
        os.close(self._memory_fd)

    def _outcome(self) -> Outcome:
        words = _OUT.unpack_from(self._memory, _LAYOUT["OUT_REGISTERS"])
        registers = dict(zip(_SIGCONTEXT, words, strict=False))
        error, vector, _, cr2 = words[19:]
        fp = _LAYOUT["OUT_FP"]
        return Outcome(
            vector=vector,
            error=error,
            address=cr2 if vector == Vector.PF else 0,
            rip=registers.pop("rip"),
            rflags=registers.pop("rflags"),
            registers=registers,
            fp=self._memory[fp : fp + FP_SIZE],
            memory={
                area.start: self._memory[
                    self._offsets[area.start] : self._offsets[area.start] + area.size
                ]
                for area in DATA_AREAS
            },
        )

    def _put(self, at: int, content: bytes) -> None:
        self._memory[at : at + len(content)] = content

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [f"/proc/self/fd/{self._program_fd}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._memory_fd,
            pass_fds=[self._program_fd],
            bufsize=0,
            env={},
        )
        self._wait()

    def _ask(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(b"\0")
        self._wait()

    def _wait(self) -> None:
        assert self._child.stdout is not None
        answered, _, _ = select.select([self._child.stdout], [], [], _PATIENCE)
        if answered and self._child.stdout.read(1):
            return
        self._child.kill()
        status = self._stop()
        self._start()
        raise Died("no answer" if not answered else f"ended with {status}")

    def _stop(self) -> int:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        return self._child.wait()


def _program() -> bytes:
    """Return the oracle as an ELF file; behind its code is memory for the signal stack."""
    code = assemble(Path(__file__).with_name("oracle.s"), origin=_BASE, symbols=_LAYOUT).code
    return executable(code, _BASE, _IMAGE_SIZE - round_page(len(code)))


def start_or_skip() -> NativeCpu:
    reason = why_not()
    if reason is None:
        try:
            return NativeCpu()
        except OSError as error:
            reason = f"the host does not run the oracle: {error}"
    pytest.skip(reason)
