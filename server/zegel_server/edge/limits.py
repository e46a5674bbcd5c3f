"""Budgets of calls, of calls at a time and of bytes, for each session and each tenant.

Invariants:

* Memory is bounded: at most ``KEPT`` keys of a sort are told apart. Those that come when all are in use share a budget,
  so that whoever fills the memory limits itself and other newcomers, never nobody.
* A session's calls count against nobody but the session and its tenant: an address is shared by people who have nothing
  to do with one another, so none of them can use up what another needs.
* A stream that is over its bytes waits; a call that would begin over them is refused. Whatever raises, refuses.
* Each server process counts for itself.
"""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from zegel_server.errors import ResourceExhausted

KEPT: Final = 100_000
"""Keys of a sort that are told apart: some 20 MB where all are in use."""
SHARED: Final = 64
"""Budgets that those share who come when all are in use."""
BURST_S: Final = 10.0
"""A budget that was not used saves up this many seconds' worth, to be spent at once."""
BUSY_S: Final = 1.0
"""When to try again where too many calls are under way: nobody knows when one ends."""
LONGEST_WAIT_S: Final = 5.0
"""The longest that a stream waits for one message's bytes: a keep-alive must not take it for dead."""
IPV6_SITE: Final = 64
"""Bits of an IPv6 address that count: who has one address has all that share these."""


class Rate:
    """How much of something comes in a while, by key: GCRA (ITU-T I.371, annex A), one number a key.

    Args:
        per_s: How much a second; 0 for no limit.
        burst_s: How many seconds' worth may come at once.
        kept: Keys that are told apart.
    """

    __slots__ = ("_burst_s", "_due", "_kept", "_per_s")

    def __init__(self, per_s: float, burst_s: float = BURST_S, kept: int = KEPT) -> None:
        self._per_s = per_s
        self._burst_s = burst_s
        self._kept = kept
        self._due: dict[str, float] = {}  # when all that came so far would have come at an even pace; oldest use first

    def __len__(self) -> int:
        return len(self._due)

    def late(self, key: str, now: float) -> float:
        """How long until a key is within its budget again, in seconds; 0 where it is.

        Args:
            key: The key.
            now: The time, by a monotonic clock.
        """
        due = self._due.get(key)
        if due is None:
            # Nobody's own budget is ever used up while it is not kept: it may be a shared one that is.
            due = self._due.get(self._shared(key), 0.0) if len(self._due) >= self._kept else 0.0
        return max(0.0, due - now - self._burst_s)

    def take(self, key: str, amount: float, now: float) -> float:
        """Takes some, if the budget has it.

        Args:
            key: The key.
            amount: How much.
            now: The time.

        Returns:
            0 where it was taken; otherwise how long until it can be, in seconds.
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
        """Takes some whether the budget has it or not.

        Args:
            key: The key.
            amount: How much.
            now: The time.

        Returns:
            How long until the budget is even, in seconds.
        """
        if not self._per_s:
            return 0.0
        key = self._own(key, now)
        due = max(self._due.pop(key, 0.0), now) + amount / self._per_s
        self._due[key] = due
        return max(0.0, due - now - self._burst_s)

    def _own(self, key: str, now: float) -> str:
        """The key that is counted under."""
        if key in self._due or len(self._due) < self._kept:
            return key
        oldest = next(iter(self._due))
        if self._due[oldest] <= now:  # as good as new, so nothing is forgotten
            del self._due[oldest]
            return key
        return self._shared(key)

    @staticmethod
    def _shared(key: str) -> str:
        return f"\0{hash(key) % SHARED}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one session or tenant may have; 0 for no limit.

    Attributes:
        calls_per_s: Calls that begin in a second.
        calls_at_a_time: Calls under way.
        bytes_per_s: Bytes of messages, both ways together.
    """

    calls_per_s: float = 0
    calls_at_a_time: int = 0
    bytes_per_s: float = 0


UNLIMITED: Final = Budget()
"""No limit of anything."""


class _Sort:
    """The budgets of one sort of keys."""

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
    """A call that was let in, with what it counts under.

    Attributes:
        held: The budgets it holds a place in, with its key in each.
    """

    held: list[tuple[_Sort, str]] = field(default_factory=list)


class Limits:
    """The budgets of one server process.

    Args:
        session: Of each session or API key.
        tenant: Of each tenant.
    """

    def __init__(self, session: Budget = UNLIMITED, tenant: Budget = UNLIMITED) -> None:
        self._sessions = _Sort("session", session)
        self._tenants = _Sort("tenant", tenant)

    def enter(self, session_id: str, tenant_id: str) -> Admission:
        """Lets a call in by who calls.

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
        """Notes a message that came or goes.

        Args:
            admission: From ``enter``; what was never let in has nothing to spend.
            count: Its bytes.

        Returns:
            How long its stream must wait before the next one, in seconds.
        """
        if admission is None or not admission.held:
            return 0.0
        now = time.monotonic()
        wait = max((sort.bytes.spend(key, count, now) for sort, key in admission.held), default=0.0)
        return min(wait, LONGEST_WAIT_S)

    async def pace(self, admission: Admission | None, count: int) -> None:
        """Notes a stream's message, and waits until the next one may follow.

        Args:
            admission: From ``enter``.
            count: The message's bytes.
        """
        wait = self.spend(admission, count)
        if wait:
            await asyncio.sleep(wait)

    async def metered(self, admission: Admission | None, messages: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """A caller's messages, no faster than its budgets allow.

        Args:
            admission: From ``enter``.
            messages: As they come.
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
        limit: Which budget.
        retry_after_s: When to try again.
    """
    return ResourceExhausted("A budget is used up; try again later.", retry_after_s=retry_after_s, limit=limit)


@lru_cache(maxsize=4_096)
def site_of(address: str) -> str:
    """What an address counts under: an IPv4 address as itself, an IPv6 address as its site.

    Args:
        address: The address; what is none counts as itself.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_SITE), strict=False))
    return str(parsed)
