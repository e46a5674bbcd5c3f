"""Budgets of calls per second, calls at a time and bytes per second, for each session and each tenant.

Invariants:

* Memory is bounded: at most ``KEPT`` keys of a sort have budgets of their own. Keys that come when all of these are in
  use share budgets, so that filling the memory does not lift the limits.
* A session's calls count only against the session and its tenant. There is no budget for an address, since unrelated
  people may share one, and none of them should be able to use up what another needs.
* A stream that is over its budget of bytes waits; a call that would begin over it is refused. An unexpected exception
  refuses the call as well.
* Each server process counts for itself.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from zegel_server.errors import ResourceExhausted

KEPT: Final = 100_000
"""Keys of a sort that have budgets of their own: some 20 MB if all are in use."""
SHARED: Final = 64
"""Number of budgets shared by keys that come when all others are in use."""
BURST_S: Final = 10.0
"""An unused budget accumulates up to this many seconds' worth, which may be spent at once."""
BUSY_S: Final = 1.0
"""After how many seconds to try again if too many calls are running: it is not known when one ends."""
LONGEST_WAIT_S: Final = 5.0
"""The longest that a stream waits because of one message's bytes, in seconds: a keep-alive must not take it for
dead."""


class Rate:
    """A rate limit by key: GCRA (ITU-T I.371, annex A), with one number for each key.

    Args:
        per_s: How much is allowed per second; 0 for no limit.
        burst_s: How many seconds' worth may come at once.
        kept: How many keys have budgets of their own.
    """

    __slots__ = ("_burst_s", "_due", "_kept", "_per_s")

    def __init__(self, per_s: float, burst_s: float = BURST_S, kept: int = KEPT) -> None:
        self._per_s = per_s
        self._burst_s = burst_s
        self._kept = kept
        self._due: dict[str, float] = {}  # GCRA's theoretical arrival times; least recently used first

    def __len__(self) -> int:
        return len(self._due)

    def late(self, key: str, now: float) -> float:
        """How long until a key is within its budget again, in seconds; 0 if it is.

        Args:
            key: The key.
            now: The time, by a monotonic clock.
        """
        due = self._due.get(key)
        if due is None:
            # A key without a budget of its own counts against a shared one only if there is no room for its own.
            due = self._due.get(self._shared(key), 0.0) if len(self._due) >= self._kept else 0.0
        return max(0.0, due - now - self._burst_s)

    def take(self, key: str, amount: float, now: float) -> float:
        """Takes an amount, if the budget allows it.

        Args:
            key: The key.
            amount: How much.
            now: The time.

        Returns:
            0 if it was taken; otherwise how long until it can be, in seconds.
        """
        if not self._per_s:
            return 0.0
        key = self._own(key, now)
        due = max(self._due.get(key, 0.0), now) + amount / self._per_s
        late = due - now - self._burst_s
        if late > 0.0:
            return late
        self._due.pop(key, None)
        self._due[key] = due
        return 0.0

    def spend(self, key: str, amount: float, now: float) -> float:
        """Takes an amount, whether or not the budget allows it.

        Args:
            key: The key.
            amount: How much.
            now: The time.

        Returns:
            How long until the key is within its budget again, in seconds; 0 if it is.
        """
        if not self._per_s:
            return 0.0
        key = self._own(key, now)
        due = max(self._due.pop(key, 0.0), now) + amount / self._per_s
        self._due[key] = due
        return max(0.0, due - now - self._burst_s)

    def _own(self, key: str, now: float) -> str:
        """The key whose budget is used: its own or a shared one."""
        if key in self._due or len(self._due) < self._kept:
            return key
        oldest = next(iter(self._due))
        if self._due[oldest] <= now:  # a full budget again, so nothing is lost by dropping it
            del self._due[oldest]
            return key
        return self._shared(key)

    @staticmethod
    def _shared(key: str) -> str:
        return f"\0{hash(key) % SHARED}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one session or tenant may use; 0 for no limit.

    Attributes:
        calls_per_s: Calls that begin in a second.
        calls_at_a_time: Calls running at a time.
        bytes_per_s: Bytes of messages per second, both directions together.
    """

    calls_per_s: float = 0
    calls_at_a_time: int = 0
    bytes_per_s: float = 0


UNLIMITED: Final = Budget()
"""No limits."""


class _Sort:
    """The budgets for one sort of key."""

    __slots__ = ("bytes", "calls", "limits", "most", "name", "under_way")

    def __init__(self, name: str, budget: Budget) -> None:
        self.name = name
        self.limits = budget != UNLIMITED
        self.calls = Rate(budget.calls_per_s)
        self.bytes = Rate(budget.bytes_per_s)
        self.most = budget.calls_at_a_time
        self.under_way: dict[str, int] = {}

    def enter(self, key: str, now: float) -> None:
        running = self.under_way.get(key, 0)
        if self.most and running >= self.most:
            raise exhausted(f"{self.name}_calls_at_a_time", BUSY_S)
        late = self.bytes.late(key, now)
        if late:
            raise exhausted(f"{self.name}_bytes", late)
        late = self.calls.take(key, 1.0, now)
        if late:
            raise exhausted(f"{self.name}_calls", late)
        self.under_way[key] = running + 1

    def leave(self, key: str) -> None:
        left = self.under_way[key] - 1
        if left:
            self.under_way[key] = left
        else:
            del self.under_way[key]


@dataclass(slots=True)
class Admission:
    """A call that was let in, with the budgets that it counts against.

    Attributes:
        held: The budgets of calls at a time that it occupies, with its key in each.
    """

    held: list[tuple[_Sort, str]] = field(default_factory=list)


class Limits:
    """The budgets of one server process.

    Args:
        session: Budget of each session or API key.
        tenant: Budget of each tenant.
    """

    def __init__(self, session: Budget = UNLIMITED, tenant: Budget = UNLIMITED) -> None:
        self._sessions = _Sort("session", session)
        self._tenants = _Sort("tenant", tenant)

    def enter(self, session_id: str, tenant_id: str) -> Admission:
        """Lets a call in, or refuses it, by its session and tenant.

        Args:
            session_id: The session or API key.
            tenant_id: The tenant.

        Raises:
            ResourceExhausted: A budget of theirs is used up.
        """
        now = time.monotonic()
        admission = Admission()
        try:
            self._enter(admission, self._sessions, session_id, now)
            self._enter(admission, self._tenants, tenant_id, now)
        except BaseException:
            self.leave(admission)
            raise
        return admission

    @staticmethod
    def _enter(admission: Admission, sort: _Sort, key: str, now: float) -> None:
        if sort.limits:
            sort.enter(key, now)
            admission.held.append((sort, key))

    @staticmethod
    def spend(admission: Admission | None, count: int) -> float:
        """Counts a message that was received or is sent.

        Args:
            admission: From ``enter``; ``None`` for a call that was never let in, which is not counted.
            count: Its size in bytes.

        Returns:
            How long its stream must wait before the next one, in seconds.
        """
        if admission is None or not admission.held:
            return 0.0
        now = time.monotonic()
        wait = max((sort.bytes.spend(key, count, now) for sort, key in admission.held), default=0.0)
        return min(wait, LONGEST_WAIT_S)

    async def pace(self, admission: Admission | None, count: int) -> None:
        """Counts a stream's message, and waits until the next one may follow.

        Args:
            admission: From ``enter``.
            count: The message's size in bytes.
        """
        wait = self.spend(admission, count)
        if wait:
            await asyncio.sleep(wait)

    async def metered(self, admission: Admission | None, messages: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Passes on a caller's messages, no faster than its budgets allow.

        Args:
            admission: From ``enter``.
            messages: The messages as they arrive.
        """
        async for message in messages:
            yield message
            await self.pace(admission, len(message))

    @staticmethod
    def leave(admission: Admission) -> None:
        """Notes that the call has ended; may be called again.

        Args:
            admission: From ``enter``.
        """
        held, admission.held = admission.held, []
        for sort, key in held:
            sort.leave(key)


def exhausted(limit: str, retry_after_s: float) -> ResourceExhausted:
    """The refusal of a call whose budget is used up.

    Args:
        limit: Name of the budget.
        retry_after_s: After how many seconds to try again.
    """
    return ResourceExhausted("A budget is used up; try again later.", retry_after_s=retry_after_s, limit=limit)
