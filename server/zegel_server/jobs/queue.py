"""Enqueueing, and the transactions with which a worker claims a job, keeps its lease and releases it.

Invariants:

* A job is enqueued together with the change that asks for it, or not at all.
* The worker that holds a job has its fencing token. A worker whose lease ran out may still be running after a stall;
  once another worker has claimed the job, the first one's writes about it have no effect.
* Of the jobs with the same kind and ordering key at most one is held. They run in the order in which they were
  enqueued; jobs enqueued by overlapping transactions may run in either order. A dead letter does not hold up those
  behind it; when it is retried, it is the first of those that wait.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from zegel_server import clock
from zegel_server.db import Database, Reader, Row, Statement, Transaction, UniqueViolation
from zegel_server.errors import ResourceExhausted
from zegel_server.jobs import kinds, store
from zegel_server.jobs.model import Job, JobState, LeaseLost, Written
from zegel_server.jobs.turns import Turns

TOPIC: Final = "jobs"
"""The database channel that is notified when a job may have become due."""
PUT_OFF_AT_ONCE: Final = 1_000
"""Jobs of a tenant that are postponed in one transaction: some 10 ms, for which other writers may wait on SQLite."""
BUSY_S: Final = 10.0
"""After how many seconds to try again if too many jobs of a tenant are due: some of them are done by then."""


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
    """Enqueues a job, to be done once the transaction has committed.

    Args:
        transaction: The one that makes the change which asks for the job.
        kind: The kind of job, as its domain has registered it.
        tenant_id: The tenant it is for.
        resource_id: The resource it is about; there may be any number of jobs for one.
        payload: Further data that JSON can hold, without personal data or secrets.
        order_key: Jobs with the same kind and key run one at a time, in order; ``None`` for no order.
        due_time: When to run it, in microseconds since the epoch; at once by default.

    Raises:
        UnknownKind: The kind is not registered; nothing is written.
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
    """Ends a job in the transaction that does its last step, so that this step is done exactly once.

    Args:
        transaction: The transaction; if it fails, the job is not ended.
        job: The job that the worker was given.

    Raises:
        LeaseLost: Another worker holds it now; the transaction must not commit.
    """
    if not await transaction.execute(store.FINISH, id=job.job_id, held_fence=job.fence):
        raise LeaseLost
    await advance(transaction, job.kind, job.order_key)

    def finished() -> None:
        job.is_finished = True

    transaction.after_commit(finished)


async def claim(database: Database, kind: str, *, limit: int, lease: int, turns: Turns | None = None) -> Sequence[Job]:
    """Claims jobs that are due, first those whose worker has disappeared.

    Args:
        database: Where they are.
        kind: Which kind of job.
        limit: How many to claim at most.
        lease: For how long, in microseconds.
        turns: Whose turn it is; ``None`` to begin with anybody.

    Raises:
        Unavailable: The database does not answer.
    """
    fence = secrets.randbits(62)
    try:
        async with database.transaction() as transaction:
            now = clock.now()  # taken only now: waiting for the lock must not shorten the lease
            rows = await transaction.fetch(store.LEFT_BEHIND, kind=kind, now=now, limit=limit)
            if len(rows) < limit:
                rows += await (turns or Turns()).take(transaction, kind, now, limit - len(rows))
            await transaction.execute_many(
                store.CLAIM, [{"id": row.job_id, "new_fence": fence, "until": now + lease} for row in rows]
            )
    except UniqueViolation:
        return []  # another worker has just claimed one with the same ordering key
    return [_job(row, fence) for row in rows]


async def extend(database: Database, jobs: Sequence[Job], *, lease: int) -> Sequence[Job]:
    """Extends the leases of jobs that are being worked on.

    Args:
        database: Where they are.
        jobs: The jobs.
        lease: For how long from now, in microseconds.

    Returns:
        The jobs that this worker no longer holds.

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
    """Releases a job that was not done, without counting the attempt.

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
    """Postpones a failed job.

    Args:
        database: Where it is.
        job: The job.
        until: When to retry, in microseconds since the epoch.
        reason: Why it failed.

    Raises:
        LeaseLost: Another worker holds it now.
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await _write(transaction, store.PUT_OFF, job, until=until, reason=reason)


async def put_off_tenant(database: Database, job: Job, until: int, reason: str) -> None:
    """Postpones every job of the same kind and tenant that is due and that no worker holds, in several transactions.

    Args:
        database: Where they are.
        job: The one whose failure affects all of them.
        until: When to retry, in microseconds since the epoch.
        reason: Why.

    Raises:
        Unavailable: The database does not answer.
    """
    now, changed = clock.now(), PUT_OFF_AT_ONCE
    while changed >= PUT_OFF_AT_ONCE:
        async with database.transaction() as transaction:
            changed = await transaction.execute(
                store.PUT_OFF_TENANT,
                which_kind=job.kind,
                whose=job.tenant_id,
                now=now,
                until=until,
                reason=reason,
                limit=PUT_OFF_AT_ONCE,
            )


async def block(database: Database, job: Job, until: int, reason: str, written: Written | None) -> None:
    """Marks a job as blocked since its failure will not go away by waiting, and postpones it all the same.

    Args:
        database: Where it is.
        job: The job.
        until: When to retry, in microseconds since the epoch.
        reason: Why it failed.
        written: Writes in the same transaction, which then records this as the first time; ``None`` if that was
            reported before or cannot be reported now.

    Raises:
        LeaseLost: Another worker holds it now.
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
        written: Writes in the same transaction.

    Raises:
        LeaseLost: Another worker holds it now.
        Unavailable: The database does not answer.
    """
    async with database.transaction() as transaction:
        await transaction.fetch(store.LOCK, id=job.job_id, held_fence=job.fence)
        await _write(transaction, store.GIVE_UP, job, reason=reason)
        await written(transaction)
        await advance(transaction, job.kind, job.order_key)


async def advance(transaction: Transaction, kind: str, order_key: str | None) -> None:
    """Lets the next job of an ordering key run, unless an earlier one is active.

    Args:
        transaction: The one in which the previous one ended, or this one was enqueued anew.
        kind: The kind of job.
        order_key: The key; ``None`` does nothing.
    """
    if order_key is None:
        return
    await transaction.execute(store.ADVANCE, kind=kind, which_key=order_key)
    transaction.notify(TOPIC)


async def demand_room(database: Reader, kind: str, tenant_id: str, most: int, *, limit: str) -> None:
    """Refuses what would make more jobs of a kind while too many of a tenant's are due.

    Args:
        database: Where they are.
        kind: The kind of job.
        tenant_id: Whose.
        most: How many may be due and not begun.
        limit: The limit's name in the error.

    Raises:
        ResourceExhausted: So many are.
        Unavailable: The database does not answer.
    """
    row = await database.fetch_one(store.WAITING_OF_TENANT, kind=kind, tenant_id=tenant_id, now=clock.now(), most=most)
    if row is not None and row.jobs >= most:
        raise ResourceExhausted(
            "Too much of the tenant's work is waiting; try again later.", retry_after_s=BUSY_S, limit=limit
        )


async def _write(transaction: Transaction, statement: Statement, job: Job, **values: str | int) -> None:
    if not await transaction.execute(statement, id=job.job_id, held_fence=job.fence, **values):
        raise LeaseLost


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
