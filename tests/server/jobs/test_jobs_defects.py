"""What a handler, a row, or what is told of a job can do wrong, which holds up no other job."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update

from support.jobs import LETTER, ROWS, Letters, add
from support.work import until, working
from zegel_server import clock
from zegel_server.db import Database, Statement, Transaction, bind
from zegel_server.db.schema import jobs
from zegel_server.errors import FailedPrecondition
from zegel_server.jobs.model import INTERNAL, Job, RetryPolicy, Written
from zegel_server.jobs.worker import Worker

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

DAMAGE = Statement(update(jobs).where(jobs.c.resource_id == bind("which")).values(payload=bind("text")))


class Panic(BaseException):
    """Such as a library in Rust raises."""


def settled(database: Database, resource_id: str) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        rows = [row for row in await database.fetch(ROWS) if row.resource_id == resource_id]
        return all(row.last_reason for row in rows)

    return condition


@pytest.mark.parametrize("error", [asyncio.CancelledError, Panic, GeneratorExit])
async def test_what_is_no_exception_is_a_failure_as_any_other(database: Database, error: type[BaseException]) -> None:
    async def act(_: Job) -> None:
        raise error

    letters = Letters(act)
    await add(database, LETTER, "r1")
    async with working(Worker(database, [letters.kind()])):
        await until(settled(database, "r1"))
    [row] = await database.fetch(ROWS)
    assert (row.state, row.last_reason) == ("WAITING", INTERNAL)
    assert row.attempts == len(letters.jobs) >= 1


async def test_a_task_that_was_cancelled_inside_a_handler_is_a_failure_of_that_job(database: Database) -> None:
    async def act(_: Job) -> None:
        inner = asyncio.create_task(asyncio.sleep(3600))
        inner.cancel()
        await inner

    letters = Letters(act)
    await add(database, LETTER, "r1")
    async with working(Worker(database, [letters.kind(retry=RetryPolicy(first_s=3600.0))])):
        await until(settled(database, "r1"))
    assert len(letters.jobs) == 1


@pytest.mark.parametrize("gives_up", [True, False])
@pytest.mark.parametrize("in_transaction", [True, False])
async def test_a_defect_in_telling_that_a_job_is_stuck_puts_it_off(
    database: Database, *, gives_up: bool, in_transaction: bool
) -> None:
    async def act(_: Job) -> None:
        raise FailedPrecondition("x")

    async def write(_transaction: Transaction) -> None:
        raise RuntimeError

    async def on_stuck(_job: Job, _why: str) -> Written:
        if in_transaction:
            return write
        raise RuntimeError

    await add(database, LETTER, "r1")
    kind = Letters(act).kind(retry=RetryPolicy(gives_up=gives_up, longest_s=3600.0), on_stuck=on_stuck)
    await Worker(database, [kind]).drain()
    [row] = await database.fetch(ROWS)
    assert (row.state, row.last_reason, row.blocked_time) == ("WAITING", "FAILED_PRECONDITION", None)
    assert row.due_time > clock.now() + 1000 * clock.SECOND


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00\xff", '{"a": "\\ud800"}'])
async def test_a_row_with_a_damaged_payload_holds_up_no_other(database: Database, text: str) -> None:
    letters = Letters()
    read: list[object] = []

    async def act(job: Job) -> None:
        read.append(job.payload)

    letters.act = act
    await add(database, LETTER, "damaged", "r2", "r3")
    async with database.transaction() as transaction:
        await transaction.execute(DAMAGE, which="damaged", text=text)
    await Worker(database, [letters.kind(concurrency=1)]).drain()
    rows = [(row.resource_id, row.state, row.last_reason) for row in await database.fetch(ROWS)]
    if "ud800" in text:
        assert (rows, read) == ([], [{"a": "\ud800"}, {}, {}])
    else:
        assert (rows, read) == ([("damaged", "DEAD", "STORED_DATA_DAMAGED")], [{}, {}])
