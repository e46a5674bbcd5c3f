"""PostgreSQL's own troubles: lost connections, deadlocks, an exhausted pool, URLs."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.postgres import Cluster
from support.rows import ALL, INSERT, LOCKED, SET, make_tables
from zegel_server.db import Database, UniqueViolation, open_database
from zegel_server.db.postgresql import translate
from zegel_server.errors import Aborted, ResourceExhausted, Unavailable


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    await make_tables(postgres_url)
    database = await open_database(postgres_url, pool_size=3)
    yield database
    await database.close()


async def put(database: Database, thing_id: str, amount: int = 1) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id=thing_id, amount=amount)


def cut_off(cluster: Cluster) -> None:
    cluster.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'zegel' AND pid <> pg_backend_pid()"
    )


async def test_a_connection_that_is_cut_is_told_and_replaced(database: Database, postgres_cluster: Cluster) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="a", amount=1)
            await asyncio.to_thread(cut_off, postgres_cluster)
            await transaction.execute(INSERT, thing_id="b", amount=1)

    with pytest.raises(Unavailable) as refused:
        await work()
    assert refused.value.metadata == {"dependency": "database"}
    await put(database, "c")
    assert [row.thing_id for row in await database.fetch(ALL)] == ["c"]


async def test_cancelled_while_it_begins_a_transaction_leaves_no_trace(database: Database) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    begun = 0

    async def begin() -> None:
        nonlocal begun
        async with database.transaction():
            begun += 1
            await asyncio.sleep(3600)

    for steps in range(30):
        task = asyncio.create_task(begin())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await put(database, f"{steps}")
    assert begun < 30, "none was cancelled before it had begun: the test shows nothing"
    assert complaints == []


async def test_a_commit_that_is_cut_is_told(database: Database, postgres_cluster: Cluster) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="a", amount=1)
            await asyncio.to_thread(cut_off, postgres_cluster)

    with pytest.raises(Unavailable):
        await work()
    assert await database.fetch(ALL) == []


async def test_more_than_the_pool_wait_their_turn(database: Database) -> None:
    await asyncio.gather(*(put(database, f"{number:03}") for number in range(40)))
    assert len(await database.fetch(ALL)) == 40


async def test_who_is_cancelled_gives_the_connection_back(database: Database) -> None:
    for _ in range(12):
        task = asyncio.create_task(put(database, "never"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        await asyncio.gather(*(put(database, f"{number:03}") for number in range(6)))


async def test_a_deadlock_is_told_to_one_of_the_two(database: Database) -> None:
    await put(database, "a")
    await put(database, "b")
    ready = asyncio.Barrier(2)

    async def swap(first: str, second: str) -> None:
        async with database.transaction() as transaction:
            await transaction.fetch_one(LOCKED, thing_id=first)
            await ready.wait()
            await transaction.execute(SET, id=second, new_amount=2)

    results = await asyncio.gather(swap("a", "b"), swap("b", "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Aborted", "NoneType"]


async def test_the_program_s_own_errors_are_not_blamed_on_the_database(database: Database) -> None:
    with pytest.raises(OSError, match="mine"):
        async with database.transaction():
            raise OSError("mine")


async def test_a_url_may_say_how_to_connect(postgres_url: str) -> None:
    database = await open_database(postgres_url.replace("postgresql://", "postgres://") + "?sslmode=disable")
    await database.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.UniqueViolationError("x"), UniqueViolation),
        (asyncpg.DiskFullError("x"), ResourceExhausted),
        (asyncpg.SerializationError("x"), Aborted),
        (asyncpg.DeadlockDetectedError("x"), Aborted),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (asyncpg.CannotConnectNowError("x"), Unavailable),
        (asyncpg.InterfaceError("x"), Unavailable),
        (ConnectionResetError("x"), Unavailable),
        (TimeoutError("x"), Unavailable),
        (asyncpg.NotNullViolationError("x"), asyncpg.NotNullViolationError),
    ],
)
def test_faults_are_told_as_what_they_mean(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error)) is kind
