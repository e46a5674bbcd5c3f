"""The unit of work that the domains use, the same for both databases.

Invariants:

* A transaction is committed whole or not at all, and durably before its ``async with`` block is left.
* Inside a transaction nothing but the transaction itself is awaited: no network, no disk, no key provider. On
  SQLite every other writer waits meanwhile.
* A read outside of a transaction sees everything that was committed before it began.
* A transaction in which a statement failed is over: nothing more runs in it, and it cannot commit.
* A transaction's outcome, even its failure, is reported only once everything that it has read is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from zegel_server.db.statement import Dialect, Statement

T = TypeVar("T")

Row = Any
"""A named tuple with the statement's columns."""


class UniqueViolation(Exception):  # noqa: N818 - named as SQL names it
    """A row with that key already exists; the transaction cannot go on."""


class StillReferenced(Exception):  # noqa: N818 - as the others
    """A row to be deleted is referred to by another, or a row refers to a missing one; the transaction cannot go on."""


class TransactionOver(Exception):  # noqa: N818 - named as the others of its kind
    """A statement was run in a transaction that had ended or in which another statement had failed: a bug."""


class Reader(Protocol):
    """Something that reads rows."""

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """Runs a query.

        Args:
            statement: The query.
            values: Its parameters.

        Returns:
            Every row.

        Raises:
            Unavailable: The database does not answer.
        """
        ...

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """Runs a query and returns its first row, or ``None``."""
        ...


class Transaction(Reader, Protocol):
    """A transaction under way."""

    async def execute(self, statement: Statement, **values: Any) -> int:
        """Runs a statement and returns how many rows it changed.

        Raises:
            UniqueViolation: A row with that key already exists.
        """
        ...

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Runs a statement once for each row.

        Args:
            statement: The statement.
            rows: Its parameters, one mapping per run.

        Raises:
            UniqueViolation: A row with that key already exists.
        """
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Registers a callback to run once the transaction is durable; it does not run if the transaction fails.

        Args:
            callback: Must not block. What it raises goes only to the event loop's exception handler.
        """
        ...

    def notify(self, topic: str) -> None:
        """Calls a topic's listeners once the transaction is durable; not if it fails.

        Args:
            topic: A word of letters, digits and underscores.
        """
        ...


class Database(Reader, Protocol):
    """Where the rows are."""

    dialect: Dialect

    def listen(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Registers a callback to run after transactions that notify a topic.

        Calls may be lost or repeated: other processes' notifications arrive only on PostgreSQL, and only while the
        listening connection lasts. So listeners must also poll from time to time.

        Args:
            topic: The topic.
            callback: Must not block.

        Returns:
            A function that removes the callback.
        """
        ...

    @property
    def hears_others(self) -> bool:
        """Whether other processes' notifications arrive at this moment."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begins a transaction; it commits if the block ends without an exception, and rolls back otherwise.

        Raises:
            ResourceExhausted: The disk is full (``STORAGE_FULL``); nothing was committed.
            Unavailable: The database does not answer.
        """
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


async def to_its_end(work: Awaitable[T]) -> T:
    """Awaits something to its end, even if the awaiting task is cancelled meanwhile.

    A connection must not be reused while a ``BEGIN`` or ``COMMIT`` may still be running on it.

    Args:
        work: What to await.

    Returns:
        The result.

    Raises:
        CancelledError: The task was cancelled meanwhile; the work has ended nevertheless.
    """
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not running.cancelled():
            running.exception()  # retrieved, or asyncio would warn that nobody did
        raise cancelled
    return running.result()


def run_callbacks(callbacks: Iterable[Callable[[], None]]) -> None:
    """Runs the callbacks of a commit; if one raises, the others still run.

    Args:
        callbacks: The callbacks that ``after_commit`` was given.
    """
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - the commit stands, whatever becomes of what follows it
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a callback after a commit failed", "exception": error}
            )
