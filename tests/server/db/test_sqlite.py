"""SQLite's own troubles: a full disk, a commit that fails, another process that writes, a kill."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.rows import ALL, INSERT, make_tables
from zegel_server.db import Database
from zegel_server.db import sqlite as module
from zegel_server.db.sqlite import SqliteDatabase
from zegel_server.errors import DataLoss, ResourceExhausted, Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    await make_tables(f"sqlite:///{path}")
    database = SqliteDatabase(str(path))
    yield database
    await database.close()


class Failing:
    """The writer's connection, whose commits fail as told."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code
        self.failures = 1

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql == "COMMIT" and self.failures:
            self.failures -= 1
            error = sqlite3.OperationalError("made to fail")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def put(database: Database, thing_id: str, amount: int = 1) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id=thing_id, amount=amount)


async def names(database: Database) -> list[str]:
    return [row.thing_id for row in await database.fetch(ALL)]


async def test_it_is_set_up_to_survive_a_power_cut(database: SqliteDatabase) -> None:
    for connection in (database._writing, database._reading):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)


async def test_a_read_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.fetch(INSERT, thing_id="a", amount=1)


async def test_those_who_wait_together_share_a_commit(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[str] = []
    off_loop = database._off_loop

    async def count(sql: str) -> None:
        commits.append(sql)
        await off_loop(sql)

    monkeypatch.setattr(database, "_off_loop", count)
    await asyncio.gather(*(put(database, f"{number:03}") for number in range(100)))
    assert len(await names(database)) == 100
    assert commits.count("COMMIT") <= 3


async def test_a_full_disk_is_told_and_loses_nothing(database: SqliteDatabase) -> None:
    await put(database, "before")
    [pages] = database._writing.execute("PRAGMA page_count").fetchone()
    database._writing.execute(f"PRAGMA max_page_count = {pages + 4}")
    results = await asyncio.gather(
        put(database, "small"), put(database, "x" * 200_000), put(database, "other"), return_exceptions=True
    )
    assert isinstance(results[1], ResourceExhausted)
    assert results[1].reason == "STORAGE_FULL"
    present = await names(database)
    # Whoever was told that it went through is there, and nobody else: SQLite may take the whole batch back.
    told = [name for name, result in zip(("small", "other"), results[::2], strict=True) if result is None]
    assert sorted(present) == sorted(["before", *told])
    assert all(result is None or isinstance(result, Unavailable) for result in results[::2])
    database._writing.execute("PRAGMA max_page_count = 1000000")
    await put(database, "after")
    assert "after" in await names(database)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR, Unavailable),
        (sqlite3.SQLITE_FULL, ResourceExhausted),
        (sqlite3.SQLITE_CORRUPT, DataLoss),
        (sqlite3.SQLITE_MISUSE, sqlite3.OperationalError),
    ],
)
async def test_a_commit_that_fails_fails_for_everybody_in_it(
    database: SqliteDatabase, code: int, kind: type[Exception]
) -> None:
    failing = Failing(database._writing, code)
    database._writing = failing  # type: ignore[assignment]
    followed: list[int] = []

    async def work(number: int) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id=str(number), amount=1)
            transaction.after_commit(lambda: followed.append(number))

    results = await asyncio.gather(*(work(number) for number in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [kind] * 5
    if kind is Unavailable:
        assert results[0].metadata == {"dependency": "database"}  # type: ignore[union-attr]
        assert results[0] is not results[1]
    assert followed == []
    assert await names(database) == []
    await work(9)
    assert await names(database) == ["9"]
    assert followed == [9]


async def test_another_process_that_writes_is_waited_for_off_the_loop(database: SqliteDatabase, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO things VALUES ('theirs', 1)")
    writing = asyncio.create_task(put(database, "ours"))
    ticks = 0
    for _ in range(30):
        await asyncio.sleep(0.005)
        ticks += 1
        assert await names(database) == []  # reads go on meanwhile
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(writing, 10)
    assert await names(database) == ["ours", "theirs"]
    assert ticks == 30


async def test_another_process_that_never_ends_is_not_waited_for_for_ever(
    database: SqliteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 100)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refused:
        await put(database, "ours")
    assert refused.value.metadata == {"dependency": "database"}
    other.execute("ROLLBACK")
    await put(database, "later")
    assert await names(database) == ["later"]
    other.close()


async def test_cancelled_while_it_waits_it_lets_the_lock_go(database: SqliteDatabase, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(put(database, "ours"))
    await asyncio.sleep(0.02)
    writing.cancel()
    writing.cancel()
    await asyncio.sleep(0.02)
    writing.cancel()
    other.execute("ROLLBACK")
    with pytest.raises(asyncio.CancelledError):
        await writing
    await asyncio.sleep(0)
    async with asyncio.timeout(60), database._lock:
        assert not database._writing.in_transaction
    other.execute("PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")  # raises where the lock is still held
    other.close()


async def test_a_transaction_inside_another_is_a_defect_and_no_deadlock(database: SqliteDatabase) -> None:
    async def work() -> None:
        async with asyncio.timeout(60), database.transaction() as transaction:
            await transaction.execute(INSERT, thing_id="a", amount=1)
            await put(database, "b")

    with pytest.raises(RuntimeError, match="inside another"):
        await work()
    assert await names(database) == []
    await put(database, "c")
    assert await names(database) == ["c"]


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "not.db"
    path.write_bytes(b"%PDF-1.7 " * 1_000)
    with pytest.raises(DataLoss):
        SqliteDatabase(str(path))


@pytest.mark.faults
async def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    await make_tables(f"sqlite:///{path}")
    program = textwrap.dedent("""
        import asyncio, sys
        from support.rows import INSERT
        from zegel_server.db.sqlite import SqliteDatabase

        async def put(database, number):
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, thing_id=f"{number:06}-first", amount=1)
                await transaction.execute(INSERT, thing_id=f"{number:06}-second", amount=1)
            print(number, flush=True)

        async def main():
            database, number = SqliteDatabase(sys.argv[1]), 0
            while True:
                await asyncio.gather(*(put(database, number + each) for each in range(8)))
                number += 8

        asyncio.run(main())
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    acknowledged = {int(process.stdout.readline()) for _ in range(50)}
    process.send_signal(signal.SIGKILL)
    acknowledged |= {int(line) for line in process.stdout.read().splitlines() if line.isdigit()}
    process.wait()
    process.stdout.close()

    database = SqliteDatabase(str(path))
    present = await names(database)
    await database.close()
    firsts = {int(name.partition("-")[0]) for name in present if name.endswith("first")}
    seconds = {int(name.partition("-")[0]) for name in present if name.endswith("second")}
    assert firsts == seconds, "a transaction was half done"
    assert acknowledged <= firsts, "what was acknowledged is gone"
