"""Limits on how long calls may take: all calls are checked periodically, instead of with a timer for each.

A client's own deadline is enforced here too, unless the transport itself cancels the call when it passes.
"""

import asyncio
from typing import Final, Protocol

SWEEP_S: Final = 0.25
"""How often the running calls are checked, in seconds; a limit is enforced to within this."""


class Limited(Protocol):
    """A running call."""

    due: float
    """When it must end at the latest, by the event loop's clock."""

    def stop(self) -> None:
        """Ends it."""
        ...


class Deadlines:
    """The running calls, each with the time by which it must end."""

    def __init__(self) -> None:
        self._running: dict[int, Limited] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._running)

    def add(self, call: Limited) -> None:
        """Starts watching a call.

        Args:
            call: The call.
        """
        self._running[id(call)] = call
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def discard(self, call: Limited) -> None:
        """Stops watching a call.

        Args:
            call: The call.
        """
        self._running.pop(id(call), None)

    def _sweep(self) -> None:
        self._sweeper = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call in [each for each in self._running.values() if each.due <= now]:
            self._running.pop(id(call), None)
            call.stop()
        if self._running:
            self._sweeper = loop.call_later(SWEEP_S, self._sweep)
