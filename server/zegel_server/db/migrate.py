"""Brings a database to the newest schema, with Alembic."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from zegel_server.db.database import sqlite_path

MIGRATIONS: Final = Path(__file__).parent / "migrations"


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


def _sqlite_engine(url: str) -> Engine:
    path = Path(sqlite_path(url))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}")

    # pysqlite begins transactions late and commits around DDL; a migration must be all or nothing.
    @event.listens_for(engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def upgrade(url: str) -> None:
    """Migrates to the newest schema, in one transaction; does nothing where it is there.

    Args:
        url: As ``open_database`` takes it.
    """
    if url.startswith("sqlite"):
        engine = _sqlite_engine(url)
        with engine.begin() as connection:
            _upgrade(connection)
        engine.dispose()
        return
    asynchronous = create_async_engine(_async_url(url))
    async with asynchronous.begin() as running:
        await running.run_sync(_upgrade)
    await asynchronous.dispose()


async def current_revision(url: str) -> str | None:
    """The revision that a database is at, or ``None`` for an empty one.

    Args:
        url: As ``open_database`` takes it.
    """
    if url.startswith("sqlite"):
        engine = _sqlite_engine(url)
        with engine.connect() as connection:
            found = _revision(connection)
        engine.dispose()
        return found
    asynchronous = create_async_engine(_async_url(url))
    async with asynchronous.connect() as running:
        found = await running.run_sync(_revision)
    await asynchronous.dispose()
    return found


def _async_url(url: str) -> str:
    return "postgresql+asyncpg://" + url.partition("://")[2]
