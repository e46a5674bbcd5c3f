"""PostgreSQL through asyncpg: pooled connections, prepared statements, as few round trips as it takes.

Invariants:

* Reads outside of a transaction go to the primary and see every commit that came before.
* Transactions are ``READ COMMITTED``: whoever changes a row under a rule locks it first (``SELECT ... FOR UPDATE``).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import asyncpg

from zegel_server.db.database import (
    Row,
    StillReferenced,
    Transaction,
    TransactionOver,
    UniqueViolation,
    run_callbacks,
    to_its_end,
)
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
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return StillReferenced(error.constraint_name or "")
    if isinstance(error, asyncpg.DiskFullError):
        return ResourceExhausted("The disk is full.", reason="STORAGE_FULL")
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Aborted("Somebody else changed the same thing at the same time.")
    if isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError
        | asyncpg.OperatorInterventionError
        | asyncpg.InsufficientResourcesError
        | OSError
        | TimeoutError,
    ):
        return Unavailable("The database does not answer now.", dependency="database")
    return error


# The client's own state goes wrong when its connection is cut in the middle, so its internal errors are faults too.
_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


@contextmanager
def telling() -> Iterator[None]:
    """Raises what a caller is told of the faults in its block.

    Never an error as its own cause: whoever follows the causes, as the log does, would follow them for ever.
    """
    try:
        yield
    except _FAULTS as error:
        told = translate(error)
        if told is error:
            raise
        raise told from error


async def _keep_state(_connection: object) -> None:
    """Takes the place of asyncpg's reset at release: our statements leave no session state to reset."""


class PostgresqlTransaction:
    """A transaction on one connection of the pool."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.over = False
        self.callbacks: list[Callable[[], None]] = []

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("postgresql")
        rows = await self._run(self._connection.fetch, compiled.sql, *compiled.arguments(values))
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("postgresql")
        row = await self._run(self._connection.fetchrow, compiled.sql, *compiled.arguments(values))
        return None if row is None else statement.make_row(row)

    async def execute(self, statement: Statement, **values: Any) -> int:
        """See ``Transaction.execute``."""
        compiled = statement.on("postgresql")
        tag: str = await self._run(self._connection.execute, compiled.sql, *compiled.arguments(values))
        return int(tag.rpartition(" ")[2])

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """See ``Transaction.execute_many``."""
        compiled = statement.on("postgresql")
        await self._run(self._connection.executemany, compiled.sql, [compiled.arguments(row) for row in rows])

    async def _run(self, run: Callable[..., Awaitable[Any]], sql: str, *arguments: Any) -> Any:
        # PostgreSQL itself answers the COMMIT of a failed transaction with a silent rollback.
        if self.over:
            raise TransactionOver
        try:
            with telling():
                return await run(sql, *arguments)
        except BaseException:
            self.over = True
            raise

    def end(self) -> None:
        """Makes sure that nothing failed in it.

        Raises:
            TransactionOver: A statement failed, and whoever ran it went on.
        """
        if self.over:
            raise TransactionOver

    def after_commit(self, callback: Callable[[], None]) -> None:
        """See ``Transaction.after_commit``."""
        self.callbacks.append(callback)


async def _commit(unit: Any, callbacks: list[Callable[[], None]]) -> None:
    await unit.commit()
    run_callbacks(callbacks)


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
        with telling():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=pool_size,
                command_timeout=COMMAND_TIMEOUT_S,
                timeout=CONNECT_TIMEOUT_S,
                reset=_keep_state,
                server_settings={"application_name": "zegel", "synchronous_commit": "on"},
            )
        return cls(pool)

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("postgresql")
        with telling():
            rows = await self._pool.fetch(compiled.sql, *compiled.arguments(values))
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("postgresql")
        with telling():
            row = await self._pool.fetchrow(compiled.sql, *compiled.arguments(values))
        return None if row is None else statement.make_row(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See ``Database.transaction``."""
        with telling():
            connection = await self._pool.acquire()
        try:
            unit = connection.transaction()
            with telling():
                await unit.start()
            transaction = PostgresqlTransaction(connection)
            try:
                yield transaction
                transaction.end()
            except BaseException:
                transaction.over = True
                with suppress(*_FAULTS):  # the pool lets such a connection go
                    await to_its_end(unit.rollback())
                raise
            transaction.over = True
            with telling():
                await to_its_end(_commit(unit, transaction.callbacks))
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        """See ``Database.close``."""
        await self._pool.close()
