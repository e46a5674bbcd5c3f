"""Enqueueing, and the transactions by which a worker takes a job, keeps it and lets it go.

Invariants:

* A job is enqueued with the change that it follows, or not at all.
* Whoever holds a job has its fence. A worker whose lease ran out may still run, after a stall; once another has taken
  the job, nothing that the first one writes about it counts.
* Of the jobs of one kind and ordering key at most one is held. The order is that of enqueueing; jobs that are enqueued
  by transactions that overlap come in either order. A dead letter lets those behind it pass; sent again, it is the
  first of those that wait.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from zegel_server import clock
from zegel_server.db import Database, Row, Statement, Transaction, UniqueViolation
from zegel_server.jobs import kinds, store
from zegel_server.jobs.model import Job, JobState, LeaseLost, Written

TOPIC: Final = "jobs"
"""What the database notifies when a job may have become due."""


async def enqueue(
    transaction: Transaction,
    kind: str,
    *,
    tenant_id: str,
    resource_id: str,
    payload: Mapping[str, Any] | None = None,
    order_key: str | None = None,
    due_time: int | None = None,
) -> None:
    """Has a job done once the transaction has committed.

    Args:
        transaction: The one that makes the change which the job follows.
        kind: The kind of job, as its domain has registered it.
        tenant_id: For whom.
        resource_id: What with; any number of jobs may be about one.
        payload: Further facts, as JSON has them; neither personal data nor secrets.
        order_key: Jobs of one kind and key run one at a time, in order; left out for any time.
        due_time: When, in microseconds since the epoch; at once where left out.

    Raises:
        UnknownKind: Nobody has registered that kind; nothing is written.
    """
    kinds.demand_registered(kind)
    state = JobState.WAITING
    if order_key is not None and await transaction.fetch_one(store.ACTIVE_OF_KEY, kind=kind, order_key=order_key):
        state = JobState.QUEUED
    due_time = clock.now() if due_time is None else due_time
    await transaction.execute(
        store.INSERT,
        kind=kind,
        tenant_id=tenant_id,
        resource_id=resource_id,
        payload=json.dumps(payload or {}),
        order_key=order_key,
        state=state.value,
        scheduled_time=due_time,
        due_time=due_time,
    )
    if state is JobState.WAITING:
        transaction.notify(TOPIC)


async def finish(transaction: Transaction, job: Job) -> None:
    """Ends a job in the transaction that does the last of it, so that this is done once.

    Args:
        transaction: The transaction; where it fails, the job goes on.
        job: The job, as its worker was given it.

    Raises:
        LeaseLost: Another worker holds it by now; the transaction must not commit.
    """
    if not await transaction.execute(store.FINISH, id=job.job_id, held_fence=job.fence):
        raise LeaseLost
    await _advance(transaction, job)

    def finished() -> None:
        job.is_finished = True

    transaction.after_commit(finished)


async def claim(database: Database, kind: str, *, limit: int, lease: int) -> Sequence[Job]:
    """Takes jobs that are due, first those whose worker is gone.

    Args:
        database: Where they are.
        kind: Of which kind.
        limit: The most to take.
        lease: For how long, in microseconds.

    Raises:
        Unavailable: The database does not answer.
    """
    fence = secrets.randbits(62)
    try:
        async with database.transaction() as transaction:
            now = clock.now()  # the lock may have been waited for, and that is no part of the lease
            rows = await transaction.fetch(store.LEFT_BEHIND, kind=kind, now=now, limit=limit)
            if len(rows) < limit:
                rows += await transaction.fetch(store.DUE, kind=kind, now=now, limit=limit - len(rows))
            await transaction.execute_many(
                store.CLAIM, [{"id": row.job_id, "new_fence": fence, "until": now + lease} for row in rows]
            )
    except UniqueViolation:
        return []  # another worker has just taken one of the same ordering key
    return [_job(row, fence) for row in rows]


async def extend(database: Database, jobs: Sequence[Job], *, lease: int) -> Sequence[Job]:
    """Keeps jobs from becoming due while they are worked on.

    Args:
        database: Where they are.
        jobs: The jobs.
        lease: For how long from now, in microseconds.

    Returns:
        Those that are not this worker's any more.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        until = clock.now() + lease
        return [
            job
            for job in jobs
            if not await transaction.execute(store.EXTEND, id=job.job_id, held_fence=job.fence, until=until)
        ]


async def give_back(database: Database, job: Job) -> None:
    """Lets a job go that was not done, without counting the attempt.

    Args:
        database: Where it is.
        job: The job.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await transaction.execute(store.GIVE_BACK, id=job.job_id, held_fence=job.fence, now=clock.now())
        transaction.notify(TOPIC)


async def put_off(database: Database, job: Job, until: int, reason: str) -> None:
    """Has a failed job tried again later.

    Args:
        database: Where it is.
        job: The job.
        until: When, in microseconds since the epoch.
        reason: Why it failed.

    Raises:
        LeaseLost: Another worker holds it by now.
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await _write(transaction, store.PUT_OFF, job, until=until, reason=reason)


async def put_off_tenant(database: Database, job: Job, until: int, reason: str) -> None:
    """Has every job of the same kind and tenant tried later that is due and that nobody holds.

    Args:
        database: Where they are.
        job: The one whose failure meets all of them.
        until: When, in microseconds since the epoch.
        reason: Why.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await transaction.execute(
            store.PUT_OFF_TENANT,
            which_kind=job.kind,
            whose=job.tenant_id,
            now=clock.now(),
            until=until,
            reason=reason,
        )


async def block(database: Database, job: Job, until: int, reason: str, written: Written | None) -> None:
    """Marks a job whose failure does not pass by waiting, and has it tried again later all the same.

    Args:
        database: Where it is.
        job: The job.
        until: When it is tried again, in microseconds since the epoch.
        reason: Why it failed.
        written: Written in the same transaction, which makes this the first time; ``None`` where it was told before or
            cannot be told now.

    Raises:
        LeaseLost: Another worker holds it by now.
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        if written is None:
            await _write(transaction, store.BLOCK, job, until=until, reason=reason)
            return
        await _write(transaction, store.BLOCK_FIRST, job, until=until, reason=reason, now=clock.now())
        await written(transaction)


async def give_up(database: Database, job: Job, reason: str, written: Written) -> None:
    """Makes a job a dead letter.

    Args:
        database: Where it is.
        job: The job.
        reason: Why it failed.
        written: Written in the same transaction.

    Raises:
        LeaseLost: Another worker holds it by now.
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await transaction.fetch(store.LOCK, id=job.job_id, held_fence=job.fence)
        await _write(transaction, store.GIVE_UP, job, reason=reason)
        await written(transaction)
        await _advance(transaction, job)


async def _write(transaction: Transaction, statement: Statement, job: Job, **values: str | int) -> None:
    if not await transaction.execute(statement, id=job.job_id, held_fence=job.fence, **values):
        raise LeaseLost


async def _advance(transaction: Transaction, job: Job) -> None:
    """Lets the next of an ordering key run, now that the one before has ended."""
    if job.order_key is None:
        return
    await transaction.execute(store.ADVANCE, kind=job.kind, which_key=job.order_key)
    transaction.notify(TOPIC)


def _job(row: Row, fence: int) -> Job:
    return Job(
        job_id=row.job_id,
        kind=row.kind,
        tenant_id=row.tenant_id,
        resource_id=row.resource_id,
        payload_text=row.payload,
        order_key=row.order_key,
        attempts=row.attempts + 1,
        last_reason=row.last_reason,
        blocked=bool(row.blocked),
        blocked_time=row.blocked_time,
        fence=fence,
        is_taken_over=row.state == JobState.RUNNING,
    )
