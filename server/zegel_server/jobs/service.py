"""What an operator does with jobs: list, count and retry them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from zegel_server import clock
from zegel_server.db import Database
from zegel_server.errors import NotFound
from zegel_server.jobs import queue, store
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import JobFilter, JobState

LISTED: Final = 1_000
"""Maximum number of jobs in a list; to see more, an operator can query the database."""
_LIVING: Final = tuple(state for state in JobState if state is not JobState.DEAD)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as it is listed. Times are microseconds since the epoch.

    Attributes:
        job_id: Its number.
        kind: The kind of job.
        tenant_id: The tenant it is for.
        resource_id: The resource it is about.
        order_key: Jobs with the same kind and key run one at a time, in order; ``None`` for no order.
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
    order_key: str | None
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
                order_key=row.order_key,
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

    async def retry(self, *which: JobFilter) -> int:
        """Makes jobs due at once, for whichever process looks first; dead letters get all their attempts again.

        Those that are running, or wait behind another of their ordering key, stay as they are. Dead letters of an
        ordering key wait behind each other in the order in which they were enqueued. All is done, or nothing.

        Args:
            which: Selects the jobs; those that any of them selects.

        Returns:
            How many were made due, or stand behind one that was.

        Raises:
            InvalidArgument: There is no such state.
            NotFound: One of them selects no job.
            Unavailable: The database does not answer.
        """
        tried, selections = 0, [each.values() for each in which]
        async with self._database.transaction() as transaction:
            for values in selections:
                rows = await transaction.fetch(store.RETRY, **values, now=clock.now())
                if not rows:
                    found = await transaction.fetch_one(store.COUNT, **values)
                    if found is None or not found.jobs:
                        raise NotFound("job")
                tried += len(rows)
                for kind, key in sorted({(row.kind, row.order_key) for row in rows if row.order_key is not None}):
                    # Whoever ends an active one from now on waits, and then sees those that stand behind it.
                    await transaction.fetch(store.ALL_ACTIVE_OF_KEY, kind=kind, order_key=key)
                    await queue.advance(transaction, kind, key)
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
        """Counts the jobs by kind, up to ``store.MOST_COUNTED`` of each state, and sets the metrics.

        Raises:
            Unavailable: The database does not answer.
        """
        if self._metrics is None:
            return
        rows = {row.kind: row._asdict() for row in await self._database.fetch(store.FIGURES)}
        self._measured |= rows.keys()
        for kind in self._measured:
            row = rows.get(kind, {})
            parts = [f"{state.lower()}_{blocked}" for state in _LIVING for blocked in (0, 1)]
            due = [row[f"{part}_oldest"] for part in parts if row.get(f"{part}_oldest") is not None]
            self._metrics.oldest.labels(kind).set(max(0.0, (clock.now() - min(due)) / clock.SECOND) if due else 0.0)
            self._metrics.waiting.labels(kind).set(sum(row.get(f"{part}_jobs", 0) for part in parts))
            self._metrics.blocked.labels(kind).set(sum(row.get(f"{state.lower()}_1_jobs", 0) for state in JobState))
            self._metrics.dead.labels(kind).set(sum(row.get(f"dead_{blocked}_jobs", 0) for blocked in (0, 1)))
