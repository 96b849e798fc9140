"""How long an engine is inside uc_emu_start."""

from time import thread_time
from typing import Any

from emu.cpu.engine import CpuEngine


class EngineTime:
    """A stopwatch around the one call that runs guest code."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def attach(self, engine: CpuEngine) -> None:
        emu_start: Any = engine._emu_start  # type: ignore[attr-defined]

        def timed(*arguments: object) -> int:
            start = thread_time()
            error: int = emu_start(*arguments)
            self.seconds += thread_time() - start
            return error

        engine._emu_start = timed  # type: ignore[attr-defined]
