"""What an operator does with jobs: list, count and retry them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from zegel_server import clock
from zegel_server.db import Database
from zegel_server.errors import NotFound
from zegel_server.jobs import queue, store
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import JobFilter

LISTED: Final = 1_000
"""Maximum number of jobs in a list; to see more, an operator can query the database."""


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as it is listed. Times are microseconds since the epoch.

    Attributes:
        job_id: Its number.
        kind: The kind of job.
        tenant_id: The tenant it is for.
        resource_id: The resource it is about.
        state: Its ``JobState``.
        attempts: How often it was tried.
        last_reason: Why the last attempt failed; empty if none has.
        blocked: Whether that failure will not go away by waiting.
        blocked_time: When it was first blocked; ``None`` for never.
        scheduled_time: When it was first due.
        due_time: When it is due next; while it runs, when its lease ends.
    """

    job_id: int
    kind: str
    tenant_id: str
    resource_id: str
    state: str
    attempts: int
    last_reason: str
    blocked: bool
    blocked_time: int | None
    scheduled_time: int
    due_time: int

    def facts(self) -> dict[str, object]:
        """The same for people and programs, with times in RFC 3339."""
        return {
            **asdict(self),
            "blocked_time": None if self.blocked_time is None else clock.to_rfc3339(self.blocked_time),
            "scheduled_time": clock.to_rfc3339(self.scheduled_time),
            "due_time": clock.to_rfc3339(self.due_time),
        }


class Jobs:
    """An operator's use cases around jobs.

    Args:
        database: Where they are.
        metrics: The metrics to set; ``None`` for none.
        kinds: The kinds that have metrics even if there are no jobs of theirs.
    """

    def __init__(self, database: Database, metrics: JobMetrics | None = None, kinds: Collection[str] = ()) -> None:
        self._database = database
        self._metrics = metrics
        self._measured = set(kinds)

    async def list(self, which: JobFilter) -> Sequence[ListedJob]:
        """Jobs that have not ended, dead letters and what is blocked first.

        Args:
            which: Selects the jobs.

        Raises:
            InvalidArgument: There is no such state.
            Unavailable: The database does not answer.
        """
        return [
            ListedJob(
                job_id=row.job_id,
                kind=row.kind,
                tenant_id=row.tenant_id,
                resource_id=row.resource_id,
                state=row.state,
                attempts=row.attempts,
                last_reason=row.last_reason,
                blocked=bool(row.blocked),
                blocked_time=row.blocked_time,
                scheduled_time=row.scheduled_time,
                due_time=row.due_time,
            )
            for row in await self._database.fetch(store.LIST, **which.values(), limit=LISTED)
        ]

    async def retry(self, which: JobFilter) -> int:
        """Makes jobs due at once, for whichever process looks first; dead letters get all their attempts again.

        Those that are running, or wait behind another of their ordering key, stay as they are.

        Args:
            which: Selects the jobs.

        Returns:
            How many were made due.

        Raises:
            InvalidArgument: There is no such state.
            NotFound: No job matches.
            Unavailable: The database does not answer.
        """
        values = which.values()
        async with self._database.transaction() as transaction:
            tried = await transaction.execute(store.RETRY, **values, now=clock.now())
            if not tried:
                found = await transaction.fetch_one(store.COUNT, **values)
                if found is None or not found.jobs:
                    raise NotFound("job")
            transaction.notify(queue.TOPIC)
        return tried

    async def count(self, which: JobFilter) -> int:
        """Counts the jobs that have not ended.

        Args:
            which: Selects the jobs.

        Raises:
            InvalidArgument: There is no such state.
            Unavailable: The database does not answer.
        """
        row = await self._database.fetch_one(store.COUNT, **which.values())
        return int(row.jobs) if row else 0

    async def measure(self) -> None:
        """Counts the jobs by kind and sets the metrics.

        Raises:
            Unavailable: The database does not answer.
        """
        if self._metrics is None:
            return
        rows = {row.kind: row for row in await self._database.fetch(store.FIGURES)}
        self._measured |= rows.keys()
        for kind in self._measured:
            row = rows.get(kind)
            oldest = row.oldest if row else None
            age = 0.0 if oldest is None else max(0.0, (clock.now() - oldest) / clock.SECOND)
            self._metrics.oldest.labels(kind).set(age)
            self._metrics.waiting.labels(kind).set(int(row.waiting) if row else 0)
            self._metrics.blocked.labels(kind).set(int(row.blocked) if row else 0)
            self._metrics.dead.labels(kind).set(int(row.dead) if row else 0)
