"""What waits to be sealed, as the operator sees it: listed, counted, tried again at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from prometheus_client import Gauge

from zegel_server import clock
from zegel_server.db import Database
from zegel_server.edge import validation
from zegel_server.errors import NotFound
from zegel_server.signing import store

LISTED: Final = 1_000
"""Requests that one list has at most: more are for a query of the operator's own."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits to be sealed. Times are microseconds since the epoch.

    Attributes:
        signature_request_id: The request.
        tenant_id: Whose it is.
        attempts: How often it was tried.
        last_reason: Why the last try failed; empty where none has.
        blocked: Whether that does not pass by waiting.
        blocked_time: When it first was so; ``None`` for never.
        next_attempt_time: When it is tried next.
    """

    signature_request_id: str
    tenant_id: str
    attempts: int
    last_reason: str
    blocked: bool
    blocked_time: int | None
    next_attempt_time: int

    def told(self) -> dict[str, object]:
        """The same for people and programs: times as RFC 3339 has them."""
        return {
            **asdict(self),
            "blocked_time": None if self.blocked_time is None else clock.to_rfc3339(self.blocked_time),
            "next_attempt_time": clock.to_rfc3339(self.next_attempt_time),
        }


class SealingQueue:
    """The use cases of an operator around sealing.

    Args:
        database: Where the orders to seal are.
        gauge: Tells how many requests cannot be sealed as they are; ``None`` where nothing is told.
    """

    def __init__(self, database: Database, gauge: Gauge | None = None) -> None:
        self._database = database
        self._gauge = gauge

    async def waiting(self) -> Sequence[Waiting]:
        """What waits to be sealed, those that cannot be first.

        Raises:
            Unavailable: The database does not answer.
        """
        return [
            Waiting(
                row.resource_id,
                row.tenant_id,
                row.attempts,
                row.last_reason,
                bool(row.blocked),
                row.blocked_time,
                row.due_time,
            )
            for row in await self._database.fetch(store.WAITING, limit=LISTED)
        ]

    async def retry(self, signature_request_id: str) -> None:
        """Has a request tried at once, by whichever process looks first.

        Args:
            signature_request_id: The request.

        Raises:
            NotFound: It does not wait to be sealed.
            Unavailable: The database does not answer.
        """
        validation.identifier(signature_request_id, "req", "signature_request_id", "signature_request")
        async with self._database.transaction() as transaction:
            if not await transaction.execute(store.RETRY, which=signature_request_id, now=clock.now()):
                raise NotFound("signature_request")

    async def count(self) -> None:
        """Counts the requests that cannot be sealed as they are, and tells the metric.

        Raises:
            Unavailable: The database does not answer.
        """
        row = await self._database.fetch_one(store.BLOCKED)
        if self._gauge is not None and row is not None:
            self._gauge.set(row.blocked)
