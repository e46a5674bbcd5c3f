"""The migrations lead to the schema that the server's statements are written for."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from zegel_server.db import migrate
from zegel_server.db.factory import sqlite_path
from zegel_server.db.migrate import current_revision, newest_revision, upgrade
from zegel_server.db.schema import metadata
from zegel_server.errors import Unavailable


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


async def differences_at(url: str) -> list[object]:
    if url.startswith("sqlite"):
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return differences(connection)
        finally:
            engine.dispose()
    running = create_async_engine("postgresql+asyncpg://" + url.partition("://")[2])
    try:
        async with running.connect() as connected:
            return await connected.run_sync(differences)
    finally:
        await running.dispose()


async def test_they_lead_to_the_schema(database_url: str) -> None:
    assert await current_revision(database_url) is None
    await upgrade(database_url)
    assert await current_revision(database_url) == newest_revision()
    assert await differences_at(database_url) == []


async def test_doing_them_again_does_nothing(database_url: str) -> None:
    await upgrade(database_url)
    await upgrade(database_url)
    assert await current_revision(database_url) == newest_revision()


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(asyncio.run, upgrade(database_url)) for _ in range(4)))
    assert await current_revision(database_url) == newest_revision()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = migrate._upgrade

    def fail(connection: Connection) -> None:
        original(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "_upgrade", fail)
    with pytest.raises(ZeroDivisionError):
        await upgrade(database_url)
    assert await current_revision(database_url) is None


async def test_a_database_that_is_locked_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel_server.db.sqlite.BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    await upgrade(url)
    other = sqlite3.connect(sqlite_path(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await upgrade(url)
    other.close()
    await upgrade(url)


async def test_a_server_that_is_not_there_does_not_answer() -> None:
    with pytest.raises(Unavailable):
        await upgrade("postgresql://zegel:x@127.0.0.1:1/zegel")


async def test_a_postgresql_url_may_say_how_to_connect(postgres_url: str) -> None:
    await upgrade(postgres_url + "?sslmode=disable")
    assert await current_revision(postgres_url + "?sslmode=disable") == newest_revision()
