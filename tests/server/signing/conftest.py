"""A tenant that sends and signs requests, on each database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.databases import sqlite_url
from support.signing_world import World, make_world
from zegel_server import clock


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with tables and no rows."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: str = request.getfixturevalue("postgres_tables_url")
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
