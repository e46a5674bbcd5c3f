"""Enqueued with its change, taken by one, fenced against who stalled, in order by key."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

import pytest

from support.job_worker import TOLD
from support.jobs import LETTER as KIND
from support.jobs import ROWS, TENANT, add
from zegel_server import clock
from zegel_server.db import Database, Transaction
from zegel_server.jobs import kinds, queue, store
from zegel_server.jobs.model import Job, JobState, LeaseLost

OTHER = kinds.register("other")


async def claim(database: Database, limit: int = 10, lease: int = clock.HOUR) -> Sequence[Job]:
    return await queue.claim(database, KIND, limit=limit, lease=lease)


async def finish(database: Database, job: Job) -> None:
    async with database.transaction() as transaction:
        await queue.finish(transaction, job)


async def nothing(_transaction: Transaction) -> None:
    pass


async def states(database: Database) -> list[tuple[str, str]]:
    return [(row.resource_id, row.state) for row in await database.fetch(ROWS)]


async def test_a_job_is_there_if_and_only_if_its_change_is(database: Database) -> None:
    await add(database, KIND, "kept")

    async def fail() -> None:
        async with database.transaction() as transaction:
            await queue.enqueue(transaction, KIND, tenant_id=TENANT, resource_id="lost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await states(database) == [("kept", JobState.WAITING)]


async def test_a_kind_that_nobody_registered_is_refused(database: Database) -> None:
    with pytest.raises(LookupError, match="'misspelt'"):
        await add(database, "misspelt", "r1")
    assert await states(database) == []


async def test_what_it_was_given_comes_with_it(database: Database) -> None:
    await add(database, KIND, "r1", payload={"page": 3, "words": ["ä"]}, order_key="k")
    [job] = await claim(database)
    assert (job.kind, job.tenant_id, job.resource_id, job.order_key) == (KIND, TENANT, "r1", "k")
    assert (job.payload, job.attempts, job.is_taken_over) == ({"page": 3, "words": ["ä"]}, 1, False)


async def test_a_resource_may_have_any_number_of_jobs(database: Database) -> None:
    await add(database, KIND, "r1", "r1", "r1")
    assert len(await claim(database)) == 3


async def test_the_longest_due_come_first_and_what_is_not_due_is_left(database: Database) -> None:
    now = clock.now()
    for resource_id, due_time in (("late", now), ("first", now - 5), ("tomorrow", now + clock.DAY)):
        await add(database, KIND, resource_id, due_time=due_time)
    await add(database, OTHER, "r")
    assert [job.resource_id for job in await claim(database, 1)] == ["first"]
    assert [job.resource_id for job in await claim(database)] == ["late"]
    assert await claim(database) == []


async def test_workers_that_claim_at_once_share_what_there_is(database: Database, other: Database) -> None:
    await add(database, KIND, *(f"r{number}" for number in range(40)))

    async def take(of: Database) -> list[str]:
        taken: list[str] = []
        for _ in range(30):
            taken += [job.resource_id for job in await claim(of, 3)]
        return taken

    taken = await asyncio.gather(take(database), take(other), take(database), take(other))
    assert sorted(chain.from_iterable(taken)) == sorted(f"r{number}" for number in range(40))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_lease_begins_once_the_job_is_taken_however_long_that_was_waited_for(
    database: Database, other: Database
) -> None:
    await add(database, KIND, "r1")
    async with other.transaction():  # nobody else writes meanwhile
        claiming = asyncio.create_task(claim(database))
        await asyncio.sleep(0.3)
        released = clock.now()
    await claiming
    [row] = await database.fetch(ROWS)
    assert row.due_time >= released + clock.HOUR


async def test_whoever_lost_its_lease_can_neither_finish_nor_put_off_nor_give_up(
    database: Database, other: Database
) -> None:
    await add(database, KIND, "r1")
    [stalled] = await claim(database, lease=-1)
    [job] = await claim(other)
    assert (job.job_id, job.attempts, job.is_taken_over) == (stalled.job_id, 2, True)
    attempts: list[Callable[[], Awaitable[None]]] = [
        lambda: finish(database, stalled),
        lambda: queue.put_off(database, stalled, 0, "LATE"),
        lambda: queue.block(database, stalled, 0, "LATE", None),
        lambda: queue.block(database, stalled, 0, "LATE", nothing),
        lambda: queue.give_up(database, stalled, "LATE", nothing),
    ]
    before = await database.fetch(ROWS)
    for attempt in attempts:
        with pytest.raises(LeaseLost):
            await attempt()
    assert await queue.extend(database, [stalled], lease=clock.HOUR) == [stalled]
    await queue.give_back(database, stalled)
    assert await database.fetch(ROWS) == before
    await finish(other, job)
    assert (await states(database), job.is_finished, stalled.is_finished) == ([], True, False)


async def test_what_would_commit_with_a_lost_lease_is_undone(database: Database) -> None:
    await add(database, KIND, "r1")
    [stalled] = await claim(database, lease=-1)
    [job] = await claim(database)

    async def finish_late() -> None:
        async with database.transaction() as transaction:
            await queue.enqueue(transaction, TOLD, tenant_id=TENANT, resource_id="r1")
            await queue.finish(transaction, stalled)

    with pytest.raises(LeaseLost):
        await finish_late()
    await finish(database, job)
    assert await states(database) == []


async def test_a_number_is_given_once(database: Database) -> None:
    await add(database, KIND, "r1")
    [first] = await claim(database)
    await finish(database, first)
    await add(database, KIND, "r2")
    [second] = await claim(database)
    assert second.job_id > first.job_id


async def test_jobs_of_a_key_run_one_at_a_time_in_order_and_keys_beside_each_other(database: Database) -> None:
    for number in range(3):
        await add(database, KIND, f"a{number}", order_key="a")
        await add(database, KIND, f"b{number}", order_key="b")
    seen = []
    while jobs := await claim(database):
        assert sorted(job.order_key or "" for job in jobs) == ["a", "b"]
        assert await claim(database) == []
        seen.append([job.resource_id for job in jobs])
        for job in jobs:
            await finish(database, job)
    assert seen == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]


async def test_a_job_that_is_put_off_keeps_those_behind_it_waiting(database: Database) -> None:
    await add(database, KIND, "a0", "a1", order_key="a")
    [job] = await claim(database)
    await queue.put_off(database, job, clock.now() + clock.HOUR, "AWAY")
    assert await claim(database) == []
    assert await states(database) == [("a0", JobState.WAITING), ("a1", JobState.QUEUED)]


async def test_a_dead_letter_lets_those_behind_it_pass(database: Database) -> None:
    await add(database, KIND, "a0", "a1", order_key="a")
    [job] = await claim(database)
    await queue.give_up(database, job, "NEVER", nothing)
    [following] = await claim(database)
    assert following.resource_id == "a1"
    assert await states(database) == [("a0", JobState.DEAD), ("a1", JobState.RUNNING)]


async def test_a_killed_worker_s_job_of_a_key_is_the_next(database: Database) -> None:
    await add(database, KIND, "a0", "a1", order_key="a")
    await claim(database, lease=-1)
    [job] = await claim(database)
    assert (job.resource_id, job.is_taken_over) == ("a0", True)


async def test_a_key_holds_whoever_enqueues_and_ends_at_once(database: Database, other: Database) -> None:
    """Whatever comes between enqueueing and ending: every job runs, and never two of the key at once."""
    running, done, expected = 0, 0, 60

    async def enqueue() -> None:
        for number in range(expected // 2):
            await add(database, KIND, f"r{number}", order_key="a")
            await asyncio.sleep(0)

    async def work(of: Database) -> None:
        nonlocal running, done
        while done < expected:
            for job in await claim(of):
                running += 1
                assert running == 1
                await asyncio.sleep(0)
                running -= 1
                await finish(of, job)
                done += 1
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(enqueue(), enqueue(), work(database), work(other), work(other))
    assert await states(database) == []


async def test_a_job_that_is_enqueued_as_the_one_before_ends_takes_no_place_but_its_own(database: Database) -> None:
    """PostgreSQL's transactions see what was committed when their statement began: nobody is active any more."""
    await add(database, KIND, "a0", "a1", "a2", order_key="a")
    async with database.transaction() as transaction:
        await transaction.execute(
            store.INSERT,
            kind=KIND,
            tenant_id=TENANT,
            resource_id="a3",
            payload="{}",
            order_key="a",
            state=JobState.WAITING.value,
            scheduled_time=0,
            due_time=0,
        )
    await add(database, KIND, "a4", order_key="a")
    seen = []
    while jobs := await claim(database):
        seen += [job.resource_id for job in jobs]
        for job in jobs:
            await finish(database, job)
    assert seen == ["a0", "a1", "a2", "a3", "a4"]


async def test_a_key_s_long_queue_costs_no_look_at_what_is_due_elsewhere(database: Database) -> None:
    await add(database, KIND, *(f"a{number}" for number in range(200)), order_key="a")
    await add(database, KIND, "b")
    assert [job.resource_id for job in await claim(database)] == ["a0", "b"]
    assert sum(state == JobState.QUEUED for _, state in await states(database)) == 199


async def test_a_job_given_back_counts_no_attempt(database: Database) -> None:
    await add(database, KIND, "r1")
    [job] = await claim(database)
    await queue.give_back(database, job)
    [again] = await claim(database)
    assert (again.attempts, again.is_taken_over) == (1, False)
