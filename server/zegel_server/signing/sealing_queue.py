"""What waits to be sealed, as the operator sees it: listed, counted, tried again at once."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import Gauge

from zegel_server.db import Database
from zegel_server.edge import validation
from zegel_server.errors import NotFound
from zegel_server.jobs.service import BLOCKED, JobFilter, Jobs, ListedJob
from zegel_server.signing import store

_SHOWN: Final = {
    "signature_request_id": "resource_id",
    "tenant_id": "tenant_id",
    "attempts": "attempts",
    "last_reason": "last_reason",
    "blocked": "blocked",
    "blocked_time": "blocked_time",
    "next_attempt_time": "due_time",
}
"""What is shown of a job that seals, with the names that its request has for it."""


def sealing_facts(job: ListedJob) -> dict[str, object]:
    """What people and programs are shown of a request that waits to be sealed: times as RFC 3339 has them.

    Args:
        job: The job that seals it.
    """
    facts = job.facts()
    return {name: facts[of_job] for name, of_job in _SHOWN.items()}


class SealingQueue:
    """The use cases of an operator around sealing.

    Args:
        database: Where the jobs are.
        gauge: Tells how many requests cannot be sealed as they are; ``None`` where nothing is told.
    """

    def __init__(self, database: Database, gauge: Gauge | None = None) -> None:
        self._jobs = Jobs(database)
        self._gauge = gauge

    async def waiting(self) -> Sequence[ListedJob]:
        """The jobs that seal, those first that cannot as they are; the resource of each is its request.

        Raises:
            Unavailable: The database does not answer.
        """
        return await self._jobs.list(JobFilter(kind=store.SEAL))

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
