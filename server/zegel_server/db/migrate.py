"""Brings a database to the newest schema, with Alembic."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from zegel_server.db.factory import scheme_of, sqlite_path
from zegel_server.db.postgresql import CONNECT_TIMEOUT_S, telling
from zegel_server.db.sqlite import connect, translate

MIGRATIONS: Final = Path(__file__).parent / "migrations"

MIGRATING: Final = 0x5A6567656C
"""PostgreSQL's advisory lock under which one process migrates at a time: ``Zegel`` in ASCII."""


ENCRYPTS_TEXTS: Final = "0024"
"""The revision that encrypts what people typed, which takes the tenants' keys."""

TEXT_KEYS: Final = "text_keys"
"""Under which name a connection's ``info`` has the keys for that revision."""

_NEWEST_TENANT_KEYS: Final = text(
    "SELECT tenant_id, key_version, root_key_id, wrapped_key, commitment FROM tenant_keys AS k WHERE key_version ="
    " (SELECT max(key_version) FROM tenant_keys AS newest WHERE newest.tenant_id = k.tenant_id) ORDER BY tenant_id"
)


class TextKey(Protocol):
    """Encrypts the texts of a tenant; the key domain, which this package cannot import, says how.

    Attributes:
        key_version: Version of the tenant key.
    """

    key_version: int

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Encrypts.

        Args:
            plain: What to encrypt.
            context: What it is bound to.
        """
        ...


OpenKeys = Callable[[Sequence[Any]], Awaitable[Mapping[str, TextKey | None]]]
"""Opens tenant keys, given their rows, by tenant; ``None`` for one whose root key was destroyed."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def newest_revision() -> str:
    """The revision that this server needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        message = "the server has no migrations"
        raise RuntimeError(message)
    return head


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _sqlite(url: str) -> Iterator[Connection]:
    """A connection with a transaction under way; pysqlite by itself would begin late, and commit around DDL."""
    path = Path(sqlite_path(url))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine("sqlite://", creator=lambda: connect(str(path)), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise translate(error.orig) from error
        raise
    finally:
        engine.dispose()


@asynccontextmanager
async def _postgresql(url: str) -> AsyncIterator[AsyncConnection]:
    """The same for PostgreSQL; asyncpg parses the URL, as it does for the server itself."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    )
    try:
        with telling():
            async with engine.begin() as connection:
                yield connection
    finally:
        await engine.dispose()


def _tenant_keys(connection: Connection) -> Sequence[Any]:
    """The newest key of each tenant, if a migration needs them."""
    revision = _revision(connection)
    if revision is None:
        return []
    missing = ScriptDirectory.from_config(_config()).iterate_revisions("head", revision)
    needed = any(each.revision == ENCRYPTS_TEXTS for each in missing)
    return connection.execute(_NEWEST_TENANT_KEYS).all() if needed else []


def _vacuum(url: str) -> None:
    """Removes from an SQLite file and its log what a migration has overwritten, if that was not done yet."""
    connection = connect(sqlite_path(url))
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.execute("VACUUM")
            connection.execute("PRAGMA user_version = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise translate(error) from error
    finally:
        connection.close()


async def upgrade(url: str, open_keys: OpenKeys | None = None) -> None:
    """Migrates to the newest schema, in one transaction; does nothing if it is already there.

    Several processes may do so at once: the first migrates, and the others wait and find it done.

    Args:
        url: As ``open_database`` takes it.
        open_keys: Opens tenant keys, for a database whose people typed something before it was encrypted.

    Raises:
        RuntimeError: The database needs the tenants' keys, and they were not given.
        Unavailable: The database or a key provider does not answer.
        ValueError: The URL has another scheme.
    """
    if scheme_of(url) == "sqlite":
        with _sqlite(url) as connection:
            rows = _tenant_keys(connection)
        keys = await open_keys(rows) if open_keys and rows else {}
        with _sqlite(url) as connection:
            connection.info[TEXT_KEYS] = keys
            _upgrade(connection)
        _vacuum(url)
        return
    async with _postgresql(url) as running:
        rows = await running.run_sync(_tenant_keys)
    keys = await open_keys(rows) if open_keys and rows else {}
    async with _postgresql(url) as running:
        await running.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
        (await running.get_raw_connection()).info[TEXT_KEYS] = keys
        await running.run_sync(_upgrade)


async def current_revision(url: str) -> str | None:
    """The revision that a database is at, or ``None`` for an empty one.

    Args:
        url: As ``open_database`` takes it.

    Raises:
        Unavailable: The database does not answer.
        ValueError: The URL has another scheme.
    """
    if scheme_of(url) == "sqlite":
        with _sqlite(url) as connection:
            return _revision(connection)
    async with _postgresql(url) as running:
        return await running.run_sync(_revision)
