"""Plain keys in memory: so many at most, and for so long.

A key that was in memory for its time is still returned by ``stale``, for whoever finds by its row that it may stay.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

CACHED_KEYS: Final = 4_096
"""Unwrapped keys kept in memory a kind: some hundred bytes each, and a provider's answer saved."""

MAX_AGE_S: Final = 300.0
"""Seconds after which a key in memory is looked up again."""

T = TypeVar("T")


class KeyCache(Generic[T]):
    """A bounded cache of what cannot change under its name.

    Args:
        most: How many it holds.
        max_age_s: Seconds after which one must be looked up again.
    """

    def __init__(self, most: int, max_age_s: float = float("inf")) -> None:
        self._most = most
        self._max_age_s = max_age_s
        self._held: OrderedDict[str, tuple[T, float]] = OrderedDict()

    def fresh(self, name: str) -> T | None:
        """Return what is held under a name, unless it is too old."""
        held = self._held.get(name)
        return held[0] if held is not None and time.monotonic() < held[1] else None

    def stale(self, name: str) -> T | None:
        """Return what is held under a name, however old it is."""
        held = self._held.get(name)
        return None if held is None else held[0]

    def until(self, name: str) -> float:
        """Return until when an entry is fresh, in seconds of the monotonic clock; 0 where there is none."""
        held = self._held.get(name)
        return 0.0 if held is None else held[1]

    def put(self, name: str, value: T, *, like: "KeyCache[Any] | None" = None, whose: str = "") -> None:
        """Hold a value, from now on.

        Args:
            name: Its name.
            value: What to hold.
            like: Another cache, whose entry ``whose`` this one is no fresher than.
            whose: Name of that entry.
        """
        until = time.monotonic() + self._max_age_s
        if like is not None:
            until = min(until, like.until(whose))
        self._held[name] = value, until
        self._held.move_to_end(name)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def drop(self, name: str) -> None:
        """Forget a name."""
        self._held.pop(name, None)


class Together(Generic[T]):
    """Asks once for all who come while the answer is under way."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, name: Hashable, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer to a question, whoever asked it first.

        Args:
            name: Tells it from others.
            question: Asks it.

        Raises:
            Exception: What the question raises; each of those who wait gets it, and whoever comes later asks anew.
        """
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(question())
            asked.add_done_callback(lambda done: self._over(name, done))
        # Shielded: who asked first may give up, and the others still want to know.
        return await asyncio.shield(asked)

    def _over(self, name: Hashable, done: asyncio.Task[T]) -> None:
        del self._asked[name]
        if not done.cancelled():
            done.exception()  # looked at, also where nobody waits any more
