"""How long an engine runs guest code."""

from time import thread_time
from typing import Any

from emu.cpu.engine import CpuEngine


class EngineTime:
    """A stopwatch around the one call that runs guest code."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def attach(self, engine: CpuEngine) -> None:
        go: Any = engine._go  # type: ignore[attr-defined]

        def timed(calls: object) -> int:
            start = thread_time()
            error: int = go(calls)
            self.seconds += thread_time() - start
            return error

        engine._go = timed  # type: ignore[attr-defined]
