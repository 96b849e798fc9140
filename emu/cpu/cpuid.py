"""What the CPU tells the guest of itself and of the time: CPUID, RDTSC and RDTSCP.

Each function is called in place of the instruction, and returns 1 if it has answered, 0 to leave
the answer to the engine.  The guest is never offered what the engine cannot do.
"""

from collections.abc import Callable, Mapping

from emu.abi.x86 import U32_MASK
from emu.cpu.unicorn_library import read_register, write_register

# No XSAVE (and so no AVX), which the engine lists half of in leaf 0xd; no RDRAND, whose results
# no run could repeat; no BMI, of which the engine has BEXTR, BLSI, BZHI and PDEP partly wrong.
# The rest of leaves 1 and 7 is the engine's own.
_LAST_LEAF = 0xB
_FEATURES = 0x7  # only ECX = 0 is there
_HYPERVISOR = 0x4000_0000
_LEAVES: Mapping[int, tuple[int, int, int, int]] = {
    0x0: (_LAST_LEAF, 0x756E_6547, 0x6C65_746E, 0x4965_6E69),
    0x1: (0x0003_06C4, 0x0000_0800, 0x82D8_2203, 0x078B_FBFD),
    _FEATURES: (0, 0x0000_0281, 0, 0),
}


def answer_cpuid(handle: object) -> int:
    leaf = read_register(handle, "EAX")
    answer = _LEAVES.get(leaf)
    if leaf == _FEATURES and read_register(handle, "ECX"):
        answer = (0, 0, 0, 0)
    if _LAST_LEAF < leaf < _HYPERVISOR:
        answer = (0, 0, 0, 0)
    if answer is None:
        return 0
    for register, value in zip(("RAX", "RBX", "RCX", "RDX"), answer, strict=True):
        write_register(handle, register, value)
    return 1


def answer_rdtsc(handle: object, tsc: Callable[[], int] | None) -> int:
    if tsc is None:
        return 0
    now = tsc()
    write_register(handle, "RAX", now & U32_MASK)
    write_register(handle, "RDX", now >> 32 & U32_MASK)
    return 1


def answer_rdtscp(handle: object, tsc: Callable[[], int] | None) -> int:
    if tsc is not None:
        write_register(handle, "RCX", 0)
    return answer_rdtsc(handle, tsc)
