"""PostgreSQL through asyncpg: pooled connections, prepared statements, as few round trips as possible.

Invariants:

* Reads outside of a transaction go to the primary and see every earlier commit.
* Transactions are ``READ COMMITTED``: code that checks a row first locks it (``SELECT ... FOR UPDATE``).
* A notification is sent after its transaction, not in it: PostgreSQL commits only one notifying transaction at
  a time, across all databases of the server. Listeners poll for those that are lost with a process.
* Nobody waits without end: for a connection, a statement, or the end of a connection that does not answer any more.
  While the database keeps its callers waiting, it is left alone for a while, and they are refused at once.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
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
from zegel_server.db.listeners import Listeners
from zegel_server.db.statement import Dialect, Statement
from zegel_server.errors import Aborted, ResourceExhausted, Unavailable
from zegel_server.neighbours.calls import Breaker, NeighbourMetrics, State

COMMAND_TIMEOUT_S: Final = 20.0
"""The longest a statement may take, and a wait for a connection: far longer than any of ours takes, so only a database
in trouble reaches it; shorter than a call may take, so that the call can say why it failed."""

QUICK_S: Final = 5.0
"""A failure within so many seconds kept nobody waiting: a database that is restarted is used again at once."""

FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 5.0
"""How long the database is left alone, the first time and at most: nothing works meanwhile."""

RELEASE_S: Final = 2.0
"""How long a connection may take to be free again after an interrupted statement; then it is closed."""

CONNECT_TIMEOUT_S: Final = 10.0
"""The longest that opening a connection may take."""

CHANNEL: Final = "zegel"
"""The channel of all notifications; the payload is sender and topic."""

LISTEN_AGAIN_S: Final = 2.0
"""Seconds before the listening connection is opened again."""


def translate(error: BaseException) -> BaseException:
    """The error that a caller gets for a database error.

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
        return away()
    return error


def away() -> Unavailable:
    """The error for a database that does not answer."""
    return Unavailable("The database does not answer now.", dependency="database")


def _is_away(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and error.metadata.get("dependency") == "database"


# asyncpg's state becomes invalid if its connection breaks mid-call, so its internal errors count as faults too.
_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


@contextmanager
def telling() -> Iterator[None]:
    """Translates database errors raised in its block.

    Never makes an error its own cause: code that follows causes, such as the log's, would loop for ever.
    """
    try:
        yield
    except _FAULTS as error:
        told = translate(error)
        if told is error:
            raise
        raise told from error


async def _keep_state(_connection: object) -> None:
    """Replaces asyncpg's reset at release: our statements leave no session state to reset."""


class PostgresqlTransaction:
    """A transaction on one connection of the pool."""

    def __init__(self, connection: Any, notify: Callable[[str], None]) -> None:
        self._connection = connection
        self._notify = notify
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
        # PostgreSQL answers the COMMIT of a failed transaction with a silent rollback.
        if self.over:
            raise TransactionOver
        try:
            with telling():
                return await run(sql, *arguments)
        except BaseException:
            self.over = True
            raise

    def end(self) -> None:
        """Checks that no statement failed.

        Raises:
            TransactionOver: A statement failed, and the caller went on.
        """
        if self.over:
            raise TransactionOver

    def after_commit(self, callback: Callable[[], None]) -> None:
        """See ``Transaction.after_commit``."""
        self.callbacks.append(callback)

    def notify(self, topic: str) -> None:
        """See ``Transaction.notify``."""
        self.callbacks.append(partial(self._notify, topic))


async def _commit(unit: Any, callbacks: list[Callable[[], None]]) -> None:
    await unit.commit()
    run_callbacks(callbacks)


class PostgresqlDatabase:
    """Rows in a PostgreSQL database.

    Args:
        pool: An open pool.
        url: The database's URL, for the listening connection.
        metrics: Where it is told how the database does.
    """

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any, url: str, metrics: NeighbourMetrics | None = None) -> None:
        self._pool = pool
        self._breaker = Breaker(first_rest_s=FIRST_REST_S, longest_rest_s=LONGEST_REST_S)
        self._metrics = metrics
        self._url = url
        self._own_name = secrets.token_hex(8)
        self._listeners = Listeners()
        self._listening: asyncio.Task[None] | None = None
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._to_tell: set[str] = set()
        self.hears_others = False

    @classmethod
    async def connect(
        cls, url: str, *, pool_size: int, metrics: NeighbourMetrics | None = None
    ) -> "PostgresqlDatabase":
        """Opens a pool.

        Args:
            url: ``postgresql://user:password@host:port/name``.
            pool_size: The most connections.
            metrics: Where it is told how the database does.

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
        return cls(pool, url, metrics)

    def listen(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """See ``Database.listen``."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(), name="listening")
        return self._listeners.add(topic, callback)

    async def _listen(self) -> None:
        """Receives other processes' notifications on its own connection, which is reopened if it breaks."""
        while True:
            with suppress(*_FAULTS):
                await self._listen_once()
            self.hears_others = False
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _listen_once(self) -> None:
        ended = asyncio.Event()
        connection = await asyncpg.connect(
            self._url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "zegel listening"}
        )
        try:
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(CHANNEL, self._heard)
            self.hears_others = True
            self._listeners.call_all()  # for what was notified before this connection listened
            await ended.wait()
        finally:
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, topic = str(payload).partition(" ")
        if sender != self._own_name:
            self._listeners.call(topic)

    def _notify(self, topic: str) -> None:
        """Calls this process's listeners now and notifies other processes; calls during a send share the next one."""
        self._listeners.call(topic)
        if topic in self._telling:
            self._to_tell.add(topic)
            return
        self._telling[topic] = asyncio.get_running_loop().create_task(self._tell(topic), name=f"notifying {topic}")

    async def _tell(self, topic: str) -> None:
        try:
            again = True
            while again:
                self._to_tell.discard(topic)
                with suppress(*_FAULTS):
                    await self._pool.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{self._own_name} {topic}")
                again = topic in self._to_tell
        finally:
            del self._telling[topic]

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """See ``Reader.fetch``."""
        compiled = statement.on("postgresql")
        async with self._taken() as connection:
            with self._asking():
                rows = await connection.fetch(compiled.sql, *compiled.arguments(values))
        return [statement.make_row(row) for row in rows]

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """See ``Reader.fetch_one``."""
        compiled = statement.on("postgresql")
        async with self._taken() as connection:
            with self._asking():
                row = await connection.fetchrow(compiled.sql, *compiled.arguments(values))
        return None if row is None else statement.make_row(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See ``Database.transaction``."""
        async with self._taken() as connection:
            unit = connection.transaction()
            transaction = PostgresqlTransaction(connection, self._notify)
            try:
                with self._asking():
                    await to_its_end(unit.start())  # a BEGIN that is cut short may have begun
                yield transaction
                transaction.end()
            except BaseException as error:
                transaction.over = True
                if not _is_away(error):  # then the pool makes it, within the time for that, or ends the connection
                    with suppress(*_FAULTS):  # the pool discards such a connection
                        await to_its_end(unit.rollback())
                raise
            transaction.over = True
            with self._asking():
                await to_its_end(_commit(unit, transaction.callbacks))

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Any]:
        """A connection of the pool; refused at once while the database is left alone."""
        if not self._breaker.enter():
            raise away()
        with self._asking(answers=False):
            connection = await self._pool.acquire(timeout=COMMAND_TIMEOUT_S)
        try:
            yield connection
        finally:
            with suppress(*_FAULTS):
                await self._pool.release(connection, timeout=RELEASE_S)

    @contextmanager
    def _asking(self, *, answers: bool = True) -> Iterator[None]:
        """Translates what its block raises, and tells the breaker how it ended.

        Args:
            answers: Whether the database has answered if the block ends well; taking an open connection asks nothing.
        """
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            told = translate(error) if isinstance(error, _FAULTS) else error
            waited = time.monotonic() - began >= QUICK_S
            if isinstance(told, Unavailable | asyncio.CancelledError):  # who was cancelled had waited for it as well
                (self._breaker.failed if waited else self._breaker.given_up)()
            else:
                self._breaker.succeeded()
            self._report()
            if told is error:
                raise
            raise told from error
        if not answers:
            return
        rested = self._breaker.state is not State.ASKED
        self._breaker.succeeded()
        if rested:
            self._report()

    def _report(self) -> None:
        if self._metrics is not None:
            self._metrics.state.labels("database").set(self._breaker.state)

    async def close(self) -> None:
        """See ``Database.close``."""
        ending = [*self._telling.values(), *filter(None, [self._listening])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
