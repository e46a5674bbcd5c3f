"""What waits to be sealed, as the operator sees it: listed, counted, tried again at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from prometheus_client import Gauge

from zegel_server import clock
from zegel_server.db import Database
from zegel_server.edge import validation
from zegel_server.errors import NotFound
from zegel_server.jobs.service import BLOCKED, JobFilter, Jobs
from zegel_server.signing import store


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits to be sealed. Times are microseconds since the epoch.

    Attributes:
        signature_request_id: The request.
        tenant_id: Whose it is.
        attempts: How often it was tried.
        last_reason: Why the last try failed; empty where none has.
        blocked: Whether that does not pass by waiting.
        blocked_time: When it was first so; ``None`` for never.
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
        database: Where the jobs are.
        gauge: Tells how many requests cannot be sealed as they are; ``None`` where nothing is told.
    """

    def __init__(self, database: Database, gauge: Gauge | None = None) -> None:
        self._jobs = Jobs(database)
        self._gauge = gauge

    async def waiting(self) -> Sequence[Waiting]:
        """What waits to be sealed, those that cannot be first.

        Raises:
            Unavailable: The database does not answer.
        """
        return [
            Waiting(
                job.resource_id,
                job.tenant_id,
                job.attempts,
                job.last_reason,
                job.blocked,
                job.blocked_time,
                job.due_time,
            )
            for job in await self._jobs.list(JobFilter(kind=store.SEAL))
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
        try:
            await self._jobs.retry(JobFilter(kind=store.SEAL, resource_id=signature_request_id))
        except NotFound:
            raise NotFound("signature_request") from None

    async def count(self) -> None:
        """Counts the requests that cannot be sealed as they are, and sets the metric.

        Raises:
            Unavailable: The database does not answer.
        """
        if self._gauge is not None:
            self._gauge.set(await self._jobs.count(JobFilter(kind=store.SEAL, state=BLOCKED)))
