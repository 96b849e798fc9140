"""Calls about the machine as a whole."""

from collections.abc import Callable

import pytest
from conftest import Booted, call

from emu.abi.errno import Errno
from emu.kern.proc import Lwp, Ucred

Boot = Callable[..., Booted]

REBOOT = """
    SYSCALL SYS_reboot, {howto}
    SYSCALL SYS_exit, 7
"""
CHILD_REBOOTS = """
    SYSCALL SYS_fork
    test rdx, rdx
    jnz child
forever:
    SYSCALL SYS_sigsuspend, OFFSET nothing
    jmp forever
child:
    SYSCALL SYS_reboot, RB_HALT
    SYSCALL SYS_exit, 7
nothing:
    .zero 16
"""


@pytest.mark.parametrize(
    ("howto", "what"),
    [
        ("0", "rebooted"),
        ("RB_NOSYNC", "rebooted"),
        ("RB_HALT", "halted"),
        ("RB_POWEROFF | RB_NOSYNC", "halted"),
    ],
)
def test_reboot_ends_the_run_with_status_0(boot: Boot, howto: str, what: str) -> None:
    machine = boot(REBOOT.format(howto=howto))
    assert machine.run() == 0
    assert machine.told == [f"process 100 {what} the machine"]


def test_any_process_of_roots_may_reboot(boot: Boot) -> None:
    machine = boot(CHILD_REBOOTS)
    assert machine.run() == 0
    assert machine.told == ["process 101 halted the machine"]
    assert machine.lwp.proc.kernel.find(101) is None


def test_nobody_else_may_reboot(lwp: Lwp) -> None:
    lwp.proc.ucred = Ucred(uid=5)
    assert call(lwp, "reboot", 0) is Errno.EPERM
    assert lwp.proc.alive


def test_what_is_traced_is_not_looked_at(lwp: Lwp) -> None:
    assert call(lwp, "utrace", 0, 1 << 63) == 0
