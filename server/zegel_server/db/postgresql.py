"""PostgreSQL through asyncpg: pooled connections, prepared statements, as few round trips as it takes.

Invariants:

* Reads outside of a transaction go to the primary and see every commit that came before.
* Transactions are ``READ COMMITTED``: whoever changes a row under a rule locks it first (``SELECT ... FOR UPDATE``).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from zegel_server.db.database import Row, Transaction, UniqueViolation
from zegel_server.db.statement import Dialect, Statement
from zegel_server.errors import Aborted, ResourceExhausted, Unavailable

COMMAND_TIMEOUT_S: Final = 30.0
"""The longest a statement may take: far above any of ours, so only a database in trouble meets it."""

CONNECT_TIMEOUT_S: Final = 10.0
"""How long a new connection may take to come about."""


def translate(error: BaseException) -> BaseException:
    """What a caller is told of a fault of the database.

    Args:
        error: As asyncpg raised it.
    """
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(error.constraint_name or "")
    if isinstance(error, asyncpg.DiskFullError):
        return ResourceExhausted("The disk is full.", reason="STORAGE_FULL")
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Aborted("Somebody else changed the same thing at the same time.")
    if isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        | asyncpg.OperatorInterventionError
        | asyncpg.InsufficientResourcesError
        | OSError
        | TimeoutError,
    ):
        return Unavailable("The database does not answer now.", dependency="database")
    return error


_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


async def _keep_state(_connection: object) -> None:
    """Takes the place of asyncpg's reset at release: our statements leave no session state to reset."""


class PostgresqlTransaction:
    """A transaction on one connection of the pool."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.callbacks: list[Callable[[], None]] = []

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("postgresql")
        rows = await self._connection.fetch(compiled.sql, *compiled.arguments(values))
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("postgresql")
        row = await self._connection.fetchrow(compiled.sql, *compiled.arguments(values))
        return None if row is None else statement.make_row(row)

    async def execute(self, statement: Statement, **values: Any) -> int:
        """See ``Transaction.execute``."""
        compiled = statement.on("postgresql")
        try:
            tag: str = await self._connection.execute(compiled.sql, *compiled.arguments(values))
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(error.constraint_name or "") from error
        return int(tag.rpartition(" ")[2])

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """See ``Transaction.execute_many``."""
        compiled = statement.on("postgresql")
        try:
            await self._connection.executemany(compiled.sql, [compiled.arguments(row) for row in rows])
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(error.constraint_name or "") from error

    def after_commit(self, callback: Callable[[], None]) -> None:
        """See ``Transaction.after_commit``."""
        self.callbacks.append(callback)


class PostgresqlDatabase:
    """Rows in a PostgreSQL database.

    Args:
        pool: An open pool.
    """

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, *, pool_size: int) -> "PostgresqlDatabase":
        """Opens a pool.

        Args:
            url: ``postgresql://user:password@host:port/name``.
            pool_size: The most connections.

        Raises:
            Unavailable: The database does not answer.
        """
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=pool_size,
                command_timeout=COMMAND_TIMEOUT_S,
                timeout=CONNECT_TIMEOUT_S,
                reset=_keep_state,
                server_settings={"application_name": "zegel", "synchronous_commit": "on"},
            )
        except _FAULTS as error:
            raise translate(error) from error
        return cls(pool)

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("postgresql")
        try:
            rows = await self._pool.fetch(compiled.sql, *compiled.arguments(values))
        except _FAULTS as error:
            raise translate(error) from error
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("postgresql")
        try:
            row = await self._pool.fetchrow(compiled.sql, *compiled.arguments(values))
        except _FAULTS as error:
            raise translate(error) from error
        return None if row is None else statement.make_row(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See ``Database.transaction``."""
        try:
            async with self._pool.acquire() as connection:
                transaction = PostgresqlTransaction(connection)
                async with connection.transaction():
                    yield transaction
        except _FAULTS as error:
            raise translate(error) from error
        for callback in transaction.callbacks:
            callback()

    async def close(self) -> None:
        """See ``Database.close``."""
        await self._pool.close()
