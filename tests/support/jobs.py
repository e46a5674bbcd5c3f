"""Jobs as tests see them: enqueued, the rows, and one leased to a worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sqlalchemy import select

from zegel_server import clock
from zegel_server.db import Database, Statement
from zegel_server.db.schema import jobs
from zegel_server.jobs import kinds, queue
from zegel_server.jobs.model import Job, JobKind, JobState

ROWS: Final = Statement(select(jobs).order_by(jobs.c.job_id))
TENANT: Final = "ten_1"
LETTER: Final = kinds.register("letter")
"""The kind of job that tests run."""


async def add(database: Database, kind: str, *resource_ids: str, tenant_id: str = TENANT, **more: Any) -> None:
    """Enqueues a job about each of some resources, in one transaction."""
    async with database.transaction() as transaction:
        for resource_id in resource_ids:
            await queue.enqueue(transaction, kind, tenant_id=tenant_id, resource_id=resource_id, **more)


async def held_job(database: Database, kind: str, tenant_id: str, resource_id: str) -> Job:
    """Returns the job about a resource as its worker has it or, after its end, had it."""
    await queue.claim(database, kind, limit=1_000, lease=clock.HOUR)
    found = [row for row in await database.fetch(ROWS) if (row.kind, row.resource_id) == (kind, resource_id)]
    assert not found or found[0].state == JobState.RUNNING
    return Job(
        job_id=found[0].job_id if found else 0,
        kind=kind,
        tenant_id=tenant_id,
        resource_id=resource_id,
        payload_text="{}",
        order_key=None,
        attempts=1,
        last_reason="",
        blocked=False,
        blocked_time=None,
        fence=found[0].fence if found else 1,
    )


class Letters:
    """A kind of job that does what a test sets, and records its runs."""

    def __init__(self, act: Callable[[Job], Awaitable[None]] | None = None) -> None:
        self.act = act
        self.jobs: list[Job] = []
        self.running: set[int] = set()
        self.most = 0

    async def work(self, job: Job) -> None:
        assert job.job_id not in self.running
        self.running.add(job.job_id)
        self.most = max(self.most, len(self.running))
        self.jobs.append(job)
        try:
            await (asyncio.sleep(0.005) if self.act is None else self.act(job))
        finally:
            self.running.discard(job.job_id)

    def kind(self, **more: Any) -> JobKind:
        return JobKind(LETTER, self.work, **more)

    @property
    def resources(self) -> list[str]:
        return [job.resource_id for job in self.jobs]
