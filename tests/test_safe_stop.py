"""The native callbacks: their bytes are what their text assembles to."""

import keystone
import pytest

from emu.cpu import abort_guard
from emu.cpu.safe_stop import AARCH64, SYSTEM_V, WIN64

X86 = keystone.KS_ARCH_X86, keystone.KS_MODE_64
ARM = keystone.KS_ARCH_ARM64, keystone.KS_MODE_LITTLE_ENDIAN


@pytest.mark.parametrize(
    "convention, target",
    [(SYSTEM_V, X86), (WIN64, X86), (AARCH64, ARM)],
    ids=["System V", "Windows", "AArch64"],
)
@pytest.mark.parametrize("routine", ["block", "syscall", "interrupt"])
def test_the_bytes_are_the_text(convention, target, routine):
    code, _ = keystone.Ks(*target).asm(getattr(convention, f"{routine}_text"))
    assert bytes(code) == getattr(convention, routine)


@pytest.mark.parametrize("routine", ["START", "HANDLER"])
def test_the_bytes_that_stand_guard_are_their_text(routine):
    code, _ = keystone.Ks(*X86).asm(getattr(abort_guard, f"{routine}_TEXT"))
    assert bytes(code) == getattr(abort_guard, routine)
