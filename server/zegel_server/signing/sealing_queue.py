"""Requests that wait to be sealed, for operators: listed, counted, and retried at once."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import Gauge

from zegel_server.db import Database
from zegel_server.edge import validation
from zegel_server.errors import NotFound
from zegel_server.jobs.model import BLOCKED, JobFilter
from zegel_server.jobs.service import Jobs, ListedJob
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
"""The parts of a sealing job that are shown, under the names that a request uses for them."""


def sealing_facts(job: ListedJob) -> dict[str, object]:
    """What an operator is shown of a request that waits to be sealed, with times in RFC 3339.

    Args:
        job: The job that seals it.
    """
    facts = job.facts()
    return {name: facts[of_job] for name, of_job in _SHOWN.items()}


class SealingQueue:
    """The use cases of an operator around sealing.

    Args:
        database: Where the jobs are.
        gauge: Metric of how many requests cannot be sealed as they are; ``None`` to set none.
    """

    def __init__(self, database: Database, gauge: Gauge | None = None) -> None:
        self._jobs = Jobs(database)
        self._gauge = gauge

    async def facts(self) -> list[dict[str, object]]:
        """What an operator is shown of the requests that wait to be sealed, in the order of `waiting`.

        Raises:
            Unavailable: The database does not answer.
        """
        return [sealing_facts(job) for job in await self.waiting()]

    async def waiting(self) -> Sequence[ListedJob]:
        """The sealing jobs, blocked ones first; the resource of each is its request.

        Raises:
            Unavailable: The database does not answer.
        """
        return await self._jobs.list(JobFilter(kind=store.SEAL))

    async def retry(self, signature_request_id: str) -> None:
        """Makes a request due now, for whichever process takes it first.

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
