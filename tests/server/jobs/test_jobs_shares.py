"""Tenants take turns, however much one of them has waiting."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy import BigInteger, Text, cast, insert, literal, select

from support.jobs import LETTER as KIND
from support.jobs import ROWS, Letters, add
from support.plans import plan_of
from support.work import until, working
from zegel_server import clock
from zegel_server.db import Database, Statement, Transaction
from zegel_server.db.schema import jobs
from zegel_server.jobs import queue, store, turns
from zegel_server.jobs.model import Job, JobState
from zegel_server.jobs.turns import Turns
from zegel_server.jobs.worker import Worker

MANY = 200_000


async def claim(database: Database, order: Turns, limit: int = 1) -> Sequence[Job]:
    return await queue.claim(database, KIND, limit=limit, lease=clock.HOUR, turns=order)


async def end(database: Database, *taken: Job) -> None:
    for job in taken:
        async with database.transaction() as transaction:
            await queue.finish(transaction, job)


async def serve(database: Database, order: Turns, number: int, limit: int = 1) -> list[str]:
    """Does jobs, one claim after the other, and returns whose they were."""
    served: list[str] = []
    while len(served) < number:
        taken = await claim(database, order, limit)
        served += [job.tenant_id for job in taken]
        await end(database, *taken)
    return served


def _rows(number: int, tenants: int, due_time: int) -> Statement:
    numbers = select(literal(0).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < number - 1))
    text = [literal(each, Text) for each in (KIND, "{}", JobState.WAITING.value)]
    tenant = literal("ten_", Text) + cast(numbers.c.n % tenants + 100_000, Text)
    resource = literal("r", Text) + cast(numbers.c.n, Text)
    due = literal(due_time, BigInteger) + numbers.c.n
    rows = select(text[0], tenant, resource, text[1], text[2], literal(due_time, BigInteger), due)
    columns = ["kind", "tenant_id", "resource_id", "payload", "state", "scheduled_time", "due_time"]
    return Statement(insert(jobs).from_select(columns, rows))


async def fill(database: Database, number: int, *, tenants: int = 1, due_time: int = 1) -> None:
    """Makes as many waiting jobs, of tenants by turns."""
    async with database.transaction() as transaction:
        await transaction.execute(_rows(number, tenants, due_time))


async def test_a_tenant_that_comes_last_is_served_next(database: Database) -> None:
    await add(database, KIND, *(f"r{number}" for number in range(30)), tenant_id="ten_much")
    order = Turns()
    assert await serve(database, order, 3) == ["ten_much"] * 3
    await add(database, KIND, "s", tenant_id="ten_little")
    assert await serve(database, order, 2) == ["ten_little", "ten_much"]


async def test_tenants_take_turns_and_each_one_s_oldest_comes_first(database: Database) -> None:
    now = clock.now()
    for tenant, number in (("a", 6), ("b", 2), ("c", 3)):
        for each in range(number):
            await add(database, KIND, f"{tenant}{each}", tenant_id=f"ten_{tenant}", due_time=now - 1_000 + each)
    order, served = Turns(), list[str]()
    while taken := await claim(database, order):
        served += [job.resource_id for job in taken]
        await end(database, *taken)
    assert served == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "c2", "a3", "a4", "a5"]


async def test_one_claim_of_several_divides_them(database: Database) -> None:
    await add(database, KIND, *(f"r{number}" for number in range(20)), tenant_id="ten_a")
    await add(database, KIND, "s1", "s2", "s3", tenant_id="ten_b")
    taken = await claim(database, Turns(), 4)
    assert sorted(job.tenant_id for job in taken) == ["ten_a", "ten_a", "ten_b", "ten_b"]


async def test_who_has_least_running_is_first_and_who_has_its_share_waits(database: Database) -> None:
    await add(database, KIND, *(f"r{number}" for number in range(9)), tenant_id="ten_a")
    order = Turns(share=2)
    for _ in range(2):
        [job] = await claim(database, order)
        order.begun(job.tenant_id)
    assert await claim(database, order) == []
    await add(database, KIND, "s1", "s2", tenant_id="ten_b")
    [job] = await claim(database, order)
    assert job.tenant_id == "ten_b"
    order.begun("ten_b")
    order.ended("ten_a")
    await add(database, KIND, "t1", "t2", tenant_id="ten_c")
    assert [job.tenant_id for job in await claim(database, order)] == ["ten_c"], "the others have one each"


async def test_keys_hold_their_order_across_turns(database: Database) -> None:
    for number in range(3):
        await add(database, KIND, f"a{number}", tenant_id="ten_a", order_key="a")
        await add(database, KIND, f"b{number}", tenant_id="ten_b", order_key="b")
    order = Turns()
    first = await claim(database, order, 9)
    assert sorted(job.resource_id for job in first) == ["a0", "b0"]
    assert await claim(database, order, 9) == []
    await end(database, *first)
    assert sorted(job.resource_id for job in await claim(database, order, 9)) == ["a1", "b1"]


async def test_who_waits_behind_very_many_tenants_with_nothing_due_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WINDOW", 10)
    await fill(database, 100, tenants=100, due_time=clock.now() + clock.DAY)
    await add(database, KIND, *(f"r{number}" for number in range(30)), tenant_id="ten_100040")
    await add(database, KIND, "s", tenant_id="ten_100095")
    served = await serve(database, Turns(), 14)
    assert served.count("ten_100095") == 1, "the look at ten tenants goes on where the last one ended"


async def test_a_worker_keeps_a_place_for_others_while_one_tenant_s_jobs_hang(database: Database) -> None:
    hanging, others = asyncio.Event(), list[str]()

    async def act(job: Job) -> None:
        if job.tenant_id == "ten_slow":
            await hanging.wait()
        else:
            others.append(job.resource_id)

    async def all_done() -> bool:
        return sorted(others) == ["s1", "s2", "s3"]

    await add(database, KIND, *(f"r{number}" for number in range(30)), tenant_id="ten_slow")
    letters = Letters(act)
    async with working(Worker(database, [letters.kind(concurrency=3)])):

        async def hang() -> bool:
            return len(letters.running) == 2

        await until(hang)
        await add(database, KIND, "s1", "s2", "s3", tenant_id="ten_quick")
        await until(all_done)
        assert len(letters.running) == 2, "one of three places is never the same tenant's as the others"
        hanging.set()


@pytest.mark.parametrize("tenants", [1, 20_000])
async def test_a_claim_is_look_ups_in_indexes_however_many_jobs_wait(
    database: Database, url: str, tenants: int
) -> None:
    await fill(database, MANY, tenants=tenants)
    now = clock.now()
    statements = {
        "tenants": (store.TENANTS, {"kind": KIND, "after": "", "now": now, "limit": 3, "window": 1_000}),
        "tenant": (store.DUE_OF_TENANT, {"kind": KIND, "tenant_id": "ten_100000", "now": now, "limit": 3}),
        "due": (store.DUE, {"kind": KIND, "now": now, "limit": 3}),
        "left": (store.LEFT_BEHIND, {"kind": KIND, "now": now, "limit": 3}),
        "earliest": (store.earliest([KIND]), {}),
        "figures": (store.FIGURES, {}),
        "crowd": (store.WAITING_OF_TENANT, {"kind": KIND, "tenant_id": "ten_100000", "now": now, "most": 1_000}),
    }
    for name, (statement, values) in statements.items():
        plan = await plan_of(url, statement, **values)
        assert "Seq Scan on jobs" not in plan, (name, plan)
        for step in plan.splitlines():
            if "jobs" in step and url.startswith("sqlite"):
                assert "USING INDEX" in step or "COVERING INDEX" in step or "PRIMARY KEY" in step, (name, plan)
                assert not step.startswith("SCAN"), (name, plan)
        assert "TEMP B-TREE" not in plan, (name, plan)
        assert "Sort" not in plan, (name, plan)
    [job] = await claim(database, Turns())
    assert job.resource_id == "r0"


async def test_a_tenant_s_jobs_are_put_off_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PUT_OFF_AT_ONCE", 7)
    await fill(database, 30)
    await add(database, KIND, "s", tenant_id="ten_other")
    [job] = await claim(database, Turns())
    plain, transactions = database.transaction, list[int]()

    def counted() -> AbstractAsyncContextManager[Transaction]:
        transactions.append(1)
        return plain()

    monkeypatch.setattr(database, "transaction", counted)
    until_time = clock.now() + clock.HOUR
    await queue.put_off_tenant(database, job, until_time, "AWAY")
    assert len(transactions) == 5, "29 jobs, 7 at a time"
    rows = await database.fetch(ROWS)
    assert [row.resource_id for row in rows if row.last_reason != "AWAY"] == ["r0", "s"]
    assert {row.due_time for row in rows if row.last_reason == "AWAY"} == {until_time}
