"""Work that comes due by itself: each piece again and again, for as long as the server runs.

Invariants:

* A piece that fails is told of and tried again at its next turn; it takes no other with it.
* Each piece is safe to run on several workers at once, and to be killed in the middle.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

JITTER: Final = 0.2
"""Share of an interval by which turns are spread, so that workers do not all come at once."""


@dataclass(frozen=True, slots=True)
class Chore:
    """A piece of work.

    Attributes:
        name: For log lines.
        every_s: Seconds between two turns.
        work: What to do; how often it did something is told, where it says so.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


class Janitor:
    """Does the chores.

    Args:
        chores: What there is to do.
    """

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("zegel.janitor")

    def start(self) -> None:
        """Begins, with a first turn of each at once."""
        self._tasks = [asyncio.create_task(self._again(chore), name=chore.name) for chore in self._chores]

    async def _again(self, chore: Chore) -> None:
        while True:
            try:
                done = await chore.work()
            except Exception as error:  # noqa: BLE001 - whatever it was, its next turn comes
                self._log.warning("chore failed", chore=chore.name, error=type(error).__name__)
            else:
                if done:
                    self._log.info("chore", chore=chore.name, done=done)
            await asyncio.sleep(chore.every_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret

    async def close(self) -> None:
        """Ends every chore."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
