"""Periodic chores, repeated for as long as the server runs.

Invariants:

* A chore that fails is logged and runs again at its next turn; it does not affect others.
* Each chore must be safe to run in several workers at once, and to be killed in the middle.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

JITTER: Final = 0.2
"""Fraction of an interval by which turns are spread, so that workers do not all run at once."""


@dataclass(frozen=True, slots=True)
class Chore:
    """A piece of work.

    Attributes:
        name: For log lines.
        every_s: Seconds between two turns.
        work: What to do; if it returns how many things it did, that is logged.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


class Janitor:
    """Runs the chores.

    Args:
        chores: The chores.
    """

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("zegel.janitor")

    def start(self) -> None:
        """Starts; each chore has its first turn at once."""
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
        """Stops all chores."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
