"""Unwrapped keys in memory: a bounded number, each for a bounded time.

A key whose time is over is still returned by ``stale``, for callers that learn from its row that it is still valid.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

CACHED_KEYS: Final = 4_096
"""Unwrapped keys kept in memory, per kind: a few hundred bytes each, and each saves a call to the provider."""

MAX_AGE_S: Final = 300.0
"""Seconds after which a key in memory is looked up again."""

T = TypeVar("T")


class KeyCache(Generic[T]):
    """A bounded cache of values that never change under their name.

    Args:
        most: How many it holds.
        max_age_s: Seconds after which one must be looked up again.
    """

    def __init__(self, most: int, max_age_s: float = float("inf")) -> None:
        self._most = most
        self._max_age_s = max_age_s
        self._held: OrderedDict[str, tuple[T, float]] = OrderedDict()

    def fresh(self, name: str) -> T | None:
        """Return the value under a name, unless it is too old."""
        held = self._held.get(name)
        return held[0] if held is not None and time.monotonic() < held[1] else None

    def stale(self, name: str) -> T | None:
        """Return the value under a name, however old it is."""
        held = self._held.get(name)
        return None if held is None else held[0]

    def until(self, name: str) -> float:
        """Return when an entry stops being fresh, in seconds of the monotonic clock; 0 if there is none."""
        held = self._held.get(name)
        return 0.0 if held is None else held[1]

    def put(self, name: str, value: T, *, like: "KeyCache[Any] | None" = None, whose: str = "") -> None:
        """Store a value; its age counts from now.

        Args:
            name: Its name.
            value: The value.
            like: Another cache: the value expires no later than that cache's entry ``whose``.
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


class SingleFlight(Generic[T]):
    """Makes one call for all who ask for the same thing at the same time."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, name: Hashable, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer to a question; if it is already being asked, wait for that answer.

        Args:
            name: Identifies the question.
            question: Asks it.

        Raises:
            Exception: What the question raises: everyone waiting gets it, and the next caller asks again.
        """
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(question())
            asked.add_done_callback(lambda done: self._over(name, done))
        # Shielded: if the first caller is cancelled, the others still want the answer.
        return await asyncio.shield(asked)

    def _over(self, name: Hashable, done: asyncio.Task[T]) -> None:
        del self._asked[name]
        if not done.cancelled():
            done.exception()  # retrieved, so that asyncio does not warn when nobody is waiting any more
