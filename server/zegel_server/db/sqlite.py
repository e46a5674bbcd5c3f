"""SQLite: reads on the event loop, writes through one writer that commits waiting transactions together.

A read of a cached page blocks the loop for some tens of microseconds, less than a thread switch costs. The slow part is
the fsync of a commit: it runs in a thread, and the transactions that arrive meanwhile queue up and share the next one.
Each transaction is a savepoint in the batch, so that one that fails does not take others with it.

Invariants:

* WAL with ``synchronous=FULL``: a transaction is on the disk before its block is left.
* One connection writes, one reads; both are used on the loop, except for ``COMMIT`` and a ``BEGIN`` that waits for
  another process, which run in the writer's own thread while the lock is held.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from copy import copy
from functools import partial
from typing import Any, Final, NoReturn

from zegel_server.db.database import (
    Row,
    StillReferenced,
    Transaction,
    TransactionOver,
    UniqueViolation,
    run_callbacks,
    to_its_end,
)
from zegel_server.db.listeners import Listeners
from zegel_server.db.statement import Dialect, Statement
from zegel_server.errors import DataLoss, ResourceExhausted, Unavailable, ZegelError

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a write waits for another process's transaction: longer than any of ours takes."""

STATEMENT_CACHE: Final = 512
"""Prepared statements a connection keeps: more than the server has."""

_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # a wrapped key that was deleted does not stay behind in a free page
    "PRAGMA recursive_triggers = ON",  # so that DELETE triggers also fire for REPLACE
    "PRAGMA temp_store = MEMORY",  # rollback data of statements and savepoints needs no file
    "PRAGMA cache_size = -65536",
    "PRAGMA mmap_size = 268435456",
)

_VIOLATIONS: Final[dict[int, type[Exception]]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: StillReferenced,
}


def connect(path: str) -> sqlite3.Connection:
    """Opens a connection with the settings that durability depends on.

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
        _raise(error)
    return connection


def translate(error: sqlite3.Error) -> Exception:
    """The error that a caller gets for a database error.

    Args:
        error: As SQLite raised it.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        violated = _VIOLATIONS.get(getattr(error, "sqlite_errorcode", 0))
        return error if violated is None else violated(str(error))
    if code == sqlite3.SQLITE_FULL:
        return ResourceExhausted("The disk is full.", reason="STORAGE_FULL")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DataLoss("The database is damaged.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        return Unavailable("The database does not answer now.", dependency="database")
    return error


def _raise(error: sqlite3.Error) -> NoReturn:
    """Raises the error that a caller gets.

    Never makes an error its own cause: code that follows causes, such as the log's, would loop for ever.
    """
    told = translate(error)
    if told is error:
        raise error
    raise told from error


class SqliteTransaction:
    """One savepoint of the writer's batch."""

    def __init__(self, connection: sqlite3.Connection, listeners: Listeners) -> None:
        self._connection = connection
        self._listeners = listeners
        self.over = False
        self.callbacks: list[Callable[[], None]] = []

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("sqlite")
        return [
            statement.make_row(row)
            for row in self._run(self._connection.execute, compiled.sql, compiled.arguments(values)).fetchall()
        ]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        rows = await self.fetch(statement, **values)
        return rows[0] if rows else None

    async def execute(self, statement: Statement, **values: Any) -> int:
        """See ``Transaction.execute``."""
        compiled = statement.on("sqlite")
        return self._run(self._connection.execute, compiled.sql, compiled.arguments(values)).rowcount

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """See ``Transaction.execute_many``."""
        compiled = statement.on("sqlite")
        self._run(self._connection.executemany, compiled.sql, [compiled.arguments(row) for row in rows])

    def end(self) -> None:
        """Checks that no statement failed.

        Raises:
            TransactionOver: A statement failed, and the caller went on.
        """
        if self.over:
            raise TransactionOver

    def _run(self, run: Callable[[str, Any], sqlite3.Cursor], sql: str, arguments: Any) -> sqlite3.Cursor:
        # After some errors SQLite rolls back by itself: further statements would then commit on their own.
        if self.over:
            raise TransactionOver
        try:
            return run(sql, arguments)
        except sqlite3.Error as error:
            self.over = True
            _raise(error)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """See ``Transaction.after_commit``."""
        self.callbacks.append(callback)

    def notify(self, topic: str) -> None:
        """See ``Transaction.notify``."""
        self.callbacks.append(partial(self._listeners.call, topic))


class SqliteDatabase:
    """Rows in one SQLite file.

    Args:
        path: The file; its folder exists.

    Raises:
        Unavailable: The file cannot be opened.
    """

    dialect: Dialect = "sqlite"
    hears_others = False

    def __init__(self, path: str) -> None:
        self._listeners = Listeners()
        self._writing = connect(path)
        self._reading = connect(path)
        self._reading.execute("PRAGMA query_only = ON")
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        self._waiting: list[tuple[asyncio.Future[None], list[Callable[[], None]]]] = []
        self._committer: asyncio.Task[None] | None = None
        self._holder: asyncio.Task[Any] | None = None

    def listen(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """See ``Database.listen``."""
        return self._listeners.add(topic, callback)

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("sqlite")
        try:
            rows = self._reading.execute(compiled.sql, compiled.arguments(values)).fetchall()
        except sqlite3.Error as error:
            _raise(error)
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("sqlite")
        try:
            row = self._reading.execute(compiled.sql, compiled.arguments(values)).fetchone()
        except sqlite3.Error as error:
            _raise(error)
        return None if row is None else statement.make_row(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See ``Database.transaction``."""
        if self._holder is not None and self._holder is asyncio.current_task():
            message = "a transaction began inside another of the same task and would wait for it for ever"
            raise RuntimeError(message)
        transaction = SqliteTransaction(self._writing, self._listeners)
        failure: Exception | None = None
        async with self._lock:
            await self._begin()
            self._holder = asyncio.current_task()
            try:
                yield transaction
                transaction.end()
                self._writing.execute("RELEASE unit")
            except BaseException as error:
                self._undo()
                self._schedule_commit()
                if not isinstance(error, Exception) or not self._waiting:
                    raise
                failure = error
            finally:
                self._holder = None
                transaction.over = True
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((durable, transaction.callbacks if failure is None else []))
            self._schedule_commit()
        # If the caller is cancelled here, its commit goes on: it is part of the batch. A failed transaction waits too:
        # the cause may be a row that another of the batch wrote, which nobody else sees before the commit.
        await asyncio.shield(durable)
        if failure is not None:
            raise failure

    async def _begin(self) -> None:
        if not self._writing.in_transaction:
            try:
                self._writing.execute("PRAGMA busy_timeout = 0")
                self._writing.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                await self._begin_late()
        self._writing.execute("SAVEPOINT unit")

    async def _begin_late(self) -> None:
        """Waits in a thread until another process has released the lock, and begins."""
        self._writing.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        try:
            await self._off_loop("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            _raise(error)
        except asyncio.CancelledError:
            self._schedule_commit()  # an open transaction would keep every other process waiting
            raise

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
        # The lock is fair: a transaction that already waits for it joins this batch.
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
        for durable, callbacks in done:
            if not durable.done():
                durable.set_result(None)
            run_callbacks(callbacks)

    def _fail(self, error: Exception) -> None:
        failed, self._waiting = self._waiting, []
        for durable, _ in failed:
            if not durable.done():
                # A new exception for each: one raised in several tasks would collect the tracebacks of all.
                told = copy(error) if isinstance(error, ZegelError) else error
                durable.set_exception(told)
                durable.exception()  # a caller that was cancelled never reads it

    async def _off_loop(self, sql: str) -> None:
        # To its end, because the lock must not be released while the thread uses the connection.
        await to_its_end(asyncio.get_running_loop().run_in_executor(self._thread, self._writing.execute, sql))

    async def close(self) -> None:
        """See ``Database.close``."""
        if self._committer is not None:
            await self._committer
        async with self._lock:
            self._writing.close()
            self._reading.close()
            self._thread.shutdown(wait=True)
