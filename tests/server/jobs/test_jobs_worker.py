"""What a worker does with jobs that go well, that fail, that never end, and that it loses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.job_worker import TOLD
from support.jobs import LETTER as KIND
from support.jobs import ROWS, TENANT, Letters, add
from support.work import until, working
from zegel_server import clock
from zegel_server.db import Database, Transaction
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable, ZegelError
from zegel_server.jobs import queue, worker
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import WORKER_LOST, Job, JobFilter, JobState, RetryPolicy, Written, lasting_after
from zegel_server.jobs.service import Jobs
from zegel_server.jobs.worker import Worker

SQLITE_ONLY = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
POSTGRESQL_ONLY = pytest.mark.parametrize(
    "url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
AT_ONCE = RetryPolicy(first_s=0.0, longest_s=0.0)


def none_left(database: Database) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return not await database.fetch(ROWS)

    return condition


def in_state(database: Database, state: JobState) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return all(row.state == state for row in await database.fetch(ROWS))

    return condition


async def test_two_workers_do_every_job_once_and_only_so_many_at_a_time(database: Database, other: Database) -> None:
    letters = Letters()
    await add(database, KIND, *(f"r{number}" for number in range(50)))
    kind = letters.kind(concurrency=3)
    async with working(Worker(database, [kind]), Worker(other, [kind])):
        await until(none_left(database), 60)
    assert sorted(letters.resources) == sorted(f"r{number}" for number in range(50))
    assert 1 <= letters.most <= 6


async def test_done_twice_where_the_first_did_not_say_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = Letters()
    await add(database, KIND, "r1")
    [gone] = await queue.claim(database, KIND, limit=1, lease=-1)
    async with working(Worker(database, [letters.kind()])):
        await until(none_left(database))
    assert [(job.job_id, job.attempts, job.is_taken_over) for job in letters.jobs] == [(gone.job_id, 2, True)]


@SQLITE_ONLY
async def test_a_job_wakes_a_worker_that_would_not_look(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 3600.0)
    letters = Letters()
    async with working(Worker(database, [letters.kind()])):
        await asyncio.sleep(0.05)
        await add(database, KIND, "r1")
        await until(none_left(database))


@POSTGRESQL_ONLY
async def test_a_job_of_another_process_wakes_a_worker_that_would_not_look(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_S", 3600.0)
    monkeypatch.setattr(worker, "HEARD_POLL_S", 3600.0)
    letters = Letters()

    async def hears() -> bool:
        return database.hears_others

    async with working(Worker(database, [letters.kind()])):
        await until(hears)
        for number in range(20):
            await add(other, KIND, f"r{number}")
        await until(none_left(database))
    assert len(letters.jobs) == 20


@SQLITE_ONLY
async def test_a_job_of_a_process_that_is_not_heard_is_found_all_the_same(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.05)
    letters = Letters()
    async with working(Worker(database, [letters.kind()])):
        await asyncio.sleep(0.05)
        await add(other, KIND, "r1")
        await until(none_left(database))


@SQLITE_ONLY
async def test_a_job_runs_once_it_is_due(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 3600.0)
    letters, due_time = Letters(), clock.now() + clock.SECOND // 2
    await add(database, KIND, "later", due_time=due_time)
    await add(database, KIND, "tomorrow", due_time=due_time + clock.DAY)
    ran: list[int] = []

    async def act(_: Job) -> None:
        ran.append(clock.now())

    letters.act = act

    async def done() -> bool:
        return bool(ran)

    async with working(Worker(database, [letters.kind()])):
        await until(done)
    assert letters.resources == ["later"]
    assert ran[0] >= due_time


async def test_a_failure_is_kept_with_its_reason_and_put_off_longer_each_time(database: Database) -> None:
    async def act(_: Job) -> None:
        raise Unavailable("Not now.", reason="TIMESTAMP_UNAVAILABLE")

    letters = Letters(act)
    await add(database, KIND, "r1")
    subject = Worker(database, [letters.kind(retry=RetryPolicy(first_s=100.0, longest_s=150.0))])
    waits = []
    for _ in range(3):
        began = clock.now()
        assert await subject.drain() == 0
        [row] = await database.fetch(ROWS)
        assert (row.state, row.last_reason, row.blocked) == ("WAITING", "TIMESTAMP_UNAVAILABLE", 0)
        waits.append((row.due_time - began) / clock.SECOND)
        await _make_due(database)
    assert [row.attempts for row in await database.fetch(ROWS)] == [3]
    assert 50 <= waits[0] <= 110
    assert all(75 <= wait <= 160 for wait in waits[1:])


async def _make_due(database: Database) -> None:
    await Jobs(database).retry(JobFilter(kind=KIND))


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (FailedPrecondition("x", reason="DOCUMENT_TOO_COMPLEX"), 1, "DOCUMENT_TOO_COMPLEX"),
        (DataLoss("x"), 1, "STORED_DATA_DAMAGED"),
        (Unavailable("x"), 3, "DEPENDENCY_UNAVAILABLE"),
        (RuntimeError("a defect"), 3, "INTERNAL"),
    ],
)
@SQLITE_ONLY
async def test_what_does_not_pass_by_waiting_or_was_tried_too_often_is_given_up(
    database: Database, error: Exception, attempts: int, reason: str
) -> None:
    async def act(_: Job) -> None:
        raise error

    letters, told = Letters(act), []

    async def on_stuck(job: Job, why: str) -> Written:
        async def write(transaction: Transaction) -> None:
            await queue.enqueue(transaction, TOLD, tenant_id=TENANT, resource_id=f"{job.resource_id} {why}")

        told.append(why)
        return write

    policy = RetryPolicy(first_s=0.0, longest_s=0.0, is_lasting=lasting_after(3))
    await add(database, KIND, "r1")
    assert await Worker(database, [letters.kind(retry=policy, on_stuck=on_stuck)]).drain() == 0
    dead, said = await database.fetch(ROWS)
    assert (dead.state, dead.attempts, dead.last_reason) == ("DEAD", attempts, reason)
    assert (said.kind, said.resource_id, told) == (TOLD, f"r1 {reason}", [reason])


@SQLITE_ONLY
async def test_what_cannot_be_told_is_not_given_up_yet(database: Database) -> None:
    async def act(_: Job) -> None:
        raise FailedPrecondition("x")

    failures: list[ZegelError] = [Unavailable("x")]

    async def on_stuck(_job: Job, _why: str) -> Written:
        if failures:
            raise failures.pop()

        async def write(_transaction: Transaction) -> None:
            pass

        return write

    await add(database, KIND, "r1")
    subject = Worker(database, [Letters(act).kind(on_stuck=on_stuck)])
    await subject.drain()
    assert [row.state for row in await database.fetch(ROWS)] == ["WAITING"]
    await _make_due(database)
    await subject.drain()
    assert [row.state for row in await database.fetch(ROWS)] == ["DEAD"]


async def test_a_kind_that_never_gives_up_is_blocked_and_tells_it_once(database: Database) -> None:
    errors: list[Exception] = [FailedPrecondition("x"), Unavailable("x"), FailedPrecondition("x"), DataLoss("x")]
    told: list[str] = []

    async def act(_: Job) -> None:
        raise errors.pop(0)

    async def on_stuck(_job: Job, why: str) -> Written:
        async def write(_transaction: Transaction) -> None:
            told.append(why)

        return write

    subject = Worker(database, [Letters(act).kind(retry=RetryPolicy(gives_up=False), on_stuck=on_stuck)])
    await add(database, KIND, "r1")
    seen = []
    for _ in range(4):
        await subject.drain()
        [row] = await database.fetch(ROWS)
        seen.append(row.blocked)
        assert row.blocked_time is not None
        await _make_due(database)
    assert (seen, told) == ([1, 0, 1, 1], ["FAILED_PRECONDITION"])
    assert [row.state for row in await database.fetch(ROWS)] == ["WAITING"]


async def test_a_job_that_takes_its_worker_down_is_given_up(database: Database) -> None:
    letters = Letters()
    await add(database, KIND, "r1")
    for _ in range(3):
        await queue.claim(database, KIND, limit=1, lease=-1)
    await Worker(database, [letters.kind(retry=RetryPolicy(is_lasting=lasting_after(3)))]).drain()
    [row] = await database.fetch(ROWS)
    assert (row.state, row.last_reason, letters.jobs) == ("DEAD", WORKER_LOST, [])


async def test_a_failure_of_a_whole_tenant_holds_up_no_other(database: Database) -> None:
    async def act(job: Job) -> None:
        if job.tenant_id == "ten_away":
            raise Unavailable("x", dependency="key_provider")

    letters = Letters(act)
    await add(database, KIND, *(f"r{number}" for number in range(40)), tenant_id="ten_away")
    await add(database, KIND, "s1", "s2")
    policy = RetryPolicy(first_s=3600.0, longest_s=3600.0)
    kind = letters.kind(retry=policy, concurrency=2, is_tenant_wide=lambda error: "dependency" in error.metadata)
    assert await Worker(database, [kind]).drain() == 2
    assert [each for each in letters.resources if each.startswith("s")] == ["s1", "s2"]
    assert len(letters.jobs) <= 2 + 2 * 2
    left = await database.fetch(ROWS)
    assert {(row.tenant_id, row.last_reason) for row in left} == {("ten_away", "DEPENDENCY_UNAVAILABLE")}
    assert len(left) == 40


async def test_a_living_worker_keeps_its_job_however_long_it_takes(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 1.5)
    enough = asyncio.Event()

    async def act(_: Job) -> None:
        await enough.wait()

    letters, leases = Letters(act), set[int]()
    await add(database, KIND, "r1")

    async def kept_up() -> bool:
        leases.update(row.due_time for row in await database.fetch(ROWS) if row.state == JobState.RUNNING)
        return len(leases) > 4

    async with working(Worker(database, [letters.kind()]), Worker(other, [letters.kind()])):
        await until(kept_up, 60)
        assert len(letters.jobs) == 1
        enough.set()
        await until(none_left(database))


async def test_a_worker_that_lost_its_lease_stops_and_what_it_did_counts_for_nothing(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 0.9)
    stopped = asyncio.Event()

    async def act(_: Job) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()

    letters = Letters(act)
    await add(database, KIND, "r1")

    async def begun() -> bool:
        return bool(letters.jobs)

    async with working(Worker(database, [letters.kind()])):
        await until(begun)
        # As after a stall: the lease ran out, and another has the job.
        claimed: Sequence[Job] = []
        while not claimed:  # unless it is kept at this very moment
            monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + clock.MINUTE)
            claimed = await queue.claim(other, KIND, limit=1, lease=clock.DAY)
        [taken] = claimed
        async with asyncio.timeout(30):
            await stopped.wait()
        [row] = await database.fetch(ROWS)
        assert (row.state, row.fence, row.last_reason) == ("RUNNING", taken.fence, "")


@SQLITE_ONLY
async def test_a_worker_that_cannot_keep_its_lease_stops_before_another_may_begin(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 0.9)
    stopped = asyncio.Event()

    async def act(_: Job) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("x", dependency="database")

    letters = Letters(act)
    await add(database, KIND, "r1")
    async with working(Worker(database, [letters.kind()])):

        async def begun() -> bool:
            return bool(letters.jobs)

        await until(begun)
        monkeypatch.setattr(queue, "extend", away)
        monkeypatch.setattr(queue, "claim", away)
        async with asyncio.timeout(30):
            await stopped.wait()


async def test_stopping_frees_what_is_in_hand_at_once(database: Database) -> None:
    letters = Letters(lambda _: asyncio.sleep(3600))
    await add(database, KIND, "r1")

    async def begun() -> bool:
        return bool(letters.running)

    async with working(Worker(database, [letters.kind()])):
        await until(begun)
    [row] = await database.fetch(ROWS)
    assert (row.state, row.attempts, row.last_reason, row.fence) == ("WAITING", 0, "", None)
    assert row.due_time <= clock.now()


@SQLITE_ONLY
async def test_neither_a_database_that_is_away_nor_a_defect_ends_a_worker(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.05)
    letters, claim = Letters(), queue.claim
    failures: list[Exception] = [Unavailable("x", dependency="database"), RuntimeError("a defect")]

    async def sometimes(*args: Any, **values: Any) -> Any:
        if failures:
            raise failures.pop()
        return await claim(*args, **values)

    monkeypatch.setattr(queue, "claim", sometimes)
    await add(database, KIND, "r1")
    async with working(Worker(database, [letters.kind()])):
        await until(none_left(database))
    assert not failures


@SQLITE_ONLY
async def test_it_counts_what_it_did_and_what_failed(database: Database) -> None:
    async def act(job: Job) -> None:
        if job.resource_id == "bad":
            raise FailedPrecondition("x")

    registry = CollectorRegistry()
    await add(database, KIND, "good", "bad")
    assert await Worker(database, [Letters(act).kind()], JobMetrics(registry)).drain() == 1
    assert registry.get_sample_value("zegel_jobs_done_total", {"kind": KIND}) == 1
    assert registry.get_sample_value("zegel_job_failures_total", {"kind": KIND}) == 1
