"""A tenant that sends and signs requests, on each database."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from support.signing_world import World, make_world
from zegel_server import clock
from zegel_server.db.schema import metadata


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables and no rows, made once and copied for each test."""
    path = tmp_path_factory.mktemp("signing") / "empty.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def url(request: pytest.FixtureRequest, tmp_path: Path, empty_sqlite: Path) -> str:
    """The URL of a database with tables and no rows."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'zegel.sqlite')}"
    server: str = request.getfixturevalue("postgres_url")
    asynchronous = create_async_engine("postgresql+asyncpg://" + server.partition("://")[2])
    async with asynchronous.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await asynchronous.dispose()
    return server


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the server's clock ahead by so many microseconds."""
    real = clock.now

    def move(ahead: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: real() + ahead)

    return move


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A tenant in it."""
    made = await make_world(url, tmp_path)
    yield made
    await made.close()
