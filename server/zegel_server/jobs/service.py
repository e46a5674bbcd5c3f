"""What an operator sees of the jobs and does about them: listed, counted, sent again."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from zegel_server import clock
from zegel_server.db import Database
from zegel_server.errors import InvalidArgument, NotFound
from zegel_server.jobs import queue, store
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import JobState

LISTED: Final = 1_000
"""Jobs that one list has at most: more are for a query of the operator's own."""
BLOCKED: Final = store.BLOCKED
"""Chooses jobs whose last reason does not pass by waiting."""
STATES: Final = (*(state.value for state in JobState), BLOCKED)
"""What jobs are chosen by in place of one's state."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; those that all of it fits.

    Attributes:
        job_id: This one; 0 for any.
        kind: Of this kind; empty for any.
        tenant_id: Of this tenant; empty for any.
        resource_id: About this resource; empty for any.
        state: In this state, one of ``STATES``; empty for any.
    """

    job_id: int = 0
    kind: str = ""
    tenant_id: str = ""
    resource_id: str = ""
    state: str = ""

    def values(self) -> dict[str, str | int]:
        """The same as the statements' parameters.

        Raises:
            InvalidArgument: There is no such state.
        """
        if self.state and self.state not in STATES:
            raise InvalidArgument("state", f"is one of {', '.join(STATES)}")
        return {
            "which_id": self.job_id,
            "which_kind": self.kind,
            "whose": self.tenant_id,
            "which_resource": self.resource_id,
            "which_state": self.state,
        }


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as it is listed. Times are microseconds since the epoch.

    Attributes:
        job_id: Its number.
        kind: What is to be done.
        tenant_id: For whom.
        resource_id: What with.
        state: Where it stands, a ``JobState``.
        attempts: How often it was tried.
        last_reason: Why the last attempt failed; empty where none has.
        blocked: Whether that does not pass by waiting.
        blocked_time: When it was first so; ``None`` for never.
        scheduled_time: When it was to run at first.
        due_time: When it is tried next; while it runs, when its lease ends.
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
        """The same for people and programs: times as RFC 3339 has them."""
        return {
            **asdict(self),
            "blocked_time": None if self.blocked_time is None else clock.to_rfc3339(self.blocked_time),
            "scheduled_time": clock.to_rfc3339(self.scheduled_time),
            "due_time": clock.to_rfc3339(self.due_time),
        }


class Jobs:
    """The use cases of an operator around the jobs.

    Args:
        database: Where they are.
        metrics: What is measured; ``None`` where nothing is.
        kinds: The kinds that the metrics name even where there is no job of theirs.
    """

    def __init__(self, database: Database, metrics: JobMetrics | None = None, kinds: Collection[str] = ()) -> None:
        self._database = database
        self._metrics = metrics
        self._measured = set(kinds)

    async def list(self, which: JobFilter) -> Sequence[ListedJob]:
        """Jobs that have not ended, dead letters and what is blocked first.

        Args:
            which: Which ones.

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
        """Has jobs tried at once, by whichever process looks first; dead letters get all their attempts again.

        Those that run, or stand behind another of their ordering key, stay as they are.

        Args:
            which: Which ones.

        Returns:
            How many are tried.

        Raises:
            InvalidArgument: There is no such state.
            NotFound: No job fits.
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
        """How many jobs there are that have not ended.

        Args:
            which: Which ones.

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
