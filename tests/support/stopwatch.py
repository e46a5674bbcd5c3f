"""How long something took on this event loop, on a machine shared with other processes."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

TICK_S: Final = 0.01


class Stopwatch:
    """Seconds since it was entered, without the time in which the machine did not run this process.

    The process's own work counts, including code that blocks the event loop.
    """

    def __init__(self) -> None:
        self._began = self._stolen = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def seconds(self) -> float:
        """What it shows."""
        now = time.monotonic()
        await asyncio.sleep(2 * TICK_S)  # notices a stall that had not ended when the caller continued
        return now - self._began - self._stolen

    async def _watch(self) -> None:
        while True:
            before, busy = time.monotonic(), time.process_time()
            await asyncio.sleep(TICK_S)
            late = time.monotonic() - before - TICK_S
            self._stolen += max(0.0, late - (time.process_time() - busy))
