"""The x87 and SSE registers as FXSAVE lays them out, whatever form the engine has them in.

What `save` returns, `restore` puts back exactly.
"""

from ctypes import addressof, c_char, c_uint16

from emu.abi.x86 import FPU_CONTROL_WORD, MXCSR_DEFAULT
from emu.cpu.unicorn_library import batch, reg_read_batch, reg_write_batch

FXSAVE_SIZE = 512
_MXCSR_MASK = (0xFFFF).to_bytes(4, "little")
FP_INITIAL = (
    FPU_CONTROL_WORD.to_bytes(24, "little") + MXCSR_DEFAULT.to_bytes(4, "little") + bytes(484)
)


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
        self._registers = batch(handle, places)

    def save(self) -> bytes:
        reg_read_batch(*self._registers)
        tags = self._tags.value
        # FXSAVE keeps one bit a register, set unless its two-bit tag says empty.
        self._image[4] = sum((tags >> 2 * i & 3 != 3) << i for i in range(8))
        self._image[28:32] = _MXCSR_MASK
        return bytes(self._image)

    def restore(self, state: bytes) -> None:
        assert len(state) == FXSAVE_SIZE
        self._image[:] = state
        self._tags.value = sum(3 << 2 * i for i in range(8) if not state[4] >> i & 1)
        reg_write_batch(*self._registers)
