"""The unit of work that the domains see, whichever database stands behind it.

Invariants:

* A transaction is committed whole or not at all, and durably before its ``async with`` block is left.
* Inside a transaction nothing is awaited but the transaction itself: no network, no disk, no key provider. On SQLite
  every other writer waits meanwhile.
* A read outside of a transaction sees what was committed before it began: never anything older.
* A transaction in which a statement failed is over: nothing more runs in it, and it cannot commit.
* What a transaction ends with, its failure too, is told only once everything that it saw is durable.
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
    """A row of that key exists already; the transaction it happened in is over."""


class StillReferenced(Exception):  # noqa: N818 - as the others
    """A row that another one names was to be deleted, or one that is not there was named; the transaction is over."""


class TransactionOver(Exception):  # noqa: N818 - named as the others of its kind
    """A statement was given to a transaction that had ended, or in which another had failed: a defect."""


class Reader(Protocol):
    """What reads rows."""

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
            UniqueViolation: A row of that key exists already.
        """
        ...

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Runs a statement once a row.

        Args:
            statement: The statement.
            rows: Its parameters, one mapping a run.

        Raises:
            UniqueViolation: A row of that key exists already.
        """
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Has something done once the transaction is durable, and not where it fails.

        Args:
            callback: Must not block. What it raises is told to the loop's exception handler and to nobody else.
        """
        ...

    def notify(self, topic: str) -> None:
        """Calls whoever listens to a topic once the transaction is durable, and not where it fails.

        Args:
            topic: A word of letters, digits and underscores.
        """
        ...


class Database(Reader, Protocol):
    """Where the rows are."""

    dialect: Dialect

    def listen(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Has something called after transactions that notify a topic.

        Calls may be lost or come twice: PostgreSQL's other processes are heard as long as a connection to it lasts,
        SQLite's are not. Whoever listens therefore looks from time to time as well.

        Args:
            topic: The topic.
            callback: Must not block.

        Returns:
            What ends it.
        """
        ...

    @property
    def hears_others(self) -> bool:
        """Whether the transactions of other processes are heard at this moment."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begins a transaction; it commits where the block is left without an exception, and rolls back otherwise.

        Raises:
            ResourceExhausted: The disk is full (``STORAGE_FULL``); nothing was committed.
            Unavailable: The database does not answer.
        """
        ...

    async def close(self) -> None:
        """Lets every connection go."""
        ...


async def to_its_end(work: Awaitable[T]) -> T:
    """Awaits something to its end, even where the awaiting task is cancelled meanwhile.

    A connection must not be handed on while a ``BEGIN`` or ``COMMIT`` may still be under way on it.

    Args:
        work: What to await.

    Returns:
        What it returns.

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
            running.exception()  # read, or the loop would complain that nobody did
        raise cancelled
    return running.result()


def run_callbacks(callbacks: Iterable[Callable[[], None]]) -> None:
    """Runs what waited for a commit: one that raises keeps no other from running.

    Args:
        callbacks: What ``after_commit`` was given.
    """
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - the commit stands, whatever becomes of what follows it
            asyncio.get_running_loop().call_exception_handler(
                {"message": "what was to follow a commit failed", "exception": error}
            )
