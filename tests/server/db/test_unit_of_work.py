"""What the domains rely on in a transaction, on SQLite and on PostgreSQL alike."""

import asyncio

import pytest

from support.rows import ALL, INSERT, LOCKED, ONE, SET
from zegel_server.db import Database, Statement, TransactionOver, UniqueViolation, open_database
from zegel_server.db.database import Reader
from zegel_server.db.factory import sqlite_path
from zegel_server.errors import Unavailable


async def put(database: Database, thing_id: str, amount: int = 1) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id=thing_id, amount=amount)


async def amount_of(reader: Reader, thing_id: str) -> int:
    [row] = await reader.fetch(ONE, thing_id=thing_id)
    return int(row.amount)


async def names(database: Database) -> list[str]:
    return [row.thing_id for row in await database.fetch(ALL)]


async def test_what_was_committed_is_seen_by_all_and_what_was_not_by_nobody(
    database: Database, database_url: str
) -> None:
    async with database.transaction() as transaction:
        assert await transaction.execute(INSERT, thing_id="a", amount=2**53) == 1
        assert await amount_of(transaction, "a") == 2**53
        assert await database.fetch_one(ONE, thing_id="a") is None
    assert await amount_of(database, "a") == 2**53
    other = await open_database(database_url)
    assert await names(other) == ["a"]
    await other.close()


async def test_an_exception_rolls_back_the_whole(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute_many(INSERT, [{"thing_id": "a", "amount": 1}, {"thing_id": "b", "amount": 2}])
            _ = 1 // (len(await transaction.fetch(ALL)) - 2)

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await names(database) == []
    await put(database, "c")
    assert await names(database) == ["c"]


async def test_a_key_that_is_taken_is_told_as_such(database: Database) -> None:
    await put(database, "a", 1)
    with pytest.raises(UniqueViolation):
        await put(database, "a", 2)

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute_many(INSERT, [{"thing_id": "b", "amount": 1}, {"thing_id": "a", "amount": 2}])

    with pytest.raises(UniqueViolation):
        await work()
    assert [(row.thing_id, row.amount) for row in await database.fetch(ALL)] == [("a", 1)]


async def test_a_transaction_cannot_go_on_after_a_failure_and_commits_nothing(database: Database) -> None:
    await put(database, "a")

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="b", amount=1)
            with pytest.raises(UniqueViolation):
                await transaction.execute(INSERT, thing_id="a", amount=1)
            with pytest.raises(TransactionOver):
                await transaction.execute(INSERT, thing_id="c", amount=1)
            with pytest.raises(TransactionOver):
                await transaction.fetch(ALL)

    with pytest.raises(TransactionOver):
        await work()
    assert await names(database) == ["a"]


async def test_a_transaction_that_has_ended_takes_nothing_more(database: Database) -> None:
    async with database.transaction() as transaction:
        pass
    with pytest.raises(TransactionOver):
        await transaction.execute(INSERT, thing_id="late", amount=1)
    assert await names(database) == []


async def test_all_that_run_at_once_are_durable(database: Database, database_url: str) -> None:
    wanted = sorted(f"thing-{number:03}" for number in range(150))
    await asyncio.gather(*(put(database, name) for name in wanted))
    other = await open_database(database_url)
    assert await names(other) == wanted
    await other.close()


async def test_one_that_fails_takes_no_other_with_it(database: Database) -> None:
    async def fail(number: int) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id=f"bad-{number}", amount=1)
            raise ZeroDivisionError

    works = [put(database, f"good-{number:02}") if number % 2 else fail(number) for number in range(60)]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError, type(None)] * 30
    assert await names(database) == sorted(f"good-{number:02}" for number in range(1, 60, 2))


async def test_who_fails_of_a_row_finds_it_committed(database: Database) -> None:
    """As with twenty identical requests: each loser looks for the winner's answer."""

    async def race(number: int) -> int:
        try:
            await put(database, "only", number)
        except UniqueViolation:
            return await amount_of(database, "only")
        return number

    winners = await asyncio.gather(*(race(number) for number in range(20)))
    assert len(set(winners)) == 1


async def test_what_a_rule_is_decided_on_stays_locked(database: Database) -> None:
    await put(database, "account", 0)

    async def add() -> None:
        async with database.transaction() as transaction:
            [row] = await transaction.fetch(LOCKED, thing_id="account")
            await asyncio.sleep(0)
            await transaction.execute(SET, id="account", new_amount=row.amount + 1)

    await asyncio.gather(*(add() for _ in range(40)))
    assert await amount_of(database, "account") == 40


@pytest.mark.parametrize("pause", [0.0, 0.0001], ids=["steps", "moments"])
async def test_cancelled_anywhere_it_is_whole_or_not_at_all(database: Database, pause: float) -> None:
    finished = 0
    for step in range(40):
        first, second = f"{step:02}-first", f"{step:02}-second"

        async def pair(first: str = first, second: str = second) -> None:
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, thing_id=first, amount=1)
                await asyncio.sleep(0)
                await transaction.execute(INSERT, thing_id=second, amount=1)

        task = asyncio.create_task(pair())
        for _ in range(step):
            await asyncio.sleep(pause)
        task.cancel()
        try:
            await task
            finished += 1
        except asyncio.CancelledError:
            pass
        await put(database, f"{step:02}-after")
        present = {name for name in await names(database) if name.startswith(f"{step:02}-")}
        assert present in ({f"{step:02}-after"}, {first, second, f"{step:02}-after"})
        assert task.cancelled() or first in present
    assert finished < 40, "none was cancelled in time: the test shows nothing"


async def test_what_follows_a_commit_follows_it_alone(database: Database) -> None:
    followed: list[str] = []
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id="a", amount=1)
        transaction.after_commit(lambda: followed.append("a"))
        assert followed == []
    assert followed == ["a"]

    async def fail() -> None:
        async with database.transaction() as transaction:
            transaction.after_commit(lambda: followed.append("never"))
            await transaction.execute(INSERT, thing_id="a", amount=1)

    with pytest.raises(UniqueViolation):
        await fail()
    await put(database, "b")
    assert followed == ["a"]


async def test_what_follows_a_commit_may_fail_and_keeps_nobody_waiting(database: Database) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))

    def fail() -> None:
        raise ZeroDivisionError

    async def work(thing_id: str) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id=thing_id, amount=1)
            transaction.after_commit(fail)

    async with asyncio.timeout(10):
        await asyncio.gather(*(work(name) for name in "abc"))
    assert await names(database) == ["a", "b", "c"]
    assert [type(each) for each in told] == [ZeroDivisionError] * 3


async def test_no_error_is_its_own_cause(database: Database) -> None:
    """Whoever renders a chain of causes would otherwise never end."""
    with pytest.raises(Exception, match=r"(?i)null") as refused:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="a", amount=None)
    assert refused.value.__cause__ is not refused.value


async def test_a_missing_value_is_a_defect_that_reaches_no_database(database: Database) -> None:
    with pytest.raises(KeyError):
        await database.fetch(ONE)
    with pytest.raises(KeyError):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="a")
    assert await names(database) == []


async def test_an_empty_batch_of_rows_changes_nothing(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_many(INSERT, [])
    assert await names(database) == []


@pytest.mark.parametrize("url", ["mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "rows.db", ""])
async def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        await open_database(url)


async def test_a_database_that_is_not_there_does_not_answer(tmp_path: object) -> None:
    with pytest.raises(Unavailable):
        await open_database(f"sqlite:///{tmp_path}/no/such/folder/rows.db")
    with pytest.raises(Unavailable):
        await open_database("postgresql://zegel:x@127.0.0.1:1/zegel")


def test_a_sqlite_url_names_a_file() -> None:
    assert sqlite_path("sqlite:////var/zegel.db") == "/var/zegel.db"
    assert sqlite_path("sqlite:///zegel.db") == "zegel.db"


def test_a_statement_is_compiled_once() -> None:
    statement = Statement(ONE._elements["sqlite"])
    assert statement.on("sqlite") is statement.on("sqlite")
    assert statement.on("postgresql").sql != statement.on("sqlite").sql
