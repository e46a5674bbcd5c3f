"""What an operator sees of the jobs, and sends again."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from support.jobs import ROWS, add
from zegel_server import clock
from zegel_server.db import Database, Statement, Transaction, bind
from zegel_server.db.schema import jobs
from zegel_server.errors import InvalidArgument, NotFound, ResourceExhausted
from zegel_server.jobs import kinds, queue
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import Job, JobFilter, JobState
from zegel_server.jobs.service import Jobs
from zegel_server.signing import store

MAIL, HOOK, SEAL = kinds.register("mail"), kinds.register("hook"), store.SEAL
DIE = Statement(update(jobs).where(jobs.c.job_id == bind("which")).values(state="DEAD"))


async def nothing(_transaction: Transaction) -> None:
    pass


async def kill(database: Database, kind: str) -> int:
    """Makes a job of a kind a dead letter."""
    [job] = await queue.claim(database, kind, limit=1, lease=clock.HOUR)
    await queue.give_up(database, job, "NEVER", nothing)
    return job.job_id


@pytest.fixture
async def some(database: Database) -> None:
    """A dead letter, a blocked job, one that waits and one that stands behind it."""
    await add(database, MAIL, "m1", tenant_id="ten_1")
    await kill(database, MAIL)
    await add(database, SEAL, "s1", tenant_id="ten_2")
    [job] = await queue.claim(database, SEAL, limit=1, lease=clock.HOUR)
    await queue.block(database, job, clock.now() + clock.HOUR, "DOCUMENT_TOO_COMPLEX", nothing)
    await add(database, HOOK, "h1", "h2", tenant_id="ten_2", order_key="a", due_time=clock.now() - clock.MINUTE)


@pytest.mark.usefixtures("some")
async def test_dead_letters_and_what_is_blocked_are_listed_first(database: Database) -> None:
    listed = await Jobs(database).list(JobFilter())
    assert [(job.resource_id, job.state, job.blocked, job.last_reason) for job in listed] == [
        ("m1", "DEAD", False, "NEVER"),
        ("s1", "WAITING", True, "DOCUMENT_TOO_COMPLEX"),
        ("h1", "WAITING", False, ""),
        ("h2", "QUEUED", False, ""),
    ]
    facts = listed[1].facts()
    assert all(str(facts[name]).endswith("Z") for name in ("blocked_time", "scheduled_time", "due_time"))
    assert listed[0].facts()["blocked_time"] is None


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("which", "found"),
    [
        (JobFilter(kind=HOOK), ["h1", "h2"]),
        (JobFilter(tenant_id="ten_2"), ["s1", "h1", "h2"]),
        (JobFilter(state="DEAD"), ["m1"]),
        (JobFilter(state="BLOCKED"), ["s1"]),
        (JobFilter(state="WAITING", tenant_id="ten_2", kind=HOOK), ["h1"]),
        (JobFilter(resource_id="h2"), ["h2"]),
        (JobFilter(kind=HOOK, state="DEAD"), []),
    ],
)
async def test_jobs_are_chosen_by_all_that_is_said(database: Database, which: JobFilter, found: list[str]) -> None:
    assert [job.resource_id for job in await Jobs(database).list(which)] == found
    assert await Jobs(database).count(which) == len(found)


@pytest.mark.usefixtures("some")
async def test_a_dead_letter_that_is_sent_again_has_all_its_attempts(database: Database) -> None:
    jobs = Jobs(database)
    [dead] = await jobs.list(JobFilter(state="DEAD"))
    heard: list[int] = []
    database.listen(queue.TOPIC, lambda: heard.append(1))
    assert await jobs.retry(JobFilter(job_id=dead.job_id)) == 1
    assert heard
    [job] = await queue.claim(database, "mail", limit=1, lease=clock.HOUR)
    assert (job.job_id, job.attempts, job.last_reason) == (dead.job_id, 1, "NEVER")
    assert await jobs.retry(JobFilter(job_id=dead.job_id)) == 0, "it runs"
    with pytest.raises(NotFound):
        await jobs.retry(JobFilter(job_id=1_000_000_000_000))
    with pytest.raises(InvalidArgument):
        await jobs.list(JobFilter(state="GONE"))


async def test_a_dead_letter_of_a_key_that_is_sent_again_runs_beside_no_other(database: Database) -> None:
    await add(database, HOOK, "h1", "h2", "h3", order_key="a")
    await kill(database, "hook")
    [second] = await queue.claim(database, "hook", limit=9, lease=clock.HOUR)
    await Jobs(database).retry(JobFilter(state="DEAD"))
    assert await queue.claim(database, "hook", limit=9, lease=clock.HOUR) == [], "the second runs"
    for expected in ("h2", "h1", "h3"):
        job = second if expected == "h2" else (await queue.claim(database, "hook", limit=9, lease=clock.HOUR))[0]
        assert job.resource_id == expected
        async with database.transaction() as transaction:
            await queue.finish(transaction, job)
    assert await database.fetch(ROWS) == []


async def test_dead_letters_of_a_key_that_are_sent_again_wait_for_each_other_in_order(database: Database) -> None:
    await add(database, HOOK, "h1", "h2", "h3", "h4", order_key="a")
    for _ in range(3):
        await kill(database, "hook")
    assert await Jobs(database).retry(JobFilter(state="DEAD")) == 3
    states = [(row.resource_id, row.state) for row in await database.fetch(ROWS)]
    assert states == [("h1", "WAITING"), ("h2", "QUEUED"), ("h3", "QUEUED"), ("h4", "WAITING")]
    seen = []
    while jobs := await queue.claim(database, "hook", limit=9, lease=clock.HOUR):
        [job] = jobs
        seen.append(job.resource_id)
        async with database.transaction() as transaction:
            await queue.finish(transaction, job)
    assert (seen, await database.fetch(ROWS)) == (["h1", "h2", "h3", "h4"], [])


async def test_a_dead_letter_is_sent_again_while_the_one_before_it_ends(database: Database, other: Database) -> None:
    for _ in range(20):
        await add(database, HOOK, "h1", "h2", "h3", order_key="a")
        [first] = await queue.claim(database, "hook", limit=1, lease=clock.HOUR)
        [_, second, _] = await database.fetch(ROWS)
        async with database.transaction() as transaction:
            await transaction.execute(DIE, which=second.job_id)

        async def finish(job: Job) -> None:
            async with other.transaction() as transaction:
                await queue.finish(transaction, job)

        await asyncio.gather(Jobs(database).retry(JobFilter(job_id=second.job_id)), finish(first))
        for expected in ("h2", "h3"):
            [job] = await queue.claim(database, "hook", limit=9, lease=clock.HOUR)
            assert job.resource_id == expected
            await finish(job)
        assert await database.fetch(ROWS) == []


@pytest.mark.usefixtures("some")
async def test_jobs_are_sent_again_all_or_none(database: Database) -> None:
    before = await database.fetch(ROWS)
    [dead] = [row.job_id for row in before if row.state == "DEAD"]
    later = [row.job_id for row in before if row.blocked]
    with pytest.raises(NotFound):
        await Jobs(database).retry(*(JobFilter(job_id=each) for each in (dead, 999_999, *later)))
    assert await database.fetch(ROWS) == before
    assert await Jobs(database).retry(*(JobFilter(job_id=each) for each in (dead, *later))) == 2


@pytest.mark.usefixtures("some")
async def test_the_ordering_key_is_listed(database: Database) -> None:
    listed = {job.resource_id: job.facts()["order_key"] for job in await Jobs(database).list(JobFilter())}
    assert listed == {"m1": None, "s1": None, "h1": "a", "h2": "a"}


async def test_too_much_of_a_tenant_is_refused_with_when_to_try_again(database: Database) -> None:
    await add(database, MAIL, "m1", "m2", tenant_id="ten_1")
    await add(database, MAIL, "later", tenant_id="ten_1", due_time=clock.now() + clock.HOUR)
    await add(database, HOOK, "h1", tenant_id="ten_1")
    await queue.demand_room(database, MAIL, "ten_1", 3, limit="letters")
    await queue.demand_room(database, MAIL, "ten_2", 1, limit="letters")
    with pytest.raises(ResourceExhausted) as refused:
        await queue.demand_room(database, MAIL, "ten_1", 2, limit="letters")
    assert refused.value.retry_after_s == queue.BUSY_S
    assert refused.value.metadata == {"limit": "letters"}


@pytest.mark.usefixtures("some")
async def test_what_waits_is_measured_by_kind(database: Database) -> None:
    registry = CollectorRegistry()
    jobs = Jobs(database, JobMetrics(registry), ["delete_blobs"])

    def figures(kind: str) -> list[float | None]:
        names = ("waiting", "blocked", "dead")
        return [registry.get_sample_value(f"zegel_jobs_{name}", {"kind": kind}) for name in names]

    await jobs.measure()
    assert [figures(kind) for kind in ("mail", "seal", "hook", "delete_blobs")] == [
        [0, 0, 1],
        [1, 1, 0],
        [2, 0, 0],
        [0, 0, 0],
    ]
    oldest = registry.get_sample_value("zegel_jobs_oldest_seconds", {"kind": "hook"})
    assert oldest is not None
    assert 60 <= oldest < 3600
    await jobs.retry(JobFilter(state=JobState.DEAD))
    [job] = await queue.claim(database, "mail", limit=1, lease=clock.HOUR)
    async with database.transaction() as transaction:
        await queue.finish(transaction, job)
    await jobs.measure()
    assert figures("mail") == [0, 0, 0], "a kind of which none is left is measured all the same"
