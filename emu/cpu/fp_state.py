"""The x87 and SSE registers as FXSAVE lays them out, whatever form the engine has them in.

What `save` returns, `restore` puts back exactly.
"""

from ctypes import addressof, c_char, c_uint16

from emu.abi.x86 import FPU_CONTROL_WORD, MXCSR_DEFAULT
from emu.cpu.unicorn_library import Batch

FXSAVE_SIZE = 512
_MXCSR_MASK = (0xFFFF).to_bytes(4, "little")
FP_INITIAL = (
    FPU_CONTROL_WORD.to_bytes(24, "little") + MXCSR_DEFAULT.to_bytes(4, "little") + bytes(484)
)


TAGS = [sum(3 << 2 * i for i in range(8) if not byte >> i & 1) for byte in range(256)]
"""The engine's tag word for each tag byte of an image: 3, two bits a register, where it is empty.

FXSAVE keeps one bit a register, set unless it is empty.
"""


def abridged(tags: int) -> int:
    """Return the tag byte of an image for the engine's tag word."""
    used = ~(tags & tags >> 1) & 0x5555  # every other bit; the next lines bring them together
    used = (used | used >> 1) & 0x3333
    used = (used | used >> 2) & 0x0F0F
    return (used | used >> 4) & 0xFF


class FpState:
    """The FP registers of one engine, in the image of Intel SDM 1, table 10-2."""

    def __init__(self, handle: object) -> None:
        self._image = bytearray(FXSAVE_SIZE)
        self._tags = c_uint16()
        at = addressof(c_char.from_buffer(self._image))
        places = [
            ("fpcw", at),
            ("fpsw", at + 2),
            ("fptag", addressof(self._tags)),
            ("fip", at + 8),
            ("fdp", at + 16),
            ("mxcsr", at + 24),
            *(
                (f"st{i}", at + 32 + 16 * i) for i in range(8)
            ),  # after FPSW, which says which is ST0
            *((f"xmm{i}", at + 160 + 16 * i) for i in range(16)),
        ]
        self._registers = Batch(handle, places)

    def save(self) -> bytes:
        self._registers.read()
        self._image[4] = abridged(self._tags.value)
        self._image[28:32] = _MXCSR_MASK
        return bytes(self._image)

    def restore(self, state: bytes) -> None:
        assert len(state) == FXSAVE_SIZE
        self._image[:] = state
        self._tags.value = TAGS[state[4]]
        self._registers.write()
