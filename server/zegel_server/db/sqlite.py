"""SQLite: reads on the event loop, writes through one writer that commits together what waits together.

A read of a cached page blocks the loop for some tens of microseconds, less than a hop to a thread costs. What takes
long is the fsync of a commit: it runs in a thread, and while it does, the transactions that come in meanwhile queue up
and share the next one. Each transaction is a savepoint in the batch, so that one that fails takes no other with it.

Invariants:

* WAL with ``synchronous=FULL``: a transaction is on the disk before its block is left.
* One connection writes, one reads; both stay with the loop, but for ``COMMIT`` and a ``BEGIN`` that has to wait for
  another process, which run in the writer's own thread while the lock is held.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from zegel_server.db.database import Row, Transaction, UniqueViolation
from zegel_server.db.statement import Dialect, Statement
from zegel_server.errors import ResourceExhausted, Unavailable, ZegelError

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a write waits for another process's transaction: longer than any of ours takes."""

STATEMENT_CACHE: Final = 512
"""Prepared statements a connection keeps: more than the server has."""

_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # a wrapped key that was deleted does not stay behind in a free page
    "PRAGMA cache_size = -65536",
    "PRAGMA mmap_size = 268435456",
)


def connect(path: str) -> sqlite3.Connection:
    """Opens a connection with the settings that durability rests on.

    Args:
        path: The database's file.

    Raises:
        Unavailable: The file cannot be opened.
    """
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENT_CACHE
        )
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        for setting in _SETTINGS:
            connection.execute(setting)
    except sqlite3.Error as error:
        raise translate(error) from error
    return connection


def translate(error: sqlite3.Error) -> Exception:
    """What a caller is told of a fault of the database.

    Args:
        error: As SQLite raised it.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        extended = getattr(error, "sqlite_errorcode", 0)
        if extended in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
            return UniqueViolation(str(error))
        return error
    if code == sqlite3.SQLITE_FULL:
        return ResourceExhausted("The disk is full.", reason="STORAGE_FULL")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        return Unavailable("The database does not answer now.", dependency="database")
    return error


def _rows(connection: sqlite3.Connection, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
    compiled = statement.on("sqlite")
    try:
        return [
            statement.make_row(row) for row in connection.execute(compiled.sql, compiled.arguments(values)).fetchall()
        ]
    except sqlite3.Error as error:
        raise translate(error) from error


class SqliteTransaction:
    """One savepoint of the writer's batch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.callbacks: list[Callable[[], None]] = []

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        return _rows(self._connection, statement, values)

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        rows = _rows(self._connection, statement, values)
        return rows[0] if rows else None

    async def execute(self, statement: Statement, **values: Any) -> int:
        """See ``Transaction.execute``."""
        compiled = statement.on("sqlite")
        try:
            return self._connection.execute(compiled.sql, compiled.arguments(values)).rowcount
        except sqlite3.Error as error:
            raise translate(error) from error

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """See ``Transaction.execute_many``."""
        compiled = statement.on("sqlite")
        try:
            self._connection.executemany(compiled.sql, map(compiled.arguments, rows))
        except sqlite3.Error as error:
            raise translate(error) from error

    def after_commit(self, callback: Callable[[], None]) -> None:
        """See ``Transaction.after_commit``."""
        self.callbacks.append(callback)


class SqliteDatabase:
    """Rows in one SQLite file.

    Args:
        path: The file; its folder exists.

    Raises:
        Unavailable: The file cannot be opened.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, path: str) -> None:
        self._writing = connect(path)
        self._reading = connect(path)
        self._reading.execute("PRAGMA query_only = ON")
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        self._waiting: list[tuple[asyncio.Future[None], SqliteTransaction]] = []
        self._committer: asyncio.Task[None] | None = None

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        return _rows(self._reading, statement, values)

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("sqlite")
        try:
            row = self._reading.execute(compiled.sql, compiled.arguments(values)).fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return None if row is None else statement.make_row(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See ``Database.transaction``."""
        transaction = SqliteTransaction(self._writing)
        async with self._lock:
            await self._begin()
            self._writing.execute("SAVEPOINT unit")
            try:
                yield transaction
                self._writing.execute("RELEASE unit")
            except BaseException:
                self._undo()
                self._schedule_commit()
                raise
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((durable, transaction))
            self._schedule_commit()
        # A caller that is cancelled here leaves its commit to go on: it is in the batch.
        await asyncio.shield(durable)

    async def _begin(self) -> None:
        if self._writing.in_transaction:
            return
        try:
            self._writing.execute("PRAGMA busy_timeout = 0")
            self._writing.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            # Another process writes: wait for it off the loop.
            self._writing.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            try:
                await self._off_loop("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise translate(error) from error

    def _undo(self) -> None:
        if self._writing.in_transaction:
            self._writing.execute("ROLLBACK TO unit")
            self._writing.execute("RELEASE unit")
        else:
            # SQLite rolled the whole batch back by itself (disk full, I/O error): nobody in it was committed.
            self._fail(Unavailable("The database does not answer now.", dependency="database"))

    def _schedule_commit(self) -> None:
        if self._committer is None:
            self._committer = asyncio.get_running_loop().create_task(self._commit())

    async def _commit(self) -> None:
        # The lock is fair: whoever waits for it already gets into this batch.
        async with self._lock:
            self._committer = None
            if not self._writing.in_transaction:
                return
            try:
                await self._off_loop("COMMIT")
            except sqlite3.Error as error:
                if self._writing.in_transaction:
                    with suppress(sqlite3.Error):
                        self._writing.execute("ROLLBACK")
                self._fail(translate(error))
                return
            done, self._waiting = self._waiting, []
        for durable, transaction in done:
            if not durable.done():
                durable.set_result(None)
            for callback in transaction.callbacks:
                callback()

    def _fail(self, error: Exception) -> None:
        failed, self._waiting = self._waiting, []
        for durable, _ in failed:
            if not durable.done():
                told = type(error)(error.message, reason=error.reason) if isinstance(error, ZegelError) else error
                durable.set_exception(told)
                durable.exception()  # a caller that was cancelled never reads it

    async def _off_loop(self, sql: str) -> None:
        # Shielded: the lock must not be let go while the thread still has the connection.
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._writing.execute, sql)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            with suppress(sqlite3.Error):
                await running
            raise

    async def close(self) -> None:
        """See ``Database.close``."""
        if self._committer is not None:
            await self._committer
        async with self._lock:
            self._writing.close()
            self._reading.close()
            self._thread.shutdown(wait=True)
